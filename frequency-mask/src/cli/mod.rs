//! What was typed, and how it becomes library types.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command talks to its user")]

mod detect;
mod evaluate;
mod masks;
mod reproduce;
mod spectra;
mod train;

use std::io;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use common::cli::reports::{self, CompareArguments, ReportArguments};
use common::nn::gemm;

const EXAMPLES: &str = "\
Examples:
  frequency-mask mask photo.jpg --out masked --band mid --ratio 0.15 --spectra
  frequency-mask mask photo.jpg --out masked --mode compat
  frequency-mask train training --network small-resnet --crop 64 --short-side 0 --out detector
  frequency-mask detect pictures --model detector > scores.csv
  find . -name '*.png' | frequency-mask detect - --model detector --format jsonl --out scores.jsonl --resume
  frequency-mask evaluate test --model detector
  frequency-mask spectrum 0_real 1_fake --out spectra
  frequency-mask reproduce --preset quick";

/// Frequency masking for detectors of generated images, on your own images, and the re-test of its paper's claims.
#[derive(Debug, Parser)]
#[command(name = "frequency-mask", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Mask pictures: frequencies, pixels or patches
    Mask(masks::Arguments),
    /// Learn a detector of generated pictures from labelled folders
    Train(Box<train::Arguments>),
    /// Score pictures: the probability that each was generated
    Detect(detect::Arguments),
    /// Average spectra of real and generated pictures, and their difference
    Spectrum(spectra::Arguments),
    /// Average precision, accuracy and area under the curve for each generator
    Evaluate(evaluate::Arguments),
    /// Re-test the paper's claims with generators and detectors trained here, and write the report
    Reproduce(reproduce::Arguments),
    /// Render a report.json again as Markdown and HTML
    Report(ReportArguments),
    /// Compare the claims of two or more reports
    Compare(CompareArguments),
    #[command(hide = true)]
    Worker(reproduce::WorkerArguments),
}

/// Carries out what was typed.
///
/// # Errors
/// Bad input, unreadable or unwritable files, impossible settings: one message that says where and how to mend it.
pub fn run(cli: Cli) -> Result<ExitCode> {
    gemm::ordered()?;
    let closed = |error: &anyhow::Error| {
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    match carry_out(cli.verb) {
        // A reader such as `head` that closes the pipe has what it wants.
        Err(error) if closed(&error) => Ok(ExitCode::SUCCESS),
        other => other,
    }
}

fn carry_out(verb: Verb) -> Result<ExitCode> {
    let done = |()| ExitCode::SUCCESS;
    match verb {
        Verb::Mask(arguments) => masks::run(&arguments),
        Verb::Train(arguments) => train::run(&arguments),
        Verb::Detect(arguments) => detect::run(&arguments),
        Verb::Spectrum(arguments) => spectra::run(&arguments),
        Verb::Evaluate(arguments) => evaluate::run(&arguments),
        Verb::Reproduce(arguments) => reproduce::run(&arguments),
        Verb::Report(arguments) => reports::report(&arguments).map(done),
        Verb::Compare(arguments) => reports::compare(&arguments).map(done),
        Verb::Worker(arguments) => reproduce::work(&arguments).map(done),
    }
}
