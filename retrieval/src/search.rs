//! An encoder and an index together: from a question to documents with the places that answer it.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use common::files::{self, FileError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::encoder::{ColBert, EncoderError};
use crate::index::{Index, IndexError};
use crate::maxsim::{Exact, Hit, Storage, explain};
use crate::plaid::{Plaid, SearchConfig, SearchError, exact_is_as_fast};
use crate::serve::{self, Found, Highlight};
use crate::vectors::TokenVectors;

/// What an index says of the model that made its vectors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Directory of the model, as it was typed.
    pub model: PathBuf,
    /// Sha256 of its `model.safetensors`.
    pub weights: String,
}

impl Origin {
    /// That of a model directory.
    ///
    /// # Errors
    /// [`FileError`] when there are no weights in it.
    pub fn of(model: &Path) -> Result<Self, FileError> {
        let weights = files::sha256_of(&model.join("model.safetensors"))?;
        Ok(Self { model: model.to_owned(), weights })
    }
}

/// A question that cannot be answered.
#[derive(Debug, Error)]
pub enum RetrievalError {
    /// The encoder.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The search.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The model is not the one that made the index.
    #[error("{index}: made with the model {made_with}, whose weights differ from those of {found}; use that model, or build the index again", index = index.display(), made_with = made_with.display(), found = found.display())]
    OtherModel {
        /// The index.
        index: PathBuf,
        /// The model it was made with.
        made_with: PathBuf,
        /// The model that was given.
        found: PathBuf,
    },
    /// An index that this command did not make.
    #[error("{index}: does not say which model made it; build it with `retrieval index`", index = index.display())]
    NoOrigin {
        /// The index.
        index: PathBuf,
    },
}

/// The model that made an index.
///
/// # Errors
/// [`RetrievalError::NoOrigin`].
pub fn origin(index: &Index) -> Result<Origin, RetrievalError> {
    serde_json::from_str(index.note())
        .map_err(|_| RetrievalError::NoOrigin { index: index.path().to_owned() })
}

/// Whether `model` made the index.
///
/// # Errors
/// [`RetrievalError`] when another one did, or it cannot be known.
pub fn check_origin(index: &Index, model: &Origin) -> Result<(), RetrievalError> {
    let made_with = origin(index)?;
    match made_with.weights == model.weights {
        true => Ok(()),
        false => Err(RetrievalError::OtherModel {
            index: index.path().to_owned(),
            made_with: made_with.model,
            found: model.model.clone(),
        }),
    }
}

/// How an index is searched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// Every document of small indexes, PLAID with its settings for the number of hits in others.
    Automatic,
    /// Every document.
    Exact,
    /// PLAID with these settings.
    Plaid(SearchConfig),
}

/// All documents of an index in memory, for a search that misses none; deleted ones have no tokens, so that they are not
/// found, and documents keep their numbers.
///
/// # Errors
/// [`RetrievalError::Search`] when the index holds what cannot be searched.
pub fn exact(index: &Index) -> Result<Exact, RetrievalError> {
    let mut vectors = TokenVectors::new(index.codec().width());
    for document in 0..index.slots() as u32 {
        let rows = if index.is_deleted(document) { Vec::new() } else { index.vectors(document) };
        vectors.push(&rows).expect("an index has rows of its own width");
    }
    Ok(Exact::new(vectors, Storage::Screened).map_err(SearchError::from)?)
}

/// An index with the encoder of its queries; many threads may search.
pub struct Searcher {
    /// A tensor library's handles do not go to two threads at a time.
    model: Mutex<ColBert>,
    index: Index,
    engine: Engine,
    /// Whether hits come with their text and the places in it.
    explains: bool,
}

/// What finds documents.
enum Engine {
    Exact(Exact),
    /// PLAID with these settings, or those for the number of hits.
    Plaid(Option<SearchConfig>),
}

impl std::fmt::Debug for Searcher {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Searcher").field("index", &self.index.path()).finish_non_exhaustive()
    }
}

impl Searcher {
    /// A searcher of `index` by `model`; with `explains` hits come with their text and the places in it.
    ///
    /// # Errors
    /// As [`exact`].
    pub fn new(model: ColBert, index: Index, mode: Mode, explains: bool) -> Result<Self, RetrievalError> {
        let engine = match mode {
            Mode::Plaid(config) => Engine::Plaid(Some(config)),
            Mode::Automatic if !exact_is_as_fast(index.summary().tokens) => Engine::Plaid(None),
            Mode::Automatic | Mode::Exact => Engine::Exact(exact(&index)?),
        };
        Ok(Self { model: Mutex::new(model), index, engine, explains })
    }

    /// The index.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The `k` best documents for each query, best first.
    ///
    /// # Errors
    /// [`RetrievalError`].
    pub fn search_all(&self, queries: &[&str], k: usize) -> Result<Vec<Vec<Found>>, RetrievalError> {
        let vectors = self.encode(queries)?;
        let hits: Vec<Vec<Hit>> = match &self.engine {
            Engine::Exact(exact) => exact.search_batch(&vectors, k).map_err(SearchError::from)?,
            Engine::Plaid(config) => {
                let config = config.unwrap_or_else(|| SearchConfig::for_k(k));
                let hits = Plaid::new(&self.index).search_batch(&vectors, k, &config)?;
                hits.into_iter().map(|(hits, _)| hits).collect()
            }
        };
        let found = hits.iter().enumerate().map(|(i, hits)| self.found(queries[i], vectors.text(i), hits));
        found.collect()
    }

    fn encode(&self, queries: &[&str]) -> Result<TokenVectors, EncoderError> {
        self.locked(|model| model.encode_queries(queries))
    }

    fn locked<T>(&self, work: impl FnOnce(&ColBert) -> T) -> T {
        // A panic while encoding leaves the weights as they are.
        work(&self.model.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn found(&self, query: &str, rows: &[f32], hits: &[Hit]) -> Result<Vec<Found>, RetrievalError> {
        let found = hits.iter().map(|hit| {
            let id = self.index.id(hit.document)?.to_owned();
            let text = self.index.text(hit.document).filter(|_| self.explains).map(str::to_owned);
            let highlights = match &text {
                Some(text) => self.highlights(query, rows, hit.document, text)?,
                None => Vec::new(),
            };
            Ok(Found { id, score: hit.score, text, highlights })
        });
        found.collect()
    }

    /// The best place in `text` for each token that the query really has.
    fn highlights(
        &self,
        query: &str,
        rows: &[f32],
        document: u32,
        text: &str,
    ) -> Result<Vec<Highlight>, RetrievalError> {
        let (asked, places) = self.locked(|model| {
            let sequence = model.document_sequences(&[text])?.remove(0);
            let kept = sequence.places.into_iter().zip(sequence.keep).filter(|(_, keep)| *keep);
            Ok::<_, EncoderError>((
                model.query_places(&[query])?.remove(0),
                kept.map(|(place, _)| place).collect::<Vec<_>>(),
            ))
        })?;
        let matches = explain(rows, &self.index.vectors(document), self.index.codec().width());
        let matches = matches.map_err(SearchError::from)?;
        let point = |byte: usize| text[..byte].chars().count();
        let highlight = |(asked, found): (std::ops::Range<usize>, crate::maxsim::Match)| {
            let place = places.get(found.token).filter(|place| !place.is_empty() && !asked.is_empty())?;
            let (start, end) = (point(place.start), point(place.end));
            Some(Highlight { token: query[asked].to_owned(), start, end, similarity: found.similarity })
        };
        Ok(asked.into_iter().zip(matches).filter_map(highlight).collect())
    }
}

impl serve::Search for Searcher {
    fn search(&self, query: &str, k: usize) -> Result<Vec<Found>, String> {
        let mut found = self.search_all(&[query], k).map_err(|error| error.to_string())?;
        Ok(found.pop().unwrap_or_default())
    }

    fn about(&self) -> serde_json::Value {
        let summary = self.index.summary();
        serde_json::json!({
            "documents": summary.documents, "tokens": summary.tokens, "width": self.index.codec().width(),
            "bits": self.index.codec().bits(),
        })
    }
}
