//! Training on a collection: epochs, batches, checkpoints from which a stopped run goes on as if it had not been stopped.

use std::sync::mpsc::sync_channel;

use common::nn::checkpoint::{self, named};
use common::nn::gemm;
use common::seed;
use common::train::{Checkpoints, Identity, ResumeError, digest, length_buckets};
use rand::Rng;
use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use thiserror::Error;

use crate::data::Item;
use crate::encode;
use crate::model::Clip;
use crate::pcm;
use crate::preprocess::{self, ImageError, Rules};
use crate::step::{self, Batch, Losses, Objective, Optimiser, StepError, cosine_rate};
use crate::tokenizer::{Specials, Tokenizer};

/// How a model is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// The losses.
    pub objective: Objective,
    /// Passes over the collection. Official `train.md`: 6; paper: 1.
    pub epochs: usize,
    /// Pairs of a step. Paper: 2048 over all devices; the principal components are those of one device's part there.
    pub batch: usize,
    /// Highest learning rate. Official code: 1e-6; the paper's 1e-4 is a misprint, says its author.
    pub learning_rate: f64,
    /// Steps of the linear rise. Official code: 200.
    pub warmup: usize,
    /// Decoupled weight decay. Official code and paper: 0.01.
    pub weight_decay: f64,
    /// exp(logit_scale) at the start; absent: the checkpoint's. Official code: 100.
    pub first_scale: Option<f64>,
    /// Products in bfloat16.
    pub bfloat16: bool,
    /// Texts of near-equal lengths share a batch. Costs little less, as no padding is computed either way, and makes negatives of
    /// equal lengths.
    pub length_buckets: bool,
}

impl TrainConfig {
    /// The official code's settings for one device with batches of 128.
    pub fn official() -> Self {
        Self {
            objective: Objective::paper(),
            epochs: 6,
            batch: 128,
            learning_rate: 1e-6,
            warmup: 200,
            weight_decay: 0.01,
            first_scale: Some(100.0),
            bfloat16: false,
            length_buckets: false,
        }
    }
}

/// What a run came to so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// Mean losses of each epoch that is over.
    pub epochs: Vec<Losses>,
    /// Steps made, and of the whole run.
    pub step: usize,
    /// Steps of the whole run.
    pub steps: usize,
    /// Images that could not be read, with their reasons; each once.
    pub broken: Vec<String>,
    /// Whether the run ended before its last step.
    pub stopped: bool,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Place {
    epoch: usize,
    in_epoch: usize,
    sums: [f64; 3],
}

/// A run that cannot go on.
#[derive(Debug, Error)]
pub enum TrainError {
    /// Fewer pairs than a batch.
    #[error("{pairs} images with captions are fewer than a batch of {batch}; lower --batch")]
    Few {
        /// Pairs.
        pairs: usize,
        /// Pairs of a batch.
        batch: usize,
    },
    /// A batch with too few rows for the principal components.
    #[error(
        "a batch of {batch} has at most {rank} principal components, of which {components} would be kept: nothing would be dropped, \
         and the short texts be matched with the features themselves; raise --batch to at least {least}, or lower --components"
    )]
    Components {
        /// Pairs of a batch.
        batch: usize,
        /// Components it can have.
        rank: i64,
        /// Components to keep.
        components: i64,
        /// Smallest batch that makes sense.
        least: i64,
    },
    /// A step that could not be made.
    #[error("epoch {epoch}, step {step}: {source}")]
    Step {
        /// Epoch, from 1.
        epoch: usize,
        /// Step, from 1.
        step: usize,
        /// Why.
        source: StepError,
    },
    /// A checkpoint that was not written, or is not this run's.
    #[error(transparent)]
    Resume(#[from] ResumeError),
}

/// The text before the first full stop and space, newlines as spaces: the short caption of the official code.
///
/// ```
/// assert_eq!(long_clip::train::first_sentence("A red cat.\nIt sleeps. Deeply."), "A red cat");
/// ```
pub fn first_sentence(text: &str) -> String {
    let line = text.replace('\n', " ");
    line.split(". ").next().unwrap_or_default().to_owned()
}

/// What training is given.
#[derive(Clone, Copy, Debug)]
pub struct Material<'a> {
    /// Images with captions; of several, each epoch draws one.
    pub items: &'a [Item],
    /// Tokenizer of the model.
    pub tokenizer: &'a Tokenizer,
    /// Preprocessing of images.
    pub rules: Rules,
}

/// What a run does after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Goes on.
    Step,
    /// Writes a checkpoint, then goes on.
    Save,
    /// Writes a checkpoint and stops.
    Stop,
}

/// Trains a model. `observe` is told of each step (number, of how many, its losses) and says what is next.
///
/// Same material, settings, seed and thread count give the same bits, whether or not the run was stopped and resumed.
///
/// # Errors
/// [`TrainError`].
pub fn train(
    model: &mut Clip,
    material: Material<'_>,
    config: &TrainConfig,
    run_seed: u64,
    checkpoints: &Checkpoints,
    mut observe: impl FnMut(usize, usize, Losses) -> Next,
) -> Result<History, TrainError> {
    check(model, material.items.len(), config)?;
    if let Some(scale) = config.first_scale {
        let _guard = tch::no_grad_guard();
        let _ = model.logit_scale.fill_(scale.ln());
    }
    let per_epoch = material.items.len() / config.batch;
    let steps = per_epoch * config.epochs;
    let mut optimiser = Optimiser::new(model, &config.objective, config.weight_decay);
    let identity = Identity::new([
        ("configuration", digest(&(config, &model.config))),
        ("set of images and captions", digest(&names(material.items))),
        ("seed", run_seed.to_string()),
    ]);
    let mut place = Place::default();
    let mut history = History { steps, ..History::default() };
    if checkpoints.resume
        && let Some(kept) = checkpoints.read::<(Place, History)>(&identity)?
    {
        checkpoint::fill(&model.store, kept.part(WEIGHTS), &kept.path).map_err(ResumeError::from)?;
        optimiser.load_state(&kept.named("opt.")).map_err(ResumeError::from)?;
        (place, history) = kept.progress;
        history.stopped = false;
    }
    while place.epoch < config.epochs {
        let plan = plan(material, config, run_seed, place.epoch);
        let next = run_epoch(
            model,
            material,
            config,
            &plan,
            &mut optimiser,
            &mut place,
            &mut history,
            &mut observe,
        )?;
        if place.in_epoch == per_epoch {
            let mean = place.sums.map(|sum| sum / per_epoch as f64);
            history.epochs.push(Losses { total: mean[0], long: mean[1], short: mean[2] });
            place = Place { epoch: place.epoch + 1, ..Place::default() };
        }
        history.stopped = next == Next::Stop && history.step < steps;
        if place.epoch < config.epochs && next != Next::Step {
            let tensors = tensors(model, &optimiser);
            checkpoints.write(&identity, history.step, &tensors, &(place, &history))?;
        }
        if next == Next::Stop {
            break;
        }
    }
    Ok(history)
}

const WEIGHTS: &str = "weights.";

fn tensors(model: &Clip, optimiser: &Optimiser) -> Vec<(String, Tensor)> {
    let weights = named(&model.store).into_iter().map(|(name, tensor)| (format!("{WEIGHTS}{name}"), tensor));
    weights.chain(optimiser.state()).collect()
}

fn names(items: &[Item]) -> Vec<(String, &[String])> {
    items.iter().map(|item| (item.image.name(), &item.captions[..])).collect()
}

fn check(model: &Clip, pairs: usize, config: &TrainConfig) -> Result<(), TrainError> {
    let batch = config.batch.max(1);
    if pairs < batch {
        return Err(TrainError::Few { pairs, batch });
    }
    let Some(components) = config.objective.short.and_then(|short| short.components) else { return Ok(()) };
    let width = model.config.embed_dim;
    if pcm::is_identity(batch as i64, width, components) {
        let rank = width.min(batch as i64 - 1).max(0);
        return Err(TrainError::Components { batch, rank, components, least: components + 2 });
    }
    Ok(())
}

/// Batches of an epoch, and which caption of each item it takes.
struct Plan {
    batches: Vec<Vec<usize>>,
    chosen: Vec<usize>,
}

/// Whole batches of an epoch in an order of its own.
fn plan(material: Material<'_>, config: &TrainConfig, run_seed: u64, epoch: usize) -> Plan {
    let mut rng = seed::rng(run_seed, "captions", epoch as u64);
    let chosen: Vec<usize> =
        material.items.iter().map(|item| rng.random_range(0..item.captions.len())).collect();
    let mut batches: Vec<Vec<usize>> = if config.length_buckets {
        let text = |(item, &caption): (&Item, &usize)| item.captions[caption].len();
        let lengths: Vec<usize> = material.items.iter().zip(&chosen).map(text).collect();
        length_buckets(&lengths, config.batch, run_seed, epoch)
    } else {
        let mut rows: Vec<usize> = (0..material.items.len()).collect();
        rows.shuffle(&mut seed::rng(run_seed, "shuffle", epoch as u64));
        rows.chunks(config.batch).map(<[usize]>::to_vec).collect()
    };
    batches.retain(|rows| rows.len() == config.batch);
    Plan { batches, chosen }
}

/// A pair as the towers take it; the short text is there when the objective has some.
type Pair = (Vec<f32>, Vec<i64>, Option<Vec<i64>>);

fn pair(
    material: Material<'_>,
    config: &TrainConfig,
    model: (usize, usize),
    row: usize,
    caption: usize,
) -> Result<Pair, ImageError> {
    let (side, context) = model;
    let item = &material.items[row];
    let image = encode::prepared(&item.image, side, material.rules)?;
    let ids = |text: &str| material.tokenizer.tokenize(text, context, Specials::Neutral).ids;
    let text = &item.captions[caption];
    let short = config.objective.short.is_some().then(|| ids(&first_sentence(text)));
    Ok((image, ids(text), short))
}

/// Steps of an epoch until it is over or `observe` wants something else; images are decoded by other threads meanwhile.
#[expect(clippy::too_many_arguments, reason = "the state of a run, taken apart for the borrow checker")]
fn run_epoch(
    model: &Clip,
    material: Material<'_>,
    config: &TrainConfig,
    plan: &Plan,
    optimiser: &mut Optimiser,
    place: &mut Place,
    history: &mut History,
    observe: &mut impl FnMut(usize, usize, Losses) -> Next,
) -> Result<Next, TrainError> {
    let sizes = (model.config.vision.image_px as usize, model.config.text.context_length as usize);
    let rest = &plan.batches[place.in_epoch..];
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(2);
        scope.spawn(move || {
            for rows in rest {
                let pair = |&row: &usize| pair(material, config, sizes, row, plan.chosen[row]);
                let pairs: Vec<Result<Pair, ImageError>> = rows.par_iter().map(pair).collect();
                if sender.send(pairs).is_err() {
                    return; // the receiver has stopped
                }
            }
        });
        for pairs in receiver {
            let losses = one_step(model, pairs, config, optimiser, history).map_err(|source| {
                TrainError::Step { epoch: place.epoch + 1, step: history.step + 1, source }
            })?;
            place.in_epoch += 1;
            history.step += 1;
            for (sum, loss) in place.sums.iter_mut().zip([losses.total, losses.long, losses.short]) {
                *sum += loss;
            }
            let next = observe(history.step, history.steps, losses);
            if next != Next::Step {
                return Ok(next);
            }
        }
        Ok(Next::Step)
    })
}

fn one_step(
    model: &Clip,
    pairs: Vec<Result<Pair, ImageError>>,
    config: &TrainConfig,
    optimiser: &mut Optimiser,
    history: &mut History,
) -> Result<Losses, StepError> {
    let (mut images, mut long, mut short) = (Vec::new(), Vec::new(), Vec::new());
    for pair in pairs {
        match pair {
            Ok((image, text, first)) => {
                images.push(image);
                long.push(text);
                short.extend(first);
            }
            Err(error) => {
                let problem = error.to_string();
                if !history.broken.contains(&problem) {
                    history.broken.push(problem);
                }
            }
        }
    }
    let side = model.config.vision.image_px as usize;
    let images = preprocess::batch(&images, side).to_device(model.store.device());
    optimiser.zero_grad();
    let batch = Batch { images: &images, long: &long, short: &short };
    let losses = if config.bfloat16 {
        gemm::in_bfloat16(|| step::gradients(model, &batch, &config.objective))?
    } else {
        step::gradients(model, &batch, &config.objective)?
    };
    let rate =
        config.learning_rate * cosine_rate(history.step, history.steps, config.warmup.min(history.steps));
    optimiser.step(model, rate);
    Ok(losses)
}
