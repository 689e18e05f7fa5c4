//! Training runs: which batches of which resource a phase takes, and the phases of each method.

use common::formats::Sentence;
use common::metrics::entity::EntityScores;
use common::optim::AdamWConfig;
use common::seed;
pub use common::train::{Checkpoints, EpochPoint, History, Progress};
use common::train::{Course, Identity, Learned, Learner, StepError, digest, fit, length_buckets};
use tch::nn::VarStore;
use thiserror::Error;

use crate::adversary::Discriminator;
use crate::batch::{Prepared, Resource};
use crate::config::{Method, Part};
use crate::model::{Model, ModelError};
use crate::step;

/// A run that could not go on.
#[derive(Debug, Error)]
pub enum TrainError {
    /// Nothing to learn from or to choose by.
    #[error("no {0} sentences; {1}")]
    Empty(&'static str, &'static str),
    /// Different entity types where one output layer serves both, or the source's is copied.
    #[error(
        "source and target have different entity types ({source_types} against {target_types}), and {what}; give a \
         mapping file with --map (`SOURCE_TYPE TARGET_TYPE` per line, `O` drops a type), or choose a method with two \
         output layers"
    )]
    Labels {
        /// Of the source.
        source_types: String,
        /// Of the target.
        target_types: String,
        /// Why it matters.
        what: &'static str,
    },
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Divergence, or a checkpoint that was not written or is not this run's.
    #[error(transparent)]
    Run(#[from] common::train::TrainError<ModelError>),
}

/// Sentences of a run.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    /// Source sentences, translated where the method translates.
    pub source: &'a [Sentence],
    /// Target sentences.
    pub target: &'a [Sentence],
    /// Target sentences that choose the round.
    pub dev: &'a [Sentence],
    /// Target sentences that are scored after each round without any effect on it, to measure what choosing by them would gain.
    pub watched: &'a [Sentence],
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// Of the last phase.
    pub history: History,
    /// Of the phase on the source alone, where there was one.
    pub source_history: Option<History>,
    /// F1 on the watched sentences after each round; empty without any.
    pub watched: Vec<f64>,
}

/// Which batches a phase takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Source,
    Target,
    /// Both in turn.
    Both,
}

struct Run<'a> {
    model: &'a Model,
    data: [Option<Prepared>; 2],
    dev: Prepared,
    sentences: Data<'a>,
    watch: Option<Prepared>,
    watched: Vec<f64>,
    takes: Takes,
    updates: usize,
    rounds: usize,
    seed: u64,
}

/// Trains `model` by its method. `observe` is told of each step and each round (an epoch of the history) and returns `false` to
/// stop there; a stopped run leaves a checkpoint.
///
/// Same model, data, configuration, seed and thread count give the same bits, whether or not the run was stopped and resumed
/// in between.
///
/// # Errors
/// [`TrainError`].
pub fn train(
    model: &Model,
    data: Data<'_>,
    run_seed: u64,
    checkpoints: &Checkpoints,
    mut observe: impl FnMut(Progress<'_>) -> bool,
) -> Result<Trained, TrainError> {
    check(model, &data)?;
    let method = model.config.method;
    let two_phases = matches!(method, Method::Init | Method::Adapt);
    let mut source_history = None;
    if two_phases && !resumes(checkpoints, "target") {
        model.freeze(&[]);
        let phase = in_folder(checkpoints, "source", true);
        let (history, _) = Run::new(model, data, Takes::Source, run_seed)?.fit(&phase, &mut observe)?;
        if history.stopped {
            return Ok(Trained { history, source_history: None, watched: Vec::new() });
        }
        source_history = Some(history);
        take_over(model, run_seed);
    }
    model.freeze(&model.config.transfer.frozen);
    let takes = match (method, data.target.is_empty()) {
        (_, true) => Takes::Source,
        (Method::Base | Method::Init | Method::Adapt, _) => Takes::Target,
        _ => Takes::Both,
    };
    let phase = if two_phases { in_folder(checkpoints, "target", true) } else { checkpoints.clone() };
    let (history, watched) = Run::new(model, data, takes, run_seed)?.fit(&phase, &mut observe)?;
    model.freeze(&[]);
    Ok(Trained { history, source_history, watched })
}

fn check(model: &Model, data: &Data<'_>) -> Result<(), TrainError> {
    let method = model.config.method;
    if data.dev.is_empty() {
        return Err(TrainError::Empty(
            "development",
            "they choose the round that is kept; give some with --dev",
        ));
    }
    if method.needs_source() && data.source.is_empty() {
        return Err(TrainError::Empty("source", "this method transfers from them; give some with --source"));
    }
    if data.target.is_empty() && !method.works_without_target() {
        let hint = "only direct, cheap and align work without any; give some with --target";
        return Err(TrainError::Empty("target", hint));
    }
    let types = |sentences: &[Sentence]| common::tagging::label::LabelSet::of(sentences).types().to_vec();
    let (source, target) = (types(data.source), types(data.target));
    let copies = method == Method::Init && !model.config.transfer.fresh.contains(&Part::Output);
    // Without target sentences the development sentences say which types are meant.
    let meant = if data.target.is_empty() { types(data.dev) } else { target.clone() };
    let missing = method.one_output() && meant.iter().any(|label| !source.contains(label));
    if missing || (copies && source != target) {
        let what = if copies {
            "the output layer of the source is taken over"
        } else {
            "this method has one output layer for both"
        };
        let text = |types: Vec<String>| types.join(", ");
        return Err(TrainError::Labels { source_types: text(source), target_types: text(meant), what });
    }
    Ok(())
}

/// What the target takes over from the source's phase.
fn take_over(model: &Model, run_seed: u64) {
    let fresh = &model.config.transfer.fresh;
    let drawn: Vec<Part> = fresh.iter().copied().filter(|part| *part != Part::Output).collect();
    model.draw_anew(&drawn, run_seed);
    if !fresh.contains(&Part::Output) {
        model.copy_output();
    }
}

fn in_folder(checkpoints: &Checkpoints, name: &str, if_there: bool) -> Checkpoints {
    let folder = checkpoints.folder.as_ref().map(|folder| folder.join(name));
    let resume = checkpoints.resume && (!if_there || resumes(checkpoints, name));
    Checkpoints { folder, resume }
}

fn resumes(checkpoints: &Checkpoints, name: &str) -> bool {
    let there = checkpoints.folder.as_ref().map(|folder| folder.join(name).join("last.json"));
    checkpoints.resume && there.is_some_and(|file| file.exists())
}

impl<'a> Run<'a> {
    fn new(model: &'a Model, sentences: Data<'a>, takes: Takes, seed: u64) -> Result<Self, TrainError> {
        let prepare = |sentences: &[Sentence], resource, wanted: bool| {
            let there = wanted && !sentences.is_empty();
            there.then(|| model.prepare(sentences, resource, true)).transpose()
        };
        let source = prepare(sentences.source, Resource::Source, takes != Takes::Target)?;
        let target = prepare(sentences.target, Resource::Target, takes != Takes::Source)?;
        let schedule = &model.config.schedule;
        let before = takes == Takes::Source && !model.config.method.works_without_target();
        Ok(Self {
            model,
            data: [source, target],
            dev: model.prepare(sentences.dev, Resource::Target, false)?,
            sentences,
            watch: match sentences.watched.is_empty() || before {
                true => None,
                false => Some(model.prepare(sentences.watched, Resource::Target, false)?),
            },
            watched: Vec::new(),
            takes,
            updates: if before { schedule.source_updates.max(1) } else { schedule.updates },
            rounds: if before { 1 } else { schedule.rounds },
            seed,
        })
    }

    fn fit(
        mut self,
        checkpoints: &Checkpoints,
        observe: &mut impl FnMut(Progress<'_>) -> bool,
    ) -> Result<(History, Vec<f64>), TrainError> {
        let history = fit(&mut self, checkpoints, observe)?;
        Ok((history, self.watched))
    }

    /// Batches `from..to` of a resource's endless series of passes, each pass in an order of its own.
    fn batches(&self, resource: Resource, from: usize, to: usize) -> Vec<(Resource, Vec<usize>)> {
        let Some(data) = &self.data[resource.index()] else { return Vec::new() };
        let size = self.model.config.schedule.batch_sentences;
        let per_pass = data.len().div_ceil(size).max(1);
        let lengths = data.lengths();
        let stream = seed::derive(self.seed, resource.name(), 0);
        let passes = from / per_pass..to.div_ceil(per_pass);
        passes
            .flat_map(|pass| (pass * per_pass..).zip(length_buckets(&lengths, size, stream, pass)))
            .filter(|(index, _)| (from..to).contains(index))
            .map(|(_, rows)| (resource, rows))
            .collect()
    }

    /// Batches of the main resource at the end of a round.
    fn until(&self, round: usize) -> usize {
        self.updates * round / self.rounds
    }

    fn with_source(&self, updates: usize) -> usize {
        (updates as f64 * self.model.config.schedule.source_share).floor() as usize
    }
}

impl Learner for Run<'_> {
    type Batch = (Resource, Vec<usize>);
    type Error = ModelError;

    fn store(&self) -> &VarStore {
        &self.model.store
    }

    fn course(&self) -> Course {
        let schedule = &self.model.config.schedule;
        let steps = match self.takes {
            Takes::Both => self.updates + self.with_source(self.updates),
            _ => self.updates,
        };
        Course {
            epochs: self.rounds,
            steps,
            examples: steps * schedule.batch_sentences / self.rounds,
            clip_norm: schedule.clip_norm,
            patience: None,
            optimiser: AdamWConfig::adam(),
        }
    }

    fn identity(&self) -> Identity {
        Identity::new([
            ("configuration", digest(&(&self.model.config, self.takes == Takes::Source))),
            ("set of training sentences", digest(&(self.sentences.source, self.sentences.target))),
            ("set of development sentences", digest(&self.sentences.dev)),
            ("seed", self.seed.to_string()),
        ])
    }

    fn plan(&self, round: usize) -> Vec<(Resource, Vec<usize>)> {
        let (from, to) = (self.until(round - 1), self.until(round));
        match self.takes {
            Takes::Source => self.batches(Resource::Source, from, to),
            Takes::Target => self.batches(Resource::Target, from, to),
            Takes::Both => {
                let target = self.batches(Resource::Target, from, to);
                let mut source =
                    self.batches(Resource::Source, self.with_source(from), self.with_source(to)).into_iter();
                let mut plan = Vec::new();
                for (index, batch) in (from..).zip(target) {
                    let before = self.with_source(index + 1) - self.with_source(index);
                    plan.extend(source.by_ref().take(before));
                    plan.push(batch);
                }
                plan
            }
        }
    }

    fn learning_rate(&self, round: usize, _step: usize) -> f64 {
        let schedule = &self.model.config.schedule;
        let rate = schedule.learning_rate / (1.0 + schedule.decay * (round - 1) as f64);
        rate.max(schedule.floor.min(schedule.learning_rate))
    }

    fn learn(
        &mut self,
        (resource, rows): &(Resource, Vec<usize>),
        step: usize,
    ) -> Result<Learned, StepError<ModelError>> {
        let (model, config) = (self.model, &self.model.config);
        let streams = if self.takes == Takes::Source {
            ["dropout-source", "unknown-source"]
        } else {
            ["dropout", "unknown"]
        };
        tch::manual_seed(seed::derive(self.seed, streams[0], step as u64) as i64);
        let mut rng = seed::rng(self.seed, streams[1], step as u64);
        let data = self.data[resource.index()].as_ref().expect("a plan has batches of what there is");
        let unknown = Some((config.network.unknown_rate, &mut rng));
        let batch = data.batch(rows, unknown, model.store.device());
        let discriminate = self.takes == Takes::Both && config.discriminator != Discriminator::None;
        let output = model.output(*resource);
        let loss = step::gradients(&model.network, &batch, output, discriminate, config.adversarial)
            .map_err(StepError::Diverged)?;
        Ok(Learned { loss, words: batch.lengths.iter().sum() })
    }

    fn score(&mut self) -> Result<f64, ModelError> {
        if self.takes == Takes::Source && !self.model.config.method.works_without_target() {
            return Ok(0.0); // the only round of this phase is kept
        }
        if let Some(watch) = &self.watch {
            let predicted = self.model.tag(watch);
            self.watched.push(micro_f1(self.sentences.watched, &predicted));
        }
        Ok(micro_f1(self.sentences.dev, &self.model.tag(&self.dev)))
    }
}

/// Micro-averaged entity F1 of predictions, 0 where undefined.
pub fn micro_f1(gold: &[Sentence], predicted: &[Vec<common::formats::Span>]) -> f64 {
    let mut scores = EntityScores::default();
    gold.iter().zip(predicted).for_each(|(sentence, spans)| scores.add(&sentence.spans, spans));
    scores.micro().f1
}
