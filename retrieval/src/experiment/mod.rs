//! The experiment: encoders are trained and asked as jobs, claims are judged, the report is written.

pub mod design;
mod generated;
mod lab;
mod measure;
mod pretrained;
mod report;
mod study;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use common::outcome::Outcome;
use cpu_time::ProcessTime;
use tch::Device;

use crate::training::config::TrainConfig;
use design::{Amount, Job, Preset, Study};
pub use generated::generate;
use lab::Lab;
pub use report::{Finished, report};

/// nDCG@10 on JaQuAD's development questions after training `config` with each of `seeds` at the amounts of a preset: what
/// the learning rates of [`design`] were chosen by.
///
/// # Errors
/// Missing data, training that diverges.
pub fn development_quality(
    root: &Path,
    preset: Preset,
    configs: &[TrainConfig],
    seeds: &[u64],
    device: Device,
    mut see: impl FnMut(usize, u64, f64),
) -> Result<()> {
    let lab = Lab::new(root, Amount::of(preset))?;
    for (place, config) in configs.iter().enumerate() {
        for &seed in seeds {
            see(place, seed, study::development(&lab, preset, config, seed, device)?);
        }
    }
    Ok(())
}

/// Data sets that every preset reads.
pub const DATA_SETS: [&str; 3] = ["jaquad", "jsquad", "xquad-en"];

/// Name of the data set of the pretrained encoder, when it is there.
pub const ENCODER: &str = "all-minilm-l6-v2";

/// Where an experiment finds things.
#[derive(Clone, Debug)]
pub struct Places {
    /// Data root.
    pub root: PathBuf,
    /// Folder of a pretrained encoder.
    pub encoder: Option<PathBuf>,
    /// Where libtorch computes.
    pub device: Device,
    /// Seeds of the run; what one picture needs is taken from the first.
    pub seeds: Vec<u64>,
}

impl Places {
    /// The data below `root`, with the encoder that was typed, else the one below `root`.
    pub fn find(root: &Path, typed: Option<&Path>, device: Device) -> Self {
        let encoder =
            typed.map(Path::to_owned).or_else(|| Some(common::data::locate(root, ENCODER).ok()?.folder));
        Self { root: root.to_owned(), encoder, device, seeds: Vec::new() }
    }
}

/// Carries out jobs of one preset; the texts are prepared at the first.
#[derive(Default)]
pub struct Worker(Option<(Preset, Lab)>);

impl std::fmt::Debug for Worker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Worker").field("prepared", &self.0.is_some()).finish()
    }
}

impl Worker {
    /// Carries out one job.
    ///
    /// # Errors
    /// Missing data, training that diverges.
    pub fn carry_out(&mut self, job: &Job, places: &Places) -> Result<Outcome> {
        let Places { root, encoder, device, seeds } = places;
        let (started, processor) = (Instant::now(), ProcessTime::now());
        if self.0.as_ref().is_none_or(|(preset, _)| *preset != job.preset) {
            self.0 = Some((job.preset, Lab::new(root, Amount::of(job.preset))?));
        }
        let (_, lab) = self.0.as_ref().expect("prepared just now");
        let mut outcome = match job.study {
            Study::Train { arm, seed } => {
                study::trained(lab, job.preset, arm, (seed, seeds.first() == Some(&seed)), *device)?
            }
            Study::Floor => study::floor(lab),
            Study::Pretrained => {
                let encoder = encoder.as_deref().context("no pretrained encoder was given")?;
                pretrained::study(&lab.xquad, encoder, *device)?
            }
        };
        outcome.wall_s = started.elapsed().as_secs_f64();
        outcome.cpu_s = processor.elapsed().as_secs_f64();
        Ok(outcome)
    }
}
