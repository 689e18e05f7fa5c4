//! Retrieval and classification counted from scores.

/// Scores of every text (row) with every image (column).
#[derive(Clone, Debug)]
pub struct Scores {
    values: Vec<f32>,
    columns: usize,
}

impl Scores {
    /// Row-major values.
    ///
    /// # Panics
    /// When they do not fill whole rows.
    pub fn new(values: Vec<f32>, columns: usize) -> Self {
        assert!(columns > 0 && values.len().is_multiple_of(columns), "whole rows");
        Self { values, columns }
    }

    /// Rows and columns exchanged.
    #[must_use]
    pub fn transposed(&self) -> Self {
        let rows = self.values.len() / self.columns;
        let value = |at: usize| self.values[at % rows * self.columns + at / rows];
        Self { values: (0..self.values.len()).map(value).collect(), columns: rows }
    }

    /// For each row, how many columns score higher than its best true one: 0 is a hit at 1. A row without any true column has
    /// all columns before it.
    pub fn ranks(&self, is_true: impl Fn(usize, usize) -> bool) -> Vec<usize> {
        let rank = |(row, scores): (usize, &[f32])| {
            let relevant = (0..self.columns).filter(|&column| is_true(row, column));
            let Some(best) = relevant.map(|column| scores[column]).max_by(f32::total_cmp) else {
                return self.columns;
            };
            // A wrong column of equal score counts as before it: ties are no hits.
            let before =
                |(column, &score): (usize, &f32)| score > best || score == best && !is_true(row, column);
            scores.iter().enumerate().filter(|&(column, score)| before((column, score))).count()
        };
        self.values.chunks(self.columns).enumerate().map(rank).collect()
    }

    /// Columns of a row, best first; equal scores in order.
    pub fn order(&self, row: usize) -> Vec<usize> {
        let scores = &self.values[row * self.columns..][..self.columns];
        let mut order: Vec<usize> = (0..self.columns).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        order
    }
}

/// Share of the ranks below k.
///
/// ```
/// use long_clip::experiment::recall::recall_at;
/// assert_eq!(recall_at(&[0, 3, 7, 0], 5), 0.75);
/// ```
pub fn recall_at(ranks: &[usize], k: usize) -> f64 {
    ranks.iter().filter(|&&rank| rank < k).count() as f64 / ranks.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_counts_the_wrong_columns_that_are_not_worse_than_the_best_true_one() {
        let scores = Scores::new(vec![0.1, 0.9, 0.5, 0.3, 0.3, 0.2], 3);
        let diagonal = |row: usize, column: usize| row == column;
        assert_eq!(scores.ranks(diagonal), [2, 1]);
        assert_eq!(scores.ranks(|row, column| row == 0 && column > 0), [0, 3]);
        assert_eq!(scores.order(0), [1, 2, 0]);
        assert_eq!(scores.transposed().transposed().values, scores.values);
        assert_eq!(scores.transposed().ranks(diagonal), [1, 1, 2]);
    }
}
