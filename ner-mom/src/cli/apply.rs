//! `predict`, `evaluate`, `convert`: a file in, text out.

use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use common::device::Choice;
use common::formats::conll::{self, Reader};
use common::formats::{AnnotatedText, Lines, Scheme, Sentence, jsonl};
use common::metrics::entity::{EntityScores, Errors, Scores};
use serde_json::json;

use super::Columns;
use crate::data::read_files;
use crate::model::Model;

/// Sentences that are tagged together while streaming. Ours: enough for full batches, soon enough to be seen.
const STREAMED_SENTENCES: usize = 256;

/// Options of `predict`.
#[derive(Debug, Args)]
pub(super) struct PredictArguments {
    /// Folder that `train` wrote
    #[arg(long, value_name = "FOLDER")]
    model: PathBuf,
    /// Words, one per line with a blank line between sentences; further columns are ignored; `-` is standard input
    #[arg(default_value = "-")]
    input: PathBuf,
    /// Tag scheme of the output
    #[arg(long, default_value = "iob2")]
    to: Scheme,
    /// auto, cpu, cuda or cuda:NUMBER
    #[arg(long, default_value = "auto")]
    device: Choice,
    /// Column of the word, from 0; negative counts from the end
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    word_column: isize,
}

pub(super) fn predict(arguments: &PredictArguments) -> Result<()> {
    let model = Model::load(&arguments.model, arguments.device.open()?)?;
    let options =
        conll::ConllOptions { word: Some(arguments.word_column), tagged: false, ..Default::default() };
    let lines: Lines<Box<dyn io::BufRead>> = match arguments.input.to_str() {
        Some("-") => Lines::new(Path::new("<stdin>"), Box::new(BufReader::new(io::stdin()))),
        _ => common::formats::open(&arguments.input)?,
    };
    let mut reader = Reader::new(lines, &options);
    let mut output = io::stdout().lock();
    let mut waiting = Vec::new();
    loop {
        let next = reader.next_sentence()?;
        let ended = next.is_none();
        waiting.extend(next.map(|(sentence, _)| sentence));
        if ended || waiting.len() == STREAMED_SENTENCES {
            for (sentence, spans) in waiting.iter().zip(model.predict(&waiting)?) {
                let tags = arguments.to.encode(&spans, sentence.words.len());
                output.write_all(conll::to_text(&sentence.words, &tags).as_bytes())?;
            }
            output.flush()?;
            waiting.clear();
        }
        if ended {
            return Ok(());
        }
    }
}

/// Options of `evaluate`.
#[derive(Debug, Args)]
pub(super) struct EvaluateArguments {
    /// Annotated file with the truth
    gold: PathBuf,
    /// The same sentences with predicted entities
    predicted: PathBuf,
    /// As one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    columns: Columns,
}

pub(super) fn evaluate(arguments: &EvaluateArguments) -> Result<()> {
    let options = arguments.columns.options(true);
    let gold = read_files(std::slice::from_ref(&arguments.gold), &options)?;
    let predicted = read_files(std::slice::from_ref(&arguments.predicted), &options)?;
    check_same(arguments, &gold, &predicted)?;
    let (mut scores, mut errors) = (EntityScores::default(), Errors::default());
    for (gold, predicted) in gold.iter().zip(&predicted) {
        scores.add(&gold.spans, &predicted.spans);
        errors.add(&gold.spans, &predicted.spans, gold.words.len());
    }
    let averages =
        [("micro", scores.micro()), ("macro", scores.macro_average()), ("weighted", scores.weighted())];
    if arguments.json {
        let three = |s: &Scores| json!({"precision": s.precision, "recall": s.recall, "f1": s.f1});
        let types: serde_json::Map<_, _> =
            scores.types.iter().map(|(label, counts)| (label.clone(), three(&(*counts).into()))).collect();
        let averages: serde_json::Map<_, _> =
            averages.iter().map(|(n, s)| ((*n).to_owned(), three(s))).collect();
        let split = json!({"missed": errors.missed, "spurious": errors.spurious, "border": errors.border,
            "type": errors.kind, "border_and_type": errors.border_and_kind});
        let object = json!({"types": types, "averages": averages, "errors": split,
            "outside_f1": errors.outside_f1(), "predicted_gold_ratio": errors.predicted_gold_ratio()});
        println!("{object}");
        return Ok(());
    }
    println!("{:<16}{:>10}{:>10}{:>10}{:>10}", "", "precision", "recall", "f1", "gold");
    let line = |name: &str, s: Scores, gold: u64| {
        println!("{name:<16}{:>10.4}{:>10.4}{:>10.4}{gold:>10}", s.precision, s.recall, s.f1);
    };
    scores.types.iter().for_each(|(label, counts)| line(label, (*counts).into(), counts.gold));
    averages.iter().for_each(|(name, average)| line(name, *average, scores.total().gold));
    println!(
        "missed {}, spurious {}, border {}, type {}, border and type {}",
        errors.missed, errors.spurious, errors.border, errors.kind, errors.border_and_kind
    );
    let ratio = errors.predicted_gold_ratio().map_or("undefined".to_owned(), |ratio| format!("{ratio:.4}"));
    println!(
        "O-class f1 {:.4}, predicted/gold entity words {ratio}",
        errors.outside_f1().unwrap_or_default()
    );
    Ok(())
}

fn check_same(arguments: &EvaluateArguments, gold: &[Sentence], predicted: &[Sentence]) -> Result<()> {
    let (gold_path, path) = (arguments.gold.display(), arguments.predicted.display());
    if gold.len() != predicted.len() {
        bail!("{path}: {} sentences, expected {} as in {gold_path}", predicted.len(), gold.len());
    }
    if let Some(at) = (0..gold.len()).find(|&at| gold[at].words != predicted[at].words) {
        bail!(
            "{path}: the words of sentence {} differ from {gold_path}; evaluate files of the same text",
            at + 1
        );
    }
    Ok(())
}

/// Options of `convert`.
#[derive(Debug, Args)]
pub(super) struct ConvertArguments {
    /// Annotated files: CoNLL columns, .knp, Stockmark .json, .jsonl with spans; .gz too
    #[arg(required = true)]
    input: Vec<PathBuf>,
    /// Tag scheme of the output, or `jsonl` for text with spans (words joined by spaces)
    #[arg(long, default_value = "iob2")]
    to: Target,
    #[command(flatten)]
    columns: Columns,
}

#[derive(Clone, Copy, Debug)]
enum Target {
    Columns(Scheme),
    Jsonl,
}

impl std::str::FromStr for Target {
    type Err = common::formats::UnknownScheme;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "jsonl" { Ok(Self::Jsonl) } else { text.parse().map(Self::Columns) }
    }
}

pub(super) fn convert(arguments: &ConvertArguments) -> Result<()> {
    let sentences = read_files(&arguments.input, &arguments.columns.options(true))?;
    let mut output = io::stdout().lock();
    for sentence in sentences {
        match arguments.to {
            Target::Columns(scheme) => {
                let tags = scheme.encode(&sentence.spans, sentence.words.len());
                output.write_all(conll::to_text(&sentence.words, &tags).as_bytes())?;
            }
            Target::Jsonl => writeln!(output, "{}", jsonl::to_line(&as_text(sentence)))?,
        }
    }
    Ok(())
}

/// The sentence's own text where it has one, else its words joined by spaces.
fn as_text(sentence: Sentence) -> AnnotatedText {
    let (text, offsets) = match sentence.source {
        Some(source) => (source.text, source.offsets),
        None => {
            let mut end = 0;
            let offsets = sentence.words.iter().map(|word| {
                let start = end;
                end = start + word.chars().count() + 1;
                (start, end - 1)
            });
            let offsets = offsets.collect();
            (sentence.words.join(" "), offsets)
        }
    };
    let mut spans = sentence.spans;
    for span in &mut spans {
        (span.start, span.end) = (offsets[span.start].0, offsets[span.end - 1].1);
    }
    AnnotatedText { id: sentence.id, text, spans }
}
