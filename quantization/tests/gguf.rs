//! GGUF files: what gguf-py reads and writes, what is refused and how.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};

use common::files::sha256_hex;
use quantization::ggml::GgmlType;
use quantization::gguf::{Array, File, Header, HeaderError, Strings, Value, Writer};
use serde_json::Value as Json;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn golden_summary() -> Json {
    serde_json::from_slice(&fs::read(golden("containers.json")).unwrap()).unwrap()
}

/// Data folder, `None` (said on stderr) when there is none.
fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("BENKYOKAI_DATA").map(PathBuf::from).filter(|folder| folder.is_dir());
    if folder.is_none() {
        eprintln!("skipped: BENKYOKAI_DATA names no folder");
    }
    folder
}

fn compare_value(key: &str, value: &Value, expected: &Json) {
    let kinds: Vec<_> =
        expected["types"].as_array().unwrap().iter().map(|kind| kind.as_str().unwrap()).collect();
    let value_of = &expected["value"];
    match value {
        Value::Array(Array::String(strings)) => {
            assert_eq!(kinds, ["ARRAY", "STRING"], "{key}");
            let joined = strings.iter().collect::<Vec<_>>().join(&0);
            assert_eq!(sha256_hex(&joined), value_of["sha256"].as_str().unwrap(), "{key}");
        }
        Value::Array(array) => assert_eq!(array.len() as u64, value_of["len"].as_u64().unwrap(), "{key}"),
        Value::String(text) => assert_eq!(text, value_of.as_str().unwrap(), "{key}"),
        Value::Bool(truth) => assert_eq!(*truth, value_of.as_bool().unwrap(), "{key}"),
        Value::F32(number) => assert_eq!(f64::from(*number), value_of.as_f64().unwrap(), "{key}"),
        Value::F64(number) => assert_eq!(*number, value_of.as_f64().unwrap(), "{key}"),
        Value::U64(number) => assert_eq!(*number, value_of.as_u64().unwrap(), "{key}"),
        Value::U8(number) => assert_eq!(u64::from(*number), value_of.as_u64().unwrap(), "{key}"),
        Value::U16(number) => assert_eq!(u64::from(*number), value_of.as_u64().unwrap(), "{key}"),
        Value::U32(number) => assert_eq!(u64::from(*number), value_of.as_u64().unwrap(), "{key}"),
        Value::I8(number) => assert_eq!(i64::from(*number), value_of.as_i64().unwrap(), "{key}"),
        Value::I16(number) => assert_eq!(i64::from(*number), value_of.as_i64().unwrap(), "{key}"),
        Value::I32(number) => assert_eq!(i64::from(*number), value_of.as_i64().unwrap(), "{key}"),
        Value::I64(number) => assert_eq!(*number, value_of.as_i64().unwrap(), "{key}"),
    }
}

fn compare_with_gguf_py(path: &Path, expected: &Json) {
    let file = File::open(path).unwrap();
    assert_eq!(file.header().alignment, expected["alignment"].as_u64().unwrap());
    if !file.tensors().is_empty() {
        assert_eq!(file.header().data_start, expected["data_start"].as_u64().unwrap());
    }
    let keys = expected["keys"].as_object().unwrap();
    assert!(file.metadata().iter().map(|(key, _)| key).eq(keys.keys()));
    keys.iter().for_each(|(key, expected)| compare_value(key, file.get(key).unwrap(), expected));
    let tensors = expected["tensors"].as_array().unwrap();
    assert_eq!(file.tensors().len(), tensors.len());
    for (tensor, expected) in file.tensors().iter().zip(tensors) {
        assert_eq!(tensor.name, expected["name"].as_str().unwrap());
        assert_eq!(tensor.kind.name(), expected["type"].as_str().unwrap());
        assert_eq!(serde_json::json!(tensor.dims), expected["dims"], "{}", tensor.name);
        assert_eq!(tensor.offset, expected["offset"].as_u64().unwrap());
        assert_eq!(tensor.bytes, expected["bytes"].as_u64().unwrap());
        let bytes = file.read_tensor(&tensor.name).unwrap();
        assert_eq!(sha256_hex(&bytes), expected["sha256"].as_str().unwrap(), "{}", tensor.name);
    }
}

#[test]
fn real_files_read_as_gguf_py_reads_them() {
    let Some(data) = data() else { return };
    let summary = golden_summary();
    for name in [
        "stories260k/stories260K-f32.gguf",
        "shakespeare-llama-256/model-f16.gguf",
        "gguf-vocab/ggml-vocab-gpt-2.gguf",
        "gguf-vocab/ggml-vocab-bert-bge.gguf",
    ] {
        compare_with_gguf_py(&data.join(name), &summary[name]);
    }
}

#[test]
fn a_file_with_every_kind_of_value_reads_as_gguf_py_wrote_it() {
    compare_with_gguf_py(&golden("containers.gguf"), &golden_summary()["containers.gguf"]);
    let file = File::open(golden("containers.gguf")).unwrap();
    assert_eq!(file.get_i32s("k.ints").unwrap(), [1, -2, 3]);
    assert_eq!(file.get_f32s("k.floats").unwrap(), [0.5, -1.25]);
    assert_eq!(file.get("k.bools"), Some(&Value::Array(Array::Bool(vec![true, false, true]))));
    assert_eq!(file.get_strings("k.strings").unwrap().get(2), Some("▁the".as_bytes()));
    assert_eq!(file.get_u64("k.u64").unwrap(), (1 << 63) + 1);
}

#[test]
fn the_writer_makes_the_bytes_of_gguf_py() {
    let folder = tempfile::tempdir().unwrap();
    let mut sources = vec![golden("containers.gguf"), golden("imatrix.gguf")];
    if let Some(data) = data() {
        sources.push(data.join("stories260k/stories260K-f32.gguf"));
        sources.push(data.join("shakespeare-llama-256/model-f16.gguf"));
    }
    for source in sources {
        let copy = folder.path().join("copy.gguf");
        copy_file(&File::open(&source).unwrap(), &copy);
        assert!(fs::read(&copy).unwrap() == fs::read(&source).unwrap(), "{}", source.display());
    }
}

fn copy_file(source: &File, path: &Path) {
    let mut writer = Writer::create(path).unwrap();
    writer.set_all(source.metadata()).unwrap();
    for tensor in source.tensors() {
        writer.declare(&tensor.name, &tensor.dims, tensor.kind).unwrap();
    }
    for tensor in source.tensors() {
        writer.write_tensor(&tensor.name, &source.read_tensor(&tensor.name).unwrap()).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn a_tensor_written_in_pieces_is_the_tensor_written_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    let mut writer = Writer::create(&path).unwrap();
    writer.declare("a", &[3, 2], GgmlType::I8).unwrap();
    writer.declare("b", &[], GgmlType::F32).unwrap();
    writer.append(&[1, 2]).unwrap();
    writer.append(&[3, 4, 5, 6]).unwrap();
    writer.append(&2.5_f32.to_le_bytes()).unwrap();
    writer.finish().unwrap();
    let file = File::open(&path).unwrap();
    assert_eq!(file.read_tensor("a").unwrap(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(file.read_tensor("b").unwrap(), 2.5_f32.to_le_bytes());
    let mut part = [0; 2];
    file.read_range(file.tensor("a").unwrap(), 3, &mut part).unwrap();
    assert_eq!(part, [4, 5]);
    let error = file.read_range(file.tensor("a").unwrap(), 5, &mut part).unwrap_err().to_string();
    assert!(error.ends_with("tensor `a` has 6 bytes, asked for 2 from 5"), "{error}");
    let error = file.read_tensor("c").unwrap_err().to_string();
    assert!(error.ends_with("no tensor `c` among the 2 of the file; list them with `inspect`"), "{error}");
}

#[test]
fn an_unfinished_file_leaves_the_old_one_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    fs::write(&path, b"old").unwrap();
    let mut writer = Writer::create(&path).unwrap();
    writer.declare("a", &[4], GgmlType::F32).unwrap();
    writer.append(&[0; 8]).unwrap();
    let error = writer.finish().unwrap_err().to_string();
    assert!(error.ends_with("tensor `a` has 8 of its 16 bytes; write all tensors first"), "{error}");
    drop(Writer::create(&path).unwrap());
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn the_writer_refuses_what_a_reader_would_refuse() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(folder.path().join("a.gguf")).unwrap();
    let says = |result: Result<(), quantization::gguf::WriteError>, text: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    };
    says(writer.set("", 1_u32), "a key is empty");
    says(writer.set("general.alignment", 48_u32), "must be a u32 and a power of two");
    says(writer.declare(&"n".repeat(64), &[1], GgmlType::F32), "has 64 bytes, expected fewer than 64");
    says(writer.declare("a", &[1; 5], GgmlType::F32), "expected at most 4 positive sizes");
    says(writer.declare("a", &[0], GgmlType::F32), "expected at most 4 positive sizes");
    says(writer.declare("a", &[u64::MAX, 2], GgmlType::F32), "expected at most 4 positive sizes");
    says(
        writer.declare("a", &[33], GgmlType::Q8_0),
        "rows of 33 weights, expected a multiple of 32 for type Q8_0",
    );
    writer.declare("a", &[32], GgmlType::Q8_0).unwrap();
    says(writer.declare("a", &[32], GgmlType::Q8_0), "tensor `a` is declared twice");
    says(writer.set("general.alignment", 64_u32), "comes after a tensor");
    says(writer.write_tensor("b", &[]), "tensor `b` is written when `a` is due");
    says(writer.write_tensor("a", &[0; 33]), "comes with 33 bytes, its type and shape take 34");
    writer.write_tensor("a", &[0; 34]).unwrap();
    says(writer.append(&[0]), "1 bytes come after the last tensor");
    says(writer.set("late", 1_u32), "key `late` comes after the first tensor data");
    says(writer.declare("late", &[1], GgmlType::F32), "declared after the first data");
    says(Writer::create(folder.path().join("none/a.gguf")).map(drop), "no such file or folder");
}

/// A header in pieces that a test may spoil.
struct Draft {
    version: u32,
    keys: Vec<Vec<u8>>,
    tensors: Vec<Vec<u8>>,
    data: usize,
}

fn text(text: &str) -> Vec<u8> {
    [(text.len() as u64).to_le_bytes().as_slice(), text.as_bytes()].concat()
}

fn key(name: &str, kind: u32, value: &[u8]) -> Vec<u8> {
    [text(name).as_slice(), &kind.to_le_bytes(), value].concat()
}

fn tensor(name: &str, dims: &[u64], kind: u32, offset: u64) -> Vec<u8> {
    let mut out = [text(name).as_slice(), &(dims.len() as u32).to_le_bytes()].concat();
    dims.iter().for_each(|dim| out.extend(dim.to_le_bytes()));
    [out.as_slice(), &kind.to_le_bytes(), &offset.to_le_bytes()].concat()
}

impl Draft {
    fn new() -> Self {
        Self { version: 3, keys: Vec::new(), tensors: Vec::new(), data: 0 }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.keys.len() as u64).to_le_bytes());
        self.keys.iter().chain(&self.tensors).for_each(|piece| out.extend(piece));
        out.resize(out.len().next_multiple_of(32) + self.data, 0);
        out
    }

    fn read(&self) -> Result<Header, HeaderError> {
        read(&self.bytes())
    }
}

fn read(bytes: &[u8]) -> Result<Header, HeaderError> {
    Header::read(bytes, bytes.len() as u64)
}

fn refuses(draft: &Draft, message: &str) {
    let error = draft.read().unwrap_err().to_string();
    assert!(error.contains(message), "{error}\ndoes not say\n{message}");
}

#[test]
fn other_files_and_versions_are_named() {
    let says = |bytes: &[u8], message: &str| {
        let error = read(bytes).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    };
    says(b"PK\x03\x04....", "starts with `PK\\x03\\x04`, expected `GGUF`: this is not a GGUF file");
    says(b"", "byte 0: the magic word needs 4 bytes, but only 0 are left: the file is truncated");
    says(
        b"GGUF\0\0\0\x03",
        "byte 4: version 3 with its bytes swapped, expected little-endian: this is a big-endian file",
    );
    says(b"GGUF\x01\0\0\0", "byte 4: version 1, expected 2 or 3");
    says(b"GGUF\x09\0\0\0", "byte 4: version 9, expected 2 or 3");
    says(b"GGUF\x02\0\0\0", "byte 8: the number of tensors needs 8 bytes, but only 0 are left");
    let mut second = Draft::new();
    second.version = 2;
    assert_eq!(second.read().unwrap().version, 2);
}

#[test]
fn broken_keys_are_named() {
    let mut draft = Draft::new();
    draft.keys = vec![key("a", 4, &[0; 4]), key("a", 4, &[0; 4])];
    refuses(&draft, "byte 41: key `a` occurs a second time");
    draft.keys = vec![key("", 4, &[0; 4])];
    refuses(&draft, "byte 24: key number 0 is empty");
    draft.keys = vec![key("a", 13, &[0; 4])];
    refuses(&draft, "byte 33: key `a` has value type 13, expected 0 to 12");
    draft.keys = vec![key("a", 9, &[9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])];
    refuses(&draft, "byte 37: key `a` is an array of arrays");
    draft.keys = vec![key("a", 8, &u64::MAX.to_le_bytes())];
    refuses(&draft, "byte 45: key `a` needs 18446744073709551615 bytes, but only");
    draft.keys = vec![key("a", 9, &[4, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 127])];
    refuses(&draft, "byte 49: key `a` announces 9223372036854775807 entries, more than the");
    draft.keys = vec![key("a", 9, &[8, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0])];
    refuses(&draft, "byte 49: key `a` announces 4294967295 entries");
    draft.keys = vec![key("a", 8, &[1, 0, 0, 0, 0, 0, 0, 0, 255])];
    refuses(&draft, "key `a` is not UTF-8");
    draft.keys = vec![key("general.alignment", 4, &48_u32.to_le_bytes())];
    refuses(&draft, "key `general.alignment` is 48, expected a u32 that is a power of two");
    draft.keys = vec![key("general.alignment", 4, &[0; 4])];
    refuses(&draft, "key `general.alignment` is 0");
    draft.keys = vec![key("general.alignment", 10, &[32, 0, 0, 0, 0, 0, 0, 0])];
    refuses(&draft, "key `general.alignment` is of type u64");
}

#[test]
fn broken_tensors_are_named() {
    let mut draft = Draft::new();
    draft.data = 64;
    draft.tensors = vec![tensor("a", &[8], 0, 0), tensor("b", &[8], 0, 32)];
    assert_eq!(draft.read().unwrap().tensor("b").unwrap().offset, 32);
    draft.tensors = vec![tensor("a", &[8], 0, 0), tensor("b", &[8], 0, 0)];
    refuses(&draft, "tensor `b` starts at offset 0, expected 32, directly behind the tensor before it");
    draft.tensors = vec![tensor("a", &[8], 0, 32)];
    refuses(&draft, "tensor `a` starts at offset 32, expected 0");
    draft.tensors = vec![tensor("a", &[8], 0, 0), tensor("a", &[8], 0, 32)];
    refuses(&draft, "tensor `a` occurs a second time");
    draft.tensors = vec![tensor(&"n".repeat(64), &[8], 0, 0)];
    refuses(&draft, "has 64 bytes, expected fewer than 64");
    draft.tensors = vec![tensor("a", &[1; 5], 0, 0)];
    refuses(&draft, "tensor `a` has 5 dimensions, expected at most 4");
    draft.tensors = vec![tensor("a", &[u64::MAX, 2], 0, 0)];
    refuses(&draft, "tensor `a` has shape [18446744073709551615, 2], expected positive sizes");
    draft.tensors = vec![tensor("a", &[1 << 62], 27, 0)];
    refuses(&draft, "tensor `a` has shape [4611686018427387904], expected positive sizes");
    draft.tensors = vec![tensor("a", &[4, 0], 0, 0)];
    refuses(&draft, "tensor `a` has shape [4, 0], expected positive sizes");
    draft.tensors = vec![tensor("a", &[256], 16, 0)];
    refuses(&draft, "tensor `a` has type 16 (IQ2_XXS), expected one that this program reads");
    draft.tensors = vec![tensor("a", &[256], 99, 0)];
    refuses(&draft, "tensor `a` has type 99, expected one");
    draft.tensors = vec![tensor("a", &[250], 12, 0)];
    refuses(&draft, "tensor `a` has rows of 250 weights, expected a multiple of 256 for type Q4_K");
    draft.tensors = vec![tensor("a", &[17], 0, 0)];
    refuses(&draft, "tensor `a` needs bytes 64 to 132, but the file has 128: it is truncated");
    let mut bytes = Draft::new().bytes();
    bytes[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    let error = read(&bytes).unwrap_err().to_string();
    assert!(
        error.starts_with("byte 24: the list of tensors announces 18446744073709551615 entries"),
        "{error}"
    );
}

#[test]
fn a_file_cut_anywhere_is_refused_unless_only_padding_is_lost() {
    let bytes = fs::read(golden("containers.gguf")).unwrap();
    let header = read(&bytes).unwrap();
    let last = header.tensors.last().unwrap();
    let end = (header.data_start + last.offset + last.bytes) as usize;
    assert!((0..end).all(|len| read(&bytes[..len]).is_err()));
    assert!((end..bytes.len()).all(|len| read(&bytes[..len]).is_ok()));
}

#[test]
fn missing_files_and_folders_are_named() {
    let error = File::open("no/such.gguf").unwrap_err().to_string();
    assert!(error.starts_with("no/such.gguf: opening: No such file"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let error = File::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("opening: not a regular file"), "{error}");
}

#[test]
fn strings_keep_bytes_that_are_no_text() {
    let strings: Strings = [b"a".as_slice(), b"", &[0xff, 0]].into_iter().collect();
    assert_eq!((strings.len(), strings.get(1), strings.get(2)), (3, Some(&b""[..]), Some(&[0xff, 0][..])));
    assert_eq!(strings.get(3), None);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    let mut writer = Writer::create(&path).unwrap();
    writer.set("k", strings.clone()).unwrap();
    writer.finish().unwrap();
    assert_eq!(File::open(&path).unwrap().get_strings("k").unwrap(), &strings);
}

#[test]
fn threads_read_one_file_at_once() {
    let file = File::open(golden("containers.gguf")).unwrap();
    let expected = file.read_tensor("c.weight").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50).for_each(|_| assert_eq!(file.read_tensor("c.weight").unwrap(), expected)));
        }
    });
}

#[test]
#[ignore = "a measurement, by name"]
fn opening_a_big_vocabulary_takes_this_long() {
    let Some(data) = data() else { return };
    let path = data.join("gguf-vocab/ggml-vocab-gpt-2.gguf");
    let time = || {
        let start = std::time::Instant::now();
        std::hint::black_box(File::open(&path).unwrap());
        start.elapsed()
    };
    println!("opening ggml-vocab-gpt-2.gguf: {:?}", (0..20).map(|_| time()).min().unwrap());
}
