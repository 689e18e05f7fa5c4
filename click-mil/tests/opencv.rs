//! The second backend on equal edges: OpenCV itself, where it could be built.
#![cfg(feature = "opencv")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::process::Command;

use click_mil::edge_boxes::{Config, Proposal, propose};
use click_mil::edges::EdgeMap;
use click_mil::opencv::{OpenCv, OpenCvError};
use common::seed;
use image::{Rgb, RgbImage};
use proptest::prelude::*;
use rand::Rng;

/// Largest difference of a coordinate in pixels and of a score.
const TOLERANCE: f64 = 1e-4;

fn opencv() -> OpenCv {
    OpenCv::start(Path::new(env!("CARGO_BIN_EXE_click-mil-opencv")), None).unwrap()
}

/// Filled boxes and discs in noise.
fn scene(width: u32, height: u32, run_seed: u64) -> RgbImage {
    let mut rng = seed::rng(run_seed, "scene", 0);
    let mut image = RgbImage::from_pixel(width, height, Rgb([120, 130, 110]));
    for _ in 0..8 {
        let [x, y] = [width, height].map(|side| rng.random_range(0..side) as i64);
        let [w, h] = [width, height].map(|side| rng.random_range(4..=(side / 2).max(4)) as i64);
        let (colour, round) = (rng.random::<[u8; 3]>(), rng.random::<bool>());
        for (px, py, pixel) in image.enumerate_pixels_mut() {
            let [dx, dy] = [(i64::from(px) - x, w), (i64::from(py) - y, h)]
                .map(|(d, side)| (2 * d) as f64 / side as f64);
            if if round { dx * dx + dy * dy <= 1.0 } else { dx.abs() <= 1.0 && dy.abs() <= 1.0 } {
                *pixel = Rgb(colour);
            }
        }
    }
    for pixel in image.pixels_mut() {
        pixel.0 = pixel.0.map(|value| value.saturating_add(rng.random_range(0..8)));
    }
    image
}

fn assert_equal(ours: &[Proposal], theirs: &[Proposal]) {
    assert_eq!(ours.len(), theirs.len());
    for (place, (one, two)) in ours.iter().zip(theirs).enumerate() {
        let sides = |p: &Proposal| [p.bbox.x0, p.bbox.y0, p.bbox.x1, p.bbox.y1, f64::from(p.score)];
        let differs = sides(one).iter().zip(sides(two)).any(|(a, b)| (a - b).abs() > TOLERANCE);
        assert!(!differs, "box {place}: {one:?}, OpenCV {two:?}");
    }
}

#[test]
fn boxes_and_scores_are_opencvs_on_equal_edges() {
    let mut opencv = opencv();
    for (width, height) in [(200, 150), (97, 143), (320, 64), (40, 40), (3, 3), (2, 90)] {
        let edges = EdgeMap::of_image(&scene(width, height, u64::from(width))).unwrap();
        for config in [
            Config::authors(),
            Config { min_box_area: 150.0, beta: 0.9, ..Config::authors() },
            Config { alpha: 0.7, eta: 0.9996, min_score: 0.02, max_boxes: 300, ..Config::authors() },
        ] {
            let [ours, theirs] =
                [propose(&edges, &config).unwrap(), opencv.propose(&edges, &config).unwrap()];
            assert!(width < 90 || height < 60 || !ours.is_empty(), "{width}×{height}: nothing to compare");
            assert_equal(&ours, &theirs);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn random_scenes_and_parameters_agree(
        (width, height, run_seed) in (20_u32..160, 20_u32..160, 0_u64..1000),
        (alpha, beta, kappa) in (0.5_f32..0.75, 0.6_f32..0.95, 1.0_f32..2.0),
        (gamma, merge, cluster, aspect) in (0.5_f32..3.0, 0.2_f32..1.0, 0.0_f32..2.0, 1.2_f32..5.0),
    ) {
        let config = Config {
            alpha, beta, kappa, gamma, edge_merge_thr: merge, cluster_min_mag: cluster, max_aspect_ratio: aspect,
            min_box_area: 100.0, ..Config::authors()
        };
        let edges = EdgeMap::of_image(&scene(width, height, run_seed)).unwrap();
        assert_equal(&propose(&edges, &config).unwrap(), &opencv().propose(&edges, &config).unwrap());
    }
}

#[test]
fn the_command_gives_the_same_lines_with_both_backends() {
    let folder = tempfile::tempdir().unwrap();
    scene(160, 120, 5).save(folder.path().join("a.png")).unwrap();
    let run = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_click-mil"));
        command
            .current_dir(folder.path())
            .args(["propose", "a.png", "--quiet", "--device", "cpu"])
            .args(more);
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let (own, theirs) = (run(&[]), run(&["--backend", "opencv"]));
    assert!(own.0 && theirs.0, "{} {}", own.2, theirs.2);
    assert!(own.1.len() > 200, "{}", own.1);
    assert_eq!(own.1, theirs.1);
    let (done, out, error) = run(&["--structured-edges", "model.yml.gz"]);
    assert!(!done && out.is_empty());
    assert!(
        error.contains("model.yml.gz: No such file")
            && error.contains("expected the model file of structured edges"),
        "{error}"
    );
    std::fs::write(folder.path().join("model.yml"), "no model\n").unwrap();
    let (done, out, error) = run(&["--structured-edges", "model.yml"]);
    assert!(!done && out.is_empty());
    assert!(error.lines().last().unwrap().starts_with("error: OpenCV: model.yml: "), "{error}");
}

#[test]
fn a_program_that_is_not_there_or_has_no_model_is_named() {
    let error = OpenCv::start(Path::new("no-such-program"), None).unwrap_err();
    assert!(matches!(error, OpenCvError::NoProgram { .. }));
    assert!(error.to_string().contains("`cargo build -p click-mil` makes it"), "{error}");
    let error = OpenCv::start(Path::new("true"), None).unwrap_err();
    assert!(error.to_string().starts_with("true ended without an answer"), "{error}");
    let error = opencv().structured_edges(&RgbImage::new(9, 9)).unwrap_err().to_string();
    assert_eq!(error, "OpenCV: structured edges need a model file");
}

/// The golden script's image.
fn drawn() -> RgbImage {
    RgbImage::from_fn(64, 48, |x, y| {
        let [red, green] = [x * 3 + 40 * u32::from(y > 20), y * 4 + 90 * u32::from(x > 30)];
        Rgb([red, green, x * y / 9].map(|value| (value % 256) as u8))
    })
}

#[test]
fn structured_edges_are_those_that_opencv_finds_with_the_same_forest() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let program = Path::new(env!("CARGO_BIN_EXE_click-mil-opencv"));
    let mut opencv = OpenCv::start(program, Some(&golden.join("structured_model.yml"))).unwrap();
    let edges = opencv.structured_edges(&drawn()).unwrap();
    let expected: serde_json::Value = serde_json::from_str(include_str!("golden/structured.json")).unwrap();
    assert_eq!((edges.width(), edges.height()), (64, 48));
    for (name, found) in [("strength", edges.strength()), ("orientation", edges.orientation())] {
        let expected = expected[name].as_array().unwrap();
        assert_eq!(found.len(), expected.len());
        for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
            let off = (f64::from(*found) - expected.as_f64().unwrap()).abs();
            assert!(off < TOLERANCE, "{name} at {place}: {found}, expected {expected}");
        }
    }
    assert!(edges.strength().iter().filter(|value| **value > 0.1).count() > 50);
}
