//! The command on a small world in VOC's layout, and on bad input.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use common::nn::checkpoint::{named, save};
use common::nn::vision::{Trunk, TrunkName};
use common::seed;
use image::{Rgb, RgbImage};
use rand::Rng;
use tch::Device;
use tch::nn::VarStore;

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_click-mil")).current_dir(folder).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn ok(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn fails(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    text(&output.stderr)
}

/// Red squares and green bars on noise, in VOC's layout; each image has one of both.
fn world(root: &Path, n: usize) {
    for folder in ["Annotations", "ImageSets/Main", "JPEGImages"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    let (mut rng, mut list) = (seed::rng(1, "world", 0), String::new());
    for at in 0..n {
        let mut image = RgbImage::from_fn(96, 80, |_, _| Rgb([110 + rng.random_range(0..12_u8); 3]));
        let (name, w, h, colour) = match at % 2 {
            0 => ("square", 36, 36, [220, 40, 40]),
            _ => ("bar", 60, 22, [40, 190, 60]),
        };
        let (x, y) = (rng.random_range(3..96 - w - 3), rng.random_range(3..80 - h - 3));
        for (dx, dy) in (0..w).flat_map(|dx| (0..h).map(move |dy| (dx, dy))) {
            image.put_pixel(x + dx, y + dy, Rgb(colour));
        }
        let id = format!("{at:03}");
        let ending = if at == 0 { "PNG" } else { "png" };
        image
            .save_with_format(root.join(format!("JPEGImages/{id}.{ending}")), image::ImageFormat::Png)
            .unwrap();
        let xml = format!(
            "<annotation><object><name>{name}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object></annotation>",
            x + 1,
            y + 1,
            x + w,
            y + h
        );
        fs::write(root.join(format!("Annotations/{id}.xml")), xml).unwrap();
        list.push_str(&format!("{id}\n"));
    }
    fs::write(root.join("ImageSets/Main/trainval.txt"), &list).unwrap();
}

/// A network that nobody trained: its maps still tell colours and shapes apart.
fn network(path: &Path) {
    tch::manual_seed(3);
    let store = VarStore::new(Device::Cpu);
    let _trunk = Trunk::new(&store.root(), TrunkName::SqueezeNet);
    save(&named(&store), path).unwrap();
}

#[test]
fn from_clicks_to_a_detector_and_its_scores() {
    let _rng = common::testing::torch_rng(1);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    world(&folder.join("world"), 24);
    network(&folder.join("net.safetensors"));
    ok(folder, &["simulate-clicks", "--voc", "world", "--annotators", "2", "--out", "clicks.csv"]);
    let clicks = fs::read_to_string(folder.join("clicks.csv")).unwrap();
    assert!(clicks.starts_with("image,class,annotator,x,y,time_ms\n000,square,0,"), "{clicks}");
    assert_eq!(clicks.lines().count(), 49);
    let train = [
        "train",
        "--voc",
        "world",
        "--clicks",
        "clicks.csv",
        "--network",
        "net.safetensors",
        "--out",
        "detector",
        "--folds",
        "3",
        "--iterations",
        "2",
        "--steps",
        "30",
        "--proposals",
        "80",
        "--min-box-area",
        "150",
        "--sigma",
        "8",
        "--threads",
        "1",
        "--device",
        "cpu",
        "--quiet",
    ];
    let output = run(folder, &train);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stderr).starts_with("CorLoc "), "{}", text(&output.stderr));
    assert!(!folder.join("detector/features.bin").exists());
    let lines = ok(
        folder,
        &[
            "detect",
            "--model",
            "detector",
            "world/JPEGImages",
            "--draw",
            "drawn",
            "--quiet",
            "--least-score",
            "0.1",
            "--threads",
            "1",
        ],
    );
    assert_eq!(lines.lines().count(), 24);
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!((first["width"].as_u64(), first["height"].as_u64()), (Some(96), Some(80)));
    assert!(folder.join("drawn/000.png").exists());
    let detect = [
        "detect",
        "--model",
        "detector",
        "--voc",
        "world",
        "--split",
        "trainval",
        "--out",
        "results",
        "--quiet",
        "--threads",
        "1",
    ];
    ok(folder, &detect);
    let scores = ok(folder, &["evaluate", "--voc", "world", "results"]);
    assert!(scores.contains("VOC at 0.5") && scores.contains("AP50"), "{scores}");
    let windows = fs::read_to_string(folder.join("detector/windows.json")).unwrap();
    assert!(windows.contains("\"square\""), "{windows}");
}

#[test]
fn images_that_cannot_be_read_are_named_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    RgbImage::new(64, 1).save(folder.join("flat.png")).unwrap();
    fs::write(folder.join("broken.JPG"), b"\xff\xd8\xff\xe0 and no more").unwrap();
    let output = run(folder, &["propose", ".", "--quiet"]);
    assert!(output.status.success());
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(out.trim(), r#"{"image":"./flat.png","width":64,"height":1,"proposals":[]}"#);
    assert!(err.contains("broken.JPG") && err.contains("skipped"), "{err}");
    assert!(fails(folder, &["propose", "broken.JPG"]).contains("none of the 1 images could be read"));
    fs::create_dir(folder.join("empty")).unwrap();
    assert!(fails(folder, &["propose", "empty"]).contains("no images"));
}

#[test]
fn bad_input_has_one_clear_error() {
    let _rng = common::testing::torch_rng(1);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    world(&folder.join("world"), 4);
    let error = fails(folder, &["propose", "world/JPEGImages", "--alpha", "1"]);
    assert_eq!(error.trim(), "error: EdgeBoxes: `alpha` is 1; expected a number between 0 and 1");
    let error = fails(folder, &["simulate-clicks", "--voc", "world", "--out", "c.csv", "--error=-1"]);
    assert!(error.contains("expected numbers of 0 or more"), "{error}");
    network(&folder.join("net.safetensors"));
    fs::write(folder.join("clicks.csv"), "image,class,annotator,x,y\n000,square,0,500,2\n").unwrap();
    let train = |more: &[&str]| {
        let base =
            ["train", "--voc", "world", "--network", "net.safetensors", "--out", "detector", "--quiet"];
        fails(folder, &[&base, more].concat())
    };
    let error = train(&["--clicks", "clicks.csv"]);
    assert!(error.contains("click 1: (500, 2) lies outside image `000` of 96×80 pixels"), "{error}");
    fs::write(folder.join("clicks.csv"), "image,class,annotator,x,y\n000,square,0,50,20\n").unwrap();
    let error = train(&["--clicks", "clicks.csv", "--area", "20,60"]);
    assert!(error.contains("--area needs two clicks per class and image"), "{error}");
    let error = train(&["--network-name", "resnet18"]);
    assert!(error.contains("net.safetensors") && error.contains("conv1.weight"), "{error}");
    fs::create_dir(folder.join("results")).unwrap();
    let error = fails(folder, &["evaluate", "--voc", "world", "results"]);
    assert!(error.contains("expected files `comp4_det_trainval_CLASS.txt`"), "{error}");
    let error = fails(folder, &["evaluate", "--voc", "world", "--split", "test", "results"]);
    assert!(error.contains("ImageSets/Main/test.txt"), "{error}");
}
