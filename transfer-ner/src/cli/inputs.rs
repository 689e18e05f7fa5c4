//! Options that `train` and `curve` share: files of both sides, method, network, schedule.

use std::path::PathBuf;
use std::rc::Rc;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use clap::Args;
use common::cli::annotated::Columns;
use common::device::Choice;
use common::formats::Sentence;
use common::text::segment::{CHARACTERS, SPACES};
use tch::Device;

use crate::adversary::{Adversarial, Discriminator};
use crate::config::{Attention, Config, Method, Part};
use crate::contextual::Contextual;
use crate::data::{TypeMap, as_characters, as_segmentation, normalise};
use crate::dictionary::Dictionary;
use crate::methods::{ALIGNED_WORDS, Inputs, read_vectors};
use crate::translate::frequencies;

/// A method's name, or that of the CRF over hand-made features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    Neural(Method),
    FeatureCrf,
}

impl FromStr for Chosen {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if name == "feature-crf" {
            return Ok(Self::FeatureCrf);
        }
        name.parse()
            .map(Self::Neural)
            .map_err(|error: crate::config::UnknownMethod| format!("{error}, or feature-crf"))
    }
}

/// Files.
#[derive(Debug, Args)]
pub(super) struct Files {
    /// Annotated source files: CoNLL columns, .knp, Stockmark .json, .jsonl with spans; .gz too
    #[arg(long, num_args = 1.., value_name = "FILE")]
    source: Vec<PathBuf>,
    /// Annotated target files; may be left out for direct, cheap and align
    #[arg(long, num_args = 1.., value_name = "FILE")]
    target: Vec<PathBuf>,
    /// Annotated target files that choose the round
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    dev: Vec<PathBuf>,
    /// Which source type is which target type: `SOURCE_TYPE TARGET_TYPE` per line, `O` drops a type
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// Word vectors of the source in the text format of GloVe, word2vec or fastText; .gz too
    #[arg(long, value_name = "FILE", requires = "target_vectors")]
    source_vectors: Option<PathBuf>,
    /// Word vectors of the target; the same file where both are one language
    #[arg(long, value_name = "FILE", requires = "source_vectors")]
    target_vectors: Option<PathBuf>,
    /// Dictionary from source to target: FreeDict or own `word TAB translation`, or MUSE `word translation`
    #[arg(long, value_name = "FILE")]
    dictionary: Option<PathBuf>,
    /// Target text, one sentence per line, whose words choose among translations [default: target and dev]
    #[arg(long, value_name = "FILE")]
    target_text: Option<PathBuf>,
    /// Entity types that translation leaves as they are, such as PER between languages of one script
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    keep_types: Vec<String>,
    /// A pre-trained BERT in place of word vectors: a Hugging Face directory
    #[arg(long, value_name = "FOLDER", conflicts_with = "source_vectors")]
    encoder: Option<PathBuf>,
    /// Read all words as their characters
    #[arg(long)]
    characters: bool,
    /// The source is a corpus of words for segmentation, read as characters (for cws-adv)
    #[arg(long)]
    segmentation_source: bool,
    #[command(flatten)]
    columns: Columns,
}

/// Network and schedule.
#[derive(Debug, Args)]
pub(super) struct Settings {
    /// Configuration file (TOML), as a model's folder shows it, instead of the options below
    #[arg(long, value_name = "FILE", conflicts_with_all = ["paper_sizes", "discriminator", "adversarial", "updates"])]
    config: Option<PathBuf>,
    /// Sizes and schedule of DATNet's release: slow without a GPU
    #[arg(long)]
    paper_sizes: bool,
    /// none, plain, grad:ALPHA:GAMMA or grad-released:ALPHA:GAMMA [default: the method's]
    #[arg(long)]
    discriminator: Option<Discriminator>,
    /// none, sentence:EPSILON, total:EPSILON or released:EPSILON [default: the method's]
    #[arg(long)]
    adversarial: Option<Adversarial>,
    /// none, self-tanh or a number of heads [default: the method's]
    #[arg(long, value_parser = attention)]
    attention: Option<Attention>,
    /// One table of words for source and target, as in one language
    #[arg(long)]
    share_words: bool,
    /// One matrix of transitions for source and target
    #[arg(long)]
    share_crf: bool,
    /// Layers that the target draws anew instead of taking them over: embeddings, hidden, output
    #[arg(long, value_delimiter = ',', value_name = "PART")]
    fresh: Option<Vec<Part>>,
    /// Layers that stay as the source left them: embeddings, hidden, output
    #[arg(long, value_delimiter = ',', value_name = "PART")]
    frozen: Option<Vec<Part>>,
    /// Batches of the target
    #[arg(long)]
    updates: Option<usize>,
    /// Batches of the source before the first of the target (init, adapt)
    #[arg(long)]
    source_updates: Option<usize>,
    /// Batches of the source per batch of the target
    #[arg(long)]
    source_share: Option<f64>,
    /// Times that the development sentences are scored
    #[arg(long)]
    rounds: Option<usize>,
    /// Learning rate of Adam at the start
    #[arg(long)]
    learning_rate: Option<f64>,
}

/// Where it runs.
#[derive(Debug, Args)]
pub(super) struct Machine {
    /// auto, cpu, cuda or cuda:NUMBER
    #[arg(long, default_value = "auto")]
    pub(super) device: Choice,
    /// Threads of libtorch [default: all cores, at most 4]
    #[arg(long)]
    threads: Option<i32>,
    /// No progress on standard error
    #[arg(long)]
    pub(super) quiet: bool,
}

fn attention(text: &str) -> Result<Attention, String> {
    match text {
        "none" => Ok(Attention::None),
        "self-tanh" => Ok(Attention::SelfTanh),
        heads => heads
            .parse()
            .map(Attention::MultiHead)
            .map_err(|_| format!("`{text}` is no attention; expected none, self-tanh or a number of heads")),
    }
}

impl Machine {
    /// The device, with libtorch's threads set.
    pub(super) fn open(&self) -> Result<tch::Device> {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get().min(4) as i32);
        tch::set_num_threads(self.threads.unwrap_or(cores));
        Ok(self.device.open()?)
    }
}

impl Settings {
    /// The configuration of a method.
    pub(super) fn config(&self, method: Method) -> Result<Config> {
        let mut config = match &self.config {
            Some(path) => {
                let text = common::files::read_text(path)?;
                let config: Config = toml::from_str(&text)
                    .with_context(|| format!("reading the configuration {}", path.display()))?;
                if config.method != method {
                    bail!("{}: of the method {}, expected {method}", path.display(), config.method);
                }
                config
            }
            None if self.paper_sizes => Config::paper(method),
            None => Config::small(method),
        };
        config.discriminator = self.discriminator.unwrap_or(config.discriminator);
        config.adversarial = self.adversarial.unwrap_or(config.adversarial);
        let (network, schedule) = (&mut config.network, &mut config.schedule);
        network.attention = self.attention.unwrap_or(network.attention);
        network.share_words |= self.share_words;
        network.share_crf |= self.share_crf;
        schedule.updates = self.updates.unwrap_or(schedule.updates);
        schedule.source_updates = self.source_updates.unwrap_or(schedule.source_updates);
        schedule.source_share = self.source_share.unwrap_or(schedule.source_share);
        schedule.rounds = self.rounds.unwrap_or(schedule.rounds).min(schedule.updates);
        schedule.learning_rate = self.learning_rate.unwrap_or(schedule.learning_rate);
        if let Some(fresh) = &self.fresh {
            config.transfer.fresh.clone_from(fresh);
        }
        if let Some(frozen) = &self.frozen {
            config.transfer.frozen.clone_from(frozen);
        }
        config.validate()?;
        Ok(config)
    }
}

impl Files {
    /// Name of the segmenter that cuts text for a model of these files.
    pub(super) fn segmentation(&self) -> &'static str {
        if self.characters || self.segmentation_source { CHARACTERS } else { SPACES }
    }

    /// Sentences of one side, checked and in the form that the method reads.
    pub(super) fn read(&self, paths: &[PathBuf], what: &str) -> Result<Vec<Sentence>> {
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let mut sentences = self.columns.read(paths).with_context(|| format!("reading the {what} files"))?;
        let changed = normalise(&mut sentences);
        if changed > 0 {
            eprintln!(
                "warning: {changed} words of the {what} files were not in Unicode's form NFC and were brought to it"
            );
        }
        Ok(sentences)
    }

    /// Everything that was given; a pre-trained encoder stands on `device`.
    pub(super) fn inputs(&self, device: Device) -> Result<Inputs> {
        let mut source = self.read(&self.source, "source")?;
        if let Some(path) = &self.map {
            TypeMap::read(path)?.apply(&mut source);
        }
        let mut target = self.read(&self.target, "target")?;
        let mut dev = self.read(&self.dev, "development")?;
        if self.characters || self.segmentation_source {
            source = if self.segmentation_source { as_segmentation(&source) } else { as_characters(&source) };
            target = as_characters(&target);
            dev = as_characters(&dev);
        }
        let dictionary = self.dictionary.as_deref().map(Dictionary::read).transpose()?;
        let vectors = match (&self.source_vectors, &self.target_vectors) {
            (Some(one), Some(two)) => {
                let of_target = [&target[..], &dev].concat();
                Some(read_vectors([one, two], [&source, &of_target], ALIGNED_WORDS)?)
            }
            _ => None,
        };
        let counts = match &self.target_text {
            None => None,
            Some(path) => Some(frequencies(&text_of(path)?)),
        };
        let kept = self.keep_types.clone();
        let encoder = self.encoder.as_deref().map(|folder| Contextual::read(folder, device)).transpose()?;
        // Runs of `curve` share sentences.
        let encoder = encoder.map(|encoder| Rc::new(encoder.remembering()));
        Ok(Inputs { source, target, dev, vectors, dictionary, aligned: None, counts, kept, encoder })
    }
}

/// Sentences of plain text, one per line, words at spaces.
pub(super) fn text_of(path: &std::path::Path) -> Result<Vec<Sentence>> {
    let mut lines = common::formats::open(path)?;
    let mut sentences = Vec::new();
    while let Some((_, line)) = lines.next_line()? {
        let words = line.split_whitespace().map(str::to_owned).collect();
        sentences.push(Sentence { words, ..Sentence::default() });
    }
    Ok(sentences)
}
