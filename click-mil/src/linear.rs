//! Linear detectors, as R-CNN ends with (Girshick et al. 2014): one machine per class on the features of proposals, trained from any
//! windows. Negatives are proposals of all images that overlap no window of the class by 0.3 or more. Boxes are the proposals themselves.

use std::collections::HashSet;

use crate::edge_boxes::Proposal;
use crate::evaluate::Detection;
use crate::features::FeatureStore;
use crate::geometry::BoundingBox;
use crate::mil;
use crate::negatives::{Negatives, Source};
use crate::nms::thin_out;
use crate::svm::{self, Examples, Svm, SvmError};

/// What a machine of a class learns from.
#[derive(Clone, Debug, Default)]
pub struct ClassWindows {
    /// Features of windows with an object, a row each.
    pub positive: Vec<Vec<f32>>,
    /// Images whose proposals are the negatives, by place.
    pub negative: Vec<usize>,
    /// Proposals of these images that are none, by image and place: those on an object.
    pub kept_out: HashSet<(usize, usize)>,
}

impl ClassWindows {
    /// Keeps proposals of an image out of the negatives where they overlap `object`, a window of the class, by 0.3 or more (Girshick
    /// et al. 2014, section 2.3).
    pub fn keep_out(&mut self, image: usize, proposals: &[Proposal], object: &BoundingBox) {
        let on_object = |(_, proposal): &(usize, &Proposal)| proposal.bbox.iou(object) >= BACKGROUND_BELOW;
        self.kept_out.extend(proposals.iter().enumerate().filter(on_object).map(|(place, _)| (image, place)));
    }
}

/// Overlap with every object of the class below which a proposal is background. Girshick et al. 2014: 0.3.
const BACKGROUND_BELOW: f64 = 0.3;

/// One machine per class; none for a class that could not be learned, which is never found.
#[derive(Clone, Debug)]
pub struct LinearDetector {
    machines: Vec<Option<Svm>>,
}

impl LinearDetector {
    /// Trains a machine for each class that has windows and negatives: on random negatives, then `rounds` times with the
    /// highest-scoring ones as well. Numbers of negatives and the machine's settings are those of `config`.
    ///
    /// # Errors
    /// [`SvmError`].
    pub fn train(
        features: &FeatureStore,
        classes: &[ClassWindows],
        config: &mil::Config,
        rounds: usize,
        run_seed: u64,
    ) -> Result<Self, SvmError> {
        let train = |class: &ClassWindows| {
            let windows = class.negative.iter().map(|&image| features.rows(image)).sum::<usize>();
            let learnable = !class.positive.is_empty() && windows > 0;
            learnable.then(|| machine(features, class, config, rounds, run_seed)).transpose()
        };
        Ok(Self { machines: classes.iter().map(train).collect::<Result<_, _>>()? })
    }

    /// Detections among the proposals of an image of `features`, best first, at most `most`; of boxes of one class that overlap by
    /// more than `overlap` the best stays. `picture` stands in each.
    pub fn detect(
        &self,
        features: &FeatureStore,
        image: usize,
        proposals: &[Proposal],
        picture: usize,
        overlap: f64,
        most: usize,
    ) -> Vec<Detection> {
        let learned =
            || self.machines.iter().enumerate().filter_map(|(class, svm)| Some((class, svm.as_ref()?)));
        let weights: Vec<&[f32]> = learned().map(|(_, svm)| &*svm.weights).collect();
        let biases: Vec<f32> = learned().map(|(_, svm)| svm.bias).collect();
        let boxes: Vec<BoundingBox> = proposals.iter().map(|proposal| proposal.bbox).collect();
        let mut detections = Vec::new();
        for ((class, _), scores) in learned().zip(features.products(image, &weights, &biases)) {
            let scores: Vec<f64> = scores.iter().map(|&score| f64::from(score)).collect();
            for at in thin_out(&boxes, &scores, overlap) {
                detections.push(Detection { picture, class, bbox: boxes[at], score: scores[at] });
            }
        }
        detections.sort_by(|a, b| b.score.total_cmp(&a.score));
        detections.truncate(most);
        detections
    }
}

fn machine(
    features: &FeatureStore,
    class: &ClassWindows,
    config: &mil::Config,
    rounds: usize,
    run_seed: u64,
) -> Result<Svm, SvmError> {
    let source = Source { features, images: &class.negative, kept_out: &class.kept_out };
    let mut negatives = Negatives::random(source, config.random_negatives, run_seed);
    let mut round = 0;
    loop {
        let mut rows: Vec<f32> = class.positive.concat();
        negatives.windows().for_each(|(image, proposal)| rows.extend(features.row(image, proposal)));
        let n = class.positive.len();
        let labels: Vec<bool> = (0..n + negatives.len()).map(|row| row < n).collect();
        let examples = Examples { features: &rows, labels: &labels, chosen: None };
        let svm = svm::train(examples, &config.svm, &[], run_seed)?.svm;
        if round == rounds {
            return Ok(svm);
        }
        negatives.mine(source, config.hard_negatives, &svm);
        round += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::StoreWriter;

    #[test]
    fn each_class_is_found_by_its_own_machine_and_overlapping_boxes_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = StoreWriter::create(&folder.path().join("f"), 2).unwrap();
        let (left, right) = ([1.0, 0.0], [0.0, 1.0]);
        [[left, left], [right, right]].iter().for_each(|rows| writer.push(&rows.concat()).unwrap());
        let features = writer.finish().unwrap();
        let class = |row: [f32; 2], negative: usize| ClassWindows {
            positive: vec![row.to_vec(); 3],
            negative: vec![negative],
            ..ClassWindows::default()
        };
        let classes = [class(left, 1), class(right, 0)];
        let detector = LinearDetector::train(&features, &classes, &mil::Config::usual(), 1, 3).unwrap();
        let proposal = |x: f64| Proposal { bbox: BoundingBox::new(x, 0.0, x + 10.0, 10.0), score: 1.0 };
        let found = detector.detect(&features, 1, &[proposal(0.0), proposal(1.0)], 7, 0.3, 10);
        assert_eq!(found.len(), 2, "one box of each class");
        assert_eq!((found[0].class, found[0].picture, found[0].bbox.x0), (1, 7, 0.0));
        assert!(found[0].score > 0.0 && found[1].score < 0.0);
        let none = ClassWindows { negative: vec![0], ..ClassWindows::default() };
        let detector = LinearDetector::train(&features, &[none], &mil::Config::usual(), 0, 3).unwrap();
        assert!(detector.detect(&features, 1, &[proposal(0.0), proposal(1.0)], 7, 0.3, 10).is_empty());
    }

    #[test]
    fn a_piece_of_the_object_is_learned_to_be_none() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = StoreWriter::create(&folder.path().join("f"), 2).unwrap();
        let (whole, piece, empty) = ([0.8, 0.6], [1.0, 0.0], [0.0, 1.0]);
        [[whole, piece], [empty, empty]].iter().for_each(|rows| writer.push(&rows.concat()).unwrap());
        let features = writer.finish().unwrap();
        let proposal = |side: f64| Proposal { bbox: BoundingBox::new(0.0, 0.0, side, side), score: 1.0 };
        let proposals = [proposal(20.0), proposal(10.0)];
        let mut class = ClassWindows { positive: vec![whole.to_vec()], ..ClassWindows::default() };
        class.keep_out(0, &proposals, &proposals[0].bbox);
        assert_eq!(class.kept_out, HashSet::from([(0, 0)]), "a quarter of the object is background");
        let best_of = |negative: &[usize]| {
            let class = ClassWindows { negative: negative.to_vec(), ..class.clone() };
            // So few windows with so small margins need a high cost.
            let svm = svm::Config { cost: 100.0, ..svm::Config::usual() };
            let config = mil::Config { svm, ..mil::Config::usual() };
            let detector = LinearDetector::train(&features, &[class], &config, 3, 3).unwrap();
            detector.detect(&features, 0, &proposals, 0, 0.3, 1)[0].bbox
        };
        assert_eq!(best_of(&[1]), proposals[1].bbox, "from other images alone the piece looks better");
        assert_eq!(best_of(&[0, 1]), proposals[0].bbox);
    }
}
