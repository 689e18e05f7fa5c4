//! From class labels and clicks, or from boxes, to what a detector learns from: one box per class and image.

use std::path::Path;

use rayon::prelude::*;
use thiserror::Error;

use crate::area_prior::AreaModel;
use crate::click_score::{Evidence, Widths};
use crate::dataset::Dataset;
use crate::edge_boxes;
use crate::features::Backbone;
use crate::formats::clicks::Clicks;
use crate::geometry::{BoundingBox, Point};
use crate::mil::{self, Bags, Localised, MilError, localise};
use crate::pipeline::{Described, PipelineError, describe};

/// What is known of the objects in an image of a class.
#[derive(Clone, Debug)]
pub enum Supervision<'a> {
    /// That they are there.
    Labels,
    /// Clicks; the area model is used where there are two.
    Clicks {
        /// By image and class.
        clicks: &'a Clicks,
        /// What two clicks say about the area; without it they give their mean only.
        area: Option<&'a AreaModel>,
    },
}

impl Supervision<'_> {
    /// What is known of a class in an image; an image without a click is known by its label.
    pub fn evidence(&self, picture: usize, class: usize) -> Evidence {
        let Self::Clicks { clicks, area } = self else { return Evidence::None };
        match (clicks.of(picture, class), area) {
            ([], _) => Evidence::None,
            ([one, two, ..], Some(area)) => area.evidence([*one, *two]),
            (all, _) => Evidence::Centre(mean(all)),
        }
    }
}

fn mean(points: &[Point]) -> Point {
    let n = points.len() as f64;
    Point { x: points.iter().map(|p| p.x).sum::<f64>() / n, y: points.iter().map(|p| p.y).sum::<f64>() / n }
}

/// Windows of a class that were chosen.
#[derive(Debug)]
pub struct OfClass {
    /// Images with the class, by place.
    pub images: Vec<usize>,
    /// What was found.
    pub found: Localised,
}

/// A class in which nothing can be learned.
#[derive(Debug, Error)]
#[error("class `{class}`: {source}")]
pub struct LearnError {
    class: String,
    source: MilError,
}

/// First windows of each image, for its classes in growing order.
pub fn first_windows(dataset: &Dataset, supervision: &Supervision<'_>) -> Vec<Vec<BoundingBox>> {
    let of_picture = |(place, picture): (usize, &crate::dataset::Picture)| {
        let window =
            |class: usize| supervision.evidence(place, class).first_window(picture.width, picture.height);
        picture.classes().into_iter().map(window).collect()
    };
    dataset.pictures.iter().enumerate().map(of_picture).collect()
}

/// Proposals and features of a data set and of its first windows, kept at `store`.
///
/// # Errors
/// [`PipelineError`].
pub fn described(
    dataset: &Dataset,
    supervision: &Supervision<'_>,
    backbone: &Backbone,
    edge_boxes: &edge_boxes::Config,
    most: usize,
    store: &Path,
    observe: impl FnMut(usize) -> bool,
) -> Result<Option<Described>, PipelineError> {
    let images: Vec<&Path> = dataset.pictures.iter().map(|picture| &*picture.file).collect();
    describe(&images, &first_windows(dataset, supervision), backbone, edge_boxes, most, store, observe)
}

/// Finds the objects of each class by multiple-instance learning; classes are independent of each other.
///
/// # Errors
/// [`LearnError`] naming the class.
pub fn localise_all(
    dataset: &Dataset,
    supervision: &Supervision<'_>,
    described: &Described,
    widths: Widths,
    config: &mil::Config,
    run_seed: u64,
) -> Result<Vec<OfClass>, LearnError> {
    let of_class = |class: usize| {
        let (images, negative): (Vec<usize>, Vec<usize>) =
            (0..dataset.pictures.len()).partition(|&place| dataset.pictures[place].has(class));
        let evidence: Vec<Evidence> =
            images.iter().map(|&place| supervision.evidence(place, class)).collect();
        let first = |&place: &usize| {
            let classes = dataset.pictures[place].classes();
            let at = classes.iter().position(|own| *own == class).expect("an image with the class");
            described.others[place][at].clone()
        };
        let first: Vec<Vec<f32>> = images.iter().map(first).collect();
        let bags = Bags {
            features: &described.features,
            proposals: &described.proposals,
            positive: &images,
            negative: &negative,
            evidence: &evidence,
            widths,
            first: &first,
        };
        let found = localise(&bags, config, run_seed)
            .map_err(|source| LearnError { class: dataset.classes[class].clone(), source })?;
        Ok(OfClass { images, found })
    };
    (0..dataset.classes.len()).into_par_iter().map(of_class).collect()
}

/// Box of each class in each image that was chosen last.
pub fn chosen_boxes(
    dataset: &Dataset,
    described: &Described,
    classes: &[OfClass],
) -> Vec<Vec<(usize, BoundingBox)>> {
    let mut objects = vec![Vec::new(); dataset.pictures.len()];
    for (class, of_class) in classes.iter().enumerate() {
        for (&image, chosen) in of_class.images.iter().zip(of_class.found.last()) {
            if let Some(proposal) = chosen {
                objects[image].push((class, described.proposals[image][*proposal].bbox));
            }
        }
    }
    objects
}

/// Boxes that were drawn, of objects that count: full supervision.
pub fn drawn_boxes(dataset: &Dataset) -> Vec<Vec<(usize, BoundingBox)>> {
    let of_picture = |picture: &crate::dataset::Picture| {
        picture
            .objects
            .iter()
            .filter(|object| object.counts())
            .map(|object| (object.class, object.bbox))
            .collect()
    };
    dataset.pictures.iter().map(of_picture).collect()
}
