//! Tokens of real captions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use common::files;
use common::report::{Section, Table, number};
use common::stats;
use serde::Deserialize;

use super::nlvr::Record;
use crate::experiment::arm::{BASE_LENGTH, LENGTH};
use crate::experiment::data::SHORT_TOKENS;
use crate::experiment::tables::columns;
use crate::tokenizer::{Specials, Tokenizer};

/// One line of ImageInWords.
#[derive(Deserialize)]
struct Line {
    subset: String,
    annotator: String,
    field: String,
    caption: String,
}

/// Lengths of the captions of the drawn world, of NLVR and of ImageInWords.
pub(super) fn section(
    tokenizer: &Tokenizer,
    made: &[String],
    records: &[Record],
    iiw: Option<&Path>,
) -> Result<Section> {
    let length = |text: &str| tokenizer.tokenize(text, usize::MAX, Specials::Neutral).whole;
    let row = |name: String, lengths: Vec<usize>| {
        let share = |limit: usize| {
            let longer = lengths.iter().filter(|length| **length > limit).count();
            number(longer as f64 / lengths.len().max(1) as f64, 3)
        };
        let values: Vec<f64> = lengths.iter().map(|length| *length as f64).collect();
        vec![
            name,
            lengths.len().to_string(),
            stats::mean(&values).map_or("—".to_owned(), |mean| number(mean, 1)),
            lengths.iter().max().map_or("—".to_owned(), usize::to_string),
            share(SHORT_TOKENS),
            share(BASE_LENGTH),
            share(LENGTH),
        ]
    };
    let mut rows = vec![row("drawn world, long".to_owned(), made.iter().map(|text| length(text)).collect())];
    if !records.is_empty() {
        let human: BTreeSet<&str> = records.iter().map(|record| &record.sentence[..]).collect();
        rows.push(row("NLVR, human sentences, distinct".to_owned(), human.into_iter().map(length).collect()));
        let long = records.iter().map(|record| length(&record.caption.text(usize::MAX)));
        rows.push(row("NLVR, made from scene graphs".to_owned(), long.collect()));
    }
    if let Some(path) = iiw {
        let mut parts: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, line) in files::read_text(path)?.lines().enumerate() {
            let line: Line =
                serde_json::from_str(line).with_context(|| format!("{}:{}", path.display(), at + 1))?;
            let name = format!("ImageInWords, {} {} ({})", line.subset, line.field, line.annotator);
            parts.entry(name).or_default().push(length(&line.caption));
        }
        rows.extend(parts.into_iter().map(|(name, lengths)| row(name, lengths)));
    }
    Ok(Section {
        title: "Real captions: lengths".to_owned(),
        text: vec!["Tokens of CLIP's own tokenizer, start and end included. Human sentences about an image mostly fit into the positions that stretching leaves alone; detailed descriptions do not fit into 77, and part of the human ones not into 248.".to_owned()],
        tables: vec![Table {
            caption: format!("Captions by source; shares of those longer than {SHORT_TOKENS}, {BASE_LENGTH} and {LENGTH} tokens"),
            columns: columns(["source", "captions", "mean tokens", "longest", "beyond 21", "beyond 77", "beyond 248"]),
            rows,
        }],
        figures: vec![],
    })
}
