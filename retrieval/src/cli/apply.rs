//! `encode` and `export`.
#![expect(clippy::print_stdout, reason = "the command talks to its user")]

use std::borrow::Cow;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use common::files;
use ndarray::{ArrayView1, ArrayView2};
use ndarray_npy::WriteNpyExt;

use super::shared::{BATCH, ModelOptions};
use crate::data::{Document, read_documents, read_queries};
use crate::export::{self, Engine, Exported};
use crate::index::Index;
use crate::vectors::TokenVectors;

/// Options of `encode`.
#[derive(Debug, Args)]
pub(super) struct EncodeArguments {
    /// Model: a Stanford ColBERT, PyLate, sentence-transformers or BERT directory
    model: PathBuf,
    /// Documents, or queries with --queries
    texts: PathBuf,
    /// Folder to write: vectors.npy `[rows, width]`, lengths.npy (rows per text), ids.txt
    out: PathBuf,
    /// The texts are queries
    #[arg(long)]
    queries: bool,
    /// One mean-pooled vector per text
    #[arg(long)]
    pooled: bool,
    #[command(flatten)]
    options: ModelOptions,
}

pub(super) fn encode(arguments: &EncodeArguments) -> Result<()> {
    let model = arguments.options.open(&arguments.model)?;
    let (ids, all): (Vec<String>, Vec<String>) = match arguments.queries {
        true => read_queries(&arguments.texts)?.into_iter().map(|query| (query.id, query.text)).unzip(),
        false => read_documents(&arguments.texts)?
            .into_iter()
            .map(|document| (document.id.clone(), document.full_text()))
            .unzip(),
    };
    if let Some(id) = ids.iter().find(|id| id.contains('\n')) {
        bail!("the id `{}` has a line break; ids.txt has one id per line", id.escape_default());
    }
    let width = model.width();
    let mut vectors = TokenVectors::new(width);
    for batch in all.chunks(BATCH) {
        let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
        let encoded = match (arguments.pooled, arguments.queries) {
            (true, queries) => model.encode_pooled(&batch, queries)?,
            (false, true) => model.encode_queries(&batch)?,
            (false, false) => model.encode_documents(&batch)?,
        };
        encoded.iter().try_for_each(|rows| vectors.push(rows))?;
    }
    files::make_folder(&arguments.out)?;
    let lengths: Vec<i64> = (0..vectors.len()).map(|text| vectors.tokens(text) as i64).collect();
    let rows = ArrayView2::from_shape((vectors.rows(), width), vectors.values())?;
    write_array(&arguments.out.join("vectors.npy"), &rows)?;
    write_array(&arguments.out.join("lengths.npy"), &ArrayView1::from(&lengths))?;
    files::write_atomic(&arguments.out.join("ids.txt"), (ids.join("\n") + "\n").as_bytes())?;
    println!(
        "{}: {} texts, {} vectors of width {width}",
        arguments.out.display(),
        vectors.len(),
        vectors.rows()
    );
    Ok(())
}

fn write_array<A: WriteNpyExt>(path: &Path, array: &A) -> Result<()> {
    let written = files::write_atomic_with(path, |file| {
        let mut out = BufWriter::new(file);
        array.write_npy(&mut out).map_err(std::io::Error::other)?;
        out.flush()
    });
    Ok(written?)
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum EngineName {
    /// Qdrant from 1.10 on: bodies of REST requests
    Qdrant,
    /// Vespa 8: a schema and a feed
    Vespa,
}

const EXAMPLES: &str = "\
Examples:
  retrieval export my-index qdrant --engine qdrant
    curl -X PUT localhost:6333/collections/docs -H 'content-type: application/json' -d @qdrant/collection.json
    for f in qdrant/points-*.json; do curl -X PUT localhost:6333/collections/docs/points -H 'content-type: application/json' -d @$f; done
  retrieval export my-index vespa --engine vespa
    vespa feed vespa/feed.jsonl

An index gives its decompressed vectors; with --documents they are encoded anew, at full precision.";

/// Options of `export`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExportArguments {
    /// Folder of the index
    index: PathBuf,
    /// New or empty folder to write
    out: PathBuf,
    /// For which engine
    #[arg(long, value_enum)]
    engine: EngineName,
    /// Encode these documents anew with the index's model instead of decompressing
    #[arg(long, value_name = "FILE")]
    documents: Option<PathBuf>,
    /// Model, when it is no longer where the index was made with it
    #[arg(long)]
    model: Option<PathBuf>,
    #[command(flatten)]
    options: ModelOptions,
}

pub(super) fn export(arguments: &ExportArguments) -> Result<()> {
    let index = Index::open(&arguments.index)?;
    let engine = match arguments.engine {
        EngineName::Qdrant => Engine::Qdrant,
        EngineName::Vespa => Engine::Vespa,
    };
    let n = match &arguments.documents {
        Some(path) => {
            let model = arguments.options.open_for(&index, arguments.model.as_ref())?;
            let documents = read_documents(path)?;
            let full: Vec<String> = documents.iter().map(Document::full_text).collect();
            let vectors = model.encode_documents(&full.iter().map(String::as_str).collect::<Vec<_>>())?;
            let exported = documents.iter().zip(&full).zip(vectors.iter());
            let exported = exported.map(|((document, text), rows)| Exported {
                id: &document.id,
                text: Some(text),
                rows: Cow::Borrowed(rows),
            });
            export::export(engine, model.width(), exported, &arguments.out)?
        }
        None => {
            let live: Vec<u32> =
                (0..index.slots() as u32).filter(|&document| !index.is_deleted(document)).collect();
            let ids: Result<Vec<&str>, _> = live.iter().map(|&document| index.id(document)).collect();
            let (ids, width) = (ids?, index.codec().width());
            let documents = live.iter().zip(ids).map(|(&document, id)| Exported {
                id,
                text: index.text(document),
                rows: Cow::Owned(index.vectors(document)),
            });
            export::export(engine, width, documents, &arguments.out)?
        }
    };
    println!("{}: {n} documents", arguments.out.display());
    Ok(())
}
