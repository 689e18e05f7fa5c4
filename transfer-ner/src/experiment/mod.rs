//! The experiment: ε is chosen on development data, compared runs are trained on equal seeds and samples, claims are judged, the
//! report is written.

mod analysis;
mod arms;
mod corpora;
pub mod design;
mod features;
pub mod pair;
mod report;
mod tables;

use std::time::Instant;

use anyhow::Result;
use common::files;
use common::nn::checkpoint::named;
use common::outcome::Outcome;
use cpu_time::ProcessTime;
use tch::{Device, Kind};

use crate::config::{Config, Method};
use crate::data::nested_sample;
use crate::feature_crf::{FeatureConfig, FeatureCrf};
use crate::methods::arrange;
use crate::model::{Model, Training};
use crate::train::{Checkpoints, Data, micro_f1, train};
pub use analysis::{Finished, choose};
pub use corpora::Pairs;
use design::{Job, Work};
pub use report::report;

/// Carries out one job.
///
/// # Errors
/// Missing data, diverged training.
pub fn carry_out(job: &Job, pairs: &mut Pairs, device: Device) -> Result<Outcome> {
    let (started, processor) = (Instant::now(), ProcessTime::now());
    let mut outcome = match &job.work {
        Work::Train(config) => trained(job, config, pairs, device)?,
        Work::FeatureCrf => feature_crf(job, pairs)?,
        Work::SharedFeatures(config) => features::compare(job, config, pairs, device)?,
    };
    (outcome.wall_s, outcome.cpu_s) = (started.elapsed().as_secs_f64(), processor.elapsed().as_secs_f64());
    Ok(outcome)
}

fn trained(job: &Job, config: &Config, pairs: &mut Pairs, device: Device) -> Result<Outcome> {
    let pair = pairs.get(job.pair)?;
    let mut inputs = pair.inputs.clone();
    inputs.target = nested_sample(&pair.inputs.target, job.n, job.sample);
    if config.method != Method::Align {
        inputs.kept.clear(); // persons stay as they are in the method of Xie et al. only
    }
    let arranged = arrange(config.clone(), &inputs)?;
    let training = Training {
        source: &arranged.source,
        target: &inputs.target,
        vectors: arranged.vectors.as_ref().map(|vectors| vectors.each_ref()),
        encoder: inputs.encoder.as_ref(),
    };
    let model = Model::new(arranged.config, training, job.seed, device)?;
    let watched = if job.test { &pair.test[..] } else { &[] };
    let data = Data { source: &arranged.source, target: &inputs.target, dev: &inputs.dev, watched };
    let trained = train(&model, data, job.seed, &Checkpoints::default(), |_| true)?;
    let mut outcome = Outcome::default();
    let mut put = |metric: &str, value: f64| outcome.put(&job.setting, &job.arm, metric, vec![value]);
    put("dev_f1", trained.history.best_dev_f1);
    put("parameters", model.n_parameters() as f64);
    if job.test {
        let chosen = trained.history.best_epoch.max(1) - 1;
        put("micro_f1", trained.watched[chosen]);
        put("best_test_f1", trained.watched.iter().copied().fold(0.0, f64::max));
    }
    outcome.curve =
        trained.history.epochs.iter().map(|point| [point.step as f64, point.train_loss]).collect();
    outcome.text = vec![format!("weights {}", digest(&model))];
    Ok(outcome)
}

fn feature_crf(job: &Job, pairs: &mut Pairs) -> Result<Outcome> {
    let pair = pairs.get(job.pair)?;
    let target = nested_sample(&pair.inputs.target, job.n, job.sample);
    let model = FeatureCrf::train(&target, &FeatureConfig::usual(), job.seed);
    let mut outcome = Outcome::default();
    let f1 = micro_f1(&pair.test, &model.predict(&pair.test));
    outcome.put(&job.setting, &job.arm, "micro_f1", vec![f1]);
    Ok(outcome)
}

/// First 16 hex digits of the sha256 over all weights in the order of their names.
fn digest(model: &Model) -> String {
    let bytes = named(&model.store).into_iter().flat_map(|(_, tensor)| {
        let flat = tensor.detach().to_device(Device::Cpu).to_kind(Kind::Float).flatten(0, -1);
        let values = Vec::<f32>::try_from(&flat).expect("f32 in one dimension");
        values.into_iter().flat_map(f32::to_le_bytes).collect::<Vec<u8>>()
    });
    files::sha256_hex(&bytes.collect::<Vec<u8>>())[..16].to_owned()
}
