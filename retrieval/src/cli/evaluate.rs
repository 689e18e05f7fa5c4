//! `evaluate`.
#![expect(clippy::print_stdout, reason = "the command talks to its user")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use common::metrics::ranking::{Measure, Ranked};
use common::stats;

use super::shared::{BATCH, ModelOptions, texts};
use crate::bm25::{Analyzer, Bm25, Parameters};
use crate::data::{Collection, Document, Run, read_collection, read_run};
use crate::index::Index;
use crate::maxsim::{Exact, Storage};
use crate::search::{Mode, Searcher};
use crate::vectors::TokenVectors;

/// Measures when none is named.
const MEASURES: [Measure; 5] =
    [Measure::Ndcg(10), Measure::Mrr(10), Measure::Recall(3), Measure::Recall(100), Measure::Map(100)];
/// Documents per query that are ranked.
const DEPTH: usize = 100;

const EXAMPLES: &str = "\
Examples:
  retrieval evaluate beir-folder --index my-index
  retrieval evaluate valid-v1.3.json.gz --model MODEL
  retrieval evaluate valid-v1.3.json.gz --bm25 bigrams
  retrieval evaluate beir-folder --split dev --run run.txt --measure ndcg@10 --per-query

COLLECTION is a folder in BEIR's layout, or SQuAD JSON. Ties are ordered and measures computed as trec_eval does.";

/// Options of `evaluate`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[group(id = "ranking", required = true, multiple = false, args = ["run", "index", "model", "bm25"])]
pub(super) struct Arguments {
    /// Documents, queries and judgements
    collection: PathBuf,
    /// Split of a BEIR folder
    #[arg(long, default_value = "test")]
    split: String,
    /// Ranking of a TREC run
    #[arg(long, value_name = "FILE")]
    run: Option<PathBuf>,
    /// Search this index
    #[arg(long)]
    index: Option<PathBuf>,
    /// Encode the documents with this model and score all of them, in 32-bit floats
    #[arg(long)]
    model: Option<PathBuf>,
    /// Rank by BM25: `english` or `bigrams`
    #[arg(long, value_name = "ANALYZER")]
    bm25: Option<Analyzer>,
    /// Measure, such as ndcg@10, mrr@10, recall@100, precision@1, success@3, map@100; may be repeated
    #[arg(long = "measure", value_name = "MEASURE")]
    measures: Vec<Measure>,
    /// Also print the values of each query
    #[arg(long)]
    per_query: bool,
    #[command(flatten)]
    options: ModelOptions,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let collection = read_collection(&arguments.collection, &arguments.split)?;
    let run = ranking(arguments, &collection)?;
    let measures = if arguments.measures.is_empty() { &MEASURES[..] } else { &arguments.measures };
    let known: BTreeSet<&String> = collection.judgements.keys().collect();
    if !run.is_empty() && !run.keys().any(|query| known.contains(query)) {
        bail!("the run and the judgements have no query in common: do they belong together?");
    }
    println!(
        "{} documents, {} queries with judgements, {} in the run",
        collection.documents.len(),
        known.len(),
        run.len()
    );
    let mut values = vec![Vec::new(); measures.len()];
    for (query, grades) in &collection.judgements {
        let hits = run.get(query).map_or(&[][..], Vec::as_slice);
        let hits: Vec<(&str, f64)> = hits.iter().map(|(id, score)| (id.as_str(), *score)).collect();
        let ranked = Ranked::new(&hits, grades);
        for (measure, values) in measures.iter().zip(&mut values) {
            values.push(measure.of(&ranked));
            if arguments.per_query {
                println!("{query}\t{measure}\t{:.6}", measure.of(&ranked));
            }
        }
    }
    for (measure, values) in measures.iter().zip(&values) {
        let interval = stats::t_interval(values)
            .map_or(String::new(), |[low, high]| format!("  95 % [{low:.4}, {high:.4}]"));
        println!("{:16}{:.4}{interval}", measure.to_string(), stats::mean(values).unwrap_or_default());
    }
    Ok(())
}

fn ranking(arguments: &Arguments, collection: &Collection) -> Result<Run> {
    if let Some(path) = &arguments.run {
        return Ok(read_run(path)?);
    }
    let queries = texts(&collection.queries);
    let documents = || collection.documents.iter().map(Document::full_text).collect::<Vec<_>>();
    let id = |document: u32| collection.documents[document as usize].id.clone();
    let named = |rankings: Vec<Vec<(String, f64)>>| -> Run {
        collection.queries.iter().map(|query| query.id.clone()).zip(rankings).collect()
    };
    if let Some(analyzer) = &arguments.bm25 {
        let index = Bm25::new(&documents(), analyzer.clone(), Parameters::PASSAGES);
        let rankings = index.search_all(&queries, DEPTH).into_iter();
        let named_hits = |hits: Vec<(u32, f32)>| {
            hits.into_iter().map(|(document, score)| (id(document), f64::from(score))).collect()
        };
        return Ok(named(rankings.map(named_hits).collect()));
    }
    if let Some(path) = &arguments.index {
        let index = Index::open(path)?;
        let model = arguments.options.open_for(&index, None)?;
        let searcher = Searcher::new(model, index, Mode::Automatic, false)?;
        let rankings = searcher.search_all(&queries, DEPTH)?.into_iter();
        return Ok(named(
            rankings
                .map(|hits| hits.into_iter().map(|hit| (hit.id, f64::from(hit.score))).collect())
                .collect(),
        ));
    }
    let Some(path) = &arguments.model else {
        bail!("nothing to rank with; give --run, --index, --model or --bm25")
    };
    let model = arguments.options.open(path)?;
    let mut vectors = TokenVectors::new(model.width());
    for batch in documents().chunks(BATCH) {
        let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
        model.encode_documents(&batch)?.iter().try_for_each(|rows| vectors.push(rows))?;
    }
    let exact = Exact::new(vectors, Storage::F32)?;
    let rankings = exact.search_batch(&model.encode_queries(&queries)?, DEPTH)?.into_iter();
    Ok(named(
        rankings
            .map(|hits| hits.into_iter().map(|hit| (id(hit.document), f64::from(hit.score))).collect())
            .collect(),
    ))
}
