//! NLVR: drawn images with human sentences and scene graphs, the bridge from the drawn world to human language.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, Result, bail};
use common::figure::{self, Figure};
use common::files;
use common::report::{Section, Table, number};
use common::seed;
use rand::seq::SliceRandom;
use serde::Deserialize;

use crate::experiment::tables::columns;
use crate::tokenizer::{Specials, Tokenizer};
use crate::world::Cell;

/// A record of the data set with a long caption made from its scene graph.
pub(super) struct Record {
    pub(super) sentence: String,
    pub(super) label: bool,
    pub(super) caption: Long,
    /// Everything that a sentence of a caption can state of the scene.
    facts: HashSet<Fact>,
}

/// A long caption: a summary, then the objects in random order.
pub(super) struct Long(Vec<Fact>);

/// What one sentence states.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Fact {
    /// Objects of each box.
    Counts(Vec<usize>),
    /// An object: box, size, colour, shape, cell of the box.
    Object(usize, u32, String, String, Cell),
}

#[derive(Deserialize)]
struct Line {
    sentence: String,
    label: bool,
    structured_rep: Vec<Vec<Drawn>>,
}

#[derive(Deserialize)]
struct Drawn {
    #[serde(rename = "type")]
    shape: String,
    color: String,
    size: u32,
    x_loc: u32,
    y_loc: u32,
}

/// Side of a box of NLVR.
const BOX: f64 = 100.0;
/// Lengths at which captions are cut.
const LENGTHS: [usize; 10] = [8, 16, 21, 30, 40, 60, 77, 120, 180, 248];
/// Captions that are followed over all lengths.
const FOLLOWED: usize = 500;
const NUMBERS: [&str; 10] = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
const BOXES: [&str; 3] = ["first", "second", "third"];

impl Fact {
    fn text(&self) -> String {
        let number = |n: &usize| NUMBERS.get(*n).map_or(n.to_string(), |word| (*word).to_owned());
        match self {
            Self::Counts(counts) => {
                let counts: Vec<String> = counts.iter().map(number).collect();
                format!("three boxes with {} objects.", counts.join(", "))
            }
            Self::Object(at, size, colour, shape, cell) => {
                let size = match size {
                    0..=10 => "small",
                    11..=20 => "medium",
                    _ => "large",
                };
                let place = cell.words().join(" ");
                format!("a {size} {colour} {shape} is at the {place} of the {} box.", BOXES[*at])
            }
        }
    }
}

impl Long {
    /// The first `n` sentences.
    pub(super) fn text(&self, n: usize) -> String {
        self.0.iter().take(n).map(Fact::text).collect::<Vec<_>>().join(" ")
    }
}

/// All records below a folder.
pub(super) fn read(folder: &Path) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    for part in ["dev", "test", "hidden"] {
        let path = folder.join(format!("nlvr-{part}.jsonl"));
        for (at, line) in files::read_text(&path)?.lines().enumerate() {
            let place = || format!("{}:{}", path.display(), at + 1);
            let line: Line = serde_json::from_str(line).with_context(place)?;
            if line.structured_rep.len() != BOXES.len() {
                bail!("{}: {} boxes, expected {}", place(), line.structured_rep.len(), BOXES.len());
            }
            records.push(Record::new(line, records.len() as u64));
        }
    }
    Ok(records)
}

impl Record {
    fn new(line: Line, index: u64) -> Self {
        let counts = Fact::Counts(line.structured_rep.iter().map(Vec::len).collect());
        let mut objects: Vec<Fact> = Vec::new();
        for (at, objects_of_box) in line.structured_rep.iter().enumerate() {
            for drawn in objects_of_box {
                let third = |place: u32| {
                    ((f64::from(place) + f64::from(drawn.size) / 2.0) / (BOX / 3.0)).min(2.0) as u8
                };
                let cell = Cell(3 * third(drawn.y_loc) + third(drawn.x_loc));
                let colour =
                    if drawn.color.starts_with('#') { "blue".to_owned() } else { drawn.color.to_lowercase() };
                let fact = Fact::Object(at, drawn.size, colour, drawn.shape.clone(), cell);
                if !objects.contains(&fact) {
                    objects.push(fact);
                }
            }
        }
        objects.shuffle(&mut seed::rng(0, "nlvr", index));
        let sentences: Vec<Fact> = [counts].into_iter().chain(objects).collect();
        let facts = sentences.iter().cloned().collect();
        Self { sentence: line.sentence, label: line.label, caption: Long(sentences), facts }
    }

    /// Sentences of the caption that end within `tokens`, start and end included.
    fn within(&self, tokenizer: &Tokenizer, tokens: usize) -> usize {
        let mut left = tokens.saturating_sub(2);
        self.caption
            .0
            .iter()
            .take_while(|fact| {
                let length = tokenizer.encode(&fact.text(), Specials::Neutral).len();
                let fits = length <= left;
                left = left.saturating_sub(length);
                fits
            })
            .count()
    }
}

/// The oracle's curve on captions made from real scene graphs.
pub(super) fn section(records: &[Record], tokenizer: &Tokenizer, folder: &Path) -> Result<Section> {
    let step = (records.len() / FOLLOWED).max(1);
    let followed: Vec<&Record> = records.iter().step_by(step).collect();
    let (mut rows, mut points) = (Vec::new(), Vec::new());
    for length in LENGTHS {
        let (mut recall, mut unique, mut sentences) = (0.0, 0, 0);
        for record in &followed {
            let n = record.within(tokenizer, length);
            let stated = &record.caption.0[..n];
            let fitting =
                records.iter().filter(|other| stated.iter().all(|fact| other.facts.contains(fact))).count();
            recall += 1.0 / fitting.max(1) as f64;
            unique += usize::from(fitting == 1);
            sentences += n;
        }
        let n = followed.len() as f64;
        points.push([length as f64, recall / n]);
        rows.push(vec![
            length.to_string(),
            number(sentences as f64 / n, 2),
            number(recall / n, 3),
            number(unique as f64 / n, 3),
        ]);
    }
    let curve = Figure::Curves {
        title: "A perfect reader of NLVR's scene graphs".to_owned(),
        x: "tokens, start and end included".to_owned(),
        y: "expected R@1".to_owned(),
        groups: vec![("oracle".to_owned(), vec![points])],
    };
    let caption = "Captions made from the scene graphs, cut after whole sentences; the reader picks among the scenes of which all of them are true.";
    let figure = figure::save(&curve, folder, "nlvr-oracle", caption)?;
    let true_ones = records.iter().filter(|record| record.label).count();
    let distinct: HashSet<&str> = records.iter().map(|record| &record.sentence[..]).collect();
    Ok(Section {
        title: "NLVR: from scene graphs to long captions".to_owned(),
        text: vec![format!(
            "NLVR has {} images with a human sentence and an exact scene graph. The {} distinct sentences are short, each stands with several images, and {} of the records are marked true: a human sentence is no name of one scene. A caption made from the graph (counts, then each object with size, colour, shape, cell and box, in random order) names most scenes in the end, and needs many sentences for it; what is left are scenes that such a description cannot tell apart.",
            records.len(),
            distinct.len(),
            true_ones
        )],
        tables: vec![Table {
            caption: format!(
                "{} captions among {} scenes, by the length at which they are cut",
                followed.len(),
                records.len()
            ),
            columns: columns(["tokens", "whole sentences", "expected R@1", "share that fits one scene only"]),
            rows,
        }],
        figures: vec![figure],
    })
}
