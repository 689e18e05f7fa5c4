//! What the shared encoder makes of both resources, with and without the discriminator, in two dimensions.

use anyhow::Result;
use common::figure::Figure;
use common::outcome::{Drawing, Outcome};
use tch::{Device, Kind, Tensor};

use super::corpora::{Material, Pairs};
use super::design::Job;
use crate::adversary::Discriminator;
use crate::batch::Resource;
use crate::config::Config;
use crate::data::nested_sample;
use crate::methods::arrange;
use crate::model::{Model, Training};
use crate::train::{Checkpoints, Data, train};

/// Sentences of each side that are drawn.
const DRAWN: usize = 150;

/// Trains with and without the discriminator; draws the mean shared states of sentences by their principal components, and measures how
/// well a linear rule tells source from target.
pub(super) fn compare(job: &Job, config: &Config, pairs: &mut Pairs, device: Device) -> Result<Outcome> {
    let pair = pairs.get(job.pair)?;
    let mut outcome = Outcome::default();
    for (name, discriminator) in [("without", Discriminator::None), ("with", config.discriminator)] {
        let config = Config { discriminator, ..config.clone() };
        let (points, separated) = one(job, &config, pair, device)?;
        outcome.put(&job.setting, name, "separated", vec![separated]);
        let [source, target] = points;
        outcome.drawings.push(Drawing {
            id: format!("shared-{name}"),
            caption: format!(
                "Mean states of the shared encoder, one dot per sentence, {name} the discriminator: first two principal components."
            ),
            figure: Figure::Scatter {
                title: format!("Shared features {name} the discriminator"),
                x: "first component".to_owned(),
                y: "second component".to_owned(),
                fitted: false,
                groups: vec![("source".to_owned(), source), ("target".to_owned(), target)],
            },
        });
    }
    Ok(outcome)
}

/// Points of source and target, and the share of sentences on the right side of the plane halfway between the means.
fn one(job: &Job, config: &Config, pair: &Material, device: Device) -> Result<([Vec<[f64; 2]>; 2], f64)> {
    let mut inputs = pair.inputs.clone();
    inputs.target = nested_sample(&pair.inputs.target, job.n, job.sample);
    let arranged = arrange(config.clone(), &inputs)?;
    let training = Training {
        source: &arranged.source,
        target: &inputs.target,
        vectors: arranged.vectors.as_ref().map(|vectors| vectors.each_ref()),
        encoder: inputs.encoder.as_ref(),
    };
    let model = Model::new(arranged.config, training, job.seed, device)?;
    let data = Data { source: &arranged.source, target: &inputs.target, dev: &inputs.dev, watched: &[] };
    train(&model, data, job.seed, &Checkpoints::default(), |_| true)?;
    let _guard = tch::no_grad_guard();
    let sides = [(&arranged.source, Resource::Source), (&pair.test, Resource::Target)];
    let mut means = Vec::new();
    for (sentences, resource) in sides {
        let drawn = &sentences[..DRAWN.min(sentences.len())];
        let prepared = model.prepare(drawn, resource, false)?;
        let rows: Vec<usize> = (0..drawn.len()).collect();
        let batch = prepared.batch(&rows, None, device);
        let embedded = model.network.embed(&batch);
        let (shared, _) = model.network.states(&embedded, &batch, false);
        let keep = batch.keep.unsqueeze(-1).to_kind(Kind::Float);
        let lengths = keep.sum_dim_intlist([1].as_slice(), false, Kind::Float).clamp_min(1.0);
        means.push((shared * keep).sum_dim_intlist([1].as_slice(), false, Kind::Float) / lengths);
    }
    let n_source = means[0].size()[0];
    let all = Tensor::cat(&means, 0).to_kind(Kind::Double);
    let centred = &all - all.mean_dim([0].as_slice(), true, Kind::Double);
    let (_, _, components) = centred.svd(true, true);
    let flat = centred.matmul(&components.narrow(1, 0, 2));
    let points: Vec<[f64; 2]> =
        Vec::<f64>::try_from(flat.flatten(0, 1))?.chunks(2).map(|p| [p[0], p[1]]).collect();
    let (source, target) = points.split_at(n_source as usize);
    Ok(([source.to_vec(), target.to_vec()], separated(&all, n_source)))
}

fn separated(all: &Tensor, n_source: i64) -> f64 {
    let n = all.size()[0];
    let mean =
        |start: i64, length: i64| all.narrow(0, start, length).mean_dim([0].as_slice(), false, Kind::Double);
    let (source, target) = (mean(0, n_source), mean(n_source, n - n_source));
    let (direction, middle) = (&source - &target, (&source + &target) * 0.5);
    let side = (all - middle).matmul(&direction).gt(0.0);
    let is_source = Tensor::arange(n, (Kind::Int64, all.device())).lt(n_source);
    side.eq_tensor(&is_source).to_kind(Kind::Double).mean(Kind::Double).double_value(&[])
}
