//! What is remembered of one company, ready to be asked.

use std::collections::HashMap;

use super::lookup::Lookup;
use super::neighbours::NeighbourError;
use super::record::Template;
use super::store::{Account, Coded, Prompt, Store, StoreError};
use super::vote::{Entry, Memory};
use thiserror::Error;

/// A book that cannot be opened.
#[derive(Debug, Error)]
pub enum BookError {
    /// Its store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its vectors.
    #[error(transparent)]
    Neighbours(#[from] NeighbourError),
    /// Strings that were not encoded.
    #[error("{0} strings have no vector of this model; `transactions add` makes them")]
    NoVectors(usize),
}

/// Coded transactions that are not in a store, before their strings are encoded.
#[derive(Debug)]
pub struct Draft {
    /// By exact values.
    pub lookup: Lookup,
    /// Distinct strings.
    pub strings: Vec<String>,
    /// Transactions of each string.
    pub groups: Vec<Vec<Entry>>,
    places: HashMap<String, usize>,
}

impl Draft {
    /// Without transactions.
    pub fn new(template: &Template) -> Self {
        let lookup = Lookup::of_template(template);
        Self { lookup, strings: Vec::new(), groups: Vec::new(), places: HashMap::new() }
    }

    /// Adds a transaction; the latest must come first.
    pub fn add(&mut self, text: String, fields: &[String], entry: Entry) {
        self.lookup.add(fields, entry.account);
        let place = *self.places.entry(text).or_insert_with_key(|text| {
            self.strings.push(text.clone());
            self.groups.push(Vec::new());
            self.groups.len() - 1
        });
        self.groups[place].push(entry);
    }
}

/// Coded transactions of a company.
#[derive(Debug)]
pub struct Book {
    /// By vector.
    pub memory: Memory,
    /// By exact values.
    pub lookup: Lookup,
    /// Accounts by the numbers that both use.
    pub accounts: HashMap<u32, Account>,
    /// Transactions by number, with their strings.
    pub coded: HashMap<i64, (Coded, usize)>,
    /// Distinct strings.
    pub prompts: Vec<Prompt>,
}

impl Book {
    /// The book of a company of a store; `vectors` are those of the model, by string, `width` values each.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn open(
        store: &Store,
        company: i64,
        template: &Template,
        vectors: &HashMap<i64, Vec<f32>>,
        width: usize,
    ) -> Result<Self, BookError> {
        let accounts =
            store.accounts(company)?.into_iter().map(|(id, account)| (id as u32, account)).collect();
        let prompts = store.prompts(company)?;
        let place: HashMap<i64, usize> =
            prompts.iter().enumerate().map(|(place, prompt)| (prompt.id, place)).collect();
        let mut lookup = Lookup::of_template(template);
        let mut groups: Vec<Vec<Entry>> = vec![Vec::new(); prompts.len()];
        let mut coded = HashMap::new();
        for transaction in store.coded(company)? {
            let at = place[&transaction.prompt];
            let account = transaction.account as u32;
            lookup.add(&prompts[at].fields, account);
            groups[at].push(Entry { account, id: transaction.id });
            coded.insert(transaction.id, (transaction, at));
        }
        let found: Vec<&Vec<f32>> = prompts.iter().filter_map(|prompt| vectors.get(&prompt.id)).collect();
        if found.len() < prompts.len() {
            return Err(BookError::NoVectors(prompts.len() - found.len()));
        }
        let memory = Memory::new(width, found.into_iter().flatten().copied().collect(), groups)?;
        Ok(Self { memory, lookup, accounts, coded, prompts })
    }
}
