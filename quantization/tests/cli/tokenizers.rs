//! `tokenizer.json` of Hugging Face folders: the same ids from the folder and from the GGUF file made of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use quantization::model_file::ModelFile;
use serde_json::Value;

use super::models::{SMALL, Sizes, write};
use super::{error, program, succeeds, text};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tokenizers").join(name)
}

fn recorded() -> BTreeMap<String, Value> {
    serde_json::from_str(&fs::read_to_string(golden("ids.json")).unwrap()).unwrap()
}

/// A small Llama with one of the golden tokenizers.
fn model(folder: &Path, name: &str) {
    let vocab = recorded()[&format!("{name}_vocab")].as_u64().unwrap() as usize;
    write(folder, Sizes { vocab, layers: 1, ..SMALL }, |_, _| ());
    fs::copy(golden(&format!("{name}.json")), folder.join("tokenizer.json")).unwrap();
}

#[test]
fn ids_equal_those_of_hugging_face_from_the_folder_and_from_gguf() {
    let golden = recorded();
    let texts: Vec<String> = serde_json::from_value(golden["texts"].clone()).unwrap();
    for name in ["gpt2", "llama2", "llama3", "smollm"] {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        model(&at.join("m"), name);
        succeeds(at, &["quantize", "m", "m.gguf", "--type", "Q8_0", "-q"]);
        succeeds(at, &["quantize", "m", "rtn", "--method", "rtn", "--group", "32", "-q"]);
        let ids: Vec<Vec<u32>> = serde_json::from_value(golden[name].clone()).unwrap();
        for path in ["m", "m.gguf", "rtn"] {
            let tokenizer = ModelFile::open(at.join(path)).unwrap().tokenizer(None).unwrap();
            for (text, ids) in texts.iter().zip(&ids) {
                assert_eq!(tokenizer.encode(text), *ids, "{name}, {path}: {text:?}");
                assert_eq!(String::from_utf8(tokenizer.decode(ids)).unwrap(), *text, "{name}");
            }
        }
        fs::write(at.join("text.txt"), texts.join("\n")).unwrap();
        succeeds(at, &["evaluate", "m.gguf", "text.txt", "--base", "m", "--context", "64", "-q"]);
        assert!(succeeds(at, &["generate", "m", "Hello", "--tokens", "4", "-q"]).starts_with("Hello"));
    }
}

#[test]
fn keys_are_those_of_the_converter() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let shown = |name: &str, file: &str, settings: &str| {
        model(&at.join(file), name);
        fs::write(at.join(file).join("tokenizer_config.json"), settings).unwrap();
        let gguf = format!("{file}.gguf");
        succeeds(at, &["quantize", file, &gguf, "--type", "F16", "-q"]);
        succeeds(at, &["inspect", &gguf, "--header"])
    };
    let llama3 = shown(
        "llama3",
        "a",
        r#"{"bos_token": "<|begin_of_text|>", "eos_token": {"content": "<|end_of_text|>"}}"#,
    );
    for line in [
        "tokenizer.ggml.model = gpt2",
        "tokenizer.ggml.pre = llama-bpe",
        "tokenizer.ggml.bos_token_id = 330",
        "tokenizer.ggml.eos_token_id = 331",
        "tokenizer.ggml.add_bos_token = true",
    ] {
        assert!(llama3.contains(line), "{line}: {llama3}");
    }
    let llama2 = shown(
        "llama2",
        "b",
        r#"{"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_eos_token": false}"#,
    );
    for line in [
        "tokenizer.ggml.model = llama",
        "tokenizer.ggml.scores = ",
        "tokenizer.ggml.unknown_token_id = 0",
        "tokenizer.ggml.add_bos_token = true",
        "tokenizer.ggml.add_eos_token = false",
    ] {
        assert!(llama2.contains(line), "{line}: {llama2}");
    }
}

#[test]
fn tokenizers_that_are_not_understood_are_told_and_not_guessed() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    model(&at.join("m"), "gpt2");
    let path = at.join("m/tokenizer.json");
    let json = fs::read_to_string(&path).unwrap();
    fs::write(&path, json.replace(r#""use_regex":true"#, r#""use_regex":false"#)).unwrap();
    fs::write(at.join("text.txt"), "some text").unwrap();
    let output = program(at, &["quantize", "m", "m.gguf", "--type", "Q8_0", "-q"]);
    assert!(output.status.success());
    let said = text(&output.stderr);
    assert!(said.contains("`tokenizer.ggml.pre` is `default`"), "{said}");
    assert!(succeeds(at, &["inspect", "m.gguf", "--header"]).contains("tokenizer.ggml.pre = default"));
    let said = error(at, &["evaluate", "m", "text.txt"]);
    assert!(said.contains("its tokenizer is not understood"), "{said}");
    fs::write(&path, json.replace(r#""type":"BPE""#, r#""type":"Unigram""#)).unwrap();
    let said = error(at, &["evaluate", "m", "text.txt"]);
    assert!(said.contains("a model of the kind `Unigram`, expected `BPE` on bytes"), "{said}");
    fs::write(&path, json.replace(r#""!":0"#, r#""!":9999"#)).unwrap();
    let said = error(at, &["quantize", "m", "n.gguf"]);
    assert!(said.contains("token `!` has id 9999, the model has 321 tokens"), "{said}");
    fs::write(&path, "{").unwrap();
    assert!(error(at, &["quantize", "m", "n.gguf"]).contains("tokenizer.json: "));
}
