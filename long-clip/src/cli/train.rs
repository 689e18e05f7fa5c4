//! `train`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use common::train::Checkpoints;
use common::{files, interrupt, progress};

use super::evaluate::{Found, SourceOptions, measure};
use super::shared::{FormatName, Machine, ModelOptions, RulesName, TokenizerOptions};
use crate::checkpoint;
use crate::data::Item;
use crate::model::Clip;
use crate::pcm::AxesGradient;
use crate::step::{Objective, ShortObjective};
use crate::stretch::Stretch;
use crate::tokenizer::Tokenizer;
use crate::train::{History, Material, Next, TrainConfig, train};

/// Options of `train`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: SourceOptions,
    #[command(flatten)]
    model: ModelOptions,
    /// Folder of the trained checkpoint
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Layout of the trained checkpoint
    #[arg(long, value_enum, default_value = "hf")]
    format: FormatName,
    /// Positions of the trained model: 248 stretches a model of 77 as the paper does; 0 leaves it as it is
    #[arg(long, default_value_t = 248)]
    length: usize,
    /// First positions that are neither stretched nor trained
    #[arg(long, default_value_t = 20)]
    kept: usize,
    /// First images of the source that are measured after training and not trained on
    #[arg(long, default_value_t = 0)]
    validation: usize,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    tokenizer: TokenizerOptions,
    /// Run seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Go on from the checkpoint that a stopped run left in the folder
    #[arg(long)]
    resume: bool,
    /// Stop cleanly after this many minutes; --resume goes on
    #[arg(long)]
    max_minutes: Option<f64>,
    /// Whose preprocessing of images
    #[arg(long, value_enum, default_value = "openai")]
    preprocessing: RulesName,
    #[command(flatten)]
    machine: Machine,
}

/// Losses and schedule.
#[derive(Debug, Args)]
struct Settings {
    /// Epochs
    #[arg(long, default_value_t = 1)]
    epochs: usize,
    /// Pairs of a step
    #[arg(long, default_value_t = 128)]
    batch: usize,
    /// Highest learning rate
    #[arg(long, default_value_t = 1e-6)]
    learning_rate: f64,
    /// Steps of the linear rise
    #[arg(long, default_value_t = 200)]
    warmup: usize,
    /// Decoupled weight decay
    #[arg(long, default_value_t = 0.01)]
    weight_decay: f64,
    /// Label smoothing
    #[arg(long, default_value_t = 0.1)]
    label_smoothing: f64,
    /// Which texts are matched
    #[arg(long, value_enum, default_value = "pcm")]
    texts: Texts,
    /// Principal components of the coarse image features
    #[arg(long, default_value_t = 32)]
    components: i64,
    /// Weight of the short texts' loss
    #[arg(long, default_value_t = 1.0)]
    short_weight: f64,
    /// Hold the principal axes constant in the gradient
    #[arg(long)]
    detached_axes: bool,
    /// exp(logit_scale) at the start [default: 100, as the official code; 0 leaves the checkpoint's]
    #[arg(long, default_value_t = 100.0)]
    first_scale: f64,
    /// Precision of products [default: bf16 on a GPU, fp32 on a CPU]
    #[arg(long, value_enum)]
    precision: Option<Precision>,
    /// Batches of texts of near-equal lengths
    #[arg(long)]
    length_buckets: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Texts {
    /// Long ones with image features, short ones with coarse image features
    Pcm,
    /// Long and short ones with image features
    Both,
    /// Long ones only
    Long,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Precision {
    Fp32,
    Bf16,
}

impl Settings {
    fn config(&self, kept: usize, on_gpu: bool) -> TrainConfig {
        let gradient = if self.detached_axes { AxesGradient::Detached } else { AxesGradient::Full };
        let short = |components| Some(ShortObjective { weight: self.short_weight, components, gradient });
        TrainConfig {
            objective: Objective {
                short: match self.texts {
                    Texts::Pcm => short(Some(self.components)),
                    Texts::Both => short(None),
                    Texts::Long => None,
                },
                label_smoothing: self.label_smoothing,
                frozen_positions: kept as i64,
                largest_scale: Some(100.0),
            },
            epochs: self.epochs,
            batch: self.batch,
            learning_rate: self.learning_rate,
            warmup: self.warmup,
            weight_decay: self.weight_decay,
            first_scale: (self.first_scale > 0.0).then_some(self.first_scale),
            bfloat16: self.precision.map_or(on_gpu, |precision| precision == Precision::Bf16),
            length_buckets: self.length_buckets,
        }
    }
}

/// Folder below the model's in which a run keeps its checkpoints until it is done.
const CHECKPOINTS: &str = "checkpoints";
/// Time between checkpoints.
const BETWEEN: Duration = Duration::from_secs(300);

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    interrupt::listen();
    let device = arguments.machine.open()?;
    let settings = &arguments.settings;
    ensure!(settings.epochs > 0, "--epochs is 0, expected at least 1");
    ensure!(settings.components > 0, "--components is 0, expected at least 1");
    let collection = arguments.source.read()?;
    let held = arguments.validation.min(collection.items.len());
    let (validation, items) = collection.items.split_at(held);
    // An unwritable folder should fail now, not after hours of training.
    files::make_folder(&arguments.out)?;
    let mut model = stretched(arguments, arguments.model.read(device)?.model)?;
    let tokenizer =
        arguments.tokenizer.open(Some(&arguments.model.model), Some(model.config.text.vocabulary))?;
    let config = settings.config(arguments.kept, device.is_cuda());
    files::write_atomic(&arguments.out.join("training.toml"), toml::to_string(&config)?.as_bytes())?;
    eprintln!(
        "{} pairs for training, {held} for validation, {} positions, {} parameters",
        items.len(),
        model.config.text.context_length,
        model.n_parameters()
    );
    let history = carry_out(arguments, &mut model, &tokenizer, items, &config)?;
    let broken = history.broken.len();
    history.broken.iter().take(10).for_each(|problem| eprintln!("skipped: {problem}"));
    if broken > 10 {
        eprintln!("skipped: {} more images", broken - 10);
    }
    if history.stopped {
        eprintln!(
            "stopped at step {} of {}; go on with the same command and --resume",
            history.step, history.steps
        );
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    }
    checkpoint::write(&model, &arguments.out, arguments.format.into(), Some(&tokenizer))?;
    files::write_atomic(&arguments.out.join("history.json"), &serde_json::to_vec_pretty(&history)?)?;
    if !validation.is_empty() {
        report(arguments, &model, &tokenizer, validation)?;
    }
    println!("{}", arguments.out.display());
    // A finished run has nothing to go on with.
    std::fs::remove_dir_all(arguments.out.join(CHECKPOINTS)).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The model with its new positions; one that has them already stays as it is.
fn stretched(arguments: &Arguments, model: Clip) -> Result<Clip> {
    let (before, wanted) = (model.config.text.context_length as usize, arguments.length);
    if wanted == 0 || wanted <= before {
        return Ok(model);
    }
    let others = before.saturating_sub(arguments.kept).max(1);
    let ratio = wanted.saturating_sub(arguments.kept).div_ceil(others);
    let stretch = Stretch::Preserving { kept: arguments.kept, ratio, length: Some(wanted) };
    eprintln!("positions stretched from {before} to {wanted}: {} kept, ratio {ratio}", arguments.kept);
    Ok(model.with_positions(&stretch.apply(&model.positions())?))
}

fn carry_out(
    arguments: &Arguments,
    model: &mut Clip,
    tokenizer: &Tokenizer,
    items: &[Item],
    config: &TrainConfig,
) -> Result<History> {
    let started = Instant::now();
    let mut saved = started;
    let limit_s = arguments.max_minutes.map_or(f64::INFINITY, |minutes| minutes * 60.0);
    let checkpoints = Checkpoints { folder: Some(arguments.out.join(CHECKPOINTS)), resume: arguments.resume };
    let bar = progress::bar("training", 0, arguments.machine.quiet);
    let material = Material { items, tokenizer, rules: arguments.preprocessing.into() };
    let per_epoch = (items.len() / config.batch.max(1)).max(1);
    let history = train(model, material, config, arguments.seed, &checkpoints, |step, steps, losses| {
        bar.set_length(steps as u64);
        bar.set_position(step as u64);
        bar.set_message(format!("loss {:.4}", losses.total));
        if step.is_multiple_of(per_epoch) && !arguments.machine.quiet {
            bar.suspend(|| {
                eprintln!(
                    "epoch {}: last loss {:.4} (long {:.4}, short {:.4})",
                    step / per_epoch,
                    losses.total,
                    losses.long,
                    losses.short
                );
            });
        }
        if interrupt::asked() || started.elapsed().as_secs_f64() >= limit_s {
            return Next::Stop;
        }
        if saved.elapsed() < BETWEEN {
            return Next::Step;
        }
        saved = Instant::now();
        Next::Save
    });
    bar.finish_and_clear();
    Ok(history?)
}

fn report(arguments: &Arguments, model: &Clip, tokenizer: &Tokenizer, items: &[Item]) -> Result<()> {
    let specials = arguments.tokenizer.specials();
    let found = Found::encode(model, tokenizer, specials, items, arguments.preprocessing.into(), 32, true)?;
    let Some(found) = found else { return Ok(()) };
    let table = measure(&found, 200);
    println!("validation:\n{table}");
    Ok(())
}
