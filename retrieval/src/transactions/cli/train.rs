//! `train`: a model from coded ledgers.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command talks to its user")]

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use clap::{Args, ValueEnum};
use common::report::number;
use common::{interrupt, progress, seed};
use rand::seq::SliceRandom;
use tch::Device;

use super::columns::{FileOptions, template};
use super::shared::encode_new;
use crate::encoder::ColBert;
use crate::transactions::book::Draft;
use crate::transactions::coding::{HeldOut, Question, Rule};
use crate::transactions::lookup::Lookup;
use crate::transactions::loss::{Mining, Objective};
use crate::transactions::model::{self, Settings, Size, encode, new_encoder};
use crate::transactions::record::{AmountText, Template, Transaction};
use crate::transactions::sampling::{Corpus, Example};
use crate::transactions::store::{Store, StoreError};
use crate::transactions::train::{MARGIN, TrainConfig, train};
use crate::transactions::vote::{Entry, Memory};

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ObjectiveName {
    /// Triplets with a margin
    Triplet,
    /// Pairs
    Contrastive,
    /// All positives and negatives of a batch at once
    Supervised,
    /// A classifier of the training accounts
    Softmax,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum MiningName {
    /// Any negative
    Random,
    /// The nearest negative beyond the positive
    SemiHard,
    /// The nearest negative and the farthest positive
    Hard,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AmountName {
    /// 43.56
    Exact,
    /// 20 to 50
    Bucket,
    /// Not in the string
    Omitted,
}

/// Options of `train`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Coded ledgers, then the folder of the new model
    #[arg(required = true, num_args = 2.., value_name = "LEDGER… MODEL")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    file: FileOptions,
    /// Store of coded transactions [default: `ledger.sqlite` in the folder of the model]
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    /// Optimiser steps
    #[arg(long, default_value_t = 1000)]
    steps: usize,
    /// What is minimised
    #[arg(long, value_enum, default_value = "triplet")]
    objective: ObjectiveName,
    /// Which triplets
    #[arg(long, value_enum, default_value = "semi-hard")]
    mining: MiningName,
    /// Margin of triplets, in cosine distance
    #[arg(long, default_value_t = MARGIN)]
    margin: f64,
    /// Share of the batches around accounts that share merchants
    #[arg(long, default_value_t = 0.5)]
    siblings: f64,
    /// Highest step size
    #[arg(long, default_value_t = 1e-3)]
    learning_rate: f64,
    /// Layers of the encoder
    #[arg(long, default_value_t = Size::small().layers)]
    layers: i64,
    /// Width of its hidden states
    #[arg(long, default_value_t = Size::small().hidden)]
    hidden: i64,
    /// Values of a vector
    #[arg(long, default_value_t = Size::small().width)]
    width: i64,
    /// Entries of the vocabulary
    #[arg(long, default_value_t = Size::small().vocabulary)]
    vocabulary: usize,
    /// How the amount is written into the string
    #[arg(long, value_enum, default_value = "bucket")]
    amount_text: AmountName,
    /// Precision that automatic filling must have
    #[arg(long, default_value_t = 0.95)]
    precision: f64,
    /// Share of the transactions that set confidence and threshold: the latest, or random ones without dates
    #[arg(long, default_value_t = 0.1)]
    held_out: f64,
    /// Seed of the run
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    threads: u16,
    /// No progress on standard error
    #[arg(long)]
    quiet: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    interrupt::listen();
    let Some((folder, ledgers)) = arguments.paths.split_last() else {
        bail!("expected a ledger and a folder")
    };
    ensure!(!folder.is_file(), "{}: a file; the last path is the folder of the new model", folder.display());
    for (name, share) in [("--precision", arguments.precision), ("--held-out", arguments.held_out)] {
        ensure!(share > 0.0 && share < 1.0, "{name} is {share}, expected a number between 0 and 1");
    }
    ensure!(
        (0.0..=1.0).contains(&arguments.siblings),
        "--siblings is {}, expected 0 to 1",
        arguments.siblings
    );
    tch::set_num_threads(arguments.threads.into());
    let mapping = arguments.file.mapping()?;
    ensure!(
        mapping.iter().any(|(name, _)| name == "=account"),
        "say which column holds the account code: --account COLUMN"
    );
    let amount = match arguments.amount_text {
        AmountName::Exact => AmountText::Exact,
        AmountName::Bucket => AmountText::Bucket,
        AmountName::Omitted => AmountText::Omitted,
    };
    let template = template(&mapping, amount)?;
    if let Some(known) = Some(store_path(arguments, folder)).filter(|path| path.exists()) {
        drop(Store::open(&known, &template)?); // a store of another template is refused before anything is learned
    }
    let mut files = Vec::new();
    for path in ledgers {
        let (bytes, ledger) = arguments.file.read(path, &mapping, &template, true)?;
        files.push((path.display().to_string(), bytes, ledger.transactions));
    }
    let all: Vec<&Transaction> = files.iter().flat_map(|(_, _, rows)| rows).collect();
    let (earlier, later) = split(all, arguments.held_out, arguments.seed);
    let mut settings = Settings::new(template, mapping);
    let (encoder, seen) = learn(arguments, &settings.template, &earlier)?;
    settings.rule = rule(&encoder, &settings.template, &earlier, &later, arguments.precision)?;
    let name = model::save(folder, &encoder, &settings)?;
    remember(arguments, folder, &files, &settings.template, &encoder, &name)?;
    println!("{}: {seen}", folder.display());
    let rule = &settings.rule;
    println!(
        "held out: first suggestion right {}; {} neighbours, sharpness {}, weight {} on them and the rest on exact values",
        number(rule.first_right, 4),
        rule.voting.k,
        number(rule.voting.sharpness, 0),
        number(rule.weight, 2)
    );
    println!("{}", said(rule));
    Ok(())
}

fn store_path(arguments: &Arguments, folder: &Path) -> PathBuf {
    arguments.store.clone().unwrap_or_else(|| folder.join("ledger.sqlite"))
}

/// What a rule promises, in a sentence.
fn said(rule: &Rule) -> String {
    let threshold = rule.threshold;
    let percent = |share: f64| number(100.0 * share, 1);
    match threshold.score {
        Some(_) => format!(
            "filled in automatically: {} % of {} held-out transactions, {} % of them right (asked for: {} %)",
            percent(threshold.filled as f64 / threshold.of as f64),
            threshold.of,
            percent(threshold.right as f64 / threshold.filled as f64),
            percent(threshold.precision),
        ),
        None => format!(
            "nothing is filled in automatically: no confidence is safe enough for {} % on {} held-out transactions",
            percent(threshold.precision),
            threshold.of
        ),
    }
}

/// Earlier and later transactions: by date where all have one, else by chance.
fn split(mut all: Vec<&Transaction>, held_out: f64, run_seed: u64) -> (Vec<&Transaction>, Vec<&Transaction>) {
    if all.iter().all(|transaction| transaction.date.is_some()) {
        all.sort_by_key(|transaction| transaction.date);
    } else {
        all.shuffle(&mut seed::rng(run_seed, "held-out", 0));
    }
    let later = all.split_off(all.len() - (all.len() as f64 * held_out).round() as usize);
    (all, later)
}

/// A new encoder, trained, and a sentence about it.
fn learn(arguments: &Arguments, template: &Template, earlier: &[&Transaction]) -> Result<(ColBert, String)> {
    let corpus = corpus(template, earlier);
    let size = Size {
        layers: arguments.layers,
        hidden: arguments.hidden,
        width: arguments.width,
        vocabulary: arguments.vocabulary,
    };
    let encoder = new_encoder(&corpus.strings, size, Device::Cpu, arguments.seed)?;
    let mining = match arguments.mining {
        MiningName::Random => Mining::Random,
        MiningName::SemiHard => Mining::SemiHard,
        MiningName::Hard => Mining::Hard,
    };
    let margin = arguments.margin;
    let mut config =
        TrainConfig { learning_rate: arguments.learning_rate, ..TrainConfig::article(arguments.steps) };
    config.shape.siblings = arguments.siblings;
    config.objective = match arguments.objective {
        ObjectiveName::Triplet => Objective::Triplet { margin, mining },
        ObjectiveName::Contrastive => Objective::Contrastive { margin: 0.5 },
        ObjectiveName::Supervised => Objective::SupervisedContrastive { temperature: 0.1 },
        ObjectiveName::Softmax => Objective::Softmax { scale: 20.0 },
    };
    let bar = progress::bar("steps", config.steps, arguments.quiet);
    let history = train(&encoder, &corpus, &config, arguments.seed, |_, _| {
        bar.inc(1);
        !interrupt::asked()
    })?;
    bar.finish_and_clear();
    ensure!(history.losses.len() == config.steps, "stopped; nothing was written");
    let last = history.losses.len() - history.losses.len().div_ceil(10);
    let loss = history.losses[last..].iter().sum::<f64>() / (history.losses.len() - last).max(1) as f64;
    let collapsed = history.health.last().is_some_and(|health| health.cosine > 0.99);
    if collapsed {
        eprintln!(
            "warning: the vectors have collapsed to a point; try --mining semi-hard or a lower --learning-rate"
        );
    }
    let seen = format!(
        "{} transactions, {} strings, {} accounts; {} steps, loss {} at the first and {} over the last tenth, {} tokens per second",
        earlier.len(),
        corpus.strings.len(),
        corpus.companies.len(),
        history.losses.len(),
        number(history.losses.first().copied().unwrap_or(0.0), 4),
        number(loss, 4),
        number(history.tokens as f64 / history.steps_s.max(1e-9), 0),
    );
    Ok((encoder, seen))
}

/// Distinct strings and accounts.
fn corpus(template: &Template, transactions: &[&Transaction]) -> Corpus {
    let (mut corpus, mut strings, mut accounts) = (Corpus::default(), HashMap::new(), HashMap::new());
    let (mut merchants, mut companies, mut pairs) = (HashMap::new(), HashMap::new(), HashMap::new());
    let merchant = template.place("merchant");
    for transaction in transactions {
        let text = template.text(transaction);
        let n = strings.len();
        let string = *strings.entry(text.clone()).or_insert_with(|| {
            corpus.strings.push(text);
            n
        });
        let n = companies.len();
        let company = *companies.entry(transaction.company.as_str()).or_insert(n);
        let n = accounts.len();
        let account = *accounts.entry((company, transaction.account.as_deref())).or_insert_with(|| {
            corpus.companies.push(company);
            n
        });
        let n = merchants.len();
        let merchant =
            *merchants.entry(merchant.map(|place| transaction.fields[place].as_str())).or_insert(n);
        pairs
            .entry((string, account))
            .or_insert_with(|| corpus.examples.push(Example { string, account, merchant }));
    }
    corpus
}

/// Books of the earlier transactions are asked about the later ones.
fn rule(
    encoder: &ColBert,
    template: &Template,
    earlier: &[&Transaction],
    later: &[&Transaction],
    precision: f64,
) -> Result<Rule> {
    let mut accounts: HashMap<(&str, &str), u32> = HashMap::new();
    let mut drafts: BTreeMap<&str, Draft> = BTreeMap::new();
    for (id, transaction) in earlier.iter().enumerate().rev() {
        let code = transaction.account.as_deref().unwrap_or_default();
        let n = accounts.len() as u32;
        let account = *accounts.entry((&transaction.company, code)).or_insert(n);
        let draft = drafts.entry(&transaction.company).or_insert_with(|| Draft::new(template));
        draft.add(template.text(transaction), &transaction.fields, Entry { account, id: id as i64 });
    }
    let mut opened: HashMap<&str, (Memory, Lookup)> = HashMap::new();
    for (company, draft) in drafts {
        let vectors = encode(encoder, &draft.strings.iter().map(String::as_str).collect::<Vec<_>>())?;
        opened.insert(company, (Memory::new(encoder.width(), vectors, draft.groups)?, draft.lookup));
    }
    let texts: Vec<String> = later.iter().map(|transaction| template.text(transaction)).collect();
    let vectors = encode(encoder, &texts.iter().map(String::as_str).collect::<Vec<_>>())?;
    let asked = later.iter().zip(vectors.chunks_exact(encoder.width()));
    let held_out: Vec<HeldOut<'_>> = asked
        .filter_map(|(transaction, vector)| {
            let (memory, lookup) = opened.get(transaction.company.as_str())?;
            let code = transaction.account.as_deref().unwrap_or_default();
            // An account that was never used before cannot be suggested: it counts as a mistake.
            let account = accounts.get(&(transaction.company.as_str(), code)).copied().unwrap_or(u32::MAX);
            Some(HeldOut {
                memory,
                lookup,
                question: Question { vector, fields: &transaction.fields },
                account,
            })
        })
        .collect();
    Ok(Rule::fit(&held_out, precision)?)
}

/// Puts the ledgers into the store. A ledger that is there already, from an earlier training, stays.
fn remember(
    arguments: &Arguments,
    folder: &Path,
    files: &[(String, Vec<u8>, Vec<Transaction>)],
    template: &Template,
    encoder: &ColBert,
    name: &str,
) -> Result<()> {
    let mut store = Store::open(&store_path(arguments, folder), template)?;
    for (source, bytes, transactions) in files {
        match store.import(source, bytes, template, transactions) {
            Ok(_) => {}
            Err(known @ StoreError::AlreadyImported { .. }) => eprintln!("{known}"),
            Err(error) => return Err(error.into()),
        }
    }
    encode_new(encoder, &mut store, name, arguments.quiet)?;
    Ok(())
}
