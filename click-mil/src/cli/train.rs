//! `train`: a detector from class labels and clicks, or from boxes.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use common::nn::vision::TrunkName;
use common::torch_file::TorchFile;
use common::{files, interrupt, progress, seed};

use super::source::{Annotated, EdgeBoxes, Machine, shown};
use crate::area_prior::{AreaModel, Sides};
use crate::click_score::Widths;
use crate::dataset::{Dataset, Object};
use crate::deep_mil;
use crate::detector::{Detector, Settings};
use crate::evaluate::{corloc, mean_defined};
use crate::fast_rcnn::{self, Head, Training};
use crate::features::{Backbone, Config as FeatureConfig, Pixels};
use crate::formats::clicks::{self, Clicks};
use crate::formats::coco;
use crate::geometry::BoundingBox;
use crate::learn::{Supervision, chosen_boxes, described, drawn_boxes, localise_all};
use crate::mil;
use crate::simulate::ErrorModel;

/// Pairs of simulated clicks behind the area model.
const PAIRS: usize = 20_000;

/// Options of `train`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    annotated: Annotated,
    /// Clicks on object centres (CSV, JSON, VOC XML with points, or text); without them class labels alone are used
    #[arg(long, value_name = "FILE")]
    clicks: Option<PathBuf>,
    /// Learn from the boxes themselves: full supervision
    #[arg(long, conflicts_with = "clicks")]
    boxes: bool,
    /// Weights of the network in torchvision's names: safetensors, or a `.pth` of torchvision
    #[arg(long, value_name = "FILE")]
    network: PathBuf,
    /// Values of pixels that the weights want [default: torchvision for a `.pth`; for safetensors caffe with SqueezeNet, else torchvision]
    #[arg(long, value_enum)]
    pixels: Option<PixelsOf>,
    /// squeezenet1_1, alexnet, vgg16, resnet18, resnet34, resnet50 or resnet101
    #[arg(long, default_value = "squeezenet1_1")]
    network_name: TrunkName,
    /// Folder for the detector
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Proposals per image at most
    #[arg(long, default_value_t = 600)]
    proposals: usize,
    /// Standard deviation of the box-centre score in pixels [default: 25 with one click, 20 with two]
    #[arg(long, value_name = "PIXELS")]
    sigma: Option<f64>,
    /// Use the distance of two clicks as a sign of the area, with sides of objects from LOW to HIGH pixels
    #[arg(long, value_name = "LOW,HIGH", value_delimiter = ',', requires = "clicks")]
    area: Option<Vec<f64>>,
    /// Folds of the multiple-instance learning; 1 has none
    #[arg(long, default_value_t = 10)]
    folds: usize,
    /// Its iterations at most
    #[arg(long, default_value_t = 10)]
    iterations: usize,
    /// Leave objectness out of the score
    #[arg(long)]
    no_objectness: bool,
    /// Further iterations in which Fast R-CNN judges the proposals (Deep MIL); the paper makes 2
    #[arg(long, default_value_t = 0, conflicts_with = "boxes")]
    deep_iterations: usize,
    /// Folds of these iterations; 1 has none
    #[arg(long, default_value_t = 2)]
    deep_folds: usize,
    /// Steps of the detector's training
    #[arg(long, default_value_t = 2000)]
    steps: usize,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    edge_boxes: EdgeBoxes,
    #[command(flatten)]
    machine: Machine,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PixelsOf {
    /// 0 to 255, blue first, less Caffe's mean
    Caffe,
    /// 0 to 1, less torchvision's mean, over its deviation
    Torchvision,
}

fn pixels(arguments: &Arguments) -> Pixels {
    match arguments.pixels {
        Some(PixelsOf::Caffe) => Pixels::Caffe,
        Some(PixelsOf::Torchvision) => Pixels::Torchvision,
        None if TorchFile::recognises(&arguments.network) => Pixels::Torchvision,
        None => Pixels::OfNetwork,
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    interrupt::listen();
    let edge_boxes = arguments.edge_boxes.config()?;
    let device = arguments.machine.open()?;
    let read = arguments.annotated.read()?;
    let dataset = read.dataset();
    let clicks = match &arguments.clicks {
        Some(path) => Some(Clicks::placed(path, &clicks::read(path)?, dataset)?),
        None => None,
    };
    let area = area_model(arguments)?;
    let supervision = match &clicks {
        Some(clicks) => Supervision::Clicks { clicks, area: area.as_ref() },
        None => Supervision::Labels,
    };
    let widths = widths(arguments, &clicks, area.as_ref())?;
    let features = FeatureConfig { pixels: pixels(arguments), ..FeatureConfig::usual() };
    let backbone = Backbone::read(&arguments.network, arguments.network_name, features, device)?;
    files::make_folder(&arguments.out)?;
    let quiet = arguments.machine.quiet;
    let bar = progress::bar("proposals and features", dataset.pictures.len(), quiet);
    let store = arguments.out.join("features.bin");
    let observe = |done: usize| {
        bar.set_position(done as u64);
        !interrupt::asked()
    };
    let described =
        described(dataset, &supervision, &backbone, &edge_boxes, arguments.proposals, &store, observe)?;
    bar.finish_and_clear();
    let Some(described) = described else { bail!("stopped; nothing was written") };
    let head = fast_rcnn::Config { steps: arguments.steps, ..fast_rcnn::Config::usual() };
    let objects = if arguments.boxes {
        drawn_boxes(dataset)
    } else {
        let config = mil::Config {
            folds: arguments.folds,
            iterations: arguments.iterations,
            objectness: !arguments.no_objectness,
            ..mil::Config::usual()
        };
        let mut found = localise_all(dataset, &supervision, &described, widths, &config, arguments.seed)?;
        let config = deep_mil::Config {
            iterations: arguments.deep_iterations,
            folds: arguments.deep_folds,
            objectness: !arguments.no_objectness,
            head,
        };
        let known = deep_mil::Known { dataset, supervision: &supervision, described: &described, widths };
        deep_mil::go_on(&known, &mut found, &config, arguments.seed, device)?;
        chosen_boxes(dataset, &described, &found)
    };
    report(dataset, &objects, arguments)?;
    let images: Vec<usize> = (0..dataset.pictures.len()).collect();
    let training = Training {
        features: &described.features,
        proposals: &described.proposals,
        images: &images,
        objects: &objects,
        classes: dataset.classes.len(),
    };
    let trained = Head::train(&training, &head, arguments.seed, device)?;
    let settings = Settings {
        schema: 1,
        classes: dataset.classes.clone(),
        network: arguments.network_name.name().to_owned(),
        features,
        edge_boxes,
        proposals: arguments.proposals,
        head,
    };
    Detector::new(settings, backbone, trained).save(&arguments.out)?;
    drop(described);
    // Only training needs them.
    std::fs::remove_file(&store)?;
    eprintln!("detector of {} classes in {}", dataset.classes.len(), shown(&arguments.out));
    Ok(ExitCode::SUCCESS)
}

fn area_model(arguments: &Arguments) -> Result<Option<AreaModel>> {
    let Some(sides) = arguments.area.as_deref() else { return Ok(None) };
    let [low, high] = sides else { bail!("--area has {} numbers; expected LOW,HIGH", sides.len()) };
    if !(*low >= 1.0 && high > low) {
        bail!("--area {low},{high}; expected the smallest and the largest side in pixels");
    }
    let mut rng = seed::rng(arguments.seed, "area", 0);
    let model = AreaModel::simulated(&ErrorModel::usual(), Sides::Uniform(*low, *high), PAIRS, &mut rng)?;
    Ok(Some(model))
}

fn widths(arguments: &Arguments, clicks: &Option<Clicks>, area: Option<&AreaModel>) -> Result<Widths> {
    let two = clicks.as_ref().is_some_and(Clicks::has_pairs);
    if arguments.area.is_some() && !two {
        bail!("--area needs two clicks per class and image; the file has one");
    }
    let centre_px = arguments.sigma.unwrap_or(if two { 20.0 } else { 25.0 });
    if !(centre_px.is_finite() && centre_px > 0.0) {
        bail!("--sigma {centre_px}; expected a positive number of pixels");
    }
    Ok(Widths { centre_px, log_area: area.map_or(1.0, |area| area.residual) })
}

/// Writes the boxes that the detector learns from, and says how many overlap the drawn ones by half.
fn report(dataset: &Dataset, objects: &[Vec<(usize, BoundingBox)>], arguments: &Arguments) -> Result<()> {
    let mut windows = dataset.clone();
    for (picture, objects) in windows.pictures.iter_mut().zip(objects) {
        picture.objects = objects.iter().map(|&(class, bbox)| Object::new(class, bbox)).collect();
    }
    coco::write(&arguments.out.join("windows.json"), &windows)?;
    if arguments.boxes {
        return Ok(());
    }
    let chosen = |picture: usize, class: usize| {
        objects[picture].iter().find(|object| object.0 == class).map(|object| object.1)
    };
    let shares = corloc(dataset, 0.5, chosen);
    let text = |share: Option<f64>| share.map_or("—".to_owned(), |share| format!("{share:.3}"));
    let each: Vec<String> =
        dataset.classes.iter().zip(&shares).map(|(name, share)| format!("{name} {}", text(*share))).collect();
    eprintln!("CorLoc {} ({})", text(mean_defined(shares.iter().copied())), each.join(", "));
    Ok(())
}
