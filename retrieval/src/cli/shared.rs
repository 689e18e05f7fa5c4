//! What several verbs share: models, queries, stopping.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use common::device::Choice;
use common::interrupt;
use common::text::segment::Segmenter;
use thiserror::Error;

use crate::data::{Document, Query};
use crate::encoder::{ColBert, Options};
use crate::index::{Batch, Index, SourceItem};
use crate::search::{Origin, check_origin, origin};
use crate::tokenizer::Augmentation;

/// Documents that are encoded at a time.
pub(super) const BATCH: usize = 512;

/// The user asked to stop.
#[derive(Debug, Error)]
#[error("{0} stopped")]
pub(super) struct Stopped(&'static str);

impl Stopped {
    pub(super) fn during(what: &'static str) -> Self {
        Self(what)
    }
}

/// How a model is opened.
#[derive(Debug, Args)]
pub(super) struct ModelOptions {
    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: Choice,
    /// Words for Japanese BERT tokenizers: a MeCab dictionary's folder, or `characters`
    #[arg(long, value_name = "NAME_OR_PATH")]
    segmenter: Option<String>,
    /// How queries are filled up with [MASK]: none, fixed:N, plus:N, paper (dynamic as published), code (dynamic as in the
    /// released evaluator), pad:N [default: the model's own]
    #[arg(long, value_name = "RULE")]
    query_length: Option<Augmentation>,
    /// Threads; on a busy machine fewer are faster [default: the number of cores]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

impl ModelOptions {
    pub(super) fn resolve(&self) -> Result<Options> {
        if let Some(threads) = self.threads {
            tch::set_num_threads(threads.into());
            // Refused when a pool is at work already, which then keeps its size.
            let _ = rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global();
        }
        let segmenter = self.segmenter.as_deref().map(Segmenter::open).transpose()?;
        Ok(Options { device: self.device.open()?, segmenter, ..Options::cpu() })
    }

    pub(super) fn open(&self, path: &Path) -> Result<ColBert> {
        let options = self.resolve()?;
        let mut model =
            ColBert::open(path, options).with_context(|| format!("opening the model {}", path.display()))?;
        if let Some(augmentation) = self.query_length {
            let layout = crate::tokenizer::Layout { augmentation, ..model.tokenizer().layout().clone() };
            model.set_layout(layout)?;
        }
        Ok(model)
    }

    /// The model of an index: the one given, which must have made it, else the one it names.
    pub(super) fn open_for(&self, index: &Index, given: Option<&PathBuf>) -> Result<ColBert> {
        let path = match given {
            Some(path) => path.clone(),
            None => origin(index)?.model,
        };
        let found =
            Origin::of(&path).context("the model that made the index; name its place now with --model")?;
        check_origin(index, &found)?;
        self.open(&path)
    }
}

/// Batches for an index: documents are encoded as they come; a stop ends them with an error.
pub(super) fn encoded<'a>(
    model: &'a ColBert,
    documents: impl Iterator<Item = Result<Vec<Document>, crate::data::ParseError>> + 'a,
    keep_texts: bool,
    mut on_batch: impl FnMut(usize) + 'a,
) -> impl Iterator<Item = SourceItem> + 'a {
    documents.map(move |documents| {
        if interrupt::asked() {
            return Err(Stopped::during("encoding was").into());
        }
        let documents = documents?;
        let texts: Vec<String> = documents.iter().map(Document::full_text).collect();
        let vectors = model.encode_documents(&texts.iter().map(String::as_str).collect::<Vec<_>>())?;
        on_batch(documents.len());
        let ids = documents.into_iter().map(|document| document.id).collect();
        Ok(Batch { ids, texts: if keep_texts { texts } else { Vec::new() }, vectors })
    })
}

/// What a stop looks like from inside an index.
pub(super) fn unwrap_stop<T>(result: Result<T, crate::index::IndexError>) -> Result<T> {
    result.map_err(|error| match error {
        crate::index::IndexError::Source(source) => match source.downcast::<Stopped>() {
            Ok(stopped) => (*stopped).into(),
            Err(source) => anyhow::Error::from_boxed(source),
        },
        error => error.into(),
    })
}

/// Texts of queries.
pub(super) fn texts(queries: &[Query]) -> Vec<&str> {
    queries.iter().map(|query| query.text.as_str()).collect()
}
