//! The windows of an arm: by multiple-instance learning, by clicks alone, at random, or drawn.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use common::seed;
use common::stats;
use rand::Rng;
use rand::seq::SliceRandom;

use super::arms::{Area, Arm, Choice, Known, Share};
use super::design::{Job, Set};
use super::work::{BOX_S, CLICK_S};
use super::world::World;
use crate::area_prior::{AreaModel, Sides};
use crate::click_score::{Evidence, Widths, expected_width};
use crate::edge_boxes;
use crate::formats::clicks::Clicks;
use crate::geometry::{BoundingBox, Point};
use crate::mil::{self, Bags, localise};
use crate::simulate::{self, ErrorModel, Instance};

/// Simulated pairs behind an area model.
const PAIRS: usize = 20_000;
/// Width of the area score where the true area is known: proposals are that far apart. Ours.
const ORACLE_WIDTH: f64 = 0.3;

/// A window that a detector learns from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Window {
    /// A proposal of the image, by place.
    Proposal(usize),
    /// A drawn box.
    Drawn(BoundingBox),
}

/// Windows by image and class.
#[derive(Debug)]
pub(super) struct Windows {
    /// Proposals after each iteration, by image and class.
    chosen: Vec<BTreeMap<(usize, usize), BoundingBox>>,
    /// What detectors learn from: image, class, window.
    pub(super) last: Vec<(usize, usize, Window)>,
    /// Images that are annotated.
    pub(super) images: Vec<usize>,
    /// Clicks that people made.
    pub(super) clicks: usize,
    /// Boxes that people drew.
    pub(super) drawn: usize,
    /// Width of the box-centre score.
    pub(super) sigma_px: f64,
    /// Mean distance of the clicks from the centre of the nearest object of their class.
    pub(super) click_error_px: Option<f64>,
}

impl Windows {
    /// Iterations, at least one.
    pub(super) fn iterations(&self) -> usize {
        self.chosen.len()
    }

    /// Window of a class in an image after an iteration.
    pub(super) fn of(&self, iteration: usize, picture: usize, class: usize) -> Option<BoundingBox> {
        self.chosen[iteration].get(&(picture, class)).copied()
    }

    /// Class and box of the windows of an image.
    pub(super) fn objects(&self, world: &World, picture: usize) -> Vec<(usize, BoundingBox)> {
        let bbox = |window: &Window| match *window {
            Window::Proposal(at) => world.proposals[picture][at].bbox,
            Window::Drawn(bbox) => bbox,
        };
        let own = self.last.iter().filter(|(image, ..)| *image == picture);
        own.map(|(_, class, window)| (*class, bbox(window))).collect()
    }
}

/// The windows of an arm.
///
/// # Errors
/// A class in which nothing can be learned.
pub(super) fn of(world: &World, job: &Job, arm: &Arm) -> Result<Windows> {
    if arm.known == Known::Boxes {
        return Ok(drawn(world, job, arm.share));
    }
    let clues = Clues::new(world, job, arm)?;
    let mut windows = Windows {
        chosen: Vec::new(),
        last: Vec::new(),
        images: (0..world.dataset.pictures.len()).collect(),
        clicks: clues.clicks.len(),
        drawn: 0,
        sigma_px: clues.widths.centre_px,
        click_error_px: clues.error(),
    };
    for class in 0..world.dataset.classes.len() {
        let chosen = match arm.choice {
            Choice::Mil => by_learning(&clues, job, class)?,
            Choice::ClickOnly => vec![by_clicks(&clues, class)],
            Choice::Random => vec![at_random(world, job, class)],
        };
        windows.add(world, class, &chosen, job.sizes.iterations);
    }
    Ok(windows)
}

impl Windows {
    /// Adds the windows of a class; a search that ended early stays as it was.
    fn add(&mut self, world: &World, class: usize, chosen: &[Vec<Option<usize>>], iterations: usize) {
        let iterations = if chosen.len() == 1 { self.chosen.len().max(1) } else { iterations };
        self.chosen.resize_with(self.chosen.len().max(iterations), BTreeMap::new);
        let (images, _) = world.sides_of(class);
        for (iteration, windows) in self.chosen.iter_mut().enumerate() {
            for (&image, choice) in images.iter().zip(&chosen[iteration.min(chosen.len() - 1)]) {
                if let Some(at) = choice {
                    windows.insert((image, class), world.proposals[image][*at].bbox);
                }
            }
        }
        let last = images.iter().zip(chosen.last().into_iter().flatten());
        self.last.extend(last.filter_map(|(&image, at)| Some((image, class, Window::Proposal((*at)?)))));
    }
}

/// Clicks of an arm for a class in an image.
///
/// # Errors
/// As [`of`].
pub(super) fn clicks_of(
    world: &World,
    job: &Job,
    arm: &Arm,
    picture: usize,
    class: usize,
) -> Result<Vec<Point>> {
    Ok(Clues::new(world, job, arm)?.clicks.of(picture, class).to_vec())
}

/// What is known about the objects besides the labels.
struct Clues<'a> {
    world: &'a World,
    arm: &'a Arm,
    clicks: Clicks,
    area: Option<AreaModel>,
    widths: Widths,
}

impl<'a> Clues<'a> {
    fn new(world: &'a World, job: &Job, arm: &'a Arm) -> Result<Self> {
        let model = ErrorModel { relative: arm.error, ..ErrorModel::usual() };
        let dataset = &world.dataset;
        let made = simulate::clicks(dataset, &model, Instance::Uniform, arm.clicks(), job.click_seed);
        let clicks = Clicks::placed(Path::new("simulated clicks"), &made, dataset)?;
        let area = (arm.clicks() > 1).then(|| area_model(&job.set, &model, arm.area)).transpose()?;
        let alpha = f64::from(edge_boxes::Config::authors().alpha);
        let expected = expected_width(&model, job.set.sides(), alpha, arm.clicks());
        let log_area = match (arm.area, &area) {
            (Area::Oracle, _) => ORACLE_WIDTH,
            (Area::Narrow | Area::Broad, Some(model)) => model.residual,
            // Every area is as likely.
            _ => f64::INFINITY,
        };
        let widths = Widths { centre_px: arm.sigma_px.unwrap_or(expected), log_area };
        Ok(Self { world, arm, clicks, area, widths })
    }

    fn evidence(&self, picture: usize, class: usize) -> Evidence {
        match (self.arm.known, self.clicks.of(picture, class)) {
            (Known::Middle, _) => {
                let size = &self.world.dataset.pictures[picture];
                Evidence::Centre(Point { x: f64::from(size.width) / 2.0, y: f64::from(size.height) / 2.0 })
            }
            (_, [one]) => Evidence::Centre(*one),
            (_, [one, two, ..]) => {
                let model = self.area.as_ref().expect("arms of two clicks have a model");
                self.with_truth(model.evidence([*one, *two]), picture, class)
            }
            _ => Evidence::None,
        }
    }

    /// With the true area of the nearest object, where the arm is told.
    fn with_truth(&self, evidence: Evidence, picture: usize, class: usize) -> Evidence {
        let Evidence::CentreAndArea { centre, .. } = evidence else { return evidence };
        if self.arm.area != Area::Oracle {
            return evidence;
        }
        let nearest = self.world.objects(picture, class).min_by(|a, b| {
            let distance = |bbox: &BoundingBox| bbox.centre().distance(&centre);
            distance(&a.bbox).total_cmp(&distance(&b.bbox))
        });
        match nearest {
            Some(object) => Evidence::CentreAndArea { centre, log_area: object.bbox.area().max(1.0).ln() },
            None => evidence,
        }
    }

    /// Mean distance of the clicks from the nearest object of their class, in pixels.
    fn error(&self) -> Option<f64> {
        let mut errors = Vec::new();
        for picture in 0..self.world.dataset.pictures.len() {
            for class in 0..self.world.dataset.classes.len() {
                for click in self.clicks.of(picture, class) {
                    let distances =
                        self.world.objects(picture, class).map(|object| object.bbox.centre().distance(click));
                    errors.push(distances.fold(f64::INFINITY, f64::min));
                }
            }
        }
        stats::mean(&errors)
    }
}

fn area_model(set: &Set, model: &ErrorModel, area: Area) -> Result<AreaModel> {
    let [low, high] = set.sides_px;
    let sides = match area {
        // From a twentieth of the largest image's side up to it.
        Area::Broad => Sides::LogUniform(20.0, 400.0),
        _ => Sides::Uniform(low, high),
    };
    Ok(AreaModel::simulated(model, sides, PAIRS, &mut seed::rng(0, "area", 0))?)
}

fn by_learning(clues: &Clues<'_>, job: &Job, class: usize) -> Result<Vec<Vec<Option<usize>>>> {
    let world = clues.world;
    let (positive, negative) = world.sides_of(class);
    let evidence: Vec<Evidence> = positive.iter().map(|&picture| clues.evidence(picture, class)).collect();
    let first = positive.iter().zip(&evidence).map(|(&picture, evidence)| {
        let size = &world.dataset.pictures[picture];
        let window = evidence.first_window(size.width, size.height);
        Ok(world.describe(picture, &[window])?.remove(0))
    });
    let first = first.collect::<Result<Vec<_>>>()?;
    let bags = Bags {
        features: &world.features,
        proposals: &world.proposals,
        positive: &positive,
        negative: &negative,
        evidence: &evidence,
        widths: clues.widths,
        first: &first,
    };
    let name = &world.dataset.classes[class];
    let found = localise(&bags, &mil_config(job, clues.arm), run_seed(job, class));
    Ok(found.with_context(|| format!("class `{name}`"))?.chosen)
}

/// Settings of multiple-instance learning.
pub(super) fn mil_config(job: &Job, arm: &Arm) -> mil::Config {
    mil::Config {
        folds: if arm.folds { job.sizes.folds } else { 1 },
        iterations: job.sizes.iterations,
        objectness: arm.objectness,
        ..mil::Config::usual()
    }
}

/// Seed of folds and negatives: each click seed has its own, so that runs of different click seeds share nothing.
pub(super) fn run_seed(job: &Job, class: usize) -> u64 {
    seed::derive(job.click_seed, &format!("folds {}", job.fold_seed), class as u64)
}

/// The best product of objectness and what the clicks say.
fn by_clicks(clues: &Clues<'_>, class: usize) -> Vec<Option<usize>> {
    let (positive, _) = clues.world.sides_of(class);
    let best = |&picture: &usize| {
        let proposals = &clues.world.proposals[picture];
        let evidence = clues.evidence(picture, class);
        let score =
            |at: usize| f64::from(proposals[at].score) * evidence.score(&proposals[at].bbox, clues.widths);
        (0..proposals.len()).max_by(|&a, &b| score(a).total_cmp(&score(b)).then(b.cmp(&a)))
    };
    positive.iter().map(best).collect()
}

fn at_random(world: &World, job: &Job, class: usize) -> Vec<Option<usize>> {
    let mut rng = seed::rng(run_seed(job, class), "random windows", 0);
    let any = |&picture: &usize| {
        let n = world.proposals[picture].len();
        (n > 0).then(|| rng.random_range(0..n))
    };
    world.sides_of(class).0.iter().map(any).collect()
}

/// All objects of as many images as are annotated, in an order that the seeds draw.
fn drawn(world: &World, job: &Job, share: Share) -> Windows {
    let pictures = &world.dataset.pictures;
    let n = pictures.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.shuffle(&mut seed::rng(run_seed(job, 0), "annotated", 0));
    let boxes = |picture: usize| pictures[picture].objects.iter().filter(|object| object.counts());
    let count = match share {
        Share::All => n,
        Share::Images(share) => (share * n as f64).round() as usize,
        Share::TimeOfClicks(clicks) => {
            let asked: usize = pictures.iter().map(|picture| picture.classes().len()).sum();
            let mut left = CLICK_S * f64::from(clicks) * asked as f64;
            let fits = |&&picture: &&usize| {
                left -= BOX_S * boxes(picture).count() as f64;
                left >= 0.0
            };
            order.iter().take_while(fits).count()
        }
    };
    let mut images = order[..count].to_vec();
    images.sort_unstable();
    let of_image = |&image: &usize| {
        boxes(image).map(move |object| (image, object.class, Window::Drawn(object.bbox))).collect::<Vec<_>>()
    };
    let last: Vec<(usize, usize, Window)> = images.iter().flat_map(of_image).collect();
    Windows {
        chosen: vec![],
        drawn: last.len(),
        last,
        images,
        clicks: 0,
        sigma_px: 0.0,
        click_error_px: None,
    }
}
