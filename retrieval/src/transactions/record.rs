//! A transaction and its contextual string.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Fields of the article's string, in our order: the article does not print its template. `amount` is a number, the
/// others are text.
pub const STANDARD: [&str; 8] =
    ["merchant", "category", "department", "location", "amount", "memo", "program", "trip"];
/// Name of the field that holds the number.
pub const AMOUNT: &str = "amount";

/// A calendar day, ordered by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Date(u32);

/// Order of day, month and year in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DateOrder {
    /// Year, month, day.
    Ymd,
    /// Day, month, year.
    Dmy,
    /// Month, day, year.
    Mdy,
}

/// A text that is no day.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{found}` is no date; expected {expected}, such as {example}")]
pub struct DateError {
    found: String,
    expected: &'static str,
    example: &'static str,
}

impl Date {
    /// The day in a text: three numbers with any of `-/. ` between them, or eight digits; a time behind it is passed over.
    ///
    /// ```
    /// use retrieval::transactions::record::{Date, DateOrder};
    /// let day = Date::parse("31/12/2016", DateOrder::Dmy)?;
    /// assert_eq!(day.to_string(), "2016-12-31");
    /// assert!(Date::parse("31/12/2016", DateOrder::Mdy).is_err());
    /// # Ok::<(), retrieval::transactions::record::DateError>(())
    /// ```
    ///
    /// # Errors
    /// [`DateError`] with what was expected.
    pub fn parse(text: &str, order: DateOrder) -> Result<Self, DateError> {
        let (expected, example) = match order {
            DateOrder::Ymd => ("year, month, day", "2016-12-31"),
            DateOrder::Dmy => ("day, month, year", "31/12/2016"),
            DateOrder::Mdy => ("month, day, year", "12/31/2016"),
        };
        let fail = || DateError { found: text.to_owned(), expected, example };
        let day = text.trim().split(['T', ' ']).next().unwrap_or_default();
        let numbers: Option<Vec<u32>> = match day.len() == 8 && day.bytes().all(|byte| byte.is_ascii_digit())
        {
            true => {
                let cuts: [usize; 4] = if order == DateOrder::Ymd { [0, 4, 6, 8] } else { [0, 2, 4, 8] };
                cuts.windows(2).map(|cut| day[cut[0]..cut[1]].parse().ok()).collect()
            }
            false => day.split(['-', '/', '.']).map(|part| part.parse().ok()).collect(),
        };
        let &[a, b, c] = numbers.as_deref().unwrap_or_default() else { return Err(fail()) };
        let (year, month, day) = match order {
            DateOrder::Ymd => (a, b, c),
            DateOrder::Dmy => (c, b, a),
            DateOrder::Mdy => (c, a, b),
        };
        let year = if year < 100 { 2000 + year } else { year };
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let longest = match month {
            2 => 28 + u32::from(leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => 0,
        };
        let sound = (1900..2200).contains(&year) && (1..=longest).contains(&day);
        if sound { Ok(Self(year * 10_000 + month * 100 + day)) } else { Err(fail()) }
    }

    /// The day as the number `yyyymmdd`, which the store keeps.
    pub fn number(self) -> u32 {
        self.0
    }

    /// The day of [`Date::number`].
    pub fn from_number(number: u32) -> Self {
        Self(number)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.0 / 10_000, self.0 / 100 % 100, self.0 % 100)
    }
}

/// One card transaction, coded or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Line of its file, from 1.
    pub line: u64,
    /// Its number in the system it comes from.
    pub id: Option<String>,
    /// Whose chart of accounts counts.
    pub company: String,
    /// When.
    pub date: Option<Date>,
    /// Hundredths of the currency; refunds are negative.
    pub amount: Option<i64>,
    /// Texts in the order of [`Template::fields`], empty where missing and in the place of the amount.
    pub fields: Vec<String>,
    /// Account code, when coded.
    pub account: Option<String>,
    /// Name of the account.
    pub account_name: Option<String>,
}

/// How the amount is written into the string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AmountText {
    /// As it is, `43.56`.
    Exact,
    /// The step of the series 1, 2, 5, 10, … below it, `20 to 50`; fewer distinct strings, and a pattern that repeats.
    Bucket,
    /// Not at all.
    Omitted,
}

/// How transactions become strings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Names in the order of the string.
    pub fields: Vec<String>,
    /// How the amount is written.
    pub amount: AmountText,
}

/// Longest value of a field in characters; what is behind it would be cut off with the tokens anyway.
const LONGEST: usize = 200;

impl Template {
    /// The article's fields.
    pub fn standard() -> Self {
        Self { fields: STANDARD.map(str::to_owned).into(), amount: AmountText::Bucket }
    }

    /// The place of a field.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field == name)
    }

    /// The contextual string: names and values in lower case, missing ones left out, bars between them.
    ///
    /// ```
    /// use retrieval::transactions::record::{Template, Transaction};
    /// let template = Template::standard();
    /// let mut fields = vec![String::new(); 8];
    /// (fields[0], fields[5]) = ("SQ *Blue  Bottle".into(), "a | b".into());
    /// let transaction = Transaction { line: 2, id: None, company: String::new(), date: None, amount: Some(-1250),
    ///     fields, account: None, account_name: None };
    /// assert_eq!(template.text(&transaction), "merchant sq *blue bottle | amount refund 10 to 20 | memo a / b");
    /// ```
    pub fn text(&self, transaction: &Transaction) -> String {
        let mut text = String::new();
        for (name, value) in self.fields.iter().zip(&transaction.fields) {
            let value = match (name.as_str(), transaction.amount) {
                (AMOUNT, Some(amount)) => self.amount_text(amount),
                (AMOUNT, None) => continue,
                _ => clean(value),
            };
            if value.is_empty() {
                continue;
            }
            if !text.is_empty() {
                text.push_str(" | ");
            }
            text.push_str(name);
            text.push(' ');
            text.push_str(&value);
        }
        text
    }

    fn amount_text(&self, amount: i64) -> String {
        let sign = if amount < 0 { "refund " } else { "" };
        let size = amount.unsigned_abs();
        match self.amount {
            AmountText::Omitted => String::new(),
            AmountText::Exact => format!("{sign}{}.{:02}", size / 100, size % 100),
            AmountText::Bucket => {
                let (low, high) = bucket(size / 100);
                format!("{sign}{low} to {high}")
            }
        }
    }
}

/// The step of 0, 1, 2, 5, 10, … at or below `units`, and the next one.
fn bucket(units: u64) -> (u64, u64) {
    let (mut low, mut step) = (0, 1);
    for turn in 0.. {
        if units < step {
            break;
        }
        low = step;
        step = if turn % 3 == 1 { step / 2 * 5 } else { step.saturating_mul(2) };
        if step == u64::MAX {
            break;
        }
    }
    (low, step)
}

/// Lower case, white space and control characters as single spaces, bars as slashes.
pub fn clean(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for word in value.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().flat_map(char::to_lowercase).map(|c| if c == '|' { '/' } else { c }));
    }
    match out.char_indices().nth(LONGEST) {
        Some((end, _)) => out[..end].to_owned(),
        None => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_the_series_of_one_two_five() {
        let lows: Vec<u64> = [0, 1, 2, 4, 5, 9, 10, 49, 50, 99, 100, 999].map(|n| bucket(n).0).into();
        assert_eq!(lows, [0, 1, 2, 2, 5, 5, 10, 20, 50, 50, 100, 500]);
        assert_eq!(bucket(20), (20, 50));
        assert!(bucket(u64::MAX).0 > 1 << 62);
    }

    #[test]
    fn days_that_do_not_exist_are_refused_with_an_example() {
        for text in ["2015-02-29", "2015-13-01", "x", "", "2015-1", "2015-04-31", "1015-04-01"] {
            assert!(Date::parse(text, DateOrder::Ymd).is_err(), "{text}");
        }
        let error = Date::parse("30.02.2016", DateOrder::Dmy).unwrap_err().to_string();
        assert_eq!(error, "`30.02.2016` is no date; expected day, month, year, such as 31/12/2016");
        assert_eq!(Date::parse("20160229", DateOrder::Ymd).unwrap().number(), 20_160_229);
        assert_eq!(Date::parse("1/2/17", DateOrder::Dmy).unwrap().to_string(), "2017-02-01");
        assert_eq!(Date::parse("2017-02-01T10:00:00Z", DateOrder::Ymd).unwrap().number(), 20_170_201);
    }

    #[test]
    fn long_and_odd_values_are_cut_and_cleaned() {
        assert_eq!(clean("\tA\u{0}B \n C|D "), "a b c/d");
        assert_eq!(clean(&"é".repeat(500)).chars().count(), LONGEST);
    }
}
