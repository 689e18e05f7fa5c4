//! `train-bitnet`: a byte-level language model whose linear layers are BitNet's.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use common::device::Choice;
use common::{files, interrupt, progress};

use crate::lm::export::{Weights, write_hugging_face};
use crate::lm::{Bitnet1, Corpus, LmConfig, Model, ProjectionKind, TrainConfig, evaluate, train, windows};

/// Options of `train-bitnet`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Text to learn; the last tenth is held out
    text: PathBuf,
    /// Folder for config.json and model.safetensors in Hugging Face's layout, with the deployed weights
    out: PathBuf,
    /// What the linear layers compute with
    #[arg(long, value_enum, default_value = "b158")]
    kind: Kind,
    /// Blocks
    #[arg(long, default_value_t = 2)]
    layers: i64,
    /// Width of the residual stream, a multiple of 64
    #[arg(long, default_value_t = 128)]
    width: i64,
    /// Steps of 16 × 128 bytes
    #[arg(long, default_value_t = 600)]
    steps: usize,
    /// Peak learning rate
    #[arg(long, default_value_t = 2e-3)]
    learning_rate: f64,
    /// Run seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// auto, cpu, cuda or cuda:NUMBER
    #[arg(long, default_value = "cpu")]
    device: Choice,
    /// Threads
    #[arg(long, default_value_t = 1)]
    threads: i32,
    /// No progress on standard error
    #[arg(long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// Ternary weights, 8-bit activations
    B158,
    /// Signs, 8-bit activations
    B1,
    /// Full precision, to compare with
    Fp,
}

/// Windows of held-out text that are scored.
const SCORED: usize = 128;

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    interrupt::listen();
    tch::set_num_threads(arguments.threads.max(1));
    let corpus = Corpus::read(&arguments.text)?;
    let kind = match arguments.kind {
        Kind::B158 => ProjectionKind::BitnetB158,
        Kind::B1 => ProjectionKind::Bitnet1(Bitnet1 { shifted_gate: true }),
        Kind::Fp => ProjectionKind::FullPrecision,
    };
    let model = {
        let config = LmConfig::bytes(arguments.layers, arguments.width, kind);
        Model::on(arguments.device.open()?, &config, arguments.seed)?
    };
    let config = TrainConfig {
        steps: arguments.steps,
        warmup: arguments.steps / 10,
        learning_rate: arguments.learning_rate,
        ..TrainConfig::pilot()
    };
    let held_out = windows(&corpus.held_out, 257, 256, SCORED)
        .with_context(|| format!("{}: the held-out tenth", arguments.text.display()))?;
    files::make_folder(&arguments.out)?;
    eprintln!("{} parameters, {} bytes to learn", model.parameters(), corpus.train.len());
    let bar = progress::bar("training", arguments.steps, arguments.quiet);
    let history = train(&model, &corpus.train, &config, arguments.seed, |_, loss| {
        bar.inc(1);
        bar.set_message(format!("loss {loss:.3}"));
        !interrupt::asked()
    })?;
    bar.finish_and_clear();
    if history.losses.len() < arguments.steps {
        eprintln!("stopped at step {} of {}; nothing was written", history.losses.len(), arguments.steps);
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    }
    let loss = evaluate(&model, &held_out)?.nats_per_byte;
    write_hugging_face(&model, &arguments.out, Weights::Deployed)?;
    println!("{}", arguments.out.display());
    eprintln!("training loss {:.4}, held-out loss {loss:.4} nats per byte", history.last_loss());
    Ok(ExitCode::SUCCESS)
}
