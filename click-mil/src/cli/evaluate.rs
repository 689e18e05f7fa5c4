//! `evaluate`: scores of detections.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::source::{Annotated, Read};
use crate::evaluate::{AveragePrecision, Detection, coco, voc};
use crate::formats::{coco as coco_format, voc as voc_format};

/// Options of `evaluate`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    annotated: Annotated,
    /// Detections: a folder of `comp4_det_SPLIT_CLASS.txt`, or a COCO result file
    detections: PathBuf,
    /// Overlaps at which VOC's average precision is taken
    #[arg(long, value_delimiter = ',', default_values_t = [0.5, 0.7])]
    overlaps: Vec<f64>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let read = arguments.annotated.read()?;
    let detections: Vec<Detection> = match &read {
        Read::Voc(dataset) => {
            voc_format::read_detections(&arguments.detections, &arguments.annotated.split, dataset)?
        }
        Read::Coco(numbered) => coco_format::read_results(&arguments.detections, numbered)?,
    };
    let dataset = read.dataset();
    let text = |value: Option<f64>| value.map_or("     —".to_owned(), |value| format!("{value:.4}"));
    for &overlap in &arguments.overlaps {
        let scores = voc(dataset, &detections, overlap);
        println!("{:<20} {:>9} {:>9}", format!("VOC at {overlap}"), "11-point", "area");
        let row = |name: &str, ap: Option<AveragePrecision>| {
            println!(
                "{name:<20} {:>9} {:>9}",
                text(ap.map(|ap| ap.eleven_point)),
                text(ap.map(|ap| ap.area))
            );
        };
        dataset.classes.iter().zip(&scores.classes).for_each(|(name, ap)| row(name, *ap));
        println!("{:<20} {:>9} {:>9}", "mean", text(scores.mean_eleven_point()), text(scores.mean_area()));
    }
    for (name, value) in coco(dataset, &detections).named() {
        println!("{name:<20} {:>9}", text(value));
    }
    Ok(ExitCode::SUCCESS)
}
