//! What was typed, and how it becomes library types.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command talks to its user")]

mod annotate;
mod detect;
mod evaluate;
mod propose;
mod reproduce;
mod simulate;
mod source;
mod train;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use common::cli::reports::{self, CompareArguments, ReportArguments};
use common::nn::gemm;

const EXAMPLES: &str = "\
Examples:
  click-mil propose photographs/ --top 100 > proposals.jsonl
  click-mil annotate photographs/ --classes cat,dog --out clicks.csv
  click-mil simulate-clicks --voc VOC2007 --split trainval --out clicks.csv
  click-mil train --voc VOC2007 --split trainval --clicks clicks.csv --network squeezenet1_1.safetensors --out detector
  click-mil detect --model detector photographs/ > detections.jsonl
  click-mil detect --model detector --voc VOC2007 --split test --out-voc results
  click-mil evaluate --voc VOC2007 --split test results
  click-mil reproduce --preset quick";

/// Object detectors from one click per object: proposals, multiple-instance learning, Fast R-CNN, and the re-test of the paper's claims.
#[derive(Debug, Parser)]
#[command(name = "click-mil", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Propose boxes that may hold an object (EdgeBoxes); one JSON line per image
    Propose(propose::Arguments),
    /// Make clicks on object centres from boxes, by an error model
    SimulateClicks(simulate::Arguments),
    /// Serve a page to this machine on which a person clicks on the centres of objects; saves as it goes
    Annotate(annotate::Arguments),
    /// Learn a detector from class labels and clicks, or from boxes
    Train(Box<train::Arguments>),
    /// Find objects in images
    Detect(Box<detect::Arguments>),
    /// Score detections: VOC's average precision or COCO's twelve numbers
    Evaluate(evaluate::Arguments),
    /// Re-test the paper's claims with simulated clicks, and write the report
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
    let done = |()| ExitCode::SUCCESS;
    match cli.verb {
        Verb::Propose(arguments) => propose::run(&arguments),
        Verb::SimulateClicks(arguments) => simulate::run(&arguments),
        Verb::Annotate(arguments) => annotate::run(&arguments),
        Verb::Train(arguments) => train::run(&arguments),
        Verb::Detect(arguments) => detect::run(&arguments),
        Verb::Evaluate(arguments) => evaluate::run(&arguments),
        Verb::Reproduce(arguments) => reproduce::run(&arguments),
        Verb::Report(arguments) => reports::report(&arguments).map(done),
        Verb::Compare(arguments) => reports::compare(&arguments).map(done),
        Verb::Worker(arguments) => reproduce::work(&arguments).map(done),
    }
}
