//! Training examples of ColBERT and PyLate: a query, its documents, a teacher's scores.

use std::path::Path;

use common::formats::{ParseError, open};
use serde::Deserialize;
use serde_json::Value;

use super::table::start;

/// One example by ids, the positive first.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredExample {
    /// Id of the query.
    pub query: String,
    /// Ids of its documents.
    pub documents: Vec<String>,
    /// A teacher's score for each, or none.
    pub scores: Vec<f32>,
    /// Line of the file.
    pub line: usize,
}

/// A row of PyLate's distillation sets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    query_id: Value,
    document_ids: Vec<Value>,
    #[serde(default)]
    scores: Vec<f32>,
}

/// Examples of a file with one JSON value per line: ColBERT's `[qid, [pid, score], …]` and `[qid, pid, pid, …]`, or PyLate's
/// `{"query_id", "document_ids", "scores"}`.
///
/// # Errors
/// [`ParseError`] with the line: another form, fewer than two documents, another number of scores, nothing at all.
pub fn read_examples(path: &Path) -> Result<Vec<ScoredExample>, ParseError> {
    let mut lines = open(path)?;
    let mut examples = Vec::new();
    while let Some((line, text)) = lines.next_line()? {
        if text.trim().is_empty() {
            continue;
        }
        let fail = |problem: String| {
            let hint = "`[qid, [pid, score], …]`, `[qid, pid+, pid-]` or `{\"query_id\", \"document_ids\", \"scores\"}`";
            ParseError::new(path, line, problem, hint)
        };
        let (query, documents, scores) = example(text).map_err(fail)?;
        if documents.len() < 2 {
            return Err(fail(format!("{} documents, expected at least 2", documents.len())));
        }
        if !scores.is_empty() && scores.len() != documents.len()
            || !scores.iter().all(|score| score.is_finite())
        {
            return Err(fail(format!("{} finite scores expected, one per document", documents.len())));
        }
        examples.push(ScoredExample { query, documents, scores, line });
    }
    match examples.is_empty() {
        true => Err(ParseError::new(path, 1, "no example", "is the file empty?")),
        false => Ok(examples),
    }
}

type Parts = (String, Vec<String>, Vec<f32>);

fn example(text: &str) -> Result<Parts, String> {
    if text.trim_start().starts_with('{') {
        let Row { query_id, document_ids, scores } =
            serde_json::from_str(text).map_err(|error| error.to_string())?;
        return Ok((id(&query_id)?, document_ids.iter().map(id).collect::<Result<_, _>>()?, scores));
    }
    let values: Vec<Value> =
        serde_json::from_str(text).map_err(|error| format!("{error}: `{}`", start(text)))?;
    let (query, ways) = values.split_first().ok_or("an empty list")?;
    let (mut documents, mut scores) = (Vec::new(), Vec::new());
    for way in ways {
        match way.as_array().map(Vec::as_slice) {
            None => documents.push(id(way)?),
            Some([document, score]) => {
                documents.push(id(document)?);
                scores.push(score.as_f64().ok_or_else(|| format!("score `{score}` is not a number"))? as f32);
            }
            Some(_) => return Err(format!("`{way}` is no pair of document and score")),
        }
    }
    Ok((id(query)?, documents, scores))
}

fn id(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(format!("`{value}` is not an id")),
    }
}
