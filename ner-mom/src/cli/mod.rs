//! What was typed, and how it becomes library types.

mod convert;
mod evaluate;
mod files;
mod predict;
mod reproduce;
mod runs;
mod train;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  ner-mom reproduce --preset quick
  ner-mom train --train train.conll --dev dev.conll --loss mom:ce:0.5 --out model
  ner-mom predict --model model < text.conll > tagged.conll
  ner-mom evaluate gold.conll predicted.conll";

/// Majority-or-Minority learning for named entity recognition: train, predict, evaluate, and re-test the paper.
#[derive(Debug, Parser)]
#[command(name = "ner-mom", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Learn a tagger from annotated files; writes a self-contained model directory
    Train(train::Arguments),
    /// Tag words or text, sentence by sentence, from files or standard input
    Predict(predict::Arguments),
    /// Score predicted entities against gold entities
    Evaluate(evaluate::Arguments),
    /// Rewrite annotated files in another format or tag scheme
    Convert(convert::Arguments),
    /// Build a segmentation dictionary for Japanese from a MeCab source directory
    Dictionary(convert::DictionaryArguments),
    /// Re-test the paper's claims on real data and write the report
    Reproduce(reproduce::Arguments),
    /// Render a finished run's report again
    Report(runs::ReportArguments),
    /// Compare runs: metrics with intervals, and what differs in their configuration
    Compare(runs::CompareArguments),
    #[command(hide = true)]
    Worker(reproduce::WorkerArguments),
}

/// Carries out what was typed.
///
/// # Errors
/// Bad input, unreadable or unwritable files, impossible settings: one message that says where and how to mend it.
pub fn run(cli: Cli) -> Result<ExitCode> {
    match cli.verb {
        Verb::Train(arguments) => train::run(&arguments),
        Verb::Predict(arguments) => predict::run(&arguments),
        Verb::Evaluate(arguments) => evaluate::run(&arguments),
        Verb::Convert(arguments) => convert::run(&arguments),
        Verb::Dictionary(arguments) => convert::build_dictionary(&arguments),
        Verb::Reproduce(arguments) => reproduce::run(&arguments),
        Verb::Report(arguments) => runs::report(&arguments),
        Verb::Compare(arguments) => runs::compare(&arguments),
        Verb::Worker(arguments) => reproduce::work(&arguments),
    }
}
