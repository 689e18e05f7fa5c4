//! The position table of a text tower, as numbers.

use tch::{Kind, Tensor};
use thiserror::Error;

/// A position table `[rows, width]` in f32, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct PositionTable {
    width: usize,
    values: Vec<f32>,
}

/// A tensor that is no position table.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a position table has shape {0:?}, expected [positions, width], both at least 1")]
pub struct PositionError(Vec<i64>);

impl PositionTable {
    /// A table of rows of `width` numbers.
    ///
    /// # Errors
    /// [`PositionError`] when the numbers do not fill at least one row.
    pub fn new(values: Vec<f32>, width: usize) -> Result<Self, PositionError> {
        if width == 0 || values.is_empty() || !values.len().is_multiple_of(width) {
            let rows = values.len().checked_div(width).unwrap_or(0);
            return Err(PositionError(vec![rows as i64, width as i64]));
        }
        Ok(Self { width, values })
    }

    /// The numbers of a tensor `[rows, width]` of any kind.
    ///
    /// # Errors
    /// [`PositionError`] for another shape.
    pub fn from_tensor(tensor: &Tensor) -> Result<Self, PositionError> {
        let shape = tensor.size();
        let [rows, width] = shape[..] else { return Err(PositionError(shape)) };
        let numbers = tensor.detach().to_kind(Kind::Float).to_device(tch::Device::Cpu).contiguous();
        let values = Vec::<f32>::try_from(numbers.view([rows * width]));
        Self::new(values.map_err(|_| PositionError(shape.clone()))?, width as usize)
    }

    /// As a tensor `[rows, width]`, f32, CPU.
    pub fn to_tensor(&self) -> Tensor {
        Tensor::from_slice(&self.values).view([self.rows() as i64, self.width as i64])
    }

    /// Number of positions.
    pub fn rows(&self) -> usize {
        self.values.len() / self.width
    }

    /// Numbers of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// A row.
    ///
    /// # Panics
    /// Outside the table.
    pub fn row(&self, position: usize) -> &[f32] {
        &self.values[position * self.width..][..self.width]
    }

    /// All numbers, row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The first `rows` rows of this table and the others of `other`: how Long-CLIP's two tables become one.
    ///
    /// # Errors
    /// [`PositionError`] with the other's shape when it differs from this one's.
    pub fn with_tail_of(&self, other: &Self, rows: usize) -> Result<Self, PositionError> {
        if (self.width, self.values.len()) != (other.width, other.values.len()) {
            return Err(PositionError(vec![other.rows() as i64, other.width as i64]));
        }
        let cut = rows.min(self.rows()) * self.width;
        let values = [&self.values[..cut], &other.values[cut..]].concat();
        Ok(Self { width: self.width, values })
    }

    /// ‖row‖₂.
    pub fn norm(&self, position: usize) -> f64 {
        dot(self.row(position), self.row(position)).sqrt()
    }

    /// Cosine of two rows; 0 where one has no length.
    pub fn cosine(&self, left: usize, right: usize) -> f64 {
        let norms = self.norm(left) * self.norm(right);
        if norms > 0.0 { dot(self.row(left), self.row(right)) / norms } else { 0.0 }
    }

    /// Cosine of each row with the next.
    pub fn neighbour_cosines(&self) -> Vec<f64> {
        (1..self.rows()).map(|position| self.cosine(position - 1, position)).collect()
    }
}

fn dot(left: &[f32], right: &[f32]) -> f64 {
    left.iter().zip(right).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_returns_from_a_tensor_as_it_was() {
        let table = PositionTable::new(vec![1.0, 2.0, -3.0, 0.5, 0.0, 1.0], 2).unwrap();
        assert_eq!(PositionTable::from_tensor(&table.to_tensor()).unwrap(), table);
        assert_eq!((table.rows(), table.row(1)), (3, &[-3.0, 0.5][..]));
    }

    #[test]
    fn two_tables_are_merged_at_a_row() {
        let make = |value: f32| PositionTable::new(vec![value; 6], 2).unwrap();
        let merged = make(1.0).with_tail_of(&make(2.0), 1).unwrap();
        assert_eq!(merged.values(), [1.0, 1.0, 2.0, 2.0, 2.0, 2.0]);
        let other = PositionTable::new(vec![0.0; 4], 2).unwrap();
        assert!(make(1.0).with_tail_of(&other, 1).is_err());
    }

    #[test]
    fn numbers_that_fill_no_rows_are_refused() {
        let error = PositionTable::new(vec![0.0; 3], 2).unwrap_err().to_string();
        assert_eq!(error, "a position table has shape [1, 2], expected [positions, width], both at least 1");
        assert!(PositionTable::from_tensor(&Tensor::from_slice(&[1.0_f32])).is_err());
    }
}
