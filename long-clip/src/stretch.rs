//! Knowledge-preserved stretching of the position table, and the ways it is compared with (paper, section 3.2).

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::position::PositionTable;

/// How a longer table is made of a shorter one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "method", deny_unknown_fields)]
pub enum Stretch {
    /// The first `kept` rows stay, each later one becomes `ratio` rows. `length` rows at most; absent: all,
    /// kept + ratio (rows − kept).
    ///
    /// ```text
    /// q < K:       P'[q] = P[q]
    /// q ≥ K:       u = q − K,  k = ⌊u/λ⌋,  a = (u mod λ)/λ,  s = K + k
    ///   s < L−1:   P'[q] = (1−a) P[s] + a P[s+1]
    ///   s = L−1:   P'[q] = P[L−1] + a (P[L−1] − P[L−2])
    /// ```
    /// Source: the official code; the formula printed in the paper is [`Stretch::Printed`]. Paper: kept 20, ratio 4, 248 rows.
    Preserving {
        /// K.
        kept: usize,
        /// λ.
        ratio: usize,
        /// Rows of the result.
        length: Option<usize>,
    },
    /// All rows are spread: the source place of row q is q·L/N, floor and ceiling are mixed, clamped at the last row.
    Plain {
        /// N, rows of the result.
        length: usize,
    },
    /// All rows are spread with half-pixel centres: `open_clip.model.resize_text_pos_embed`,
    /// `F.interpolate(mode="linear", align_corners=False)`.
    HalfPixel {
        /// N, rows of the result.
        length: usize,
    },
    /// The formula as printed in the paper: rows up to `kept` stay, row q has the source place q/λ, which jumps back to
    /// rows that were used already. A named ablation; no checkpoint was made with it.
    Printed {
        /// K.
        kept: usize,
        /// λ.
        ratio: usize,
        /// Rows of the result.
        length: usize,
    },
}

/// A stretching that cannot be done.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum StretchError {
    /// More rows kept than there are.
    #[error("{kept} rows cannot be kept of a table of {rows}; keep at most {most}", most = rows.saturating_sub(1))]
    Kept {
        /// Rows to keep.
        kept: usize,
        /// Rows there are.
        rows: usize,
    },
    /// A ratio of 0.
    #[error("the ratio is 0, expected at least 1")]
    Ratio,
    /// A length that the table does not reach.
    #[error(
        "{kept} kept rows and ratio {ratio} make {longest} rows of {rows}, not {length}; raise the ratio or keep fewer"
    )]
    Long {
        /// Rows to keep.
        kept: usize,
        /// Rows made of each other row.
        ratio: usize,
        /// Rows there are.
        rows: usize,
        /// Rows that come out.
        longest: usize,
        /// Rows asked for.
        length: usize,
    },
    /// A length below the kept rows, or 0.
    #[error("a table of {length} rows cannot hold the {kept} that are kept; expected more")]
    Short {
        /// Rows asked for.
        length: usize,
        /// Rows to keep.
        kept: usize,
    },
}

impl Stretch {
    /// The paper's: 20 rows kept, four for each other, 248 of 77.
    pub fn paper() -> Self {
        Self::Preserving { kept: 20, ratio: 4, length: None }
    }

    /// The stretched table.
    ///
    /// ```
    /// use long_clip::position::PositionTable;
    /// use long_clip::stretch::Stretch;
    /// let table = PositionTable::new(vec![0.0, 1.0, 3.0], 1)?;
    /// let longer = Stretch::Preserving { kept: 1, ratio: 2, length: None }.apply(&table)?;
    /// assert_eq!(longer.values(), [0.0, 1.0, 2.0, 3.0, 4.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`StretchError`].
    pub fn apply(&self, table: &PositionTable) -> Result<PositionTable, StretchError> {
        let length = self.checked_length(table.rows())?;
        let mut values = Vec::with_capacity(length * table.width());
        for position in 0..length {
            let (low, high, share) = self.source(position, length, table.rows());
            values.extend(mixed(table.row(low), table.row(high), share));
        }
        Ok(PositionTable::new(values, table.width()).expect("whole rows were put together"))
    }

    /// Rows that are the source's own rows of the same number, bit by bit.
    pub fn unchanged(&self, rows: usize) -> usize {
        match *self {
            // Row K is P[K] too, as its share is 0.
            Self::Preserving { kept, .. } => (kept + 1).min(rows),
            Self::Printed { kept, .. } => (kept + 1).min(rows),
            Self::Plain { length } | Self::HalfPixel { length } if length == rows => rows,
            Self::Plain { .. } | Self::HalfPixel { .. } => 1,
        }
    }

    fn checked_length(&self, rows: usize) -> Result<usize, StretchError> {
        match *self {
            Self::Preserving { kept, ratio, length } => {
                if kept >= rows {
                    return Err(StretchError::Kept { kept, rows });
                }
                if ratio == 0 {
                    return Err(StretchError::Ratio);
                }
                let longest = kept + ratio * (rows - kept);
                let length = length.unwrap_or(longest);
                if length > longest {
                    return Err(StretchError::Long { kept, ratio, rows, longest, length });
                }
                if length <= kept {
                    return Err(StretchError::Short { length, kept });
                }
                Ok(length)
            }
            Self::Printed { kept, ratio, length } => {
                if kept >= rows {
                    return Err(StretchError::Kept { kept, rows });
                }
                if ratio == 0 {
                    return Err(StretchError::Ratio);
                }
                let longest = ratio * (rows - 1) + 1;
                if length > longest {
                    return Err(StretchError::Long { kept, ratio, rows, longest, length });
                }
                if length <= kept {
                    return Err(StretchError::Short { length, kept });
                }
                Ok(length)
            }
            Self::Plain { length: 0 } | Self::HalfPixel { length: 0 } => {
                Err(StretchError::Short { length: 0, kept: 0 })
            }
            Self::Plain { length } | Self::HalfPixel { length } => Ok(length),
        }
    }

    /// Two source rows and the share of the second; a share may pass 1 at the end, where the line goes on.
    fn source(&self, position: usize, length: usize, rows: usize) -> (usize, usize, f64) {
        let last = rows - 1;
        match *self {
            Self::Preserving { kept, .. } | Self::Printed { kept, .. } if position < kept => {
                (position, position, 0.0)
            }
            Self::Preserving { kept, ratio, .. } => {
                let beyond = position - kept;
                let (row, share) = (kept + beyond / ratio, (beyond % ratio) as f64 / ratio as f64);
                match row < last {
                    true => (row, row + 1, share),
                    false if last == 0 => (0, 0, 0.0),
                    false => (last - 1, last, 1.0 + share),
                }
            }
            // The printed formula keeps row K itself too.
            Self::Printed { kept, .. } if position == kept => (position, position, 0.0),
            Self::Printed { ratio, .. } => {
                let row = position / ratio;
                (row, (row + 1).min(last), (position % ratio) as f64 / ratio as f64)
            }
            Self::Plain { .. } => between(position as f64 * rows as f64 / length as f64, last),
            Self::HalfPixel { .. } => {
                let place = (position as f64 + 0.5) * rows as f64 / length as f64 - 0.5;
                between(place.max(0.0), last)
            }
        }
    }
}

fn between(place: f64, last: usize) -> (usize, usize, f64) {
    let low = (place.floor() as usize).min(last);
    (low, (low + 1).min(last), (place - low as f64).clamp(0.0, 1.0))
}

/// (1−a) x + a y in f32 as the official code has it; beyond 1, y + (a−1)(y − x).
fn mixed<'a>(low: &'a [f32], high: &'a [f32], share: f64) -> impl Iterator<Item = f32> + 'a {
    low.iter().zip(high).map(move |(&x, &y)| {
        if share == 0.0 {
            x
        } else if share >= 1.0 {
            y + (share - 1.0) as f32 * (y - x)
        } else {
            (1.0 - share) as f32 * x + share as f32 * y
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ramp(rows: usize) -> PositionTable {
        PositionTable::new((0..rows).map(|i| i as f32).collect(), 1).unwrap()
    }

    #[test]
    fn the_papers_table_has_248_rows_and_the_first_21_are_original() {
        let table = ramp(77);
        let longer = Stretch::paper().apply(&table).unwrap();
        assert_eq!(longer.rows(), 248);
        assert_eq!(longer.values()[..21], table.values()[..21]);
        assert_eq!(longer.values()[244..], [76.0, 76.25, 76.5, 76.75]);
    }

    #[test]
    fn the_printed_formula_jumps_back() {
        let longer = Stretch::Printed { kept: 20, ratio: 4, length: 248 }.apply(&ramp(77)).unwrap();
        assert_eq!(longer.values()[19..23], [19.0, 20.0, 5.25, 5.5]);
        assert_eq!(longer.values()[247], 61.75);
    }

    #[test]
    fn impossible_stretchings_are_refused_with_a_way_out() {
        let message = |stretch: Stretch| stretch.apply(&ramp(77)).unwrap_err().to_string();
        let preserving = |kept, ratio, length| Stretch::Preserving { kept, ratio, length };
        assert_eq!(
            message(preserving(77, 4, None)),
            "77 rows cannot be kept of a table of 77; keep at most 76"
        );
        assert_eq!(message(preserving(20, 0, None)), "the ratio is 0, expected at least 1");
        assert_eq!(
            message(preserving(20, 4, Some(300))),
            "20 kept rows and ratio 4 make 248 rows of 77, not 300; raise the ratio or keep fewer"
        );
        assert_eq!(
            message(preserving(20, 4, Some(20))),
            "a table of 20 rows cannot hold the 20 that are kept; expected more"
        );
    }

    proptest! {
        #[test]
        fn every_source_row_stands_where_the_rule_says(
            rows in 2_usize..90, kept_share in 0.0_f64..1.0, ratio in 1_usize..7, seed in 0_u32..1000
        ) {
            let kept = ((rows - 1) as f64 * kept_share) as usize;
            let values: Vec<f32> = (0..rows * 3).map(|i| ((i as u32 * 7919 + seed) % 97) as f32 / 9.0).collect();
            let table = PositionTable::new(values, 3).unwrap();
            let longer = Stretch::Preserving { kept, ratio, length: None }.apply(&table).unwrap();
            for beyond in 0..rows - kept {
                prop_assert_eq!(longer.row(kept + ratio * beyond), table.row(kept + beyond));
            }
        }

        #[test]
        fn an_equal_length_changes_nothing(rows in 1_usize..90) {
            for stretch in [Stretch::Plain { length: rows }, Stretch::HalfPixel { length: rows }] {
                prop_assert_eq!(stretch.apply(&ramp(rows)).unwrap(), ramp(rows));
            }
        }
    }
}
