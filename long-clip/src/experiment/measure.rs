//! What is measured of a model: retrieval, classification, the effective-length curve, drop-in use, perturbed captions, drift.

use anyhow::Result;
use common::outcome::Outcome;
use tch::{Kind, Tensor};

use super::arm::{BASE_LENGTH, LENGTH};
use super::recall::{Scores, recall_at};
use super::sets::{ImageFeatures, Sets, TextFeatures, encode_captions};
use crate::model::Clip;
use crate::world::{Caption, Oracle, oracle};

/// Metric of shares of hits.
pub(super) const SHARE: &str = "share";
/// Metric of what a perturbation takes from the recall.
pub(super) const LOSS: &str = "loss";
/// Metric of the recall between 20 tokens and the whole caption.
pub(super) const GAIN: &str = "gain-after-20";
/// Metric of the smallest length with 95 % of the best recall of the curve.
pub(super) const EFFECTIVE: &str = "effective-length";
/// Tokens after which gains count (paper: the effective length is below 20).
const FROM: usize = 20;
/// Share of the best recall that the effective length has.
const EFFECTIVE_SHARE: f64 = 0.95;
/// Queries that are kept with the images found.
const EXAMPLES: usize = 4;
/// Images kept of each.
const FOUND: usize = 5;

/// A base's features on the sets, for drop-in use and drift.
pub(super) struct Old {
    pub(super) images: ImageFeatures,
    pub(super) texts: TextFeatures,
}

/// Tokens that a model reads.
pub(super) fn longest(model: &Clip) -> usize {
    (model.config.text.context_length as usize).min(LENGTH)
}

/// Features of a base.
pub(super) fn old(base: &Clip, sets: &Sets) -> Result<Old> {
    let _guard = tch::no_grad_guard();
    Ok(Old { images: sets.images(base)?, texts: sets.texts(base, BASE_LENGTH)? })
}

/// Puts all measures of a model under the name of its arm; `old` is the base it came from.
pub(super) fn all(
    model: &Clip,
    sets: &Sets,
    lengths: &[usize],
    old: Option<&Old>,
    arm: &str,
    outcome: &mut Outcome,
) -> Result<()> {
    let _guard = tch::no_grad_guard();
    let (images, texts) = (sets.images(model)?, sets.texts(model, longest(model))?);
    let mut put = |setting: &str, value: f64| outcome.put(setting, arm, SHARE, vec![value]);
    main(&images, &texts, sets).into_iter().for_each(|(name, value)| put(name, value));
    if let Some(old) = old {
        for (side, images, texts) in [("old-image", &old.images, &texts), ("old-text", &images, &old.texts)] {
            for (name, value) in main(images, texts, sets) {
                put(&format!("{side}-{name}"), value);
            }
        }
        put("drift-text", cosine(&texts.short, &old.texts.short));
        put("drift-image", cosine(&images.random, &old.images.random));
    }
    let ordered: Vec<&Caption> = sets.similar.items.iter().map(|item| &item.long).collect();
    curve(model, &images, &ordered, lengths, ("curve", arm), outcome)?;
    let shuffled: Vec<&Caption> = sets.shuffled.iter().collect();
    curve(model, &images, &shuffled, &few_of(lengths), ("curve-shuffled", arm), outcome)?;
    perturbed(model, &images, &texts, sets, arm, outcome)?;
    examples(&images, &texts, arm, outcome);
    Ok(())
}

/// The lengths of the curve whose sentences are in random order: 20 tokens, a few beyond, the whole caption.
pub(super) fn few_of(lengths: &[usize]) -> Vec<usize> {
    let (last, rest) = lengths.split_last().expect("a curve has lengths");
    let beyond = rest.iter().filter(|length| **length >= FROM).step_by(2);
    beyond.chain([last]).copied().collect()
}

/// The few measures of a look at a model while it trains and of a candidate.
pub(super) fn few(model: &Clip, sets: &Sets) -> Result<Vec<(&'static str, f64)>> {
    let _guard = tch::no_grad_guard();
    let wanted = ["long-t2i", "long-i2t", "short-t2i", "short-i2t", "zero-shot-among"];
    let all = main(&sets.images(model)?, &sets.texts(model, longest(model))?, sets);
    Ok(all.into_iter().filter(|(name, _)| wanted.contains(name)).collect())
}

fn main(images: &ImageFeatures, texts: &TextFeatures, sets: &Sets) -> Vec<(&'static str, f64)> {
    let same = |row: usize, column: usize| row == column;
    let long = scores(&texts.long, &images.random);
    let short = scores(&texts.short, &images.random);
    let short_ranks = short.ranks(|row, column| sets.holds[row][column]);
    let backwards = short.transposed().ranks(|row, column| sets.holds[column][row]);
    vec![
        ("long-t2i", recall_at(&long.ranks(same), 1)),
        ("long-i2t", recall_at(&long.transposed().ranks(same), 1)),
        ("short-t2i", recall_at(&short_ranks, 1)),
        ("short-t2i-5", recall_at(&short_ranks, 5)),
        ("short-t2i-10", recall_at(&short_ranks, 10)),
        ("short-i2t", recall_at(&backwards, 1)),
        ("short-strict-t2i", recall_at(&short.ranks(same), 1)),
        ("zero-shot", accuracy(&images.single, texts, &sets.single.labels)),
        ("zero-shot-among", accuracy(&images.among, texts, &sets.among.labels)),
    ]
}

fn accuracy(images: &Tensor, texts: &TextFeatures, labels: &[usize]) -> f64 {
    let ranks = scores(images, &texts.classes).ranks(|row, column| labels[row] == column);
    recall_at(&ranks, 1)
}

fn scores(rows: &Tensor, columns: &Tensor) -> Scores {
    let products = rows.matmul(&columns.tr()).to_kind(Kind::Float).contiguous();
    let values = Vec::<f32>::try_from(products.flatten(0, -1)).expect("f32 in one dimension");
    Scores::new(values, columns.size()[0] as usize)
}

fn cosine(a: &Tensor, b: &Tensor) -> f64 {
    (a * b).sum_dim_intlist([-1].as_slice(), false, Kind::Double).mean(Kind::Double).double_value(&[])
}

/// Text to image R@1 among families, by the length at which captions are cut.
fn curve(
    model: &Clip,
    images: &ImageFeatures,
    captions: &[&Caption],
    lengths: &[usize],
    (setting, arm): (&str, &str),
    outcome: &mut Outcome,
) -> Result<()> {
    let mut points = Vec::new();
    for &length in lengths {
        let texts = encode_captions(model, captions.iter().copied(), length.min(longest(model)))?;
        let ranks = scores(&texts, &images.similar).ranks(|row, column| row == column);
        points.push((length, recall_at(&ranks, 1)));
    }
    put_curve(&points, setting, arm, outcome);
    Ok(())
}

/// The oracle's curves, ordered and shuffled.
pub(super) fn oracles(sets: &Sets, lengths: &[usize], outcome: &mut Outcome) {
    let ordered: Vec<&Caption> = sets.similar.items.iter().map(|item| &item.long).collect();
    let shuffled: Vec<&Caption> = sets.shuffled.iter().collect();
    let few = few_of(lengths);
    for (setting, captions, lengths) in [("curve", ordered, lengths), ("curve-shuffled", shuffled, &few)] {
        let at = |&length: &usize| (length, oracle(&sets.similar, captions.iter().copied(), length));
        let points: Vec<(usize, Oracle)> = lengths.iter().map(at).collect();
        let recalls: Vec<(usize, f64)> =
            points.iter().map(|(length, oracle)| (*length, oracle.recall)).collect();
        put_curve(&recalls, setting, "oracle", outcome);
        for (length, oracle) in points {
            outcome.put(setting, "oracle", &format!("unique@{length}"), vec![oracle.unique]);
        }
    }
    let random =
        |length: usize| oracle(&sets.random, sets.random.items.iter().map(|item| &item.long), length);
    for &length in lengths {
        outcome.put("curve-random", "oracle", &format!("recall@{length}"), vec![random(length).recall]);
    }
}

fn put_curve(points: &[(usize, f64)], setting: &str, arm: &str, outcome: &mut Outcome) {
    for (length, recall) in points {
        outcome.put(setting, arm, &format!("recall@{length}"), vec![*recall]);
    }
    let whole = points.last().map_or(0.0, |(_, recall)| *recall);
    let from = points.iter().rev().find(|(length, _)| *length <= FROM).map_or(0.0, |(_, recall)| *recall);
    outcome.put(setting, arm, GAIN, vec![whole - from]);
    let best = points.iter().map(|(_, recall)| *recall).fold(0.0, f64::max);
    let effective = points.iter().find(|(_, recall)| *recall >= EFFECTIVE_SHARE * best);
    outcome.put(setting, arm, EFFECTIVE, vec![effective.map_or(0.0, |(length, _)| *length as f64)]);
}

/// What is done to a caption.
type Change = fn(&Caption) -> Caption;

/// Text to image R@1 on long captions that were changed, and what that took.
fn perturbed(
    model: &Clip,
    images: &ImageFeatures,
    texts: &TextFeatures,
    sets: &Sets,
    arm: &str,
    outcome: &mut Outcome,
) -> Result<()> {
    let recall =
        |texts: &Tensor| recall_at(&scores(texts, &images.random).ranks(|row, column| row == column), 1);
    let whole = recall(&texts.long);
    let changes: [(&str, Change); 3] = [
        ("first-removed", Caption::without_first),
        ("first-last", Caption::first_last),
        ("after-filler", Caption::after_filler),
    ];
    for (setting, change) in changes {
        let captions: Vec<Caption> = sets.random.items.iter().map(|item| change(&item.long)).collect();
        let changed = recall(&encode_captions(model, captions.iter(), longest(model))?);
        outcome.put(setting, arm, SHARE, vec![changed]);
        outcome.put(setting, arm, LOSS, vec![whole - changed]);
    }
    Ok(())
}

/// The images found for the first long captions.
fn examples(images: &ImageFeatures, texts: &TextFeatures, arm: &str, outcome: &mut Outcome) {
    let scores = scores(&texts.long, &images.random);
    for query in 0..EXAMPLES {
        let found = scores.order(query).into_iter().take(FOUND).map(|image| image as f64).collect();
        outcome.put("examples", arm, &format!("found-{query}"), found);
    }
}
