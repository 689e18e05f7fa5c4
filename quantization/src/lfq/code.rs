//! Index arithmetic of the codebook {−1, +1}^D.

use super::LfqError;

/// Most dimensions of a code here; MAGVIT-v2 uses 18 (262 144 codes).
pub const MAX_BITS: usize = 24;

/// Signs of `z`: +1 where positive, else −1.
pub fn quantize(z: &[f32]) -> Vec<f32> {
    z.iter().map(|&value| if value > 0.0 { 1.0 } else { -1.0 }).collect()
}

/// Index of the code of `z`: component 1 is the least significant bit.
///
/// ```
/// use quantization::lfq::{decode, index};
/// assert_eq!(index(&[0.3, -0.1, 2.0])?, 0b101);
/// assert_eq!(decode(0b101, 3)?, [1.0, -1.0, 1.0]);
/// # Ok::<(), quantization::lfq::LfqError>(())
/// ```
///
/// # Errors
/// [`LfqError::Bits`] for no or too many components.
pub fn index(z: &[f32]) -> Result<u32, LfqError> {
    check(z.len())?;
    Ok(z.iter().enumerate().fold(0, |index, (bit, &value)| index | u32::from(value > 0.0) << bit))
}

/// The code of an index, `bits` components of −1 or +1.
///
/// # Errors
/// [`LfqError::Bits`], or [`LfqError::Index`] for an index outside the codebook.
pub fn decode(index: u32, bits: usize) -> Result<Vec<f32>, LfqError> {
    let codes = check(bits)?;
    if index as usize >= codes {
        return Err(LfqError::Index { index, codes });
    }
    Ok((0..bits).map(|bit| if index >> bit & 1 == 1 { 1.0 } else { -1.0 }).collect())
}

/// Number of codes of so many bits.
pub(super) fn check(bits: usize) -> Result<usize, LfqError> {
    if (1..=MAX_BITS).contains(&bits) { Ok(1 << bits) } else { Err(LfqError::Bits { found: bits }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_codes_of_twelve_bits_return() {
        for code in 0..1 << 12 {
            assert_eq!(index(&decode(code, 12).unwrap()).unwrap(), code);
        }
    }

    #[test]
    fn zero_is_negative() {
        assert_eq!((quantize(&[0.0, -0.0, 1e-9]), index(&[0.0, 1.0]).unwrap()), (vec![-1.0, -1.0, 1.0], 2));
    }

    #[test]
    fn impossible_codes_are_named() {
        assert_eq!(index(&[]).unwrap_err().to_string(), "0 dimensions, expected 1 to 24");
        let message = decode(8, 3).unwrap_err().to_string();
        assert_eq!(message, "index 8 lies outside the codebook of 8 codes");
    }
}
