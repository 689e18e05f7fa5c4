//! `detect`: objects in images.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use common::{interrupt, progress};
use image::Rgb;
use serde_json::json;

use super::source::{Annotated, Machine, Read, images, shown};
use crate::detector::Detector;
use crate::draw;
use crate::evaluate::Detection;
use crate::formats::{coco, voc};
use crate::pipeline::read_image;

/// Options of `detect`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Images, or folders of images: one JSON line per image on standard output
    #[arg(required_unless_present_any = ["voc", "coco"], conflicts_with_all = ["voc", "coco"])]
    images: Vec<PathBuf>,
    /// Folder of the detector
    #[arg(long, value_name = "FOLDER")]
    model: PathBuf,
    /// Detections below this score are not printed or drawn
    #[arg(long, default_value_t = 0.3)]
    least_score: f64,
    /// Also draw the boxes into copies of the images in this folder (PNG)
    #[arg(long, value_name = "FOLDER")]
    draw: Option<PathBuf>,
    /// Folder in PASCAL VOC's layout whose split is detected, with --out
    #[arg(long, value_name = "FOLDER", requires = "out")]
    voc: Option<PathBuf>,
    /// Split of the VOC folder
    #[arg(long, default_value = "test")]
    split: String,
    /// COCO annotation file whose images are detected, with --out
    #[arg(long, value_name = "FILE", requires_all = ["out", "folder"])]
    coco: Option<PathBuf>,
    /// Folder of the COCO file's images
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Folder for VOC's result files, or COCO's result file; all scores are written
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    #[command(flatten)]
    machine: Machine,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    interrupt::listen();
    let device = arguments.machine.open()?;
    let detector = Detector::load(&arguments.model, device)?;
    match (&arguments.voc, &arguments.coco) {
        (None, None) => each(arguments, &detector),
        (voc, coco) => {
            let (voc, coco) = (voc.clone(), coco.clone());
            let (split, images) = (arguments.split.clone(), arguments.folder.clone());
            data_set(arguments, &detector, &Annotated { voc, split, coco, images })
        }
    }
}

/// One line per image; an image that cannot be read is named and left out.
fn each(arguments: &Arguments, detector: &Detector) -> Result<ExitCode> {
    let images = images(&arguments.images)?;
    let bar = progress::bar("detecting", images.len(), arguments.machine.quiet);
    let mut out = std::io::stdout().lock();
    let mut skipped = 0;
    for (place, path) in images.iter().enumerate() {
        if interrupt::asked() {
            bail!("stopped; the images printed so far are whole");
        }
        bar.inc(1);
        let (mut detections, [width, height]) = match detector.detect(path, place) {
            Ok(found) => found,
            Err(error) => {
                eprintln!("warning: {error}; skipped");
                skipped += 1;
                continue;
            }
        };
        detections.retain(|detection| detection.score >= arguments.least_score);
        let found: Vec<_> = detections.iter().map(|detection| line(detector, detection)).collect();
        writeln!(out, "{}", json!({"image": path, "width": width, "height": height, "detections": found}))?;
        if let Some(folder) = &arguments.draw {
            drawn(folder, path, &detections)?;
        }
    }
    bar.finish_and_clear();
    if skipped == images.len() {
        bail!("none of the {skipped} images could be read");
    }
    Ok(ExitCode::SUCCESS)
}

fn line(detector: &Detector, detection: &Detection) -> serde_json::Value {
    let round = |value: f64, digits: f64| (value * digits).round() / digits;
    let bbox = detection.bbox;
    let sides = [bbox.x0, bbox.y0, bbox.x1, bbox.y1].map(|side| round(side, 100.0));
    json!({"class": detector.settings.classes[detection.class], "score": round(detection.score, 1e4), "box": sides})
}

/// Colours of the classes in drawings.
const COLOURS: [[u8; 3]; 6] =
    [[230, 60, 50], [50, 120, 230], [40, 170, 80], [240, 170, 30], [160, 70, 200], [20, 180, 190]];

fn drawn(folder: &std::path::Path, path: &std::path::Path, detections: &[Detection]) -> Result<()> {
    common::files::make_folder(folder)?;
    let mut image = read_image(path)?;
    for detection in detections.iter().rev() {
        let colour = Rgb(COLOURS[detection.class % COLOURS.len()]);
        draw::rectangle(&mut image, &detection.bbox, colour);
    }
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Png)?;
    Ok(common::files::write_atomic(&folder.join(format!("{name}.png")), bytes.get_ref())?)
}

/// All detections of a data set in its own format.
fn data_set(arguments: &Arguments, detector: &Detector, annotated: &Annotated) -> Result<ExitCode> {
    let read = annotated.read()?;
    let dataset = read.dataset();
    let classes: Vec<Option<usize>> =
        detector.settings.classes.iter().map(|name| dataset.class(name)).collect();
    if classes.iter().all(Option::is_none) {
        let [own, theirs] = [&detector.settings.classes, &dataset.classes].map(|names| names.join(", "));
        bail!("the detector knows {own}, the data set {theirs}; expected a class in common");
    }
    let bar = progress::bar("detecting", dataset.pictures.len(), arguments.machine.quiet);
    let mut all = Vec::new();
    for (place, picture) in dataset.pictures.iter().enumerate() {
        if interrupt::asked() {
            bail!("stopped; nothing was written");
        }
        let (found, _) = detector.detect(&picture.file, place)?;
        let renamed = |found: Detection| Some(Detection { class: classes[found.class]?, ..found });
        all.extend(found.into_iter().filter_map(renamed));
        bar.inc(1);
    }
    bar.finish_and_clear();
    let out = arguments.out.as_deref().expect("clap asks for it");
    match &read {
        Read::Voc(dataset) => voc::write_detections(out, &annotated.split, dataset, &all)?,
        Read::Coco(numbered) => coco::write_results(out, &all, numbered)?,
    }
    eprintln!("{} detections in {}", all.len(), shown(out));
    Ok(ExitCode::SUCCESS)
}
