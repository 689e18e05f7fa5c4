//! `predict`, `evaluate`, `convert`: a file in, text out.

use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;

use super::annotated::Columns;
use crate::device::Choice;
use crate::formats::conll::{self, Reader};
use crate::formats::{self, AnnotatedText, Lines, Scheme, Sentence, Span, jsonl};
use crate::metrics::entity::{EntityScores, Errors, Scores};
use crate::metrics::overlap::{Overlap, Reading};
use crate::text::segment::Segmenter;

/// Sentences that are tagged together while streaming. Ours: enough for full batches, soon enough to be seen.
const STREAMED_SENTENCES: usize = 256;

/// Options of `predict`.
#[derive(Debug, Args)]
pub struct PredictArguments {
    /// Folder that `train` wrote
    #[arg(long, value_name = "FOLDER")]
    pub model: PathBuf,
    /// Words, one per line with a blank line between sentences; further columns are ignored; `-` is standard input
    #[arg(default_value = "-")]
    input: PathBuf,
    /// The input is text, one per line, that the model's own segmenter cuts into words; the output is JSON lines
    #[arg(long, conflicts_with_all = ["to", "word_column"])]
    text: bool,
    /// Tag scheme of the output
    #[arg(long, default_value = "iob2")]
    to: Scheme,
    /// auto, cpu, cuda or cuda:NUMBER
    #[arg(long, default_value = "auto")]
    pub device: Choice,
    /// Column of the word, from 0; negative counts from the end [default: found out]
    #[arg(long, value_name = "COLUMN", allow_negative_numbers = true)]
    word_column: Option<isize>,
}

/// Entities of sentences, as a model finds them.
pub type Tag<'a> = dyn FnMut(&[Sentence]) -> Result<Vec<Vec<Span>>> + 'a;

/// Tags the input with `tag` as it comes; `segmentation` is the name of the segmenter that cuts text into words.
///
/// # Errors
/// Malformed input, a model that fails, unwritable output.
pub fn predict(arguments: &PredictArguments, segmentation: &str, tag: &mut Tag<'_>) -> Result<()> {
    let mut lines: Lines<Box<dyn io::BufRead>> = match arguments.input.to_str() {
        Some("-") => Lines::new(Path::new("<stdin>"), Box::new(BufReader::new(io::stdin()))),
        _ => formats::open(&arguments.input)?,
    };
    if arguments.text {
        let segmenter = Segmenter::open(segmentation)?;
        let next = || {
            let line = lines.next_line()?;
            Ok(line.map(|(_, text)| {
                let text = AnnotatedText { text: text.to_owned(), ..AnnotatedText::default() };
                let offsets = segmenter.words(&text.text);
                text.into_words(&offsets).sentence
            }))
        };
        return stream(tag, next, |sentence| jsonl::to_line(&as_text(sentence)) + "\n");
    }
    let options = conll::ConllOptions { word: arguments.word_column, tagged: false, ..Default::default() };
    let mut reader = Reader::new(lines, &options);
    let next = || Ok(reader.next_sentence()?.map(|(sentence, _)| sentence));
    stream(tag, next, |sentence| {
        let tags = arguments.to.encode(&sentence.spans, sentence.words.len());
        conll::to_text(&sentence.words, &tags)
    })
}

/// Tags sentences as they come and writes each as `show` gives it.
fn stream(
    tag: &mut Tag<'_>,
    mut next: impl FnMut() -> Result<Option<Sentence>>,
    show: impl Fn(Sentence) -> String,
) -> Result<()> {
    let mut output = io::stdout().lock();
    let mut waiting = Vec::new();
    loop {
        let sentence = next()?;
        let ended = sentence.is_none();
        waiting.extend(sentence);
        if ended || waiting.len() == STREAMED_SENTENCES {
            let predicted = tag(&waiting)?;
            for (sentence, spans) in waiting.drain(..).zip(predicted) {
                output.write_all(show(Sentence { spans, ..sentence }).as_bytes())?;
            }
            output.flush()?;
        }
        if ended {
            return Ok(());
        }
    }
}

/// Options of `evaluate`.
#[derive(Debug, Args)]
pub struct EvaluateArguments {
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

/// Scores predicted entities against gold entities.
///
/// # Errors
/// Unreadable files, files of different sentences.
pub fn evaluate(arguments: &EvaluateArguments) -> Result<()> {
    let gold = arguments.columns.read(std::slice::from_ref(&arguments.gold))?;
    let predicted = arguments.columns.read(std::slice::from_ref(&arguments.predicted))?;
    check_same(arguments, &gold, &predicted)?;
    let (mut scores, mut errors) = (EntityScores::default(), Errors::default());
    let mut overlaps = Reading::ALL.map(|(name, reading)| (name, reading, Overlap::default()));
    for (gold, predicted) in gold.iter().zip(&predicted) {
        scores.add(&gold.spans, &predicted.spans);
        for (_, reading, overlap) in &mut overlaps {
            overlap.add(&gold.spans, &predicted.spans, *reading);
        }
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
        let overlaps: serde_json::Map<_, _> = overlaps
            .iter()
            .map(|(name, _, o)| {
                let value = json!({"precision": o.precision(), "recall": o.recall(), "f1": o.f1(), "correct": o.correct,
                    "incorrect": o.incorrect, "partial": o.partial, "missed": o.missed, "spurious": o.spurious});
                ((*name).to_owned(), value)
            })
            .collect();
        let object = json!({"types": types, "averages": averages, "errors": split, "overlap": overlaps,
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
    let overlap =
        |(name, _, o): &(&str, Reading, Overlap)| format!("{name} {:.4}", o.f1().unwrap_or_default());
    println!("f1 with credit for overlap: {}", overlaps.iter().map(overlap).collect::<Vec<_>>().join(", "));
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
pub struct ConvertArguments {
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
    type Err = formats::UnknownScheme;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "jsonl" { Ok(Self::Jsonl) } else { text.parse().map(Self::Columns) }
    }
}

/// Rewrites annotated files.
///
/// # Errors
/// Unreadable files.
pub fn convert(arguments: &ConvertArguments) -> Result<()> {
    let sentences = arguments.columns.read(&arguments.input)?;
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
