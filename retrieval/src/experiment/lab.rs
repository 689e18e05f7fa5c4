//! The texts of the experiment, prepared once per process.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::{Context, Result};
use common::text::pieces::Pieces;
use common::{data, seed};
use rand::seq::SliceRandom;

use super::design::{Amount, POST_WAYS, WAYS};
use crate::bm25::{Analyzer, Bm25, Parameters};
use crate::data::{Collection, Document, Squad, read_squad};
use crate::teacher::within_articles;
use crate::tokenizer::train::{Kind, train as train_tokenizer};
use crate::training::data::TrainingData;

/// Candidates per question that the teacher scores.
const CANDIDATES: usize = 2 * WAYS;
/// An article of JaQuAD's training part that JSQuAD's test part has too.
const SHARED_ARTICLE: &str = "オスマン帝国";
/// Questions of JaQuAD's development part that a training curve is drawn from.
const CURVE: usize = 200;

/// Questions on documents, one relevant document each.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub(super) documents: Vec<String>,
    pub(super) queries: Vec<String>,
    pub(super) relevant: Vec<usize>,
}

/// All texts of the experiment.
pub(super) struct Lab {
    pub(super) training: TrainingData,
    pub(super) pieces: Pieces,
    /// JaQuAD's development part: chooses.
    pub(super) curve: Asked,
    /// JSQuAD's validation part, whose number of documents is the paper's.
    pub(super) jsquad: Asked,
    /// Two questions on one document each, one after the other: longer than 32 tokens.
    pub(super) pairs: Asked,
    /// One half of XQuAD's articles, in English: a second domain to train on.
    pub(super) english: TrainingData,
    /// The other half.
    pub(super) english_test: Asked,
    /// All of XQuAD's English questions, on paragraphs without titles.
    pub(super) xquad: Asked,
}

impl Lab {
    pub(super) fn new(root: &Path, amount: Amount) -> Result<Self> {
        let mut squad = read(root, "jaquad", "train/", true)?;
        limit(&mut squad, amount.articles);
        let training = within_articles(&squad, &bm25(&squad.collection, Analyzer::Bigrams), CANDIDATES);
        let training = with_enough(training, WAYS);
        let texts = training.documents.iter().chain(&training.queries).map(String::as_str);
        let pieces = train_tokenizer(texts, Kind::WordPiece { size: amount.vocabulary })?;
        let jsquad = read(root, "jsquad", "valid-v1.3.json.gz", false)?;
        let untitled = read(root, "xquad-en", "xquad.en.json.gz", false)?;
        let (english, test) = halves(read(root, "xquad-en", "xquad.en.json.gz", true)?);
        let english = within_articles(&english, &bm25(&english.collection, Analyzer::English), CANDIDATES);
        Ok(Self {
            curve: small(Asked::sampled(&read(root, "jaquad", "dev/", true)?.collection, CURVE)?),
            pairs: Asked::pairs(&jsquad.collection, amount.queries)?,
            jsquad: Asked::sampled(&jsquad.collection, amount.queries)?,
            english: with_enough(english, POST_WAYS),
            english_test: Asked::sampled(&test.collection, amount.queries)?,
            xquad: Asked::sampled(&untitled.collection, usize::MAX)?,
            training,
            pieces,
        })
    }
}

/// The files of a data set whose path begins with `prefix`.
fn read(root: &Path, name: &str, prefix: &str, titles: bool) -> Result<Squad> {
    let set = data::locate(root, name)?;
    let paths = set.entry.files.iter().filter(|file| file.path.starts_with(prefix));
    let paths: Vec<_> = paths.map(|file| set.folder.join(&file.path)).collect();
    Ok(read_squad(&paths, titles)?)
}

fn bm25(collection: &Collection, analyzer: Analyzer) -> Bm25 {
    let texts: Vec<String> = collection.documents.iter().map(Document::full_text).collect();
    Bm25::new(&texts, analyzer, Parameters::PASSAGES)
}

/// Keeps the first `n` articles, without the one that the test data share.
fn limit(squad: &mut Squad, n: usize) {
    let kept = |document: &Document, article: usize| article < n && document.title != SHARED_ARTICLE;
    keep(squad, kept);
}

/// Cuts a collection in two by its articles: even ones, odd ones.
fn halves(squad: Squad) -> (Squad, Squad) {
    let (mut even, mut odd) = (squad.clone(), squad);
    keep(&mut even, |_, article| article.is_multiple_of(2));
    keep(&mut odd, |_, article| !article.is_multiple_of(2));
    (even, odd)
}

/// Keeps the documents that `kept` holds for, and the questions on them.
fn keep(squad: &mut Squad, kept: impl Fn(&Document, usize) -> bool) {
    let Squad { collection, articles, answers } = squad;
    let stays: Vec<bool> = collection
        .documents
        .iter()
        .zip(articles.iter())
        .map(|(document, article)| kept(document, *article))
        .collect();
    let ids: HashSet<&String> = collection
        .documents
        .iter()
        .zip(&stays)
        .filter(|(_, stays)| **stays)
        .map(|(document, _)| &document.id)
        .collect();
    collection.judgements.retain(|_, grades| grades.keys().any(|id| ids.contains(id)));
    let mut stay = stays.iter();
    collection.documents.retain(|_| stay.next() == Some(&true));
    let mut stay = stays.iter();
    articles.retain(|_| stay.next() == Some(&true));
    let asked: Vec<bool> =
        collection.queries.iter().map(|query| collection.judgements.contains_key(&query.id)).collect();
    let mut stay = asked.iter();
    collection.queries.retain(|_| stay.next() == Some(&true));
    let mut stay = asked.iter();
    answers.retain(|_| stay.next() == Some(&true));
}

/// Leaves out questions in articles with too few paragraphs.
fn with_enough(mut data: TrainingData, ways: usize) -> TrainingData {
    data.examples.retain(|example| example.documents.len() >= ways);
    data
}

impl Asked {
    /// At most `n` questions, the same in every run.
    fn sampled(collection: &Collection, n: usize) -> Result<Self> {
        let place: HashMap<&str, usize> = collection
            .documents
            .iter()
            .enumerate()
            .map(|(place, document)| (document.id.as_str(), place))
            .collect();
        let mut order: Vec<usize> = (0..collection.queries.len()).collect();
        order.shuffle(&mut seed::rng(0, "questions", 0));
        order.truncate(n);
        order.sort_unstable();
        let mut asked = Self {
            documents: collection.documents.iter().map(Document::full_text).collect(),
            ..Self::default()
        };
        for query in order.into_iter().map(|i| &collection.queries[i]) {
            let relevant = collection.judgements.get(&query.id).and_then(|grades| grades.keys().next());
            let relevant =
                relevant.and_then(|id| place.get(id.as_str())).context("a question without its paragraph")?;
            asked.queries.push(query.text.clone());
            asked.relevant.push(*relevant);
        }
        Ok(asked)
    }

    /// Pairs of neighbouring questions on one document.
    fn pairs(collection: &Collection, n: usize) -> Result<Self> {
        let all = Self::sampled(collection, usize::MAX)?;
        let mut pairs = Self { documents: all.documents, ..Self::default() };
        let mut i = 0;
        while i + 1 < all.queries.len() && pairs.queries.len() < n {
            if all.relevant[i] == all.relevant[i + 1] {
                pairs.queries.push(format!("{}{}", all.queries[i], all.queries[i + 1]));
                pairs.relevant.push(all.relevant[i]);
                i += 1;
            }
            i += 1;
        }
        Ok(pairs)
    }
}

/// Only the documents that are asked for.
fn small(asked: Asked) -> Asked {
    let mut wanted: Vec<usize> = asked.relevant.clone();
    wanted.sort_unstable();
    wanted.dedup();
    Asked {
        documents: wanted.iter().map(|&document| asked.documents[document].clone()).collect(),
        relevant: asked
            .relevant
            .iter()
            .map(|document| wanted.partition_point(|other| other < document))
            .collect(),
        queries: asked.queries,
    }
}
