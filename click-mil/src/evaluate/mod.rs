//! Scores of detectors and localisers: PASCAL VOC's average precision, COCO's twelve numbers, CorLoc.

mod coco;
mod voc;

pub use coco::{CocoScores, coco};
pub use voc::{AveragePrecision, VocScores, voc};

use crate::dataset::{Dataset, Object};
use crate::geometry::BoundingBox;

/// A detected box.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// Place of the image in the data set.
    pub picture: usize,
    /// Place of the class in the data set's list.
    pub class: usize,
    /// Where.
    pub bbox: BoundingBox,
    /// Confidence; only its order counts.
    pub score: f64,
}

/// Share of the images with a class in which the chosen box overlaps some object of the class by at least half, for each class;
/// `None` for a class without any image. Objects marked difficult count neither as wanted nor as found (VOC's habit).
///
/// `chosen` gives the box of a class in an image, by place; an image for which it gives none counts as missed.
/// Source: Papadopoulos et al. 2017, section 5 (after Deselaers et al. 2010).
pub fn corloc(
    dataset: &Dataset,
    overlap: f64,
    chosen: impl Fn(usize, usize) -> Option<BoundingBox>,
) -> Vec<Option<f64>> {
    let counts = |class: usize| {
        let (mut images, mut hits) = (0_u32, 0_u32);
        for (place, picture) in dataset.pictures.iter().enumerate() {
            let wanted = |object: &&Object| object.class == class && object.counts();
            let mut objects = picture.objects.iter().filter(wanted).peekable();
            if objects.peek().is_none() {
                continue;
            }
            images += 1;
            let found = chosen(place, class);
            hits += u32::from(
                found.is_some_and(|found| objects.any(|object| object.bbox.iou(&found) >= overlap)),
            );
        }
        (images > 0).then(|| f64::from(hits) / f64::from(images))
    };
    (0..dataset.classes.len()).map(counts).collect()
}

/// Mean of the defined values; `None` without any.
pub fn mean_defined(values: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    let defined: Vec<f64> = values.into_iter().flatten().collect();
    (!defined.is_empty()).then(|| defined.iter().sum::<f64>() / defined.len() as f64)
}

/// Places of detections by falling score; equal ones keep their order.
fn by_score(scores: &[f64]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]));
    order
}
