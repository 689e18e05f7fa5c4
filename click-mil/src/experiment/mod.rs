//! The experiment: windows from labels, clicks and boxes, detectors trained from them, claims judged.

pub mod arms;
pub mod design;
mod detectors;
mod figures;
mod pictures;
mod report;
pub mod stand_in;
mod statistics;
mod tables;
mod windows;
pub mod work;
mod world;

use common::claims::{self, Declared, JudgedClaim, Part};
use common::outcome::{Outcome, Values};

use design::{Design, Job, Preset};

pub use report::report;

/// All runs of a design.
pub struct Finished {
    /// What was planned.
    pub design: Design,
    /// Proposals and features.
    pub described: Vec<(Job, Outcome)>,
    /// Windows and detectors.
    pub learned: Vec<(Job, Outcome)>,
    /// Values by click seed: means over its fold seeds.
    pub values: Values,
}

impl Finished {
    /// The runs of both phases.
    pub fn new(design: Design, described: Vec<(Job, Outcome)>, learned: Vec<(Job, Outcome)>) -> Self {
        let mut units = statistics::by_click_seed(&design, &learned);
        let derived = statistics::derived(&Values::collect(units.iter()), &design);
        units.push(derived);
        let values = Values::collect(units.iter());
        Self { design, described, learned, values }
    }

    /// Number of images of each class of a set, in which windows are chosen.
    fn images_by_class(&self, set: &str) -> Vec<usize> {
        let own = |(job, _): &&(Job, Outcome)| job.work == design::Work::Learn && job.set.name == set;
        let measured = self.learned.iter().filter(own).flat_map(|(_, outcome)| &outcome.measured);
        let images = measured.into_iter().find(|measured| measured.metric == "images_by_class");
        images.map_or(Vec::new(), |images| images.values.iter().map(|n| *n as usize).collect())
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
