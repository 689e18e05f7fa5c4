//! The experiment: studies are carried out as jobs, claims are judged, the report is written.

pub mod design;
mod generated;
mod lab;
pub mod outcome;
mod report;
mod study;
mod training_section;

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use cpu_time::ProcessTime;

use design::Job;
pub use generated::generate;
pub use lab::{Amount, Subject};
use outcome::Outcome;
pub use report::{Circumstances, Finished, report};

/// Data sets that every preset reads.
pub const DATA_SETS: [&str; 5] =
    ["shakespeare-llama-256", "tinyshakespeare", "stories260k", "tinystories-sample", study::PHOTOGRAPHS];

/// Carries out one job on the data below `root`.
///
/// # Errors
/// Missing data, training that diverges.
pub fn carry_out(job: &Job, root: &Path) -> Result<Outcome> {
    let (started, processor) = (Instant::now(), ProcessTime::now());
    let mut outcome = study::run(job, root)?;
    outcome.wall_s = started.elapsed().as_secs_f64();
    outcome.cpu_s = processor.elapsed().as_secs_f64();
    Ok(outcome)
}
