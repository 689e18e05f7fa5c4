//! Bytes of Pillow and torchvision.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;

use common::files::sha256_hex;
use common::testing::golden;
use long_clip::preprocess::{self, Mode, Rules};

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/images")
}

#[test]
fn pixels_crops_and_tensors_are_those_of_pillow_and_torchvision() {
    let golden = golden(env!("CARGO_MANIFEST_DIR"), "images.json");
    let mut wrong = Vec::new();
    for (name, expected) in golden.as_object().unwrap() {
        let picture = preprocess::read(&folder().join(name)).unwrap();
        let mode = match picture.mode() {
            Mode::Bilevel => "1",
            Mode::Grey => "L",
            Mode::GreyAlpha => "LA",
            Mode::Palette => "P",
            Mode::Rgb => "RGB",
            Mode::Rgba => "RGBA",
            Mode::Cmyk => "CMYK",
        };
        assert_eq!(expected["mode"], mode, "{name}");
        // Pillow packs eight 1-bit pixels into a byte.
        if mode != "1" && expected["pixels"] != sha256_hex(picture.samples()) {
            wrong.push(format!("{name}: pixels"));
        }
        for side in [16, 31] {
            let crop = preprocess::cropped(&picture, side, Rules::OpenAi);
            if expected[format!("crop-{side}")] != sha256_hex(&crop) {
                wrong.push(format!("{name}: crop of {side}"));
            }
            let tensor: Vec<u8> = preprocess::preprocess(&picture, side, Rules::OpenAi)
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            if expected[format!("tensor-{side}")] != sha256_hex(&tensor) {
                wrong.push(format!("{name}: tensor of {side}"));
            }
            // Decoding only what the middle needs changes nothing.
            let bytes = std::fs::read(folder().join(name)).unwrap();
            let prepared = preprocess::prepare(&bytes, name, side, Rules::OpenAi).unwrap();
            if prepared != preprocess::preprocess(&picture, side, Rules::OpenAi) {
                wrong.push(format!("{name}: part for {side}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn broken_images_are_refused_with_their_name() {
    for name in ["rgb-wide.png", "jpeg-420.jpg", "jpeg-progressive.jpg"] {
        let bytes = std::fs::read(folder().join(name)).unwrap();
        let error = preprocess::decode(&bytes[..bytes.len() / 2], name).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{name}: ")), "{error}");
        assert!(error.ends_with("; expected a whole PNG, JPEG, WebP, GIF or BMP image"), "{error}");
    }
    assert!(preprocess::decode(b"", "empty").is_err());
    assert!(preprocess::decode(b"GIF89a", "short.gif").is_err());
}
