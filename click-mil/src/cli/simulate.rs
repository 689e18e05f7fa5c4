//! `simulate-clicks`: clicks from boxes.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use super::source::Annotated;
use crate::formats::clicks;
use crate::simulate::{self, ErrorModel, Instance};

/// Options of `simulate-clicks`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    annotated: Annotated,
    /// File to write: CSV, or JSON where the name ends so
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Clicks per image and class, each by another annotator
    #[arg(long, default_value_t = 1)]
    annotators: u32,
    /// Error per axis as a share of the object's side
    #[arg(long, default_value_t = 0.09)]
    error: f64,
    /// Error on the smallest object, in pixels
    #[arg(long, default_value_t = 1.0)]
    least_error: f64,
    /// Share of clicks that are anywhere in the box
    #[arg(long, default_value_t = 0.0)]
    outliers: f64,
    /// Which of several objects of a class is clicked
    #[arg(long, value_enum, default_value = "uniform")]
    instance: InstanceName,
    /// Seed of the errors
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum InstanceName {
    /// Each as likely
    Uniform,
    /// Likely as its area is large
    ByArea,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let Arguments { error, least_error, outliers, .. } = *arguments;
    if ![error, least_error, outliers].iter().all(|value| value.is_finite() && *value >= 0.0)
        || outliers > 1.0
    {
        bail!(
            "errors {error} and {least_error}, outliers {outliers}; expected numbers of 0 or more, outliers at most 1"
        );
    }
    let read = arguments.annotated.read()?;
    let model = ErrorModel { relative: error, least_px: least_error, outliers };
    let instance = match arguments.instance {
        InstanceName::Uniform => Instance::Uniform,
        InstanceName::ByArea => Instance::ByArea,
    };
    let clicks = simulate::clicks(read.dataset(), &model, instance, arguments.annotators, arguments.seed);
    clicks::write(&arguments.out, &clicks)?;
    eprintln!("{} clicks on {} images", clicks.len(), read.dataset().pictures.len());
    Ok(ExitCode::SUCCESS)
}
