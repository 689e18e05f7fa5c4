//! Appending rows inside one database transaction.

use std::collections::HashMap;

use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

use super::Imported;
use crate::transactions::record::{Date, Template, Transaction};

pub(super) enum Problem {
    Sqlite(rusqlite::Error),
    NotCoded(u64),
}

impl From<rusqlite::Error> for Problem {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

pub(super) fn next_id(change: &Connection, table: &str) -> rusqlite::Result<i64> {
    change.query_row(&format!("SELECT ifnull(max(id), 0) + 1 FROM {table}"), [], |row| row.get(0))
}

/// What is known of the store while rows are appended: names and strings by their numbers.
struct Known<'a> {
    companies: HashMap<&'a str, i64>,
    accounts: HashMap<(i64, &'a str), i64>,
    prompts: HashMap<String, i64>,
    /// How often a row without number occurred in this file: the second equal one is another purchase.
    repeated: HashMap<[u8; 16], u32>,
}

pub(super) fn append(
    change: &Connection,
    import: i64,
    template: &Template,
    transactions: &[Transaction],
) -> Result<Imported, Problem> {
    let mut known = Known {
        companies: HashMap::new(),
        accounts: HashMap::new(),
        prompts: prompts(change)?,
        repeated: HashMap::new(),
    };
    let mut insert =
        change.prepare("INSERT OR IGNORE INTO coded VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
    let (mut next, mut imported) = (next_id(change, "coded")?, Imported { added: 0, known: 0 });
    for transaction in transactions {
        let code = transaction.account.as_deref().ok_or(Problem::NotCoded(transaction.line))?;
        let company = named(change, &mut known.companies, &transaction.company)?;
        let account =
            account(change, &mut known.accounts, company, code, transaction.account_name.as_deref())?;
        let text = template.text(transaction);
        let key = key(transaction, code, &text, &mut known.repeated);
        let prompt = prompt(change, &mut known.prompts, text, transaction)?;
        let date = transaction.date.map(Date::number);
        let row = params![
            next,
            import,
            transaction.line as i64,
            company,
            date,
            transaction.amount,
            prompt,
            account,
            key
        ];
        match insert.execute(row)? {
            0 => imported.known += 1,
            _ => (imported.added, next) = (imported.added + 1, next + 1),
        }
    }
    Ok(imported)
}

fn prompts(change: &Connection) -> rusqlite::Result<HashMap<String, i64>> {
    let mut statement = change.prepare("SELECT text, id FROM prompt")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

fn named<'a>(change: &Connection, known: &mut HashMap<&'a str, i64>, name: &'a str) -> rusqlite::Result<i64> {
    if let Some(&id) = known.get(name) {
        return Ok(id);
    }
    change.execute("INSERT OR IGNORE INTO company(name) VALUES (?1)", [name])?;
    let id = change.query_row("SELECT id FROM company WHERE name = ?1", [name], |row| row.get(0))?;
    known.insert(name, id);
    Ok(id)
}

fn account<'a>(
    change: &Connection,
    known: &mut HashMap<(i64, &'a str), i64>,
    company: i64,
    code: &'a str,
    name: Option<&str>,
) -> rusqlite::Result<i64> {
    if let Some(&id) = known.get(&(company, code)) {
        return Ok(id);
    }
    change.execute(
        "INSERT OR IGNORE INTO account(company, code, name) VALUES (?1, ?2, ?3)",
        params![company, code, name.unwrap_or_default()],
    )?;
    let sql = "SELECT id FROM account WHERE company = ?1 AND code = ?2";
    let id = change.query_row(sql, params![company, code], |row| row.get(0))?;
    known.insert((company, code), id);
    Ok(id)
}

fn prompt(
    change: &Connection,
    known: &mut HashMap<String, i64>,
    text: String,
    transaction: &Transaction,
) -> rusqlite::Result<i64> {
    if let Some(&id) = known.get(&text) {
        return Ok(id);
    }
    let fields = serde_json::to_string(&transaction.fields).expect("texts");
    change
        .prepare_cached("INSERT INTO prompt(text, fields) VALUES (?1, ?2)")?
        .execute(params![text, fields])?;
    let id = change.last_insert_rowid();
    known.insert(text, id);
    Ok(id)
}

/// By what a row is known again: its number and account, or all of it and how many equal ones came before in its file.
fn key(transaction: &Transaction, code: &str, text: &str, repeated: &mut HashMap<[u8; 16], u32>) -> [u8; 16] {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(transaction.company.as_bytes());
    part(code.as_bytes());
    if let Some(id) = &transaction.id {
        part(id.as_bytes());
        return first_half(hash);
    }
    part(text.as_bytes());
    part(&transaction.date.map_or(0, Date::number).to_le_bytes());
    part(&transaction.amount.unwrap_or(i64::MIN).to_le_bytes());
    let content = first_half(hash.clone());
    let count = repeated.entry(content).or_insert(0);
    hash.update(count.to_le_bytes());
    *count += 1;
    first_half(hash)
}

fn first_half(hash: Sha256) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hash.finalize()[..16]);
    half
}
