//! Drawing of each kind of figure on any backend; `scale` is 1 for SVG and 2 for PNG.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::{Distribution, Figure, Named, PALETTE, Panel};
use super::{heat_map, pictures, tiles};
use crate::stats;

pub(super) type Area<B> = DrawingArea<B, Shift>;
pub(super) type Drawn = Result<(), String>;

const PANEL_WIDTH: u32 = 330;
const ROW_HEIGHT: u32 = 26;
pub(super) const TITLE: u32 = 20;
pub(super) const TEXT: u32 = 14;
/// Room above a title.
pub(super) const ABOVE: u32 = 8;

/// Panels per row of a dots figure.
fn columns(panels: &[Panel]) -> usize {
    panels.len().clamp(1, 3)
}

/// Heights of the lines of panels: each has room for its longest panel.
fn line_heights(panels: &[Panel]) -> Vec<u32> {
    let height = |line: &[Panel]| {
        let rows = line.iter().map(|panel| panel.rows.len()).max().unwrap_or(0) as u32;
        rows * ROW_HEIGHT + 85
    };
    panels.chunks(columns(panels)).map(height).collect()
}

impl Figure {
    pub(super) fn size(&self) -> (u32, u32) {
        match self {
            Self::Dots { panels, .. } => {
                (PANEL_WIDTH * columns(panels) as u32 + 20, 50 + line_heights(panels).iter().sum::<u32>())
            }
            Self::Bars { bars, .. } => (860, 130 + bars.len() as u32 * ROW_HEIGHT),
            Self::Distributions { panels, .. } => (760, 90 + panels.len() as u32 * 150),
            Self::HeatMap { rows, columns, .. } => heat_map::size(rows, columns),
            Self::Tiles { groups, .. } => tiles::size(groups),
            Self::Pictures { columns, pictures, .. } => pictures::size(pictures, *columns),
            Self::Curves { .. } | Self::Scatter { .. } | Self::Frontier { .. } => (760, 460),
        }
    }

    pub(super) fn draw<B: DrawingBackend>(&self, area: &Area<B>, scale: u32) -> Drawn {
        area.fill(&WHITE).map_err(text)?;
        match self {
            Self::Dots { title, value, panels } => dots(area, scale, title, value, panels),
            Self::Curves { title, x, y, groups } => curves(area, scale, title, [x, y], groups),
            Self::Scatter { title, x, y, groups, fitted } => {
                scatter(area, scale, title, [x, y], groups, *fitted)
            }
            Self::Frontier { title, x, y, groups } => frontier(area, scale, title, [x, y], groups),
            Self::Distributions { title, x, panels } => distributions(area, scale, title, x, panels),
            Self::HeatMap { title, value, rows, columns, values, framed } => {
                heat_map::draw(area, scale, [title, value], [rows, columns], values, framed)
            }
            // An SVG has scale 1; its tiles are added as images.
            Self::Tiles { title, groups } => tiles::draw(area, scale, title, groups, scale > 1),
            Self::Pictures { title, columns, pictures } => {
                pictures::draw(area, scale, title, pictures, *columns)
            }
            Self::Bars { title, value, parts, bars } => stacked(area, scale, title, value, parts, bars),
        }?;
        area.present().map_err(text)
    }
}

pub(super) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

pub(super) fn font(size: u32, scale: u32) -> TextStyle<'static> {
    ("sans-serif", f64::from(size * scale)).into_font().color(&BLACK)
}

fn colour(index: usize) -> RGBColor {
    PALETTE[index % PALETTE.len()]
}

/// Range of the values with a twentieth of room on both sides; a unit range around equal or no values.
fn room(values: impl Iterator<Item = f64> + Clone) -> Range<f64> {
    let low = values.clone().fold(f64::INFINITY, f64::min);
    let high = values.fold(f64::NEG_INFINITY, f64::max);
    match high - low {
        width if width > 0.0 && width.is_finite() => low - 0.05 * width..high + 0.05 * width,
        _ if low.is_finite() => low - 0.5..low + 0.5,
        _ => 0.0..1.0,
    }
}

/// What is left below the title. Its box begins at the height of its capitals, so that it needs room above.
pub(super) fn titled<B: DrawingBackend>(area: &Area<B>, title: &str, scale: u32) -> Result<Area<B>, String> {
    area.margin((ABOVE * scale) as i32, 0, 0, 0).titled(title, font(TITLE, scale)).map_err(text)
}

fn dots<B: DrawingBackend>(area: &Area<B>, scale: u32, title: &str, value: &str, panels: &[Panel]) -> Drawn {
    let area = titled(area, title, scale)?;
    let columns = columns(panels) as u32;
    let width = area.dim_in_pixel().0;
    let ends = line_heights(panels).into_iter().scan(0, |end, height| {
        *end += height * scale;
        Some(*end as i32)
    });
    let lines: Vec<i32> = ends.collect();
    let between: Vec<i32> = (1..columns).map(|column| (width * column / columns) as i32).collect();
    let cells = area.split_by_breakpoints(between, &lines[..lines.len().saturating_sub(1)]);
    for (cell, panel) in cells.iter().zip(panels) {
        dots_panel(cell, scale, value, panel)?;
    }
    Ok(())
}

fn dots_panel<B: DrawingBackend>(area: &Area<B>, scale: u32, value: &str, panel: &Panel) -> Drawn {
    let n_rows = panel.rows.len().max(1) as f64;
    let intervals = panel.rows.iter().filter_map(|(_, values)| stats::t_interval(values)).flatten();
    let values = panel.rows.iter().flat_map(|(_, values)| values.iter().copied()).chain(intervals);
    let names = panel.rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0) as u32;
    let range = room(values.collect::<Vec<_>>().into_iter());
    let mut chart = ChartBuilder::on(area)
        .caption(&panel.title, font(TEXT + 1, scale))
        .margin((8 * scale) as i32)
        .x_label_area_size(40 * scale)
        .y_label_area_size((names * 8 + 14).clamp(30, 150) * scale)
        .build_cartesian_2d(range, n_rows - 0.5..-0.5)
        .map_err(text)?;
    let name = |row: &f64| {
        let near = (row.round() - row).abs() < 0.01;
        panel
            .rows
            .get(row.round() as usize)
            .filter(|_| near && *row > -0.4)
            .map_or(String::new(), |(name, _)| name.clone())
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(5)
        .y_labels(panel.rows.len() * 2 + 1)
        .x_desc(value)
        .label_style(font(TEXT, scale))
        .y_label_formatter(&name)
        .draw()
        .map_err(text)?;
    for (row, (_, values)) in panel.rows.iter().enumerate() {
        let (y, ink) = (row as f64, colour(row));
        let points = values.iter().map(|&x| Circle::new((x, y + 0.14), 3 * scale, ink.mix(0.55).filled()));
        chart.draw_series(points).map_err(text)?;
        if let Some([low, high]) = stats::t_interval(values) {
            let line = PathElement::new(vec![(low, y - 0.16), (high, y - 0.16)], ink.stroke_width(2 * scale));
            chart.draw_series([line]).map_err(text)?;
        }
        if let Some(mean) = stats::mean(values) {
            chart.draw_series([Circle::new((mean, y - 0.16), 4 * scale, ink.filled())]).map_err(text)?;
        }
    }
    Ok(())
}

fn curves<B: DrawingBackend>(
    area: &Area<B>,
    scale: u32,
    title: &str,
    [x, y]: [&str; 2],
    groups: &[(String, Vec<Vec<[f64; 2]>>)],
) -> Drawn {
    let points =
        || groups.iter().flat_map(|(_, runs)| runs.iter().flatten().copied()).collect::<Vec<[f64; 2]>>();
    let mut chart = plane(area, scale, title, [x, y], &points())?;
    for (index, (name, runs)) in groups.iter().enumerate() {
        let ink = colour(index);
        for run in runs {
            let thin = LineSeries::new(run.iter().map(|&[x, y]| (x, y)), ink.mix(0.3).stroke_width(scale));
            chart.draw_series(thin).map_err(text)?;
        }
        let shortest = runs.iter().map(Vec::len).min().unwrap_or(0);
        let middle = (0..shortest).filter_map(|place| {
            let values: Vec<f64> = runs.iter().map(|run| run[place][1]).collect();
            Some((runs[0][place][0], stats::median(&values)?))
        });
        let bold = LineSeries::new(middle.collect::<Vec<_>>(), ink.stroke_width(3 * scale));
        let key =
            move |(x, y)| PathElement::new([(x, y), (x + 18 * scale as i32, y)], ink.stroke_width(3 * scale));
        chart.draw_series(bold).map_err(text)?.label(name).legend(key);
    }
    legend_at(&mut chart, scale, freest_corner(&points()))
}

/// The corner with the fewest points; the lower right one of equals.
fn freest_corner(points: &[[f64; 2]]) -> SeriesLabelPosition {
    let axis = |at: usize| room(points.iter().map(|point| point[at]).collect::<Vec<_>>().into_iter());
    let (x, y) = (axis(0), axis(1));
    let share = |value: f64, range: &Range<f64>| (value - range.start) / (range.end - range.start);
    let inside = |right: bool, upper: bool| {
        let near = |share: f64, high: bool| if high { share > 0.62 } else { share < 0.38 };
        let within = |point: &&[f64; 2]| near(share(point[0], &x), right) && near(share(point[1], &y), upper);
        points.iter().filter(within).count()
    };
    let corners = [
        (SeriesLabelPosition::LowerRight, inside(true, false)),
        (SeriesLabelPosition::UpperLeft, inside(false, true)),
        (SeriesLabelPosition::UpperRight, inside(true, true)),
        (SeriesLabelPosition::LowerLeft, inside(false, false)),
    ];
    let least = corners.iter().map(|(_, n)| *n).min();
    corners
        .into_iter()
        .find(|(_, n)| Some(*n) == least)
        .map_or(SeriesLabelPosition::LowerRight, |(corner, _)| corner)
}

fn scatter<B: DrawingBackend>(
    area: &Area<B>,
    scale: u32,
    title: &str,
    labels: [&str; 2],
    groups: &[(String, Vec<[f64; 2]>)],
    fitted: bool,
) -> Drawn {
    let points: Vec<[f64; 2]> = groups.iter().flat_map(|(_, points)| points).copied().collect();
    let mut chart = plane(area, scale, title, labels, &points)?;
    for (index, (name, points)) in groups.iter().enumerate() {
        let ink = colour(index);
        let series = points.iter().map(|&[x, y]| Circle::new((x, y), 4 * scale, ink.mix(0.8).filled()));
        let key = move |(x, y)| Circle::new((x + 9 * scale as i32, y), 4 * scale, ink.filled());
        chart.draw_series(series).map_err(text)?.label(name).legend(key);
    }
    let (xs, ys): (Vec<f64>, Vec<f64>) = points.iter().map(|&[x, y]| (x, y)).unzip();
    if let Some(correlation) = stats::pearson(&xs, &ys).filter(|_| fitted) {
        let sd = |values: &[f64]| stats::standard_deviation(values).unwrap_or_default();
        let mean = |values: &[f64]| stats::mean(values).unwrap_or_default();
        let slope = correlation * sd(&ys) / sd(&xs);
        let ends = [
            xs.iter().copied().fold(f64::INFINITY, f64::min),
            xs.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        ];
        let line = ends.map(|x| (x, mean(&ys) + slope * (x - mean(&xs))));
        chart.draw_series(LineSeries::new(line, BLACK.mix(0.6).stroke_width(2 * scale))).map_err(text)?;
    }
    legend(&mut chart, scale)
}

/// The value of a mark on a logarithmic axis: decades in powers of ten, less than one in as many digits as tell marks apart.
fn log_label(log: f64, axis: &Range<f64>) -> String {
    let value = 10f64.powf(log);
    if axis.end - axis.start >= 1.0 {
        return format!("{value:.1e}");
    }
    let between_marks = (10f64.powf(axis.end) - 10f64.powf(axis.start)) / 20.0;
    let digits = (-between_marks.log10()).ceil().clamp(0.0, 9.0) as usize;
    format!("{value:.digits$}")
}

fn frontier<B: DrawingBackend>(
    area: &Area<B>,
    scale: u32,
    title: &str,
    [x, y]: [&str; 2],
    groups: &[(String, Vec<Named>)],
) -> Drawn {
    let place = |point: &Named| (point.at[0], point.at[1].max(f64::MIN_POSITIVE).log10());
    let places: Vec<(f64, f64)> = groups.iter().flat_map(|(_, points)| points.iter().map(place)).collect();
    let (wide, high) = (room(places.iter().map(|p| p.0)), room(places.iter().map(|p| p.1)));
    let name = |log: &f64| log_label(*log, &high);
    let mut chart = ChartBuilder::on(area)
        .caption(title, font(TITLE, scale))
        .margin((12 * scale) as i32)
        .x_label_area_size(46 * scale)
        .y_label_area_size(72 * scale)
        .build_cartesian_2d(wide.start..wide.end + 0.05 * (wide.end - wide.start), high.clone())
        .map_err(text)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(x)
        .y_desc(y)
        .label_style(font(TEXT, scale))
        .y_label_formatter(&name)
        .draw()
        .map_err(text)?;
    for (index, (name, points)) in groups.iter().enumerate() {
        let ink = colour(index);
        let mut line: Vec<(f64, f64)> = points.iter().map(place).collect();
        line.sort_by(|a, b| a.0.total_cmp(&b.0));
        chart.draw_series(LineSeries::new(line, ink.mix(0.4).stroke_width(scale))).map_err(text)?;
        let dots = points.iter().map(|point| Circle::new(place(point), 4 * scale, ink.filled()));
        let key = move |(x, y)| Circle::new((x + 9 * scale as i32, y), 4 * scale, ink.filled());
        chart.draw_series(dots).map_err(text)?.label(name).legend(key);
        // Neighbours get their names on different sides.
        let mut in_order: Vec<&Named> = points.iter().collect();
        in_order.sort_by(|a, b| a.at[0].total_cmp(&b.at[0]));
        let names = in_order.into_iter().enumerate().map(|(index, point)| {
            let width = point.name.chars().count() as i32 * 7 + 6;
            let side = if index % 2 == 0 { 6 } else { -width };
            let shift = (side * scale as i32, -(14 * scale as i32));
            EmptyElement::at(place(point)) + Text::new(point.name.clone(), shift, font(TEXT - 2, scale))
        });
        chart.draw_series(names).map_err(text)?;
    }
    legend_at(&mut chart, scale, SeriesLabelPosition::UpperRight)
}

fn distributions<B: DrawingBackend>(
    area: &Area<B>,
    scale: u32,
    title: &str,
    x: &str,
    panels: &[Distribution],
) -> Drawn {
    let area = titled(area, title, scale)?;
    let ends = room(panels.iter().flat_map(|panel| panel.range));
    for (index, (cell, panel)) in area.split_evenly((panels.len().max(1), 1)).iter().zip(panels).enumerate() {
        let highest = panel.counts.iter().copied().fold(1.0, f64::max);
        let last = index + 1 == panels.len();
        let mut chart = ChartBuilder::on(cell)
            .caption(&panel.title, font(TEXT + 1, scale))
            .margin((6 * scale) as i32)
            .x_label_area_size(if last { 42 } else { 22 } * scale)
            .y_label_area_size(20 * scale)
            .build_cartesian_2d(ends.clone(), -0.18 * highest..highest * 1.05)
            .map_err(text)?;
        let mut mesh = chart.configure_mesh();
        mesh.disable_mesh().y_labels(0).label_style(font(TEXT, scale));
        if last {
            mesh.x_desc(x);
        }
        mesh.draw().map_err(text)?;
        let width = (panel.range[1] - panel.range[0]) / panel.counts.len() as f64;
        let bars = panel.counts.iter().enumerate().map(|(bin, &count)| {
            let low = panel.range[0] + bin as f64 * width;
            Rectangle::new([(low, 0.0), (low + width, count)], colour(0).mix(0.75).filled())
        });
        chart.draw_series(bars).map_err(text)?;
        let line = PathElement::new(
            vec![(ends.start, -0.09 * highest), (ends.end, -0.09 * highest)],
            BLACK.mix(0.5).stroke_width(scale),
        );
        chart.draw_series([line]).map_err(text)?;
        let ticks = panel.marks.iter().map(|&mark| {
            let tick = vec![(mark, -0.16 * highest), (mark, -0.02 * highest)];
            PathElement::new(tick, colour(1).stroke_width(2 * scale))
        });
        chart.draw_series(ticks).map_err(text)?;
    }
    Ok(())
}

type Plane<'a, B> = ChartContext<
    'a,
    B,
    Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>,
>;

fn plane<'a, B: DrawingBackend>(
    area: &'a Area<B>,
    scale: u32,
    title: &str,
    [x, y]: [&str; 2],
    points: &[[f64; 2]],
) -> Result<Plane<'a, B>, String> {
    let mut chart = ChartBuilder::on(area)
        .caption(title, font(TITLE, scale))
        .margin((12 * scale) as i32)
        .x_label_area_size(46 * scale)
        .y_label_area_size(64 * scale)
        .build_cartesian_2d(room(points.iter().map(|p| p[0])), room(points.iter().map(|p| p[1])))
        .map_err(text)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(x)
        .y_desc(y)
        .label_style(font(TEXT, scale))
        .draw()
        .map_err(text)?;
    Ok(chart)
}

fn legend<'a, B: DrawingBackend + 'a>(chart: &mut Plane<'a, B>, scale: u32) -> Drawn {
    legend_at(chart, scale, SeriesLabelPosition::LowerRight)
}

fn legend_at<'a, B: DrawingBackend + 'a>(
    chart: &mut Plane<'a, B>,
    scale: u32,
    position: SeriesLabelPosition,
) -> Drawn {
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .label_font(font(TEXT, scale))
        .margin(6 * scale as i32)
        .legend_area_size(24 * scale)
        .position(position)
        .draw()
        .map_err(text)
}

fn stacked<B: DrawingBackend>(
    area: &Area<B>,
    scale: u32,
    title: &str,
    value: &str,
    parts: &[String],
    bars: &[(String, Vec<f64>)],
) -> Drawn {
    let longest = bars
        .iter()
        .map(|(_, lengths)| lengths.iter().sum::<f64>())
        .fold(0.0, f64::max)
        .max(f64::MIN_POSITIVE);
    let names = bars.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0) as u32;
    let mut chart = ChartBuilder::on(area)
        .caption(title, font(TITLE, scale))
        .margin((12 * scale) as i32)
        .margin_right(150 * scale)
        .x_label_area_size(46 * scale)
        .y_label_area_size((names * 8 + 14) * scale)
        .build_cartesian_2d(0.0..longest * 1.02, bars.len().max(1) as f64 - 0.5..-0.5)
        .map_err(text)?;
    let name = |row: &f64| {
        let near = (row.round() - row).abs() < 0.01 && *row > -0.4;
        bars.get(row.round() as usize).filter(|_| near).map_or(String::new(), |(name, _)| name.clone())
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(TRANSPARENT)
        .y_labels(bars.len() * 2 + 1)
        .x_desc(value)
        .label_style(font(TEXT, scale))
        .y_label_formatter(&name)
        .draw()
        .map_err(text)?;
    for (index, _) in parts.iter().enumerate() {
        let ink = colour(index);
        let pieces = bars.iter().enumerate().map(|(row, (_, lengths))| {
            let before: f64 = lengths[..index].iter().sum();
            let row = row as f64;
            Rectangle::new([(before, row - 0.36), (before + lengths[index], row + 0.36)], ink.filled())
        });
        chart.draw_series(pieces).map_err(text)?;
    }
    let right = area.dim_in_pixel().0 as i32 - 140 * scale as i32;
    for (index, part) in parts.iter().enumerate() {
        let top = (44 + 22 * index as i32) * scale as i32;
        let size = 12 * scale as i32;
        area.draw(&Rectangle::new([(right, top), (right + size, top + size)], colour(index).filled()))
            .map_err(text)?;
        area.draw(&Text::new(part.clone(), (right + size + 6 * scale as i32, top), font(TEXT, scale)))
            .map_err(text)?;
    }
    Ok(())
}
