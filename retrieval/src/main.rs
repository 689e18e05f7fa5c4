//! The `retrieval` command.
#![expect(clippy::print_stderr, reason = "the command talks to its user")]

use std::process::ExitCode;

use clap::Parser;
use common::pipe;
use retrieval::cli::{self, Cli};

fn main() -> ExitCode {
    pipe::end_quietly();
    match cli::run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
