//! COCO's twelve numbers, as `pycocotools` computes them.

use rayon::prelude::*;

use super::{Detection, by_score, mean_defined};
use crate::dataset::{Dataset, Object};

/// Overlaps: 0.50, 0.55 … 0.95.
const OVERLAPS: usize = 10;
/// Recalls: 0, 0.01 … 1.
const RECALLS: usize = 101;
/// Detections per image and class that count.
const MOST: [usize; 3] = [1, 10, 100];
/// Sizes of objects in square pixels: all, small, medium, large.
const AREAS: [[f64; 2]; 4] = [[0.0, 1e10], [0.0, 1024.0], [1024.0, 9216.0], [9216.0, 1e10]];

/// The twelve numbers; `None` where there is no object of the size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CocoScores {
    /// Mean over overlaps and classes of the average precision.
    pub ap: Option<f64>,
    /// At overlap 0.5.
    pub ap_50: Option<f64>,
    /// At overlap 0.75.
    pub ap_75: Option<f64>,
    /// Objects below 32², from there to 96², and above.
    pub ap_by_size: [Option<f64>; 3],
    /// Mean over overlaps and classes of the recall with 1, 10 and 100 detections per image and class.
    pub ar: [Option<f64>; 3],
    /// Recall with 100 detections, by size.
    pub ar_by_size: [Option<f64>; 3],
}

impl CocoScores {
    /// Names and values in COCO's order.
    pub fn named(&self) -> [(&'static str, Option<f64>); 12] {
        let [small, medium, large] = self.ap_by_size;
        let [one, ten, hundred] = self.ar;
        let [recall_small, recall_medium, recall_large] = self.ar_by_size;
        [
            ("AP", self.ap),
            ("AP50", self.ap_50),
            ("AP75", self.ap_75),
            ("AP small", small),
            ("AP medium", medium),
            ("AP large", large),
            ("AR 1", one),
            ("AR 10", ten),
            ("AR 100", hundred),
            ("AR small", recall_small),
            ("AR medium", recall_medium),
            ("AR large", recall_large),
        ]
    }
}

/// Precision at each recall and last recall of a class, by size and overlap; `None` where there is no object of the size.
struct OfClass {
    /// With 100 detections, `[size][overlap]`: mean over the recalls.
    precision: [Option<[f64; OVERLAPS]>; 4],
    /// `[size][most][overlap]`.
    recall: [Option<[[f64; OVERLAPS]; 3]>; 4],
}

/// What became of the detections of a class in an image, best first, for one size.
struct Matched {
    scores: Vec<f64>,
    /// `[overlap][detection]`.
    states: Vec<[State; OVERLAPS]>,
    wanted: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Right,
    Wrong,
    Ignored,
}

/// Scores of detections. Crowd regions are neither wanted nor wrong; what lies in one by more than the overlap (of the detection's
/// own area) is left out.
///
/// Equal to `pycocotools` 2.0, but for annotations with id 0, which it takes for no match.
pub fn coco(dataset: &Dataset, detections: &[Detection]) -> CocoScores {
    let n = dataset.classes.len();
    let mut by_class: Vec<Vec<&Detection>> = vec![Vec::new(); n];
    detections.iter().for_each(|detection| by_class[detection.class].push(detection));
    let classes: Vec<OfClass> =
        (0..n).into_par_iter().map(|class| of_class(dataset, class, &by_class[class])).collect();
    let precision = |size: usize, overlap: Option<usize>| {
        let values = |of: &OfClass| -> Vec<Option<f64>> {
            let all = of.precision[size];
            let chosen = |at: usize| overlap.is_none_or(|overlap| overlap == at);
            (0..OVERLAPS).filter(|&at| chosen(at)).map(|at| all.map(|all| all[at])).collect()
        };
        mean_defined(classes.iter().flat_map(values))
    };
    let recall = |size: usize, most: usize| {
        let values = |of: &OfClass| -> Vec<Option<f64>> {
            (0..OVERLAPS).map(|at| of.recall[size].map(|all| all[most][at])).collect()
        };
        mean_defined(classes.iter().flat_map(values))
    };
    CocoScores {
        ap: precision(0, None),
        ap_50: precision(0, Some(0)),
        ap_75: precision(0, Some(5)),
        ap_by_size: [1, 2, 3].map(|size| precision(size, None)),
        ar: [0, 1, 2].map(|most| recall(0, most)),
        ar_by_size: [1, 2, 3].map(|size| recall(size, 2)),
    }
}

fn of_class(dataset: &Dataset, class: usize, detections: &[&Detection]) -> OfClass {
    let mut by_picture: Vec<Vec<&Detection>> = vec![Vec::new(); dataset.pictures.len()];
    detections.iter().for_each(|detection| by_picture[detection.picture].push(detection));
    let mut sizes: [Vec<Matched>; 4] = Default::default();
    for (picture, detections) in dataset.pictures.iter().zip(&by_picture) {
        let objects: Vec<&Object> = picture.objects.iter().filter(|object| object.class == class).collect();
        if objects.is_empty() && detections.is_empty() {
            continue;
        }
        let scores: Vec<f64> = detections.iter().map(|detection| detection.score).collect();
        let best = by_score(&scores).into_iter().take(MOST[2]);
        let detections: Vec<&Detection> = best.map(|place| detections[place as usize]).collect();
        let overlaps = overlaps(&detections, &objects);
        for (size, matched) in sizes.iter_mut().enumerate() {
            matched.push(matches(&detections, &objects, &overlaps, AREAS[size]));
        }
    }
    let mut of = OfClass { precision: [None; 4], recall: [None; 4] };
    for (size, matched) in sizes.iter().enumerate() {
        let wanted: usize = matched.iter().map(|matched| matched.wanted).sum();
        if wanted == 0 {
            continue;
        }
        let curves = MOST.map(|most| curves(matched, wanted, most));
        of.precision[size] = Some(curves[2].map(|(precision, _)| precision));
        of.recall[size] = Some(curves.map(|curves| curves.map(|(_, recall)| recall)));
    }
    of
}

/// `[detection][object]`; of a crowd region the share of the detection that lies in it.
fn overlaps(detections: &[&Detection], objects: &[&Object]) -> Vec<Vec<f64>> {
    let of = |detection: &Detection, object: &Object| {
        let shared = detection.bbox.intersection(&object.bbox);
        let own = detection.bbox.area();
        let union = if object.crowd { own } else { own + object.bbox.area() - shared };
        if shared > 0.0 { shared / union } else { 0.0 }
    };
    detections.iter().map(|detection| objects.iter().map(|object| of(detection, object)).collect()).collect()
}

/// Gives each detection, best first, the free object that it overlaps most. Objects that count come before those that do not.
fn matches(detections: &[&Detection], objects: &[&Object], overlaps: &[Vec<f64>], area: [f64; 2]) -> Matched {
    let outside = |size: f64| size < area[0] || size > area[1];
    let ignored: Vec<bool> = objects.iter().map(|object| object.crowd || outside(object.area)).collect();
    let mut order: Vec<usize> = (0..objects.len()).collect();
    order.sort_by_key(|&place| ignored[place]);
    let mut states = vec![[State::Wrong; OVERLAPS]; detections.len()];
    for (at, least) in (0..OVERLAPS).map(threshold).enumerate() {
        let mut taken = vec![false; objects.len()];
        for (place, detection) in detections.iter().enumerate() {
            let mut best: Option<usize> = None;
            let mut overlap = least.min(1.0 - 1e-10);
            for &object in &order {
                if taken[object] && !objects[object].crowd {
                    continue;
                }
                if best.is_some_and(|best| !ignored[best]) && ignored[object] {
                    break;
                }
                if overlaps[place][object] >= overlap {
                    overlap = overlaps[place][object];
                    best = Some(object);
                }
            }
            states[place][at] = match best {
                Some(object) => {
                    taken[object] = true;
                    if ignored[object] { State::Ignored } else { State::Right }
                }
                None if outside(detection.bbox.area()) => State::Ignored,
                None => State::Wrong,
            };
        }
    }
    let scores = detections.iter().map(|detection| detection.score).collect();
    Matched { scores, states, wanted: ignored.iter().filter(|ignored| !**ignored).count() }
}

fn threshold(at: usize) -> f64 {
    if at + 1 == OVERLAPS { 0.95 } else { at as f64 * ((0.95 - 0.5) / 9.0) + 0.5 }
}

/// Mean of the precision at the recalls, and the last recall, at each overlap.
fn curves(matched: &[Matched], wanted: usize, most: usize) -> [(f64, f64); OVERLAPS] {
    let (mut scores, mut states) = (Vec::new(), Vec::new());
    for matched in matched {
        let n = matched.scores.len().min(most);
        scores.extend_from_slice(&matched.scores[..n]);
        states.extend_from_slice(&matched.states[..n]);
    }
    let order = by_score(&scores);
    std::array::from_fn(|at| {
        let (mut right, mut wrong) = (0.0, 0.0);
        let mut curve: Vec<[f64; 2]> = Vec::with_capacity(order.len());
        for &place in &order {
            match states[place as usize][at] {
                State::Right => right += 1.0,
                State::Wrong => wrong += 1.0,
                State::Ignored => {}
            }
            curve.push([right / wanted as f64, right / (wrong + right + f64::EPSILON)]);
        }
        for place in (1..curve.len()).rev() {
            curve[place - 1][1] = curve[place - 1][1].max(curve[place][1]);
        }
        let mut place = 0;
        let mut sum = 0.0;
        for recall in 0..RECALLS {
            let recall = if recall + 1 == RECALLS { 1.0 } else { recall as f64 * 0.01 };
            place += curve[place..].partition_point(|point| point[0] < recall);
            let Some(point) = curve.get(place) else { break };
            sum += point[1];
        }
        (sum / RECALLS as f64, curve.last().map_or(0.0, |point| point[0]))
    })
}
