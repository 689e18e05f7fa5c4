//! What was typed, and how it becomes library types.

mod apply;
mod columns;
mod reproduce;
mod shared;
mod train;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use common::cli::reports;
use common::cli::reproduce::WorkerOptions;

const EXAMPLES: &str = "\
Examples:
  transactions train coded.csv my-model --merchant supplier --location cost_centre --amount amount --account gl_code --date date
  transactions suggest my-model new.csv > suggested.csv
  transactions add my-model checked.csv
  transactions evaluate my-model later.csv
  transactions status my-model

Columns that are not named again are those of the training. Files are CSV, gzip-compressed or not, in UTF-8, UTF-16 or
Windows-1252; delimiter and decimal mark are seen from the file. Rows that cannot be read are listed on standard error.";

/// Suggests account codes for card transactions from a company's own coded ones.
#[derive(Debug, Parser)]
#[command(name = "transactions", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Train a model on coded ledgers, and remember them
    Train(Box<train::Arguments>),
    /// Suggest accounts for a file of transactions
    Suggest(apply::SuggestArguments),
    /// Remember more coded transactions, without training
    Add(apply::AddArguments),
    /// Score the suggestions on a coded file
    Evaluate(apply::EvaluateArguments),
    /// Companies, accounts and transactions that are remembered; checks the store
    Status(apply::StatusArguments),
    /// Re-test the claims and write the report
    Reproduce(reproduce::Arguments),
    /// Render a report.json again as Markdown and HTML
    Report(reports::ReportArguments),
    /// Compare the claims of two or more reports
    Compare(reports::CompareArguments),
    #[command(hide = true)]
    Worker(WorkerOptions),
}

/// Carries out what was typed.
///
/// # Errors
/// Bad input, unreadable or unwritable files, impossible settings: one message that says where and how to mend it.
pub fn run(cli: Cli) -> Result<ExitCode> {
    let done = |()| ExitCode::SUCCESS;
    match cli.verb {
        Verb::Train(arguments) => train::run(&arguments).map(done),
        Verb::Suggest(arguments) => apply::suggest(&arguments).map(done),
        Verb::Add(arguments) => apply::add(&arguments).map(done),
        Verb::Evaluate(arguments) => apply::evaluate(&arguments).map(done),
        Verb::Status(arguments) => apply::status(&arguments).map(done),
        Verb::Reproduce(arguments) => reproduce::run(&arguments),
        Verb::Report(arguments) => reports::report(&arguments).map(done),
        Verb::Compare(arguments) => reports::compare(&arguments).map(done),
        Verb::Worker(arguments) => reproduce::work(&arguments).map(done),
    }
}
