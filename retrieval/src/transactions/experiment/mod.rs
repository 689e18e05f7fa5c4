//! The experiment: encoders are trained and asked as jobs, claims are judged, the report is written.

pub mod design;
mod drawings;
mod floors;
mod generated;
mod lab;
mod measure;
mod report;
mod speed;
mod study;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use common::outcome::Outcome;
use cpu_time::ProcessTime;
use tch::Device;

use design::{Amount, Data, Job, Preset, Study};
use lab::Lab;
pub use report::{Finished, report};

/// Data sets that the presets read.
pub const DATA_SETS: [&str; 1] = ["birmingham-pcard"];

/// Carries out jobs; the transactions are prepared at the first that needs them.
#[derive(Default)]
pub struct Worker(HashMap<(Data, usize, usize), Lab>);

impl std::fmt::Debug for Worker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Worker").field("prepared", &self.0.len()).finish()
    }
}

impl Worker {
    /// Carries out one job of a run with these seeds on the data below `root`. Without the public data (`generated`), the
    /// generated ledger stands in.
    ///
    /// # Errors
    /// Missing data, training that diverges.
    pub fn carry_out(
        &mut self,
        (job, seeds): (&Job, &[u64]),
        root: &Path,
        generated: bool,
        device: Device,
    ) -> Result<Outcome> {
        let (started, processor) = (Instant::now(), ProcessTime::now());
        let amount = Amount::of(job.preset);
        let (data, stride) = match job.study {
            Study::Whole { .. } => (Data::Pcard, amount.whole_stride),
            Study::Train { data: Data::Pcard, .. } | Study::Floors { data: Data::Pcard } => {
                (Data::Pcard, amount.stride)
            }
            Study::Train { .. } | Study::Floors { .. } | Study::Speed => (Data::Ledger, 1),
        };
        let (source, stride) = if generated { (Data::Ledger, 1) } else { (data, stride) };
        let key = (source, stride, amount.generated);
        let lab = match self.0.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(Lab::new(source, root, stride, amount.generated)?),
        };
        let lab: &Lab = lab;
        let first = |seed: u64| seeds.first() == Some(&seed);
        let mut outcome = match job.study {
            Study::Train { data, arm, seed } => {
                study::trained(lab, amount, (data, arm, seed), first(seed), device)?
            }
            Study::Whole { seed } => study::whole(lab, amount, seed, first(seed), device)?,
            Study::Floors { data } => floors::floors(lab, data, seeds.len()),
            Study::Speed => speed::speed(lab, amount, device)?,
        };
        outcome.wall_s = started.elapsed().as_secs_f64();
        outcome.cpu_s = processor.elapsed().as_secs_f64();
        Ok(outcome)
    }
}

/// Whether a preset may go on without the public data.
pub fn may_generate(preset: Preset) -> bool {
    preset == Preset::Quick
}
