//! Figures of one run: vectors in the plane, confusable accounts.

use std::collections::BTreeMap;

use common::figure::Figure;
use common::outcome::Drawing;

use super::lab::{Lab, Time};
use super::measure::{Vectors, plane};
use crate::transactions::vote::Shares;

/// The same transactions before and after training: the six most frequent accounts among confusable ones.
pub(super) fn maps(lab: &Lab, before: &Vectors, after: &Vectors) -> Vec<Drawing> {
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
                fitted: false,
                groups: accounts.iter().map(group).collect(),
            },
        }
    };
    vec![drawing(before, "map-before", "before"), drawing(after, "map-after", "after")]
}

/// Which accounts are taken for which, among the eight with most mistakes.
pub(super) fn confusion(lab: &Lab, answers: &[(usize, Shares)]) -> Drawing {
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
