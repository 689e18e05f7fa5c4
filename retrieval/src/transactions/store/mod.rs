//! Coded transactions of many companies in one SQLite file.
//!
//! Append-only: triggers refuse changes and deletions. An import is one database transaction: after a crash all of it is
//! there or nothing. The same file is refused the second time; rows that another file had already (statements overlap) are
//! passed over one by one. Distinct contextual strings are stored once, and so are their vectors, per model.

mod append;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::record::{Date, Template, Transaction};
use append::{Problem, append, next_id};

/// Marks the file as ours ("txn1"), and its layout.
const APPLICATION: i32 = 0x7478_6e31;
const LAYOUT: i32 = 1;
/// Milliseconds that a second writer waits.
const PATIENCE_MS: u64 = 10_000;
/// Largest part of the file that is held in memory.
const CACHE_KIB: i64 = 256 << 10;

const TABLES: &str = "
CREATE TABLE company(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE account(id INTEGER PRIMARY KEY, company INTEGER NOT NULL, code TEXT NOT NULL, name TEXT NOT NULL,
  UNIQUE(company, code));
CREATE TABLE prompt(id INTEGER PRIMARY KEY, text TEXT NOT NULL, fields TEXT NOT NULL);
CREATE TABLE import(id INTEGER PRIMARY KEY, source TEXT NOT NULL, digest BLOB NOT NULL UNIQUE, n_rows INTEGER NOT NULL);
CREATE TABLE coded(id INTEGER PRIMARY KEY, import INTEGER NOT NULL, line INTEGER NOT NULL, company INTEGER NOT NULL,
  date INTEGER, amount INTEGER, prompt INTEGER NOT NULL, account INTEGER NOT NULL, key BLOB NOT NULL);
CREATE UNIQUE INDEX coded_key ON coded(key);
CREATE TABLE vector(model TEXT NOT NULL, prompt INTEGER NOT NULL, value BLOB NOT NULL, PRIMARY KEY(model, prompt)) WITHOUT ROWID;
CREATE TABLE setting(name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TRIGGER coded_stays BEFORE DELETE ON coded BEGIN SELECT RAISE(ABORT, 'coded transactions are append-only'); END;
CREATE TRIGGER coded_unchanged BEFORE UPDATE ON coded BEGIN SELECT RAISE(ABORT, 'coded transactions are append-only'); END;
CREATE TRIGGER import_stays BEFORE DELETE ON import BEGIN SELECT RAISE(ABORT, 'imports are append-only'); END;
";

/// A store that cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// What SQLite says.
    #[error("{path}: {source}", path = path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// The message.
        source: rusqlite::Error,
    },
    /// Some other file.
    #[error("{path}: not a store of coded transactions; give another place, or a file that this command made", path = .0.display())]
    Foreign(PathBuf),
    /// Made by another version.
    #[error("{path}: layout {found}, this version reads {LAYOUT}; import the ledgers again into a new store", path = path.display())]
    Layout {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: i32,
    },
    /// Another template.
    #[error("{path}: its strings were made with other fields ({found}); use the model it was filled with, or a new store", path = path.display())]
    Template {
        /// The file.
        path: PathBuf,
        /// Its template.
        found: String,
    },
    /// Another program writes.
    #[error("{path}: another program is writing to it; try again when it is done", path = .0.display())]
    Busy(PathBuf),
    /// The same file again.
    #[error("`{source_name}` was imported already ({rows} rows): nothing was changed")]
    AlreadyImported {
        /// Name at the first import.
        source_name: String,
        /// Rows then.
        rows: u64,
    },
    /// A row without an account.
    #[error("line {line}: not coded; a store holds coded transactions")]
    NotCoded {
        /// Its line.
        line: u64,
    },
    /// A stored value of a form that this version does not write.
    #[error("{path}: a damaged value ({what}); restore the file from a copy", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        what: String,
    },
}

/// What an import did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Rows added.
    pub added: u64,
    /// Rows that were there already.
    pub known: u64,
}

/// A coded transaction as the memory of a company needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coded {
    /// Number in the store.
    pub id: i64,
    /// Its string.
    pub prompt: i64,
    /// Its account.
    pub account: i64,
    /// Its day.
    pub date: Option<Date>,
    /// Hundredths.
    pub amount: Option<i64>,
}

/// An account of a company's chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Code.
    pub code: String,
    /// Name, possibly empty.
    pub name: String,
}

/// A distinct contextual string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Number in the store.
    pub id: i64,
    /// The string.
    pub text: String,
    /// Values of the template's fields.
    pub fields: Vec<String>,
}

/// An open store.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    connection: Connection,
}

impl Store {
    /// Opens a store, or makes one.
    ///
    /// # Errors
    /// [`StoreError`] for a file of another kind, layout or template.
    pub fn open(path: &Path, template: &Template) -> Result<Self, StoreError> {
        let connection = Connection::open(path).map_err(|source| sqlite(path, source))?;
        let store = Self { path: path.to_owned(), connection };
        store.prepare(template)?;
        Ok(store)
    }

    fn fail(&self, source: rusqlite::Error) -> StoreError {
        sqlite(&self.path, source)
    }

    fn prepare(&self, template: &Template) -> Result<(), StoreError> {
        let fail = |source| self.fail(source);
        let connection = &self.connection;
        connection.busy_timeout(std::time::Duration::from_millis(PATIENCE_MS)).map_err(fail)?;
        let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0)).map_err(fail)?;
        let json = serde_json::to_string(template).expect("names and words");
        if tables == 0 {
            connection.pragma_update(None, "journal_mode", "WAL").map_err(fail)?;
            let make = format!(
                "BEGIN IMMEDIATE; {TABLES} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {LAYOUT}; COMMIT;"
            );
            connection.execute_batch(&make).map_err(fail)?;
            connection.execute("INSERT INTO setting VALUES ('template', ?1)", [&json]).map_err(fail)?;
        } else if number("application_id").map_err(fail)? != APPLICATION {
            return Err(StoreError::Foreign(self.path.clone()));
        }
        let found = number("user_version").map_err(fail)?;
        if found != LAYOUT {
            return Err(StoreError::Layout { path: self.path.clone(), found });
        }
        // Keys are hashes: the pages of their index are touched in no order, and must stay in memory while rows are added.
        connection.pragma_update(None, "cache_size", -CACHE_KIB).map_err(fail)?;
        // A commit is on the disk when it returns.
        connection.pragma_update(None, "synchronous", "FULL").map_err(fail)?;
        let known: String = connection
            .query_row("SELECT value FROM setting WHERE name = 'template'", [], |row| row.get(0))
            .map_err(fail)?;
        if known != json {
            let found =
                serde_json::from_str::<Template>(&known).map_or(known, |known| known.fields.join(", "));
            return Err(StoreError::Template { path: self.path.clone(), found });
        }
        Ok(())
    }

    /// Appends coded transactions: all of them or, on any error, none. `bytes` are the file's, by which it is known again.
    ///
    /// # Errors
    /// [`StoreError`]; the store is as before then.
    pub fn import(
        &mut self,
        source_name: &str,
        bytes: &[u8],
        template: &Template,
        transactions: &[Transaction],
    ) -> Result<Imported, StoreError> {
        let path = self.path.clone();
        let fail = |source| sqlite(&path, source);
        let mut digest = Sha256::new_with_prefix(bytes);
        // The same file for another company, or with other columns, is another import.
        for transaction in transactions.first().into_iter().chain(transactions.last()) {
            digest.update(transaction.company.as_bytes());
            digest.update(transaction.account.as_deref().unwrap_or_default().as_bytes());
        }
        let digest = digest.finalize();
        let change = self
            .connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(fail)?;
        let before = change
            .query_row("SELECT source, n_rows FROM import WHERE digest = ?1", [digest.as_slice()], |row| {
                Ok((row.get(0)?, row.get::<_, i64>(1)?))
            })
            .optional()
            .map_err(fail)?;
        if let Some((source_name, rows)) = before {
            return Err(StoreError::AlreadyImported { source_name, rows: rows as u64 });
        }
        let import = next_id(&change, "import").map_err(fail)?;
        let imported = append(&change, import, template, transactions).map_err(|problem| match problem {
            Problem::Sqlite(source) => fail(source),
            Problem::NotCoded(line) => StoreError::NotCoded { line },
        })?;
        change
            .execute(
                "INSERT INTO import VALUES (?1, ?2, ?3, ?4)",
                params![import, source_name, digest.as_slice(), imported.added as i64],
            )
            .map_err(fail)?;
        change.commit().map_err(fail)?;
        Ok(imported)
    }

    /// Names of the companies, in the order of their first row.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn companies(&self) -> Result<Vec<(i64, String)>, StoreError> {
        self.rows("SELECT id, name FROM company ORDER BY id", |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// The chart of accounts of a company, by number.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn accounts(&self, company: i64) -> Result<HashMap<i64, Account>, StoreError> {
        let sql = format!("SELECT id, code, name FROM account WHERE company = {company}");
        let rows =
            self.rows(&sql, |row| Ok((row.get(0)?, Account { code: row.get(1)?, name: row.get(2)? })))?;
        Ok(rows.into_iter().collect())
    }

    /// All coded transactions of a company, the latest first.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn coded(&self, company: i64) -> Result<Vec<Coded>, StoreError> {
        let sql = format!(
            "SELECT id, prompt, account, date, amount FROM coded WHERE company = {company} ORDER BY ifnull(date, 0) DESC, id DESC"
        );
        self.rows(&sql, |row| {
            let date = row.get::<_, Option<u32>>(3)?.map(Date::from_number);
            Ok(Coded {
                id: row.get(0)?,
                prompt: row.get(1)?,
                account: row.get(2)?,
                date,
                amount: row.get(4)?,
            })
        })
    }

    /// The distinct strings of a company's coded transactions.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn prompts(&self, company: i64) -> Result<Vec<Prompt>, StoreError> {
        let sql = format!(
            "SELECT id, text, fields FROM prompt WHERE id IN (SELECT prompt FROM coded WHERE company = {company}) ORDER BY id"
        );
        let rows = self.rows(&sql, |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?)))?;
        let prompt = |(id, text, fields): (i64, String, String)| {
            let fields =
                serde_json::from_str(&fields).map_err(|_| self.damaged(format!("fields of string {id}")))?;
            Ok(Prompt { id, text, fields })
        };
        rows.into_iter().map(prompt).collect()
    }

    /// Strings without a vector of this model.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn without_vector(&self, model: &str, most: usize) -> Result<Vec<(i64, String)>, StoreError> {
        let sql = format!(
            "SELECT id, text FROM prompt WHERE id NOT IN (SELECT prompt FROM vector WHERE model = '{}') ORDER BY id LIMIT {most}",
            model.replace('\'', "''")
        );
        self.rows(&sql, |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// Keeps vectors of strings.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`]; none is kept then.
    pub fn put_vectors<'a>(
        &mut self,
        model: &str,
        vectors: impl Iterator<Item = (i64, &'a [f32])>,
    ) -> Result<(), StoreError> {
        let path = self.path.clone();
        let fail = |source| sqlite(&path, source);
        let change = self.connection.transaction().map_err(fail)?;
        {
            let mut insert =
                change.prepare("INSERT OR REPLACE INTO vector VALUES (?1, ?2, ?3)").map_err(fail)?;
            for (prompt, vector) in vectors {
                let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
                insert.execute(params![model, prompt, bytes]).map_err(fail)?;
            }
        }
        change.commit().map_err(fail)
    }

    /// Vectors of a model by the number of the string, `width` values each.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] for a vector of another width.
    pub fn vectors(&self, model: &str, width: usize) -> Result<HashMap<i64, Vec<f32>>, StoreError> {
        let sql = format!("SELECT prompt, value FROM vector WHERE model = '{}'", model.replace('\'', "''"));
        let rows = self.rows(&sql, |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
        let mut vectors = HashMap::with_capacity(rows.len());
        for (prompt, bytes) in rows {
            if bytes.len() != 4 * width {
                return Err(self.damaged(format!("vector of string {prompt}")));
            }
            let value = |four: &[u8]| f32::from_le_bytes([four[0], four[1], four[2], four[3]]);
            vectors.insert(prompt, bytes.chunks_exact(4).map(value).collect());
        }
        Ok(vectors)
    }

    /// Nothing, when SQLite finds the file whole.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] with its first finding.
    pub fn verify(&self) -> Result<(), StoreError> {
        let found = self.rows("PRAGMA integrity_check", |row| row.get::<_, String>(0))?;
        match found.first().map(String::as_str) {
            Some("ok") => Ok(()),
            other => Err(self.damaged(other.unwrap_or("no answer").to_owned())),
        }
    }

    fn damaged(&self, what: String) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), what }
    }

    fn rows<T>(
        &self,
        sql: &str,
        row: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.connection.prepare(sql).map_err(|source| self.fail(source))?;
        let rows = statement.query_map([], row).and_then(Iterator::collect);
        rows.map_err(|source| self.fail(source))
    }
}

fn sqlite(path: &Path, source: rusqlite::Error) -> StoreError {
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => StoreError::Foreign(path.to_owned()),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy(path.to_owned()),
        _ => StoreError::Sqlite { path: path.to_owned(), source },
    }
}
