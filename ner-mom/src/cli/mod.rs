//! What was typed, and how it becomes library types.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command talks to its user")]

mod reproduce;
mod train;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use common::cli::apply::{self, ConvertArguments, EvaluateArguments, PredictArguments};
use common::cli::reports::{self, CompareArguments, ReportArguments};
use common::cli::reproduce::WorkerOptions;
use common::nn::gemm;
use common::text::segment::build_dictionary;

use crate::model::Model;

const EXAMPLES: &str = "\
Examples:
  ner-mom reproduce --preset quick
  ner-mom train --train train.conll --dev dev.conll --loss mom:ce:0.5 --out model
  ner-mom train --train train.conll --dev dev.conll --checkpoint bert-base-cased --head crf --out model
  ner-mom predict --model model < words.txt > tagged.conll
  ner-mom predict --model model --text < text.txt > entities.jsonl
  ner-mom evaluate gold.conll predicted.conll
  ner-mom convert wikigold.conll.txt --to iobes > wikigold.iobes.conll";

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
    Train(Box<train::Arguments>),
    /// Tag words, sentence by sentence, from a file or standard input
    Predict(PredictArguments),
    /// Score predicted entities against gold entities
    Evaluate(EvaluateArguments),
    /// Rewrite annotated files as CoNLL columns in any tag scheme, or as JSON lines
    Convert(ConvertArguments),
    /// Build a dictionary for --segmenter from a MeCab source folder
    Dictionary(DictionaryArguments),
    /// Re-test the paper's claims on real data and write the report
    Reproduce(reproduce::Arguments),
    /// Render a report.json again as Markdown and HTML
    Report(ReportArguments),
    /// Compare the claims of two or more reports
    Compare(CompareArguments),
    #[command(hide = true)]
    Worker(WorkerOptions),
}

/// Options of `dictionary`.
#[derive(Debug, Args)]
struct DictionaryArguments {
    /// Folder with *.csv, matrix.def, char.def and unk.def, such as /usr/share/mecab/dic/ipadic of Debian's mecab-ipadic
    source: PathBuf,
    /// File to write
    out: PathBuf,
}

fn dictionary(arguments: &DictionaryArguments) -> Result<()> {
    build_dictionary(&arguments.source, &arguments.out)?;
    println!("{}", arguments.out.display());
    Ok(())
}

fn predict(arguments: &PredictArguments) -> Result<()> {
    let model = Model::load(&arguments.model, arguments.device.open()?)?;
    apply::predict(arguments, &model.segmentation, &mut |sentences| Ok(model.predict(sentences)?))
}

/// Carries out what was typed.
///
/// # Errors
/// Bad input, unreadable or unwritable files, impossible settings: one message that says where and how to mend it.
pub fn run(cli: Cli) -> Result<ExitCode> {
    gemm::ordered()?;
    let outcome = carry_out(cli.verb);
    // A reader such as `head` that closes the pipe has what it wants.
    let closed = |error: &anyhow::Error| {
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    match outcome {
        Err(error) if closed(&error) => Ok(ExitCode::SUCCESS),
        other => other,
    }
}

fn carry_out(verb: Verb) -> Result<ExitCode> {
    let done = |()| ExitCode::SUCCESS;
    match verb {
        Verb::Train(arguments) => train::run(&arguments),
        Verb::Predict(arguments) => predict(&arguments).map(done),
        Verb::Evaluate(arguments) => apply::evaluate(&arguments).map(done),
        Verb::Convert(arguments) => apply::convert(&arguments).map(done),
        Verb::Dictionary(arguments) => dictionary(&arguments).map(done),
        Verb::Reproduce(arguments) => reproduce::run(&arguments),
        Verb::Report(arguments) => reports::report(&arguments).map(done),
        Verb::Compare(arguments) => reports::compare(&arguments).map(done),
        Verb::Worker(arguments) => reproduce::work(&arguments).map(done),
    }
}
