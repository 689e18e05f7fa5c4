//! From runs to units of replication: one value per click seed, and what follows from several arms.

use common::outcome::{Outcome, Values};
use common::{seed, stats};
use rand::Rng;

use super::design::{Design, Job, MIX, Work};
use super::detectors::HEAD;

/// Lower end of the paper's factor.
const PAPERS_FACTOR: f64 = 9.0;
/// Resamples behind an interval.
const ROUNDS: usize = 2000;

/// For each click seed the mean over its fold seeds, value by value.
pub(super) fn by_click_seed(design: &Design, learned: &[(Job, Outcome)]) -> Vec<Outcome> {
    let of_seed = |seed: &u64| {
        let own = learned.iter().filter(|(job, _)| job.work == Work::Learn && job.click_seed == *seed);
        let mut unit = Outcome::default();
        let mut counts: Vec<usize> = Vec::new();
        let all = own.flat_map(|(_, outcome)| &outcome.measured);
        // Single images are averaged by the intervals that need them.
        for measured in all.filter(|measured| measured.metric != "overlaps") {
            let same = unit.measured.iter().position(|known| {
                (&known.setting, &known.arm, &known.metric)
                    == (&measured.setting, &measured.arm, &measured.metric)
            });
            match same {
                Some(at) => {
                    let sums = unit.measured[at].values.iter_mut();
                    sums.zip(&measured.values).for_each(|(sum, value)| *sum += value);
                    counts[at] += 1;
                }
                None => {
                    unit.measured.push(measured.clone());
                    counts.push(1);
                }
            }
        }
        for (measured, count) in unit.measured.iter_mut().zip(counts) {
            measured.values.iter_mut().for_each(|value| *value /= count as f64);
        }
        unit
    };
    design.click_seeds.iter().map(of_seed).collect()
}

/// Values that follow from several arms: what objectness adds, and how much longer boxes take.
pub(super) fn derived(values: &Values, design: &Design) -> Outcome {
    let mut outcome = Outcome::default();
    for arm in ["labels", "click-1"] {
        let (with, without) =
            (values.of(MIX, arm, "corloc"), values.of(MIX, &format!("{arm}-objectness"), "corloc"));
        if !with.is_empty() && with.len() == without.len() {
            outcome.put(MIX, arm, "objectness_gain", stats::differences(with, without));
        }
    }
    let setting = format!("{MIX}/{HEAD}");
    for arm in ["click-1", "click-2", "click-2+area"] {
        let ratios: Vec<f64> =
            (0..design.click_seeds.len()).filter_map(|unit| ratio(values, &setting, arm, unit)).collect();
        if ratios.len() == design.click_seeds.len() {
            outcome.put(&setting, arm, "time_ratio", ratios);
        }
    }
    outcome.put(&setting, "nine times", "time_ratio", vec![PAPERS_FACTOR; design.click_seeds.len()]);
    outcome
}

/// Shares of drawn boxes, growing.
pub(super) const DRAWN: [&str; 4] = ["boxes@time-1", "boxes@time-2", "boxes@1/4", "boxes"];

/// Time that drawn boxes take to the average precision of an arm, over the arm's own time. Between two shares the precision is linear
/// in the logarithm of the time; below the first the least time counts, above the last the time of all boxes.
fn ratio(values: &Values, setting: &str, arm: &str, unit: usize) -> Option<f64> {
    let value = |setting: &str, arm: &str, metric: &str| values.of(setting, arm, metric).get(unit).copied();
    let curve: Vec<[f64; 2]> = DRAWN
        .iter()
        .filter_map(|drawn| Some([value(MIX, drawn, "seconds")?, value(setting, drawn, "map_50")?]))
        .collect();
    let (seconds, reached) = (value(MIX, arm, "seconds")?, value(setting, arm, "map_50")?);
    Some(time_to(&curve, reached)? / seconds)
}

/// First time at which a curve of `[seconds, value]` reaches a value.
fn time_to(curve: &[[f64; 2]], value: f64) -> Option<f64> {
    let (first, last) = (curve.first()?, curve.last()?);
    if first[1] >= value {
        return Some(first[0]);
    }
    let crossing = curve.windows(2).find(|pair| pair[1][1] >= value);
    Some(crossing.map_or(last[0], |pair| {
        let share = (value - pair[0][1]) / (pair[1][1] - pair[0][1]);
        (pair[0][0].ln() + share * (pair[1][0].ln() - pair[0][0].ln())).exp()
    }))
}

/// Overlaps of windows by click seed, class and image, as one list per class.
pub(super) struct Hits {
    /// `[click seed][class][image]`: shares of the fold seeds whose window overlaps an object by half.
    by_seed: Vec<Vec<Vec<f64>>>,
}

impl Hits {
    /// Of an arm, whose runs list the images of each class after each other. A run's overlap counts as a hit from one half on.
    pub(super) fn of(
        design: &Design,
        learned: &[(Job, Outcome)],
        set: &str,
        arm: &str,
        images: &[usize],
    ) -> Option<Self> {
        let total: usize = images.iter().sum();
        let mut by_seed = Vec::new();
        for seed in &design.click_seeds {
            let own = learned.iter().filter(|(job, _)| {
                job.work == Work::Learn && job.click_seed == *seed && job.set.name == set && job.arm == arm
            });
            let overlaps: Vec<&Vec<f64>> = own
                .filter_map(|(_, outcome)| {
                    outcome.measured.iter().find(|measured| measured.metric == "overlaps")
                })
                .map(|measured| &measured.values)
                .collect();
            if overlaps.is_empty() || overlaps.iter().any(|values| values.len() != total) {
                return None;
            }
            let share = |at: usize| {
                overlaps.iter().filter(|values| values[at] >= 0.5).count() as f64 / overlaps.len() as f64
            };
            let mut at = 0;
            let of_class = |n: &usize| {
                let hits: Vec<f64> = (at..at + n).map(share).collect();
                at += n;
                hits
            };
            by_seed.push(images.iter().map(of_class).collect());
        }
        Some(Self { by_seed })
    }
}

/// 95 % interval of the difference in CorLoc of two arms when click seeds and, within each class, images are drawn again; both arms
/// get the same draws.
pub(super) fn two_level(a: &Hits, b: &Hits, stream: &str) -> [f64; 2] {
    let mut rng = seed::rng(0, stream, 0);
    let n = a.by_seed.len();
    let classes = a.by_seed[0].len();
    // Difference summed over the drawn seeds, image by image, then images are drawn.
    let mut draws: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let seeds: Vec<usize> = (0..n).map(|_| rng.random_range(0..n)).collect();
            let of_class = |class: usize| {
                let images = a.by_seed[0][class].len();
                let sum: f64 = (0..images)
                    .map(|_| {
                        let image = rng.random_range(0..images);
                        seeds
                            .iter()
                            .map(|&seed| a.by_seed[seed][class][image] - b.by_seed[seed][class][image])
                            .sum::<f64>()
                    })
                    .sum();
                sum / (images * n) as f64
            };
            (0..classes).map(of_class).sum::<f64>() / classes as f64
        })
        .collect();
    draws.sort_by(f64::total_cmp);
    let at = |share: f64| draws[((ROUNDS - 1) as f64 * share).round() as usize];
    [at(0.025), at(0.975)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_a_value_is_between_its_neighbours() {
        let curve = [[10.0, 0.2], [1000.0, 0.4], [2000.0, 0.5]];
        assert_eq!(time_to(&curve, 0.1), Some(10.0));
        assert!((time_to(&curve, 0.3).unwrap() - 100.0).abs() < 1e-9);
        assert_eq!(time_to(&curve, 0.9), Some(2000.0));
        assert_eq!(time_to(&[], 0.9), None);
    }

    #[test]
    fn a_difference_between_images_has_a_wide_interval_and_none_without() {
        let hits = |value: fn(usize) -> f64| Hits { by_seed: vec![vec![(0..40).map(value).collect()]; 3] };
        let (some, all, none) = (hits(|at| f64::from(u8::from(at < 20))), hits(|_| 1.0), hits(|_| 0.0));
        assert_eq!(two_level(&all, &none, "t"), [1.0, 1.0]);
        let [low, high] = two_level(&some, &none, "t");
        assert!((0.25..0.45).contains(&low) && (0.55..0.75).contains(&high), "{low} {high}");
    }
}
