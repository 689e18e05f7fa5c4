//! What was typed, and how it becomes library types.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command talks to its user")]

mod apply;
mod reproduce;
mod runs;
mod train;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use common::formats::conll::ConllOptions;
use common::formats::{Scheme, Sentence};
use common::nn::gemm;
use common::text::segment::Segmenter;

use crate::data::{Reading, read_files};
use crate::model::CHARACTERS;

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
    Predict(apply::PredictArguments),
    /// Score predicted entities against gold entities
    Evaluate(apply::EvaluateArguments),
    /// Rewrite annotated files as CoNLL columns in any tag scheme, or as JSON lines
    Convert(apply::ConvertArguments),
    /// Build a dictionary for --segmenter from a MeCab source folder
    Dictionary(apply::DictionaryArguments),
    /// Re-test the paper's claims on real data and write the report
    Reproduce(reproduce::Arguments),
    /// Render a report.json again as Markdown and HTML
    Report(runs::ReportArguments),
    /// Compare the claims of two or more reports
    Compare(runs::CompareArguments),
    #[command(hide = true)]
    Worker(reproduce::WorkerArguments),
}

/// How annotated files are read.
#[derive(Debug, Args)]
struct Columns {
    /// Column of the word, from 0; negative counts from the end [default: found out]
    #[arg(long, value_name = "COLUMN", allow_negative_numbers = true)]
    word_column: Option<isize>,
    /// Column of the tag [default: found out]
    #[arg(long, value_name = "COLUMN", allow_negative_numbers = true)]
    tag_column: Option<isize>,
    /// Tag scheme: iob1, iob2, ioe1, ioe2, iobes or bilou [default: found out]
    #[arg(long)]
    scheme: Option<Scheme>,
    /// Count only entities that are well formed in the scheme, as seqeval's strict mode; else tags are read leniently
    #[arg(long)]
    strict: bool,
    /// Names of tags that are numbers in `ner_tags`, in their order
    #[arg(long, value_name = "O,B-TYPE,…", value_delimiter = ',')]
    tag_names: Vec<String>,
    /// Words of texts that come without: `characters`, `spaces`, a dictionary of the verb `dictionary`, or the folder of
    /// a compiled MeCab dictionary [default: characters]
    #[arg(long, value_name = "NAME|PATH")]
    segmenter: Option<String>,
}

impl Columns {
    /// Sentences of annotated files; says what their entities lost by the cut into words.
    fn read(&self, paths: &[PathBuf]) -> Result<Vec<Sentence>> {
        let columns = ConllOptions {
            word: self.word_column,
            tag: self.tag_column,
            scheme: self.scheme,
            tagged: true,
            strict: self.strict,
        };
        let segmenter = Segmenter::open(self.segmenter.as_deref().unwrap_or(CHARACTERS))?;
        let read = read_files(paths, &Reading { columns, segmenter, tag_names: self.tag_names.clone() })?;
        if read.straddling + read.lost > 0 {
            eprintln!(
                "warning: {} entities begin or end within a word and take in all of it, {} share their word with \
                 another and are left out; another --segmenter may fit better",
                read.straddling, read.lost
            );
        }
        Ok(read.sentences)
    }
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
        Verb::Predict(arguments) => apply::predict(&arguments).map(done),
        Verb::Evaluate(arguments) => apply::evaluate(&arguments).map(done),
        Verb::Convert(arguments) => apply::convert(&arguments).map(done),
        Verb::Dictionary(arguments) => apply::dictionary(&arguments).map(done),
        Verb::Reproduce(arguments) => reproduce::run(&arguments),
        Verb::Report(arguments) => runs::report(&arguments).map(done),
        Verb::Compare(arguments) => runs::compare(&arguments).map(done),
        Verb::Worker(arguments) => reproduce::work(&arguments).map(done),
    }
}

/// The workspace this program was built in: its data, runs and commit belong to the reports.
fn workspace() -> PathBuf {
    let crate_folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    crate_folder.parent().map(PathBuf::from).unwrap_or(crate_folder)
}
