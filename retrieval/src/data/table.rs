//! Rows of `id` and text, as JSON lines or tab-separated.

use std::collections::HashMap;
use std::path::Path;

use common::formats::{ParseError, open};
use serde::Deserialize;

/// One row: id, text, title.
pub(super) struct Row {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) title: String,
}

/// A line of BEIR's `corpus.jsonl` or `queries.jsonl`, or of ColBERT's `{"qid", "question"}`; other keys are passed over.
#[derive(Deserialize)]
struct Line {
    #[serde(
        alias = "id",
        alias = "qid",
        alias = "pid",
        alias = "docid",
        alias = "query_id",
        alias = "document_id"
    )]
    _id: Id,
    #[serde(alias = "question", alias = "query", alias = "contents", alias = "passage")]
    text: String,
    #[serde(default)]
    title: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(i64),
}

/// Hands each row of a file to `take`: JSON lines when the first line begins with `{`, else tab-separated.
///
/// # Errors
/// [`ParseError`] with the line: broken JSON, missing keys or columns, an empty or repeated id, no row at all; and what
/// `take` refuses.
pub(super) fn for_each_row(
    path: &Path,
    mut take: impl FnMut(usize, Row) -> Result<(), String>,
) -> Result<(), ParseError> {
    let mut lines = open(path)?;
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut json = None;
    while let Some((number, line)) = lines.next_line()? {
        if line.trim().is_empty() {
            continue;
        }
        let json = *json.get_or_insert_with(|| line.trim_start().starts_with('{'));
        let fail = |problem: String, hint: &str| ParseError::new(path, number, problem, hint);
        let row = match json {
            true => json_row(line).map_err(|problem| fail(problem, "one JSON object per line"))?,
            false => table_row(line).map_err(|problem| fail(problem, "were the tabs saved as spaces?"))?,
        };
        if row.id.trim().is_empty() {
            return Err(fail("an empty id; expected a name".to_owned(), ""));
        }
        if let Some(first) = seen.insert(row.id.clone(), number) {
            let problem = format!("the id `{}` stands in line {first} already; expected each once", row.id);
            return Err(fail(problem, ""));
        }
        take(number, row).map_err(|problem| fail(problem, ""))?;
    }
    if seen.is_empty() {
        return Err(ParseError::new(
            path,
            1,
            "no row; expected JSON lines or `id⇥text`",
            "is the file empty?",
        ));
    }
    Ok(())
}

/// Whether the first line of a file is a whole JSON row; unreadable files begin with none.
pub(super) fn begins_with_row(path: &Path) -> bool {
    let Ok(mut lines) = open(path) else { return false };
    matches!(lines.next_line(), Ok(Some((_, line))) if json_row(line).is_ok())
}

fn json_row(line: &str) -> Result<Row, String> {
    let Line { _id, text, title } = serde_json::from_str(line)
        .map_err(|error| format!("{error}; expected an object with `_id` and `text`"))?;
    let id = match _id {
        Id::Text(text) => text,
        Id::Number(number) => number.to_string(),
    };
    Ok(Row { id, text, title: title.unwrap_or_default() })
}

fn table_row(line: &str) -> Result<Row, String> {
    let mut columns = line.split('\t');
    let (Some(id), Some(text)) = (columns.next(), columns.next()) else {
        return Err(format!("1 column, expected `id⇥text` or `id⇥text⇥title`, found `{}`", start(line)));
    };
    let title = columns.next().unwrap_or_default();
    if columns.next().is_some() {
        return Err("more than 3 columns, expected `id⇥text` or `id⇥text⇥title`".to_owned());
    }
    Ok(Row { id: id.to_owned(), text: text.to_owned(), title: title.to_owned() })
}

/// The first characters of a text, for a message.
pub(super) fn start(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    if short.len() < text.len() { short + "…" } else { short }
}
