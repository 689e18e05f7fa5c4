//! The `frequency-mask` command.
#![expect(clippy::print_stderr, reason = "the command talks to its user")]

use std::process::ExitCode;

use clap::Parser;
use frequency_mask::cli::{self, Cli};

fn main() -> ExitCode {
    common::pipe::end_quietly();
    common::memory::keep_freed();
    match cli::run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
