//! The `long-clip` command.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use long_clip::experiment::command;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Reproduce(command::Arguments),
    #[command(hide = true)]
    Worker(command::WorkerArguments),
}

fn main() -> ExitCode {
    let done = match Cli::parse().verb {
        Verb::Reproduce(arguments) => command::run(&arguments),
        Verb::Worker(arguments) => command::work(&arguments).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
