//! Records of a file, one by one.

use std::borrow::Cow;

use csv::{ByteRecord, ReaderBuilder};
use encoding_rs::WINDOWS_1252;

use super::{BadRow, Columns, Format, Ledger, LedgerError};
use crate::transactions::amount;
use crate::transactions::record::{AMOUNT, Date, Template, Transaction};

/// A place in the text and its line. The reader's own count leaves out empty lines.
#[derive(Clone, Copy)]
pub(super) struct Cursor {
    pub(super) byte: usize,
    pub(super) line: u64,
}

impl Cursor {
    /// Goes to `byte` and past the ends of lines there.
    pub(super) fn advance(&mut self, text: &[u8], byte: usize) {
        let ends = text[byte..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let to = byte + ends;
        self.line += text[self.byte..to].iter().filter(|byte| **byte == b'\n').count() as u64;
        self.byte = to;
    }
}

pub(super) fn reader(text: &[u8], delimiter: u8) -> csv::Reader<&[u8]> {
    ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(text)
}

/// A cell as text, and whether it was UTF-8.
pub(super) fn cell_text(cell: &[u8]) -> (Cow<'_, str>, bool) {
    match std::str::from_utf8(cell) {
        Ok(text) => (text.into(), true),
        Err(_) => (WINDOWS_1252.decode_without_bom_handling(cell).0, false),
    }
}

/// Numbers of the columns that count.
pub(super) struct Places {
    fields: Vec<Option<usize>>,
    amount: Option<usize>,
    account: Option<usize>,
    account_name: Option<usize>,
    date: Option<usize>,
    company: Option<usize>,
    id: Option<usize>,
}

impl Places {
    pub(super) fn find(
        columns: &Columns,
        template: &Template,
        names: &[String],
        file: &str,
        delimiter: u8,
    ) -> Result<Self, LedgerError> {
        let place = |column: &String| {
            names.iter().position(|name| name == column).ok_or_else(|| LedgerError::Column {
                file: file.to_owned(),
                column: column.clone(),
                found: names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
                delimiter: (delimiter as char).escape_default().to_string(),
            })
        };
        let optional = |column: &Option<String>| column.as_ref().map(&place).transpose();
        let column_of =
            |field: &str| columns.fields.iter().find(|(name, _)| name == field).map(|(_, column)| column);
        let texts = template.fields.iter().map(|field| match field.as_str() {
            AMOUNT => Ok(None),
            field => column_of(field).map(&place).transpose(),
        });
        Ok(Self {
            fields: texts.collect::<Result<_, _>>()?,
            amount: column_of(AMOUNT).map(&place).transpose()?,
            account: optional(&columns.account)?,
            account_name: optional(&columns.account_name)?,
            date: optional(&columns.date)?,
            company: optional(&columns.company)?,
            id: optional(&columns.id)?,
        })
    }
}

/// Line breaks that a cell may hold; more mean that a quote was not closed.
const MOST_BREAKS: usize = 20;

/// What is wrong with a row, and whether it is its division into cells.
struct Problem {
    text: String,
    structure: bool,
}

/// Reads the rows of one file.
pub(super) struct Rows<'a> {
    pub(super) places: Places,
    pub(super) format: &'a Format,
    pub(super) template: &'a Template,
    pub(super) company: &'a str,
    pub(super) n_columns: usize,
}

impl Rows<'_> {
    /// Every record from `cursor` on, into the ledger.
    pub(super) fn read_all(&self, text: &[u8], delimiter: u8, mut cursor: Cursor, ledger: &mut Ledger) {
        let mut record = ByteRecord::new();
        // A new reader only after a record that swallowed others.
        'reader: loop {
            let start = cursor.byte;
            let mut reader = reader(&text[start..], delimiter);
            loop {
                cursor.advance(text, start + reader.position().byte() as usize);
                // A slice cannot fail to be read, and unequal lengths are allowed.
                if !reader.read_byte_record(&mut record).unwrap_or(false) {
                    return;
                }
                match self.row(&record, cursor.line) {
                    Ok((transaction, utf8)) => {
                        if !utf8 {
                            ledger.other_encoding.push(cursor.line);
                        }
                        ledger.transactions.push(transaction);
                    }
                    Err(Problem { text: problem, structure }) => {
                        let rest = &text[cursor.byte..];
                        let next = cursor.byte
                            + rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |n| n + 1);
                        let swallowed = structure && next < start + reader.position().byte() as usize;
                        let quote =
                            if swallowed { "; a quote is opened and not closed in this line" } else { "" };
                        ledger.bad.push(BadRow { line: cursor.line, problem: format!("{problem}{quote}") });
                        if swallowed {
                            cursor.advance(text, next);
                            continue 'reader;
                        }
                    }
                }
            }
        }
    }

    fn row(&self, record: &ByteRecord, line: u64) -> Result<(Transaction, bool), Problem> {
        if record.len() != self.n_columns {
            let text = format!("{} cells, the header has {}", record.len(), self.n_columns);
            return Err(Problem { text, structure: true });
        }
        if record.iter().any(|cell| cell.iter().filter(|byte| **byte == b'\n').count() > MOST_BREAKS) {
            return Err(Problem {
                text: format!("a cell of more than {MOST_BREAKS} lines"),
                structure: true,
            });
        }
        self.sound_row(record, line).map_err(|text| Problem { text, structure: false })
    }

    fn sound_row(&self, record: &ByteRecord, line: u64) -> Result<(Transaction, bool), String> {
        let mut utf8 = true;
        let mut cell = |place: usize| {
            let (text, plain) = cell_text(&record[place]);
            utf8 &= plain;
            text.trim().to_owned()
        };
        let filled = |text: String| (!text.is_empty()).then_some(text);
        let fields: Vec<String> =
            self.places.fields.iter().map(|place| place.map_or(String::new(), &mut cell)).collect();
        let amount = self.places.amount.map(&mut cell).and_then(filled);
        let date = self.places.date.map(&mut cell).and_then(filled);
        let account = self.places.account.map(&mut cell).and_then(filled);
        let account_name = self.places.account_name.map(&mut cell).and_then(filled);
        let company = self.places.company.map(&mut cell).and_then(filled);
        let id = self.places.id.map(&mut cell).and_then(filled);
        match &account {
            None if self.places.account.is_some() => return Err("no account code".to_owned()),
            Some(code) if code.contains(char::is_control) => {
                return Err("the account code holds a line break or control character".to_owned());
            }
            _ => {}
        }
        if fields.iter().all(String::is_empty) {
            return Err("none of the mapped fields is filled".to_owned());
        }
        if fields.iter().any(|field| field.contains('\u{fffd}')) {
            return Err("characters that the encoding does not have".to_owned());
        }
        let amount = amount.map(|text| amount::parse(&text, self.format.decimal)).transpose();
        let date = date.map(|text| Date::parse(&text, self.format.dates)).transpose();
        let transaction = Transaction {
            line,
            id,
            company: company.unwrap_or_else(|| self.company.to_owned()),
            date: date.map_err(|error| error.to_string())?,
            amount: amount.map_err(|error| error.to_string())?,
            fields,
            account,
            account_name,
        };
        debug_assert_eq!(transaction.fields.len(), self.template.fields.len());
        Ok((transaction, utf8))
    }
}
