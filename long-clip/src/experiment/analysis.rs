//! From outcomes to learning rates, differences and verdicts.

use std::collections::BTreeMap;

use common::claims::{self, Declared, JudgedClaim, Part};
use common::outcome::{Outcome, Values};
use common::stats;

use super::arm::BASE;
use super::design::{Chosen, Design, Job, Preset, Work};
use super::measure::{EFFECTIVE, GAIN, SHARE};

/// A finished run of the experiment.
pub struct Finished {
    /// What was planned.
    pub design: Design,
    /// Bases and oracles.
    pub bases: Vec<(Job, Outcome)>,
    /// Runs that chose the learning rates.
    pub candidates: Vec<(Job, Outcome)>,
    /// Learning rates chosen.
    pub chosen: Chosen,
    /// The compared runs.
    pub compared: Vec<(Job, Outcome)>,
    /// All values of bases, oracles and compared runs.
    pub values: Values,
}

/// Measures whose mean on validation scenes chooses a learning rate: long and short retrieval, both ways.
pub(crate) const CHOOSING: [&str; 4] = ["long-t2i", "long-i2t", "short-t2i", "short-i2t"];

/// Mean of the choosing measures of a candidate.
pub(super) fn score(outcome: &Outcome) -> Option<f64> {
    let last = |measured: &&common::outcome::Measured| measured.metric.starts_with("validation@");
    let values: Vec<f64> = CHOOSING
        .iter()
        .filter_map(|name| outcome.measured.iter().filter(last).rfind(|m| m.setting == *name))
        .filter_map(|measured| measured.values.first().copied())
        .collect();
    stats::mean(&values)
}

/// The learning rate with the best mean of the score over the tuning seeds, for each arm; the first of equals.
pub fn choose(candidates: &[(Job, Outcome)]) -> Chosen {
    let mut scores: BTreeMap<String, Vec<(f64, Vec<f64>)>> = BTreeMap::new();
    for (job, outcome) in candidates {
        let (Work::Arm { name, learning_rate }, Some(score)) = (&job.work, score(outcome)) else { continue };
        let rates = scores.entry(name.clone()).or_default();
        match rates.iter_mut().find(|(rate, _)| rate == learning_rate) {
            Some((_, known)) => known.push(score),
            None => rates.push((*learning_rate, vec![score])),
        }
    }
    let best = |rates: Vec<(f64, Vec<f64>)>| {
        let mut best: Option<(f64, f64)> = None;
        for (rate, scores) in rates {
            let mean = stats::mean(&scores)?;
            if best.is_none_or(|(_, known)| mean > known) {
                best = Some((rate, mean));
            }
        }
        best.map(|(rate, _)| rate)
    };
    scores.into_iter().filter_map(|(name, rates)| Some((name, best(rates)?))).collect()
}

/// Claims with verdicts, by the rule of [`claims::judge`].
pub(super) fn judge(declared: &Declared, finished: &Finished) -> Vec<JudgedClaim> {
    let gives_verdicts = finished.design.preset != Preset::Quick;
    let runs = |claim: &claims::Claim, part: &Part| finished.values.paired(claim, part);
    declared
        .claims
        .iter()
        .map(|claim| claims::judge(claim, gives_verdicts, |part| runs(claim, part)))
        .collect()
}

impl Finished {
    /// Shares of hits of an arm, seed by seed.
    pub(super) fn shares(&self, measure: &str, arm: &str) -> &[f64] {
        self.values.of(measure, arm, SHARE)
    }

    /// Differences of two arms in a measure, seed by seed.
    pub(super) fn differences(&self, measure: &str, a: &str, b: &str) -> Vec<f64> {
        let (a, b) = (self.shares(measure, a), self.shares(measure, b));
        if a.len() == b.len() { stats::differences(a, b) } else { Vec::new() }
    }

    /// Recall by length, one curve per seed.
    pub(super) fn curves(&self, setting: &str, arm: &str) -> Vec<Vec<[f64; 2]>> {
        let lengths = &self.design.scale.sets.lengths;
        let of = |length: &usize| self.values.of(setting, arm, &format!("recall@{length}"));
        let seeds = lengths.iter().map(|length| of(length).len()).max().unwrap_or(0);
        let point =
            |seed: usize, length: &usize| of(length).get(seed).map(|recall| [*length as f64, *recall]);
        (0..seeds).map(|seed| lengths.iter().filter_map(|length| point(seed, length)).collect()).collect()
    }

    /// Gains after 20 tokens and effective lengths.
    pub(super) fn of_curve(&self, setting: &str, arm: &str) -> (&[f64], &[f64]) {
        (self.values.of(setting, arm, GAIN), self.values.of(setting, arm, EFFECTIVE))
    }

    /// The base, its variants with other tails, and the arms.
    pub(super) fn arms(&self) -> Vec<String> {
        let mut names = vec![BASE.to_owned()];
        names.extend(self.design.arms.iter().cloned());
        names
    }

    /// Bases by their share of long captions, growing.
    pub(super) fn tails(&self) -> Vec<(f64, String)> {
        let mut tails: Vec<(f64, String)> = self
            .design
            .other_tails
            .iter()
            .map(|tail| (*tail, format!("{BASE}-tail-{tail}")))
            .chain([(self.design.tail, BASE.to_owned())])
            .collect();
        tails.sort_by(|a, b| a.0.total_cmp(&b.0));
        tails
    }

    /// Validation measures of an arm while it trained: median over seeds by step, one line per seed.
    pub(super) fn looks(&self, measure: &str, arm: &str) -> Vec<Vec<[f64; 2]>> {
        let of_arm = |(job, _): &&(Job, Outcome)| matches!(&job.work, Work::Arm { name, .. } if name == arm);
        let line = |(_, outcome): &(Job, Outcome)| {
            let point = |measured: &common::outcome::Measured| {
                let step = measured.metric.strip_prefix("validation@")?.parse::<f64>().ok()?;
                (measured.setting == measure).then(|| measured.values.first().map(|value| [step, *value]))?
            };
            outcome.measured.iter().filter_map(point).collect()
        };
        self.compared.iter().filter(of_arm).map(line).collect()
    }
}
