//! A tiny model with a tokenizer of its own, and images of one colour.
#![allow(
    dead_code,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "helpers of tests, of which each uses its part"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::testing::torch_rng;
use image::{Rgb, RgbImage};
use long_clip::checkpoint::{self, Format};
use long_clip::config::{Activation, ModelConfig, TextConfig, VisionConfig};
use long_clip::model::Clip;
use long_clip::tokenizer::Tokenizer;
use tch::Device;

/// A few merges of English, in the form of `merges.txt`.
pub const MERGES: &str =
    "#version: 0.2\nr e\nre d</w>\nt h\nth e</w>\nb l\nu e</w>\nbl ue</w>\ni n\no n</w>\n";

pub const COLOURS: [(&str, [u8; 3]); 8] = [
    ("red", [220, 30, 30]),
    ("green", [30, 200, 40]),
    ("blue", [30, 50, 220]),
    ("white", [250, 250, 250]),
    ("black", [5, 5, 5]),
    ("yellow", [240, 230, 40]),
    ("pink", [250, 130, 190]),
    ("grey", [128, 128, 128]),
];

pub fn config(vocabulary: usize) -> ModelConfig {
    ModelConfig {
        embed_dim: 16,
        vision: VisionConfig { image_px: 16, patch_px: 8, width: 32, layers: 1, heads: 2, mlp_width: 64 },
        text: TextConfig {
            context_length: 77,
            vocabulary: vocabulary as i64,
            width: 32,
            layers: 2,
            heads: 2,
            mlp_width: 64,
        },
        activation: Activation::QuickGelu,
        norm_epsilon: 1e-5,
    }
}

/// A random model in the layout of Hugging Face with its tokenizer.
pub fn model(folder: &Path) -> PathBuf {
    let path = folder.join("model");
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join("merges.txt"), MERGES).unwrap();
    let tokenizer = Tokenizer::open(&path.join("merges.txt")).unwrap();
    let _rng = torch_rng(11);
    let model = Clip::new(config(tokenizer.vocabulary()), Device::Cpu).unwrap();
    checkpoint::write(&model, &path, Format::HuggingFace, Some(&tokenizer)).unwrap();
    path
}

/// One image for each colour, `images/red.png` and so on.
pub fn images(folder: &Path) -> PathBuf {
    let images = folder.join("images");
    std::fs::create_dir_all(&images).unwrap();
    for (name, colour) in COLOURS {
        RgbImage::from_pixel(20, 24, Rgb(colour)).save(images.join(format!("{name}.png"))).unwrap();
    }
    images
}

/// `filepath`, `title` with a caption of two sentences for each image.
pub fn captions(folder: &Path) -> PathBuf {
    let path = folder.join("captions.tsv");
    let rows: String = COLOURS
        .iter()
        .map(|(name, _)| {
            format!("{name}.png\tA {name} square. It is all {name}, and nothing else is in it.\n")
        })
        .collect();
    std::fs::write(&path, format!("filepath\ttitle\n{rows}")).unwrap();
    path
}

/// Runs the command in a folder.
pub fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_long-clip"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("BENKYOKAI_DATA")
        .env("OMP_NUM_THREADS", "1")
        .output()
        .unwrap()
}

/// Standard output of a run that must succeed.
pub fn succeeds(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Standard error of a run that must fail with exit code 1 and print nothing else.
pub fn fails(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stderr).unwrap()
}
