//! The `transactions` command.
#![expect(clippy::print_stderr, reason = "the command talks to its user")]

use std::process::ExitCode;

use clap::Parser;
use common::{memory, pipe};
use retrieval::transactions::cli::{self, Cli};

fn main() -> ExitCode {
    pipe::end_quietly();
    memory::keep_freed();
    match cli::run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
