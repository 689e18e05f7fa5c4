//! The transactions of the experiment, split by time, prepared once per process.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use anyhow::{Result, ensure};
use common::{data, files, seed};
use rand::seq::SliceRandom;

use super::design::Data;
use super::generated::{self, N_COMPANIES};
use crate::transactions::ledger::{Columns, Format, read};
use crate::transactions::lookup::Lookup;
use crate::transactions::record::{AmountText, STANDARD, Template, Transaction};
use crate::transactions::sampling::{Corpus, Example};

/// Merchants with at least this many accounts before the test are confusable.
const CONFUSABLE: usize = 3;
/// Accounts that no encoder sees in training, for the cold start, and the ranks by frequency they are taken from.
const COLD: usize = 8;
const COLD_RANKS: std::ops::Range<usize> = 8..40;
/// First month of the test, and of the held-out part before it.
const TEST: [u32; 2] = [201_704, 202_309];
const HELD_OUT: [u32; 2] = [201_701, 202_307];

/// A coded transaction of the experiment.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) transaction: Transaction,
    pub(super) company: usize,
    /// Account, counted over all companies.
    pub(super) account: u32,
    /// `yyyymm` of the statement.
    pub(super) month: u32,
}

/// When a row happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Time {
    Past,
    HeldOut,
    Test,
}

/// One data set, ready to be learned and asked.
pub(super) struct Lab {
    pub(super) template: Template,
    pub(super) rows: Vec<Row>,
    pub(super) times: Vec<Time>,
    /// Distinct strings, and the one of each row.
    pub(super) strings: Vec<String>,
    pub(super) string: Vec<usize>,
    pub(super) corpus: Corpus,
    /// Whether a row's merchant was coded to three accounts or more before the test; of generated rows whether the merchant
    /// alone does not decide between sibling accounts.
    pub(super) confusable: Vec<bool>,
    /// Whether an equal row, date and amount included, came before.
    pub(super) repeated: Vec<bool>,
    pub(super) cold: HashSet<u32>,
    /// Names of accounts.
    pub(super) names: HashMap<u32, String>,
    /// Evidence and best answer of each row, where they are known.
    pub(super) truth: Vec<(&'static str, u32)>,
    /// Company that no encoder sees in training.
    pub(super) new_company: Option<usize>,
}

impl Lab {
    /// Every `stride`-th row by chance, the same in every run.
    pub(super) fn new(data: Data, root: &Path, stride: usize, n_generated: usize) -> Result<Self> {
        let (template, rows, truth) = match data {
            Data::Pcard => {
                let (template, rows) = pcard(root)?;
                (template, rows, Vec::new())
            }
            Data::Ledger => {
                let (mut rows, mut truth) = (Vec::new(), Vec::new());
                for (row, evidence, best) in generated::ledger(n_generated, 1) {
                    rows.push(row);
                    truth.push((evidence.name(), best));
                }
                (
                    Template { fields: STANDARD.map(str::to_owned).into(), amount: AmountText::Bucket },
                    rows,
                    truth,
                )
            }
        };
        let new_company = (data == Data::Ledger).then_some(N_COMPANIES - 1);
        let (rows, truth) = sampled(rows, truth, stride);
        ensure!(!rows.is_empty(), "no transactions");
        let place = usize::from(data == Data::Ledger);
        let time = |row: &Row| match row.month {
            month if month >= TEST[place] => Time::Test,
            month if month >= HELD_OUT[place] => Time::HeldOut,
            _ => Time::Past,
        };
        let times: Vec<Time> = rows.iter().map(time).collect();
        let (strings, string) = distinct(rows.iter().map(|row| template.text(&row.transaction)));
        let cold = if data == Data::Pcard { cold(&rows, &times) } else { HashSet::new() };
        let learned = |i: &usize| {
            times[*i] == Time::Past
                && !cold.contains(&rows[*i].account)
                && Some(rows[*i].company) != new_company
        };
        let corpus = corpus(&rows, &strings, &string, (0..rows.len()).filter(learned));
        let name = |row: &Row| row.transaction.account_name.clone().unwrap_or_default();
        let confusable = match data {
            Data::Pcard => confusable(&rows, &times),
            Data::Ledger => {
                truth.iter().map(|(evidence, _)| *evidence != generated::Evidence::Merchant.name()).collect()
            }
        };
        Ok(Self {
            confusable,
            repeated: repeated(&rows),
            names: rows.iter().map(|row| (row.account, name(row))).collect(),
            template,
            rows,
            times,
            strings,
            string,
            corpus,
            cold,
            truth,
            new_company,
        })
    }

    /// Rows of a time and company.
    pub(super) fn at(&self, company: usize, time: Time) -> impl Iterator<Item = usize> + '_ {
        (0..self.rows.len()).filter(move |&i| self.times[i] == time && self.rows[i].company == company)
    }

    /// Companies in order.
    pub(super) fn companies(&self) -> Vec<usize> {
        let mut companies: Vec<usize> = self.rows.iter().map(|row| row.company).collect();
        companies.sort_unstable();
        companies.dedup();
        companies
    }

    /// Exact values of rows.
    pub(super) fn lookup(&self, rows: impl Iterator<Item = usize>) -> Lookup {
        let mut lookup = match self.template.place("vat") {
            // The contexts of the published baseline: merchant, cost centre and VAT; without VAT; merchant; cost centre.
            Some(vat) => Lookup::new(vec![vec![0, 2, vat], vec![0, 2], vec![0], vec![2]]),
            None => Lookup::of_template(&self.template),
        };
        rows.for_each(|i| lookup.add(&self.rows[i].transaction.fields, self.rows[i].account));
        lookup
    }
}

/// The council's purchase-card transactions through the reader for users' files.
fn pcard(root: &Path) -> Result<(Template, Vec<Row>)> {
    let fields = ["merchant", "department", "location", "amount", "vat"];
    let columns = ["merchant", "directorate", "cost_centre_desc", "amount_gbp", "vat_desc"];
    let template = Template { fields: fields.map(str::to_owned).into(), amount: AmountText::Omitted };
    let named = |column: &str| Some(column.to_owned());
    let columns = Columns {
        fields: fields
            .into_iter()
            .zip(columns)
            .map(|(field, column)| (field.to_owned(), column.to_owned()))
            .collect(),
        account: named("gl_code"),
        account_name: named("gl_desc"),
        date: named("date"),
        // The month of the statement splits by time; it rides along in the place of the company.
        company: named("statement"),
        id: named("txn_id"),
    };
    let set = data::locate(root, "birmingham-pcard")?;
    let (mut rows, mut accounts) = (Vec::new(), HashMap::new());
    for file in &set.entry.files {
        let bytes = files::read(&set.folder.join(&file.path))?;
        let ledger = read(&bytes, &file.path, &columns, &Format::auto(), &template, "")?;
        ensure!(
            ledger.bad.is_empty(),
            "{}: line {}: {}",
            file.path,
            ledger.bad[0].line,
            ledger.bad[0].problem
        );
        for mut transaction in ledger.transactions {
            let month = transaction.company.replace('-', "").parse()?;
            transaction.company = "birmingham".to_owned();
            let n = accounts.len() as u32;
            let account = *accounts.entry(transaction.account.clone()).or_insert(n);
            rows.push(Row { transaction, company: 0, account, month });
        }
    }
    rows.sort_by_key(|row| row.month); // stable: order of publication within a month
    Ok((template, rows))
}

fn sampled(
    rows: Vec<Row>,
    truth: Vec<(&'static str, u32)>,
    stride: usize,
) -> (Vec<Row>, Vec<(&'static str, u32)>) {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.shuffle(&mut seed::rng(0, "rows", 0));
    order.truncate(rows.len().div_ceil(stride));
    order.sort_unstable();
    let truth = if truth.is_empty() { truth } else { order.iter().map(|&i| truth[i]).collect() };
    (order.into_iter().map(|i| rows[i].clone()).collect(), truth)
}

fn distinct(texts: impl Iterator<Item = String>) -> (Vec<String>, Vec<usize>) {
    let (mut known, mut strings) = (HashMap::new(), Vec::new());
    let owner = texts.map(|text| {
        *known.entry(text).or_insert_with_key(|text| {
            strings.push(text.clone());
            strings.len() - 1
        })
    });
    let owner = owner.collect();
    (strings, owner)
}

/// Some accounts of middling frequency.
fn cold(rows: &[Row], times: &[Time]) -> HashSet<u32> {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    let past = rows.iter().zip(times).filter(|(_, time)| **time != Time::Test);
    past.for_each(|(row, _)| *counts.entry(row.account).or_default() += 1);
    let mut sorted: Vec<(u32, usize)> = counts.into_iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let mut ranks: Vec<u32> = sorted
        .into_iter()
        .skip(COLD_RANKS.start)
        .take(COLD_RANKS.len())
        .map(|(account, _)| account)
        .collect();
    ranks.shuffle(&mut seed::rng(0, "cold", 0));
    ranks.into_iter().take(COLD).collect()
}

fn merchant(row: &Row) -> String {
    crate::transactions::record::clean(&row.transaction.fields[0])
}

fn confusable(rows: &[Row], times: &[Time]) -> Vec<bool> {
    let mut accounts: HashMap<(usize, String), HashSet<u32>> = HashMap::new();
    for (row, _) in rows.iter().zip(times).filter(|(_, time)| **time != Time::Test) {
        accounts.entry((row.company, merchant(row))).or_default().insert(row.account);
    }
    let many = |row: &Row| {
        accounts.get(&(row.company, merchant(row))).is_some_and(|known| known.len() >= CONFUSABLE)
    };
    rows.iter().map(many).collect()
}

fn repeated(rows: &[Row]) -> Vec<bool> {
    let mut seen = HashSet::new();
    let whole = |row: &Row| {
        let transaction = &row.transaction;
        (transaction.date, transaction.amount, transaction.fields.clone(), row.company, row.account)
    };
    rows.iter().map(|row| !seen.insert(whole(row))).collect()
}

fn corpus(
    rows: &[Row],
    strings: &[String],
    string: &[usize],
    learned: impl Iterator<Item = usize>,
) -> Corpus {
    let (mut corpus, mut places, mut accounts) = (Corpus::default(), HashMap::new(), HashMap::new());
    let (mut merchants, mut pairs) = (HashMap::new(), HashSet::new());
    for i in learned {
        let row = &rows[i];
        let place = *places.entry(string[i]).or_insert_with(|| {
            corpus.strings.push(strings[string[i]].clone());
            corpus.strings.len() - 1
        });
        let account = *accounts.entry(row.account).or_insert_with(|| {
            corpus.companies.push(row.company);
            corpus.companies.len() - 1
        });
        let n = merchants.len();
        let merchant = *merchants.entry(merchant(row)).or_insert(n);
        if pairs.insert((place, account)) {
            corpus.examples.push(Example { string: place, account, merchant });
        }
    }
    corpus
}
