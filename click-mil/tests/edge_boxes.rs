//! EdgeBoxes against OpenCV's, see `golden/README.md`, and properties.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::f32::consts::PI;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use click_mil::edge_boxes::{Config, propose, score};
use click_mil::edges::EdgeMap;
use serde_json::Value;

/// Edge map from bytes as the golden script writes them.
fn edges(case: &Value) -> EdgeMap {
    let bytes = |name: &str| STANDARD.decode(case[name].as_str().unwrap()).unwrap();
    let size = |name: &str| case[name].as_u64().unwrap() as usize;
    let strength = bytes("strength").into_iter().map(|byte| f32::from(byte) / 256.0).collect();
    let orientation = bytes("orientation").into_iter().map(|byte| f32::from(byte) * (PI / 256.0)).collect();
    EdgeMap::new(size("width"), size("height"), strength, orientation).unwrap()
}

fn config(options: &Value) -> Config {
    let mut config = Config::authors();
    for (name, value) in options.as_object().unwrap() {
        let value = value.as_f64().unwrap();
        match name.as_str() {
            "MaxBoxes" => config.max_boxes = value as usize,
            "MinBoxArea" => config.min_box_area = value as f32,
            "Alpha" => config.alpha = value as f32,
            "Beta" => config.beta = value as f32,
            "Eta" => config.eta = value as f32,
            "MinScore" => config.min_score = value as f32,
            "MaxAspectRatio" => config.max_aspect_ratio = value as f32,
            "Kappa" => config.kappa = value as f32,
            "Gamma" => config.gamma = value as f32,
            "EdgeMinMag" => config.edge_min_mag = value as f32,
            "ClusterMinMag" => config.cluster_min_mag = value as f32,
            name => panic!("the golden script has no option {name}"),
        }
    }
    config
}

#[test]
fn boxes_and_scores_are_those_of_opencv() {
    let cases: Value = serde_json::from_str(include_str!("golden/edge_boxes.json")).unwrap();
    for (number, case) in cases.as_array().unwrap().iter().enumerate() {
        let found = propose(&edges(case), &config(&case["options"])).unwrap();
        assert_eq!(found.len() as u64, case["count"].as_u64().unwrap(), "case {number}");
        let (boxes, scores) = (case["boxes"].as_array().unwrap(), case["scores"].as_array().unwrap());
        for (place, ((found, bbox), score)) in found.iter().zip(boxes).zip(scores).enumerate() {
            let bbox: Vec<f64> = bbox.as_array().unwrap().iter().map(|side| side.as_f64().unwrap()).collect();
            let ours = found.bbox;
            let ours = [ours.x0, ours.y0, ours.width(), ours.height()];
            assert_eq!(ours[..], bbox[..], "case {number}, box {place}");
            let theirs = score.as_f64().unwrap();
            assert!(
                (f64::from(found.score) - theirs).abs() < 1e-7,
                "case {number}, box {place}: {}",
                found.score
            );
        }
    }
}

#[test]
fn a_box_scores_the_same_alone() {
    let cases: Value = serde_json::from_str(include_str!("golden/edge_boxes.json")).unwrap();
    let (case, config) = (edges(&cases[0]), config(&cases[0]["options"]));
    for found in propose(&case, &config).unwrap().iter().take(50) {
        let bbox = [found.bbox.x0, found.bbox.y0, found.bbox.x1, found.bbox.y1].map(|side| side as i32);
        assert_eq!(score(&case, bbox, &config).unwrap(), found.score);
    }
}

#[test]
fn one_closed_contour_is_found_whole() {
    let (width, height) = (120_usize, 90_usize);
    let (mut strength, mut orientation) = (vec![0.0; width * height], vec![0.0; width * height]);
    for x in 30..=80 {
        for y in [20, 60] {
            (strength[y * width + x], orientation[y * width + x]) = (1.0, PI / 2.0);
        }
    }
    for y in 20..=60 {
        for x in [30, 80] {
            (strength[y * width + x], orientation[y * width + x]) = (1.0, 0.0);
        }
    }
    let found =
        propose(&EdgeMap::new(width, height, strength, orientation).unwrap(), &Config::authors()).unwrap();
    let truth = click_mil::geometry::BoundingBox::new(30.0, 20.0, 81.0, 61.0);
    assert!(found[0].bbox.iou(&truth) > 0.85, "{:?}", found[0]);
}

#[test]
fn an_image_without_edges_and_one_of_a_pixel_have_no_proposals() {
    for (width, height) in [(40, 30), (1, 1), (2, 50), (3, 3)] {
        let edges =
            EdgeMap::new(width, height, vec![0.0; width * height], vec![0.0; width * height]).unwrap();
        assert!(propose(&edges, &Config::authors()).unwrap().is_empty());
    }
}

#[test]
fn parameters_out_of_range_are_named() {
    let edges = EdgeMap::new(1, 1, vec![0.0], vec![0.0]).unwrap();
    let error = propose(&edges, &Config { alpha: 1.0, ..Config::authors() }).unwrap_err().to_string();
    assert_eq!(error, "EdgeBoxes: `alpha` is 1; expected a number between 0 and 1");
}
