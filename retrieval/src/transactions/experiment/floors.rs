//! What needs no encoder: words and exact values on the same questions.

use std::collections::BTreeMap;

use common::outcome::Outcome;

use super::design::Data;
use super::lab::{Lab, Time};
use super::measure::{Quality, VOTING, quality};
use super::study::{EXAMPLES, borrowed, by_evidence, cold_memory, cold_rows, learned, put};
use crate::transactions::sparse::{Logistic, Row as SparseRow, SparseNeighbours, Tfidf};
use crate::transactions::vote::Shares;

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
        repeat(&mut outcome, &format!("cold-{n}"), "tfidf", quality(lab, borrowed(&answers)));
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
