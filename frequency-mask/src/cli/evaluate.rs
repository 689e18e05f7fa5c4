//! `evaluate`: average precision, accuracy and area for each data set below a folder.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use common::device::Choice;
use common::metrics::binary::{accuracy, average_precision, roc_auc};
use common::{files, interrupt};

use super::detect::Tiles;
use crate::data::{Labelled, data_sets};
use crate::detector::Detector;
use crate::score::{probability, score_files};

/// Options of `evaluate`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Folder with `0_real` and `1_fake` (or `real` and `fake`), or with a folder of these for each generator
    folder: PathBuf,
    /// Folder of a detector that `train` wrote
    #[arg(long, value_name = "FOLDER")]
    model: PathBuf,
    /// Also write `path,label,score` of every picture here; the label is the true one
    #[arg(long, value_name = "FILE")]
    predictions: Option<PathBuf>,
    /// Score tiles of large pictures instead of their middle
    #[arg(long, value_enum, default_value = "none")]
    tiles: Tiles,
    /// Device: auto, cpu, cuda or cuda:NUMBER
    #[arg(long, default_value = "auto")]
    device: Choice,
}

/// Scores of a data set that could be read.
struct Scored {
    paths: Vec<PathBuf>,
    labels: Vec<bool>,
    logits: Vec<f64>,
    failed: usize,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    interrupt::listen();
    let (detector, description) = Detector::load(&arguments.model, arguments.device.open()?)?;
    let side = description.training.augmentation.crop;
    let mut predictions = csv::Writer::from_writer(Vec::new());
    predictions.write_record(["path", "label", "score"])?;
    println!("dataset,AP,accuracy,AUC,real,fake");
    let (mut failed, mut sums, mut defined) = (0, [0.0; 3], 0);
    for (name, set) in data_sets(&arguments.folder)? {
        let Some(scored) = score(&detector, &set, arguments.tiles, side)? else {
            eprintln!("stopped; nothing was written");
            return Ok(ExitCode::from(interrupt::EXIT_CODE));
        };
        failed += scored.failed;
        let values = measured(&scored, description.threshold);
        println!("{}", line(&name, values, &scored.labels));
        match values {
            [Some(ap), Some(accuracy), Some(area)] => {
                defined += 1;
                sums.iter_mut().zip([ap, accuracy, area]).for_each(|(sum, value)| *sum += value);
            }
            _ => eprintln!("warning: {name}: {}", missing(&scored.labels)),
        }
        for ((path, label), logit) in scored.paths.iter().zip(&scored.labels).zip(&scored.logits) {
            let score = format!("{:.6}", probability(*logit));
            predictions.write_record([path.display().to_string(), u8::from(*label).to_string(), score])?;
        }
    }
    if defined > 0 {
        let [ap, accuracy, area] = sums.map(|sum| format!("{:.2}", 100.0 * sum / f64::from(defined)));
        println!("average,{ap},{accuracy},{area},,");
    }
    if let Some(path) = &arguments.predictions {
        let bytes = predictions.into_inner().map_err(|error| anyhow::anyhow!("{error}"))?;
        files::write_atomic(path, &bytes)?;
    }
    if failed > 0 {
        bail!("{failed} pictures could not be read, see above; the table is of the others");
    }
    Ok(ExitCode::SUCCESS)
}

/// `None` when the user asked to stop.
fn score(detector: &Detector, set: &Labelled, tiles: Tiles, side: u32) -> Result<Option<Scored>> {
    let mut scored = Scored { paths: vec![], labels: vec![], logits: vec![], failed: 0 };
    let mut labels = set.labels.iter();
    score_files(detector, &set.paths, tiles.view(), side, |path: &Path, logit| {
        let label = labels.next().copied().unwrap_or_default();
        match logit {
            Ok(logit) => {
                scored.paths.push(path.to_owned());
                scored.labels.push(label);
                scored.logits.push(logit);
            }
            Err(error) => {
                eprintln!("error: {error}");
                scored.failed += 1;
            }
        }
        anyhow::Ok(!interrupt::asked())
    })?;
    Ok((scored.paths.len() + scored.failed == set.paths.len()).then_some(scored))
}

/// AP, accuracy at the threshold, area; `None` where a class is missing: each would be a number without meaning.
fn measured(scored: &Scored, threshold: f64) -> [Option<f64>; 3] {
    let Scored { labels, logits, .. } = scored;
    if labels.iter().all(|label| *label) || labels.iter().all(|label| !label) {
        return [None, accuracy(logits, labels, threshold), None];
    }
    [average_precision(logits, labels), accuracy(logits, labels, threshold), roc_auc(logits, labels)]
}

fn missing(labels: &[bool]) -> String {
    let what = match (labels.contains(&false), labels.contains(&true)) {
        (false, true) => "no readable real picture",
        (true, false) => "no readable generated picture",
        _ => "a score is not a number",
    };
    format!("{what}: AP and AUC are undefined and not part of the average")
}

fn line(name: &str, values: [Option<f64>; 3], labels: &[bool]) -> String {
    let fake = labels.iter().filter(|label| **label).count();
    let [ap, accuracy, area] =
        values.map(|value| value.map_or("undefined".to_owned(), |value| format!("{:.2}", 100.0 * value)));
    format!("{name},{ap},{accuracy},{area},{},{fake}", labels.len() - fake)
}
