//! The `retrieval` command.
#![expect(clippy::print_stderr, reason = "the command talks to its user")]

use std::process::ExitCode;

use clap::Parser;
use retrieval::cli::{self, Cli};

fn main() -> ExitCode {
    match cli::run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
