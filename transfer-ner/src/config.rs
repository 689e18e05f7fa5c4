//! What one training run is told: method, network, adversaries and schedule.

use std::fmt;
use std::str::FromStr;

use common::formats::Scheme;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::adversary::{Adversarial, Discriminator};

/// How knowledge of the source comes to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Target sentences only.
    Base,
    /// A tagger of the source, applied to the target as it is.
    Direct,
    /// Source sentences translated word by word with a dictionary (Mayhew et al. 2017), then as target sentences.
    Cheap,
    /// Source words translated to their nearest target words in an aligned space (Xie et al. 2018), then as target sentences.
    Align,
    /// Source first, then target from its parameters (Mou et al. 2016).
    Init,
    /// Source and target in turn with shared layers (Mou et al. 2016).
    Mult,
    /// A source tagger re-used below and above new layers (Lin and Lu 2018).
    Adapt,
    /// One shared BiLSTM (DATNet-F, Zhou et al. 2019); without adversaries it is F-Transfer.
    DatnetF,
    /// Private and shared BiLSTMs (DATNet-P, Zhou et al. 2019); without adversaries it is P-Transfer.
    DatnetP,
    /// Word segmentation as the source task, private and shared BiLSTMs with multi-head self-attention (Cao et al. 2018).
    CwsAdv,
}

impl Method {
    /// All methods with their names.
    pub const ALL: [(Self, &'static str); 10] = [
        (Self::Base, "base"),
        (Self::Direct, "direct"),
        (Self::Cheap, "cheap"),
        (Self::Align, "align"),
        (Self::Init, "init"),
        (Self::Mult, "mult"),
        (Self::Adapt, "adapt"),
        (Self::DatnetF, "datnet-f"),
        (Self::DatnetP, "datnet-p"),
        (Self::CwsAdv, "cws-adv"),
    ];

    /// Whether source sentences are needed.
    pub fn needs_source(self) -> bool {
        self != Self::Base
    }

    /// Whether it works without a single target sentence to learn from.
    pub fn works_without_target(self) -> bool {
        matches!(self, Self::Direct | Self::Cheap | Self::Align)
    }

    /// Whether source and target go through one output layer, so that they need the same entity types.
    pub fn one_output(self) -> bool {
        self.works_without_target()
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, name) = Self::ALL.iter().find(|(method, _)| method == self).expect("all methods are listed");
        f.write_str(name)
    }
}

/// A name that is no method.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a method; expected base, direct, cheap, align, init, mult, adapt, datnet-f, datnet-p or cws-adv"
)]
pub struct UnknownMethod(String);

impl FromStr for Method {
    type Err = UnknownMethod;

    fn from_str(name: &str) -> Result<Self, UnknownMethod> {
        let found = Self::ALL.iter().find(|(_, known)| *known == name);
        found.map(|(method, _)| *method).ok_or_else(|| UnknownMethod(name.to_owned()))
    }
}

/// Everything that decides a training run besides the data and the seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How knowledge of the source comes to the target.
    pub method: Method,
    /// The network.
    pub network: NetworkConfig,
    /// What tells source from target, against the shared encoder.
    pub discriminator: Discriminator,
    /// Weight of the gradient that the discriminator sends back, λ_r. DATNet's releases: 0.7; Cao et al.: 1.
    pub reverse: f64,
    /// Weight of the discriminator's loss. DATNet: 1; Cao et al.: 0.06.
    pub discriminator_weight: f64,
    /// Perturbed embeddings. DATNet's releases: ε = 5, the norm of characters per dimension.
    pub adversarial: Adversarial,
    /// Tags of the output layers. DATNet: IOBES.
    pub scheme: Scheme,
    /// What is learned when.
    pub schedule: Schedule,
    /// What a fine-tuned network takes over.
    pub transfer: Transfer,
}

/// The network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Width of word embeddings that are learned; vectors that are given bring their own.
    pub word_width: i64,
    /// Whether source and target words have one table, as in one language.
    pub share_words: bool,
    /// Width of a character embedding. Release A: 50 (base 30).
    pub character_width: i64,
    /// Characters that the filters see. Release A: 2, 3, 4.
    pub kernels: Vec<i64>,
    /// Filters per kernel width; 0 leaves the characters out. Release A: 20.
    pub filters: i64,
    /// Highway layers over the filters. Releases: 2.
    pub highways: i64,
    /// Units per direction of the shared BiLSTM. Release A: F 200, P 100.
    pub shared_hidden: i64,
    /// Units per direction of the private BiLSTMs; 0: there are none (layout F). Release A: P 100.
    pub private_hidden: i64,
    /// Self-attention over the BiLSTMs' states.
    pub attention: Attention,
    /// How the discriminator sees a sentence.
    pub pooling: Pooling,
    /// Whether both output layers share one matrix of transitions, where their classes are the same. Releases: yes; figure: no.
    pub share_crf: bool,
    /// Whether the CRF scores first and last tags. Releases: no.
    pub crf_ends: bool,
    /// Whether decoding forbids tags that cannot follow one another. Releases: no.
    pub constrained: bool,
    /// Dropout on the embeddings. Releases: 0.2.
    pub dropout_input: f64,
    /// Dropout on the BiLSTMs' states. Releases: 0.5.
    pub dropout_output: f64,
    /// Probability that a word seen once in training is read as unknown, where word embeddings are learned.
    pub unknown_rate: f64,
    /// Units per direction of a new BiLSTM below the source's one (sentence adaptation); 0: there is none.
    pub sentence_adaptation: i64,
    /// Units per direction of a new BiLSTM above the source's one (output adaptation); 0: there is none.
    pub output_adaptation: i64,
}

/// Self-attention over the states of a BiLSTM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attention {
    /// None.
    #[default]
    None,
    /// Xie et al. 2018: one head without scaling, the diagonal's logits 0, context beside the states.
    SelfTanh,
    /// Cao et al. 2018: this many heads, ReLU projections, residual, layer norm.
    MultiHead(i64),
}

/// How a discriminator sees a sentence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// Self-attention pooling (DATNet).
    #[default]
    Attention,
    /// Maximum over the words (Cao et al.).
    Max,
    /// Sum over the words: what the attention of release A computes.
    Sum,
}

/// What is learned when. A step is one batch of one resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Batches of the target; of the source where there is no target sentence.
    pub updates: usize,
    /// Batches of the source per batch of the target, for methods that take them in turn.
    pub source_share: f64,
    /// Batches of the source before the first of the target, for `init` and `adapt`.
    pub source_updates: usize,
    /// Times that the development sentences are scored.
    pub rounds: usize,
    /// Sentences per batch. Release A: 16.
    pub batch_sentences: usize,
    /// Learning rate of Adam at the start. Releases: 1e-3.
    pub learning_rate: f64,
    /// `lr / (1 + decay · round)`. Release A: 0.05 per epoch.
    pub decay: f64,
    /// Lowest learning rate. Release A: 1e-4.
    pub floor: f64,
    /// Largest norm of the gradient over all parameters. Releases: 5.
    pub clip_norm: f64,
}

/// What a fine-tuned network takes over from the source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// Layers that the target does not take over but draws anew.
    pub fresh: Vec<Part>,
    /// Layers that stay as the source left them.
    pub frozen: Vec<Part>,
    /// Whether target word vectors are mapped to the source's by the words that both have (word adaptation).
    pub map_words: bool,
}

/// A part of the network that fine-tuning treats as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Word and character embeddings, E.
    Embeddings,
    /// The BiLSTM, H.
    Hidden,
    /// Output layer and transitions, O.
    Output,
}

impl FromStr for Part {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "embeddings" => Ok(Self::Embeddings),
            "hidden" => Ok(Self::Hidden),
            "output" => Ok(Self::Output),
            _ => Err(format!("`{name}` is not a part; expected embeddings, hidden or output")),
        }
    }
}

/// A configuration that no run could carry out.
#[derive(Debug, Error, PartialEq)]
#[error("configuration: `{field}` is {found}; expected {expected}")]
pub struct ConfigError {
    field: &'static str,
    found: String,
    expected: &'static str,
}

impl Config {
    /// Release A's sizes with the formulas of the paper: the preset `full`.
    pub fn paper(method: Method) -> Self {
        let config = Self::sized(method, [50, 20, 200, 100]);
        let schedule = Schedule { updates: 5000, source_updates: 5000, rounds: 50, ..config.schedule };
        Self { schedule, ..config }
    }

    /// Small enough for many runs on a processor: the presets `quick` and `cpu`, and the command's default.
    pub fn small(method: Method) -> Self {
        let config = Self::sized(method, [25, 10, 64, 32]);
        let schedule = Schedule { learning_rate: 3e-3, ..config.schedule };
        Self { schedule, ..config }
    }

    /// A recipe with widths of character embedding, filters, BiLSTM of layout F, and each BiLSTM of layout P.
    fn sized(method: Method, [character_width, filters, hidden_f, hidden_p]: [i64; 4]) -> Self {
        let private = matches!(method, Method::DatnetP | Method::CwsAdv);
        let datnet = matches!(method, Method::DatnetF | Method::DatnetP);
        let network = NetworkConfig {
            word_width: 50,
            share_words: false,
            character_width,
            kernels: vec![2, 3, 4],
            filters,
            highways: 2,
            shared_hidden: if private { hidden_p } else { hidden_f },
            private_hidden: if private { hidden_p } else { 0 },
            attention: match method {
                Method::Align => Attention::SelfTanh,
                Method::CwsAdv => Attention::MultiHead(8),
                _ => Attention::None,
            },
            pooling: if method == Method::CwsAdv { Pooling::Max } else { Pooling::Attention },
            share_crf: false,
            crf_ends: false,
            constrained: false,
            dropout_input: 0.2,
            dropout_output: 0.5,
            unknown_rate: 0.5,
            sentence_adaptation: if method == Method::Adapt { hidden_p } else { 0 },
            output_adaptation: if method == Method::Adapt { hidden_p } else { 0 },
        };
        let frozen = if method == Method::Adapt { vec![Part::Embeddings, Part::Hidden] } else { vec![] };
        let fresh = match method {
            Method::Init | Method::Adapt => vec![Part::Output],
            _ => vec![],
        };
        Self {
            method,
            network,
            discriminator: match method {
                Method::CwsAdv => Discriminator::Plain,
                _ if datnet => Discriminator::Grad { alpha: 0.25, gamma: 2.0 },
                _ => Discriminator::None,
            },
            reverse: if method == Method::CwsAdv { 1.0 } else { 0.7 },
            discriminator_weight: if method == Method::CwsAdv { 0.06 } else { 1.0 },
            adversarial: if datnet { Adversarial::Sentence(5.0) } else { Adversarial::None },
            scheme: Scheme::Iobes,
            schedule: Schedule {
                updates: 400,
                source_share: 1.0,
                source_updates: 400,
                rounds: 8,
                batch_sentences: 16,
                learning_rate: 1e-3,
                decay: 0.05,
                floor: 1e-4,
                clip_norm: 5.0,
            },
            transfer: Transfer { fresh, frozen, map_words: method == Method::Adapt },
        }
    }

    /// Refuses values that no run could carry out.
    ///
    /// # Errors
    /// [`ConfigError`] names the first field out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let (n, s) = (&self.network, &self.schedule);
        let (positive, share) = ("a positive number", "a number from 0 up to but not including 1");
        let zero = "0 or more";
        check("network.word_width", n.word_width, n.word_width > 0, positive)?;
        check("network.shared_hidden", n.shared_hidden, n.shared_hidden > 0, positive)?;
        check("network.private_hidden", n.private_hidden, n.private_hidden >= 0, zero)?;
        check("network.filters", n.filters, n.filters >= 0, zero)?;
        let kernels = format!("{:?}", n.kernels);
        let fit = !n.kernels.is_empty() && n.kernels.iter().all(|&k| (1..=24).contains(&k));
        check("network.kernels", kernels, fit || n.filters == 0, "widths from 1 to 24")?;
        check("network.character_width", n.character_width, n.character_width > 0, positive)?;
        check("network.highways", n.highways, n.highways >= 0, zero)?;
        for (field, value) in
            [("network.dropout_input", n.dropout_input), ("network.dropout_output", n.dropout_output)]
        {
            check(field, value, (0.0..1.0).contains(&value), share)?;
        }
        check("network.unknown_rate", n.unknown_rate, (0.0..=1.0).contains(&n.unknown_rate), "0 to 1")?;
        if let Attention::MultiHead(heads) = n.attention {
            let widths = [n.shared_hidden, n.private_hidden];
            let fit = heads > 0 && widths.iter().all(|width| (2 * width) % heads == 0);
            check("network.attention", heads, fit, "a number of heads that divides twice each hidden width")?;
        }
        for (field, value) in [
            ("schedule.updates", s.updates),
            ("schedule.rounds", s.rounds),
            ("schedule.batch_sentences", s.batch_sentences),
        ] {
            check(field, value, value > 0, positive)?;
        }
        check("schedule.rounds", s.rounds, s.rounds <= s.updates, "at most `schedule.updates`")?;
        check("schedule.source_share", s.source_share, s.source_share >= 0.0, zero)?;
        check("schedule.learning_rate", s.learning_rate, s.learning_rate > 0.0, positive)?;
        check("schedule.clip_norm", s.clip_norm, s.clip_norm > 0.0, positive)?;
        let iob = matches!(self.scheme, Scheme::Iob2 | Scheme::Iobes);
        check("scheme", self.scheme, iob, "iob2 or iobes")
    }
}

fn check(
    field: &'static str,
    found: impl ToString,
    holds: bool,
    expected: &'static str,
) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError { field, found: found.to_string(), expected }) }
}
