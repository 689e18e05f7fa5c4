//! What the verbs share: the open model, its books, encoding of what is new.

use std::collections::HashMap;

use anyhow::Result;
use common::progress;
use tch::Device;

use super::columns::ModelOptions;
use crate::encoder::ColBert;
use crate::transactions::book::Book;
use crate::transactions::model::{self, Settings, encode};
use crate::transactions::store::Store;

/// Strings that are encoded before their vectors are kept.
const CHUNK: usize = 4096;

/// A model with its store.
pub(super) struct Open {
    pub(super) encoder: ColBert,
    pub(super) settings: Settings,
    pub(super) name: String,
    pub(super) store: Store,
}

impl Open {
    pub(super) fn new(options: &ModelOptions) -> Result<Self> {
        tch::set_num_threads(options.threads.into());
        let (encoder, settings, name) = model::open(&options.model, Device::Cpu)?;
        let store = Store::open(&options.store_path(), &settings.template)?;
        Ok(Self { encoder, settings, name, store })
    }

    /// The books of all companies by name, every string encoded.
    pub(super) fn books(&mut self, quiet: bool) -> Result<HashMap<String, Book>> {
        encode_new(&self.encoder, &mut self.store, &self.name, quiet)?;
        let vectors = self.store.vectors(&self.name, self.encoder.width())?;
        let book = |(id, company): (i64, String)| {
            let book = Book::open(&self.store, id, &self.settings.template, &vectors, self.encoder.width())?;
            Ok((company, book))
        };
        self.store.companies()?.into_iter().map(book).collect()
    }
}

/// Encodes the strings of a store that have no vector of this model; what is done is kept when it is stopped.
pub(super) fn encode_new(encoder: &ColBert, store: &mut Store, name: &str, quiet: bool) -> Result<usize> {
    let bar = progress::spinner("encoding", quiet);
    let mut n = 0;
    loop {
        let strings = store.without_vector(name, CHUNK)?;
        if strings.is_empty() {
            bar.finish_and_clear();
            return Ok(n);
        }
        let texts: Vec<&str> = strings.iter().map(|(_, text)| text.as_str()).collect();
        let vectors = encode(encoder, &texts)?;
        store.put_vectors(
            name,
            strings.iter().map(|(id, _)| *id).zip(vectors.chunks_exact(encoder.width())),
        )?;
        n += strings.len();
        bar.inc(strings.len() as u64);
    }
}
