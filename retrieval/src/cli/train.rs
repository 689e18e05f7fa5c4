//! `train` and `average`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command talks to its user")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use common::formats::ParseError;
use common::nn::bert::Config;
use common::{files, interrupt, progress};

use super::shared::{ModelOptions, Stopped};
use crate::bm25::{Analyzer, Bm25, Parameters};
use crate::data::{Collection, Document, read_collection, read_examples};
use crate::encoder::{ColBert, Options};
use crate::maxsim;
use crate::teacher::hard_negatives;
use crate::tokenizer::Layout;
use crate::tokenizer::train::{Kind, train as train_tokenizer};
use crate::training::average::average;
use crate::training::config::{Interaction, Optimiser, Precision, TrainConfig};
use crate::training::data::{Example, TrainingData};
use crate::training::loss::{Loss, Normalisation};
use crate::training::{Checkpoints, Progress, train};

const EXAMPLES: &str = "\
Examples:
  retrieval train beir-folder my-model --new --steps 2000
  retrieval train beir-folder my-model --from bert-directory --width 128 --negatives 31 --ways 32
  retrieval train beir-folder my-model --from jacolbert --examples 32way.jsonl --loss kl --steps 50000
  retrieval train beir-folder my-model --from student --teacher bigger-model
  retrieval average my-model other-model --out averaged

Without --examples, each query's documents are a relevant one and the best others by BM25. Without scores the loss is a
cross-entropy, with them KL divergence of min-max-normalised scores (JaColBERTv2.5). A stopped run goes on with --resume.";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LossName {
    /// KL divergence from the teacher
    Kl,
    /// Mean squared error of margins
    MarginMse,
    /// KL divergence and 0.05 times the margins' error
    Mixed,
    /// Cross-entropy with the relevant document as target; needs no teacher
    CrossEntropy,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum NormalisationName {
    /// Student and teacher
    Both,
    /// Teacher only
    Teacher,
    /// Neither
    None,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OptimiserName {
    /// Schedule-free AdamW
    ScheduleFree,
    /// AdamW with linear warm-up and decay
    LinearDecay,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PrecisionName {
    F32,
    Bf16,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Saved {
    /// A Stanford ColBERT directory
    Stanford,
    /// A PyLate directory
    Pylate,
}

/// Options of `train`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[group(id = "start", required = true, multiple = false, args = ["from", "new"])]
pub(super) struct Arguments {
    /// Documents, queries and judgements: a folder in BEIR's layout, or SQuAD JSON
    collection: PathBuf,
    /// Folder of the trained model
    out: PathBuf,
    /// Start from this model or BERT
    #[arg(long, value_name = "MODEL")]
    from: Option<PathBuf>,
    /// Start from a small encoder with random weights and a vocabulary of the collection
    #[arg(long)]
    new: bool,
    /// Layers of a new encoder
    #[arg(long, default_value_t = 4, requires = "new")]
    layers: i64,
    /// Width of a new encoder's hidden states
    #[arg(long, default_value_t = 256, requires = "new")]
    hidden: i64,
    /// Word pieces of a new encoder
    #[arg(long, default_value_t = 8000, requires = "new")]
    vocabulary: usize,
    /// Values per token vector, where the start has no projection
    #[arg(long, default_value_t = 128)]
    width: i64,
    /// Split of a BEIR folder
    #[arg(long, default_value = "train")]
    split: String,
    /// Examples with a teacher's scores, of ColBERT or PyLate
    #[arg(long, value_name = "FILE")]
    examples: Option<PathBuf>,
    /// Score the examples with this model
    #[arg(long, value_name = "MODEL")]
    teacher: Option<PathBuf>,
    /// Hard negatives per query, where there are no examples
    #[arg(long, default_value_t = 15)]
    negatives: usize,
    /// How BM25 cuts text: english or bigrams
    #[arg(long, default_value = "bigrams")]
    analyzer: Analyzer,
    /// Collection of an earlier training that must not be forgotten; a tenth as many of its examples are mixed in
    #[arg(long, value_name = "COLLECTION")]
    replay: Option<PathBuf>,
    /// What is learned [default: kl with scores, cross-entropy without]
    #[arg(long, value_enum)]
    loss: Option<LossName>,
    /// Whose scores are brought to 0 … 1
    #[arg(long, value_enum, default_value = "both")]
    normalisation: NormalisationName,
    /// Also tell a query's document from those of the batch's other queries
    #[arg(long)]
    in_batch_negatives: bool,
    /// Train one mean-pooled vector per text instead of token vectors
    #[arg(long)]
    single_vector: bool,
    /// Optimiser steps
    #[arg(long, default_value_t = 1000)]
    steps: usize,
    /// Queries per batch
    #[arg(long, default_value_t = 16)]
    batch: usize,
    /// Batches per step
    #[arg(long, default_value_t = 1)]
    accumulation: usize,
    /// Documents per query, the relevant one included
    #[arg(long, default_value_t = 8)]
    ways: usize,
    /// How steps are made
    #[arg(long, value_enum, default_value = "schedule-free")]
    optimiser: OptimiserName,
    /// Learning rate [default: 3e-5 from a model, 1e-3 for a new one]
    #[arg(long)]
    learning_rate: Option<f64>,
    /// Kind of the encoder's products; bf16 is for GPUs
    #[arg(long, value_enum, default_value = "f32")]
    precision: PrecisionName,
    /// Largest norm of the gradient
    #[arg(long)]
    clip_norm: Option<f64>,
    /// Steps between checkpoints
    #[arg(long)]
    checkpoint_every: Option<usize>,
    /// Go on from the checkpoint in OUT
    #[arg(long)]
    resume: bool,
    /// Seed of weights, order and dropout
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Layout of the saved model
    #[arg(long, value_enum, default_value = "stanford")]
    save: Saved,
    #[command(flatten)]
    options: ModelOptions,
    /// No progress on standard error
    #[arg(long)]
    quiet: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    interrupt::listen();
    let collection = read_collection(&arguments.collection, &arguments.split)?;
    let mut data = examples(arguments, &collection)?;
    if let Some(path) = &arguments.teacher {
        score(&arguments.options.open(path)?, &mut data)?;
    }
    if let Some(path) = &arguments.replay {
        let old = read_collection(path, &arguments.split)?;
        let old = hard_negatives(&old, &bm25(&old, &arguments.analyzer), arguments.negatives);
        ensure!(
            data.examples.iter().all(|example| example.scores.is_empty()),
            "--replay has no teacher's scores; train without scores"
        );
        data = data.with_replay(&old, 0.1, arguments.seed);
    }
    data.examples.retain(|example| example.documents.len() >= arguments.ways);
    let model = start(arguments, &collection)?;
    let scored = data.examples.iter().all(|example| !example.scores.is_empty());
    let config = config(arguments, scored);
    let checkpoints =
        Checkpoints { folder: Some(arguments.out.join("checkpoint")), resume: arguments.resume };
    files::make_folder(&arguments.out)?;
    let bar = progress::bar("training", config.steps, arguments.quiet);
    let history = train(&model, &data, &config, arguments.seed, &checkpoints, |_, progress| {
        if let Progress::Step { step, loss, .. } = progress {
            bar.set_position(step as u64);
            bar.set_message(format!("loss {loss:.4}"));
        }
        !interrupt::asked()
    })?;
    bar.finish_and_clear();
    if history.stopped {
        eprintln!("go on with the same command and --resume");
        return Err(Stopped::during("training").into());
    }
    save(&model, arguments.save, &arguments.out)?;
    let n = history.losses.len();
    let last = &history.losses[n - n.div_ceil(10)..];
    println!(
        "{}: {} examples, {n} steps, loss {:.4} at the first step and {:.4} over the last tenth, {:.0} tokens per second",
        arguments.out.display(),
        data.examples.len(),
        history.losses[0],
        last.iter().sum::<f64>() / last.len() as f64,
        history.tokens as f64 / history.steps_s
    );
    Ok(())
}

fn start(arguments: &Arguments, collection: &Collection) -> Result<ColBert> {
    if let Some(path) = &arguments.from {
        let options = Options {
            new_projection: Some(arguments.width),
            seed: arguments.seed,
            ..arguments.options.resolve()?
        };
        return ColBert::open(path, options).with_context(|| format!("opening {}", path.display()));
    }
    let documents: Vec<String> = collection.documents.iter().map(Document::full_text).collect();
    let texts = documents
        .iter()
        .map(String::as_str)
        .chain(collection.queries.iter().map(|query| query.text.as_str()));
    let pieces = train_tokenizer(texts, Kind::WordPiece { size: arguments.vocabulary })?;
    let heads = (arguments.hidden / 64).max(1);
    let config = Config {
        hidden_dropout_prob: 0.0,
        attention_probs_dropout_prob: 0.0,
        ..Config::new(pieces.len() as i64, arguments.hidden, arguments.layers, heads)
    };
    let device = arguments.options.resolve()?.device;
    Ok(ColBert::new(&config, pieces, Layout::colbert(), arguments.width, device, arguments.seed)?)
}

fn bm25(collection: &Collection, analyzer: &Analyzer) -> Bm25 {
    let texts: Vec<String> = collection.documents.iter().map(Document::full_text).collect();
    Bm25::new(&texts, analyzer.clone(), Parameters::PASSAGES)
}

fn examples(arguments: &Arguments, collection: &Collection) -> Result<TrainingData> {
    let Some(path) = &arguments.examples else {
        return Ok(hard_negatives(collection, &bm25(collection, &arguments.analyzer), arguments.negatives));
    };
    let documents: HashMap<&str, usize> =
        places(collection.documents.iter().map(|document| document.id.as_str()));
    let queries: HashMap<&str, usize> = places(collection.queries.iter().map(|query| query.id.as_str()));
    let mut examples = Vec::new();
    for example in read_examples(path)? {
        let known = |kind: &str, id: &str, places: &HashMap<&str, usize>| {
            places.get(id).copied().ok_or_else(|| {
                ParseError::new(
                    path,
                    example.line,
                    format!("{kind} `{id}` is not in the collection"),
                    "do the files belong together?",
                )
            })
        };
        let query = known("query", &example.query, &queries)?;
        let ids: Result<Vec<usize>, ParseError> =
            example.documents.iter().map(|id| known("document", id, &documents)).collect();
        examples.push(Example { query, documents: ids?, scores: example.scores.clone() });
    }
    Ok(TrainingData {
        queries: collection.queries.iter().map(|query| query.text.clone()).collect(),
        documents: collection.documents.iter().map(Document::full_text).collect(),
        examples,
    })
}

fn places<'a>(ids: impl Iterator<Item = &'a str>) -> HashMap<&'a str, usize> {
    ids.enumerate().map(|(place, id)| (id, place)).collect()
}

/// Gives every document of every example the teacher's MaxSim.
fn score(teacher: &ColBert, data: &mut TrainingData) -> Result<()> {
    let documents =
        teacher.encode_documents(&data.documents.iter().map(String::as_str).collect::<Vec<_>>())?;
    let queries = teacher.encode_queries(&data.queries.iter().map(String::as_str).collect::<Vec<_>>())?;
    for example in &mut data.examples {
        let query = queries.text(example.query);
        let score = |&document: &usize| maxsim::score(query, documents.text(document), teacher.width());
        example.scores = example.documents.iter().map(score).collect::<Result<_, _>>()?;
    }
    Ok(())
}

fn config(arguments: &Arguments, scored: bool) -> TrainConfig {
    let learning_rate = arguments.learning_rate.unwrap_or(if arguments.new { 1e-3 } else { 3e-5 });
    let loss = arguments.loss.unwrap_or(if scored { LossName::Kl } else { LossName::CrossEntropy });
    TrainConfig {
        batch: arguments.batch,
        accumulation: arguments.accumulation,
        n_ways: arguments.ways,
        loss: match loss {
            LossName::Kl => Loss::KlDivergence,
            LossName::MarginMse => Loss::MarginMse,
            LossName::Mixed => Loss::Mixed { margin_weight: 0.05 },
            LossName::CrossEntropy => Loss::CrossEntropy,
        },
        normalisation: match arguments.normalisation {
            _ if loss == LossName::CrossEntropy => Normalisation::None,
            NormalisationName::Both => Normalisation::Both,
            NormalisationName::Teacher => Normalisation::TeacherOnly,
            NormalisationName::None => Normalisation::None,
        },
        in_batch_negatives: arguments.in_batch_negatives,
        interaction: if arguments.single_vector { Interaction::Pooled } else { Interaction::Maxsim },
        optimiser: match arguments.optimiser {
            OptimiserName::ScheduleFree => Optimiser::ScheduleFree { learning_rate, warmup: 0.05 },
            OptimiserName::LinearDecay => Optimiser::LinearDecay { learning_rate, warmup: 0.05 },
        },
        precision: match arguments.precision {
            PrecisionName::F32 => Precision::F32,
            PrecisionName::Bf16 => Precision::Bf16,
        },
        clip_norm: arguments.clip_norm,
        checkpoint_every: arguments.checkpoint_every,
        ..TrainConfig::paper(arguments.steps)
    }
}

fn save(model: &ColBert, layout: Saved, out: &Path) -> Result<()> {
    Ok(match layout {
        Saved::Stanford => model.save_stanford(out),
        Saved::Pylate => model.save_pylate(out),
    }?)
}

/// Options of `average`.
#[derive(Debug, Args)]
pub(super) struct AverageArguments {
    /// Models of one architecture
    #[arg(required = true, num_args = 2..)]
    models: Vec<PathBuf>,
    /// Folder of the averaged model; all but the weights is the first model's
    #[arg(long)]
    out: PathBuf,
    /// Layout of the saved model
    #[arg(long, value_enum, default_value = "stanford")]
    save: Saved,
    #[command(flatten)]
    options: ModelOptions,
}

pub(super) fn average_models(arguments: &AverageArguments) -> Result<()> {
    let Some((first, others)) = arguments.models.split_first() else { bail!("no model to average") };
    let model = arguments.options.open(first)?;
    let mut weights = vec![model.weights()];
    for path in others {
        weights.push(arguments.options.open(path)?.weights());
    }
    model.set_weights(average(&weights)?, first)?;
    save(&model, arguments.save, &arguments.out)?;
    println!("{}: the mean of {} models", arguments.out.display(), weights.len());
    Ok(())
}
