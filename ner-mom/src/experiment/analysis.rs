//! From outcomes to chosen settings and judged claims.

use std::collections::BTreeMap;

use common::claims::{self, Declared, JudgedClaim, Part};
use common::stats;

use super::design::{Chosen, Design, Job, Preset};
use super::outcome::{Outcome, TestScores};

/// All runs of a design.
#[derive(Debug)]
pub struct Finished {
    /// What was planned.
    pub design: Design,
    /// Candidates on development data, with their jobs.
    pub candidates: Vec<(Job, Outcome)>,
    /// Losses chosen from them.
    pub chosen: Chosen,
    /// Compared runs, with their jobs.
    pub compared: Vec<(Job, Outcome)>,
}

/// Loss with the best development F1 for each setting and tuned arm; the first of equals.
pub fn choose<'a>(candidates: impl Iterator<Item = (&'a Job, &'a Outcome)>) -> Chosen {
    let mut best: BTreeMap<(String, String), (f64, &Job)> = BTreeMap::new();
    for (job, outcome) in candidates {
        let key = (job.setting.clone(), job.arm.clone());
        if best.get(&key).is_none_or(|(f1, _)| outcome.dev_micro_f1 > *f1) {
            best.insert(key, (outcome.dev_micro_f1, job));
        }
    }
    best.into_iter().map(|(key, (_, job))| (key, job.config.loss.clone())).collect()
}

/// Claims with verdicts, by the rule of [`claims::judge`].
pub fn judge(declared: &Declared, finished: &Finished) -> Vec<JudgedClaim> {
    let gives_verdicts = finished.design.preset != Preset::Quick;
    let judged = |claim: &claims::Claim| {
        claims::judge(claim, gives_verdicts, |part| finished.values(&claim.metric, part))
    };
    declared.claims.iter().map(judged).collect()
}

impl Finished {
    /// Test scores of one arm in one setting, by seed; empty when it was not run.
    pub fn scores(&self, setting: &str, arm: &str) -> Vec<&TestScores> {
        let runs = self.compared.iter().filter(|(job, _)| job.setting == setting && job.arm == arm);
        let mut runs: Vec<_> = runs.map(|(job, outcome)| (job.seed, outcome.scores())).collect();
        runs.sort_by_key(|(seed, _)| *seed);
        runs.into_iter().map(|(_, scores)| scores).collect()
    }

    /// A metric of one arm in one setting, by seed.
    pub fn metric(&self, setting: &str, arm: &str, name: &str) -> Vec<f64> {
        self.scores(setting, arm).iter().filter_map(|scores| scores.metric(name)).collect()
    }

    /// Settings that were run, in the order of the design, and their arms.
    pub fn settings(&self) -> Vec<(String, Vec<String>)> {
        let mut settings: Vec<(String, Vec<String>)> = Vec::new();
        for (job, _) in &self.compared {
            let place = settings.iter().position(|(name, _)| *name == job.setting).unwrap_or_else(|| {
                settings.push((job.setting.clone(), Vec::new()));
                settings.len() - 1
            });
            if !settings[place].1.contains(&job.arm) {
                settings[place].1.push(job.arm.clone());
            }
        }
        settings
    }

    /// Gain in micro-F1 by seed of MoM over a base arm.
    pub fn gains(&self, setting: &str, mom: &str, base: &str) -> Vec<f64> {
        let of = |arm: &str| self.metric(setting, arm, "micro_f1");
        stats::differences(&of(mom), &of(base))
    }

    /// Values of both sides of a claim's part by seed; `None` where this design has no such runs.
    fn values(&self, metric: &str, part: &Part) -> Option<(Vec<f64>, Vec<f64>)> {
        let setting = &part.setting;
        let (a, b) = match metric {
            "error_reduction" => {
                let (mom, ce) = (self.scores(setting, "mom"), self.scores(setting, "ce"));
                let fall = |rate: fn(&super::outcome::ErrorSplit) -> f64| {
                    ce.iter()
                        .zip(&mom)
                        .map(|(ce, mom)| rate(&ce.errors) - rate(&mom.errors))
                        .collect::<Vec<f64>>()
                };
                (fall(|errors| errors.border_rate()), fall(|errors| errors.kind_rate()))
            }
            "mom_gain_micro_f1" => {
                let gain = |arm: &str| self.gains(setting, &format!("{arm}+mom"), arm);
                (gain(&part.a), gain(&part.b))
            }
            name => (self.metric(setting, &part.a, name), self.metric(setting, &part.b, name)),
        };
        (!a.is_empty() && a.len() == b.len()).then_some((a, b))
    }
}
