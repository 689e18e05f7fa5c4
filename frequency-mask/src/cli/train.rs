//! `train`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;
use common::device::Choice;
use common::train::{Checkpoints, History, Progress};
use common::{files, interrupt, progress, seed};
use rand::seq::SliceRandom;

use super::masks::MaskOptions;
use crate::augment::Augmentation;
use crate::data::{self, labelled};
use crate::detector::{Architecture, Description, Detector, threshold};
use crate::score::{View, score_files};
use crate::train::{Config, Images, Labelled, train};

/// Folder below the detector's in which a run keeps its checkpoints until it is done.
const CHECKPOINTS: &str = "checkpoints";

/// Options of `train`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Folder with `0_real` and `1_fake` (or `real` and `fake`) at any depth
    folder: PathBuf,
    /// The same for validation [default: a tenth of the training pictures of each class]
    #[arg(long, value_name = "FOLDER")]
    validation: Option<PathBuf>,
    /// Folder of the detector
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Network: resnet50, resnet50-no-down, small-resnet, squeezenet or spectrum
    #[arg(long, default_value = "small-resnet")]
    network: Architecture,
    /// Pre-trained weights (safetensors, torchvision's names) without the last layer
    #[arg(long, value_name = "FILE")]
    pretrained: Option<PathBuf>,
    #[command(flatten)]
    mask: MaskOptions,
    /// Short side of the pictures after the mask, 0 for as they are
    #[arg(long, default_value_t = 256)]
    short_side: u32,
    /// Side of the crop that the network sees
    #[arg(long, default_value_t = 224)]
    crop: u32,
    /// Most epochs
    #[arg(long, default_value_t = 100)]
    epochs: usize,
    /// Epochs without a better validation accuracy before training ends
    #[arg(long, default_value_t = 5)]
    patience: usize,
    /// Pictures of a step
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Learning rate
    #[arg(long, default_value_t = 1e-4)]
    learning_rate: f64,
    /// Let the learning rate fall to 0 by a half cosine over all epochs
    #[arg(long)]
    anneal: bool,
    /// Run seed
    #[arg(long, default_value_t = 44)]
    seed: u64,
    /// Go on from the checkpoint that a stopped run left
    #[arg(long)]
    resume: bool,
    /// Stop cleanly after this many minutes; --resume goes on
    #[arg(long)]
    max_minutes: Option<f64>,
    /// Device: auto, cpu, cuda or cuda:NUMBER
    #[arg(long, default_value = "auto")]
    device: Choice,
    /// No progress on standard error
    #[arg(long)]
    quiet: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    interrupt::listen();
    let config = config(arguments)?;
    let device = arguments.device.open()?;
    let (training, validation) = sets(arguments)?;
    files::make_folder(&arguments.out)?;
    let detector = Detector::new(arguments.network, seed::derive(arguments.seed, "weights", 0), device);
    if let Some(path) = &arguments.pretrained {
        detector.load_pretrained(path)?;
    }
    eprintln!(
        "{}: {} training and {} validation pictures, {} parameters",
        arguments.network.name(),
        training.paths.len(),
        validation.paths.len(),
        detector.n_parameters()
    );
    let history = carry_out(arguments, &detector, &training, &validation, &config)?;
    let scores = scores(&detector, &validation, config.augmentation.crop)?;
    let threshold = threshold(&scores, &validation.labels);
    detector.save(&Description::new(arguments.network, config, threshold), &arguments.out)?;
    files::write_atomic(&arguments.out.join("history.json"), &serde_json::to_vec_pretty(&history)?)?;
    if history.best_epoch > 0 {
        eprintln!("kept epoch {} with validation accuracy {:.4}", history.best_epoch, history.best_dev_f1);
    }
    println!("{}", arguments.out.display());
    if history.stopped {
        eprintln!(
            "stopped early; the best detector so far is saved; go on with the same command and --resume"
        );
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    }
    std::fs::remove_dir_all(arguments.out.join(CHECKPOINTS)).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn config(arguments: &Arguments) -> Result<Config> {
    let smallest = arguments.network.smallest_side();
    for (option, value, least) in [
        ("--crop", arguments.crop as usize, smallest as usize),
        ("--batch", arguments.batch, 1),
        ("--epochs", arguments.epochs, 1),
    ] {
        if value < least {
            bail!("{option} {value}: {} needs at least {least}", arguments.network.name());
        }
    }
    if !(arguments.learning_rate > 0.0 && arguments.learning_rate.is_finite()) {
        bail!("--learning-rate {}: expected a positive number such as 1e-4", arguments.learning_rate);
    }
    Ok(Config {
        augmentation: Augmentation {
            short_side: (arguments.short_side > 0).then_some(arguments.short_side),
            crop: arguments.crop,
            ..Augmentation::official()
        },
        epochs: arguments.epochs,
        patience: Some(arguments.patience),
        batch: arguments.batch,
        learning_rate: arguments.learning_rate,
        anneal: arguments.anneal,
        ..Config::official(arguments.mask.mask()?)
    })
}

/// Training and validation pictures; without a validation folder a tenth of each class is held out.
fn sets(arguments: &Arguments) -> Result<(data::Labelled, data::Labelled)> {
    let all = labelled(&arguments.folder)?;
    if let Some(folder) = &arguments.validation {
        return Ok((all, labelled(folder)?));
    }
    let (mut training, mut validation) = (data::Labelled::default(), data::Labelled::default());
    for class in [false, true] {
        let pairs = all.paths.iter().zip(&all.labels).filter(|(_, label)| **label == class);
        let mut paths: Vec<&PathBuf> = pairs.map(|(path, _)| path).collect();
        paths.shuffle(&mut seed::rng(arguments.seed, "validation", u64::from(class)));
        let held = paths.len().div_ceil(10).min(paths.len().saturating_sub(1));
        for (at, path) in paths.into_iter().enumerate() {
            let set = if at < held { &mut validation } else { &mut training };
            set.paths.push(path.clone());
            set.labels.push(class);
        }
    }
    Ok((training, validation))
}

fn carry_out(
    arguments: &Arguments,
    detector: &Detector,
    training: &data::Labelled,
    validation: &data::Labelled,
    config: &Config,
) -> Result<History> {
    let labelled = |set: &data::Labelled| Labelled {
        images: Images::Files(set.paths.clone()),
        labels: set.labels.clone(),
    };
    let checkpoints = Checkpoints { folder: Some(arguments.out.join(CHECKPOINTS)), resume: arguments.resume };
    let started = Instant::now();
    let limit_s = arguments.max_minutes.map_or(f64::INFINITY, |minutes| minutes * 60.0);
    let bar = progress::bar("training", 0, arguments.quiet);
    let observe = |progress: Progress<'_>| {
        match progress {
            Progress::Step { step, steps, loss } => {
                bar.set_length(steps as u64);
                bar.set_position(step as u64);
                bar.set_message(format!("loss {loss:.4}"));
            }
            Progress::Epoch(point) if !arguments.quiet => bar.suspend(|| {
                let (epoch, accuracy) = (point.epoch, point.dev_f1);
                eprintln!("epoch {epoch}: loss {:.4}, validation accuracy {accuracy:.4}", point.train_loss);
            }),
            Progress::Epoch(_) => {}
        }
        !interrupt::asked() && started.elapsed().as_secs_f64() < limit_s
    };
    let history = train(
        detector,
        labelled(training),
        &labelled(validation),
        config,
        arguments.seed,
        &checkpoints,
        observe,
    );
    bar.finish_and_clear();
    Ok(history?)
}

fn scores(detector: &Detector, set: &data::Labelled, side: u32) -> Result<Vec<f64>> {
    let mut scores = Vec::new();
    score_files(detector, &set.paths, View::Centre, side, |_: &Path, logit| {
        scores.push(logit?);
        anyhow::Ok(true)
    })?;
    Ok(scores)
}
