//! BERT encoders: to GGUF and back, agreement on sentences.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use quantization::model_file::ModelFile;
use quantization::safetensors::{Dtype, Writer};

use super::models::{SMALL, normal, write};
use super::{error, succeeds};

/// Rows of 64 in the attention, of 256 before the second linear map.
const WIDTH: usize = 64;
const FFN: usize = 256;

/// Writes an encoder with two blocks and a vocabulary of letters, and sentences for it.
fn encoder(folder: &Path, vocab_extra: usize) {
    fs::create_dir_all(folder).unwrap();
    let letters = || ('a'..='z').map(String::from);
    let mut pieces: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(String::from).into();
    pieces.extend(letters());
    pieces.extend(letters().map(|letter| format!("##{letter}")));
    pieces.extend((0..vocab_extra).map(|i| format!("extra{i}")));
    let mut shapes = vec![
        ("embeddings.word_embeddings.weight".to_owned(), vec![pieces.len(), WIDTH]),
        ("embeddings.position_embeddings.weight".to_owned(), vec![32, WIDTH]),
        ("embeddings.token_type_embeddings.weight".to_owned(), vec![2, WIDTH]),
        ("embeddings.LayerNorm.gamma".to_owned(), vec![WIDTH]),
        ("embeddings.LayerNorm.beta".to_owned(), vec![WIDTH]),
        ("pooler.dense.weight".to_owned(), vec![WIDTH, WIDTH]),
    ];
    for layer in 0..2 {
        let parts = [
            ("attention.self.query", WIDTH, WIDTH),
            ("attention.self.key", WIDTH, WIDTH),
            ("attention.self.value", WIDTH, WIDTH),
            ("attention.output.dense", WIDTH, WIDTH),
            ("intermediate.dense", FFN, WIDTH),
            ("output.dense", WIDTH, FFN),
        ];
        for (part, outputs, inputs) in parts {
            shapes.push((format!("encoder.layer.{layer}.{part}.weight"), vec![outputs, inputs]));
            shapes.push((format!("encoder.layer.{layer}.{part}.bias"), vec![outputs]));
        }
        for norm in ["attention.output.LayerNorm", "output.LayerNorm"] {
            for part in ["weight", "bias"] {
                shapes.push((format!("encoder.layer.{layer}.{norm}.{part}"), vec![WIDTH]));
            }
        }
    }
    let listed: Vec<_> =
        shapes.iter().map(|(name, shape)| (name.clone(), Dtype::F32, shape.clone())).collect();
    let mut writer = Writer::create(folder.join("model.safetensors"), &BTreeMap::new(), &listed).unwrap();
    for (seed, (name, _, shape)) in listed.iter().enumerate() {
        let mut weights = normal(shape.iter().product(), seed as u64 + 1, 0.1);
        if name.contains("LayerNorm.weight") || name.ends_with("gamma") {
            weights.iter_mut().for_each(|x| *x += 1.0);
        }
        let bytes: Vec<u8> = weights.iter().flat_map(|x| x.to_le_bytes()).collect();
        writer.write_tensor(name, &bytes).unwrap();
    }
    writer.finish().unwrap();
    fs::write(folder.join("vocab.txt"), pieces.join("\n") + "\n").unwrap();
    let config = format!(
        r#"{{"model_type": "bert", "vocab_size": {}, "hidden_size": {WIDTH}, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": {FFN}, "hidden_act": "gelu", "max_position_embeddings": 32, "type_vocab_size": 2}}"#,
        pieces.len()
    );
    fs::write(folder.join("config.json"), config).unwrap();
    let sentences = "the cat sat\nA DOG ran away\nbirds fly over the sea\n\nhow many points did they make\nan answer that is far too long for the thirty two positions of this network\n";
    fs::write(folder.with_file_name("sentences.txt"), sentences).unwrap();
}

/// Value of a line of `evaluate`.
fn value(shown: &str, name: &str) -> f64 {
    let line = shown.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{shown}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn an_encoder_becomes_gguf_under_the_names_of_the_converter() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    encoder(&at.join("m"), 0);
    let shown = succeeds(at, &["quantize", "m", "q.gguf", "--type", "Q4_K_M", "-q"]);
    assert!(shown.contains("rows of 64 do not fill the blocks of Q4_K, stored as Q5_0"), "{shown}");
    let file = ModelFile::open(at.join("q.gguf")).unwrap();
    let stored = |name: &str| file.tensors()[file.find(name).unwrap()].stored.clone();
    let found = ["token_embd.weight", "position_embd.weight", "token_types.weight", "blk.1.attn_q.weight"]
        .map(stored);
    assert_eq!(found, ["Q8_0", "F32", "F32", "Q5_0"]);
    assert!(["Q4_K", "Q6_K"].contains(&stored("blk.0.ffn_down.weight").as_str()));
    assert_eq!(stored("blk.0.layer_output_norm.bias"), "F32");
    assert!(file.find("pooler.dense.weight").is_none());
    let shown = succeeds(at, &["inspect", "q.gguf", "--header"]);
    for line in [
        "general.architecture = bert",
        "bert.block_count = 2",
        "bert.context_length = 32",
        "bert.attention.causal = false",
        "bert.pooling_type = 1",
        "tokenizer.ggml.model = bert",
        "tokenizer.ggml.token_type_count = 2",
        "tokenizer.ggml.cls_token_id = 2",
        "tokenizer.ggml.seperator_token_id = 3",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    succeeds(at, &["dequantize", "q.gguf", "back.safetensors", "-q"]);
    let back = ModelFile::open(at.join("back.safetensors")).unwrap();
    assert!(back.find("encoder.layer.1.output.dense.weight").is_some());
}

#[test]
fn sentences_of_the_same_weights_agree_and_of_rounded_ones_nearly() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    encoder(&at.join("m"), 0);
    succeeds(at, &["quantize", "m", "f32.gguf", "--type", "F32", "-q"]);
    succeeds(at, &["quantize", "m", "q8.gguf", "--type", "Q8_0", "-q"]);
    succeeds(at, &["quantize", "m", "rtn", "--method", "rtn", "--bits", "2", "--group", "32", "-q"]);
    let shown = succeeds(at, &["evaluate", "f32.gguf", "sentences.txt", "--base", "m", "--threads", "1"]);
    assert!(shown.starts_with("5 sentences, 5 of them compared in pairs\n"), "{shown}");
    for name in ["mean cosine", "least cosine", "Spearman", "same nearest", "overlap"] {
        assert!((value(&shown, name) - 1.0).abs() < 1e-6, "{shown}");
    }
    // Without the folder's files, the pieces come from GGUF.
    let shown =
        succeeds(at, &["evaluate", "q8.gguf", "sentences.txt", "--base", "f32.gguf", "--threads", "1"]);
    assert!(value(&shown, "least cosine") > 0.999 && value(&shown, "least cosine") < 1.0, "{shown}");
    let json = succeeds(at, &["evaluate", "rtn", "sentences.txt", "--base", "m", "--json", "--threads", "1"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let cosine = json["mean_cosine"].as_f64().unwrap();
    assert!(cosine > 0.3 && cosine < 0.999, "{json}");
    assert_eq!((json["sentences"].as_u64(), json["paired"].as_u64()), (Some(5), Some(5)));
}

#[test]
fn wishes_that_an_encoder_cannot_fulfil_are_one_error() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    encoder(&at.join("m"), 0);
    encoder(&at.join("other"), 3);
    write(&at.join("llama"), SMALL, |_, _| ());
    let said = error(at, &["evaluate", "m", "sentences.txt"]);
    assert!(
        said.contains("is an encoder, which predicts no text; give the unquantized one with --base"),
        "{said}"
    );
    let said = error(at, &["evaluate", "m", "sentences.txt", "--base", "m", "--windows", "3"]);
    assert_eq!(said, "--windows has no meaning for an encoder; leave it out");
    let said = error(at, &["evaluate", "m", "sentences.txt", "--base", "other"]);
    assert!(said.starts_with("other: 60 tokens and vectors of 64, "), "{said}");
    let said = error(at, &["evaluate", "m", "sentences.txt", "--base", "llama"]);
    assert!(said.contains("is no BERT encoder; expected a Hugging Face folder"), "{said}");
    fs::write(at.join("empty.txt"), "\n \n").unwrap();
    let said = error(at, &["evaluate", "m", "empty.txt", "--base", "m"]);
    assert_eq!(said, "empty.txt: no sentence, expected one per line");
    fs::remove_file(at.join("m/vocab.txt")).unwrap();
    let said = error(at, &["evaluate", "m", "sentences.txt", "--base", "m"]);
    assert!(said.contains("has no word pieces; give a folder with tokenizer.json or vocab.txt"), "{said}");
    let config = fs::read_to_string(at.join("other/config.json")).unwrap();
    fs::write(at.join("other/config.json"), config.replace("gelu", "relu")).unwrap();
    let said = error(at, &["quantize", "other", "o.gguf"]);
    assert!(
        said.contains("`hidden_act` is `relu`, but GGUF files of the architecture `bert` have GELU"),
        "{said}"
    );
}
