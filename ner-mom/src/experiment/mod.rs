//! The experiment: settings are chosen on development data, compared runs are trained on equal seeds, claims are
//! judged, the report is written.

mod analysis;
pub mod design;
pub mod outcome;
mod report;
mod tables;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result};
use common::data::{self, DataError};
use common::files;
use common::formats::{Sentence, Span};
use common::metrics::entity::{EntityScores, Errors};
use common::nn::checkpoint::named;
use cpu_time::ProcessTime;
use tch::{Device, Kind, Tensor};

use crate::model::Model;
use crate::train::{Checkpoints, train};
pub use analysis::{Finished, choose, judge};
use common::corpora::{CorpusName, Splits, generated, sample};
use design::Job;
use outcome::{Cost, ErrorSplit, Outcome, TestScores, TokenSplit, TypeScore};
pub use report::report;
pub use tables::identity_error;

/// Corpora read so far, for a worker that carries out many jobs.
#[derive(Debug)]
pub struct Corpora {
    root: PathBuf,
    generate: bool,
    read: HashMap<CorpusName, Splits>,
}

impl Corpora {
    /// Corpora below a data root, none read yet; `generate` replaces missing ones by generated text.
    pub fn below(root: PathBuf, generate: bool) -> Self {
        Self { root, generate, read: HashMap::new() }
    }

    fn get(&mut self, corpus: CorpusName) -> Result<&Splits> {
        if !self.read.contains_key(&corpus) {
            let splits = match data::locate(&self.root, corpus.data_set()) {
                Err(DataError::Missing { .. }) if self.generate => generated(corpus),
                found => corpus.read(&found?).with_context(|| format!("reading {corpus}"))?,
            };
            self.read.insert(corpus, splits);
        }
        Ok(&self.read[&corpus])
    }
}

/// Trains one job and scores it.
///
/// # Errors
/// Missing data, diverged training.
pub fn carry_out(job: &Job, corpora: &mut Corpora, device: Device) -> Result<Outcome> {
    let splits = corpora.get(job.corpus)?;
    let processor = ProcessTime::now();
    let sentences = sample(&splits.train, job.sentences, job.seed);
    let started = Instant::now();
    let mut model = Model::new(job.config.clone(), &sentences, job.seed, device)?;
    let no_checkpoints = Checkpoints::default();
    let history = train(&mut model, &sentences, &splits.dev, job.seed, &no_checkpoints, |_| true)?;
    let train_s = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let predicted = job.test.then(|| model.predict(&splits.test)).transpose()?;
    let test = predicted.map(|predicted| test_scores(&splits.test, &predicted));
    let steps = history.epochs.last().map_or(0, |point| point.step);
    Ok(Outcome {
        loss: job.config.loss.to_string(),
        dev_micro_f1: history.best_dev_f1,
        best_epoch: history.best_epoch,
        test,
        cost: Cost {
            train_s,
            test_s: started.elapsed().as_secs_f64(),
            cpu_s: processor.elapsed().as_secs_f64(),
            words_per_s: history.words as f64 / history.steps_s,
            steps,
            parameters: model.n_parameters(),
            train_words: sentences.iter().map(|sentence| sentence.words.len()).sum(),
        },
        curve: history.epochs,
        weights: digest(&model),
    })
}

/// First 16 hex digits of the sha256 over all weights in the order of their names.
fn digest(model: &Model) -> String {
    let bytes = named(&model.store).into_iter().flat_map(|(_, tensor)| {
        let flat: Tensor = tensor.detach().to_device(Device::Cpu).to_kind(Kind::Float).flatten(0, -1);
        let values = Vec::<f32>::try_from(&flat).expect("f32 in one dimension");
        values.into_iter().flat_map(f32::to_le_bytes).collect::<Vec<u8>>()
    });
    files::sha256_hex(&bytes.collect::<Vec<u8>>())[..16].to_owned()
}

fn test_scores(gold: &[Sentence], predicted: &[Vec<Span>]) -> TestScores {
    let (mut scores, mut errors, mut sentences) = (EntityScores::default(), Errors::default(), Vec::new());
    for (sentence, predicted) in gold.iter().zip(predicted) {
        scores.add(&sentence.spans, predicted);
        errors.add(&sentence.spans, predicted, sentence.words.len());
        let correct = predicted.iter().filter(|span| sentence.spans.binary_search(span).is_ok()).count();
        sentences.push([correct as u32, predicted.len() as u32, sentence.spans.len() as u32]);
    }
    let micro = scores.micro();
    let types = scores.types.iter().map(|(label, counts)| {
        (label.clone(), TypeScore { f1: counts.f1().unwrap_or_default(), support: counts.gold })
    });
    TestScores {
        micro_f1: micro.f1,
        precision: micro.precision,
        recall: micro.recall,
        macro_f1: scores.macro_average().f1,
        outside_f1: errors.outside_f1().unwrap_or_default(),
        predicted_gold_ratio: errors.predicted_gold_ratio().unwrap_or_default(),
        types: types.collect(),
        errors: ErrorSplit {
            gold: scores.total().gold,
            missed: errors.missed,
            spurious: errors.spurious,
            border: errors.border,
            kind: errors.kind,
            border_and_kind: errors.border_and_kind,
        },
        tokens: TokenSplit {
            minority_to_majority: errors.minority_to_majority(),
            majority_to_minority: errors.majority_to_minority(),
            minority_to_minority: errors.minority_to_minority,
        },
        sentences,
    }
}
