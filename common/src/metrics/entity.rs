//! Entity-level scores of tag sequences and spans, and the error split that a study of class imbalance needs.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use crate::formats::{ForeignTag, Scheme, Span, for_each_chunk};

/// Counts behind precision, recall and F1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Predicted entities that are gold entities: same borders, same type.
    pub correct: u64,
    /// Predicted entities.
    pub predicted: u64,
    /// Gold entities.
    pub gold: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.correct += other.correct;
        self.predicted += other.predicted;
        self.gold += other.gold;
    }
}

impl Counts {
    /// Correct over predicted; `None` when nothing was predicted.
    pub fn precision(&self) -> Option<f64> {
        ratio(self.correct, self.predicted)
    }

    /// Correct over gold; `None` when nothing is gold.
    pub fn recall(&self) -> Option<f64> {
        ratio(self.correct, self.gold)
    }

    /// Harmonic mean of precision and recall, `2·correct / (predicted + gold)`; `None` when both are empty.
    ///
    /// ```
    /// use common::metrics::entity::Counts;
    /// assert_eq!(Counts { correct: 1, predicted: 2, gold: 2 }.f1(), Some(0.5));
    /// assert_eq!(Counts::default().f1(), None);
    /// ```
    pub fn f1(&self) -> Option<f64> {
        ratio(2 * self.correct, self.predicted + self.gold)
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Entity counts per type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityScores {
    /// Counts of each type in gold or prediction.
    pub types: BTreeMap<String, Counts>,
}

/// Precision, recall and F1, 0 where undefined: seqeval's convention for averages.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scores {
    /// Correct over predicted.
    pub precision: f64,
    /// Correct over gold.
    pub recall: f64,
    /// Harmonic mean.
    pub f1: f64,
}

impl From<Counts> for Scores {
    fn from(counts: Counts) -> Self {
        let [precision, recall, f1] =
            [counts.precision(), counts.recall(), counts.f1()].map(Option::unwrap_or_default);
        Self { precision, recall, f1 }
    }
}

impl EntityScores {
    /// Adds one sentence's spans, both sorted and without overlaps.
    pub fn add(&mut self, gold: &[Span], predicted: &[Span]) {
        self.add_chunks(&chunks(gold), &chunks(predicted));
    }

    fn counts(&mut self, label: &str) -> &mut Counts {
        if !self.types.contains_key(label) {
            self.types.insert(label.to_owned(), Counts::default());
        }
        self.types.get_mut(label).expect("inserted above")
    }

    /// Scores of tags, read leniently (conlleval; seqeval's default mode) whatever the scheme.
    ///
    /// # Panics
    /// When gold and predicted sentences differ in number or length.
    pub fn of_tags<T: AsRef<str>>(gold: &[Vec<T>], predicted: &[Vec<T>]) -> Self {
        assert_eq!(gold.len(), predicted.len(), "sentences");
        let mut scores = Self::default();
        let (mut gold_chunks, mut predicted_chunks) = (Vec::new(), Vec::new());
        for (gold, predicted) in gold.iter().zip(predicted) {
            assert_eq!(gold.len(), predicted.len(), "words of a sentence");
            gold_chunks.clear();
            predicted_chunks.clear();
            for_each_chunk(gold, |start, end, label| gold_chunks.push((start, end, label)));
            for_each_chunk(predicted, |start, end, label| predicted_chunks.push((start, end, label)));
            scores.add_chunks(&gold_chunks, &predicted_chunks);
        }
        scores
    }

    /// Scores of tags of which only the entities well formed in `scheme` count (seqeval's strict mode).
    ///
    /// # Errors
    /// [`ForeignTag`] for a tag with a prefix that the scheme does not have.
    ///
    /// # Panics
    /// When gold and predicted sentences differ in number or length.
    pub fn of_tags_strict<T: AsRef<str>>(
        gold: &[Vec<T>],
        predicted: &[Vec<T>],
        scheme: Scheme,
    ) -> Result<Self, ForeignTag> {
        assert_eq!(gold.len(), predicted.len(), "sentences");
        let mut scores = Self::default();
        for (gold, predicted) in gold.iter().zip(predicted) {
            assert_eq!(gold.len(), predicted.len(), "words of a sentence");
            scores.add(&scheme.decode_strict(gold)?, &scheme.decode_strict(predicted)?);
        }
        Ok(scores)
    }

    /// Adds one sentence's entities in order of their start, without a copy of their types.
    fn add_chunks(&mut self, gold: &[(usize, usize, &str)], predicted: &[(usize, usize, &str)]) {
        for (_, _, label) in gold {
            self.counts(label).gold += 1;
        }
        for chunk in predicted {
            let correct = gold.binary_search(chunk).is_ok() as u64;
            let counts = self.counts(chunk.2);
            counts.predicted += 1;
            counts.correct += correct;
        }
    }

    /// Counts over all types.
    pub fn total(&self) -> Counts {
        let mut total = Counts::default();
        self.types.values().for_each(|counts| total += *counts);
        total
    }

    /// Scores of the counts over all types.
    pub fn micro(&self) -> Scores {
        self.total().into()
    }

    /// Mean over types of their scores.
    pub fn macro_average(&self) -> Scores {
        self.average(|_| 1.0)
    }

    /// Mean over types of their scores, weighted by gold entities.
    pub fn weighted(&self) -> Scores {
        self.average(|counts| counts.gold as f64)
    }

    fn average(&self, weight: impl Fn(&Counts) -> f64) -> Scores {
        let mut sum = Scores::default();
        let mut total = 0.0;
        for counts in self.types.values() {
            let (scores, weight) = (Scores::from(*counts), weight(counts));
            sum.precision += weight * scores.precision;
            sum.recall += weight * scores.recall;
            sum.f1 += weight * scores.f1;
            total += weight;
        }
        if total == 0.0 {
            return Scores::default();
        }
        Scores { precision: sum.precision / total, recall: sum.recall / total, f1: sum.f1 / total }
    }
}

fn chunks(spans: &[Span]) -> Vec<(usize, usize, &str)> {
    spans.iter().map(|span| (span.start, span.end, &*span.label)).collect()
}

/// Where predictions go wrong; sums over sentences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Errors {
    /// Gold entities that no prediction touches.
    pub missed: u64,
    /// Predictions that touch no gold entity.
    pub spurious: u64,
    /// Predictions that touch a gold entity of their type, with another border.
    pub border: u64,
    /// Predictions with a gold entity's borders and another type.
    pub kind: u64,
    /// Predictions that touch gold entities of other types only, with another border.
    pub border_and_kind: u64,
    /// Gold O words predicted O.
    pub outside_correct: u64,
    /// Gold O words.
    pub outside_gold: u64,
    /// Words predicted O.
    pub outside_predicted: u64,
    /// Words.
    pub words: u64,
    /// Entity words with another class, beginning and inside being different classes.
    pub minority_to_minority: u64,
}

impl Errors {
    /// Adds one sentence of `n_words` words.
    pub fn add(&mut self, gold: &[Span], predicted: &[Span], n_words: usize) {
        let touches = |a: &Span, b: &Span| a.start < b.end && b.start < a.end;
        self.missed += gold.iter().filter(|g| !predicted.iter().any(|p| touches(g, p))).count() as u64;
        for span in predicted.iter().filter(|span| gold.binary_search(span).is_err()) {
            let met: Vec<&Span> = gold.iter().filter(|other| touches(span, other)).collect();
            let same_borders = |other: &&Span| (other.start, other.end) == (span.start, span.end);
            *match met.first() {
                None => &mut self.spurious,
                Some(other) if same_borders(other) => &mut self.kind,
                Some(_) if met.iter().any(|other| other.label == span.label) => &mut self.border,
                Some(_) => &mut self.border_and_kind,
            } += 1;
        }
        let classes = |spans: &[Span]| -> Vec<String> { Scheme::Iob2.encode(spans, n_words) };
        for (gold, predicted) in classes(gold).iter().zip(&classes(predicted)) {
            self.words += 1;
            let (gold_out, predicted_out) = (gold == "O", predicted == "O");
            self.outside_gold += gold_out as u64;
            self.outside_predicted += predicted_out as u64;
            self.outside_correct += (gold_out && predicted_out) as u64;
            self.minority_to_minority += (!gold_out && !predicted_out && gold != predicted) as u64;
        }
    }

    /// Token-level F1 of the class O.
    pub fn outside_f1(&self) -> Option<f64> {
        Counts { correct: self.outside_correct, predicted: self.outside_predicted, gold: self.outside_gold }
            .f1()
    }

    /// Entity words predicted O: minority read as majority.
    pub fn minority_to_majority(&self) -> u64 {
        self.outside_predicted - self.outside_correct
    }

    /// O words predicted as entities: majority read as minority.
    pub fn majority_to_minority(&self) -> u64 {
        self.outside_gold - self.outside_correct
    }

    /// Predicted over gold entity words: below 1 a model predicts too few. `None` without gold entity words.
    pub fn predicted_gold_ratio(&self) -> Option<f64> {
        ratio(self.words - self.outside_predicted, self.words - self.outside_gold)
    }
}
