//! `index`, `add`, `delete`, `compact`, `verify`.
#![expect(clippy::print_stdout, reason = "the command talks to its user")]

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use common::residual::Cells;
use common::{interrupt, progress};

use super::shared::{BATCH, ModelOptions, encoded, unwrap_stop};
use crate::data::{read_documents, stream_documents};
use crate::encoder::ColBert;
use crate::index::{self, Index, IndexConfig, Writer, build};
use crate::plaid::{Plaid, SearchConfig, exact_is_as_fast, recall_against_exact};
use crate::search::{self, Origin};

/// Documents whose beginnings are searched for after a build.
const PROBES: usize = 64;
/// Bytes of a document's beginning.
const PROBE_CHARS: usize = 60;
/// Hits that are compared.
const PROBE_HITS: usize = 10;
/// Tokens above which exact search of the probes would take minutes.
const PROBE_TOKENS: usize = 20_000_000;

const EXAMPLES: &str = "\
Examples:
  retrieval index MODEL corpus.jsonl my-index
  retrieval index MODEL collection.tsv my-index --bits 4 --no-texts
  retrieval index MODEL valid-v1.3.json.gz my-index --segmenter unidic_lite/dicdir

DOCUMENTS is JSON lines (`_id`, `text`, `title`), tab-separated (`id⇥text[⇥title]`) or SQuAD JSON; `.gz` too.";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CellKind {
    /// Cells of equal mass, as ColBERTv2 has them
    Quantile,
    /// Cells of least squared error
    LloydMax,
}

/// Options of `index`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct IndexArguments {
    /// Model: a Stanford ColBERT, PyLate, sentence-transformers or BERT directory
    model: PathBuf,
    /// Documents
    documents: PathBuf,
    /// Folder of the index; an older index in it stays usable until the new one is whole
    index: PathBuf,
    /// Bits per component of a residual: 1, 2 or 4
    #[arg(long, default_value_t = 2)]
    bits: u32,
    /// How cells of residuals are chosen
    #[arg(long, value_enum, default_value = "quantile")]
    cells: CellKind,
    /// Number of centroids [default: 16 √tokens, rounded down to a power of two]
    #[arg(long)]
    centroids: Option<usize>,
    /// Do not store the documents' texts: no highlights then
    #[arg(long)]
    no_texts: bool,
    /// Seed of the sample and of k-means
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    options: ModelOptions,
    /// No progress on standard error
    #[arg(long)]
    quiet: bool,
}

pub(super) fn index(arguments: &IndexArguments) -> Result<()> {
    interrupt::listen();
    let origin = Origin::of(&arguments.model)?;
    let model = arguments.options.open(&arguments.model)?;
    let cells = match arguments.cells {
        CellKind::Quantile => Cells::Quantile,
        CellKind::LloydMax => Cells::LloydMax,
    };
    let config = IndexConfig {
        cells,
        centroids: arguments.centroids,
        seed: arguments.seed,
        note: serde_json::to_string(&origin)?,
        ..IndexConfig::colbert_v2(arguments.bits)
    };
    let spinner = progress::spinner("encoding", arguments.quiet);
    let documents = stream_documents(&arguments.documents, BATCH);
    let source = encoded(&model, documents, !arguments.no_texts, |n| spinner.inc(n as u64));
    let index = unwrap_stop(build(&arguments.index, &config, source))?;
    spinner.finish_and_clear();
    describe(&index);
    match recall(&model, &index)? {
        Some(line) => println!("{line}"),
        None => {
            println!("recall against exact search: not measured on an index of this size or without texts")
        }
    }
    Ok(())
}

fn describe(index: &Index) {
    let summary = index.summary();
    let per_token = summary.bytes_per_token().unwrap_or_default();
    println!(
        "{}: {} documents, {} tokens of width {}, {} centroids, {} bits",
        index.path().display(),
        summary.documents,
        summary.tokens,
        index.codec().width(),
        summary.centroids,
        index.codec().bits()
    );
    println!(
        "{} bytes, {per_token:.1} per token (32-bit floats: {}); {} bytes of texts; {} deleted documents",
        summary.bytes,
        4 * index.codec().width(),
        summary.text_bytes,
        summary.deleted
    );
}

/// How much of exact search the default search finds, with the beginnings of stored documents as queries.
fn recall(model: &ColBert, index: &Index) -> Result<Option<String>> {
    let tokens = index.summary().tokens;
    if tokens > PROBE_TOKENS || index.is_empty() {
        return Ok(None);
    }
    let step = index.slots().div_ceil(PROBES).max(1);
    let texts = (0..index.slots() as u32).step_by(step).filter_map(|document| index.text(document));
    let probes: Vec<String> = texts.map(|text| text.chars().take(PROBE_CHARS).collect()).collect();
    if probes.is_empty() {
        return Ok(None);
    }
    let queries = model.encode_queries(&probes.iter().map(String::as_str).collect::<Vec<_>>())?;
    let plaid = Plaid::new(index);
    let exact = search::exact(index)?;
    let share = recall_against_exact(&plaid, &exact, &queries, PROBE_HITS, &SearchConfig::for_k(PROBE_HITS))?;
    let used = match exact_is_as_fast(tokens) {
        true => "small enough that every document is scored",
        false => "PLAID searches it",
    };
    let n = probes.len();
    Ok(share.map(|share| format!(
        "recall@{PROBE_HITS} of PLAID against exact search: {share:.3} ({n} beginnings of documents as queries); {used}"
    )))
}

/// Options of `add`.
#[derive(Debug, Args)]
pub(super) struct AddArguments {
    /// Folder of the index
    index: PathBuf,
    /// Documents, in the formats of `index`
    documents: PathBuf,
    /// Model, when it is no longer where the index was made with it
    #[arg(long)]
    model: Option<PathBuf>,
    #[command(flatten)]
    options: ModelOptions,
    /// No progress on standard error
    #[arg(long)]
    quiet: bool,
}

pub(super) fn add(arguments: &AddArguments) -> Result<()> {
    interrupt::listen();
    let mut writer = Writer::open(&arguments.index)?;
    let model = arguments.options.open_for(writer.index(), arguments.model.as_ref())?;
    let keep_texts = writer.index().summary().text_bytes > 0;
    let spinner = progress::spinner("encoding", arguments.quiet);
    let documents = stream_documents(&arguments.documents, BATCH);
    unwrap_stop(writer.add(encoded(&model, documents, keep_texts, |n| spinner.inc(n as u64))))?;
    spinner.finish_and_clear();
    describe(writer.index());
    Ok(())
}

/// Options of `delete`.
#[derive(Debug, Args)]
pub(super) struct DeleteArguments {
    /// Folder of the index
    index: PathBuf,
    /// Ids of documents
    ids: Vec<String>,
    /// File with one id per line, or documents in the formats of `index`
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

pub(super) fn delete(arguments: &DeleteArguments) -> Result<()> {
    let mut ids = arguments.ids.clone();
    if let Some(path) = &arguments.from {
        let text = common::files::read_text(path)?;
        match text.contains(['\t', '{']) {
            true => ids.extend(read_documents(path)?.into_iter().map(|document| document.id)),
            false => ids.extend(text.lines().map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned)),
        }
    }
    if ids.is_empty() {
        bail!("no id to delete; name ids, or a file of them with --from");
    }
    let mut writer = Writer::open(&arguments.index)?;
    writer.delete(&ids.iter().map(String::as_str).collect::<Vec<_>>())?;
    describe(writer.index());
    Ok(())
}

/// Options of `import`.
#[derive(Debug, Args)]
pub(super) struct ImportArguments {
    /// Model that made the vectors
    model: PathBuf,
    /// Index of FastPlaid or NextPlaid: a folder of NumPy files
    foreign: PathBuf,
    /// Folder of the new index; documents get their numbers as ids
    index: PathBuf,
}

pub(super) fn import(arguments: &ImportArguments) -> Result<()> {
    let note = serde_json::to_string(&Origin::of(&arguments.model)?)?;
    index::import(&arguments.foreign, &arguments.index)?;
    let mut writer = Writer::open(&arguments.index)?;
    writer.set_note(&note)?;
    describe(writer.index());
    Ok(())
}

/// Options of `compact` and `verify`.
#[derive(Debug, Args)]
pub(super) struct OnlyIndex {
    /// Folder of the index
    index: PathBuf,
}

pub(super) fn compact(arguments: &OnlyIndex) -> Result<()> {
    let mut writer = Writer::open(&arguments.index)?;
    writer.compact()?;
    describe(writer.index());
    Ok(())
}

pub(super) fn verify(arguments: &OnlyIndex) -> Result<()> {
    let index = Index::open(&arguments.index)?;
    index.verify()?;
    describe(&index);
    println!("every file has its checksum");
    Ok(())
}
