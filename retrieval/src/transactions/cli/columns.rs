//! Columns and formats of a user's files.
#![expect(clippy::print_stderr, reason = "the command talks to its user")]

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use common::files;
use encoding_rs::Encoding;

use crate::transactions::amount::Decimal;
use crate::transactions::ledger::{self, Columns, Format, Ledger};
use crate::transactions::record::{AMOUNT, AmountText, DateOrder, STANDARD, Template};

/// Broken rows that are listed; the rest are counted.
const LISTED: usize = 20;
/// Names of what is no field of the string, in the saved mapping.
const OTHERS: [&str; 5] = ["=account", "=account-name", "=date", "=company", "=id"];

/// Which column holds what, and how the file is written.
#[derive(Debug, Args)]
#[command(next_help_heading = "Columns and formats")]
pub(super) struct FileOptions {
    /// Column of the merchant's name
    #[arg(long, value_name = "COLUMN")]
    merchant: Option<String>,
    /// Column of the merchant category
    #[arg(long, value_name = "COLUMN")]
    category: Option<String>,
    /// Column of the department
    #[arg(long, value_name = "COLUMN")]
    department: Option<String>,
    /// Column of the location or cost centre
    #[arg(long, value_name = "COLUMN")]
    location: Option<String>,
    /// Column of the amount
    #[arg(long, value_name = "COLUMN")]
    amount: Option<String>,
    /// Column of the memo
    #[arg(long, value_name = "COLUMN")]
    memo: Option<String>,
    /// Column of the spend programme
    #[arg(long, value_name = "COLUMN")]
    program: Option<String>,
    /// Column of the trip
    #[arg(long, value_name = "COLUMN")]
    trip: Option<String>,
    /// A field of your own, such as `vat=vat_code`; may be given several times
    #[arg(long, value_name = "NAME=COLUMN")]
    own: Vec<String>,
    /// Column of the account code
    #[arg(long, value_name = "COLUMN")]
    account: Option<String>,
    /// Column of the account's name
    #[arg(long, value_name = "COLUMN")]
    account_name: Option<String>,
    /// Column of the date; with it the latest transactions are held out, not random ones
    #[arg(long, value_name = "COLUMN")]
    date: Option<String>,
    /// Column of the transaction's number; with it a row is known again whatever else changed
    #[arg(long, value_name = "COLUMN")]
    id: Option<String>,
    /// Column of the company, in files of several
    #[arg(long, value_name = "COLUMN")]
    company_column: Option<String>,
    /// Company of all rows without that column
    #[arg(long, value_name = "NAME", default_value = "company")]
    pub(super) company: String,
    /// Character between cells [default: seen from the header]
    #[arg(long, value_name = "CHARACTER")]
    delimiter: Option<String>,
    /// Encoding of the whole file, such as windows-1252, shift_jis or utf-16le [default: seen from the file]
    #[arg(long, value_name = "NAME")]
    encoding: Option<String>,
    /// Decimal mark of amounts [default: seen from each number]
    #[arg(long, value_enum)]
    decimal: Option<DecimalName>,
    /// Order of dates
    #[arg(long, value_enum, default_value = "ymd")]
    date_order: DateOrderName,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DecimalName {
    /// 1,234.56
    Point,
    /// 1.234,56
    Comma,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DateOrderName {
    /// 2016-12-31
    Ymd,
    /// 31/12/2016
    Dmy,
    /// 12/31/2016
    Mdy,
}

impl FileOptions {
    /// What was typed, as pairs of name and column; names of what is no field begin with `=`.
    pub(super) fn mapping(&self) -> Result<Vec<(String, String)>> {
        let typed = [
            &self.merchant,
            &self.category,
            &self.department,
            &self.location,
            &self.amount,
            &self.memo,
            &self.program,
            &self.trip,
        ];
        let standard = STANDARD.iter().zip(typed);
        let mut mapping: Vec<(String, String)> =
            standard.filter_map(|(name, column)| Some(((*name).to_owned(), column.clone()?))).collect();
        for own in &self.own {
            let (name, column) = own
                .split_once('=')
                .with_context(|| format!("`{own}` is no field; expected --own NAME=COLUMN"))?;
            let word = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
            ensure!(
                word && !STANDARD.contains(&name),
                "`{name}` cannot name a field; expected a new word of letters and digits"
            );
            mapping.push((name.to_lowercase(), column.to_owned()));
        }
        let others = [&self.account, &self.account_name, &self.date, &self.company_column, &self.id];
        mapping.extend(
            OTHERS
                .iter()
                .zip(others)
                .filter_map(|(name, column)| Some(((*name).to_owned(), column.clone()?))),
        );
        Ok(mapping)
    }

    /// The saved mapping, where nothing else was typed.
    pub(super) fn mapping_over(&self, saved: &[(String, String)]) -> Result<Vec<(String, String)>> {
        let mut mapping = saved.to_vec();
        for (name, column) in self.mapping()? {
            match mapping.iter_mut().find(|(known, _)| *known == name) {
                Some((_, old)) => *old = column,
                None if name.starts_with('=') => mapping.push((name, column)),
                None => bail!(
                    "the model was trained without the field `{name}`: train again with it, or leave it out"
                ),
            }
        }
        Ok(mapping)
    }

    /// Reads a file; `-` is standard input. Broken rows are listed on standard error.
    pub(super) fn read(
        &self,
        path: &Path,
        mapping: &[(String, String)],
        template: &Template,
        coded: bool,
    ) -> Result<(Vec<u8>, Ledger)> {
        let bytes = match path == Path::new("-") {
            true => {
                let mut bytes = Vec::new();
                std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut bytes)
                    .context("reading standard input")?;
                bytes
            }
            false => files::read(path)?,
        };
        let name = path.display().to_string();
        let columns = columns(mapping, coded);
        let ledger = ledger::read(&bytes, &name, &columns, &self.format()?, template, &self.company)?;
        warn(&name, &ledger);
        Ok((bytes, ledger))
    }

    fn format(&self) -> Result<Format> {
        let delimiter = match self.delimiter.as_deref().map(|text| (text, text.as_bytes())) {
            None => None,
            Some(("tab" | "\\t", _)) => Some(b'\t'),
            Some((_, &[byte])) => Some(byte),
            Some((text, _)) => bail!("`{text}` is no delimiter; expected one ASCII character, or tab"),
        };
        let encoding = match &self.encoding {
            None => None,
            Some(name) => Some(Encoding::for_label(name.as_bytes()).with_context(|| {
                format!("`{name}` is no encoding; expected a name of the WHATWG's list, such as windows-1252")
            })?),
        };
        let decimal = match self.decimal {
            None => Decimal::Auto,
            Some(DecimalName::Point) => Decimal::Point,
            Some(DecimalName::Comma) => Decimal::Comma,
        };
        let dates = match self.date_order {
            DateOrderName::Ymd => DateOrder::Ymd,
            DateOrderName::Dmy => DateOrder::Dmy,
            DateOrderName::Mdy => DateOrder::Mdy,
        };
        Ok(Format { delimiter, encoding, decimal, dates })
    }
}

/// The template of a mapping: the article's order, then own fields.
pub(super) fn template(mapping: &[(String, String)], amount: AmountText) -> Result<Template> {
    let fields: Vec<String> =
        mapping.iter().map(|(name, _)| name.clone()).filter(|name| !name.starts_with('=')).collect();
    if fields.iter().all(|name| name == AMOUNT) {
        bail!("no column was named; say at least --merchant COLUMN");
    }
    Ok(Template { fields, amount })
}

fn columns(mapping: &[(String, String)], coded: bool) -> Columns {
    let of = |name: &str| mapping.iter().find(|(known, _)| known == name).map(|(_, column)| column.clone());
    Columns {
        fields: mapping.iter().filter(|(name, _)| !name.starts_with('=')).cloned().collect(),
        account: of("=account").filter(|_| coded),
        account_name: of("=account-name").filter(|_| coded),
        date: of("=date"),
        company: of("=company"),
        id: of("=id"),
    }
}

fn warn(name: &str, ledger: &Ledger) {
    for row in ledger.bad.iter().take(LISTED) {
        eprintln!("warning: {name}:{}: {}", row.line, row.problem);
    }
    if ledger.bad.len() > LISTED {
        eprintln!("warning: {name}: {} more rows like these", ledger.bad.len() - LISTED);
    }
    if !ledger.bad.is_empty() {
        eprintln!(
            "warning: {name}: {} of {} rows were left out",
            ledger.bad.len(),
            ledger.bad.len() + ledger.transactions.len()
        );
    }
    if let Some(first) = ledger.other_encoding.first() {
        eprintln!(
            "warning: {name}: {} rows, the first in line {first}, are no UTF-8 and were read as Windows-1252; say --encoding if that is wrong",
            ledger.other_encoding.len()
        );
    }
}

/// Options that say where model and store are.
#[derive(Debug, Args)]
pub(super) struct ModelOptions {
    /// Folder of the model
    pub(super) model: PathBuf,
    /// Store of coded transactions [default: `ledger.sqlite` in the folder of the model]
    #[arg(long, value_name = "FILE")]
    pub(super) store: Option<PathBuf>,
    /// Threads
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) threads: u16,
}

impl ModelOptions {
    pub(super) fn store_path(&self) -> PathBuf {
        self.store.clone().unwrap_or_else(|| self.model.join("ledger.sqlite"))
    }
}
