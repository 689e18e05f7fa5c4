//! `translate` and `align`: corpora and vectors on their way to another language.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use common::cli::annotated::Columns;
use common::formats::{Scheme, conll};
use common::seed;

use super::inputs::text_of;
use crate::align;
use crate::data::normalise;
use crate::dictionary::Dictionary;
use crate::methods::{ALIGNED_WORDS, REFINEMENTS};
use crate::translate::{self, Choice, frequencies};
use crate::vectors::{Vectors, Wanted};

/// Options of `translate`.
#[derive(Debug, Args)]
pub(super) struct TranslateArguments {
    /// Annotated files of the source
    #[arg(required = true)]
    input: Vec<PathBuf>,
    /// Dictionary from source to target: FreeDict or own `word TAB translation`, or MUSE `word translation`
    #[arg(long, value_name = "FILE", required_unless_present = "source_vectors")]
    dictionary: Option<PathBuf>,
    /// Translate by nearest neighbours in aligned spaces instead: vectors of the source
    #[arg(long, value_name = "FILE", requires = "target_vectors", conflicts_with = "target_text")]
    source_vectors: Option<PathBuf>,
    /// Vectors of the target
    #[arg(long, value_name = "FILE", requires = "source_vectors")]
    target_vectors: Option<PathBuf>,
    /// Which of several translations is taken
    #[arg(long, value_enum, default_value = "frequent")]
    choice: ChoiceName,
    /// Target text, one sentence per line, that says which translation is frequent
    #[arg(long, value_name = "FILE")]
    target_text: Option<PathBuf>,
    /// Entity types that stay as they are
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    keep_types: Vec<String>,
    /// Seed of the choice `random`
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Tag scheme of the output
    #[arg(long, default_value = "iob2")]
    to: Scheme,
    #[command(flatten)]
    columns: Columns,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ChoiceName {
    /// Most frequent in the target text; without any, the first of the dictionary
    Frequent,
    /// First of the dictionary
    First,
    /// Any
    Random,
}

pub(super) fn translate(arguments: &TranslateArguments) -> Result<()> {
    let mut sentences = arguments.columns.read(&arguments.input)?;
    normalise(&mut sentences);
    let dictionary = match (&arguments.source_vectors, &arguments.target_vectors) {
        (Some(source), Some(target)) => {
            let source = Vectors::read(source, Wanted::First(ALIGNED_WORDS), None)?;
            let target = Vectors::read(target, Wanted::First(ALIGNED_WORDS), Some(source.width))?;
            let mut pairs = align::identical(&source, &target);
            if let Some(path) = &arguments.dictionary {
                pairs.extend(align::of_dictionary(&Dictionary::read(path)?, &source, &target));
            }
            let alignment = align::align(&source, &target, &pairs, REFINEMENTS)?;
            align::dictionary(&alignment, &source, &target)
        }
        _ => match &arguments.dictionary {
            Some(path) => Dictionary::read(path)?,
            None => bail!("nothing to translate with; give --dictionary"),
        },
    };
    let counts = match &arguments.target_text {
        Some(path) => frequencies(&text_of(path)?),
        None => std::collections::HashMap::new(),
    };
    let mut rng = seed::rng(arguments.seed, "translation", 0);
    let choice = match arguments.choice {
        ChoiceName::Frequent => Choice::Frequent(&counts),
        ChoiceName::First => Choice::First,
        ChoiceName::Random => Choice::Random(&mut rng),
    };
    let translated = translate::translate(&sentences, &dictionary, choice, &arguments.keep_types);
    let mut output = io::stdout().lock();
    for sentence in &translated.sentences {
        let tags = arguments.to.encode(&sentence.spans, sentence.words.len());
        output.write_all(conll::to_text(&sentence.words, &tags).as_bytes())?;
    }
    eprintln!("translated {} of {} words", translated.replaced, translated.words);
    Ok(())
}

/// Options of `align`.
#[derive(Debug, Args)]
pub(super) struct AlignArguments {
    /// Vectors of the source in the text format of GloVe, word2vec or fastText; .gz too
    source: PathBuf,
    /// Vectors of the target
    target: PathBuf,
    /// File of the source's vectors in the target's space
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Pairs to begin with, besides words that are written alike
    #[arg(long, value_name = "FILE")]
    dictionary: Option<PathBuf>,
    /// Dictionary to measure with: share of its words whose nearest neighbour is a translation
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// Rounds of refinement
    #[arg(long, default_value_t = REFINEMENTS)]
    refinements: usize,
    /// Most frequent words of each language that take part
    #[arg(long, default_value_t = ALIGNED_WORDS)]
    words: usize,
}

pub(super) fn align(arguments: &AlignArguments) -> Result<()> {
    let source = Vectors::read(&arguments.source, Wanted::First(arguments.words), None)?;
    let target = Vectors::read(&arguments.target, Wanted::First(arguments.words), Some(source.width))?;
    let mut pairs = align::identical(&source, &target);
    if let Some(path) = &arguments.dictionary {
        pairs.extend(align::of_dictionary(&Dictionary::read(path)?, &source, &target));
    }
    let alignment = align::align(&source, &target, &pairs, arguments.refinements)?;
    align::mapped_vectors(&alignment, &source).write(&arguments.out)?;
    println!(
        "{} source and {} target words, {} pairs to begin with, {} after {} refinements",
        source.words.len(),
        target.words.len(),
        pairs.len(),
        alignment.pairs,
        arguments.refinements
    );
    if let Some(path) = &arguments.truth {
        match align::precision(&alignment, &source, &target, &Dictionary::read(path)?) {
            Some(precision) => println!("precision at 1: {precision:.4}"),
            None => eprintln!("warning: no pair of {} has vectors on both sides", path.display()),
        }
    }
    Ok(())
}
