//! Suggested accounts: similar transactions and exact values together, with a calibrated confidence.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::calibration::{Isotonic, Threshold};
use super::lookup::Lookup;
use super::neighbours::{Neighbour, NeighbourError};
use super::vote::{Memory, Shares, Voting, Witness, mixed};

/// Strings that are looked at: enough for the largest [`Voting::k`].
pub const NEAREST: usize = 50;
/// Transactions shown as evidence.
pub const EVIDENCE: usize = 5;

/// What is learned about a model's suggestions from held-out transactions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// How neighbours are counted.
    pub voting: Voting,
    /// Weight of the neighbours; the rest is the look-up table's.
    pub weight: f64,
    /// From share to confidence.
    pub calibration: Isotonic,
    /// Share of held-out transactions whose first suggestion was right.
    pub first_right: f64,
    /// When the account is filled in. It is set on shares, the confidence being a map of them.
    pub threshold: Threshold,
}

/// A transaction to be coded.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Vector of its string.
    pub vector: &'a [f32],
    /// Values of the template's fields.
    pub fields: &'a [String],
}

/// A held-out transaction, with what is remembered for it.
#[derive(Clone, Copy, Debug)]
pub struct HeldOut<'a> {
    /// Transactions of its company from before.
    pub memory: &'a Memory,
    /// The same by exact values.
    pub lookup: &'a Lookup,
    /// What is asked.
    pub question: Question<'a>,
    /// Its account.
    pub account: u32,
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Suggestion {
    /// Accounts with shares, the best first; empty when nothing is remembered.
    pub ranked: Shares,
    /// Probability that the first one is right.
    pub confidence: f64,
    /// Whether it is certain enough to be filled in without asking.
    pub fill: bool,
    /// Similar transactions, those of the suggested account first.
    pub evidence: Vec<Witness>,
}

/// Held-out transactions that cannot set a rule.
#[derive(Debug, Error, PartialEq)]
pub enum RuleError {
    /// Too few.
    #[error(
        "{found} held-out transactions, expected at least {least}: train on more, or hold out more with --held-out"
    )]
    TooFew {
        /// How many.
        found: usize,
        /// How many are needed.
        least: usize,
    },
    /// Broken vectors.
    #[error(transparent)]
    Neighbours(#[from] NeighbourError),
}

/// A point of the grid, and what it gave.
struct Candidate {
    right: usize,
    voting: Voting,
    weight: f64,
    outcomes: Vec<(f64, bool)>,
}

/// Fewest held-out transactions from which a confidence can be read.
pub const LEAST: usize = 30;

impl Rule {
    /// Before anything is learned: 20 neighbours of sharpness 20, no look-up, confidence as the share, never filled in.
    pub fn untaught() -> Self {
        let calibration = Isotonic::fit(&[]);
        let threshold = Threshold { score: None, precision: 1.0, filled: 0, right: 0, of: 0 };
        Self {
            voting: Voting { k: 20, sharpness: 20.0 },
            weight: 1.0,
            calibration,
            first_right: 0.0,
            threshold,
        }
    }

    /// The rule with the most right first suggestions on held-out transactions with their accounts, the earliest in the
    /// grid among equals; confidence and threshold are fitted on the same.
    ///
    /// # Errors
    /// [`RuleError`].
    pub fn fit(held_out: &[HeldOut<'_>], precision: f64) -> Result<Self, RuleError> {
        if held_out.len() < LEAST {
            return Err(RuleError::TooFew { found: held_out.len(), least: LEAST });
        }
        let nearest: Vec<Vec<Neighbour>> = held_out
            .iter()
            .map(|held| held.memory.nearest(held.question.vector, NEAREST))
            .collect::<Result<_, _>>()?;
        let exact: Vec<Shares> =
            held_out.iter().map(|held| held.lookup.shares(held.question.fields)).collect();
        let mut best: Option<Candidate> = None;
        for voting in [5, 10, 20, 50]
            .into_iter()
            .flat_map(|k| [10.0, 20.0, 40.0].map(|sharpness| Voting { k, sharpness }))
        {
            let votes: Vec<Shares> = held_out
                .iter()
                .zip(&nearest)
                .map(|(held, nearest)| held.memory.vote(nearest, voting))
                .collect();
            for weight in [1.0, 0.75, 0.5, 0.25] {
                let outcome = |((votes, exact), held): ((&Shares, &Shares), &HeldOut<'_>)| {
                    let first = mixed(votes, exact, weight).first().copied();
                    first.map_or((0.0, false), |(first, share)| (share, first == held.account))
                };
                let outcomes: Vec<(f64, bool)> =
                    votes.iter().zip(&exact).zip(held_out).map(outcome).collect();
                let right = outcomes.iter().filter(|(_, right)| *right).count();
                if best.as_ref().is_none_or(|best| right > best.right) {
                    best = Some(Candidate { right, voting, weight, outcomes });
                }
            }
        }
        let Candidate { right, voting, weight, outcomes } = best.expect("the grid is not empty");
        let first_right = right as f64 / held_out.len() as f64;
        let (calibration, threshold) = (Isotonic::fit(&outcomes), Threshold::fit(&outcomes, precision));
        Ok(Self { voting, weight, calibration, first_right, threshold })
    }

    /// The answer to a question.
    ///
    /// # Errors
    /// [`NeighbourError`] for a vector of another width.
    pub fn suggest(
        &self,
        memory: &Memory,
        lookup: &Lookup,
        question: Question<'_>,
    ) -> Result<Suggestion, NeighbourError> {
        let nearest = memory.nearest(question.vector, NEAREST)?;
        Ok(self.answer(memory, &nearest, lookup, question.fields))
    }

    /// The same where the nearest strings are known.
    pub fn answer(
        &self,
        memory: &Memory,
        nearest: &[Neighbour],
        lookup: &Lookup,
        fields: &[String],
    ) -> Suggestion {
        let ranked = mixed(&memory.vote(nearest, self.voting), &lookup.shares(fields), self.weight);
        let (first, share) = ranked.first().copied().unwrap_or((u32::MAX, 0.0));
        let mut evidence: Vec<Witness> = memory.witnesses(nearest, NEAREST).collect();
        evidence.sort_by_key(|witness| witness.entry.account != first); // stable: the most similar stay in front
        evidence.truncate(EVIDENCE);
        let known = !ranked.is_empty();
        Suggestion {
            confidence: if known { self.calibration.apply(share) } else { 0.0 },
            fill: known && self.threshold.fills(share),
            ranked,
            evidence,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transactions::vote::Entry;

    #[test]
    fn a_rule_learns_when_to_fill_in_and_abstains_without_memory() {
        let memory = Memory::new(
            2,
            vec![1.0, 0.0, 0.0, 1.0],
            vec![vec![Entry { account: 1, id: 1 }], vec![Entry { account: 2, id: 2 }]],
        )
        .unwrap();
        let lookup = Lookup::new(vec![]);
        let fields = [];
        let ask = |vector: &'static [f32]| Question { vector, fields: &fields };
        let held = |vector: &'static [f32]| HeldOut {
            memory: &memory,
            lookup: &lookup,
            question: ask(vector),
            account: 1,
        };
        let mut held_out = vec![held(&[1.0, 0.0]); 200];
        held_out.extend(vec![held(&[0.6, 0.8]); 20]);
        let rule = Rule::fit(&held_out, 0.95).unwrap();
        let sure = rule.suggest(&memory, &lookup, ask(&[1.0, 0.0])).unwrap();
        assert!(sure.fill && sure.ranked[0].0 == 1 && sure.confidence > 0.99, "{sure:?}");
        let unsure = rule.suggest(&memory, &lookup, ask(&[0.6, 0.8])).unwrap();
        assert!(
            !unsure.fill && unsure.confidence < 0.1 && unsure.evidence[0].entry.account == 2,
            "{unsure:?}"
        );
        assert!(Rule::fit(&held_out[..3], 0.95).unwrap_err().to_string().contains("--held-out"));
        let empty = Memory::new(2, vec![], vec![]).unwrap();
        let none = Rule::untaught().suggest(&empty, &lookup, ask(&[1.0, 0.0])).unwrap();
        assert!(none.ranked.is_empty() && !none.fill && none.confidence == 0.0);
    }
}
