//! `search` and `serve`.
#![expect(clippy::print_stderr, reason = "the command talks to its user")]

use std::io::{self, BufRead, IsTerminal, Write};
use std::net::{IpAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use common::interrupt;

use super::shared::ModelOptions;
use crate::data::{Query, read_queries, write_run};
use crate::index::Index;
use crate::plaid::SearchConfig;
use crate::search::{Mode, Searcher};
use crate::serve::{self, Found, Limits};

/// Queries that are encoded at a time.
const QUERIES: usize = 1024;
/// Characters of a text around its best place.
const EXCERPT: usize = 120;

const EXAMPLES: &str = "\
Examples:
  retrieval search my-index \"大仏を建てたのは誰？\"
  retrieval search my-index --queries queries.jsonl --k 100 --format trec > run.txt
  retrieval search my-index \"question\" --format jsonl --explain
  retrieval search my-index            # a prompt

Small indexes are searched exactly. PLAID's settings follow from --k; --nprobe, --threshold and --candidates change them.";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For readers: rank, score, id, excerpt with the found places in brackets
    Text,
    /// One JSON object per query
    Jsonl,
    /// TREC run
    Trec,
}

#[derive(Debug, Args)]
struct Settings {
    /// Model, when it is no longer where the index was made with it
    #[arg(long)]
    model: Option<PathBuf>,
    /// Score every document
    #[arg(long, conflicts_with_all = ["nprobe", "threshold", "candidates"])]
    exact: bool,
    /// Centroids per query token whose documents are candidates
    #[arg(long)]
    nprobe: Option<usize>,
    /// Similarity from which a centroid counts in the first ranking
    #[arg(long, allow_hyphen_values = true)]
    threshold: Option<f32>,
    /// Documents that the first ranking keeps; a quarter of them is scored
    #[arg(long)]
    candidates: Option<usize>,
    #[command(flatten)]
    options: ModelOptions,
}

impl Settings {
    fn open(&self, path: &Path, k: usize, explains: bool) -> Result<Searcher> {
        let index = Index::open(path)?;
        let model = self.options.open_for(&index, self.model.as_ref())?;
        Ok(Searcher::new(model, index, self.mode(k), explains)?)
    }

    fn mode(&self, k: usize) -> Mode {
        if self.exact {
            return Mode::Exact;
        }
        if self.nprobe.is_none() && self.threshold.is_none() && self.candidates.is_none() {
            return Mode::Automatic;
        }
        let usual = SearchConfig::for_k(k);
        let candidates = self.candidates.unwrap_or(usual.candidates);
        Mode::Plaid(SearchConfig {
            nprobe: self.nprobe.unwrap_or(usual.nprobe),
            threshold: self.threshold.or(usual.threshold),
            candidates,
            scored: candidates.div_ceil(4),
        })
    }
}

/// Options of `search`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Folder of the index
    index: PathBuf,
    /// Query [default: lines of standard input, or a prompt]
    query: Option<String>,
    /// Queries: JSON lines, tab-separated or SQuAD JSON
    #[arg(long, value_name = "FILE", conflicts_with = "query")]
    queries: Option<PathBuf>,
    /// Documents per query
    #[arg(short, long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    k: u32,
    /// What is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Which place of the text each token of the query found, with its similarity
    #[arg(long)]
    explain: bool,
    /// Name of the run in TREC's last column
    #[arg(long, default_value = "retrieval")]
    tag: String,
    #[command(flatten)]
    settings: Settings,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let k = arguments.k as usize;
    let searcher = arguments.settings.open(&arguments.index, k, arguments.format != Format::Trec)?;
    let mut out = io::stdout().lock();
    let mut answer = |queries: &[Query]| -> Result<()> {
        let texts = super::shared::texts(queries);
        for (query, hits) in queries.iter().zip(searcher.search_all(&texts, k)?) {
            write(&mut out, arguments, query, hits)?;
        }
        Ok(out.flush()?)
    };
    if let Some(path) = &arguments.queries {
        return read_queries(path)?.chunks(QUERIES).try_for_each(answer);
    }
    if let Some(text) = &arguments.query {
        return answer(&[Query { id: "1".to_owned(), text: text.clone() }]);
    }
    let input = io::stdin().lock();
    let prompts = input.is_terminal();
    let ask = || {
        if prompts {
            eprint!("> ")
        }
    };
    ask();
    for (number, line) in input.lines().enumerate() {
        let text = line.context("reading queries from standard input")?;
        if !text.trim().is_empty() {
            answer(&[Query { id: (number + 1).to_string(), text }])?;
        }
        ask();
    }
    Ok(())
}

fn write(out: &mut impl Write, arguments: &Arguments, query: &Query, mut hits: Vec<Found>) -> io::Result<()> {
    match arguments.format {
        Format::Trec => {
            let hits: Vec<(String, f64)> =
                hits.into_iter().map(|hit| (hit.id, f64::from(hit.score))).collect();
            write_run(out, &query.id, &hits, &arguments.tag)
        }
        Format::Jsonl => {
            if !arguments.explain {
                hits.iter_mut().for_each(|hit| hit.highlights.clear());
            }
            let line = serde_json::json!({ "id": query.id, "query": query.text, "hits": hits });
            writeln!(out, "{line}")
        }
        Format::Text => {
            for (rank, hit) in hits.iter().enumerate() {
                writeln!(out, "{:3}  {:.3}  {}", rank + 1, hit.score, hit.id)?;
                if let Some(text) = &hit.text {
                    writeln!(out, "     {}", excerpt(text, hit))?;
                }
                if arguments.explain {
                    let characters: Vec<char> = hit.text.iter().flat_map(|text| text.chars()).collect();
                    for found in &hit.highlights {
                        let place: String = characters[found.start..found.end].iter().collect();
                        writeln!(out, "       {:.3}  {} → {place}", found.similarity, found.token)?;
                    }
                }
            }
            writeln!(out)
        }
    }
}

/// The part of a text that most found places are in, those in brackets.
fn excerpt(text: &str, hit: &Found) -> String {
    let characters: Vec<char> = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut marked = vec![false; characters.len()];
    for found in hit.highlights.iter().filter(|found| found.similarity > 0.5) {
        marked[found.start..found.end].fill(true);
    }
    let count =
        |start: usize| marked[start..(start + EXCERPT).min(marked.len())].iter().filter(|on| **on).count();
    let last = characters.len().saturating_sub(EXCERPT);
    let start = (0..=last).step_by(10).max_by_key(|&start| (count(start), last - start)).unwrap_or(0);
    let end = (start + EXCERPT).min(characters.len());
    let mut out = if start > 0 { "…".to_owned() } else { String::new() };
    for at in start..end {
        let before = at > start && marked[at - 1];
        match (before, marked[at]) {
            (false, true) => out.push('['),
            (true, false) => out.push(']'),
            _ => {}
        }
        out.push(characters[at]);
    }
    if end > start && marked[end - 1] {
        out.push(']');
    }
    if end < characters.len() {
        out.push('…');
    }
    out
}

/// Options of `serve`.
#[derive(Debug, Args)]
pub(super) struct ServeArguments {
    /// Folder of the index
    index: PathBuf,
    /// Address to listen on; other machines reach the service when it is not the loopback one
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// Port; 0 chooses a free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    #[command(flatten)]
    settings: Settings,
}

pub(super) fn serve(arguments: &ServeArguments) -> Result<()> {
    interrupt::listen();
    let listener = TcpListener::bind((arguments.host, arguments.port)).with_context(|| {
        format!("listening on {}:{}; choose another --port", arguments.host, arguments.port)
    })?;
    let searcher = arguments.settings.open(&arguments.index, 10, true)?;
    eprintln!("http://{}/ (Ctrl-C stops)", listener.local_addr()?);
    if !arguments.host.is_loopback() {
        eprintln!("warning: other machines can reach this service; it has no passwords");
    }
    Ok(serve::serve(listener, Arc::new(searcher), Limits::LOCAL, interrupt::asked)?)
}
