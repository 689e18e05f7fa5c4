//! Multiple-instance learning on bags whose truth is known.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use click_mil::click_score::{Evidence, Widths};
use click_mil::edge_boxes::Proposal;
use click_mil::features::{FeatureStore, StoreWriter};
use click_mil::geometry::BoundingBox;
use click_mil::mil::{Bags, Config, Localised, MilError, localise};
use common::seed;
use rand::Rng;

const WIDTH: usize = 16;
const PROPOSALS: usize = 12;

/// Images whose proposal `truth` looks like the class; others look like anything.
struct World {
    _folder: tempfile::TempDir,
    features: FeatureStore,
    proposals: Vec<Vec<Proposal>>,
    truth: Vec<usize>,
    first: Vec<Vec<f32>>,
}

fn world(n: usize, contrast: f32) -> World {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = StoreWriter::create(&folder.path().join("f"), WIDTH).unwrap();
    let mut rng = seed::rng(4, "world", 0);
    let (mut proposals, mut truth, mut first) = (Vec::new(), Vec::new(), Vec::new());
    for image in 0..2 * n {
        let at = rng.random_range(0..PROPOSALS);
        truth.push(at);
        let mut rows = Vec::new();
        for proposal in 0..PROPOSALS {
            let mut row: Vec<f32> = (0..WIDTH).map(|_| rng.random::<f32>() - 0.5).collect();
            row[0] += if image < n && proposal == at { contrast } else { 0.0 };
            let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
            rows.extend(row.iter().map(|value| value / length));
        }
        // The whole image is a little of everything.
        let mean =
            |column: usize| (0..PROPOSALS).map(|p| rows[p * WIDTH + column]).sum::<f32>() / PROPOSALS as f32;
        first.push((0..WIDTH).map(mean).collect());
        writer.push(&rows).unwrap();
        let bbox = |p: usize| BoundingBox::new(10.0 * p as f64, 0.0, 10.0 * p as f64 + 20.0, 20.0);
        proposals.push((0..PROPOSALS).map(|p| Proposal { bbox: bbox(p), score: 1.0 }).collect());
    }
    first.truncate(n);
    World { features: writer.finish().unwrap(), _folder: folder, proposals, truth, first }
}

fn run(world: &World, evidence: &[Evidence], config: &Config) -> Localised {
    let n = world.first.len();
    let (positive, negative): (Vec<usize>, Vec<usize>) = ((0..n).collect(), (n..2 * n).collect());
    let bags = Bags {
        features: &world.features,
        proposals: &world.proposals,
        positive: &positive,
        negative: &negative,
        evidence,
        widths: Widths { centre_px: 12.0, log_area: 1.0 },
        first: &world.first,
    };
    localise(&bags, config, 1).unwrap()
}

fn right(world: &World, found: &Localised) -> f64 {
    let hits =
        found.last().iter().zip(&world.truth).filter(|(chosen, truth)| **chosen == Some(**truth)).count();
    hits as f64 / world.first.len() as f64
}

#[test]
fn objects_that_look_alike_are_found_from_image_labels() {
    let world = world(40, 1.2);
    let found = run(&world, &vec![Evidence::None; 40], &Config::usual());
    assert!(right(&world, &found) > 0.75, "{}", right(&world, &found));
    assert_eq!(found.chosen.len(), found.changed.len());
    let again = run(&world, &vec![Evidence::None; 40], &Config::usual());
    assert_eq!(found.chosen, again.chosen);
}

#[test]
fn clicks_find_what_labels_alone_do_not() {
    let world = world(40, 0.5);
    let clicks: Vec<Evidence> = (0..40)
        .map(|image| Evidence::Centre(world.proposals[image][world.truth[image]].bbox.centre()))
        .collect();
    let [labels, clicked] = [vec![Evidence::None; 40], clicks]
        .map(|evidence| right(&world, &run(&world, &evidence, &Config::usual())));
    assert!(clicked > labels + 0.1 && clicked > 0.75, "{labels} {clicked}");
}

#[test]
fn one_fold_is_plain_mil_and_keeps_more_of_its_first_choice() {
    let world = world(40, 1.0);
    let changed = |folds: usize| {
        let config = Config { folds, iterations: 3, stop_below: 0.0, hard_negatives: 0, ..Config::usual() };
        let changed = run(&world, &vec![Evidence::None; 40], &config).changed;
        changed[1..].iter().sum::<f64>()
    };
    assert!(changed(1) <= changed(10), "{} {}", changed(1), changed(10));
}

#[test]
fn a_class_without_negatives_is_refused_and_an_image_without_proposals_is_not() {
    let world = world(4, 1.0);
    let positive = [0, 1, 2, 3];
    let evidence = vec![Evidence::None; 4];
    let bags = Bags {
        features: &world.features,
        proposals: &world.proposals,
        positive: &positive,
        negative: &[],
        evidence: &evidence,
        widths: Widths { centre_px: 12.0, log_area: 1.0 },
        first: &world.first,
    };
    let error = localise(&bags, &Config::usual(), 1).unwrap_err();
    assert_eq!(error, MilError::OneSided { positive: 4, negative: 0 });

    let folder = tempfile::tempdir().unwrap();
    let mut writer = StoreWriter::create(&folder.path().join("f"), 2).unwrap();
    [&[1.0, 0.0][..], &[], &[0.0, 1.0], &[0.1, 0.9]].into_iter().for_each(|rows| writer.push(rows).unwrap());
    let proposal = Proposal { bbox: BoundingBox::new(0.0, 0.0, 5.0, 5.0), score: 1.0 };
    let bags = Bags {
        features: &writer.finish().unwrap(),
        proposals: &[vec![proposal], vec![], vec![proposal], vec![proposal]],
        positive: &[0, 1],
        negative: &[2, 3],
        evidence: &evidence[..2],
        widths: bags.widths,
        first: &[vec![1.0, 0.0], vec![1.0, 0.1]],
    };
    let found = localise(&bags, &Config::usual(), 1).unwrap();
    assert_eq!(found.last(), [Some(0), None]);
}
