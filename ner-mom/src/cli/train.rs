//! `train`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use common::cli::annotated::Columns;
use common::device::Choice;
use common::formats::Sentence;
use common::nn::bert;
use common::text::segment::{CHARACTERS, SPACES};
use common::{files, interrupt, progress};

use crate::config::{HeadKind, Sampling, TrainConfig};
use crate::loss::Loss;
use crate::model::Model;
use crate::train::{Checkpoints, EpochPoint, History, Progress, train};

/// Folder below the model's in which a run keeps its checkpoints until it is done.
const CHECKPOINTS: &str = "checkpoints";

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
    /// Network, learned from scratch [default: bilstm; with --checkpoint: bert]
    #[arg(long, value_enum)]
    encoder: Option<Encoder>,
    /// Fine-tune this BERT: a Hugging Face directory with config.json, model.safetensors and tokenizer.json or vocab.txt
    #[arg(long, value_name = "FOLDER", conflicts_with = "encoder")]
    checkpoint: Option<PathBuf>,
    /// softmax or crf over BIO tags, or mrc: one query per entity type
    #[arg(long, value_enum, default_value = "softmax")]
    head: Head,
    /// Configuration file (TOML) instead of --loss, --encoder, --head and the numbers below
    #[arg(long, value_name = "FILE",
        conflicts_with_all = ["loss", "encoder", "head", "epochs", "learning_rate", "oversample"])]
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
    /// Go on from the checkpoint that a stopped run left in the model's folder
    #[arg(long)]
    resume: bool,
    /// Stop cleanly after this many minutes; --resume goes on
    #[arg(long)]
    max_minutes: Option<f64>,
    /// No progress on standard error
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    columns: Columns,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Encoder {
    Bilstm,
    Transformer,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Head {
    Softmax,
    Crf,
    Mrc,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    interrupt::listen();
    let config = config(arguments)?;
    config.validate()?;
    let device = arguments.device.open()?;
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get().min(4) as i32);
    tch::set_num_threads(arguments.threads.unwrap_or(cores));
    let train_sentences = arguments.columns.read(&arguments.train).context("reading the training files")?;
    let dev_sentences = arguments.columns.read(&arguments.dev).context("reading the development files")?;
    let mut model = match &arguments.checkpoint {
        Some(folder) => Model::pretrained(config, folder, &train_sentences, arguments.seed, device)?,
        None => Model::new(config, &train_sentences, arguments.seed, device)?,
    };
    // Columns come with words: text for such a model is cut at spaces unless something else was said.
    let from_texts = train_sentences.iter().any(|sentence| sentence.source.is_some());
    let usual = if from_texts { CHARACTERS } else { SPACES };
    model.segmentation = arguments.columns.segmenter.clone().unwrap_or_else(|| usual.to_owned());
    // An unwritable folder should fail now, not after hours of training.
    let out = &arguments.out;
    files::make_folder(out)?;
    files::write_atomic(&out.join("config.toml"), toml::to_string(&model.config)?.as_bytes())?;
    eprintln!(
        "{} training and {} development sentences, {} entity types, {} parameters",
        train_sentences.len(),
        dev_sentences.len(),
        model.labels.types().len(),
        model.n_parameters()
    );
    let checkpoints = Checkpoints { folder: Some(out.join(CHECKPOINTS)), resume: arguments.resume };
    let history = carry_out(arguments, &mut model, &train_sentences, &dev_sentences, &checkpoints)?;
    model.save(out)?;
    files::write_atomic(&out.join("history.json"), &serde_json::to_vec_pretty(&history)?)?;
    println!("{}", out.display());
    if history.best_epoch > 0 {
        eprintln!("kept epoch {} with development F1 {:.4}", history.best_epoch, history.best_dev_f1);
    }
    if history.stopped {
        eprintln!("stopped early; the best model so far is saved; go on with the same command and --resume");
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    }
    // A finished run has nothing to go on with.
    std::fs::remove_dir_all(out.join(CHECKPOINTS)).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Trains with a progress bar, and a line for each epoch.
fn carry_out(
    arguments: &Arguments,
    model: &mut Model,
    train_sentences: &[Sentence],
    dev_sentences: &[Sentence],
    checkpoints: &Checkpoints,
) -> Result<History> {
    let started = Instant::now();
    let limit_s = arguments.max_minutes.map_or(f64::INFINITY, |minutes| minutes * 60.0);
    let bar = progress::bar("training", 0, arguments.quiet);
    let history = train(model, train_sentences, dev_sentences, arguments.seed, checkpoints, |progress| {
        match progress {
            Progress::Step { step, steps, loss } => {
                bar.set_length(steps as u64);
                bar.set_position(step as u64);
                bar.set_message(format!("loss {loss:.4}"));
            }
            Progress::Epoch(point) if !arguments.quiet => bar.suspend(|| {
                let EpochPoint { epoch, train_loss, dev_f1, .. } = point;
                eprintln!("epoch {epoch}: loss {train_loss:.4}, development F1 {dev_f1:.4}");
            }),
            Progress::Epoch(_) => {}
        }
        !interrupt::asked() && started.elapsed().as_secs_f64() < limit_s
    });
    bar.finish_and_clear();
    Ok(history?)
}

fn config(arguments: &Arguments) -> Result<TrainConfig> {
    if let Some(path) = &arguments.config {
        let text = common::files::read_text(path)?;
        return toml::from_str(&text)
            .with_context(|| format!("reading the configuration {}", path.display()));
    }
    let loss = arguments.loss.clone();
    let recipe = match (&arguments.checkpoint, arguments.encoder) {
        (Some(folder), _) => TrainConfig::bert(bert::Config::read(&folder.join("config.json"))?, loss),
        (None, None | Some(Encoder::Bilstm)) => TrainConfig::bilstm(loss),
        (None, Some(Encoder::Transformer)) => TrainConfig::transformer(loss),
    };
    Ok(TrainConfig {
        head: match arguments.head {
            Head::Softmax => HeadKind::Softmax,
            Head::Crf => HeadKind::Crf,
            Head::Mrc => HeadKind::Mrc,
        },
        epochs: arguments.epochs.unwrap_or(recipe.epochs),
        learning_rate: arguments.learning_rate.unwrap_or(recipe.learning_rate),
        sampling: if arguments.oversample { Sampling::EntityOversampled } else { recipe.sampling },
        ..recipe
    })
}
