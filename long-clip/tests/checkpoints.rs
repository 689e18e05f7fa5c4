//! Checkpoints of the reference packages, read and written.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};

use common::testing::{golden, golden_tensor, max_difference};
use long_clip::checkpoint::{self, Format, Layout, Options};
use long_clip::config::Activation;
use long_clip::model::Clip;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

/// f32 features of two layers, sums in another order.
const FEATURES: f64 = 1e-5;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn models() -> Value {
    golden(env!("CARGO_MANIFEST_DIR"), "models.json")
}

/// Two heads of width 8, which the weights do not tell.
fn heads() -> Options {
    Options { vision_heads: Some(2), text_heads: Some(2), ..Options::default() }
}

fn texts(value: &Value) -> Vec<Vec<i64>> {
    serde_json::from_value(value.clone()).unwrap()
}

fn tensor(value: &Value, shape: &[i64]) -> Tensor {
    golden_tensor(&json!({"shape": shape, "data": value})).to_kind(Kind::Float)
}

fn assert_features(model: &Clip, golden: &Value, expected: &Value) {
    let _guard = tch::no_grad_guard();
    let images = model.encode_image(&tensor(&golden["images"], &[3, 3, 12, 12])).unwrap();
    let texts = model.encode_text(&texts(&golden["texts"])).unwrap();
    for (name, actual, rows) in [("image", images, 3), ("text", texts, 4)] {
        let difference = max_difference(&actual, &tensor(&expected[name], &[rows, 8]));
        assert!(difference < FEATURES, "{name}: {difference:e}");
    }
}

fn read(name: &str, options: &Options) -> checkpoint::Loaded {
    checkpoint::read(&file(name), options, Device::Cpu).unwrap()
}

#[test]
fn openai_torchscript_in_half_precision_gives_openais_features() {
    let golden = models();
    let loaded = read("openai.pt", &heads());
    assert_eq!(loaded.layout, Layout::Plain);
    assert_features(&loaded.model, &golden, &golden["half"]);
}

#[test]
fn nested_open_clip_files_give_openais_features() {
    let golden = models();
    let loaded = read("nested.pt", &heads());
    assert_features(&loaded.model, &golden, &golden["float"]);
    let loaded = read("open_clip", &heads());
    assert_features(&loaded.model, &golden, &golden["float"]);
    assert!(
        loaded.notes[0].starts_with("activation quick_gelu: the weights do not tell"),
        "{:?}",
        loaded.notes
    );
}

#[test]
fn weights_rounded_to_half_are_the_official_ones() {
    let golden = models();
    let loaded = read("open_clip", &Options { round_to_half: true, ..heads() });
    assert_features(&loaded.model, &golden, &golden["half"]);
}

#[test]
fn open_clips_own_class_with_exact_gelu_gives_its_features() {
    let golden = models();
    let options =
        Options { activation: Some(Activation::Gelu), vision_heads: Some(4), text_heads: Some(2), ..heads() };
    let loaded = read("own.safetensors", &options);
    assert_features(&loaded.model, &golden, &golden["open_clip"]);
}

#[test]
fn a_hugging_face_directory_gives_transformers_features() {
    let golden = models();
    let loaded = read("hub", &Options::default());
    assert_eq!(loaded.layout, Layout::HuggingFace);
    assert_eq!((loaded.model.config.vision.heads, loaded.model.config.text.mlp_width), (4, 16));
    assert_features(&loaded.model, &golden, &golden["hub"]);
}

#[test]
fn the_two_tables_of_long_clip_become_one() {
    let golden = models();
    let loaded = read("longclip.pt", &heads());
    assert_eq!(loaded.model.config.text.context_length, 32);
    let _guard = tch::no_grad_guard();
    let features = loaded.model.encode_text(&texts(&golden["long"]["texts"])).unwrap();
    let difference = max_difference(&features, &tensor(&golden["long"]["text"], &[2, 8]));
    assert!(difference < FEATURES, "{difference:e}");
    assert!(
        loaded.notes.iter().any(|note| note.starts_with("Long-CLIP: positions 0 to 19")),
        "{:?}",
        loaded.notes
    );
}

#[test]
fn both_written_layouts_return_bit_by_bit() {
    let folder = tempfile::tempdir().unwrap();
    let loaded = read("longclip.pt", &heads());
    for format in [Format::HuggingFace, Format::OpenClip] {
        let out = folder.path().join(format!("{format:?}"));
        checkpoint::write(&loaded.model, &out, format, None).unwrap();
        let again = checkpoint::read(&out, &Options::default(), Device::Cpu).unwrap();
        assert_eq!(again.model.config, loaded.model.config);
        for (name, variable) in loaded.model.store.variables() {
            assert_eq!(again.model.store.variables()[&name], variable, "{name}");
        }
    }
}

#[test]
fn published_models_have_these_names_and_shapes() {
    let golden = golden(env!("CARGO_MANIFEST_DIR"), "names.json");
    for (name, expected) in [("open_clip", &golden["open_clip"]), ("hub", &golden["hub"])] {
        let tensors = expected.as_object().unwrap().iter().map(|(name, shape)| {
            let shape: Vec<i64> = serde_json::from_value(shape.clone()).unwrap();
            // Zeros with stride 0 cost no memory.
            (name.clone(), Tensor::from(0.0_f32).expand(&shape, false))
        });
        let (config, _) = checkpoint::config_of(tensors.collect()).unwrap();
        assert_eq!(config, long_clip::config::ModelConfig::vit_b_32(), "{name}");
    }
}

fn refusal(path: &Path, options: &Options) -> String {
    let error = checkpoint::read(path, options, Device::Cpu).unwrap_err().to_string();
    error.split_once("golden/").map_or(error.clone(), |(_, rest)| rest.to_owned())
}

#[test]
fn files_that_are_no_clip_are_refused_with_a_reason() {
    let cases = [
        ("models.json", "models.json: not a file of `torch.save` or TorchScript: not a whole ZIP archive"),
        ("absent.pt", "absent.pt: reading: no such file or folder"),
    ];
    for (name, expected) in cases {
        assert_eq!(refusal(&file(name), &Options::default()), expected);
    }
    let empty = tempfile::tempdir().unwrap();
    let error = refusal(empty.path(), &Options::default());
    assert!(error.contains("no weights in it; expected one of `open_clip_model.safetensors`"), "{error}");
}

#[test]
fn a_pickle_that_asks_for_a_command_is_refused_and_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("evil.pt");
    let marker = folder.path().join("was-here");
    let command = format!("touch {}", marker.display());
    let mut pickle = b"\x80\x02cposix\nsystem\nX".to_vec();
    pickle.extend((command.len() as u32).to_le_bytes());
    pickle.extend(command.as_bytes());
    pickle.extend(b"\x85R.");
    std::fs::write(&path, stored_zip("evil/data.pkl", &pickle)).unwrap();
    let error = refusal(&path, &Options::default());
    assert!(
        error.ends_with("it asks for `posix.system`, which is not run: only tensors are read"),
        "{error}"
    );
    assert!(!marker.exists());
}

/// A ZIP archive of one file, uncompressed.
fn stored_zip(name: &str, content: &[u8]) -> Vec<u8> {
    let (size, length) = ((content.len() as u32).to_le_bytes(), (name.len() as u16).to_le_bytes());
    let mut zip = b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0".to_vec();
    zip.extend([[0; 4], size, size].concat());
    zip.extend([length, [0; 2]].concat());
    zip.extend(name.as_bytes());
    zip.extend(content);
    let directory = zip.len() as u32;
    zip.extend(b"PK\x01\x02\x14\0\x14\0\0\0\0\0\0\0\0\0");
    zip.extend([[0; 4], size, size].concat());
    zip.extend(length);
    zip.extend([0; 16]);
    zip.extend(name.as_bytes());
    let entry = zip.len() as u32 - directory;
    zip.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    zip.extend([entry.to_le_bytes(), directory.to_le_bytes()].concat());
    zip.extend([0; 2]);
    zip
}

#[test]
fn missing_additional_and_misshapen_tensors_are_all_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let loaded = read("open_clip", &heads());
    let mut tensors = common::nn::checkpoint::named(&loaded.model.store);
    tensors.retain(|(name, _)| name != "ln_final.bias");
    tensors.push(("extra.weight".to_owned(), Tensor::zeros([2], (Kind::Float, Device::Cpu))));
    let projection = tensors.iter_mut().find(|(name, _)| name == "text_projection").unwrap();
    projection.1 = Tensor::zeros([8, 9], (Kind::Float, Device::Cpu));
    common::nn::checkpoint::save(&tensors, &path).unwrap();
    let error = refusal(&path, &heads());
    let expected = "`ln_final.bias` is missing; `text_projection` has shape [8, 9], expected [8, 8]; \
                    `extra.weight` is not in the model";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn an_unknown_activation_in_the_settings_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let loaded = read("open_clip", &heads());
    checkpoint::write(&loaded.model, folder.path(), Format::HuggingFace, None).unwrap();
    let settings = folder.path().join("config.json");
    let text = std::fs::read_to_string(&settings).unwrap().replace("quick_gelu", "relu");
    std::fs::write(&settings, text).unwrap();
    let error = refusal(folder.path(), &Options::default());
    assert!(error.ends_with("config.json: activation `relu`; expected `quick_gelu` (OpenAI, Long-CLIP) or `gelu` (most of open_clip's own weights)"), "{error}");
}
