//! `curve`: methods on growing parts of the target.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use common::{files, interrupt, progress, stats};

use super::inputs::{Chosen, Files, Machine, Settings};
use crate::data::nested_sample;
use crate::feature_crf::{FeatureConfig, FeatureCrf};
use crate::methods::{Inputs, arrange};
use crate::model::{Model, Training};
use crate::train::{Checkpoints, Data, micro_f1, train};

/// Options of `curve`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    files: Files,
    /// Annotated target files to score
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    test: Vec<PathBuf>,
    /// Methods, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "base,datnet-f,datnet-p")]
    methods: Vec<Chosen>,
    /// Numbers of target sentences, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "10,50,200")]
    sizes: Vec<usize>,
    /// Run seeds, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "1,2,3")]
    seeds: Vec<u64>,
    /// Random samples of the target per size and seed
    #[arg(long, default_value_t = 1)]
    samples: u64,
    /// Also write one line per run to this file (CSV)
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    machine: Machine,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    interrupt::listen();
    let device = arguments.machine.open()?;
    let inputs = arguments.files.inputs(device)?;
    let test = arguments.files.read(&arguments.test, "test")?;
    let name = |chosen: &Chosen| match chosen {
        Chosen::Neural(method) => method.to_string(),
        Chosen::FeatureCrf => "feature-crf".to_owned(),
    };
    let runs =
        arguments.sizes.len() * arguments.methods.len() * arguments.seeds.len() * arguments.samples as usize;
    let bar = progress::bar("runs", runs, arguments.machine.quiet);
    let mut lines = String::from("method,target_sentences,seed,sample,dev_f1,test_f1\n");
    println!("{:<14}{:>10}{:>10}{:>10}{:>6}", "method", "sentences", "mean f1", "sd", "runs");
    for &size in &arguments.sizes {
        for chosen in &arguments.methods {
            let mut scores = Vec::new();
            for &seed in &arguments.seeds {
                for sample in 0..arguments.samples {
                    let target = nested_sample(&inputs.target, size, seed * 1000 + sample);
                    let own = Inputs { target, ..inputs.clone() };
                    let Some([dev_f1, test_f1]) = one(arguments, *chosen, &own, &test, seed, device)? else {
                        bar.finish_and_clear();
                        eprintln!("stopped early");
                        return Ok(ExitCode::from(interrupt::EXIT_CODE));
                    };
                    let method = name(chosen);
                    writeln!(lines, "{method},{},{seed},{sample},{dev_f1},{test_f1}", own.target.len())?;
                    scores.push(test_f1);
                    bar.inc(1);
                }
            }
            let mean = stats::mean(&scores).unwrap_or_default();
            let sd = stats::standard_deviation(&scores).map_or("-".to_owned(), |sd| format!("{sd:.4}"));
            let size = size.min(inputs.target.len());
            bar.suspend(|| println!("{:<14}{size:>10}{mean:>10.4}{sd:>10}{:>6}", name(chosen), scores.len()));
        }
    }
    bar.finish_and_clear();
    if let Some(path) = &arguments.csv {
        files::write_atomic(path, lines.as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Development and test F1 of one run; `None` when it was asked to stop.
fn one(
    arguments: &Arguments,
    chosen: Chosen,
    inputs: &Inputs,
    test: &[common::formats::Sentence],
    seed: u64,
    device: tch::Device,
) -> Result<Option<[f64; 2]>> {
    let Chosen::Neural(method) = chosen else {
        let model = FeatureCrf::train(&inputs.target, &FeatureConfig::usual(), seed);
        return Ok(Some([&inputs.dev[..], test].map(|gold| micro_f1(gold, &model.predict(gold)))));
    };
    let arranged = arrange(arguments.settings.config(method)?, inputs)?;
    let training = Training {
        source: &arranged.source,
        target: &inputs.target,
        vectors: arranged.vectors.as_ref().map(|vectors| vectors.each_ref()),
        encoder: inputs.encoder.as_ref(),
    };
    let model = Model::new(arranged.config, training, seed, device)?;
    let data = Data { source: &arranged.source, target: &inputs.target, dev: &inputs.dev, watched: &[] };
    let trained = train(&model, data, seed, &Checkpoints::default(), |_| !interrupt::asked())?;
    if trained.history.stopped {
        return Ok(None);
    }
    Ok(Some([trained.history.best_dev_f1, micro_f1(test, &model.predict(test)?)]))
}
