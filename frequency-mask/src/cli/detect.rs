//! `detect`: a score for each picture.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use common::device::Choice;
use common::{files, interrupt};
use serde::{Deserialize, Serialize};

use super::masks::inputs;
use crate::detector::Detector;
use crate::score::{View, probability, score_files};

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// `path,label,score` with a heading
    Csv,
    /// One JSON object per line
    Jsonl,
}

/// Parts of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Tiles {
    /// The middle only
    None,
    /// Tiles that cover the picture, mean of their scores
    Mean,
    /// Tiles that cover the picture, the highest score
    Max,
}

impl Tiles {
    pub(super) fn view(self) -> View {
        match self {
            Self::None => View::Centre,
            Self::Mean => View::MeanOfTiles,
            Self::Max => View::HighestTile,
        }
    }
}

/// Options of `detect`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Pictures, folders of them, or `-` for a list of paths on standard input
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// Folder of a detector that `train` wrote
    #[arg(long, value_name = "FOLDER")]
    model: PathBuf,
    /// Form of the output
    #[arg(long, value_enum, default_value = "csv")]
    format: Format,
    /// File for the output [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Go on with the file of --out: pictures that stand in it are left out
    #[arg(long, requires = "out")]
    resume: bool,
    /// Score tiles of large pictures instead of their middle
    #[arg(long, value_enum, default_value = "none")]
    tiles: Tiles,
    /// Logit from which on a picture counts as generated [default: calibrated on the validation pictures]
    #[arg(long)]
    threshold: Option<f64>,
    /// Device: auto, cpu, cuda or cuda:NUMBER
    #[arg(long, default_value = "auto")]
    device: Choice,
}

/// A line of the output.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    path: String,
    /// 1 when the score is at or above the threshold.
    label: u8,
    /// Probability of "generated".
    score: f64,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    interrupt::listen();
    let (detector, description) = Detector::load(&arguments.model, arguments.device.open()?)?;
    let threshold = arguments.threshold.unwrap_or(description.threshold);
    let mut paths = listed(&arguments.inputs)?;
    let mut sink = Sink::open(arguments)?;
    paths.retain(|path| !sink.done.contains(&path.display().to_string()));
    let (mut failed, mut scored) = (0, 0);
    score_files(
        &detector,
        &paths,
        arguments.tiles.view(),
        description.training.augmentation.crop,
        |path, logit| {
            match logit {
                Ok(logit) => {
                    let path = path.display().to_string();
                    sink.write(&Row {
                        path,
                        label: u8::from(logit >= threshold),
                        score: probability(logit),
                    })?;
                    scored += 1;
                }
                Err(error) => {
                    eprintln!("error: {error}");
                    failed += 1;
                }
            }
            anyhow::Ok(!interrupt::asked())
        },
    )?;
    sink.flush()?;
    if scored + failed < paths.len() {
        eprintln!(
            "stopped after {scored} of {} pictures{}",
            paths.len(),
            match &arguments.out {
                Some(_) => "; go on with the same command and --resume",
                None => "",
            }
        );
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    }
    if failed > 0 {
        bail!("{failed} of {} pictures could not be read, see above; the others are scored", paths.len());
    }
    Ok(ExitCode::SUCCESS)
}

/// Paths of files, folders and lists.
fn listed(given: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for path in given {
        if path == Path::new("-") {
            for line in io::stdin().lock().lines() {
                let line = line.context("standard input: expected one path per line, as UTF-8")?;
                all.extend((!line.trim().is_empty()).then(|| PathBuf::from(line.trim())));
            }
        } else {
            all.extend(inputs(std::slice::from_ref(path))?.into_iter().map(|(file, _)| file));
        }
    }
    Ok(all)
}

/// Where rows go: each is written whole.
struct Sink {
    out: Box<dyn Write>,
    format: Format,
    done: BTreeSet<String>,
}

impl Sink {
    fn open(arguments: &Arguments) -> Result<Self> {
        let format = arguments.format;
        let Some(path) = &arguments.out else {
            return Self { out: Box::new(io::stdout().lock()), format, done: BTreeSet::new() }.headed();
        };
        if !arguments.resume || !path.exists() {
            let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
            return Self { out: Box::new(file), format, done: BTreeSet::new() }.headed();
        }
        let text = files::read_text(path)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let done = read_rows(&text[..whole], format, path)?;
        let file = OpenOptions::new()
            .append(true)
            .open(path)
            .with_context(|| format!("opening {}", path.display()))?;
        file.set_len(whole as u64)?; // a line that was cut off is scored again
        let sink = Self { out: Box::new(file), format, done };
        if whole == 0 { sink.headed() } else { Ok(sink) }
    }

    fn headed(mut self) -> Result<Self> {
        if self.format == Format::Csv {
            self.out.write_all(b"path,label,score\n")?;
        }
        Ok(self)
    }

    fn write(&mut self, row: &Row) -> Result<()> {
        let mut line = match self.format {
            Format::Jsonl => serde_json::to_vec(row)?,
            Format::Csv => csv_line(row)?,
        };
        if line.last() != Some(&b'\n') {
            line.push(b'\n');
        }
        Ok(self.out.write_all(&line)?)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

fn csv_line(row: &Row) -> Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    writer.write_record([row.path.clone(), row.label.to_string(), format!("{:.6}", row.score)])?;
    writer.into_inner().map_err(|error| anyhow::anyhow!("{error}"))
}

fn read_rows(text: &str, format: Format, path: &Path) -> Result<BTreeSet<String>> {
    let fail = |problem: String| {
        anyhow::anyhow!(
            "{}: not the output of `detect` in this --format: {problem}; choose another --out",
            path.display()
        )
    };
    match format {
        Format::Csv => {
            let rows = csv::Reader::from_reader(text.as_bytes()).into_deserialize::<Row>();
            rows.map(|row| row.map(|row| row.path).map_err(|error| fail(error.to_string()))).collect()
        }
        Format::Jsonl => text
            .lines()
            .map(|line| {
                serde_json::from_str::<Row>(line).map(|row| row.path).map_err(|error| fail(error.to_string()))
            })
            .collect(),
    }
}
