//! The shipped models: the bytes of llama.cpp's quantizer, its losses, its formats. Skipped without the data folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{data, succeeds};
use quantization::gguf::File;

/// Of the loss in nats per token: products of 8-bit activations are summed in another order than in llama.cpp.
const LOSS_TOLERANCE: f64 = 2e-4;

/// Hash over names, types and bytes of all tensors in the order of their names.
pub(super) fn digest(path: &Path) -> String {
    let file = File::open(path).unwrap();
    let tensors: BTreeMap<&str, _> =
        file.tensors().iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    let mut all = Vec::new();
    for (name, tensor) in tensors {
        all.extend(name.bytes().chain([0]).chain(tensor.kind.name().bytes()).chain([0]));
        all.extend(file.read_tensor(name).unwrap());
    }
    common::files::sha256_hex(&all)
}

#[test]
fn tensors_are_those_of_llama_cpps_quantizer_byte_for_byte() {
    let Some(data) = data() else { return };
    let folder = tempfile::tempdir().unwrap();
    let golden: BTreeMap<String, BTreeMap<String, String>> =
        serde_json::from_str(include_str!("../golden/llama_quantize.json")).unwrap();
    for (model, file) in
        [("shakespeare-llama-256", "model-f16.gguf"), ("stories260k", "stories260K-f32.gguf")]
    {
        let input = data.join(model).join(file);
        if !input.exists() {
            eprintln!("skipped: no {}", input.display());
            continue;
        }
        for (kind, expected) in &golden[model] {
            succeeds(folder.path(), &["quantize", input.to_str().unwrap(), "out.gguf", "--type", kind, "-q"]);
            assert_eq!(&digest(&folder.path().join("out.gguf")), expected, "{model} {kind}");
        }
    }
}

#[test]
fn every_format_of_a_model_gives_the_same_tensors() {
    let Some(data) = data().filter(|data| data.join("stories260k/stories260K-f32.gguf").exists()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let run = |input: &str, kind: &str| {
        let input = data.join(input);
        succeeds(at, &["quantize", input.to_str().unwrap(), "out.gguf", "--type", kind, "-q"]);
        digest(&at.join("out.gguf"))
    };
    for kind in ["F16", "Q4_K_M"] {
        assert_eq!(run("shakespeare-llama-256", kind), run("shakespeare-llama-256/model-f16.gguf", kind));
    }
    for kind in ["F32", "Q4_0"] {
        assert_eq!(run("stories260k/stories260K.bin", kind), run("stories260k/stories260K-f32.gguf", kind));
    }
    // The keys that llama.cpp needs are those of the file that it is known to load.
    succeeds(
        at,
        &[
            "quantize",
            data.join("stories260k/stories260K.bin").to_str().unwrap(),
            "out.gguf",
            "--type",
            "F32",
            "-q",
        ],
    );
    let (ours, known) = (
        File::open(at.join("out.gguf")).unwrap(),
        File::open(data.join("stories260k/stories260K-f32.gguf")).unwrap(),
    );
    for (key, value) in known.metadata().iter().filter(|(key, _)| *key != "general.name") {
        assert_eq!(ours.get(key), Some(value), "{key}");
    }
}

fn json(folder: &Path, arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&succeeds(folder, &[arguments, &["--json", "-q"]].concat())).unwrap()
}

#[test]
fn losses_are_those_that_llama_cpp_measures() {
    let Some(data) = data() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let model = data.join("shakespeare-llama-256/model-f16.gguf");
    let text = fs::read(data.join("tinyshakespeare/input.txt")).unwrap();
    // The last tenth of the corpus, as the reference cuts it.
    fs::write(at.join("text.txt"), &text[text.len() * 9 / 10..]).unwrap();
    let reference: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(data.join("shakespeare-llama-256/reference.json")).unwrap())
            .unwrap();
    let model = model.to_str().unwrap();
    let runs: [(&[&str], &str); 3] =
        [(&["Q8_0"], "Q8_0"), (&["Q4_K_M"], "Q4_K_M"), (&["Q2_K", "--pure"], "Q2_K pure")];
    for (kind, key) in runs {
        succeeds(at, &[&["quantize", model, "q.gguf", "-q", "--type"][..], kind].concat());
        let cut = ["--context", "256", "--windows", "128", "--base", model];
        let found = json(at, &[&["evaluate", "q.gguf", "text.txt"][..], &cut].concat());
        let close = |field: &str, known: &str, tolerance: f64| {
            let (found, known) = (found[field].as_f64().unwrap(), reference[key][known].as_f64().unwrap());
            assert!((found - known).abs() < tolerance, "{key}: {field} {found} against {known}");
        };
        close("nats_per_token", "mean_nll", LOSS_TOLERANCE);
        close("mean_KL_divergence", "mean_kl_to_f16", LOSS_TOLERANCE);
        assert_eq!(found["predictions"], 32_768);
    }
}

#[test]
fn the_story_model_tells_its_known_story() {
    let Some(data) = data() else { return };
    let folder = tempfile::tempdir().unwrap();
    let model = data.join("stories260k/stories260K.bin");
    let said = succeeds(
        folder.path(),
        &["generate", model.to_str().unwrap(), "Once upon a time", "--tokens", "40", "--threads", "1"],
    );
    // llama2.c, doc/stories260K.md.
    let known =
        "Once upon a time, there was a little girl named Lily. She loved to play outside in the park.";
    assert!(said.starts_with(known), "{said}");
}
