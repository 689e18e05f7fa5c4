//! The experiment: generators are trained and make fakes, detectors are trained with and without masks, claims are judged.

pub mod design;
pub mod photographs;
mod report;
mod tables;
pub mod work;

use common::claims::{self, Declared, JudgedClaim, Part};
use common::outcome::{Outcome, Values};

use design::{Design, Job, Preset};

pub use report::report;

/// All runs of a design.
pub struct Finished {
    /// What was planned.
    pub design: Design,
    /// Generators.
    pub made: Vec<(Job, Outcome)>,
    /// Detectors.
    pub detected: Vec<(Job, Outcome)>,
    /// Their values.
    pub values: Values,
}

impl Finished {
    /// The runs of both phases.
    pub fn new(design: Design, made: Vec<(Job, Outcome)>, detected: Vec<(Job, Outcome)>) -> Self {
        let values = Values::collect(made.iter().chain(&detected).map(|(_, outcome)| outcome));
        Self { design, made, detected, values }
    }

    /// Claims with verdicts.
    fn judge(&self, declared: &Declared) -> Vec<JudgedClaim> {
        let gives_verdicts = self.design.preset != Preset::Quick;
        let judged = |claim: &claims::Claim| {
            claims::judge(claim, gives_verdicts, |part: &Part| self.values.paired(claim, part))
        };
        declared.claims.iter().map(judged).collect()
    }
}
