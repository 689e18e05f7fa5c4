//! Sentence vectors of all-MiniLM-L6-v2 against transformers, where the data folder has it.
#![cfg(feature = "tensor")]

use std::path::PathBuf;

use quantization::encoder::{Encoder, vocabulary};
use quantization::model_file::ModelFile;
use tch::Device;

#[test]
fn vectors_equal_those_of_transformers() {
    let root = std::env::var_os("BENKYOKAI_DATA").map(PathBuf::from);
    let folder = root.map(|root| root.join("all-minilm-l6-v2")).filter(|folder| folder.is_dir());
    let Some(folder) = folder else {
        eprintln!("skipped: all-minilm-l6-v2 is not below BENKYOKAI_DATA");
        return;
    };
    let golden: serde_json::Value = serde_json::from_str(include_str!("golden/encoder.json")).unwrap();
    let sentences: Vec<String> = serde_json::from_value(golden["sentences"].clone()).unwrap();
    let expected: Vec<Vec<f32>> = serde_json::from_value(golden["vectors"].clone()).unwrap();
    let file = ModelFile::open(&folder).unwrap();
    let pieces = vocabulary(&file).unwrap().unwrap();
    let vectors = Encoder::load(&file, Device::Cpu).unwrap().vectors(&sentences, &pieces).unwrap();
    for ((vector, expected), sentence) in vectors.iter().zip(&expected).zip(&sentences) {
        for (x, y) in vector.iter().zip(expected) {
            assert!((x - y).abs() < 1e-5, "{sentence}: {x} {y}");
        }
        let length: f32 = vector.iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-5, "{sentence}");
    }
}
