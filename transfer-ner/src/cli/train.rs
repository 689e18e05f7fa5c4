//! `train`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use common::{files, interrupt, progress};

use super::inputs::{Chosen, Files, Machine, Settings};
use crate::feature_crf::{FeatureConfig, FeatureCrf};
use crate::methods::{Inputs, arrange};
use crate::model::{Model, Training};
use crate::train::{Checkpoints, Data, EpochPoint, Progress, Trained, micro_f1, train};

/// Folder below the model's in which a run keeps its checkpoints until it is done.
const CHECKPOINTS: &str = "checkpoints";

/// Options of `train`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    files: Files,
    /// base, direct, cheap, align, init, mult, adapt, datnet-f, datnet-p, cws-adv or feature-crf
    #[arg(long, default_value = "datnet-f")]
    method: Chosen,
    #[command(flatten)]
    settings: Settings,
    /// Folder of the model
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Run seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Go on from the checkpoint that a stopped run left in the model's folder
    #[arg(long)]
    resume: bool,
    /// Stop cleanly after this many minutes; --resume goes on
    #[arg(long)]
    max_minutes: Option<f64>,
    #[command(flatten)]
    machine: Machine,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    interrupt::listen();
    let device = arguments.machine.open()?;
    let inputs = arguments.files.inputs(device)?;
    let out = &arguments.out;
    // An unwritable folder should fail now, not after hours of training.
    files::make_folder(out)?;
    let Chosen::Neural(method) = arguments.method else { return feature_crf(arguments, &inputs) };
    let arranged = arrange(arguments.settings.config(method)?, &inputs)?;
    arranged.notes.iter().for_each(|note| eprintln!("{note}"));
    let vectors = arranged.vectors.as_ref().map(|vectors| vectors.each_ref());
    let training = Training {
        source: &arranged.source,
        target: &inputs.target,
        vectors,
        encoder: inputs.encoder.as_ref(),
    };
    let mut model = Model::new(arranged.config, training, arguments.seed, device)?;
    model.segmentation = arguments.files.segmentation().to_owned();
    files::write_atomic(&out.join("config.toml"), toml::to_string(&model.config)?.as_bytes())?;
    eprintln!(
        "{method}: {} source, {} target and {} development sentences, {} entity types, {} parameters",
        arranged.source.len(),
        inputs.target.len(),
        inputs.dev.len(),
        model.labels[1].types().len(),
        model.n_parameters()
    );
    let checkpoints = Checkpoints { folder: Some(out.join(CHECKPOINTS)), resume: arguments.resume };
    let data = Data { source: &arranged.source, target: &inputs.target, dev: &inputs.dev, watched: &[] };
    let trained = carry_out(arguments, &model, data, &checkpoints)?;
    model.save(out)?;
    let history = &trained.history;
    files::write_atomic(&out.join("history.json"), &serde_json::to_vec_pretty(history)?)?;
    println!("{}", out.display());
    if history.best_epoch > 0 {
        eprintln!("kept round {} with development F1 {:.4}", history.best_epoch, history.best_dev_f1);
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

/// Trains with a progress bar, and a line for each round.
fn carry_out(
    arguments: &Arguments,
    model: &Model,
    data: Data<'_>,
    checkpoints: &Checkpoints,
) -> Result<Trained> {
    let started = Instant::now();
    let quiet = arguments.machine.quiet;
    let limit_s = arguments.max_minutes.map_or(f64::INFINITY, |minutes| minutes * 60.0);
    let bar = progress::bar("training", 0, quiet);
    let trained = train(model, data, arguments.seed, checkpoints, |progress| {
        match progress {
            Progress::Step { step, steps, loss } => {
                bar.set_length(steps as u64);
                bar.set_position(step as u64);
                bar.set_message(format!("loss {loss:.4}"));
            }
            Progress::Epoch(point) if !quiet => bar.suspend(|| {
                let EpochPoint { epoch, train_loss, dev_f1, .. } = point;
                eprintln!("round {epoch}: loss {train_loss:.4}, development F1 {dev_f1:.4}");
            }),
            Progress::Epoch(_) => {}
        }
        !interrupt::asked() && started.elapsed().as_secs_f64() < limit_s
    });
    bar.finish_and_clear();
    Ok(trained?)
}

/// The CRF over hand-made features, on the target sentences, or on the source's where there are none.
fn feature_crf(arguments: &Arguments, inputs: &Inputs) -> Result<ExitCode> {
    let sentences = if inputs.target.is_empty() { &inputs.source } else { &inputs.target };
    anyhow::ensure!(!sentences.is_empty(), "no sentences to learn from; give some with --target or --source");
    let model = FeatureCrf::train(sentences, &FeatureConfig::usual(), arguments.seed);
    model.save(&arguments.out)?;
    println!("{}", arguments.out.display());
    eprintln!("development F1 {:.4}", micro_f1(&inputs.dev, &model.predict(&inputs.dev)));
    Ok(ExitCode::SUCCESS)
}
