//! The detector's head on features whose truth is known.

use click_mil::edge_boxes::Proposal;
use click_mil::fast_rcnn::{Config, Head, HeadError, Training};
use click_mil::features::StoreWriter;
use click_mil::geometry::BoundingBox;
use common::seed;
use common::testing::torch_rng;
use rand::Rng;
use tch::Device;

const WIDTH: usize = 24;

/// A proposal's row: which class it shows, and how far it is from the object.
fn row(class: Option<usize>, shift: f64, rng: &mut impl Rng) -> Vec<f32> {
    let mut row: Vec<f32> = (0..WIDTH).map(|_| 0.3 * (rng.random::<f32>() - 0.5)).collect();
    if let Some(class) = class {
        row[class] += 1.0;
        row[4] += 2.0 * shift as f32;
    }
    let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
    row.iter().map(|value| value / length).collect()
}

#[test]
fn classes_and_corrections_are_learned() {
    let _rng = torch_rng(1);
    let folder = tempfile::tempdir().unwrap();
    let mut writer = StoreWriter::create(&folder.path().join("f"), WIDTH).unwrap();
    let mut rng = seed::rng(2, "toy", 0);
    let (mut proposals, mut objects) = (Vec::new(), Vec::new());
    for image in 0..24 {
        let class = image % 2;
        let truth = BoundingBox::new(40.0, 30.0, 80.0, 70.0);
        let (mut rows, mut boxes) = (Vec::new(), Vec::new());
        for place in 0..20 {
            let shift = rng.random::<f64>() * 0.4 - 0.2;
            let near = BoundingBox::new(40.0 + 40.0 * shift, 30.0, 80.0 + 40.0 * shift, 70.0);
            let edge = BoundingBox::new(30.0, 20.0, 55.0, 55.0); // overlaps a little
            let bbox = if place < 6 { near } else { edge };
            boxes.push(Proposal { bbox, score: 1.0 });
            rows.extend(row((place < 6).then_some(class), shift, &mut rng));
        }
        writer.push(&rows).unwrap();
        proposals.push(boxes);
        objects.push(vec![(class, truth)]);
    }
    let features = writer.finish().unwrap();
    let images: Vec<usize> = (0..20).collect();
    let training = Training {
        features: &features,
        proposals: &proposals,
        images: &images,
        objects: &objects[..20],
        classes: 2,
    };
    let config = Config { steps: 300, hidden: 32, dropout: 0.1, learning_rate: 3e-3, ..Config::usual() };
    let head = Head::train(&training, &config, 1, Device::Cpu).unwrap();
    let detect = |head: &Head, image: usize| {
        let rows: Vec<f32> = (0..features.rows(image)).flat_map(|place| features.row(image, place)).collect();
        head.detect(&rows, &proposals[image], image, [160, 120], &config)
    };
    let (mut corrected, mut uncorrected) = (0.0, 0.0);
    for image in 20..24 {
        let best = detect(&head, image)[0];
        assert_eq!(best.class, image % 2);
        let truth = objects[image][0].1;
        corrected += best.bbox.iou(&truth) / 4.0;
        let near = proposals[image][..6].iter().map(|proposal| proposal.bbox.iou(&truth));
        uncorrected += near.sum::<f64>() / 24.0;
    }
    assert!(corrected > 0.85 && corrected > uncorrected + 0.03, "{uncorrected} {corrected}");
    let saved = folder.path().join("head");
    head.save(&saved).unwrap();
    assert_eq!(detect(&Head::load(&saved, Device::Cpu).unwrap(), 21), detect(&head, 21));
    let again = Head::train(&training, &config, 1, Device::Cpu).unwrap();
    assert_eq!(detect(&again, 20), detect(&head, 20));
}

#[test]
fn objects_that_no_proposal_touches_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = StoreWriter::create(&folder.path().join("f"), 2).unwrap();
    writer.push(&[1.0, 0.0]).unwrap();
    let proposal = Proposal { bbox: BoundingBox::new(0.0, 0.0, 5.0, 5.0), score: 1.0 };
    let training = Training {
        features: &writer.finish().unwrap(),
        proposals: &[vec![proposal]],
        images: &[0],
        objects: &[vec![(0, BoundingBox::new(50.0, 50.0, 60.0, 60.0))]],
        classes: 1,
    };
    let error = Head::train(&training, &Config::usual(), 1, Device::Cpu).unwrap_err();
    assert!(matches!(error, HeadError::NoObjects(_)), "{error}");
}
