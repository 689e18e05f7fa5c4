//! `dequantize`, `imatrix`, `generate`: a model in, something else out.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use common::interrupt;

use super::shared::{Text, Work, load, read_tokens};
use super::show;
use crate::convert::{self, calibrate};
use crate::ggml::GgmlType;
use crate::llama::{Sampling, chunked, generate as continue_text};
use crate::model_file::ModelFile;

/// Options of `dequantize`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quantization dequantize model-Q4_K_M.gguf model-f32.gguf
  quantization dequantize gptq-folder model-f16.safetensors --type F16
  quantization dequantize model-Q8_0.gguf model.safetensors --type BF16

A Llama model becomes safetensors under Hugging Face's names and in its order of rows.")]
pub(super) struct DequantizeArguments {
    /// Model: GGUF, safetensors with or without GPTQ layers, llama2.c .bin
    input: PathBuf,
    /// File to write: .gguf or .safetensors
    output: PathBuf,
    /// F32, F16 or BF16
    #[arg(long = "type", value_name = "TYPE", default_value = "F32")]
    kind: GgmlType,
    /// List every tensor
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    work: Work,
}

pub(super) fn dequantize(arguments: &DequantizeArguments) -> Result<()> {
    let (kind, out) = (arguments.kind, arguments.output.as_path());
    if !matches!(kind, GgmlType::F32 | GgmlType::F16 | GgmlType::BF16) {
        bail!("--type is {kind}, expected F32, F16 or BF16");
    }
    let extension = out.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let to_gguf = match extension {
        "gguf" => true,
        "safetensors" => false,
        other => bail!("{}: ends with `.{other}`, expected .gguf or .safetensors", out.display()),
    };
    let file = ModelFile::open(&arguments.input)?;
    let summary = arguments.work.with_bar("decoding", file.tensors().len(), |progress| {
        let write = if to_gguf { convert::dequantize_to_gguf } else { convert::dequantize_to_safetensors };
        write(&file, kind, out, progress)
    })?;
    show::summary(&summary, arguments.verbose);
    Ok(())
}

/// Options of `imatrix`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quantization imatrix model-f16.gguf calibration.txt model.imatrix.gguf
  quantization quantize model-f16.gguf model-Q2_K.gguf --type Q2_K --imatrix model.imatrix.gguf

The file is in the GGUF form that llama.cpp's tools read and write.")]
pub(super) struct ImatrixArguments {
    /// Model to run, as exact as you have it
    model: PathBuf,
    /// Text to calibrate on; not the one you evaluate on
    text: PathBuf,
    /// File to write
    out: PathBuf,
    /// Read at most this many chunks of the text
    #[arg(long, value_name = "COUNT")]
    chunks: Option<usize>,
    #[command(flatten)]
    reading: Text,
    #[command(flatten)]
    work: Work,
}

pub(super) fn imatrix(arguments: &ImatrixArguments) -> Result<()> {
    let file = ModelFile::open(&arguments.model)?;
    let model = load(&file, false)?;
    let tokenizer = file.tokenizer(arguments.reading.tokenizer.as_deref())?;
    let context = arguments.reading.context(&model)?;
    let tokens = read_tokens(&arguments.text, &tokenizer, 1.0)?;
    let mut windows = chunked(&tokens, context, tokenizer.bos().filter(|_| tokenizer.adds_bos()));
    windows.truncate(arguments.chunks.unwrap_or(usize::MAX));
    if windows.is_empty() {
        bail!(
            "{}: {} tokens, expected at least one chunk of {context}; take more text or a smaller --context",
            arguments.text.display(),
            tokens.len()
        );
    }
    let dataset = arguments.text.display().to_string();
    let matrix = arguments.work.with_bar("collecting", windows.len(), |progress| {
        calibrate::importance(&model, &windows, &dataset, progress)
    })?;
    matrix.write(&arguments.out)?;
    show::importance(&matrix);
    Ok(())
}

/// Options of `generate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quantization generate model-Q4_K_M.gguf \"Once upon a time\" --tokens 200
  quantization generate model.gguf \"To be\" --temperature 0.8 --top-p 0.95 --seed 7 --verbose
  echo \"Once upon\" | quantization generate stories.bin -")]
pub(super) struct GenerateArguments {
    /// Model to run
    model: PathBuf,
    /// Text to continue; `-` is standard input
    prompt: String,
    /// Tokens to add at most [default: what fits the context]
    #[arg(long, short = 'n')]
    tokens: Option<usize>,
    /// 0 always takes the most probable token
    #[arg(long, default_value_t = 0.0)]
    temperature: f32,
    /// Draw among this many most probable tokens; 0 is all
    #[arg(long, default_value_t = 0)]
    top_k: usize,
    /// Draw among the most probable tokens that reach this probability together
    #[arg(long, default_value_t = 1.0)]
    top_p: f32,
    /// Draw among tokens of at least this share of the largest probability
    #[arg(long, default_value_t = 0.0)]
    min_p: f32,
    /// Seed of the draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Tell the speed, and the share of the machine's memory bandwidth that it takes
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    reading: Text,
    #[command(flatten)]
    work: Work,
}

pub(super) fn generate(arguments: &GenerateArguments) -> Result<()> {
    check_sampling(arguments)?;
    let file = ModelFile::open(&arguments.model)?;
    let model = load(&file, false)?;
    let tokenizer = file.tokenizer(arguments.reading.tokenizer.as_deref())?;
    let prompt = match arguments.prompt.as_str() {
        "-" => io::read_to_string(io::stdin()).context("reading standard input")?.trim_end().to_owned(),
        text => text.to_owned(),
    };
    let tokens = tokenizer.encode(&prompt);
    let capacity = arguments.reading.context(&model)?.max(arguments.tokens.map_or(0, |n| tokens.len() + n));
    let mut state = model.state(capacity, arguments.work.threads())?;
    let sampling = Sampling {
        temperature: arguments.temperature,
        top_k: arguments.top_k,
        top_p: arguments.top_p,
        min_p: arguments.min_p,
        seed: arguments.seed,
    };
    let mut out = io::stdout().lock();
    write!(out, "{prompt}")?;
    let (mut failed, mut first) = (None, None);
    let mut each = |text: &str| {
        first.get_or_insert_with(Instant::now);
        failed = out.write_all(text.as_bytes()).and_then(|()| out.flush()).err();
        if failed.is_some() || interrupt::asked() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let most = arguments.tokens.unwrap_or(usize::MAX);
    let generated = continue_text(&model, &tokenizer, &tokens, most, sampling, &mut state, &mut each)?;
    let seconds = first.map_or(0.0, |first| first.elapsed().as_secs_f64());
    if let Some(problem) = failed {
        return Err(problem.into());
    }
    writeln!(out)?;
    if arguments.verbose {
        // The time runs from the first token on, which the prompt's pass gave.
        let tokens = generated.tokens.len().saturating_sub(1);
        show::speed(tokens, seconds, model.weights(), arguments.work.threads());
    }
    Ok(())
}

fn check_sampling(arguments: &GenerateArguments) -> Result<()> {
    let share = |name: &str, value: f32| -> Result<()> {
        if !(0.0..=1.0).contains(&value) {
            bail!("--{name} is {value}, expected a share between 0 and 1");
        }
        Ok(())
    };
    if !(arguments.temperature >= 0.0 && arguments.temperature.is_finite()) {
        bail!("--temperature is {}, expected a number of at least 0", arguments.temperature);
    }
    share("top-p", arguments.top_p)?;
    share("min-p", arguments.min_p)
}
