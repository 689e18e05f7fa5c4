//! Entity scores that give credit for overlap (SemEval-2013 task 9; the readings of the package nervaluate).

use crate::formats::Span;

/// What makes a predicted entity right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Borders and type.
    Strict,
    /// Borders, whatever the type.
    Exact,
    /// Any overlap, whatever the type; other borders count half.
    Partial,
    /// Type, with any overlap.
    Type,
}

impl Reading {
    /// All readings with their usual names.
    pub const ALL: [(&str, Self); 4] =
        [("strict", Self::Strict), ("exact", Self::Exact), ("partial", Self::Partial), ("type", Self::Type)];
}

/// Counts under one [`Reading`]; sums over sentences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overlap {
    /// Predictions that are right.
    pub correct: u64,
    /// Predictions that overlap a gold entity and are not right.
    pub incorrect: u64,
    /// Predictions that count half.
    pub partial: u64,
    /// Gold entities that no prediction was matched with.
    pub missed: u64,
    /// Predictions without a gold entity left to match.
    pub spurious: u64,
}

impl Overlap {
    /// Adds one sentence. Predictions are matched one after the other with the gold entities still free: with one that
    /// makes them right, else with the first that they overlap. Of several that make them right under
    /// [`Reading::Type`], the one of the nearest borders is taken.
    pub fn add(&mut self, gold: &[Span], predicted: &[Span], reading: Reading) {
        let mut free = vec![true; gold.len()];
        for span in predicted {
            let overlapping = || (0..gold.len()).filter(|&i| free[i] && touches(span, &gold[i]));
            let distance = |i: &usize| span.start.abs_diff(gold[*i].start) + span.end.abs_diff(gold[*i].end);
            let right = overlapping().filter(|&i| is_right(span, &gold[i], reading)).min_by_key(distance);
            let (count, matched) = match (right, overlapping().next()) {
                (Some(i), _) => (&mut self.correct, Some(i)),
                (None, Some(i)) if reading == Reading::Partial => (&mut self.partial, Some(i)),
                (None, Some(i)) => (&mut self.incorrect, Some(i)),
                (None, None) => (&mut self.spurious, None),
            };
            *count += 1;
            matched.into_iter().for_each(|i| free[i] = false);
        }
        self.missed += free.iter().filter(|&&free| free).count() as u64;
    }

    /// Right predictions, partial ones by half, over all; `None` when nothing was predicted.
    pub fn precision(&self) -> Option<f64> {
        self.share(self.correct + self.incorrect + self.partial + self.spurious)
    }

    /// Right predictions, partial ones by half, over gold entities; `None` when nothing is gold.
    pub fn recall(&self) -> Option<f64> {
        self.share(self.correct + self.incorrect + self.partial + self.missed)
    }

    /// Harmonic mean of precision and recall; `None` when both are empty.
    ///
    /// ```
    /// use common::formats::Span;
    /// use common::metrics::overlap::{Overlap, Reading};
    /// let span = |start, end| Span { start, end, label: "PER".to_owned() };
    /// let mut overlap = Overlap::default();
    /// overlap.add(&[span(0, 2)], &[span(0, 1)], Reading::Partial);
    /// assert_eq!(overlap.f1(), Some(0.5));
    /// ```
    pub fn f1(&self) -> Option<f64> {
        let matched = self.correct + self.incorrect + self.partial;
        let both = 2 * matched + self.spurious + self.missed;
        (both > 0).then(|| 2.0 * self.credit() / both as f64)
    }

    fn credit(&self) -> f64 {
        self.correct as f64 + 0.5 * self.partial as f64
    }

    fn share(&self, whole: u64) -> Option<f64> {
        (whole > 0).then(|| self.credit() / whole as f64)
    }
}

fn touches(a: &Span, b: &Span) -> bool {
    a.start < b.end && b.start < a.end
}

fn is_right(predicted: &Span, gold: &Span, reading: Reading) -> bool {
    let borders = (predicted.start, predicted.end) == (gold.start, gold.end);
    match reading {
        Reading::Strict => borders && predicted.label == gold.label,
        Reading::Exact | Reading::Partial => borders,
        Reading::Type => predicted.label == gold.label,
    }
}
