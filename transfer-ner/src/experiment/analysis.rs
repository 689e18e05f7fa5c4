//! From outcomes to the chosen ε, judged claims, and where two curves cross.

use std::collections::BTreeMap;

use common::claims::{self, Declared, JudgedClaim, Part};
use common::outcome::{Outcome, Values};
use common::{seed, stats};
use rand::Rng;

use super::design::{Chosen, Design, Job, Preset};
use super::pair::Pair;

/// Resamples behind the interval of a crossing. Ours.
const RESAMPLES: usize = 2000;

/// All runs of a design.
#[derive(Debug)]
pub struct Finished {
    /// What was planned.
    pub design: Design,
    /// Candidates on development data, with their jobs.
    pub candidates: Vec<(Job, Outcome)>,
    /// ε chosen from them.
    pub chosen: Chosen,
    /// Compared runs, with their jobs.
    pub compared: Vec<(Job, Outcome)>,
    /// Their values.
    pub values: Values,
}

/// ε with the best mean development F1 for each pair and arm; the first of equals.
pub fn choose(candidates: &[(Job, Outcome)]) -> Chosen {
    let values = Values::collect(candidates.iter().map(|(_, outcome)| outcome));
    let mut best: BTreeMap<(Pair, String), (f64, f64)> = BTreeMap::new();
    for (job, _) in candidates {
        let Some((arm, epsilon)) = job.arm.split_once('@') else { continue };
        let Ok(epsilon) = epsilon.parse::<f64>() else { continue };
        let Some(mean) = stats::mean(values.of(&job.setting, &job.arm, "dev_f1")) else { continue };
        let entry = best.entry((job.pair, arm.to_owned())).or_insert((mean, epsilon));
        if mean > entry.0 {
            *entry = (mean, epsilon);
        }
    }
    best.into_iter().map(|(key, (_, epsilon))| (key, epsilon)).collect()
}

/// Claims with verdicts, by the rule of [`claims::judge`].
pub(super) fn judge(declared: &Declared, finished: &Finished) -> Vec<JudgedClaim> {
    let gives_verdicts = finished.design.preset != Preset::Quick;
    let judged = |claim: &claims::Claim| {
        claims::judge(claim, gives_verdicts, |part| finished.runs(&claim.metric, part))
    };
    declared.claims.iter().map(judged).collect()
}

/// Where layout P overtakes layout F over target sizes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Crossing {
    /// Mean difference F − P at each size.
    pub differences: Vec<(usize, f64)>,
    /// Target sentences at the crossing of the means, interpolated over log n; `None` where they do not cross.
    pub at: Option<f64>,
    /// Share of the resamples in which they cross.
    pub share: f64,
    /// Interval of the crossing, 2.5 % to 97.5 % of the resamples that have one.
    pub interval: Option<[f64; 2]>,
}

impl Finished {
    /// Test F1 of one arm in one setting, run by run.
    pub(super) fn f1(&self, setting: &str, arm: &str) -> &[f64] {
        self.values.of(setting, arm, "micro_f1")
    }

    /// Means over the samples of each seed.
    fn by_seed(&self, values: &[f64]) -> Vec<f64> {
        let per_seed = values.len() / self.design.seeds.len().max(1);
        if per_seed == 0 {
            return Vec::new();
        }
        values.chunks(per_seed).filter_map(stats::mean).collect()
    }

    /// Values of both sides of a claim's part; `None` where this design has no such runs.
    fn runs(&self, metric: &str, part: &Part) -> Option<(Vec<f64>, Vec<f64>)> {
        let (a, b) = match metric {
            "gain_at_50_and_1000" => {
                let gain = |size: &str| {
                    let setting = format!("{}-{size}", part.setting);
                    stats::differences(
                        &self.by_seed(self.f1(&setting, "f")),
                        &self.by_seed(self.f1(&setting, "base")),
                    )
                };
                (gain(&part.a), gain(&part.b))
            }
            "encoder_and_words" => (
                self.f1(&with_encoder(&part.setting), &part.a).to_vec(),
                self.f1(&part.setting, &part.b).to_vec(),
            ),
            "selection" => {
                let of = |metric: &str| self.values.of(&part.setting, "f", metric).to_vec();
                (of("best_test_f1"), of("micro_f1"))
            }
            _ => (self.f1(&part.setting, &part.a).to_vec(), self.f1(&part.setting, &part.b).to_vec()),
        };
        (!a.is_empty() && a.len() == b.len()).then_some((a, b))
    }

    /// Sizes of a pair at which an arm was run, growing.
    pub(super) fn sizes(&self, pair: Pair, arm: &str) -> Vec<usize> {
        let mut sizes: Vec<usize> = self
            .design
            .settings
            .iter()
            .filter(|setting| {
                setting.pair == pair && setting.n > 0 && setting.arms.iter().any(|own| own == arm)
            })
            .map(|setting| setting.n)
            .collect();
        sizes.sort_unstable();
        sizes
    }

    /// Where P overtakes F on a pair; `None` with fewer than two sizes.
    pub(super) fn crossing(&self, pair: Pair, f: &str, p: &str) -> Option<Crossing> {
        let sizes = self.sizes(pair, p);
        let runs: Vec<(usize, Vec<f64>)> = sizes
            .into_iter()
            .map(|n| {
                let setting = format!("{}-{n}", pair.name());
                (n, stats::differences(self.f1(&setting, f), self.f1(&setting, p)))
            })
            .filter(|(_, differences)| !differences.is_empty())
            .collect();
        if runs.len() < 2 {
            return None;
        }
        let means = |pick: &mut dyn FnMut(&[f64]) -> f64| -> Vec<(usize, f64)> {
            runs.iter().map(|(n, differences)| (*n, pick(differences))).collect()
        };
        let differences = means(&mut |values| stats::mean(values).unwrap_or_default());
        let mut rng = seed::rng(0, "crossing", 0);
        let mut found: Vec<f64> = (0..RESAMPLES)
            .filter_map(|_| {
                crosses(&means(&mut |values| {
                    let sum: f64 = values.iter().map(|_| values[rng.random_range(0..values.len())]).sum();
                    sum / values.len() as f64
                }))
            })
            .collect();
        found.sort_by(f64::total_cmp);
        let quantile = |q: f64| found[((found.len() - 1) as f64 * q).round() as usize];
        let interval = (!found.is_empty()).then(|| [quantile(0.025), quantile(0.975)]);
        let at = crosses(&differences);
        Some(Crossing { at, share: found.len() as f64 / RESAMPLES as f64, interval, differences })
    }
}

/// The setting whose words the pre-trained encoder reads, of the one with words of its own.
pub(super) fn with_encoder(setting: &str) -> String {
    setting.replacen('-', "+minilm-", 1)
}

/// The first size at which a difference that was positive becomes negative, interpolated over log n.
fn crosses(differences: &[(usize, f64)]) -> Option<f64> {
    differences.windows(2).find(|pair| pair[0].1 > 0.0 && pair[1].1 <= 0.0).map(|pair| {
        let [(n, before), (m, after)] = [pair[0], pair[1]];
        let (low, high) = ((n as f64).ln(), (m as f64).ln());
        (low + (high - low) * before / (before - after)).exp()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_cross_between_the_sizes_where_their_difference_changes_its_sign() {
        let at = crosses(&[(50, 0.02), (200, -0.02), (1000, -0.01)]).unwrap();
        assert!((at - 100.0).abs() < 1e-9, "{at}");
        assert_eq!(crosses(&[(50, -0.02), (200, -0.01)]), None);
        assert_eq!(crosses(&[(50, 0.02), (200, 0.01)]), None);
    }
}
