//! `evaluate`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde_json::json;

use super::shared::{Text, Work, load, read_tokens};
use crate::llama::{Comparison, Scores, Tokenizer, Window, chunked, compare, perplexity, strided};
use crate::model_file::ModelFile;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Protocol {
    /// Consecutive windows, every token scored from the second on
    Windows,
    /// Chunks as llama.cpp's perplexity tool cuts them: the second half of each is scored
    #[value(name = "llama.cpp")]
    LlamaCpp,
}

/// Options of `evaluate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quantization evaluate model-Q4_K_M.gguf test.txt
  quantization evaluate model-Q4_K_M.gguf test.txt --base model-f16.gguf --protocol llama.cpp
  quantization evaluate gptq-folder test.txt --tail 0.1 --context 256 --windows 128 --json
  quantization evaluate minilm-Q4_0.gguf sentences.txt --base minilm-folder

Perplexities of different tokenizers or protocols cannot be compared; bits per byte of the same text can.
With --base, the distance to that model's predictions: far less noisy than two perplexities.

Of BERT encoders (MiniLM and its like) the text is one sentence per line, and --base is needed: how far the sentences'
vectors moved, and how many neighbours stayed.")]
pub(super) struct Arguments {
    /// Model to measure
    model: PathBuf,
    /// UTF-8 text to predict; not the one you calibrated on. For encoders one sentence per line
    pub(super) text: PathBuf,
    /// Model to compare with, usually the one before quantization
    #[arg(long, value_name = "MODEL")]
    pub(super) base: Option<PathBuf>,
    /// How the text is cut
    #[arg(long, value_enum, default_value = "windows")]
    protocol: Protocol,
    /// Score at most this many windows
    #[arg(long, value_name = "COUNT")]
    pub(super) windows: Option<usize>,
    /// Take only the last share of the text
    #[arg(long, value_name = "SHARE", default_value_t = 1.0)]
    pub(super) tail: f64,
    /// Compute with decoded weights in 32 bits, so that only the weights' errors count [default: as llama.cpp, with 8-bit
    /// activations]
    #[arg(long)]
    pub(super) decoded: bool,
    /// As one JSON object
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) reading: Text,
    #[command(flatten)]
    pub(super) work: Work,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let file = ModelFile::open(&arguments.model)?;
    if file.encoder().is_some() {
        return super::agreement::run(&file, arguments);
    }
    let model = load(&file, arguments.decoded)?;
    let tokenizer = file.tokenizer(arguments.reading.tokenizer.as_deref())?;
    let tokens = read_tokens(&arguments.text, &tokenizer, arguments.tail)?;
    let context = arguments.reading.context(&model)?;
    let most = arguments.windows.unwrap_or(usize::MAX);
    let mut windows = match arguments.protocol {
        Protocol::Windows => strided(&tokens, most, context + 1, context),
        Protocol::LlamaCpp => chunked(&tokens, context, tokenizer.bos().filter(|_| tokenizer.adds_bos())),
    };
    windows.truncate(most);
    if windows.is_empty() && arguments.protocol == Protocol::Windows && tokens.len() > 1 {
        windows.push(Window::sequence(tokens.clone())); // a text shorter than one window
    }
    if windows.is_empty() {
        bail!(
            "{}: {} tokens, expected at least one chunk of {context}; take more text or a smaller --context",
            arguments.text.display(),
            tokens.len()
        );
    }
    let bytes = scored_bytes(&tokenizer, &windows);
    let threads = arguments.work.threads();
    match &arguments.base {
        None => report(arguments, &perplexity(&model, &windows, threads)?, None, bytes),
        Some(path) => {
            let base = ModelFile::open(path)?;
            let base = load(&base, arguments.decoded)?;
            if base.config().vocab != model.config().vocab {
                bail!(
                    "{}: {} tokens in the vocabulary, {} has {}; compare models of the same vocabulary",
                    path.display(),
                    base.config().vocab,
                    arguments.model.display(),
                    model.config().vocab
                );
            }
            let comparison = compare(&base, &model, &windows, threads)?;
            report(arguments, &comparison.other, Some(&comparison), bytes);
        }
    }
    Ok(())
}

/// Bytes of the text for which the scored tokens stand.
fn scored_bytes(tokenizer: &Tokenizer, windows: &[Window]) -> usize {
    let scored = windows.iter().flat_map(|window| &window.tokens[window.scored.clone()]);
    scored.map(|&token| tokenizer.piece(token).len()).sum()
}

/// The numbers, in the order in which they are shown: name, value, decimals.
fn numbers(
    scores: &Scores,
    comparison: Option<&Comparison>,
    bytes: usize,
) -> Vec<(&'static str, Option<f64>)> {
    let mut rows = vec![
        ("nats per token", scores.mean_nll()),
        ("standard error", scores.standard_error()),
        ("perplexity", scores.perplexity()),
        ("nats per byte", scores.nats_per_byte(bytes)),
        ("bits per byte", scores.bits_per_byte(bytes)),
    ];
    if let Some(comparison) = comparison {
        rows.extend([
            ("base perplexity", comparison.base.perplexity()),
            ("delta nats per token", comparison.delta_nll()),
            ("its standard error over windows", comparison.delta_nll_error()),
            ("mean KL divergence", comparison.mean_kl()),
            ("its standard error", comparison.mean_kl_error()),
            ("median KL divergence", comparison.kl_quantile(0.5)),
            ("99 % KL divergence", comparison.kl_quantile(0.99)),
            ("largest KL divergence", comparison.kl_quantile(1.0)),
            ("same top token", comparison.same_top()),
        ]);
    }
    rows
}

fn report(arguments: &Arguments, scores: &Scores, comparison: Option<&Comparison>, bytes: usize) {
    let rows = numbers(scores, comparison, bytes);
    if arguments.json {
        let mut object = json!({
            "windows": scores.windows.len(),
            "predictions": scores.predictions(),
            "bytes": bytes,
        });
        for (name, value) in rows {
            object[name.replace(['%', ' '], "_").replace("___", "_")] = json!(value);
        }
        println!("{object}");
        return;
    }
    println!(
        "{} predictions in {} windows, for {bytes} bytes of text",
        scores.predictions(),
        scores.windows.len()
    );
    for (name, value) in rows {
        let value = value.map_or("undefined".to_owned(), |value| format!("{value:.6}"));
        println!("{name:<32}{value:>14}");
    }
}
