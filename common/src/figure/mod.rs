//! Figures as SVG, PNG at twice the size, and the plotted numbers as CSV. No system font is needed.

mod draw;
mod embed;
mod heat_map;
mod pictures;
mod tiles;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::OnceLock;

use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::files::{self, FileError};
use crate::report::FigureFile;

pub use pictures::Picture;
pub use tiles::{Tile, TileGroup};

/// Colours that stay apart for colour-blind readers (Okabe and Ito 2008).
pub const PALETTE: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
];

/// Pixels of the largest picture whose values stand in the numbers beside the figure: a photograph's would be a megabyte.
const LARGEST_LISTED: usize = 128 * 128;

/// A figure's content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Figure {
    /// Repeated runs as dots with mean and 95 % interval, one panel per setting.
    Dots {
        /// Heading.
        title: String,
        /// Label of the value axis.
        value: String,
        /// Panels from left to right, wrapped.
        panels: Vec<Panel>,
    },
    /// Thin line per run and bold median per group.
    Curves {
        /// Heading.
        title: String,
        /// Label of the horizontal axis.
        x: String,
        /// Label of the vertical axis.
        y: String,
        /// Groups of runs of equal length.
        groups: Vec<(String, Vec<Vec<[f64; 2]>>)>,
    },
    /// Points in groups, with a least-squares line through all of them where one coordinate may follow from the other.
    Scatter {
        /// Heading.
        title: String,
        /// Label of the horizontal axis.
        x: String,
        /// Label of the vertical axis.
        y: String,
        /// Groups of points.
        groups: Vec<(String, Vec<[f64; 2]>)>,
        /// Whether the line is drawn.
        #[serde(default)]
        fitted: bool,
    },
    /// Horizontal bars made of parts.
    Bars {
        /// Heading.
        title: String,
        /// Label of the value axis.
        value: String,
        /// Names of the parts.
        parts: Vec<String>,
        /// Bars from top to bottom: name, length of each part.
        bars: Vec<(String, Vec<f64>)>,
    },
    /// What is lost against what it costs: named points joined in groups, on a logarithmic vertical axis.
    Frontier {
        /// Heading.
        title: String,
        /// Label of the horizontal axis.
        x: String,
        /// Label of the vertical axis; values are positive.
        y: String,
        /// Groups of points, each with its name; an empty name is not written.
        groups: Vec<(String, Vec<Named>)>,
    },
    /// How values are spread, one histogram above another, with the points of a grid below each.
    Distributions {
        /// Heading.
        title: String,
        /// Label of the value axis.
        x: String,
        /// Panels from top to bottom, all with the same axis.
        panels: Vec<Distribution>,
    },
    /// Small images in rows under lines of text; some are framed.
    Tiles {
        /// Heading.
        title: String,
        /// Groups from top to bottom.
        groups: Vec<TileGroup>,
    },
    /// A matrix as coloured cells between the tokens of two texts in any script; one cell of each row can be framed.
    #[serde(rename = "heat-map")]
    HeatMap {
        /// Heading.
        title: String,
        /// What the colour says.
        value: String,
        /// Names of the rows, from top to bottom.
        rows: Vec<String>,
        /// Names of the columns, written downwards.
        columns: Vec<String>,
        /// Values by row and column.
        values: Vec<Vec<f64>>,
        /// Column that is framed in each row.
        framed: Vec<Option<usize>>,
    },
    /// Pictures side by side, enlarged pixel by pixel.
    Pictures {
        /// Heading.
        title: String,
        /// Pictures in a line.
        columns: usize,
        /// The pictures, line by line.
        pictures: Vec<Picture>,
    },
}

/// A point with a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Named {
    /// Place.
    pub at: [f64; 2],
    /// Name.
    pub name: String,
}

/// One histogram of [`Figure::Distributions`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// Heading of the panel.
    pub title: String,
    /// Ends of the first and the last bin.
    pub range: [f64; 2],
    /// Values per bin; bins are of equal width.
    pub counts: Vec<f64>,
    /// Points of the grid, drawn as ticks on a number line.
    pub marks: Vec<f64>,
}

impl Distribution {
    /// Histogram of `values` in `bins` bins over `range`; values outside count in the outermost bins.
    ///
    /// ```
    /// use common::figure::Distribution;
    /// let spread = Distribution::of(&[0.1, 0.2, 0.9, 7.0], [0.0, 1.0], 2, "x".into(), vec![]);
    /// assert_eq!(spread.counts, [2.0, 2.0]);
    /// ```
    pub fn of(values: &[f32], range: [f64; 2], bins: usize, title: String, marks: Vec<f64>) -> Self {
        let mut counts = vec![0.0; bins];
        let width = (range[1] - range[0]) / bins as f64;
        for &value in values {
            let bin = ((f64::from(value) - range[0]) / width).floor().clamp(0.0, bins as f64 - 1.0);
            counts[bin as usize] += 1.0;
        }
        Self { title, range, counts, marks }
    }
}

/// One panel of [`Figure::Dots`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Panel {
    /// Heading of the panel.
    pub title: String,
    /// Rows from top to bottom: name, values of the runs.
    pub rows: Vec<(String, Vec<f64>)>,
}

/// A figure that was not written.
#[derive(Debug, Error)]
pub enum FigureError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Drawing failed.
    #[error("figure `{id}`: {problem}")]
    Drawing {
        /// Name of the figure.
        id: String,
        /// What the plotter said.
        problem: String,
    },
}

/// Writes a figure into `folder/figures` and returns its paths relative to `folder`.
///
/// # Errors
/// [`FigureError`].
pub fn save(figure: &Figure, folder: &Path, id: &str, caption: &str) -> Result<FigureFile, FigureError> {
    use_own_font();
    let fail = |problem: String| FigureError::Drawing { id: id.to_owned(), problem };
    files::make_folder(&folder.join("figures"))?;
    let name = |extension: &str| format!("figures/{id}.{extension}");
    let (width, height) = figure.size();
    let mut svg = String::new();
    figure.draw(&SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area(), 1).map_err(fail)?;
    if let Figure::Tiles { groups, .. } = figure {
        svg = tiles::embedded(&svg, groups).map_err(fail)?;
    }
    if let Figure::Pictures { columns, pictures, .. } = figure {
        svg = pictures::embedded(&svg, pictures, *columns).map_err(fail)?;
    }
    files::write_atomic(&folder.join(name("svg")), scalable(&svg).as_bytes())?;
    files::write_atomic(&folder.join(name("csv")), figure.csv().as_bytes())?;
    let png = folder.join(name("png"));
    figure.draw(&BitMapBackend::new(&png, (2 * width, 2 * height)).into_drawing_area(), 2).map_err(fail)?;
    Ok(FigureFile { svg: name("svg"), png: name("png"), csv: name("csv"), caption: caption.to_owned() })
}

/// A view box lets a page scale the drawing to a phone.
fn scalable(svg: &str) -> String {
    let size = |name: &str| svg.split_once(&format!("{name}=\""))?.1.split('"').next();
    match (svg.contains("viewBox"), size("width"), size("height")) {
        (false, Some(width), Some(height)) => {
            svg.replacen("<svg ", &format!("<svg viewBox=\"0 0 {width} {height}\" "), 1)
        }
        _ => svg.to_owned(),
    }
}

/// Registers a font that a dependency carries, so that text has a size on machines without fonts.
fn use_own_font() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        for style in [FontStyle::Normal, FontStyle::Bold] {
            let known = register_font("sans-serif", style, epaint_default_fonts::UBUNTU_LIGHT);
            debug_assert!(known.is_ok(), "the font is part of the program");
        }
    });
}

impl Figure {
    fn csv(&self) -> String {
        let mut out = String::new();
        let quote = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        match self {
            Self::Dots { panels, .. } => {
                out.push_str("panel,row,run,value\n");
                for (panel, row, run, value) in panels.iter().flat_map(|p| {
                    p.rows.iter().flat_map(move |(row, values)| {
                        values.iter().enumerate().map(move |(i, v)| (p, row, i, v))
                    })
                }) {
                    let _ = writeln!(out, "{},{},{run},{value}", quote(&panel.title), quote(row));
                }
            }
            Self::Curves { groups, .. } => {
                out.push_str("group,run,x,y\n");
                for (name, runs) in groups {
                    for (run, points) in runs.iter().enumerate() {
                        points.iter().for_each(|[x, y]| _ = writeln!(out, "{},{run},{x},{y}", quote(name)));
                    }
                }
            }
            Self::Scatter { groups, .. } => {
                out.push_str("group,x,y\n");
                for (name, points) in groups {
                    points.iter().for_each(|[x, y]| _ = writeln!(out, "{},{x},{y}", quote(name)));
                }
            }
            Self::Frontier { groups, .. } => {
                out.push_str("group,name,x,y\n");
                for (group, points) in groups {
                    for Named { at: [x, y], name } in points {
                        let _ = writeln!(out, "{},{},{x},{y}", quote(group), quote(name));
                    }
                }
            }
            Self::Distributions { panels, .. } => {
                out.push_str("panel,kind,low,high,count\n");
                for panel in panels {
                    let title = quote(&panel.title);
                    let width = (panel.range[1] - panel.range[0]) / panel.counts.len() as f64;
                    for (bin, count) in panel.counts.iter().enumerate() {
                        let low = panel.range[0] + bin as f64 * width;
                        let _ = writeln!(out, "{title},bin,{low},{},{count}", low + width);
                    }
                    panel.marks.iter().for_each(|mark| _ = writeln!(out, "{title},mark,{mark},{mark},"));
                }
            }
            Self::HeatMap { rows, columns, values, framed, .. } => {
                out.push_str("row,column,value,framed\n");
                for (i, (row, values)) in rows.iter().zip(values).enumerate() {
                    for (j, (column, value)) in columns.iter().zip(values).enumerate() {
                        let framed = framed.get(i) == Some(&Some(j));
                        let _ = writeln!(out, "{},{},{value},{framed}", quote(row), quote(column));
                    }
                }
            }
            Self::Tiles { groups, .. } => {
                out.push_str("group,row,place,tile,framed\n");
                for (group, TileGroup { rows, .. }) in groups.iter().enumerate() {
                    for (row, tiles) in rows {
                        for (place, tile) in tiles.iter().enumerate() {
                            let (row, name) = (quote(row), quote(&tile.name));
                            let _ = writeln!(out, "{group},{row},{place},{name},{}", tile.framed);
                        }
                    }
                }
            }
            Self::Pictures { pictures, .. } => {
                out.push_str("picture,row,values\n");
                for picture in pictures {
                    if picture.width * picture.height > LARGEST_LISTED {
                        let (width, height) = (picture.width, picture.height);
                        let _ = writeln!(out, "{},,{width}x{height} pixels", quote(&picture.title));
                        continue;
                    }
                    let row = picture.pixels.len() / picture.height.max(1);
                    for (at, values) in picture.pixels.chunks(row.max(1)).enumerate() {
                        let values: Vec<String> = values.iter().map(u8::to_string).collect();
                        let _ = writeln!(out, "{},{at},{}", quote(&picture.title), values.join(" "));
                    }
                }
            }
            Self::Bars { parts, bars, .. } => {
                out.push_str("bar,part,value\n");
                for (name, lengths) in bars {
                    for (part, length) in parts.iter().zip(lengths) {
                        let _ = writeln!(out, "{},{},{length}", quote(name), quote(part));
                    }
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Vec<Figure> {
        let text = str::to_owned;
        let row = |values: &[f64]| (text("CE"), values.to_vec());
        vec![
            Figure::Dots {
                title: text("Dots"),
                value: text("F1"),
                panels: vec![
                    Panel { title: text("equal"), rows: vec![row(&[0.5, 0.5]), row(&[0.5])] },
                    Panel { title: text("none"), rows: vec![row(&[])] },
                ],
            },
            Figure::Curves {
                title: text("Curves"),
                x: text("step"),
                y: text("F1"),
                groups: vec![(text("CE"), vec![vec![[1.0, 0.0], [2.0, 0.5]]])],
            },
            Figure::Scatter {
                title: text("Scatter"),
                x: text("ratio"),
                y: text("gain"),
                groups: vec![(text("wac"), vec![[0.5, 0.1], [0.7, 0.0]])],
                fitted: true,
            },
            Figure::Scatter {
                title: text("Empty"),
                x: text("x"),
                y: text("y"),
                groups: vec![],
                fitted: true,
            },
            Figure::Bars {
                title: text("Bars"),
                value: text("share"),
                parts: vec![text("missed")],
                bars: vec![(text("CE"), vec![0.3])],
            },
            Figure::Frontier {
                title: text("Frontier"),
                x: text("bits"),
                y: text("KL"),
                groups: vec![(
                    text("ggml"),
                    vec![
                        Named { at: [8.5, 1e-5], name: text("Q8_0") },
                        Named { at: [4.5, 3e-3], name: text("") },
                    ],
                )],
            },
            Figure::HeatMap {
                title: text("Heat map"),
                value: text("cosine"),
                rows: vec![text("東大寺"), text("where")],
                columns: vec![text("奈"), text("良ab"), text("")],
                values: vec![vec![0.9, -0.1, 0.0], vec![0.2, 1.0, 0.5]],
                framed: vec![Some(0), None],
            },
            Figure::Tiles {
                title: text("Tiles"),
                groups: vec![TileGroup {
                    text: vec![text("a query")],
                    rows: vec![(
                        text("A0"),
                        vec![
                            Tile { name: text("7"), side_px: 2, rgb: vec![200; 12], framed: true },
                            Tile { name: text("8"), side_px: 2, rgb: vec![20; 12], framed: false },
                        ],
                    )],
                }],
            },
            Figure::Pictures {
                title: text("Pictures"),
                columns: 2,
                pictures: vec![Picture::grey("ramp", &[vec![0.0, 1.0]], [0.0, 1.0])],
            },
            Figure::Distributions {
                title: text("Distributions"),
                x: text("weight"),
                panels: vec![Distribution::of(
                    &[-1.0, 0.1, 0.2],
                    [-1.0, 1.0],
                    4,
                    text("before"),
                    vec![-0.5, 0.5],
                )],
            },
        ]
    }

    #[test]
    fn every_figure_is_drawn_with_its_title_and_labels() {
        let folder = tempfile::tempdir().unwrap();
        for (index, figure) in figures().iter().enumerate() {
            let saved = save(figure, folder.path(), &format!("f{index}"), "caption").unwrap();
            let svg = std::fs::read_to_string(folder.path().join(saved.svg)).unwrap();
            let (Figure::Dots { title, .. }
            | Figure::Curves { title, .. }
            | Figure::Scatter { title, .. }
            | Figure::Bars { title, .. }
            | Figure::Frontier { title, .. }
            | Figure::HeatMap { title, .. }
            | Figure::Tiles { title, .. }
            | Figure::Pictures { title, .. }
            | Figure::Distributions { title, .. }) = figure;
            assert!(
                svg.contains(title.as_str()) && svg.contains("viewBox") && !svg.contains("NaN"),
                "{title}"
            );
            assert!(std::fs::metadata(folder.path().join(saved.png)).unwrap().len() > 1000);
        }
    }

    #[test]
    fn of_a_photograph_the_numbers_say_the_size_only() {
        let pictures = vec![Picture::grey("photo", &vec![vec![0.0; 200]; 150], [0.0, 1.0])];
        let figure = Figure::Pictures { title: "p".to_owned(), columns: 1, pictures };
        assert_eq!(figure.csv(), "picture,row,values\n\"photo\",,200x150 pixels\n");
    }

    #[test]
    fn the_numbers_stand_beside_the_figure() {
        assert_eq!(
            figures()[2].csv(),
            "group,run,x,y\n".replace("run,", "") + "\"wac\",0.5,0.1\n\"wac\",0.7,0\n"
        );
    }
}
