//! `tokens`.

use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use common::formats::{self, Lines, ParseError};
use serde_json::json;

use super::shared::TokenizerOptions;
use crate::data;
use crate::tokenizer::Tokenizer;

/// Options of `tokens`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Texts, one per line, or captions of JSON lines (`.jsonl`); `.gz` too; `-` for standard input
    #[arg(default_value = "-")]
    texts: PathBuf,
    /// Positions of the model
    #[arg(long, default_value_t = 77)]
    context: usize,
    /// Print one JSON line for each text: its tokens, what is kept and what is cut off
    #[arg(long)]
    lines: bool,
    #[command(flatten)]
    tokenizer: TokenizerOptions,
}

/// Counts over all texts, in memory that does not grow with them.
#[derive(Default)]
struct Counts {
    texts: u64,
    empty: u64,
    tokens: u64,
    cut: u64,
    lost: u64,
    /// Texts by their number of tokens, up to `LONGEST`.
    lengths: Vec<u64>,
}

/// Lengths that are counted one by one; longer ones are counted as this.
const LONGEST: usize = 4096;

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    anyhow::ensure!(
        arguments.context >= 2,
        "--context is {}, expected at least 2: a start and an end token",
        arguments.context
    );
    let tokenizer = arguments.tokenizer.open(None, None)?;
    let specials = arguments.tokenizer.specials();
    let mut lines: Lines<Box<dyn io::BufRead>> = if arguments.texts == Path::new("-") {
        Lines::new(Path::new("standard input"), Box::new(io::stdin().lock()))
    } else {
        formats::open(&arguments.texts)?
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let mut counts = Counts { lengths: vec![0; LONGEST + 1], ..Counts::default() };
    let is_json = arguments.texts.to_string_lossy().trim_end_matches(".gz").ends_with(".jsonl");
    while let Some((line, text)) = lines.next_line()? {
        let caption;
        let text = if is_json {
            let hint = "expected one JSON object per line";
            caption = data::caption_of(text)
                .map_err(|problem| ParseError::new(&arguments.texts, line, problem, hint))?;
            &caption
        } else {
            text
        };
        let ids = tokenizer.encode(text, specials);
        let whole = ids.len() + 2;
        let kept = ids.len().min(arguments.context - 2);
        counts.add(whole, arguments.context);
        if arguments.lines {
            let (kept, lost) = ids.split_at(kept);
            let line = json!({"tokens": whole, "kept": tokenizer.decode(kept), "cut_off": cut_off(&tokenizer, lost)});
            writeln!(out, "{line}")?;
        }
    }
    out.flush()?;
    drop(out);
    let summary = counts.summary(arguments.context);
    if arguments.lines {
        eprintln!("{summary}")
    } else {
        println!("{summary}")
    }
    Ok(())
}

fn cut_off(tokenizer: &Tokenizer, lost: &[i64]) -> Option<String> {
    (!lost.is_empty()).then(|| tokenizer.decode(lost))
}

impl Counts {
    fn add(&mut self, whole: usize, context: usize) {
        self.texts += 1;
        self.empty += u64::from(whole == 2);
        self.tokens += whole as u64;
        self.cut += u64::from(whole > context);
        self.lost += whole.saturating_sub(context) as u64;
        self.lengths[whole.min(LONGEST)] += 1;
    }

    /// Fewest tokens that a share of the texts does not pass.
    fn quantile(&self, share: f64) -> usize {
        let wanted = (self.texts as f64 * share).ceil() as u64;
        let mut so_far = 0;
        let reached = self.lengths.iter().position(|&count| {
            so_far += count;
            so_far >= wanted
        });
        reached.unwrap_or(LONGEST)
    }

    fn summary(&self, context: usize) -> String {
        if self.texts == 0 {
            return "no texts".to_owned();
        }
        let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
        let [half, most, longest] = [0.5, 0.9, 1.0].map(|share| self.quantile(share));
        let over = if longest == LONGEST { "+" } else { "" };
        format!(
            "{} texts ({} empty): mean {:.1}, median {half}, 90 % {most}, longest {longest}{over} tokens\n\
             of {context} positions: {} texts cut ({:.1} %), {:.1} % of all tokens lost",
            self.texts,
            self.empty,
            share(self.tokens, self.texts),
            self.cut,
            100.0 * share(self.cut, self.texts),
            100.0 * share(self.lost, self.tokens),
        )
    }
}
