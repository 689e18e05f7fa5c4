//! What was typed, and how it becomes library types.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command talks to its user")]

mod convert;
mod encode;
mod evaluate;
mod reproduce;
mod search;
mod shared;
mod tokens;
mod train;

use std::io;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use common::cli::reports::{self, CompareArguments, ReportArguments};
use common::nn::gemm;

const EXAMPLES: &str = "\
Examples:
  long-clip reproduce --preset quick
  long-clip stretch ViT-B-16.pt --out long
  long-clip tokens captions.txt --context 77
  long-clip index photographs --model long --out photographs.index
  long-clip search photographs.index 'a narrow street, and behind it …' --model long --gallery found.html
  long-clip evaluate captions_val2017.json --images val2017 --model long --lengths 8,16,32,64,128
  long-clip evaluate Urban1k --model longclip-B.pt
  long-clip train sharegpt4v.json --model ViT-B-16.pt --out long-trained
  long-clip convert longclip-L.pt --out longclip-L-hf";

/// A CLIP for long texts: stretch any checkpoint to 248 tokens, train it, search and measure with it; and the paper's re-test.
#[derive(Debug, Parser)]
#[command(name = "long-clip", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Give a checkpoint more text positions; short texts keep their features bit by bit
    Stretch(convert::StretchArguments),
    /// Rewrite a checkpoint of any layout as a Hugging Face or open_clip directory
    Convert(convert::ConvertArguments),
    /// Show what a model of so many positions cuts off
    Tokens(tokens::Arguments),
    /// Write the features of texts or images as a NumPy array
    Encode(encode::Arguments),
    /// Encode a folder of images for `search`
    Index(search::IndexArguments),
    /// Find images of an index by a description of any length
    Search(search::SearchArguments),
    /// Measure retrieval, zero-shot classification and effective length
    Evaluate(evaluate::Arguments),
    /// Train a checkpoint on images with long captions
    Train(train::Arguments),
    /// Re-test the paper's claims in a drawn world where the truth is known, and write the report
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
        Verb::Stretch(arguments) => convert::stretch(&arguments).map(done),
        Verb::Convert(arguments) => convert::convert(&arguments).map(done),
        Verb::Tokens(arguments) => tokens::run(&arguments).map(done),
        Verb::Encode(arguments) => encode::run(&arguments),
        Verb::Index(arguments) => search::index(&arguments),
        Verb::Search(arguments) => search::search(&arguments).map(done),
        Verb::Evaluate(arguments) => evaluate::run(&arguments),
        Verb::Train(arguments) => train::run(&arguments),
        Verb::Reproduce(arguments) => reproduce::run(&arguments),
        Verb::Worker(arguments) => reproduce::work(&arguments).map(done),
        Verb::Report(arguments) => reports::report(&arguments).map(done),
        Verb::Compare(arguments) => reports::compare(&arguments).map(done),
    }
}
