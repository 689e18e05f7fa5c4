//! The studies: training in one way, then every question that the claims ask.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use common::outcome::Outcome;
use common::seed;
use rand::seq::SliceRandom;
use tch::Device;

use super::design::{Amount, Arm, Data, PRECISION, RATE};
use super::drawings::{confusion, maps};
use super::lab::{Lab, Time};
use super::measure::{Quality, VOTING, Vectors, by_neighbours, quality, same_account};
use crate::encoder::ColBert;
use crate::transactions::calibration::{calibration_error, coverage_precision};
use crate::transactions::coding::{HeldOut, NEAREST, Question, Rule};
use crate::transactions::model::{encode, new_encoder};
use crate::transactions::neighbours::Neighbours;
use crate::transactions::train::{History, TrainConfig, train};
use crate::transactions::vote::{Shares, normalised};

/// Examples of each new account that are remembered.
pub(super) const EXAMPLES: [usize; 3] = [1, 5, 20];
/// Rows that a training curve is drawn from.
const CURVE: usize = 400;

pub(super) fn put(outcome: &mut Outcome, setting: &str, arm: &str, quality: Quality) {
    let values = [
        ("top_1", Some(quality.top_1)),
        ("top_3", Some(quality.top_3)),
        ("mrr", Some(quality.mrr)),
        ("macro_f1", Some(quality.macro_f1)),
        ("confusable", quality.confusable),
    ];
    for (metric, value) in values {
        if let Some(value) = value {
            outcome.put(setting, arm, metric, vec![value]);
        }
    }
}

/// Companies whose rows were learned from.
pub(super) fn learned(lab: &Lab) -> Vec<usize> {
    lab.companies().into_iter().filter(|company| Some(*company) != lab.new_company).collect()
}

pub(super) fn borrowed(answers: &[(usize, Shares)]) -> impl Iterator<Item = (usize, &Shares)> {
    answers.iter().map(|(i, shares)| (*i, shares))
}

/// Trains one arm and asks it.
pub(super) fn trained(
    lab: &Lab,
    amount: Amount,
    (data, arm, seed): (Data, Arm, u64),
    first_seed: bool,
    device: Device,
) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let encoder = new_encoder(&lab.corpus.strings, arm.size(amount.size), device, seed)?;
    let before = if arm == Arm::Triplet { Some(Vectors::of(&encoder, lab)?) } else { None };
    let history = learn(lab, &encoder, &arm.config(amount.steps), seed, &mut outcome, arm.is_mining())?;
    if let Some(health) = history.health.last() {
        let last = [
            ("active", health.active),
            ("positive", health.positive),
            ("negative", health.negative),
            ("cosine", health.cosine),
        ];
        last.into_iter()
            .for_each(|(metric, value)| outcome.put(data.name(), arm.name(), metric, vec![value]));
    }
    let vectors = Vectors::of(&encoder, lab)?;
    ask(&mut outcome, lab, data, arm.name(), &vectors)?;
    if let Some(before) = before {
        ask(&mut outcome, lab, data, "untrained", &before)?;
        if first_seed && data == Data::Pcard {
            outcome.drawings.extend(maps(lab, &before, &vectors));
        }
    }
    Ok(outcome)
}

/// Trains; with a curve, the held-out rows are asked on the way.
fn learn(
    lab: &Lab,
    encoder: &ColBert,
    config: &TrainConfig,
    run_seed: u64,
    outcome: &mut Outcome,
    with_curve: bool,
) -> Result<History> {
    let small = if with_curve { Some(curve_rows(lab)) } else { None };
    let mut failed = Ok(());
    let history = train(encoder, &lab.corpus, config, run_seed, |encoder, step| {
        if let Some((before, asked)) = small.as_ref().filter(|_| (4 * step).is_multiple_of(config.steps)) {
            match curve_point(lab, encoder, before, asked) {
                Ok(right) => outcome.curve.push([step as f64, right]),
                Err(error) => failed = Err(error),
            }
        }
        failed.is_ok()
    })?;
    failed.map(|()| history)
}

/// A few past and held-out rows of the first company.
fn curve_rows(lab: &Lab) -> (Vec<usize>, Vec<usize>) {
    let some = |time: Time, n: usize| {
        let mut rows: Vec<usize> = lab.at(0, time).collect();
        rows.shuffle(&mut seed::rng(0, "curve", time as u64));
        rows.truncate(n);
        rows
    };
    (some(Time::Past, 4 * CURVE), some(Time::HeldOut, CURVE))
}

fn curve_point(lab: &Lab, encoder: &ColBert, before: &[usize], asked: &[usize]) -> Result<f64> {
    let rows: Vec<usize> = before.iter().chain(asked).copied().collect();
    let strings: Vec<&str> = rows.iter().map(|&i| lab.strings[lab.string[i]].as_str()).collect();
    let vectors = encode(encoder, &strings)?;
    let width = encoder.width();
    let index = Neighbours::new(width, vectors[..before.len() * width].to_vec())?;
    let mut right = 0;
    for (place, &i) in asked.iter().enumerate() {
        let query = &vectors[(before.len() + place) * width..][..width];
        let near = index.search(query, VOTING.k)?;
        let vote = near.iter().map(|near| {
            let weight = (VOTING.sharpness * (f64::from(near.similarity) - 1.0)).exp();
            (lab.rows[before[near.row as usize]].account, weight)
        });
        let shares = normalised(vote);
        right += usize::from(shares.first().is_some_and(|(account, _)| *account == lab.rows[i].account));
    }
    Ok(right as f64 / asked.len().max(1) as f64)
}

/// Everything that is asked of vectors.
fn ask(outcome: &mut Outcome, lab: &Lab, data: Data, arm: &str, vectors: &Vectors) -> Result<()> {
    let answers = by_neighbours(lab, vectors, &learned(lab))?;
    put(outcome, data.name(), arm, quality(lab, borrowed(&answers)));
    outcome.put(data.name(), arm, "same_account", vec![same_account(lab, vectors, 0)?]);
    if !lab.truth.is_empty() {
        by_evidence(outcome, lab, arm, &answers);
    }
    if let Some(company) = lab.new_company {
        put(outcome, "new-company", arm, quality(lab, borrowed(&by_neighbours(lab, vectors, &[company])?)));
    }
    for n in EXAMPLES.into_iter().filter(|_| !lab.cold.is_empty()) {
        let memory = vectors.memory(lab, cold_memory(lab, n).into_iter())?;
        let asked = cold_rows(lab);
        let nearest = vectors.nearest(lab, &memory, &asked, VOTING.k)?;
        let answers: Vec<(usize, Shares)> =
            asked.into_iter().map(|i| (i, memory.vote(&nearest[&lab.string[i]], VOTING))).collect();
        put(outcome, &format!("cold-{n}"), arm, quality(lab, borrowed(&answers)));
    }
    Ok(())
}

pub(super) fn by_evidence(outcome: &mut Outcome, lab: &Lab, arm: &str, answers: &[(usize, Shares)]) {
    let mut counts: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for (i, shares) in answers {
        let right = shares.first().is_some_and(|(account, _)| *account == lab.rows[*i].account);
        let (sum, n) = counts.entry(lab.truth[*i].0).or_default();
        (*sum, *n) = (*sum + f64::from(u8::from(right)), *n + 1.0);
    }
    counts.into_iter().for_each(|(evidence, (sum, n))| {
        outcome.put(&format!("evidence-{evidence}"), arm, "top_1", vec![sum / n])
    });
}

/// All rows before the test without the new accounts', and the first `n` of each of these.
pub(super) fn cold_memory(lab: &Lab, n: usize) -> Vec<usize> {
    let mut counts: HashMap<u32, usize> = HashMap::new();
    let before = (0..lab.rows.len()).filter(|&i| lab.times[i] != Time::Test);
    let kept = before.filter(|&i| {
        let account = lab.rows[i].account;
        let seen = counts.entry(account).or_default();
        *seen += 1;
        !lab.cold.contains(&account) || *seen <= n
    });
    kept.collect()
}

pub(super) fn cold_rows(lab: &Lab) -> Vec<usize> {
    (0..lab.rows.len())
        .filter(|&i| lab.times[i] == Time::Test && lab.cold.contains(&lab.rows[i].account))
        .collect()
}

/// The article's way on all rows: neighbours, exact values, both; confidence and automatic filling.
pub(super) fn whole(
    lab: &Lab,
    amount: Amount,
    seed: u64,
    first_seed: bool,
    device: Device,
) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let encoder = new_encoder(&lab.corpus.strings, amount.size, device, seed)?;
    let config = TrainConfig { learning_rate: RATE, ..TrainConfig::article(amount.whole_steps) };
    learn(lab, &encoder, &config, seed, &mut outcome, false)?;
    let vectors = Vectors::of(&encoder, lab)?;
    let rule = held_out_rule(lab, &vectors)?;
    let before = || lab.at(0, Time::Past).chain(lab.at(0, Time::HeldOut));
    let (memory, lookup) = (vectors.memory(lab, before())?, lab.lookup(before()));
    let asked: Vec<usize> = lab.at(0, Time::Test).collect();
    let nearest = vectors.nearest(lab, &memory, &asked, NEAREST)?;
    let mut arms: BTreeMap<&str, Vec<(usize, Shares)>> = BTreeMap::new();
    let (mut outcomes, mut filled, mut filled_right) = (Vec::new(), 0.0, 0.0);
    for &i in &asked {
        let fields = &lab.rows[i].transaction.fields;
        let near = &nearest[&lab.string[i]];
        let first = lookup.first_hit(fields).map(|account| (account, 1.0)).into_iter().collect();
        let answer = rule.answer(&memory, near, &lookup, fields);
        let right = answer.ranked.first().is_some_and(|(account, _)| *account == lab.rows[i].account);
        outcomes.push((answer.confidence, right));
        if answer.fill {
            (filled, filled_right) = (filled + 1.0, filled_right + f64::from(u8::from(right)));
        }
        arms.entry("lookup").or_default().push((i, first));
        arms.entry("smoothed").or_default().push((i, lookup.shares(fields)));
        arms.entry("neighbours").or_default().push((i, memory.vote(near, VOTING)));
        arms.entry("both").or_default().push((i, answer.ranked));
    }
    for (arm, answers) in &arms {
        put(&mut outcome, "whole", arm, quality(lab, borrowed(answers)));
        let fresh = borrowed(answers).filter(|(i, _)| !lab.repeated[*i]);
        outcome.put("whole", arm, "fresh", vec![quality(lab, fresh).top_1]);
    }
    outcome.put(
        "filling",
        "filled",
        "precision",
        vec![if filled > 0.0 { filled_right / filled } else { 1.0 }],
    );
    outcome.put("filling", "asked", "precision", vec![PRECISION]);
    outcome.put("filling", "filled", "coverage", vec![filled / asked.len() as f64]);
    outcome.put("filling", "filled", "calibration", calibration_error(&outcomes, 10).into_iter().collect());
    outcome.put("filling", "filled", "weight", vec![rule.weight]);
    outcome.curve = coverage_precision(&outcomes, 60);
    if first_seed {
        outcome.drawings.push(confusion(lab, &arms["both"]));
    }
    Ok(outcome)
}

/// The rule that the held-out months set, asked with the past alone.
fn held_out_rule(lab: &Lab, vectors: &Vectors) -> Result<Rule> {
    let (memory, lookup) = (vectors.memory(lab, lab.at(0, Time::Past))?, lab.lookup(lab.at(0, Time::Past)));
    let held = |i: usize| HeldOut {
        memory: &memory,
        lookup: &lookup,
        question: Question { vector: vectors.row(lab.string[i]), fields: &lab.rows[i].transaction.fields },
        account: lab.rows[i].account,
    };
    Ok(Rule::fit(&lab.at(0, Time::HeldOut).map(held).collect::<Vec<_>>(), PRECISION)?)
}
