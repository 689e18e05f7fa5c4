//! The experiment: studies are carried out as jobs, claims are judged, the report is written.

pub mod design;
mod figures;
mod generated;
mod lab;
mod report;
mod study;
mod training_section;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use cpu_time::ProcessTime;
use tch::Device;

use common::outcome::Outcome;
use design::Job;
pub use generated::generate;
pub use lab::{Amount, Subject};
pub use report::{Finished, report};

/// Data sets that every preset reads.
pub const DATA_SETS: [&str; 5] =
    ["shakespeare-llama-256", "tinyshakespeare", "stories260k", "tinystories-sample", study::PHOTOGRAPHS];

/// Data set of the sentence encoder, read where it is there.
pub const ENCODER: &str = "all-minilm-l6-v2";

/// Data set of the sentences that the encoder reads.
pub const QUESTIONS: &str = study::QUESTIONS;

/// Where jobs find their data.
#[derive(Clone, Debug)]
pub struct Places {
    /// Data root.
    pub root: PathBuf,
    /// Folder of a sentence encoder in Hugging Face's layout.
    pub encoder: Option<PathBuf>,
    /// Where libtorch computes.
    pub device: Device,
}

impl Places {
    /// The data below `root`, with the encoder that was typed, else the one below `root`. Without the encoder's sentences,
    /// none.
    pub fn find(root: &Path, typed: Option<&Path>, device: Device) -> Self {
        let encoder =
            typed.map(Path::to_owned).or_else(|| Some(common::data::locate(root, ENCODER).ok()?.folder));
        let readable = typed.is_some() || common::data::locate(root, QUESTIONS).is_ok();
        Self { root: root.to_owned(), encoder: encoder.filter(|_| readable), device }
    }
}

/// Carries out one job.
///
/// # Errors
/// Missing data, training that diverges.
pub fn carry_out(job: &Job, places: &Places) -> Result<Outcome> {
    let (started, processor) = (Instant::now(), ProcessTime::now());
    let mut outcome = study::run(job, places)?;
    outcome.wall_s = started.elapsed().as_secs_f64();
    outcome.cpu_s = processor.elapsed().as_secs_f64();
    Ok(outcome)
}
