//! Pooling against torchvision, see `golden/README.md`.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use click_mil::features::{FeatureMap, Pooling, RoiError};
use click_mil::geometry::BoundingBox;
use serde_json::Value;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

#[test]
fn cells_are_those_of_torchvision() {
    let golden: Value = serde_json::from_str(include_str!("golden/roi.json")).unwrap();
    let values = numbers(&golden["features"]).into_iter().map(|value| value as f32).collect();
    let map = FeatureMap::new(9, 13, 4, values).unwrap();
    let bbox = |sides: &Value| {
        let sides = numbers(sides);
        BoundingBox::new(sides[0], sides[1], sides[2], sides[3])
    };
    let boxes: Vec<BoundingBox> = golden["boxes"].as_array().unwrap().iter().map(bbox).collect();
    for case in golden["cases"].as_array().unwrap() {
        let pooling = match case["kind"].as_str() {
            Some("max") => Pooling::Max,
            _ => Pooling::Align {
                samples: case["samples"].as_u64().unwrap() as usize,
                aligned: case["aligned"].as_bool().unwrap(),
            },
        };
        let pooled = map.pool(&boxes, 1.0 / 16.0, case["cells"].as_u64().unwrap() as usize, pooling).unwrap();
        let expected = numbers(&case["values"]);
        assert_eq!(pooled.len(), expected.len());
        for (at, (ours, theirs)) in pooled.iter().zip(expected).enumerate() {
            assert!((f64::from(*ours) - theirs).abs() < 1e-5, "{pooling:?}, value {at}: {ours} {theirs}");
        }
    }
}

#[test]
fn maps_and_grids_without_size_are_refused() {
    assert!(matches!(FeatureMap::new(2, 2, 3, vec![0.0; 4]), Err(RoiError::Length { found: 4, .. })));
    let map = FeatureMap::new(0, 2, 3, vec![]).unwrap();
    assert!(matches!(map.pool(&[], 1.0, 2, Pooling::Max), Err(RoiError::Empty { .. })));
}
