//! What was typed, and how it becomes library types.
#![expect(clippy::print_stderr, reason = "the command talks to its user")]

mod apply;
mod evaluate;
mod index;
mod reproduce;
mod search;
mod shared;
mod train;

use std::io;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use common::cli::reports;
use common::interrupt;

const EXAMPLES: &str = "\
Examples:
  retrieval train beir-folder my-model --new --steps 2000
  retrieval index MODEL corpus.jsonl my-index --bits 2
  retrieval search my-index \"大仏を建てたのは誰？\"
  retrieval search my-index --queries queries.tsv --format trec > run.txt
  retrieval evaluate beir-folder --index my-index
  retrieval evaluate beir-folder --run run.txt --measure ndcg@10 --measure recall@100
  retrieval serve my-index --port 8080
  retrieval add my-index more.jsonl
  retrieval delete my-index doc17 doc18
  retrieval export my-index qdrant-folder --engine qdrant";

/// Late-interaction retrieval: ColBERT encoders, compressed indexes, PLAID search, on your own documents.
#[derive(Debug, Parser)]
#[command(name = "retrieval", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Train an encoder on a collection
    Train(Box<train::Arguments>),
    /// Average the weights of models
    Average(train::AverageArguments),
    /// Encode texts to token vectors in NumPy files
    Encode(apply::EncodeArguments),
    /// Build a compressed index of documents
    Index(index::IndexArguments),
    /// Add documents to an index
    Add(index::AddArguments),
    /// Delete documents from an index
    Delete(index::DeleteArguments),
    /// Free the space of deleted documents
    Compact(index::OnlyIndex),
    /// Check every byte of an index against its checksums
    Verify(index::OnlyIndex),
    /// Make an index of one of FastPlaid or NextPlaid
    Import(index::ImportArguments),
    /// Search an index: one query, a file of queries, or a prompt
    Search(Box<search::Arguments>),
    /// Score a ranking on a test collection
    Evaluate(evaluate::Arguments),
    /// Serve an index over HTTP, with a page to try queries
    Serve(search::ServeArguments),
    /// Write an index for a distributed engine
    Export(apply::ExportArguments),
    /// Re-test the claims on real data and write the report
    Reproduce(reproduce::Arguments),
    /// Render a report.json again as Markdown and HTML
    Report(reports::ReportArguments),
    /// Compare the claims of two or more reports
    Compare(reports::CompareArguments),
    #[command(hide = true)]
    Worker(reproduce::WorkerArguments),
}

/// Carries out what was typed.
///
/// # Errors
/// Bad input, unreadable or unwritable files, impossible settings: one message that says where and how to mend it.
pub fn run(cli: Cli) -> Result<ExitCode> {
    match carry_out(cli.verb) {
        Err(error)
            if error.downcast_ref::<io::Error>().map(io::Error::kind) == Some(io::ErrorKind::BrokenPipe) =>
        {
            Ok(ExitCode::SUCCESS) // a reader such as `head` that closes the pipe has what it wants
        }
        Err(error) if error.is::<shared::Stopped>() => {
            eprintln!("{error}");
            Ok(ExitCode::from(interrupt::EXIT_CODE))
        }
        other => other,
    }
}

fn carry_out(verb: Verb) -> Result<ExitCode> {
    let done = |()| ExitCode::SUCCESS;
    match verb {
        Verb::Train(arguments) => train::run(&arguments).map(done),
        Verb::Average(arguments) => train::average_models(&arguments).map(done),
        Verb::Encode(arguments) => apply::encode(&arguments).map(done),
        Verb::Index(arguments) => index::index(&arguments).map(done),
        Verb::Add(arguments) => index::add(&arguments).map(done),
        Verb::Delete(arguments) => index::delete(&arguments).map(done),
        Verb::Compact(arguments) => index::compact(&arguments).map(done),
        Verb::Verify(arguments) => index::verify(&arguments).map(done),
        Verb::Import(arguments) => index::import(&arguments).map(done),
        Verb::Search(arguments) => search::run(&arguments).map(done),
        Verb::Evaluate(arguments) => evaluate::run(&arguments).map(done),
        Verb::Serve(arguments) => search::serve(&arguments).map(done),
        Verb::Export(arguments) => apply::export(&arguments).map(done),
        Verb::Reproduce(arguments) => reproduce::run(&arguments),
        Verb::Report(arguments) => reports::report(&arguments).map(done),
        Verb::Compare(arguments) => reports::compare(&arguments).map(done),
        Verb::Worker(arguments) => reproduce::work(&arguments).map(done),
    }
}
