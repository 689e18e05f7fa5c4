//! Exports of transactions as CSV: any delimiter, any encoding, rows that are broken are listed and never lost.
//!
//! Each record is decoded by itself: files that were pasted together from systems of different encodings are read right.
//! A quote that is never closed would make the rest of a file one record; such a record is given up after its first line.

mod rows;

use std::io::Read;

use csv::ByteRecord;
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use flate2::read::MultiGzDecoder;
use thiserror::Error;

use super::amount::Decimal;
use super::record::{DateOrder, Template, Transaction};
use rows::{Cursor, Places, Rows, cell_text, reader};

/// Which column of a file holds what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// Columns of the template's fields, by field name; the amount's among them.
    pub fields: Vec<(String, String)>,
    /// Account code.
    pub account: Option<String>,
    /// Name of the account.
    pub account_name: Option<String>,
    /// Day.
    pub date: Option<String>,
    /// Company, where a file has several.
    pub company: Option<String>,
    /// Number of the transaction.
    pub id: Option<String>,
}

/// How a file is written.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// Between cells; seen from the header when absent.
    pub delimiter: Option<u8>,
    /// Of the whole file; absent: UTF-8 or UTF-16 by its marks, and Windows-1252 for records that are no UTF-8.
    pub encoding: Option<&'static Encoding>,
    /// Of amounts.
    pub decimal: Decimal,
    /// Of dates.
    pub dates: DateOrder,
}

impl Format {
    /// Everything is seen from the file; dates are year, month, day.
    pub fn auto() -> Self {
        Self { delimiter: None, encoding: None, decimal: Decimal::Auto, dates: DateOrder::Ymd }
    }
}

/// A row that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// Its first line, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub problem: String,
}

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Sound rows in order.
    pub transactions: Vec<Transaction>,
    /// The others.
    pub bad: Vec<BadRow>,
    /// Lines of records that were no UTF-8 and were read as Windows-1252.
    pub other_encoding: Vec<u64>,
}

/// A file that cannot be read as a ledger at all.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LedgerError {
    /// No header.
    #[error("{file}: empty; expected a header line and one transaction per line")]
    Empty {
        /// Its name.
        file: String,
    },
    /// A column that was asked for.
    #[error(
        "{file}: no column `{column}`; its columns are {found} (split at `{delimiter}`: say --delimiter if that is wrong)"
    )]
    Column {
        /// Its name.
        file: String,
        /// The column.
        column: String,
        /// Those that it has.
        found: String,
        /// The delimiter that was used.
        delimiter: String,
    },
    /// A compressed file that ends early or is damaged.
    #[error("{file}: not readable as gzip: {problem}")]
    Compressed {
        /// Its name.
        file: String,
        /// What the decoder says.
        problem: String,
    },
}

/// Reads the bytes of a CSV file, gzip-compressed or not. `company` is used where no column says it; rows need an account
/// when `columns` names one.
///
/// # Errors
/// [`LedgerError`]; broken rows are no error but stand in [`Ledger::bad`].
pub fn read(
    bytes: &[u8],
    file: &str,
    columns: &Columns,
    format: &Format,
    template: &Template,
    company: &str,
) -> Result<Ledger, LedgerError> {
    let unpacked;
    let bytes = match bytes.starts_with(&[0x1f, 0x8b]) {
        true => {
            unpacked = unpack(bytes, file)?;
            unpacked.as_slice()
        }
        false => bytes,
    };
    let (text, whole) = decoded(bytes, format.encoding);
    let delimiter = format.delimiter.unwrap_or_else(|| seen_delimiter(&text));
    let mut ledger = Ledger::default();
    let mut cursor = Cursor { byte: 0, line: 1 };
    cursor.advance(&text, 0);
    let mut first = reader(&text[cursor.byte..], delimiter);
    let mut header = ByteRecord::new();
    if !first.read_byte_record(&mut header).unwrap_or(false) {
        return Err(LedgerError::Empty { file: file.to_owned() });
    }
    let begin = cursor.byte + first.position().byte() as usize;
    cursor.advance(&text, begin);
    let names: Vec<String> = header.iter().map(|cell| cell_text(cell).0.trim().to_owned()).collect();
    let places = Places::find(columns, template, &names, file, delimiter)?;
    let rows = Rows { places, format, template, company, n_columns: names.len() };
    rows.read_all(&text, delimiter, cursor, &mut ledger);
    if whole {
        ledger.other_encoding.clear();
    }
    Ok(ledger)
}

fn unpack(bytes: &[u8], file: &str) -> Result<Vec<u8>, LedgerError> {
    let mut out = Vec::new();
    let read = MultiGzDecoder::new(bytes).read_to_end(&mut out);
    let fail =
        |error: std::io::Error| LedgerError::Compressed { file: file.to_owned(), problem: error.to_string() };
    read.map(|_| out).map_err(fail)
}

/// The bytes in UTF-8 as far as the whole file has one encoding, and whether it had.
fn decoded(bytes: &[u8], encoding: Option<&'static Encoding>) -> (Vec<u8>, bool) {
    let marked = Encoding::for_bom(bytes).map(|(encoding, _)| encoding);
    let encoding = encoding.or(marked.filter(|encoding| *encoding == UTF_16LE || *encoding == UTF_16BE));
    match encoding {
        Some(encoding) if encoding != UTF_8 => (encoding.decode(bytes).0.into_owned().into_bytes(), true),
        _ => (bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).to_vec(), encoding.is_some()),
    }
}

/// The most frequent of `,`, `;`, tab and `|` in the first line, outside quotes.
fn seen_delimiter(text: &[u8]) -> u8 {
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0), (b'|', 0)];
    let mut quoted = false;
    for &byte in text.iter().take_while(|byte| **byte != b'\n') {
        quoted ^= byte == b'"';
        if !quoted {
            counts.iter_mut().filter(|(known, _)| *known == byte).for_each(|(_, n)| *n += 1);
        }
    }
    // The first of equals, so that a header of one column counts as separated by commas.
    counts.into_iter().rev().max_by_key(|(_, n)| *n).map_or(b',', |(byte, _)| byte)
}

/// A cell that no spreadsheet takes for a formula: `'` in front of `=`, `+`, `-`, `@`, tab and carriage return.
///
/// ```
/// use retrieval::transactions::ledger::inert;
/// assert_eq!(inert("=HYPERLINK(1)"), "'=HYPERLINK(1)");
/// assert_eq!(inert("amazon"), "amazon");
/// ```
pub fn inert(cell: &str) -> String {
    let risky = cell
        .trim_start_matches(' ')
        .starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    if risky { format!("'{cell}") } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Columns {
        Columns {
            fields: vec![("merchant".into(), "who".into()), ("amount".into(), "sum".into())],
            account: Some("code".into()),
            date: Some("day".into()),
            ..Columns::default()
        }
    }

    fn parsed(bytes: &[u8]) -> Ledger {
        read(bytes, "x.csv", &columns(), &Format::auto(), &Template::standard(), "us").unwrap()
    }

    #[test]
    fn a_good_row_is_read_under_any_delimiter_and_mark() {
        for (mark, delimiter) in [("", ","), ("\u{feff}", ";"), ("", "\t"), ("", "|")] {
            let text =
                format!("{mark}day,who,sum,code\r\n\r\n2016-01-02,\"tesco, \"\"ltd\"\"\",-5.10,K1\r\n");
            let text = if delimiter == "," {
                text
            } else {
                text.replace("tesco, ", "tesco ").replace(',', delimiter)
            };
            let ledger = parsed(text.as_bytes());
            assert_eq!(ledger.bad, []);
            let [row] = ledger.transactions.as_slice() else { panic!("{delimiter}") };
            assert!(row.fields[0].starts_with("tesco") && row.fields[0].ends_with("\"ltd\""));
            assert_eq!((row.amount, row.line, row.company.as_str()), (Some(-510), 3, "us"));
        }
    }

    #[test]
    fn utf_16_is_read_by_its_mark_and_a_foreign_row_by_itself() {
        let text = "day,who,sum,code\n2016-01-02,café,1,K1\n";
        let wide: Vec<u8> =
            [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        assert_eq!(parsed(&wide).transactions[0].fields[0], "café");
        let mixed = [text.as_bytes(), b"2016-01-03,caf\xe9,1,K1\n"].concat();
        let ledger = parsed(&mixed);
        assert!(ledger.transactions.iter().all(|row| row.fields[0] == "café"));
        assert_eq!(ledger.other_encoding, [3]);
    }

    #[test]
    fn broken_rows_are_listed_with_their_lines_and_the_others_kept() {
        let text = "day,who,sum,code\n2016-01-02,a,1,K1\n2016-01-02,b,1\n2016-13-02,c,1,K1\n2016-01-02,d,x,K1\n2016-01-02,e,1,\n2016-01-02,,1,K1\n2016-01-02,\"f,1,K1\n2016-01-02,g,1,K1\n2016-01-02,h,1,K1\n";
        let long = format!("day,who,sum,code\n2016-01-02,a,1,\"K1\n{}", "2016-01-02,b,1,K1\n".repeat(30));
        assert_eq!(parsed(long.as_bytes()).transactions.len(), 30);
        let ledger = parsed(text.as_bytes());
        let names: Vec<&str> = ledger.transactions.iter().map(|row| row.fields[0].as_str()).collect();
        assert_eq!(names, ["a", "g", "h"]);
        let bad: Vec<String> =
            ledger.bad.iter().map(|row| format!("{}: {}", row.line, row.problem)).collect();
        assert_eq!(
            bad,
            [
                "3: 3 cells, the header has 4",
                "4: `2016-13-02` is no date; expected year, month, day, such as 2016-12-31",
                "5: `x` is no amount; expected a number such as -1,234.56, (12.30) or 1.234,56 €",
                "6: no account code",
                "7: none of the mapped fields is filled",
                "8: 2 cells, the header has 4; a quote is opened and not closed in this line",
            ]
        );
    }

    #[test]
    fn a_missing_column_is_named_with_those_that_are_there() {
        let read = |text: &str| {
            read(text.as_bytes(), "x.csv", &columns(), &Format::auto(), &Template::standard(), "us")
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            read("day;who\n"),
            "x.csv: no column `sum`; its columns are `day`, `who` (split at `;`: say --delimiter if that is wrong)"
        );
        assert!(read("").starts_with("x.csv: empty"));
    }

    #[test]
    fn formulas_are_made_inert() {
        for cell in ["=1", "+1", "-1", "@a", "\t=1", " =1", "\r=1"] {
            assert!(inert(cell).starts_with('\''), "{cell:?}");
        }
    }
}
