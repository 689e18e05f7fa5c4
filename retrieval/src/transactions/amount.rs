//! Amounts as exports print them.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Largest amount in hundredths: a hundred billion units. Anything above is a broken file.
pub const LARGEST: i64 = 10_000_000_000_000;

/// The character before the hundredths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decimal {
    /// `1,234.56`
    Point,
    /// `1.234,56`
    Comma,
    /// Seen from each number; refused where both readings are possible.
    Auto,
}

/// A text that is no amount.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AmountError {
    /// Not a number.
    #[error("`{0}` is no amount; expected a number such as -1,234.56, (12.30) or 1.234,56 €")]
    NotANumber(String),
    /// Two readings.
    #[error("`{0}` can mean thousands or a fraction; say --decimal point or --decimal comma")]
    Ambiguous(String),
    /// Beyond [`LARGEST`].
    #[error("`{0}` is too large; expected at most 100,000,000,000")]
    TooLarge(String),
}

/// The amount in hundredths; a third decimal is rounded. Minus signs in front or behind, parentheses, `CR` and `DR`, currency
/// signs and codes, spaces and apostrophes between thousands are understood.
///
/// ```
/// use retrieval::transactions::amount::{parse, Decimal};
/// assert_eq!(parse("£1,234.56", Decimal::Point)?, 123_456);
/// assert_eq!(parse("(12,30) EUR", Decimal::Comma)?, -1230);
/// assert!(parse("1,234", Decimal::Auto).is_err());
/// # Ok::<(), retrieval::transactions::amount::AmountError>(())
/// ```
///
/// # Errors
/// [`AmountError`].
pub fn parse(text: &str, decimal: Decimal) -> Result<i64, AmountError> {
    let refuse = || AmountError::NotANumber(text.trim().to_owned());
    let mut rest = text.trim();
    let mut negative = false;
    if let Some(inner) = rest.split_once('(').and_then(|(before, inner)| {
        let (number, behind) = inner.split_once(')')?;
        let bare = |part: &str| !part.bytes().any(|byte| byte.is_ascii_digit());
        (bare(before) && bare(behind)).then_some(number)
    }) {
        (negative, rest) = (true, inner);
    }
    let upper = rest.to_uppercase();
    let mut letters: String = upper.chars().filter(|c| c.is_alphabetic()).collect();
    if let Some(other) = letters.strip_suffix("CR") {
        (negative, letters) = (!negative, other.to_owned());
    } else if let Some(other) = letters.strip_suffix("DR") {
        letters = other.to_owned();
    }
    let code = letters.is_empty() || letters.chars().count() <= 3;
    let minus = rest.chars().filter(|c| is_minus(*c)).count();
    let kept: String =
        rest.chars().filter(|c| !is_minus(*c) && !c.is_alphabetic() && !is_filler(*c)).collect();
    let inside = rest.trim_matches(|c: char| !c.is_ascii_digit() && c != '.' && c != ',');
    let wanted = code
        && minus <= 1
        && !inside.contains(|c: char| is_minus(c) || c.is_alphabetic())
        && kept.bytes().any(|byte| byte.is_ascii_digit())
        && kept.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b',');
    if !wanted {
        return Err(refuse());
    }
    let point =
        separator(&kept, decimal).map_err(|Ambiguity| AmountError::Ambiguous(text.trim().to_owned()))?;
    let (whole, fraction) = match point.and_then(|point| kept.rsplit_once(point)) {
        Some((whole, fraction)) => (whole, fraction),
        None => (kept.as_str(), ""),
    };
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) || point.is_some_and(|point| whole.contains(point))
    {
        return Err(refuse());
    }
    if !grouped(whole) {
        return Err(refuse());
    }
    let digits: String = whole.chars().filter(char::is_ascii_digit).collect();
    let too_large = || AmountError::TooLarge(text.trim().to_owned());
    let units: i64 = if digits.is_empty() { 0 } else { digits.parse().map_err(|_| too_large())? };
    let at = |place: usize| i64::from(fraction.as_bytes().get(place).map_or(0, |byte| byte - b'0'));
    let hundredths = at(0) * 10 + at(1) + i64::from(at(2) >= 5);
    let size = units.checked_mul(100).and_then(|size| size.checked_add(hundredths)).ok_or_else(too_large)?;
    if size > LARGEST {
        return Err(too_large());
    }
    Ok(if negative != (minus == 1) { -size } else { size })
}

struct Ambiguity;

/// The character before the fraction, if any.
fn separator(number: &str, decimal: Decimal) -> Result<Option<char>, Ambiguity> {
    let (points, commas) = (number.matches('.').count(), number.matches(',').count());
    let last =
        number.rfind(['.', ',']).map(|place| (number.as_bytes()[place] as char, number.len() - place - 1));
    match (decimal, last) {
        (_, None) => Ok(None),
        (Decimal::Point, _) => Ok((points > 0).then_some('.')),
        (Decimal::Comma, _) => Ok((commas > 0).then_some(',')),
        (Decimal::Auto, Some((last, behind))) => match (points, commas) {
            (1.., 1..) => Ok(Some(last)),
            (0, 2..) | (2.., 0) => Ok(None),
            _ if behind == 3 && number.len() > 4 => Err(Ambiguity),
            _ => Ok(Some(last)),
        },
    }
}

/// Whether thousands stand in groups of three behind the first group (two in South Asia, but never one).
fn grouped(whole: &str) -> bool {
    let mut groups = whole.split(['.', ',']);
    let first = groups.next().unwrap_or_default();
    let rest: Vec<&str> = groups.collect();
    let last = rest.last().map_or(3, |group| group.len());
    rest.is_empty()
        || (!first.is_empty() && last == 3 && rest.iter().all(|group| (2..=3).contains(&group.len())))
}

fn is_minus(c: char) -> bool {
    matches!(c, '-' | '−' | '–' | '－')
}

fn is_filler(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\'' | '’' | '+' | '£' | '$' | '€' | '¥' | '￥' | '₹' | '円' | '"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_real_exports_are_read() {
        let cases = [
            ("43.56", Decimal::Auto, 4356),
            ("-824.55", Decimal::Auto, -82_455),
            ("1,234.56", Decimal::Auto, 123_456),
            ("1.234,56", Decimal::Auto, 123_456),
            ("1.234.567", Decimal::Auto, 123_456_700),
            ("1'234.50", Decimal::Auto, 123_450),
            ("1\u{a0}234,50 €", Decimal::Comma, 123_450),
            ("12.30-", Decimal::Point, -1230),
            ("(12.30)", Decimal::Point, -1230),
            ("$(12.30)", Decimal::Point, -1230),
            ("12.30 CR", Decimal::Point, -1230),
            ("12.30DR", Decimal::Point, 1230),
            ("USD 5", Decimal::Point, 500),
            ("−5", Decimal::Point, -500),
            ("¥1,200", Decimal::Point, 120_000),
            ("0.125", Decimal::Point, 13),
            (".5", Decimal::Point, 50),
            ("1,23,456.00", Decimal::Point, 12_345_600),
            ("1234,5", Decimal::Auto, 123_450),
        ];
        for (text, decimal, amount) in cases {
            assert_eq!(parse(text, decimal), Ok(amount), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused_and_said() {
        for text in ["", "n/a", "1-2", "12.3.4,5", "1e5", "--5", "5 apples", "=1+1", "1,2.3,4"] {
            assert!(matches!(parse(text, Decimal::Point), Err(AmountError::NotANumber(_))), "{text}");
        }
        assert!(matches!(parse("1.234", Decimal::Auto), Err(AmountError::Ambiguous(_))));
        for text in ["100000000000.01", "9223372036854775807", "99999999999999999999999"] {
            assert!(matches!(parse(text, Decimal::Point), Err(AmountError::TooLarge(_))), "{text}");
        }
    }
}
