//! A size that a model may have, in bytes or bits per weight.

use std::str::FromStr;

use thiserror::Error;

/// A size that a model may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budget {
    /// Bytes in all.
    Bytes(u64),
    /// Bits per weight on average.
    BitsPerWeight(f64),
}

/// A size that cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a size, expected a number with B, KB, MB, GB, TB (powers of 1000), KiB, MiB, GiB, TiB (of 1024) or bpw, such as `4GB` or `4.2bpw`"
)]
pub struct BudgetError(String);

const UNITS: [(&str, f64); 14] = [
    ("b", 1.0),
    ("kb", 1e3),
    ("mb", 1e6),
    ("gb", 1e9),
    ("tb", 1e12),
    ("k", 1e3),
    ("m", 1e6),
    ("g", 1e9),
    ("t", 1e12),
    ("kib", 1024.0),
    ("mib", 1_048_576.0),
    ("gib", 1_073_741_824.0),
    ("tib", 1_099_511_627_776.0),
    ("bytes", 1.0),
];

impl Budget {
    /// Whole bytes that `weights` weights may take.
    ///
    /// ```
    /// use quantization::mixture::Budget;
    /// assert_eq!(Budget::BitsPerWeight(4.5).bytes(256), 144);
    /// ```
    pub fn bytes(self, weights: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::BitsPerWeight(bits) => (bits * weights as f64 / 8.0).floor() as u64,
        }
    }
}

impl FromStr for Budget {
    type Err = BudgetError;

    /// `4GB`, `700 MiB`, `4.2 bpw`; a bare number has no meaning.
    fn from_str(text: &str) -> Result<Self, BudgetError> {
        let wrong = || BudgetError(text.to_owned());
        let trimmed = text.trim();
        let split = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, unit) = trimmed.split_at(split);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let unit = unit.trim_start().to_ascii_lowercase();
        let usable = number.is_finite() && number > 0.0;
        if unit == "bpw" && usable {
            return Ok(Self::BitsPerWeight(number));
        }
        let factor = UNITS.iter().find(|row| row.0 == unit).ok_or_else(wrong)?.1;
        let bytes = (number * factor).floor();
        if usable && (1.0..9e18).contains(&bytes) { Ok(Self::Bytes(bytes as u64)) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        assert_eq!("4GB".parse(), Ok(Budget::Bytes(4_000_000_000)));
        assert_eq!("1.5 GiB".parse(), Ok(Budget::Bytes(1_610_612_736)));
        assert_eq!(" 700mb".parse(), Ok(Budget::Bytes(700_000_000)));
        assert_eq!("4.2 bpw".parse(), Ok(Budget::BitsPerWeight(4.2)));
        assert_eq!("4.2BPW".parse(), Ok(Budget::BitsPerWeight(4.2)));
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "4",
            "GB",
            "4 G B",
            "-4GB",
            "0GB",
            "nanGB",
            "1e400GB",
            "99999999999TB",
            "0.1B",
            "4.2.1bpw",
            "語",
        ] {
            let error = text.parse::<Budget>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("`{text}` is not a size, expected a number with B, KB")),
                "{error}"
            );
        }
    }
}
