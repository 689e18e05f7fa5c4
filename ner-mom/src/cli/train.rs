//! `train`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use common::device::Choice;
use common::interrupt;

use super::Columns;
use crate::config::{Sampling, TrainConfig};
use crate::data::read_files;
use crate::loss::Loss;
use crate::model::Model;
use crate::train::train;

/// Options of `train`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Annotated training files: CoNLL columns, .knp, Stockmark .json, .jsonl with spans; .gz too
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    train: Vec<PathBuf>,
    /// Annotated development files; they choose the epoch
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    dev: Vec<PathBuf>,
    /// Folder of the model
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// ce, wce1, wce2:WEIGHT, focal:GAMMA, dice:FORM, or mom:LOSS:LAMBDA
    #[arg(long, default_value = "mom:ce:0.5")]
    loss: Loss,
    /// Network
    #[arg(long, value_enum, default_value = "bilstm")]
    encoder: Encoder,
    /// Configuration file (TOML) instead of --loss, --encoder and the numbers below
    #[arg(long, value_name = "FILE", conflicts_with_all = ["loss", "encoder", "epochs", "learning_rate", "oversample"])]
    config: Option<PathBuf>,
    /// Passes over the training sentences
    #[arg(long)]
    epochs: Option<usize>,
    /// Highest learning rate
    #[arg(long)]
    learning_rate: Option<f64>,
    /// Draw sentences by their share of entity words
    #[arg(long)]
    oversample: bool,
    /// Run seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// auto, cpu, cuda or cuda:NUMBER
    #[arg(long, default_value = "auto")]
    device: Choice,
    /// Threads of libtorch [default: all cores, at most 4]
    #[arg(long)]
    threads: Option<i32>,
    /// Stop after the epoch in which this many minutes are over
    #[arg(long)]
    max_minutes: Option<f64>,
    #[command(flatten)]
    columns: Columns,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Encoder {
    Bilstm,
    Transformer,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let config = config(arguments)?;
    config.validate()?;
    let device = arguments.device.open()?;
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get().min(4) as i32);
    tch::set_num_threads(arguments.threads.unwrap_or(cores));
    let options = arguments.columns.options(true);
    let train_sentences = read_files(&arguments.train, &options).context("reading the training files")?;
    let dev_sentences = read_files(&arguments.dev, &options).context("reading the development files")?;
    // An unwritable folder should fail now, not after hours of training.
    common::files::make_folder(&arguments.out)?;
    common::files::write_atomic(&arguments.out.join("config.toml"), toml::to_string(&config)?.as_bytes())?;
    let mut model = Model::new(config, &train_sentences, arguments.seed, device);
    eprintln!(
        "{} training and {} development sentences, {} entity types, {} parameters",
        train_sentences.len(),
        dev_sentences.len(),
        model.labels.types().len(),
        model.n_parameters()
    );
    interrupt::listen();
    let started = Instant::now();
    let limit_s = arguments.max_minutes.map_or(f64::INFINITY, |minutes| minutes * 60.0);
    let history = train(&mut model, &train_sentences, &dev_sentences, arguments.seed, |point| {
        eprintln!("epoch {}: loss {:.4}, development F1 {:.4}", point.epoch, point.train_loss, point.dev_f1);
        !interrupt::asked() && started.elapsed().as_secs_f64() < limit_s
    })?;
    model.save(&arguments.out)?;
    println!("{}", arguments.out.display());
    eprintln!("kept epoch {} with development F1 {:.4}", history.best_epoch, history.best_dev_f1);
    if interrupt::asked() {
        eprintln!("stopped early; the model of the best epoch so far is saved");
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    }
    Ok(ExitCode::SUCCESS)
}

fn config(arguments: &Arguments) -> Result<TrainConfig> {
    if let Some(path) = &arguments.config {
        let text = common::files::read_text(path)?;
        return toml::from_str(&text)
            .with_context(|| format!("reading the configuration {}", path.display()));
    }
    let recipe = match arguments.encoder {
        Encoder::Bilstm => TrainConfig::bilstm(arguments.loss.clone()),
        Encoder::Transformer => TrainConfig::transformer(arguments.loss.clone()),
    };
    Ok(TrainConfig {
        epochs: arguments.epochs.unwrap_or(recipe.epochs),
        learning_rate: arguments.learning_rate.unwrap_or(recipe.learning_rate),
        sampling: if arguments.oversample { Sampling::EntityOversampled } else { recipe.sampling },
        ..recipe
    })
}
