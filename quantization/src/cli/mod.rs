//! What was typed, and how it becomes library types.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command talks to its user")]

mod apply;
mod evaluate;
mod inspect;
mod quantize;
mod shared;
mod show;

use std::io;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use common::interrupt;

use crate::convert::ConvertError;

const EXAMPLES: &str = "\
Examples:
  quantization inspect model.gguf --cost
  quantization quantize model.safetensors model-Q4_K_M.gguf --type Q4_K_M
  quantization imatrix model-f16.gguf calibration.txt model.imatrix
  quantization quantize model-f16.gguf small.gguf --imatrix model.imatrix --target-bpw 4.2
  quantization quantize model-folder gptq-folder --method gptq --bits 4 --group 128 --calibration calibration.txt
  quantization dequantize gptq-folder model-f16.safetensors --type F16
  quantization evaluate small.gguf test.txt --base model-f16.gguf
  quantization generate small.gguf \"Once upon a time\"";

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
}

/// Carries out what was typed.
///
/// # Errors
/// Bad input, unreadable or unwritable files, impossible settings: one message that says where and how to mend it.
pub fn run(cli: Cli) -> Result<ExitCode> {
    interrupt::listen();
    match carry_out(cli.verb) {
        Ok(()) => Ok(ExitCode::SUCCESS),
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

fn carry_out(verb: Verb) -> Result<()> {
    match verb {
        Verb::Inspect(arguments) => inspect::run(&arguments),
        Verb::Quantize(arguments) => quantize::run(&arguments),
        Verb::Dequantize(arguments) => apply::dequantize(&arguments),
        Verb::Imatrix(arguments) => apply::imatrix(&arguments),
        Verb::Evaluate(arguments) => evaluate::run(&arguments),
        Verb::Generate(arguments) => apply::generate(&arguments),
    }
}
