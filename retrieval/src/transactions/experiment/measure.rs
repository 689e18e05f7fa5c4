//! Asking a trained encoder: suggestions, and what they are worth.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use anyhow::Result;

use super::lab::{Lab, Time};
use crate::encoder::ColBert;
use crate::transactions::model::encode;
use crate::transactions::neighbours::Neighbour;
use crate::transactions::vote::{self, Memory, Shares, Voting};

/// How neighbours are counted where encoders are compared, and look-up takes no part.
pub(super) const VOTING: Voting = Voting { k: 20, sharpness: 20.0 };

/// Vectors of all strings of a lab.
pub(super) struct Vectors {
    pub(super) width: usize,
    values: Vec<f32>,
}

impl Vectors {
    pub(super) fn of(encoder: &ColBert, lab: &Lab) -> Result<Self> {
        let strings: Vec<&str> = lab.strings.iter().map(String::as_str).collect();
        Ok(Self { width: encoder.width(), values: encode(encoder, &strings)? })
    }

    pub(super) fn row(&self, string: usize) -> &[f32] {
        &self.values[string * self.width..(string + 1) * self.width]
    }

    /// A memory of rows of the lab, the latest first.
    pub(super) fn memory(&self, lab: &Lab, rows: impl Iterator<Item = usize>) -> Result<Memory> {
        let mut rows: Vec<usize> = rows.collect();
        rows.sort_by_key(|&i| std::cmp::Reverse((lab.rows[i].transaction.date, i)));
        let (mut places, mut groups, mut values) =
            (HashMap::new(), Vec::<Vec<vote::Entry>>::new(), Vec::new());
        for i in rows {
            let string = lab.string[i];
            let place = *places.entry(string).or_insert_with(|| {
                groups.push(Vec::new());
                values.extend_from_slice(self.row(string));
                groups.len() - 1
            });
            groups[place].push(vote::Entry { account: lab.rows[i].account, id: i as i64 });
        }
        Ok(Memory::new(self.width, values, groups)?)
    }

    /// The nearest strings of each row; equal strings are looked for once.
    pub(super) fn nearest(
        &self,
        lab: &Lab,
        memory: &Memory,
        rows: &[usize],
        k: usize,
    ) -> Result<HashMap<usize, Vec<Neighbour>>> {
        let mut found = HashMap::new();
        for &i in rows {
            let string = lab.string[i];
            if let Entry::Vacant(place) = found.entry(string) {
                place.insert(memory.nearest(self.row(string), k)?);
            }
        }
        Ok(found)
    }
}

/// Means over transactions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Quality {
    pub(super) top_1: f64,
    pub(super) top_3: f64,
    pub(super) mrr: f64,
    pub(super) macro_f1: f64,
    /// First suggestions that are right on the confusable rows; absent without such rows.
    pub(super) confusable: Option<f64>,
}

/// What ranked accounts are worth on rows of a lab.
pub(super) fn quality<'a>(lab: &Lab, answers: impl Iterator<Item = (usize, &'a Shares)>) -> Quality {
    let (mut n, mut quality, mut hard) = (0.0, Quality::default(), (0.0, 0.0));
    let mut accounts: BTreeMap<u32, [f64; 3]> = BTreeMap::new();
    for (i, ranked) in answers {
        let gold = lab.rows[i].account;
        let rank = ranked.iter().position(|(account, _)| *account == gold);
        let right = f64::from(u8::from(rank == Some(0)));
        n += 1.0;
        quality.top_1 += right;
        quality.top_3 += f64::from(u8::from(rank.is_some_and(|rank| rank < 3)));
        quality.mrr += rank.map_or(0.0, |rank| 1.0 / (rank + 1) as f64);
        if lab.confusable[i] {
            hard = (hard.0 + right, hard.1 + 1.0);
        }
        accounts.entry(gold).or_default()[2] += 1.0;
        if let Some((first, _)) = ranked.first() {
            let counts = accounts.entry(*first).or_default();
            counts[1] += 1.0;
            counts[0] += right;
        }
    }
    let occurring: Vec<&[f64; 3]> = accounts.values().filter(|counts| counts[2] > 0.0).collect();
    let f1: f64 = occurring.iter().map(|[right, said, gold]| 2.0 * right / (said + gold)).sum();
    let n = f64::max(n, 1.0);
    Quality {
        top_1: quality.top_1 / n,
        top_3: quality.top_3 / n,
        mrr: quality.mrr / n,
        macro_f1: f1 / occurring.len().max(1) as f64,
        confusable: (hard.1 > 0.0).then(|| hard.0 / hard.1),
    }
}

/// Answers of nearest neighbours alone, for the test rows of companies.
pub(super) fn by_neighbours(
    lab: &Lab,
    vectors: &Vectors,
    companies: &[usize],
) -> Result<Vec<(usize, Shares)>> {
    let mut answers = Vec::new();
    for &company in companies {
        let before = lab.at(company, Time::Past).chain(lab.at(company, Time::HeldOut));
        let memory = vectors.memory(lab, before)?;
        let asked: Vec<usize> = lab.at(company, Time::Test).collect();
        let nearest = vectors.nearest(lab, &memory, &asked, VOTING.k)?;
        answers.extend(asked.into_iter().map(|i| (i, memory.vote(&nearest[&lab.string[i]], VOTING))));
    }
    Ok(answers)
}

/// Mean share of the ten nearest other strings' transactions that have a row's account, over test rows.
pub(super) fn same_account(lab: &Lab, vectors: &Vectors, company: usize) -> Result<f64> {
    let rows: Vec<usize> = lab.at(company, Time::Test).collect();
    let memory = vectors.memory(lab, lab.at(company, Time::Past))?;
    let nearest = vectors.nearest(lab, &memory, &rows, 10)?;
    let share = |i: &usize| {
        let near = &nearest[&lab.string[*i]];
        let all: Vec<bool> =
            memory.witnesses(near, 10).map(|witness| witness.entry.account == lab.rows[*i].account).collect();
        all.iter().filter(|same| **same).count() as f64 / all.len().max(1) as f64
    };
    Ok(rows.iter().map(share).sum::<f64>() / rows.len().max(1) as f64)
}

/// The two directions of greatest variance of vectors, by the power method; `[x, y]` of each.
pub(super) fn plane(rows: &[&[f32]]) -> Vec<[f64; 2]> {
    let width = rows.first().map_or(0, |row| row.len());
    let n = rows.len().max(1) as f64;
    let mean: Vec<f64> =
        (0..width).map(|i| rows.iter().map(|row| f64::from(row[i])).sum::<f64>() / n).collect();
    let centred: Vec<Vec<f64>> = rows
        .iter()
        .map(|row| row.iter().zip(&mean).map(|(value, mean)| f64::from(*value) - mean).collect())
        .collect();
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut axes: Vec<Vec<f64>> = Vec::new();
    for axis in 0..2 {
        let mut direction: Vec<f64> = (0..width).map(|i| if i % 2 == axis { 1.0 } else { 0.5 }).collect();
        for _ in 0..100 {
            let mut next = vec![0.0; width];
            for row in &centred {
                let along = product(row, &direction);
                next.iter_mut().zip(row).for_each(|(sum, value)| *sum += along * value);
            }
            for other in &axes {
                let along = product(&next, other);
                next.iter_mut().zip(other).for_each(|(value, other)| *value -= along * other);
            }
            let norm = product(&next, &next).sqrt().max(1e-300);
            direction = next.into_iter().map(|value| value / norm).collect();
        }
        axes.push(direction);
    }
    centred.iter().map(|row| [product(row, &axes[0]), product(row, &axes[1])]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plane_holds_the_greatest_variance() {
        let rows: Vec<Vec<f32>> = (0..20)
            .map(|i| {
                let t = i as f32;
                vec![t, 0.1 * (t * 7.0).sin(), 3.0 * (t * 1.3).cos(), 0.0]
            })
            .collect();
        let points = plane(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let spread = |axis: usize| points.iter().map(|point| point[axis].powi(2)).sum::<f64>() / 20.0;
        assert!(
            (spread(0) - 33.25).abs() < 1.0 && spread(1) > 3.0 && spread(1) < 6.0,
            "{} {}",
            spread(0),
            spread(1)
        );
    }
}
