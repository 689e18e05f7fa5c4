//! Options that several verbs have: the model, its tokenizer, the machine.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use common::data;
use common::device::Choice;
use tch::Device;

use crate::checkpoint::{self, Format, Loaded, Options};
use crate::config::Activation;
use crate::preprocess::Rules;
use crate::tokenizer::{Specials, Tokenizer};

/// What the weights of a checkpoint do not tell.
#[derive(Clone, Debug, Args)]
pub(super) struct Untold {
    /// quick_gelu or gelu [default: as the settings beside the weights say, else quick_gelu]
    #[arg(long)]
    activation: Option<Activation>,
    /// Attention heads of the image tower [default: as the settings say, else width / 64]
    #[arg(long)]
    vision_heads: Option<i64>,
    /// Attention heads of the text tower [default: as the settings say, else width / 64]
    #[arg(long)]
    text_heads: Option<i64>,
    /// Round weights to half precision, as the official loaders of OpenAI's and Long-CLIP's files do
    #[arg(long)]
    official_rounding: bool,
}

impl Untold {
    /// Reads a model and tells its user what was assumed.
    pub(super) fn read(&self, path: &Path, device: Device) -> Result<Loaded> {
        let options = Options {
            activation: self.activation,
            vision_heads: self.vision_heads,
            text_heads: self.text_heads,
            round_to_half: self.official_rounding,
        };
        let loaded = checkpoint::read(path, &options, device)?;
        loaded.notes.iter().for_each(|note| eprintln!("{}: {note}", path.display()));
        Ok(loaded)
    }
}

/// A model.
#[derive(Clone, Debug, Args)]
pub(super) struct ModelOptions {
    /// Checkpoint: a file `.pt`, `.bin` or `.safetensors` of OpenAI, open_clip or Long-CLIP, or a directory of Hugging Face
    /// or open_clip
    #[arg(long)]
    pub(super) model: PathBuf,
    #[command(flatten)]
    untold: Untold,
}

impl ModelOptions {
    pub(super) fn read(&self, device: Device) -> Result<Loaded> {
        self.untold.read(&self.model, device)
    }
}

/// The tokenizer.
#[derive(Clone, Debug, Args)]
pub(super) struct TokenizerOptions {
    /// CLIP's merges, `bpe_simple_vocab_16e6.txt.gz` or `merges.txt` [default: beside the model, else in the data set clip-bpe]
    #[arg(long, value_name = "FILE")]
    merges: Option<PathBuf>,
    /// `<|startoftext|>` and `<|endoftext|>` in a text are special tokens, as in OpenAI's tokenizer
    #[arg(long)]
    special_tokens: bool,
}

/// Data set with CLIP's merges, and its file.
const MERGES: (&str, &str) = ("clip-bpe", "bpe_simple_vocab_16e6.txt.gz");

impl TokenizerOptions {
    pub(super) fn specials(&self) -> Specials {
        if self.special_tokens { Specials::Meant } else { Specials::Neutral }
    }

    /// The tokenizer; its ids must be those of a model of `vocabulary` tokens.
    pub(super) fn open(&self, model: Option<&Path>, vocabulary: Option<i64>) -> Result<Tokenizer> {
        let path = self.place(model)?;
        let tokenizer = Tokenizer::open(&path)?;
        if let Some(expected) = vocabulary
            && tokenizer.vocabulary() as i64 != expected
        {
            let found = tokenizer.vocabulary();
            bail!(
                "{} has {found} tokens, the model {expected}: give the model's own with --merges",
                path.display()
            );
        }
        Ok(tokenizer)
    }

    fn place(&self, model: Option<&Path>) -> Result<PathBuf> {
        if let Some(path) = &self.merges {
            return Ok(path.clone());
        }
        let folder =
            model.map(|path| if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) });
        let beside = folder.and_then(|folder| {
            ["merges.txt", MERGES.1].iter().map(|name| folder.join(name)).find(|path| path.exists())
        });
        if let Some(path) = beside {
            return Ok(path);
        }
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
        let root = data::root(None, std::env::var("BENKYOKAI_DATA").ok().as_deref(), workspace);
        let set = data::locate(&root, MERGES.0)
            .context("no `merges.txt` beside the model; give CLIP's with --merges")?;
        Ok(set.folder.join(MERGES.1))
    }
}

/// Where it runs.
#[derive(Clone, Debug, Args)]
pub(super) struct Machine {
    /// auto, cpu, cuda or cuda:NUMBER
    #[arg(long, default_value = "auto")]
    device: Choice,
    /// Threads [default: all cores, at most 4]
    #[arg(long)]
    threads: Option<usize>,
    /// No progress on standard error
    #[arg(long)]
    pub(super) quiet: bool,
}

impl Machine {
    /// The device, with the threads set.
    pub(super) fn open(&self) -> Result<Device> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = self.threads.unwrap_or(cores.min(4)).max(1);
        tch::set_num_threads(threads as i32);
        // A pool that is there already keeps its threads.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
        Ok(self.device.open()?)
    }
}

/// Layouts of written checkpoints.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum FormatName {
    /// A directory that transformers opens
    Hf,
    /// A directory that open_clip opens
    OpenClip,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Hf => Self::HuggingFace,
            FormatName::OpenClip => Self::OpenClip,
        }
    }
}

/// Whose preprocessing.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum RulesName {
    /// OpenAI's, open_clip's, Long-CLIP's
    Openai,
    /// Hugging Face's
    Hf,
}

impl From<RulesName> for Rules {
    fn from(name: RulesName) -> Self {
        match name {
            RulesName::Openai => Self::OpenAi,
            RulesName::Hf => Self::HuggingFace,
        }
    }
}
