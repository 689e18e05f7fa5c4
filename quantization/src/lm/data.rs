//! Text as windows of bytes.

use std::fs;
use std::path::Path;

use rand::Rng;
use tch::Tensor;

use super::LmError;

/// A text in two parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corpus {
    /// The first 90 %.
    pub train: Vec<u8>,
    /// The last 10 %.
    pub held_out: Vec<u8>,
}

impl Corpus {
    /// The text's first 90 % of bytes, rounded down, and the rest.
    pub fn split(text: &[u8]) -> Self {
        let (train, held_out) = text.split_at(text.len() * 9 / 10);
        Self { train: train.to_vec(), held_out: held_out.to_vec() }
    }

    /// The same of a file.
    ///
    /// # Errors
    /// [`LmError::File`].
    pub fn read(path: &Path) -> Result<Self, LmError> {
        let text = fs::read(path);
        let text = text.map_err(|e| LmError::File { path: path.to_owned(), problem: e.to_string() })?;
        Ok(Self::split(&text))
    }
}

/// The first `count` windows of `length` bytes, `stride` apart.
///
/// ```
/// use quantization::lm::windows;
/// assert_eq!(windows(b"abcdef", 3, 2, 9).unwrap(), [b"abc", b"cde"]);
/// ```
///
/// # Errors
/// [`LmError::Text`] when not even one fits.
pub fn windows(text: &[u8], length: usize, stride: usize, count: usize) -> Result<Vec<&[u8]>, LmError> {
    if text.len() < length {
        return Err(LmError::Text { found: text.len(), expected: length });
    }
    Ok(text.windows(length).step_by(stride.max(1)).take(count).collect())
}

/// Ids `[windows, length]`.
pub(super) fn ids(windows: &[&[u8]]) -> Tensor {
    let bytes: Vec<i64> =
        windows.iter().flat_map(|window| window.iter().map(|&byte| i64::from(byte))).collect();
    Tensor::from_slice(&bytes).view([windows.len() as i64, -1])
}

/// `count` windows of `length` bytes from anywhere in the text.
pub(super) fn draw<'a>(text: &'a [u8], length: usize, count: usize, rng: &mut impl Rng) -> Vec<&'a [u8]> {
    let mut window = || {
        let start = rng.random_range(0..=text.len() - length);
        &text[start..start + length]
    };
    (0..count).map(|_| window()).collect()
}
