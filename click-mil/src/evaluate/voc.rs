//! PASCAL VOC's average precision.
//!
//! VOC counts pixels inclusively (`xmax − xmin + 1`). Boxes here are end exclusive, which is the same number without the 1, so
//! that one IoU serves both conventions.

use rayon::prelude::*;

use super::{Detection, by_score, mean_defined};
use crate::dataset::{Dataset, Object};

/// Average precision of a class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AveragePrecision {
    /// VOC 2007: mean of the best precision at recall of at least 0, 0.1 … 1.
    pub eleven_point: f64,
    /// From VOC 2010 on: area under the curve of the best precision at each recall or a higher one.
    pub area: f64,
}

/// Average precisions at one overlap.
#[derive(Clone, Debug, PartialEq)]
pub struct VocScores {
    /// Of each class of the data set; `None` for one without any object that counts.
    pub classes: Vec<Option<AveragePrecision>>,
}

impl VocScores {
    /// Mean over classes of the 11-point form.
    pub fn mean_eleven_point(&self) -> Option<f64> {
        mean_defined(self.classes.iter().map(|class| class.map(|ap| ap.eleven_point)))
    }

    /// Mean over classes of the area.
    pub fn mean_area(&self) -> Option<f64> {
        mean_defined(self.classes.iter().map(|class| class.map(|ap| ap.area)))
    }
}

/// Average precision of each class: detections by falling score, each takes the object that it overlaps most; it is right if that
/// overlap is at least `overlap` and nothing took the object before. Objects that are difficult are neither wanted nor wrong.
/// Source: VOC development kit, `VOCevaldet.m`.
pub fn voc(dataset: &Dataset, detections: &[Detection], overlap: f64) -> VocScores {
    let of_class = |class: usize| {
        let own: Vec<&Detection> = detections.iter().filter(|detection| detection.class == class).collect();
        class_precision(dataset, class, &own, overlap)
    };
    VocScores { classes: (0..dataset.classes.len()).into_par_iter().map(of_class).collect() }
}

fn class_precision(
    dataset: &Dataset,
    class: usize,
    detections: &[&Detection],
    overlap: f64,
) -> Option<AveragePrecision> {
    let own = |objects: &[Object]| -> Vec<Object> {
        objects.iter().filter(|object| object.class == class).cloned().collect()
    };
    let objects: Vec<Vec<Object>> = dataset.pictures.iter().map(|picture| own(&picture.objects)).collect();
    let wanted = objects.iter().flatten().filter(|object| object.counts()).count();
    if wanted == 0 {
        return None;
    }
    let mut taken: Vec<Vec<bool>> = objects.iter().map(|objects| vec![false; objects.len()]).collect();
    let scores: Vec<f64> = detections.iter().map(|detection| detection.score).collect();
    let (mut right, mut wrong, mut curve) = (0_u32, 0_u32, Vec::new());
    for place in by_score(&scores) {
        let detection = detections[place as usize];
        let here = &objects[detection.picture];
        let mut best = (f64::NEG_INFINITY, 0);
        for (at, object) in here.iter().enumerate() {
            let iou = object.bbox.iou(&detection.bbox);
            if iou > best.0 {
                best = (iou, at);
            }
        }
        if best.0 >= overlap {
            if !here[best.1].counts() {
                continue;
            }
            let taken = &mut taken[detection.picture][best.1];
            if *taken {
                wrong += 1
            } else {
                right += 1
            }
            *taken = true;
        } else {
            wrong += 1;
        }
        curve.push([f64::from(right) / wanted as f64, f64::from(right) / f64::from(right + wrong)]);
    }
    Some(AveragePrecision { eleven_point: eleven_point(&curve), area: area(curve) })
}

/// Mean of the best precision at or beyond eleven recalls.
fn eleven_point(curve: &[[f64; 2]]) -> f64 {
    let best = |tenth: u32| {
        // 3 × 0.1 is a little more than 0.3: so it is in the development kit.
        let recall = f64::from(tenth) * 0.1;
        curve.iter().filter(|point| point[0] >= recall).map(|point| point[1]).fold(0.0, f64::max)
    };
    (0..=10).map(best).sum::<f64>() / 11.0
}

/// Area under the curve after each precision is raised to the best at its recall or beyond.
fn area(mut curve: Vec<[f64; 2]>) -> f64 {
    for at in (1..curve.len()).rev() {
        curve[at - 1][1] = curve[at - 1][1].max(curve[at][1]);
    }
    let mut before = 0.0;
    let mut area = 0.0;
    for [recall, precision] in curve {
        area += (recall - before) * precision;
        before = recall;
    }
    area
}
