//! `reproduce`: the experiment, and the hidden `worker` that carries out its jobs.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use common::interrupt;

use crate::experiment::{self, Options, Preset};

/// Options of `reproduce`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How much to train
    #[arg(long, value_enum, default_value = "quick")]
    preset: PresetName,
    /// Folder of the data sets [default: $BENKYOKAI_DATA, or `data` in the workspace]
    #[arg(long)]
    data: Option<PathBuf>,
    /// Go on with an interrupted run directory
    #[arg(long, value_name = "RUN")]
    resume: Option<PathBuf>,
    /// Also copy the finished report here, for publishing
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Worker processes, each with one thread [default: the number of cores, at most 4]
    #[arg(long)]
    workers: Option<usize>,
    /// Stop cleanly after this many minutes; `--resume` goes on
    #[arg(long)]
    max_minutes: Option<f64>,
    /// Number of seeds, from 1 on [default: the preset's]
    #[arg(long)]
    seeds: Option<u64>,
    /// Computing device of the workers: auto, cpu or cuda
    #[arg(long, default_value = "cpu")]
    device: String,
    /// English BERT directory (Hugging Face layout); `full` fine-tunes it instead of training from scratch
    #[arg(long, value_name = "DIRECTORY")]
    bert_en: Option<PathBuf>,
    /// Japanese BERT directory
    #[arg(long, value_name = "DIRECTORY")]
    bert_ja: Option<PathBuf>,
    /// No progress on standard error
    #[arg(long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PresetName {
    /// Two minutes on two cores, indicative only
    Quick,
    /// The verdict preset, at most 45 minutes on two cores
    Cpu,
    /// All data and wide models: for a GPU
    Full,
}
