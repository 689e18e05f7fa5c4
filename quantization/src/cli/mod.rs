//! What was typed, and how it becomes library types.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command talks to its user")]

mod agreement;
mod apply;
mod evaluate;
mod inspect;
mod quantize;
#[cfg(feature = "tensor")]
mod reproduce;
mod shared;
mod show;
#[cfg(feature = "tensor")]
mod train;

use std::io;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use common::cli::reports;
use common::interrupt;

use crate::convert::ConvertError;

const EXAMPLES: &str = "\
Examples:
  quantization inspect model.gguf --cost
  quantization quantize model.safetensors model-Q4_K_M.gguf --type Q4_K_M
  quantization imatrix model-f16.gguf calibration.txt model.imatrix
  quantization quantize model-f16.gguf small.gguf --imatrix model.imatrix --target-bpw 4.2
  quantization quantize model-folder gptq --method gptq --bits 4 --calibration calibration.txt
  quantization dequantize gptq model-f16.safetensors --type F16
  quantization evaluate small.gguf test.txt --base model-f16.gguf
  quantization generate small.gguf \"Once upon a time\"
  quantization train-bitnet input.txt bitnet-folder --kind b158
  quantization reproduce --preset quick";

/// Quantize language models, look into them and measure what it costs: GGUF, safetensors, GPTQ, llama2.c.
#[derive(Debug, Parser)]
#[command(name = "quantization", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show metadata, tensors, value statistics and outliers, and what other types would cost
    Inspect(inspect::Arguments),
    /// Quantize a whole model to GGUF or to a folder with GPTQ layers
    Quantize(Box<quantize::Arguments>),
    /// Turn a quantized model back into plain numbers
    Dequantize(apply::DequantizeArguments),
    /// Collect the importance of columns on a text, as llama.cpp's imatrix does
    Imatrix(apply::ImatrixArguments),
    /// Measure perplexity on a text, and the distance to another model
    Evaluate(evaluate::Arguments),
    /// Continue a text
    Generate(apply::GenerateArguments),
    /// Train a byte-level language model with BitNet's layers on a text
    #[cfg(feature = "tensor")]
    TrainBitnet(train::Arguments),
    /// Re-test the claims on real data and write the report
    #[cfg(feature = "tensor")]
    Reproduce(reproduce::Arguments),
    /// Render a report.json again as Markdown and HTML
    Report(reports::ReportArguments),
    /// Compare the claims of two or more reports
    Compare(reports::CompareArguments),
    #[cfg(feature = "tensor")]
    #[command(hide = true)]
    Worker(reproduce::WorkerArguments),
}

/// Carries out what was typed.
///
/// # Errors
/// Bad input, unreadable or unwritable files, impossible settings: one message that says where and how to mend it.
pub fn run(cli: Cli) -> Result<ExitCode> {
    interrupt::listen();
    match carry_out(cli.verb) {
        Ok(code) => Ok(code),
        Err(error) => match error.downcast_ref::<io::Error>().map(io::Error::kind) {
            // A reader such as `head` that closes the pipe has what it wants.
            Some(io::ErrorKind::BrokenPipe) => Ok(ExitCode::SUCCESS),
            _ if matches!(error.downcast_ref(), Some(ConvertError::Stopped)) => {
                eprintln!("{error}");
                Ok(ExitCode::from(interrupt::EXIT_CODE))
            }
            _ => Err(error),
        },
    }
}

fn carry_out(verb: Verb) -> Result<ExitCode> {
    let done = |()| ExitCode::SUCCESS;
    match verb {
        Verb::Inspect(arguments) => inspect::run(&arguments).map(done),
        Verb::Quantize(arguments) => quantize::run(&arguments).map(done),
        Verb::Dequantize(arguments) => apply::dequantize(&arguments).map(done),
        Verb::Imatrix(arguments) => apply::imatrix(&arguments).map(done),
        Verb::Evaluate(arguments) => evaluate::run(&arguments).map(done),
        Verb::Generate(arguments) => apply::generate(&arguments).map(done),
        #[cfg(feature = "tensor")]
        Verb::TrainBitnet(arguments) => train::run(&arguments),
        #[cfg(feature = "tensor")]
        Verb::Reproduce(arguments) => reproduce::run(&arguments),
        Verb::Report(arguments) => reports::report(&arguments).map(done),
        Verb::Compare(arguments) => reports::compare(&arguments).map(done),
        #[cfg(feature = "tensor")]
        Verb::Worker(arguments) => reproduce::work(&arguments).map(done),
    }
}
