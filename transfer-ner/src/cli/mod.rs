//! What was typed, and how it becomes library types.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command talks to its user")]

mod curve;
mod inputs;
mod reproduce;
mod train;
mod words;

use std::io;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use common::cli::apply::{self, ConvertArguments, EvaluateArguments, PredictArguments};
use common::cli::reports::{self, CompareArguments, ReportArguments};
use common::cli::reproduce::WorkerOptions;
use common::nn::gemm;
use common::text::segment::SPACES;

use crate::feature_crf::FeatureCrf;
use crate::model::Model;

const EXAMPLES: &str = "\
Examples:
  transfer-ner reproduce --preset quick
  transfer-ner train --source en.conll --target es-100.conll --dev es-dev.conll --method datnet-f --out model
  transfer-ner train --source en.conll --dev es-dev.conll --method cheap --dictionary en-es.tsv --out model
  transfer-ner curve --source en.conll --target es.conll --dev es-dev.conll --test es-test.conll --sizes 10,50,200
  transfer-ner translate en.conll --dictionary en-es.tsv > es-from-en.conll
  transfer-ner align en.vec es.vec --out en-in-es.vec --truth en-es.muse.txt
  transfer-ner predict --model model < words.txt > tagged.conll
  transfer-ner evaluate gold.conll tagged.conll";

/// Transfer learning for named entity recognition: DATNet and the methods of its survey on your source and target, and
/// their re-test.
#[derive(Debug, Parser)]
#[command(name = "transfer-ner", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Learn a tagger of the target from source and target files; writes a self-contained model directory
    Train(Box<train::Arguments>),
    /// Tag words, sentence by sentence, from a file or standard input
    Predict(PredictArguments),
    /// Score predicted entities against gold entities
    Evaluate(EvaluateArguments),
    /// Rewrite annotated files as CoNLL columns in any tag scheme, or as JSON lines
    Convert(ConvertArguments),
    /// Write an annotated corpus in another language, word by word
    Translate(words::TranslateArguments),
    /// Map the word vectors of one language into the space of another
    Align(words::AlignArguments),
    /// Train several methods on growing parts of the target and print their scores
    Curve(Box<curve::Arguments>),
    /// Re-test the papers' claims on real data and write the report
    Reproduce(reproduce::Arguments),
    /// Render a report.json again as Markdown and HTML
    Report(ReportArguments),
    /// Compare the claims of two or more reports
    Compare(CompareArguments),
    #[command(hide = true)]
    Worker(WorkerOptions),
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
        Verb::Translate(arguments) => words::translate(&arguments).map(done),
        Verb::Align(arguments) => words::align(&arguments).map(done),
        Verb::Curve(arguments) => curve::run(&arguments),
        Verb::Reproduce(arguments) => reproduce::run(&arguments),
        Verb::Report(arguments) => reports::report(&arguments).map(done),
        Verb::Compare(arguments) => reports::compare(&arguments).map(done),
        Verb::Worker(arguments) => reproduce::work(&arguments).map(done),
    }
}

fn predict(arguments: &PredictArguments) -> Result<()> {
    if let Some(model) = FeatureCrf::load(&arguments.model)? {
        return apply::predict(arguments, SPACES, &mut |sentences| Ok(model.predict(sentences)));
    }
    let model = Model::load(&arguments.model, arguments.device.open()?)?;
    apply::predict(arguments, &model.segmentation, &mut |sentences| Ok(model.predict(sentences)?))
}
