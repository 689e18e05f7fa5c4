//! COCO's and VOC's numbers against `pycocotools` and `object-detection-metrics`, see `golden/README.md`.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;

use click_mil::evaluate::{coco, corloc, voc};
use click_mil::formats::coco as format;
use click_mil::geometry::BoundingBox;
use serde_json::Value;

/// f64 sums in another order.
const TOLERANCE: f64 = 1e-9;

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/evaluation.json")).unwrap()
}

fn read(golden: &Value) -> (format::Numbered, Vec<click_mil::evaluate::Detection>) {
    let folder = tempfile::tempdir().unwrap();
    let [truth, results] = ["truth", "results"].map(|name| {
        let path = folder.path().join(format!("{name}.json"));
        std::fs::write(&path, golden[name].to_string()).unwrap();
        path
    });
    let numbered = format::read(&truth, Path::new("images")).unwrap();
    let detections = format::read_results(&results, &numbered).unwrap();
    (numbered, detections)
}

#[test]
fn the_twelve_numbers_are_those_of_pycocotools() {
    let golden = golden();
    let (numbered, detections) = read(&golden);
    let scores = coco(&numbered.dataset, &detections);
    for ((name, ours), theirs) in scores.named().into_iter().zip(golden["coco"].as_array().unwrap()) {
        let (ours, theirs) = (ours.unwrap(), theirs.as_f64().unwrap());
        assert!((ours - theirs).abs() < TOLERANCE, "{name}: {ours} {theirs}");
    }
}

#[test]
fn average_precisions_are_those_of_a_voc_tool() {
    let golden = golden();
    let (mut numbered, detections) = read(&golden);
    for picture in &mut numbered.dataset.pictures {
        picture.objects.retain(|object| !object.crowd); // the tool knows no crowds
    }
    for overlap in ["0.5", "0.7"] {
        let scores = voc(&numbered.dataset, &detections, overlap.parse().unwrap());
        assert_eq!(scores.classes[3], None); // no object of it
        for (class, scores) in scores.classes.iter().enumerate().take(3) {
            let scores = scores.unwrap();
            let theirs = |name: &str| {
                golden["voc"][format!("{name}@{overlap}")][(class + 1).to_string()].as_f64().unwrap()
            };
            assert!((scores.area - theirs("area")).abs() < TOLERANCE, "{class}@{overlap}");
            assert!((scores.eleven_point - theirs("eleven_point")).abs() < TOLERANCE, "{class}@{overlap}");
        }
    }
}

#[test]
fn perfect_detections_score_one_and_none_scores_nothing() {
    let (numbered, _) = read(&golden());
    let dataset = numbered.dataset;
    let perfect: Vec<_> = dataset
        .pictures
        .iter()
        .enumerate()
        .flat_map(|(picture, of)| {
            let found = |object: &click_mil::dataset::Object| click_mil::evaluate::Detection {
                picture,
                class: object.class,
                bbox: object.bbox,
                score: 1.0,
            };
            of.objects.iter().filter(|object| object.counts()).map(found).collect::<Vec<_>>()
        })
        .collect();
    let near = |value: Option<f64>, expected: f64| (value.unwrap() - expected).abs() < 1e-9;
    assert!(near(coco(&dataset, &perfect).ap, 1.0) && near(coco(&dataset, &[]).ap, 0.0));
    assert!(
        near(voc(&dataset, &perfect, 0.5).mean_area(), 1.0) && near(voc(&dataset, &[], 0.5).mean_area(), 0.0)
    );
    let whole = corloc(&dataset, 0.5, |picture, class| {
        dataset.pictures[picture]
            .objects
            .iter()
            .find(|object| object.class == class && object.counts())
            .map(|o| o.bbox)
    });
    assert_eq!(whole, [Some(1.0), Some(1.0), Some(1.0), None]);
    let none = corloc(&dataset, 0.5, |_, _| Some(BoundingBox::new(0.0, 0.0, 1.0, 1.0)));
    assert_eq!(none, [Some(0.0), Some(0.0), Some(0.0), None]);
}

#[test]
fn numbers_that_nothing_has_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truth.json");
    let truth = |annotation: &str| {
        let text = format!(
            r#"{{"images":[{{"id":1,"file_name":"a.jpg"}}],"categories":[{{"id":5,"name":"cat"}}],"annotations":[{annotation}]}}"#
        );
        std::fs::write(&path, text).unwrap();
        format::read(&path, Path::new(".")).unwrap_err().to_string()
    };
    let of = |text: &str| truth(text).split_once("truth.json: ").unwrap().1.to_owned();
    assert_eq!(
        of(r#"{"id":1,"image_id":2,"category_id":5,"bbox":[0,0,1,1]}"#),
        "annotations[0]: no image has id 2; expected one of the 1 that are listed"
    );
    assert_eq!(
        of(r#"{"id":1,"image_id":1,"category_id":5,"bbox":[0,0,0,1]}"#),
        "annotations[0]: bbox [0, 0, 0, 1]; expected x, y and a positive width and height"
    );
    let one = r#"{"id":1,"image_id":1,"category_id":5,"bbox":[0,0,2,1]}"#;
    assert_eq!(
        of(&format!("{one},{one}")),
        "annotations[1]: id 1 stands at place 0 already; expected each id once: number them anew"
    );
    assert!(of(r#"{"id":1}"#).contains("expected COCO JSON"));
}
