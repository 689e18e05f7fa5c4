//! safetensors files: what the reference reads and writes, what is refused and how.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::files::sha256_hex;
use quantization::safetensors::{Dtype, File, Header, Sharded, Writer};
use serde_json::Value as Json;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// Data folder, `None` (said on stderr) when there is none.
fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("BENKYOKAI_DATA").map(PathBuf::from).filter(|folder| folder.is_dir());
    if folder.is_none() {
        eprintln!("skipped: BENKYOKAI_DATA names no folder");
    }
    folder
}

#[test]
fn a_real_model_reads_as_the_reference_reads_it() {
    let Some(data) = data() else { return };
    let summary: Json = serde_json::from_slice(&fs::read(golden("containers.json")).unwrap()).unwrap();
    let expected = summary["shakespeare-llama-256/model.safetensors"].as_object().unwrap();
    let file = File::open(data.join("shakespeare-llama-256/model.safetensors")).unwrap();
    assert_eq!(file.tensors().len(), expected.len());
    for tensor in file.tensors() {
        let expected = &expected[&tensor.name];
        assert_eq!(serde_json::json!(tensor.shape), expected["shape"]);
        assert_eq!(
            sha256_hex(&file.read_tensor(&tensor.name).unwrap()),
            expected["sha256"].as_str().unwrap()
        );
        let floats: Vec<u8> =
            file.read_f32(&tensor.name).unwrap().iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(sha256_hex(&floats), expected["sha256_f32"].as_str().unwrap(), "{}", tensor.name);
    }
}

#[test]
fn the_writer_makes_the_bytes_of_the_reference() {
    let path = golden("containers.safetensors");
    let source = File::open(&path).unwrap();
    let mut tensors: Vec<_> = source
        .tensors()
        .iter()
        .map(|tensor| (tensor.name.clone(), tensor.dtype, tensor.shape.clone()))
        .collect();
    tensors.reverse();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.safetensors");
    let mut writer = Writer::create(&copy, &source.header().metadata, &tensors).unwrap();
    for (name, ..) in &tensors {
        writer.write_tensor(name, &source.read_tensor(name).unwrap()).unwrap();
    }
    writer.finish().unwrap();
    assert!(fs::read(copy).unwrap() == fs::read(path).unwrap());
}

#[test]
fn every_element_type_of_the_reference_reads_as_numbers() {
    let file = File::open(golden("containers.safetensors")).unwrap();
    for tensor in file.tensors().iter().filter(|tensor| tensor.name.starts_with('t')) {
        let expected: Vec<f32> = match tensor.dtype {
            Dtype::BOOL => vec![0.0, 1.0, 1.0, 1.0, 1.0, 1.0],
            _ => (0..6).map(|value| value as f32).collect(),
        };
        assert_eq!(file.read_f32(&tensor.name).unwrap(), expected, "{}", tensor.name);
    }
    assert_eq!(file.read_f32("again.float32").unwrap(), [2.5]);
    assert!(file.read_f32("odd \"name\"\n語").unwrap().is_empty());
    assert_eq!(file.header().metadata["format"], "np");
}

fn with_header(text: &str, data: usize) -> Vec<u8> {
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

fn refuses(bytes: &[u8], message: &str) {
    let error = Header::from_bytes(bytes).unwrap_err().to_string();
    assert!(error.contains(message), "{error}\ndoes not say\n{message}");
}

#[test]
fn broken_headers_are_named() {
    refuses(b"", "has 0 bytes, expected at least 10");
    refuses(&[255; 16], "header of 18446744073709551615 bytes, expected 2 to 8");
    refuses(&with_header("[1, 2]", 0), "header: starts with `[1, 2]`, not with `{`");
    refuses(
        &with_header("{\"a\": 1}", 0),
        "expected an object of tensors with `dtype`, `shape` and `data_offsets`",
    );
    let one = |entry: &str, data| with_header(&format!("{{\"a\":{entry}}}"), data);
    let entry = r#"{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;
    assert!(Header::from_bytes(&one(entry, 8)).is_ok());
    refuses(&one(entry, 7), "the tensors take 8 bytes of data, but the file has 7");
    refuses(&one(entry, 9), "the tensors take 8 bytes of data, but the file has 9");
    refuses(&one(&entry.replace("F32", "F33"), 8), "tensor `a` has type `F33`, expected one such as F32");
    refuses(&one(&entry.replace("[2]", "[3]"), 8), "shape [3] of type F32, which does not take the 8 bytes");
    refuses(&one(&entry.replace("[2]", "[4294967296,4294967296,2]"), 8), "does not take the 8 bytes");
    refuses(&one(&entry.replace("[2]", "[-1]"), 8), "header: invalid value");
    refuses(&one(&entry.replace("[0,8]", "[8,0]"), 8), "tensor `a` has data from 8 to 0");
    refuses(&one(&entry.replace("[0,8]", "[4,12]"), 12), "data from 4 to 12, expected a start at 0");
    let two = |a: &str, b: &str, data| with_header(&format!("{{\"a\":{a},\"{b}\":{a}}}"), data);
    refuses(&two(entry, "b", 8), "tensor `b` has data from 0 to 8, expected a start at 8: tensors overlap");
    let empty = r#"{"dtype":"F32","shape":[0],"data_offsets":[0,0]}"#;
    refuses(&two(empty, "a", 0), "tensor `a` occurs a second time");
    refuses(
        &with_header(r#"{"__metadata__":{},"__metadata__":{}}"#, 0),
        "`__metadata__` occurs a second time",
    );
    refuses(&with_header(&"{\"a\":".repeat(5000), 0), "header: ");
}

#[test]
fn the_writer_refuses_what_does_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let create = |tensors: &[(String, Dtype, Vec<usize>)]| Writer::create(&path, &BTreeMap::new(), tensors);
    let one = ("a".to_owned(), Dtype::F32, vec![2]);
    let error = create(&[one.clone(), one.clone()]).unwrap_err().to_string();
    assert!(error.ends_with("tensor `a` is given twice; give each its own name"), "{error}");
    fs::write(&path, b"old").unwrap();
    let mut writer = create(std::slice::from_ref(&one)).unwrap();
    let error = writer.write_tensor("b", &[]).unwrap_err().to_string();
    assert!(error.ends_with("tensor `b` is unknown or written already"), "{error}");
    let error = writer.finish().unwrap_err().to_string();
    assert!(error.ends_with("1 tensors are not written, such as `a`; write all first"), "{error}");
    let error = create(&[one]).unwrap().write_tensor("a", &[0; 7]).unwrap_err().to_string();
    assert!(error.ends_with("tensor `a` comes with 7 bytes, its type and shape take 8"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

fn write_one(path: &Path, name: &str, values: &[f32]) {
    let mut writer =
        Writer::create(path, &BTreeMap::new(), &[(name.to_owned(), Dtype::F32, vec![values.len()])]).unwrap();
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    writer.write_tensor(name, &bytes).unwrap();
    writer.finish().unwrap();
}

#[test]
fn a_model_in_several_files_is_one_list_of_tensors() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    write_one(&path("1.safetensors"), "b", &[1.0]);
    write_one(&path("2.safetensors"), "a", &[2.0, 3.0]);
    let index = path("model.safetensors.index.json");
    fs::write(&index, r#"{"metadata": {}, "weight_map": {"a": "2.safetensors", "b": "1.safetensors"}}"#)
        .unwrap();
    let model = Sharded::open(&index).unwrap();
    let names: Vec<_> = model.tensors().map(|(_, tensor)| tensor.name.as_str()).collect();
    assert_eq!((names, model.files().len()), (vec!["a", "b"], 2));
    let (file, _) = model.tensor("a").unwrap();
    assert_eq!(file.read_f32("a").unwrap(), [2.0, 3.0]);
    assert_eq!(Sharded::open(path("1.safetensors")).unwrap().tensors().count(), 1);

    fs::write(&index, r#"{"weight_map": {"c": "2.safetensors"}}"#).unwrap();
    let error = Sharded::open(&index).unwrap_err().to_string();
    assert!(error.contains("tensor `c` is not in `2.safetensors`"), "{error}");
    fs::write(&index, r#"{"weight_map": {"c": "../2.safetensors"}}"#).unwrap();
    let error = Sharded::open(&index).unwrap_err().to_string();
    assert!(error.contains("file name `../2.safetensors` leads out of the folder"), "{error}");
    fs::write(&index, "{}").unwrap();
    let error = Sharded::open(&index).unwrap_err().to_string();
    assert!(error.contains("expected an object with `weight_map`"), "{error}");
}
