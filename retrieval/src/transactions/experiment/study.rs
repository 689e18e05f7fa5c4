//! The studies: training in one way, then every question that the claims ask.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use anyhow::Result;
use common::figure::Figure;
use common::outcome::{Drawing, Outcome};
use common::seed;
use rand::Rng;
use rand::seq::SliceRandom;
use tch::Device;

use super::design::{Amount, Arm, Data, PRECISION, RATE};
use super::lab::{Lab, Time};
use super::measure::{Quality, VOTING, Vectors, by_neighbours, plane, quality, same_account};
use crate::encoder::ColBert;
use crate::transactions::calibration::{calibration_error, coverage_precision};
use crate::transactions::coding::{HeldOut, NEAREST, Question, Rule};
use crate::transactions::model::new_encoder;
use crate::transactions::neighbours::Neighbours;
use crate::transactions::sparse::{Logistic, Row as SparseRow, SparseNeighbours, Tfidf};
use crate::transactions::train::{History, TrainConfig, train};
use crate::transactions::vote::Shares;

/// Examples of each new account that are remembered.
const EXAMPLES: [usize; 3] = [1, 5, 20];
/// Rows that a training curve is drawn from.
const CURVE: usize = 400;

fn put(outcome: &mut Outcome, setting: &str, arm: &str, quality: Quality) {
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
fn learned(lab: &Lab) -> Vec<usize> {
    lab.companies().into_iter().filter(|company| Some(*company) != lab.new_company).collect()
}

fn borrowed(answers: &[(usize, Shares)]) -> impl Iterator<Item = (usize, &Shares)> {
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
    let vectors = crate::transactions::model::encode(encoder, &strings)?;
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
        let shares = crate::transactions::vote::normalised(vote);
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
        outcome.put(&format!("cold-{n}"), arm, "top_1", vec![quality(lab, borrowed(&answers)).top_1]);
    }
    Ok(())
}

fn by_evidence(outcome: &mut Outcome, lab: &Lab, arm: &str, answers: &[(usize, Shares)]) {
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
fn cold_memory(lab: &Lab, n: usize) -> Vec<usize> {
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

fn cold_rows(lab: &Lab) -> Vec<usize> {
    (0..lab.rows.len())
        .filter(|&i| lab.times[i] == Time::Test && lab.cold.contains(&lab.rows[i].account))
        .collect()
}

/// Words and exact values on the same questions.
pub(super) fn floors(lab: &Lab, data: Data, seeds: usize) -> Outcome {
    let mut outcome = Outcome::default();
    let companies = learned(lab);
    let before = |company: usize| lab.at(company, Time::Past).chain(lab.at(company, Time::HeldOut));
    let mut by: BTreeMap<&str, Vec<(usize, Shares)>> = BTreeMap::new();
    let mut new = Vec::new();
    for company in lab.companies() {
        let rows: Vec<usize> = before(company).collect();
        let asked: Vec<usize> = lab.at(company, Time::Test).collect();
        let sparse = Sparse::new(lab, &rows);
        let tfidf: Vec<(usize, Shares)> = asked.iter().map(|&i| (i, sparse.vote(lab, i))).collect();
        if !companies.contains(&company) {
            new = tfidf;
            continue;
        }
        by.entry("tfidf").or_default().extend(tfidf);
        let lookup = lab.lookup(rows.iter().copied());
        let first = |i: usize| {
            lookup
                .first_hit(&lab.rows[i].transaction.fields)
                .map(|account| (account, 1.0))
                .into_iter()
                .collect()
        };
        by.entry("lookup").or_default().extend(asked.iter().map(|&i| (i, first(i))));
        by.entry("smoothed")
            .or_default()
            .extend(asked.iter().map(|&i| (i, lookup.shares(&lab.rows[i].transaction.fields))));
        by.entry("logistic").or_default().extend(logistic(lab, &sparse, &rows, &asked));
    }
    // A floor has no seed: its one value stands beside each seed's.
    let repeat = |outcome: &mut Outcome, setting: &str, arm: &str, quality: Quality| {
        (0..seeds).for_each(|_| put(outcome, setting, arm, quality));
    };
    for (arm, answers) in &by {
        repeat(&mut outcome, data.name(), arm, quality(lab, borrowed(answers)));
    }
    for (arm, answers) in by.iter().filter(|_| !lab.truth.is_empty()) {
        by_evidence(&mut outcome, lab, arm, answers);
    }
    if lab.new_company.is_some() {
        repeat(&mut outcome, "new-company", "tfidf", quality(lab, borrowed(&new)));
    }
    if !lab.truth.is_empty() {
        let right = |i: &usize| f64::from(u8::from(lab.truth[*i].1 == lab.rows[*i].account));
        let asked: Vec<usize> = companies.iter().flat_map(|&company| lab.at(company, Time::Test)).collect();
        let ceiling = asked.iter().map(right).sum::<f64>() / asked.len().max(1) as f64;
        outcome.put(data.name(), "best-possible", "top_1", vec![ceiling]);
    }
    for n in EXAMPLES.into_iter().filter(|_| !lab.cold.is_empty()) {
        let sparse = Sparse::new(lab, &cold_memory(lab, n));
        let answers: Vec<(usize, Shares)> =
            cold_rows(lab).into_iter().map(|i| (i, sparse.vote(lab, i))).collect();
        let value = quality(lab, borrowed(&answers)).top_1;
        outcome.put(&format!("cold-{n}"), "tfidf", "top_1", vec![value; seeds]);
    }
    outcome
}

struct Sparse {
    tfidf: Tfidf,
    neighbours: SparseNeighbours,
}

impl Sparse {
    fn new(lab: &Lab, rows: &[usize]) -> Self {
        let text = |i: &usize| lab.strings[lab.string[*i]].as_str();
        let tfidf = Tfidf::fit(rows.iter().map(text));
        let features: Vec<SparseRow> = rows.iter().map(|i| tfidf.row(text(i))).collect();
        let accounts = rows.iter().map(|&i| lab.rows[i].account).collect();
        Self { neighbours: SparseNeighbours::new(tfidf.len(), &features, accounts), tfidf }
    }

    fn vote(&self, lab: &Lab, i: usize) -> Shares {
        self.neighbours.vote(&self.tfidf.row(&lab.strings[lab.string[i]]), VOTING)
    }
}

fn logistic(lab: &Lab, sparse: &Sparse, rows: &[usize], asked: &[usize]) -> Vec<(usize, Shares)> {
    let mut accounts: Vec<u32> = rows.iter().map(|&i| lab.rows[i].account).collect();
    accounts.sort_unstable();
    accounts.dedup();
    let class = |account: u32| accounts.partition_point(|known| *known < account) as u32;
    let features = |i: &usize| sparse.tfidf.row(&lab.strings[lab.string[*i]]);
    let classes: Vec<u32> = rows.iter().map(|&i| class(lab.rows[i].account)).collect();
    let learned: Vec<SparseRow> = rows.iter().map(features).collect();
    let model = Logistic::train(sparse.tfidf.len(), accounts.len(), &learned, &classes, 5, 0.3, 0);
    let named =
        |shares: Shares| shares.into_iter().map(|(class, share)| (accounts[class as usize], share)).collect();
    asked.iter().map(|i| (*i, named(model.shares(&features(i))))).collect()
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

/// Times of a search, by width and number of vectors, and of a training step, by mining.
pub(super) fn speed(lab: &Lab, amount: Amount, device: Device) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for arm in Arm::ALL.into_iter().filter(|arm| arm.is_mining()) {
        let encoder = new_encoder(&lab.corpus.strings, amount.size, device, 1)?;
        let history = train(&encoder, &lab.corpus, &arm.config(20), 1, |_, _| true)?;
        outcome.put("speed", arm.name(), "step_ms", vec![1e3 * history.steps_s / 20.0]);
        outcome.put("speed", arm.name(), "tokens_per_s", vec![history.tokens as f64 / history.steps_s]);
    }
    let sizes = [
        (8, amount.searched / 10),
        (16, amount.searched / 10),
        (64, amount.searched / 10),
        (64, amount.searched),
    ];
    for (width, n) in sizes {
        let mut random = seed::rng(1, "vectors", width as u64);
        let centres: Vec<f32> = (0..2000 * width).map(|_| random.random_range(-1.0..1.0)).collect();
        let mut around = |n: usize| -> Vec<f32> {
            let mut values = Vec::with_capacity(n * width);
            for _ in 0..n {
                let centre = random.random_range(0..2000) * width;
                let row: Vec<f32> = centres[centre..centre + width]
                    .iter()
                    .map(|value| value + random.random_range(-0.5..0.5))
                    .collect();
                let norm = row.iter().map(|value| value * value).sum::<f32>().sqrt();
                values.extend(row.iter().map(|value| value / norm));
            }
            values
        };
        let (values, queries) = (around(n), around(50));
        let index = Neighbours::new(width, values)?;
        let mut times: Vec<f64> = Vec::new();
        for query in queries.chunks_exact(width) {
            let started = Instant::now();
            index.search(query, VOTING.k)?;
            times.push(1e3 * started.elapsed().as_secs_f64());
        }
        outcome.put(
            "search",
            &format!("{n} x {width}"),
            "latency_ms",
            common::stats::median(&times).into_iter().collect(),
        );
    }
    Ok(outcome)
}

/// The same transactions before and after training: the six most frequent accounts among confusable ones.
fn maps(lab: &Lab, before: &Vectors, after: &Vectors) -> Vec<Drawing> {
    let rows: Vec<usize> = lab.at(0, Time::Test).filter(|&i| lab.confusable[i]).collect();
    let accounts = most_frequent(rows.iter().map(|&i| lab.rows[i].account), 6);
    let mut rows: Vec<usize> =
        rows.into_iter().filter(|&i| accounts.contains(&lab.rows[i].account)).collect();
    rows.truncate(500);
    let drawing = |vectors: &Vectors, id: &str, when: &str| {
        let points = plane(&rows.iter().map(|&i| vectors.row(lab.string[i])).collect::<Vec<_>>());
        let group = |account: &u32| {
            let own = rows.iter().zip(&points).filter(|(i, _)| lab.rows[**i].account == *account);
            (lab.names[account].clone(), own.map(|(_, point)| *point).collect())
        };
        Drawing {
            id: id.to_owned(),
            caption: format!(
                "Test transactions of merchants with three accounts or more, {when} training: the two directions of greatest variance, one colour per account."
            ),
            figure: Figure::Scatter {
                title: format!("Vectors {when} training"),
                x: "first direction".to_owned(),
                y: "second direction".to_owned(),
                groups: accounts.iter().map(group).collect(),
            },
        }
    };
    vec![drawing(before, "map-before", "before"), drawing(after, "map-after", "after")]
}

/// Which accounts are taken for which, among the eight with most mistakes.
fn confusion(lab: &Lab, answers: &[(usize, Shares)]) -> Drawing {
    let said = |(i, shares): &(usize, Shares)| Some((lab.rows[*i].account, shares.first()?.0));
    let pairs: Vec<(u32, u32)> = answers.iter().filter_map(said).collect();
    let wrong = pairs.iter().filter(|(gold, said)| gold != said).flat_map(|(gold, said)| [*gold, *said]);
    let accounts = most_frequent(wrong, 8);
    let count = |gold: &u32, said: &u32| pairs.iter().filter(|pair| **pair == (*gold, *said)).count() as f64;
    let row = |gold: &u32| {
        let all = pairs.iter().filter(|pair| pair.0 == *gold).count().max(1) as f64;
        accounts.iter().map(|said| count(gold, said) / all).collect::<Vec<f64>>()
    };
    let names: Vec<String> = accounts.iter().map(|account| lab.names[account].clone()).collect();
    Drawing {
        id: "confusion".to_owned(),
        caption: "Share of an account's test transactions (row) for which an account (column) was suggested first, among the eight accounts with most mistakes; the frame is the right one.".to_owned(),
        figure: Figure::HeatMap {
            title: "Confusable accounts".to_owned(),
            value: "share of the row's transactions".to_owned(),
            rows: names.clone(),
            columns: names,
            values: accounts.iter().map(row).collect(),
            framed: (0..accounts.len()).map(Some).collect(),
        },
    }
}

fn most_frequent(accounts: impl Iterator<Item = u32>, n: usize) -> Vec<u32> {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    accounts.for_each(|account| *counts.entry(account).or_default() += 1);
    let mut sorted: Vec<(u32, usize)> = counts.into_iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    sorted.into_iter().take(n).map(|(account, _)| account).collect()
}
