//! Deep MIL on bags whose truth is known.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use click_mil::click_score::Widths;
use click_mil::dataset::{Dataset, Object, Picture};
use click_mil::deep_mil::{Config, Known, go_on};
use click_mil::edge_boxes::Proposal;
use click_mil::fast_rcnn;
use click_mil::features::StoreWriter;
use click_mil::geometry::BoundingBox;
use click_mil::learn::{OfClass, Supervision};
use click_mil::mil::Localised;
use click_mil::pipeline::Described;
use click_mil::svm::Svm;
use common::seed;
use common::testing::torch_rng;
use rand::Rng;
use tch::Device;

const WIDTH: usize = 16;
const IMAGES: usize = 40;
const PROPOSALS: usize = 10;
/// Proposals that lie on the object.
const ON_OBJECT: usize = 3;

/// Images of two classes in turn; their first proposals lie on the object and look like its class.
fn world(folder: &std::path::Path) -> (Dataset, Described) {
    let mut writer = StoreWriter::create(&folder.join("f"), WIDTH).unwrap();
    let mut rng = seed::rng(3, "deep", 0);
    let mut dataset = Dataset { classes: vec!["cat".into(), "dog".into()], pictures: Vec::new() };
    let mut proposals = Vec::new();
    for image in 0..IMAGES {
        let class = image % 2;
        let truth = BoundingBox::new(20.0, 20.0, 60.0, 60.0);
        let (mut rows, mut boxes) = (Vec::new(), Vec::new());
        for place in 0..PROPOSALS {
            let mut row: Vec<f32> = (0..WIDTH).map(|_| 0.5 * (rng.random::<f32>() - 0.5)).collect();
            let off = 3.0 * place as f64;
            let bbox = if place < ON_OBJECT {
                row[class] += 1.0;
                BoundingBox::new(20.0 + off, 20.0, 60.0 + off, 60.0)
            } else {
                BoundingBox::new(50.0 + off, 70.0, 80.0 + off, 99.0)
            };
            let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
            rows.extend(row.iter().map(|value| value / length));
            boxes.push(Proposal { bbox, score: 1.0 });
        }
        writer.push(&rows).unwrap();
        proposals.push(boxes);
        let objects = vec![Object::new(class, truth)];
        let (id, file) = (image.to_string(), "none".into());
        dataset.pictures.push(Picture { id, file, width: 120, height: 100, objects });
    }
    (dataset, Described { proposals, features: writer.finish().unwrap(), others: Vec::new() })
}

/// Windows of which every third is wrong.
fn begun() -> Vec<OfClass> {
    let of_class = |class: usize| {
        let images: Vec<usize> = (0..IMAGES).filter(|image| image % 2 == class).collect();
        let chosen = (0..images.len()).map(|at| Some(if at % 3 == 0 { 7 } else { 0 })).collect();
        let svm = Svm { weights: Vec::new(), bias: 0.0 };
        OfClass { images, found: Localised { chosen: vec![chosen], svm, changed: vec![1.0] } }
    };
    (0..2).map(of_class).collect()
}

fn known<'a>(dataset: &'a Dataset, described: &'a Described) -> Known<'a> {
    let widths = Widths { centre_px: 10.0, log_area: 1.0 };
    Known { dataset, supervision: &Supervision::Labels, described, widths }
}

fn right(classes: &[OfClass]) -> usize {
    let chosen = classes.iter().flat_map(|of_class| of_class.found.last());
    chosen.filter(|chosen| chosen.is_some_and(|place| place < ON_OBJECT)).count()
}

#[test]
fn wrong_windows_are_put_right_by_the_others() {
    let _rng = torch_rng(1);
    let folder = tempfile::tempdir().unwrap();
    let (dataset, described) = world(folder.path());
    let head = fast_rcnn::Config { steps: 200, hidden: 32, dropout: 0.1, ..fast_rcnn::Config::usual() };
    let config = Config { head, ..Config::usual() };
    let run = || {
        let mut classes = begun();
        go_on(&known(&dataset, &described), &mut classes, &config, 5, Device::Cpu).unwrap();
        classes
    };
    let classes = run();
    assert!(right(&begun()) == 26 && right(&classes) >= 36, "{}", right(&classes));
    for of_class in &classes {
        let found = &of_class.found;
        assert_eq!((found.chosen.len(), found.changed.len()), (1 + config.iterations, 1 + config.iterations));
        assert!(found.chosen.iter().all(|chosen| chosen.len() == of_class.images.len()));
    }
    let chosen = |classes: &[OfClass]| -> Vec<_> {
        classes.iter().map(|of_class| of_class.found.chosen.clone()).collect()
    };
    assert_eq!(chosen(&classes), chosen(&run()));
}

#[test]
fn no_iterations_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (dataset, described) = world(folder.path());
    let config = Config { iterations: 0, ..Config::usual() };
    let mut classes = begun();
    go_on(&known(&dataset, &described), &mut classes, &config, 5, Device::Cpu).unwrap();
    assert_eq!(right(&classes), 26);
}
