//! `suggest`, `add`, `evaluate`, `status`: a trained model at work.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command talks to its user")]

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use common::files::AtomicFile;
use common::report::number;

use super::columns::{FileOptions, ModelOptions};
use super::shared::{Open, encode_new};
use crate::transactions::book::Book;
use crate::transactions::calibration::calibration_error;
use crate::transactions::coding::{Question, Suggestion};
use crate::transactions::ledger::inert;
use crate::transactions::model::encode;
use crate::transactions::record::Transaction;

/// Suggested accounts that are written.
const RANKS: usize = 3;

/// Options of `suggest`.
#[derive(Debug, Args)]
pub(super) struct SuggestArguments {
    #[command(flatten)]
    model: ModelOptions,
    /// Transactions; `-` is standard input
    file: PathBuf,
    #[command(flatten)]
    columns: FileOptions,
    /// Write here instead of to standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn suggest(arguments: &SuggestArguments) -> Result<()> {
    let mut open = Open::new(&arguments.model)?;
    let mapping = arguments.columns.mapping_over(&open.settings.columns)?;
    let (_, ledger) = arguments.columns.read(&arguments.file, &mapping, &open.settings.template, false)?;
    let books = open.books(true)?;
    let answers = answers(&open, &books, &ledger.transactions)?;
    let table = table(&ledger.transactions, &answers, &books)?;
    match &arguments.out {
        Some(path) => {
            let mut file = AtomicFile::create(path)?;
            file.write(&table)?;
            file.finish()?;
        }
        None => io::stdout().lock().write_all(&table)?,
    }
    let filled = answers.iter().flatten().filter(|answer| answer.fill).count();
    let unknown = answers.iter().filter(|answer| answer.is_none()).count();
    eprintln!(
        "{} transactions: {filled} filled in, {} to be asked",
        answers.len(),
        answers.len() - filled - unknown
    );
    if unknown > 0 {
        eprintln!(
            "warning: {unknown} are of companies without coded transactions; teach them with `transactions add`"
        );
    }
    Ok(())
}

/// Answers in the order of the transactions; none where the company is unknown.
fn answers(
    open: &Open,
    books: &HashMap<String, Book>,
    transactions: &[Transaction],
) -> Result<Vec<Option<Suggestion>>> {
    let texts: Vec<String> = transactions.iter().map(|row| open.settings.template.text(row)).collect();
    let vectors = encode(&open.encoder, &texts.iter().map(String::as_str).collect::<Vec<_>>())?;
    let rows = transactions.iter().zip(vectors.chunks_exact(open.encoder.width()));
    let answer = |(row, vector): (&Transaction, &[f32])| {
        let Some(book) = books.get(&row.company) else { return Ok(None) };
        let question = Question { vector, fields: &row.fields };
        Ok(Some(open.settings.rule.suggest(&book.memory, &book.lookup, question)?))
    };
    rows.map(answer).collect()
}

/// The answers as CSV.
fn table(
    transactions: &[Transaction],
    answers: &[Option<Suggestion>],
    books: &HashMap<String, Book>,
) -> Result<Vec<u8>> {
    let mut out = csv::Writer::from_writer(Vec::new());
    let ranks = (1..=RANKS).flat_map(|rank| [format!("suggestion_{rank}"), format!("share_{rank}")]);
    let head = ["line", "id", "company", "action", "account", "confidence"].map(str::to_owned).into_iter();
    out.write_record(head.chain(ranks).chain(["evidence".to_owned()]))?;
    for (row, answer) in transactions.iter().zip(answers) {
        let mut cells =
            vec![row.line.to_string(), inert(row.id.as_deref().unwrap_or_default()), inert(&row.company)];
        match (answer, books.get(&row.company)) {
            (Some(answer), Some(book)) => cells.extend(told(answer, book)),
            _ => cells.extend(["unknown".to_owned()].into_iter().chain(vec![String::new(); 2 * RANKS + 3])),
        }
        out.write_record(&cells)?;
    }
    out.into_inner().context("writing the table")
}

fn told(answer: &Suggestion, book: &Book) -> Vec<String> {
    let code =
        |account: &u32| book.accounts.get(account).map_or(String::new(), |account| inert(&account.code));
    let first = answer.ranked.first().map(|(account, _)| code(account)).unwrap_or_default();
    let action = if answer.fill { "fill" } else { "ask" };
    let mut cells = vec![
        action.to_owned(),
        if answer.fill { first } else { String::new() },
        number(answer.confidence, 4),
    ];
    for rank in 0..RANKS {
        let known = answer.ranked.get(rank);
        cells.push(known.map(|(account, _)| code(account)).unwrap_or_default());
        cells.push(known.map_or(String::new(), |(_, share)| number(*share, 4)));
    }
    let witness = |witness: &crate::transactions::vote::Witness| {
        let (coded, place) = book.coded.get(&witness.entry.id)?;
        let day = coded.date.map_or("no date".to_owned(), |date| date.to_string());
        let account = book.accounts.get(&witness.entry.account)?;
        Some(format!(
            "{} {} ({}, {})",
            account.code,
            book.prompts[*place].text,
            day,
            number(f64::from(witness.similarity), 3)
        ))
    };
    cells.push(inert(&answer.evidence.iter().filter_map(witness).collect::<Vec<_>>().join("; ")));
    cells
}

/// Options of `add`.
#[derive(Debug, Args)]
pub(super) struct AddArguments {
    #[command(flatten)]
    model: ModelOptions,
    /// Coded transactions; `-` is standard input
    file: PathBuf,
    #[command(flatten)]
    columns: FileOptions,
    /// No progress on standard error
    #[arg(long)]
    quiet: bool,
}

pub(super) fn add(arguments: &AddArguments) -> Result<()> {
    let mut open = Open::new(&arguments.model)?;
    let mapping = arguments.columns.mapping_over(&open.settings.columns)?;
    let (bytes, ledger) = arguments.columns.read(&arguments.file, &mapping, &open.settings.template, true)?;
    if ledger.transactions.is_empty() {
        bail!("{}: no row that can be used; nothing was changed", arguments.file.display());
    }
    let name = arguments.file.display().to_string();
    let imported = open.store.import(&name, &bytes, &open.settings.template, &ledger.transactions)?;
    let encoded = encode_new(&open.encoder, &mut open.store, &open.name, arguments.quiet)?;
    println!(
        "{name}: {} transactions added, {} were there already, {encoded} new strings",
        imported.added, imported.known
    );
    Ok(())
}

/// Options of `evaluate`.
#[derive(Debug, Args)]
pub(super) struct EvaluateArguments {
    #[command(flatten)]
    model: ModelOptions,
    /// Coded transactions, later than those that are remembered
    file: PathBuf,
    #[command(flatten)]
    columns: FileOptions,
}

pub(super) fn evaluate(arguments: &EvaluateArguments) -> Result<()> {
    let mut open = Open::new(&arguments.model)?;
    let mapping = arguments.columns.mapping_over(&open.settings.columns)?;
    let (_, ledger) = arguments.columns.read(&arguments.file, &mapping, &open.settings.template, true)?;
    let books = open.books(true)?;
    let answers = answers(&open, &books, &ledger.transactions)?;
    let mut score = Score::default();
    for (row, answer) in ledger.transactions.iter().zip(&answers) {
        let gold = row.account.as_deref().unwrap_or_default();
        match (answer, books.get(&row.company)) {
            (Some(answer), Some(book)) => score.add(gold, answer, book, &row.fields),
            _ => score.add_unknown(gold),
        }
    }
    if score.n == 0 {
        bail!("{}: no row that can be used", arguments.file.display());
    }
    print!("{}", score.text());
    Ok(())
}

/// Counts of an evaluation.
#[derive(Default)]
struct Score {
    n: u64,
    first: u64,
    among_three: u64,
    by_value: u64,
    filled: u64,
    filled_right: u64,
    outcomes: Vec<(f64, bool)>,
    /// Right, suggested, occurring, by account.
    accounts: BTreeMap<String, [u64; 3]>,
}

impl Score {
    fn add(&mut self, gold: &str, answer: &Suggestion, book: &Book, fields: &[String]) {
        let code = |account: &u32| book.accounts.get(account).map_or("", |account| account.code.as_str());
        let ranked: Vec<&str> = answer.ranked.iter().take(RANKS).map(|(account, _)| code(account)).collect();
        let right = ranked.first() == Some(&gold);
        self.n += 1;
        self.first += u64::from(right);
        self.among_three += u64::from(ranked.contains(&gold));
        self.by_value +=
            u64::from(book.lookup.first_hit(fields).is_some_and(|account| code(&account) == gold));
        self.filled += u64::from(answer.fill);
        self.filled_right += u64::from(answer.fill && right);
        self.outcomes.push((answer.confidence, right));
        self.accounts.entry(gold.to_owned()).or_default()[2] += 1;
        if let Some(first) = ranked.first() {
            let counts = self.accounts.entry((*first).to_owned()).or_default();
            counts[1] += 1;
            counts[0] += u64::from(right);
        }
    }

    fn add_unknown(&mut self, gold: &str) {
        self.n += 1;
        self.outcomes.push((0.0, false));
        self.accounts.entry(gold.to_owned()).or_default()[2] += 1;
    }

    fn text(&self) -> String {
        let share = |part: u64, whole: u64| {
            if whole == 0 { "–".to_owned() } else { number(part as f64 / whole as f64, 4) }
        };
        let occurring: Vec<&[u64; 3]> = self.accounts.values().filter(|counts| counts[2] > 0).collect();
        let f1: f64 =
            occurring.iter().map(|[right, said, gold]| 2.0 * *right as f64 / (said + gold) as f64).sum();
        let error = calibration_error(&self.outcomes, 10).map_or("–".to_owned(), |error| number(error, 4));
        format!(
            "transactions             {}\nfirst suggestion right   {}\namong the first three    {}\nmacro F1, {} accounts   {}\nexact values alone       {}\nfilled in                {}\nright among these        {}\ncalibration error        {error}\n",
            self.n,
            share(self.first, self.n),
            share(self.among_three, self.n),
            occurring.len(),
            number(f1 / occurring.len().max(1) as f64, 4),
            share(self.by_value, self.n),
            share(self.filled, self.n),
            share(self.filled_right, self.filled),
        )
    }
}

/// Options of `status`.
#[derive(Debug, Args)]
pub(super) struct StatusArguments {
    #[command(flatten)]
    model: ModelOptions,
}

pub(super) fn status(arguments: &StatusArguments) -> Result<()> {
    let open = Open::new(&arguments.model)?;
    open.store.verify()?;
    for (id, company) in open.store.companies()? {
        let (accounts, coded, prompts) =
            (open.store.accounts(id)?, open.store.coded(id)?, open.store.prompts(id)?);
        println!(
            "{company}: {} coded transactions, {} distinct strings, {} accounts",
            coded.len(),
            prompts.len(),
            accounts.len()
        );
    }
    let waiting = open.store.without_vector(&open.name, usize::MAX >> 1)?.len();
    println!("the store is whole; {waiting} strings wait to be encoded");
    Ok(())
}
