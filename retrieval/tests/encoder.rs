//! Encoders against the packages that define the directory layouts, and properties of encoding.
#![cfg(feature = "tensor")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use common::nn::bert::Config;
use common::nn::checkpoint::save;
use common::testing::{golden, torch_rng};
use common::text::segment::{Segmenter, build_dictionary};
use retrieval::encoder::{ColBert, Options};
use retrieval::tokenizer::train::{Kind, train};
use retrieval::tokenizer::{Augmentation, Layout};
use retrieval::vectors::TokenVectors;
use serde_json::Value;
use tch::{Device, Tensor};

/// Rounding of the golden numbers, and sums of f32 in another order.
const PARITY: f32 = 1e-5;

/// The formula of `make_encoder.py`: numbers in [-0.5, 0.5) by splitmix64 from the name's FNV-1a.
fn uniform(name: &str, size: usize) -> Vec<f64> {
    let seed = name
        .bytes()
        .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3));
    (1..=size as u64)
        .map(|i| {
            let z = seed.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 24) - 0.5
        })
        .collect()
}

/// A tensor of the formula for a line `name shape`.
fn weights(line: &str) -> (String, Tensor) {
    let (name, shape) = line.split_once(' ').unwrap_or((line, ""));
    let shape: Vec<i64> =
        shape.split('x').filter(|size| !size.is_empty()).map(|size| size.parse().unwrap()).collect();
    let norm = name.contains("LayerNorm") && (name.ends_with("weight") || name.ends_with("gamma"));
    let value = |u: f64| if norm { (1.0 + 0.4 * u) as f32 } else { u as f32 };
    let values: Vec<f32> =
        uniform(name, shape.iter().product::<i64>() as usize).into_iter().map(value).collect();
    (name.to_owned(), Tensor::from_slice(&values).view(&shape[..]))
}

/// Writes the directory of a golden file as its package wrote it.
fn directory(golden: &Value, folder: &Path) {
    for (name, content) in golden["files"].as_object().unwrap() {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content.as_str().map_or_else(|| content.to_string(), str::to_owned)).unwrap();
    }
    for (name, lines) in golden["tensors"].as_object().unwrap() {
        let lines: Vec<String> = serde_json::from_value(lines.clone()).unwrap();
        let second = lines
            .iter()
            .filter(|line| line.contains("layer.0."))
            .map(|line| line.replace("layer.0.", "layer.1."));
        let tensors: Vec<(String, Tensor)> =
            lines.iter().cloned().chain(second).map(|line| weights(&line)).collect();
        save(&tensors, &folder.join(name)).unwrap();
    }
}

fn texts(golden: &Value) -> Vec<String> {
    serde_json::from_value(golden["texts"].clone()).unwrap()
}

fn expect_rows(vectors: &TokenVectors, golden: &Value, what: &str) {
    let expected: Vec<Vec<f32>> = serde_json::from_value(golden.clone()).unwrap();
    assert_eq!(vectors.len(), expected.len(), "{what}");
    for (i, expected) in expected.iter().enumerate() {
        let found = vectors.text(i);
        assert_eq!(found.len(), expected.len(), "values of text {i} of {what}");
        let difference = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(difference < PARITY, "text {i} of {what}: {difference}");
    }
}

fn expect_parity(name: &str, segmenter: impl Fn() -> Option<Segmenter>) {
    let golden = golden(env!("CARGO_MANIFEST_DIR"), name);
    let folder = tempfile::tempdir().unwrap();
    directory(&golden, folder.path());
    let model = ColBert::open(folder.path(), Options { segmenter: segmenter(), ..Options::cpu() }).unwrap();
    expect_same(&model, &golden, name);
    let texts = texts(&golden);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for (i, text) in texts.iter().enumerate() {
        let alone = model.encode_documents(&[text]).unwrap();
        let expected: Vec<Vec<f32>> = serde_json::from_value(golden["documents"].clone()).unwrap();
        assert!(
            alone.text(0).iter().zip(&expected[i]).all(|(a, b)| (a - b).abs() < PARITY),
            "{name}: text {i} alone"
        );
    }
    let again = |save: &dyn Fn(&Path)| {
        let saved = tempfile::tempdir().unwrap();
        save(saved.path());
        let model =
            ColBert::open(saved.path(), Options { segmenter: segmenter(), ..Options::cpu() }).unwrap();
        expect_same(&model, &golden, "the copy");
    };
    again(&|path| model.save_stanford(path).unwrap());
    again(&|path| model.save_pylate(path).unwrap());
}

fn expect_same(model: &ColBert, golden: &Value, what: &str) {
    let texts = texts(golden);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    expect_rows(&model.encode_queries(&texts).unwrap(), &golden["queries"], &format!("{what}: queries"));
    expect_rows(
        &model.encode_documents(&texts).unwrap(),
        &golden["documents"],
        &format!("{what}: documents"),
    );
}

#[test]
fn vectors_equal_those_of_pylate_before_and_after_saving() {
    expect_parity("pylate.json", || None);
}

#[test]
fn vectors_equal_those_of_sentence_transformers_before_and_after_saving() {
    expect_parity("multivector.json", || None);
}

#[test]
fn vectors_equal_those_of_colbert_before_and_after_saving() {
    expect_parity("colbert.json", || None);
}

/// A dictionary of just the words that MeCab found stands for unidic-lite, which is 250 MB.
fn segmenter(words: &Value) -> Segmenter {
    let words: Vec<Vec<String>> = serde_json::from_value(words.clone()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let lexicon: Vec<String> = words.concat().iter().map(|word| format!("{word},0,0,100,名詞\n")).collect();
    write("words.csv", &lexicon.concat());
    write("matrix.def", "1 1\n0 0 0\n");
    write("char.def", "DEFAULT 0 1 0\nSPACE 0 1 0\n0x0020 SPACE\n");
    write("unk.def", "DEFAULT,0,0,5000,*\nSPACE,0,0,5000,*\n");
    let path = folder.path().join("words.dic");
    build_dictionary(folder.path(), &path).unwrap();
    Segmenter::open(&path.display().to_string()).unwrap()
}

#[test]
fn vectors_of_japanese_equal_those_of_colbert_before_and_after_saving() {
    let words = golden(env!("CARGO_MANIFEST_DIR"), "colbert_japanese.json")["words"].clone();
    expect_parity("colbert_japanese.json", || Some(segmenter(&words)));
}

#[test]
fn a_japanese_tokenizer_without_a_segmenter_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    directory(&golden(env!("CARGO_MANIFEST_DIR"), "colbert_japanese.json"), folder.path());
    let error = ColBert::open(folder.path(), Options::cpu()).unwrap_err().to_string();
    assert!(error.starts_with("the tokenizer takes words from `mecab`: give a MeCab dictionary"), "{error}");
}

fn tiny(dropout: f64) -> ColBert {
    let texts = ["東京都の猫は好き", "京都の犬、と猫 abc"];
    let pieces = train(texts, Kind::Characters { fewest: 1 }).unwrap();
    let config = Config {
        hidden_dropout_prob: dropout,
        attention_probs_dropout_prob: dropout,
        max_position_embeddings: 40,
        ..Config::new(pieces.len() as i64, 16, 2, 2)
    };
    let layout = Layout { document_length: 24, ..Layout::colbert() };
    ColBert::new(&config, pieces, layout, 8, Device::Cpu, 1).unwrap()
}

#[test]
fn rows_have_length_1_and_do_not_depend_on_the_batch() {
    let _rng = torch_rng(1);
    let model = tiny(0.0);
    let texts = ["東京の猫", "", "京都", "東京の猫", "猫と犬 abc 東京都の猫は好き 東京都の猫は好き"];
    let (together, places) = model.encode_documents_with_places(&texts).unwrap();
    assert_eq!((together.len(), places.len()), (5, 5));
    assert_eq!(together.text(0), together.text(3));
    for (i, text) in texts.iter().enumerate() {
        let alone = model.encode_documents(&[text]).unwrap();
        assert_eq!((alone.tokens(0), places[i].len()), (together.tokens(i), together.tokens(i)));
        let difference =
            alone.text(0).iter().zip(together.text(i)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(difference < 1e-5, "{difference}");
        for row in together.text(i).chunks(8) {
            assert!((row.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
        }
        let pooled = model.encode_pooled(&[text], false).unwrap();
        assert_eq!((pooled.tokens(0), pooled.width()), (1, 8));
    }
    let cut: String = places[0].iter().map(|place| &texts[0][place.clone()]).collect();
    assert_eq!(cut, texts[0]);
    assert_eq!(model.encode_documents(&[]).unwrap().len(), 0);
}

#[test]
fn hidden_masks_change_their_own_rows_only() {
    let _rng = torch_rng(1);
    let mut model = tiny(0.0);
    let layout =
        |augmentation, attend_to_expansion| Layout { augmentation, attend_to_expansion, ..Layout::colbert() };
    let mut rows = HashMap::new();
    for (name, attend) in
        [("none", false), ("fixed:16", false), ("fixed:16", true), ("pad:16", false), ("paper", false)]
    {
        let augmentation: Augmentation = name.parse().unwrap();
        model.set_layout(layout(augmentation, attend)).unwrap();
        rows.insert((name, attend), model.encode_queries(&["東京", "猫と犬"]).unwrap());
    }
    let real = &rows[&("none", false)];
    assert_eq!((real.tokens(0), real.tokens(1)), (5, 6));
    let start = |name, attend: bool| -> f32 {
        let other: &TokenVectors = &rows[&(name, attend)];
        let pairs = |i: usize| real.text(i).iter().zip(other.text(i)).map(|(a, b)| (a - b).abs());
        pairs(0).chain(pairs(1)).fold(0.0, f32::max)
    };
    for name in ["fixed:16", "pad:16", "paper"] {
        assert!(start(name, false) < 1e-5, "{name}: {}", start(name, false));
    }
    assert!(start("fixed:16", true) > 1e-3);
    assert_eq!((rows[&("fixed:16", false)].tokens(0), rows[&("paper", false)].tokens(0)), (16, 32));
    let masks = rows[&("fixed:16", false)].text(0);
    assert_ne!(masks[5 * 8..6 * 8], masks[6 * 8..7 * 8], "each [MASK] has a position of its own");
}

#[test]
fn a_bare_directory_gives_hidden_states_or_gets_a_projection() {
    let _rng = torch_rng(1);
    let folder = tempfile::tempdir().unwrap();
    tiny(0.0).save_stanford(folder.path()).unwrap();
    fs::remove_file(folder.path().join("artifact.metadata")).unwrap();
    let config =
        fs::read_to_string(folder.path().join("config.json")).unwrap().replace("HF_ColBERT", "BertModel");
    fs::write(folder.path().join("config.json"), config).unwrap();
    let bare = ColBert::open(folder.path(), Options::cpu()).unwrap();
    assert_eq!((bare.width(), bare.encode_queries(&["東京"]).unwrap().tokens(0)), (16, 4));
    let new = Options { new_projection: Some(6), seed: 3, ..Options::cpu() };
    let start = ColBert::open(folder.path(), new).unwrap();
    assert_eq!((start.width(), start.encode_queries(&["東京"]).unwrap().tokens(0)), (6, 32));
}

#[test]
fn unusable_directories_are_named_with_what_is_expected() {
    let _rng = torch_rng(1);
    let error = |path: &Path| ColBert::open(path, Options::cpu()).unwrap_err().to_string();
    assert!(error(Path::new("nowhere")).starts_with("nowhere: no such folder; expected a model directory"));
    let folder = tempfile::tempdir().unwrap();
    tiny(0.0).save_pylate(folder.path()).unwrap();
    let modules = folder.path().join("modules.json");
    let text = fs::read_to_string(&modules).unwrap();
    fs::write(&modules, text.replace("pylate.models.Dense.Dense", "x.WeightedLayerPooling")).unwrap();
    assert!(
        error(folder.path())
            .contains("module `WeightedLayerPooling` is not known; expected Transformer, Dense")
    );
    fs::write(&modules, text).unwrap();
    let weights = folder.path().join("model.safetensors");
    let whole = fs::read(&weights).unwrap();
    fs::write(&weights, &whole[..whole.len() / 2]).unwrap();
    assert!(error(folder.path()).contains("not a whole safetensors file"), "{}", error(folder.path()));
    fs::rename(&weights, folder.path().join("pytorch_model.bin")).unwrap();
    let message = error(folder.path());
    assert!(
        message.contains(
            "pytorch_model.bin: a pickle, which can run code and is not read; expected `model.safetensors`"
        ),
        "{message}"
    );
}

#[test]
fn bfloat16_stays_near() {
    let _rng = torch_rng(1);
    let mut model = tiny(0.0);
    let before = model.encode_documents(&["東京都の猫は好き", "犬"]).unwrap();
    model.to_bfloat16();
    let after = model.encode_documents(&["東京都の猫は好き", "犬"]).unwrap();
    let difference =
        before.values().iter().zip(after.values()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(difference > 0.0 && difference < 0.05, "{difference}");
}
