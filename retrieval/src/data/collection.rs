//! Documents, queries and judgements that belong together.

use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::thread;

use common::formats::ParseError;

use super::table::{begins_with_row, for_each_row};
use super::{Document, Judgements, Query, read_judgements, read_squad};

/// A test collection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collection {
    /// What is searched.
    pub documents: Vec<Document>,
    /// What is asked.
    pub queries: Vec<Query>,
    /// What is relevant.
    pub judgements: Judgements,
}

/// Documents of a file: JSON lines (`_id`, `text`, `title`), tab-separated (`id⇥text[⇥title]`), or SQuAD JSON.
///
/// # Errors
/// [`ParseError`] with the line: broken rows, an empty or repeated id, nothing at all.
pub fn read_documents(path: &Path) -> Result<Vec<Document>, ParseError> {
    if is_squad(path) {
        return Ok(read_squad(&[path], false)?.collection.documents);
    }
    let mut documents = Vec::new();
    for_each_row(path, |_, row| {
        documents.push(Document { id: row.id, title: row.title, text: row.text });
        Ok(())
    })?;
    Ok(documents)
}

/// [`read_documents`] in batches, read by a thread of its own a few batches ahead, so that memory stays bounded whatever
/// the file's size. SQuAD files, which are one JSON value, are read whole.
pub fn stream_documents(
    path: &Path,
    batch: usize,
) -> impl Iterator<Item = Result<Vec<Document>, ParseError>> + use<> {
    let (sender, receiver) = sync_channel(BATCHES_AHEAD);
    let path = path.to_owned();
    thread::spawn(move || {
        let mut documents = Vec::with_capacity(batch);
        // A receiver that is gone wants no more.
        let give = |documents| sender.send(Ok(documents)).map_err(|_| "no longer wanted".to_owned());
        let read = match is_squad(&path) {
            true => read_squad(&[&path], false).map(|squad| drop(give(squad.collection.documents))),
            false => for_each_row(&path, |_, row| {
                documents.push(Document { id: row.id, title: row.title, text: row.text });
                match documents.len() < batch {
                    true => Ok(()),
                    false => give(std::mem::replace(&mut documents, Vec::with_capacity(batch))),
                }
            }),
        };
        let _ = match read {
            Ok(()) if documents.is_empty() => Ok(()),
            Ok(()) => sender.send(Ok(documents)),
            Err(error) => sender.send(Err(error)),
        };
    });
    receiver.into_iter()
}

/// Batches that are read before they are wanted.
const BATCHES_AHEAD: usize = 2;

/// Queries of a file: JSON lines (`_id`, `text`), tab-separated (`id⇥text`), or SQuAD JSON.
///
/// # Errors
/// As [`read_documents`]; a query without text too.
pub fn read_queries(path: &Path) -> Result<Vec<Query>, ParseError> {
    if is_squad(path) {
        return Ok(read_squad(&[path], false)?.collection.queries);
    }
    let mut queries = Vec::new();
    for_each_row(path, |_, row| {
        if row.text.trim().is_empty() {
            return Err(format!("query `{}` is empty; expected text", row.id));
        }
        queries.push(Query { id: row.id, text: row.text });
        Ok(())
    })?;
    Ok(queries)
}

/// The collection at a path: a folder in BEIR's layout (`corpus.jsonl`, `queries.jsonl`, `qrels/<split>.tsv`), a SQuAD
/// file, or a folder of SQuAD files.
///
/// # Errors
/// [`ParseError`] for what is missing or broken; judgements of queries that are not there.
pub fn read_collection(path: &Path, split: &str) -> Result<Collection, ParseError> {
    if is_squad(path) {
        return Ok(read_squad(&[path], false)?.collection);
    }
    let Some(corpus) = either(path, "corpus.jsonl") else {
        let files = squad_files(path);
        if files.is_empty() {
            let hint = "BEIR's corpus.jsonl, queries.jsonl and qrels/test.tsv, or SQuAD JSON files";
            return Err(ParseError::new(path, 0, "no collection; expected a folder or file of one", hint));
        }
        return Ok(read_squad(&files, false)?.collection);
    };
    let need = |name: &str| {
        either(path, name).ok_or_else(|| {
            ParseError::new(&path.join(name), 0, "is not there; expected beside corpus.jsonl", "")
        })
    };
    let judgements_path = need(&format!("qrels/{split}.tsv"))?;
    let mut collection = Collection {
        documents: read_documents(&corpus)?,
        queries: read_queries(&need("queries.jsonl")?)?,
        judgements: read_judgements(&judgements_path)?,
    };
    collection.queries.retain(|query| collection.judgements.contains_key(&query.id));
    match collection.queries.len() == collection.judgements.len() {
        true => Ok(collection),
        false => {
            let known = |id: &&String| collection.queries.iter().all(|query| query.id != **id);
            let id = collection.judgements.keys().find(known).cloned().unwrap_or_default();
            let problem = format!("judges the query `{id}`, which queries.jsonl does not have");
            Err(ParseError::new(&judgements_path, 0, problem, "do the files belong together?"))
        }
    }
}

fn either(folder: &Path, name: &str) -> Option<PathBuf> {
    [folder.join(name), folder.join(format!("{name}.gz"))].into_iter().find(|path| path.is_file())
}

/// Whether a file is named as SQuAD's are and does not begin with a row, as ColBERT's `queries.json` do.
fn is_squad(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.ends_with(".json") && path.is_file() && !begins_with_row(path)
}

/// The SQuAD files of a folder, by name.
fn squad_files(folder: &Path) -> Vec<PathBuf> {
    let names = common::files::names_in(folder).unwrap_or_default(); // no folder: no collection, said by the caller
    names.iter().map(|name| folder.join(name)).filter(|path| is_squad(path)).collect()
}
