//! Token vectors of many texts, one after another: what an encoder gives and an index takes.

use thiserror::Error;

/// Vectors that do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VectorsError {
    /// The values do not fill rows.
    #[error("{values} values do not fill rows of width {width}")]
    Ragged {
        /// Number of values.
        values: usize,
        /// Width of a row.
        width: usize,
    },
    /// The ends of the texts do not agree with the rows.
    #[error("the last text ends at row {found}, but there are {rows} rows, or the ends fall")]
    Ends {
        /// Where the last text ends.
        found: usize,
        /// Number of rows.
        rows: usize,
    },
}

/// The token vectors of texts: `[texts, tokens of the text, width]`, ragged, row by row in one allocation.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenVectors {
    width: usize,
    ends: Vec<usize>,
    values: Vec<f32>,
}

impl TokenVectors {
    /// No text yet; rows will have `width` values.
    ///
    /// # Panics
    /// When `width` is 0.
    pub fn new(width: usize) -> Self {
        assert!(width > 0, "vectors need a width of at least 1");
        Self { width, ends: Vec::new(), values: Vec::new() }
    }

    /// The texts whose rows are `values`, text `i` ending before row `ends[i]`.
    ///
    /// ```
    /// use retrieval::vectors::TokenVectors;
    /// let texts = TokenVectors::from_parts(2, vec![1, 3], vec![1.0, 0.0, 0.6, 0.8, 0.0, 1.0])?;
    /// assert_eq!(texts.text(1), [0.6, 0.8, 0.0, 1.0]);
    /// assert_eq!((texts.len(), texts.rows(), texts.tokens(0)), (2, 3, 1));
    /// # Ok::<(), retrieval::vectors::VectorsError>(())
    /// ```
    ///
    /// # Errors
    /// [`VectorsError`] when the values do not fill rows, or the ends fall or miss the last row.
    pub fn from_parts(width: usize, ends: Vec<usize>, values: Vec<f32>) -> Result<Self, VectorsError> {
        if width == 0 || !values.len().is_multiple_of(width) {
            return Err(VectorsError::Ragged { values: values.len(), width });
        }
        let (rows, found) = (values.len() / width, ends.last().copied().unwrap_or(0));
        match found == rows && ends.is_sorted() {
            true => Ok(Self { width, ends, values }),
            false => Err(VectorsError::Ends { found, rows }),
        }
    }

    /// Adds a text by its rows, `[tokens, width]`; an empty slice is a text without tokens.
    ///
    /// # Errors
    /// [`VectorsError::Ragged`] when the values do not fill rows.
    pub fn push(&mut self, rows: &[f32]) -> Result<(), VectorsError> {
        if !rows.len().is_multiple_of(self.width) {
            return Err(VectorsError::Ragged { values: rows.len(), width: self.width });
        }
        self.values.extend_from_slice(rows);
        self.ends.push(self.values.len() / self.width);
        Ok(())
    }

    /// Values per row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Number of rows of all texts.
    pub fn rows(&self) -> usize {
        self.values.len() / self.width
    }

    /// Number of rows of text `index`.
    ///
    /// # Panics
    /// When there is no such text.
    pub fn tokens(&self, index: usize) -> usize {
        self.ends[index] - self.start(index)
    }

    /// Rows of text `index`: `[tokens, width]`.
    ///
    /// # Panics
    /// When there is no such text.
    pub fn text(&self, index: usize) -> &[f32] {
        &self.values[self.start(index) * self.width..self.ends[index] * self.width]
    }

    /// The texts' rows, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        (0..self.len()).map(|index| self.text(index))
    }

    /// Where each text ends, in rows.
    pub fn ends(&self) -> &[usize] {
        &self.ends
    }

    /// All rows, `[rows, width]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    fn start(&self, index: usize) -> usize {
        if index == 0 { 0 } else { self.ends[index - 1] }
    }
}
