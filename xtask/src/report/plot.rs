//! Small drawings inside of the page: differences against zero and margin, runs of two arms side by side.

use std::fmt::Write as _;

use super::input::{Claim, Part};
use super::text::{decimals, escape, interval, mean, number, significant};
use super::verdict::Verdict;

/// Most runs that are drawn one by one.
pub(super) const MAX_DOTS: usize = 40;
/// Width of both drawings.
const WIDTH: f64 = 240.0;
/// Room at each side, for half a label.
const SIDE: f64 = 16.0;
/// Where the longest interval is so many times the shortest, each line has a scale of its own.
const MAX_RATIO: f64 = 25.0;

/// Numbers to places on the drawing.
struct Axis {
    low: f64,
    high: f64,
}

impl Axis {
    /// Holds all finite `values`; `None` without any.
    fn over(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let (low, high) = values
            .into_iter()
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        match low.partial_cmp(&high)? {
            std::cmp::Ordering::Less => Some(Self { low, high }),
            std::cmp::Ordering::Equal => Some(Self { low: low - 1.0, high: high + 1.0 }),
            std::cmp::Ordering::Greater => None,
        }
    }

    fn x(&self, value: f64) -> f64 {
        let x = SIDE + (value - self.low) / (self.high - self.low) * (WIDTH - 2.0 * SIDE);
        (x * 2.0).round() / 2.0
    }
}

/// Differences of all parts of a claim with their intervals; right of the line is what the claim says.
/// `None` where no part was compared.
pub(super) fn differences(claim: &Claim, parts: &[Part]) -> Option<String> {
    let compared: Vec<&Part> = parts.iter().filter(|part| part.difference.is_some()).collect();
    let marks = marks(claim);
    let ends = |part: &&Part| part.difference.map_or([0.0, 0.0], |difference| difference.ci95);
    let all = compared.iter().flat_map(ends).chain(marks);
    let common = Axis::over(all).filter(|_| !compared.is_empty())?;
    let extent = |part: &&Part| ends(part).into_iter().fold(0.0_f64, |most, end| most.max(end.abs()));
    let extents: Vec<f64> = compared.iter().map(extent).filter(|extent| *extent > 0.0).collect();
    let (least, most) = extents.iter().fold((f64::INFINITY, 0.0_f64), |(l, m), e| (l.min(*e), m.max(*e)));
    let own_scales = extents.len() > 1 && most > MAX_RATIO * least;
    let step = match compared.len() {
        0..=6 => 13.0,
        7..=12 => 10.0,
        _ => 8.0,
    };
    let bottom = step * compared.len() as f64 + 4.0;
    let axis = |part: &&Part| match own_scales {
        true => Axis::over([-extent(part), extent(part)]).unwrap_or(Axis { low: -1.0, high: 1.0 }),
        false => Axis { low: common.low, high: common.high },
    };
    let mut body = String::new();
    if own_scales {
        let zero = axis(&compared[0]).x(0.0);
        rules(&mut body, &[("zero", zero)], zero, bottom);
    } else {
        let names = ["zero", "mark"];
        let lines: Vec<_> = names.into_iter().zip(marks.map(|mark| common.x(mark))).collect();
        let border = common.x(claim.margin.map_or(0.0, |margin| -margin));
        rules(&mut body, &lines[..if marks[1] == 0.0 { 1 } else { 2 }], border, bottom);
    }
    for (row, part) in compared.iter().enumerate() {
        let Some(difference) = part.difference else { continue };
        let (axis, y) = (axis(part), step * (row as f64 + 0.5) + 2.0);
        let [low, high] = difference.ci95.map(|end| axis.x(end));
        let _ = write!(
            body,
            "<g class=\"{}\"><path d=\"M{low} {y}H{high}\"/><path class=\"dot\" d=\"M{} {y}h0\"/></g>",
            Verdict::of(&part.verdict).name,
            axis.x(difference.mean)
        );
    }
    let height = if own_scales { bottom + 12.0 } else { bottom + ticks(&mut body, &common, marks, bottom) };
    if own_scales {
        let _ = write!(
            body,
            "<text x=\"{}\" y=\"{}\">0, each line to its own scale</text>",
            WIDTH / 2.0,
            bottom + 9.0
        );
    }
    Some(svg("forest", height, &spoken(claim, &compared), &body))
}

/// Zero, and what the verdict asks for besides: the margin, or the least effect.
fn marks(claim: &Claim) -> [f64; 2] {
    [0.0, claim.margin.map_or(claim.delta_min, |margin| -margin)]
}

/// Lines from top to bottom, and a tint over the side that the claim names.
fn rules(body: &mut String, lines: &[(&str, f64)], border: f64, bottom: f64) {
    let _ = write!(
        body,
        "<rect class=\"for\" x=\"{border}\" y=\"0\" width=\"{}\" height=\"{bottom}\"/>",
        round(WIDTH - border)
    );
    for (class, x) in lines {
        let _ = write!(body, "<path class=\"{class}\" d=\"M{x} 0V{bottom}\"/>");
    }
}

/// Labels below: both ends, and zero and the mark where there is room. Returns their height.
fn ticks(body: &mut String, axis: &Axis, marks: [f64; 2], bottom: f64) -> f64 {
    let digits = decimals((axis.high - axis.low) / 2.0);
    let mut taken: Vec<f64> = Vec::new();
    for value in [marks[0], axis.low, axis.high, marks[1]] {
        let x = axis.x(value);
        if taken.iter().all(|other| (other - x).abs() > 34.0) {
            taken.push(x);
            let _ = write!(body, "<text x=\"{x}\" y=\"{}\">{}</text>", bottom + 9.0, number(value, digits));
        }
    }
    12.0
}

fn spoken(claim: &Claim, compared: &[&Part]) -> String {
    let few = compared.iter().take(4).filter_map(|part| {
        let difference = part.difference?;
        Some(format!(
            "{}: {} {}",
            part.part.id,
            interval(difference.mean, difference.ci95),
            Verdict::of(&part.verdict).words
        ))
    });
    let more = if compared.len() > 4 { format!("; and {} more", compared.len() - 4) } else { String::new() };
    let margin =
        claim.margin.map_or(String::new(), |margin| format!(", allowed loss {}", significant(margin)));
    format!(
        "Differences in {} with 95 % intervals, positive for the claim{margin}. {}{more}",
        claim.metric,
        few.collect::<Vec<_>>().join("; ")
    )
}

/// Runs of both arms: a dot for each run, equal runs joined; of many runs the middle half and the middle nine tenths.
/// `None` where nothing was run. Not for listeners: the numbers stand beside and below it.
pub(super) fn runs(part: &Part) -> Option<String> {
    let ends = [part.ci_a, part.ci_b].into_iter().flatten().flatten();
    let many = part.a.len().max(part.b.len()) > MAX_DOTS;
    let inner = |values: &[f64]| {
        if many { vec![quantile(values, 0.05), quantile(values, 0.95)] } else { values.to_vec() }
    };
    let shown = [inner(&part.a), inner(&part.b)].concat();
    if part.a.is_empty() && part.b.is_empty() {
        return None;
    }
    let axis = Axis::over(shown.into_iter().chain(if many { vec![] } else { ends.collect() }))?;
    let mut body = String::new();
    if !many && part.a.len() == part.b.len() {
        let pair = |(a, b): (&f64, &f64)| format!("M{} 12L{} 34", axis.x(*a), axis.x(*b));
        let _ = write!(
            body,
            "<path class=\"pair\" d=\"{}\"/>",
            part.a.iter().zip(&part.b).map(pair).collect::<String>()
        );
    }
    for (class, values, ci, y) in [("a", &part.a, part.ci_a, 12.0), ("b", &part.b, part.ci_b, 34.0)] {
        let _ = write!(body, "<g class=\"{class}\">{}</g>", arm(&axis, values, ci, y, many));
    }
    let digits = decimals((axis.high - axis.low) / 2.0);
    for value in [axis.low, axis.high] {
        let _ = write!(body, "<text x=\"{}\" y=\"55\">{}</text>", axis.x(value), number(value, digits));
    }
    Some(format!("<svg class=\"runs\" aria-hidden=\"true\" viewBox=\"0 0 {WIDTH} 58\">{body}</svg>"))
}

fn arm(axis: &Axis, values: &[f64], ci: Option<[f64; 2]>, y: f64, many: bool) -> String {
    let mut out = String::new();
    if many {
        let span = |from: f64, to: f64| {
            format!("M{} {y}H{}", axis.x(quantile(values, from)), axis.x(quantile(values, to)))
        };
        let _ = write!(
            out,
            "<path class=\"most\" d=\"{}\"/><path class=\"half\" d=\"{}\"/>",
            span(0.05, 0.95),
            span(0.25, 0.75)
        );
    } else {
        if let Some([low, high]) = ci {
            let _ = write!(out, "<path class=\"ci\" d=\"M{} {y}H{}\"/>", axis.x(low), axis.x(high));
        }
        let dots: String = values.iter().map(|value| format!("M{} {y}h0", axis.x(*value))).collect();
        let _ = write!(out, "<path class=\"dot\" d=\"{dots}\"/>");
    }
    if let Some(mean) = mean(values) {
        let _ = write!(out, "<path class=\"mean\" d=\"M{} {}v12\"/>", axis.x(mean), y - 6.0);
    }
    out
}

/// Quantile by linear interpolation between the sorted values; of nothing, not a number, which no axis holds.
fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = q * sorted.len().saturating_sub(1) as f64;
    let (low, high) = (sorted.get(place.floor() as usize), sorted.get(place.ceil() as usize));
    match (low, high) {
        (Some(low), Some(high)) => low + (high - low) * place.fract(),
        _ => f64::NAN,
    }
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// A drawing that speaks; `spoken` is said instead of it.
fn svg(class: &str, height: f64, spoken: &str, body: &str) -> String {
    let spoken = escape(spoken);
    format!(
        "<svg class=\"{class}\" role=\"img\" aria-label=\"{spoken}\" viewBox=\"0 0 {WIDTH} {height}\">{body}</svg>"
    )
}

#[cfg(test)]
mod tests {
    use super::super::input::{Declared, Difference};
    use super::*;

    fn part(a: &[f64], b: &[f64], difference: Option<(f64, [f64; 2])>) -> Part {
        Part {
            part: Declared { id: "P<1>".into(), setting: "s".into(), a: "a".into(), b: "b".into() },
            a: a.to_vec(),
            b: b.to_vec(),
            difference: difference.map(|(mean, ci95)| Difference { mean, ci95 }),
            verdict: "opposite".into(),
            ..Part::default()
        }
    }

    #[test]
    fn a_difference_lies_between_its_ends_and_the_line() {
        let claim = Claim { metric: "f1".into(), margin: Some(0.02), ..Claim::default() };
        let drawing = differences(&claim, &[part(&[1.0], &[1.0], Some((-0.1, [-0.2, 0.0])))]).unwrap();
        // −0.2 is the left end, 0 the right one: the mean is in the middle, the margin a tenth from the right.
        assert!(drawing.contains("M16 8.5H224\"/><path class=\"dot\" d=\"M120 8.5h0"), "{drawing}");
        assert!(drawing.contains("<path class=\"mark\" d=\"M203 0V17\"/>"), "{drawing}");
        assert!(drawing.contains("P&lt;1&gt;: −0.10 [−0.20, 0.00] opposite"), "{drawing}");
    }

    #[test]
    fn what_was_not_run_is_not_drawn() {
        let claim = Claim::default();
        assert_eq!(differences(&claim, &[]), None);
        assert_eq!(differences(&claim, &[part(&[], &[], None)]), None);
        assert_eq!(runs(&part(&[], &[], None)), None);
        assert!(
            runs(&part(&[0.5], &[], None))
                .unwrap()
                .contains("<g class=\"b\"><path class=\"dot\" d=\"\"/></g>")
        );
    }

    #[test]
    fn equal_numbers_and_no_numbers_draw_without_dividing_by_nothing() {
        let claim = Claim::default();
        let flat = differences(&claim, &[part(&[1.0], &[1.0], Some((0.0, [0.0, 0.0])))]).unwrap();
        assert!(!flat.contains("NaN") && !flat.contains("inf"), "{flat}");
        let equal = runs(&part(&[1.0, 1.0], &[1.0, 1.0], None)).unwrap();
        assert!(!equal.contains("NaN") && !equal.contains("inf"), "{equal}");
    }

    #[test]
    fn very_unequal_intervals_get_scales_of_their_own() {
        let claim = Claim::default();
        let parts = [
            part(&[1.0], &[0.0], Some((1.0, [0.5, 1.5]))),
            part(&[1.0], &[0.0], Some((0.01, [0.005, 0.015]))),
        ];
        let drawing = differences(&claim, &parts).unwrap();
        assert!(drawing.contains("each line to its own scale"));
        assert_eq!(drawing.matches("M154.5 ").count(), 2, "{drawing}");
    }

    #[test]
    fn many_runs_are_summed_up() {
        let values: Vec<f64> = (0..=100).map(f64::from).collect();
        let drawing = runs(&part(&values, &values, None)).unwrap();
        assert!(drawing.contains("class=\"half\"") && !drawing.contains("class=\"dot\""));
        assert_eq!(quantile(&values, 0.25), 25.0);
        assert_eq!(quantile(&[1.0, 2.0], 0.5), 1.5);
    }
}
