//! The network: embeddings, shared and private BiLSTMs, output layers with a CRF, the resource discriminator.
//!
//! One network serves all methods. Layout F has one shared BiLSTM; layout P has a private one for each resource beside it and
//! features `[private ; shared]`. Adaptation layers stand before and after the shared BiLSTM on the way of the target.

use common::crf::{Crf, Scores};
use common::nn::linear::Linear;
use common::nn::lstm::Lstm;
use common::tagging::label::LabelSet;
use tch::Tensor;
use tch::nn::{Init, Path};

use super::attention::SelfAttention;
use super::chars::Characters;
use super::resource::ResourceNetwork;
use crate::adversary::Discriminator;
use crate::batch::{Batch, Resource};
use crate::config::{Config, NetworkConfig};

/// Everything between words and tags.
#[derive(Debug)]
pub struct Network {
    words: Option<Tensor>,
    characters: Option<Characters>,
    before: Option<(Lstm, Linear)>,
    shared: Encoder,
    private: Option<[Encoder; 2]>,
    after: Option<Lstm>,
    outputs: [Linear; 2],
    crfs: [Crf; 2],
    shares_crf: bool,
    resource: Option<ResourceNetwork>,
    config: NetworkConfig,
    discriminator: Discriminator,
    discriminator_weight: f64,
}

#[derive(Debug)]
struct Encoder {
    lstm: Lstm,
    attention: SelfAttention,
}

/// What surrounds a network: sizes that follow from the data.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// Rows of the table of words.
    pub n_words: i64,
    /// Width of given word vectors or of a pre-trained encoder's; absent: vectors are learned, as wide as configured.
    pub given_width: Option<i64>,
    /// Whether a pre-trained encoder takes the place of the table of words.
    pub encoder: bool,
    /// Number of character ids.
    pub n_characters: i64,
    /// Classes of source and target.
    pub labels: [&'a LabelSet; 2],
}

/// The embeddings of a batch before anything acts on them.
#[derive(Debug)]
pub struct Embedded {
    /// Word vectors, `[batch, tokens, width]`.
    pub words: Tensor,
    /// Largest value of each filter over the characters, `[words, filters]`, for each distinct word or each place; absent without
    /// characters.
    maxima: Option<Tensor>,
    /// Row of the maxima for each place; absent where there is one row per place.
    spread: Option<Tensor>,
}

/// Losses of a batch, scalars.
#[derive(Debug)]
pub struct Losses {
    /// Negative log-likelihood of the tags, mean over sentences.
    pub tagger: Tensor,
    /// Weighted loss of the discriminator, where there is one and it was asked for.
    pub resource: Option<Tensor>,
}

impl Embedded {
    /// Word vectors, `[batch, tokens, width]`, and maxima of each place, `[batch · tokens, filters]`, of a network with characters.
    pub fn of_places(words: Tensor, maxima: Option<Tensor>) -> Self {
        Self { words, maxima, spread: None }
    }
}

impl Encoder {
    fn new(path: &Path, input: i64, hidden: i64, config: &NetworkConfig) -> Self {
        Self {
            lstm: Lstm::new(&(path / "lstm"), input, hidden, 1, 0.0),
            attention: SelfAttention::new(&(path / "attention"), config.attention, 2 * hidden),
        }
    }

    fn forward(&self, input: &Tensor, batch: &Batch, dropout: f64, train: bool) -> Tensor {
        let states = self.lstm.forward(input, &batch.padded.lengths, train);
        self.attention.forward(&states, &batch.keep, dropout, train)
    }
}

impl Network {
    /// New network at `path` with freshly drawn parameters.
    pub fn new(path: &Path, config: &Config, around: &Surroundings<'_>) -> Self {
        let net = &config.network;
        let word_width = around.given_width.unwrap_or(net.word_width);
        let words = (!around.encoder).then(|| {
            let shape = [around.n_words, word_width];
            match around.given_width {
                Some(_) => (path / "words").zeros_no_train("weight", &shape),
                None => (path / "words").var("weight", &shape, Init::Randn { mean: 0.0, stdev: 0.3 }),
            }
        });
        let characters = (net.filters > 0).then(|| {
            let path = path / "characters";
            let n = around.n_characters;
            Characters::new(&path, n, net.character_width, &net.kernels, net.filters, net.highways)
        });
        let input = word_width + characters.as_ref().map_or(0, Characters::width);
        let shared = Encoder::new(&(path / "shared"), input, net.shared_hidden, net);
        let private = (net.private_hidden > 0).then(|| {
            ["source", "target"].map(|name| Encoder::new(&(path / name), input, net.private_hidden, net))
        });
        let shared_width = shared.attention.width(2 * net.shared_hidden);
        let private_width = match &private {
            Some([encoder, _]) => encoder.attention.width(2 * net.private_hidden),
            None => 0,
        };
        let states = shared_width + private_width;
        let before = (net.sentence_adaptation > 0).then(|| {
            let path = path / "sentence_adaptation";
            let hidden = net.sentence_adaptation;
            (Lstm::new(&path, input, hidden, 1, 0.0), Linear::new(&(&path / "back"), 2 * hidden, input))
        });
        let after = (net.output_adaptation > 0)
            .then(|| Lstm::new(&(path / "output_adaptation"), states, net.output_adaptation, 1, 0.0));
        let widths = [states, if after.is_some() { 2 * net.output_adaptation } else { states }];
        let classes = around.labels.map(LabelSet::n_classes);
        let at = |resource: usize| path / ["source", "target"][resource] / "output";
        let shares_crf = net.share_crf && around.labels[0] == around.labels[1];
        let resource = (config.discriminator != Discriminator::None).then(|| {
            ResourceNetwork::new(&(path / "discriminator"), shared_width, net.pooling, config.reverse)
        });
        Self {
            words,
            characters,
            before,
            shared,
            private,
            after,
            outputs: [0, 1].map(|r| Linear::new(&at(r), widths[r], classes[r])),
            crfs: [0, 1].map(|r| Crf::new(&(at(r) / "crf"), classes[r])),
            shares_crf,
            resource,
            config: net.clone(),
            discriminator: config.discriminator,
            discriminator_weight: config.discriminator_weight,
        }
    }

    /// Word vectors of a batch, `[batch, tokens, width]`.
    ///
    /// # Panics
    /// When a batch lacks the vectors of the encoder that takes the place of the table: the model brings them together.
    pub fn word_vectors(&self, batch: &Batch) -> Tensor {
        match (&self.words, &batch.features) {
            (Some(table), _) => Tensor::embedding(table, &batch.padded.words, -1, false, false),
            (None, features) => features.as_ref().expect("vectors of the encoder").shallow_clone(),
        }
    }

    /// Embeddings of a batch, characters once per distinct word.
    ///
    /// # Panics
    /// As [`Self::word_vectors`].
    pub fn embed(&self, batch: &Batch) -> Embedded {
        let padded = &batch.padded;
        let maxima = self.characters.as_ref().map(|characters| characters.maxima(&padded.characters));
        Embedded { words: self.word_vectors(batch), maxima, spread: Some(padded.surface.shallow_clone()) }
    }

    /// The network of characters; absent without any.
    pub fn characters(&self) -> Option<&Characters> {
        self.characters.as_ref()
    }

    /// States of the shared encoder and features of the output layer, both `[batch, tokens, width]`.
    pub fn states(&self, embedded: &Embedded, batch: &Batch, train: bool) -> (Tensor, Tensor) {
        let [rows, tokens] = [0, 1].map(|axis| embedded.words.size()[axis]);
        let mut input = embedded.words.shallow_clone();
        if let (Some(characters), Some(maxima)) = (&self.characters, &embedded.maxima) {
            let words = characters.pool(maxima);
            let words = match &embedded.spread {
                Some(spread) => words.index_select(0, spread),
                None => words,
            };
            input = Tensor::cat(&[input, words.view([rows, tokens, -1])], -1);
        }
        let input = input.dropout(self.config.dropout_input, train);
        let is_target = batch.resource == Resource::Target;
        let input = match &self.before {
            Some((lstm, back)) if is_target => {
                let states = lstm.forward(&input, &batch.padded.lengths, train);
                &input + back.forward(&states)
            }
            _ => input,
        };
        let dropout = self.config.dropout_output;
        let shared = self.shared.forward(&input, batch, dropout, train);
        let features = match &self.private {
            Some(private) => {
                let own = private[batch.resource.index()].forward(&input, batch, dropout, train);
                Tensor::cat(&[&own, &shared], -1)
            }
            None => shared.shallow_clone(),
        };
        let features = features.dropout(dropout, train);
        let features = match &self.after {
            Some(lstm) if is_target => {
                lstm.forward(&features, &batch.padded.lengths, train).dropout(dropout, train)
            }
            _ => features,
        };
        (shared, features)
    }

    fn crf(&self, resource: Resource) -> &Crf {
        if self.shares_crf { &self.crfs[1] } else { &self.crfs[resource.index()] }
    }

    /// Losses of a batch with its gold classes, with dropout where `train`. `output` is the resource whose output layer is used;
    /// the discriminator learns which resource the batch is of.
    pub fn losses(
        &self,
        embedded: &Embedded,
        batch: &Batch,
        output: Resource,
        discriminate: bool,
        train: bool,
    ) -> Losses {
        let (shared, features) = self.states(embedded, batch, train);
        let emissions = self.outputs[output.index()].forward(&features);
        let tagger = self.crf(output).loss(&emissions, &batch.gold);
        let resource = self.resource.as_ref().filter(|_| discriminate).map(|network| {
            let logits = network.forward(&shared, &batch.keep);
            let loss = self.discriminator.loss(&logits, batch.resource == Resource::Source);
            loss * self.discriminator_weight
        });
        Losses { tagger, resource }
    }

    /// Best classes of each sentence. `allowed(from, to)` says which classes may follow one another.
    pub fn decode(
        &self,
        batch: &Batch,
        output: Resource,
        allowed: Option<&dyn Fn(Option<usize>, Option<usize>) -> bool>,
    ) -> Vec<Vec<usize>> {
        let embedded = self.embed(batch);
        let (_, features) = self.states(&embedded, batch, false);
        let emissions = self.outputs[output.index()].forward(&features);
        let crf = self.crf(output);
        let Some(allowed) = allowed else { return crf.decode(&emissions, &batch.lengths) };
        let scores = constrained(crf.scores(), allowed);
        crf.decode_with(&scores, &emissions, &batch.lengths)
    }
}

/// Scores with `-inf` where a class may not begin (`None` before it), end (`None` after it) or follow.
fn constrained(scores: Scores, allowed: &dyn Fn(Option<usize>, Option<usize>) -> bool) -> Scores {
    let tags = scores.start.len();
    let keep = |score: f64, holds: bool| if holds { score } else { f64::NEG_INFINITY };
    let start = (0..tags).map(|to| keep(scores.start[to], allowed(None, Some(to)))).collect();
    let end = (0..tags).map(|from| keep(scores.end[from], allowed(Some(from), None))).collect();
    let transitions = (0..tags * tags)
        .map(|at| keep(scores.transitions[at], allowed(Some(at / tags), Some(at % tags))))
        .collect();
    Scores::new(start, end, transitions)
}
