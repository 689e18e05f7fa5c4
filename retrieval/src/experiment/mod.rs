//! The experiment: encoders are trained and asked as jobs, claims are judged, the report is written.

pub mod design;
mod generated;
mod lab;
mod measure;
mod report;
mod study;

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use common::outcome::Outcome;
use cpu_time::ProcessTime;
use tch::Device;

use design::{Job, Preset, Study};
pub use generated::generate;
use lab::Lab;
pub use report::{Circumstances, Finished, report};

/// Data sets that every preset reads.
pub const DATA_SETS: [&str; 3] = ["jaquad", "jsquad", "xquad-en"];

/// Carries out jobs of one preset; the texts are prepared at the first.
#[derive(Default)]
pub struct Worker(Option<(Preset, Lab)>);

impl std::fmt::Debug for Worker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Worker").field("prepared", &self.0.is_some()).finish()
    }
}

impl Worker {
    /// Carries out one job on the data below `root`.
    ///
    /// # Errors
    /// Missing data, training that diverges.
    pub fn carry_out(&mut self, job: &Job, root: &Path, device: Device) -> Result<Outcome> {
        let (started, processor) = (Instant::now(), ProcessTime::now());
        if self.0.as_ref().is_none_or(|(preset, _)| *preset != job.preset) {
            self.0 = Some((job.preset, Lab::new(root, job.preset.amount())?));
        }
        let (_, lab) = self.0.as_ref().expect("prepared just now");
        let mut outcome = match job.study {
            Study::Train { arm, seed } => study::trained(lab, job.preset, arm, seed, device)?,
            Study::Floor => study::floor(lab),
        };
        outcome.wall_s = started.elapsed().as_secs_f64();
        outcome.cpu_s = processor.elapsed().as_secs_f64();
        Ok(outcome)
    }
}
