//! What several verbs need: threads, bars, models to run, texts as tokens.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use common::files::read_text;
use common::{interrupt, progress};

use crate::convert::{self, calibrate};
use crate::llama::{Loading, Model, Tokenizer};
use crate::model_file::ModelFile;

/// Threads, and whether progress is shown.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Work {
    /// Threads to work on [default: as many as the machine has]
    #[arg(long)]
    threads: Option<std::num::NonZeroUsize>,
    /// Show no progress bar
    #[arg(long, short)]
    pub(super) quiet: bool,
}

impl Work {
    /// Threads to work on.
    pub(super) fn threads(&self) -> usize {
        let machine = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.threads.map_or_else(machine, std::num::NonZero::get)
    }

    /// Carries out `action` on this many threads, with a bar of `length` steps that stops on Ctrl-C.
    pub(super) fn with_bar<T: Send>(
        &self,
        phase: &str,
        length: usize,
        action: impl FnOnce(convert::Progress) -> Result<T, convert::ConvertError> + Send,
    ) -> Result<T> {
        let bar = progress::bar(phase, length, self.quiet);
        let seen = |done: usize, name: &str| {
            bar.set_position(done as u64);
            bar.set_message(name.to_owned());
            !interrupt::asked()
        };
        let result = convert::pool(self.threads())?.install(|| action(&seen));
        bar.finish_and_clear();
        Ok(result?)
    }
}

/// A model to run.
pub(super) fn load(file: &ModelFile, decoded: bool) -> Result<Model> {
    let decode = |kind, bytes: &[u8], out: &mut [f32]| Ok(crate::ggml::decode(kind, bytes, out)?);
    let loading =
        if decoded { Loading::Decoded(&decode) } else { Loading::AsStored(Some(calibrate::kernels())) };
    Model::load(file, &loading).with_context(|| format!("loading {}", file.path().display()))
}

/// The last `tail` of a text, cut at a character, as tokens.
pub(super) fn read_tokens(path: &Path, tokenizer: &Tokenizer, tail: f64) -> Result<Vec<u32>> {
    if !(tail > 0.0 && tail <= 1.0) {
        bail!("--tail is {tail}, expected a share above 0 and up to 1");
    }
    let text = read_text(path)?;
    let mut start = text.len() - (text.len() as f64 * tail).round() as usize;
    while !text.is_char_boundary(start) {
        start += 1;
    }
    Ok(tokenizer.encode(&text[start..]))
}

/// How a text becomes tokens.
#[derive(Clone, Debug, Args)]
pub(super) struct Text {
    /// Tokenizer of the text: a GGUF file or a Hugging Face folder of the same model, or a llama2.c tokenizer.bin [default: the
    /// model's own; bytes for models of 256 tokens without one]
    #[arg(long, value_name = "FILE")]
    pub(super) tokenizer: Option<PathBuf>,
    /// Tokens that the model reads at once [default: what it was trained for, at most 512]
    #[arg(long, value_name = "TOKENS")]
    pub(super) context: Option<usize>,
}

impl Text {
    /// Tokens that the model reads at once.
    pub(super) fn context(&self, model: &Model) -> Result<usize> {
        let context = self.context.unwrap_or_else(|| model.config().context.min(512));
        if context < 2 {
            bail!("--context is {context}, expected at least 2 tokens");
        }
        Ok(context)
    }
}
