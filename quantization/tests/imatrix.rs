//! Importance matrices: both forms of llama.cpp, what is refused and how.

use std::fs;
use std::path::{Path, PathBuf};

use quantization::gguf;
use quantization::imatrix::{Entry, Imatrix};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

#[test]
fn the_gguf_form_is_read_and_written_byte_for_byte() {
    let matrix = Imatrix::read(golden("imatrix.gguf")).unwrap();
    assert_eq!((matrix.chunk_count, matrix.chunk_size), (3, 16));
    assert_eq!(matrix.datasets, ["calibration.txt"]);
    assert_eq!(matrix.entries["blk.0.attn_q.weight"].counts, [48.0]);
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.gguf");
    matrix.write(&copy).unwrap();
    assert!(fs::read(&copy).unwrap() == fs::read(golden("imatrix.gguf")).unwrap());
}

#[test]
fn both_forms_give_the_same_importance() {
    let (new, old) =
        (Imatrix::read(golden("imatrix.gguf")).unwrap(), Imatrix::read(golden("imatrix.dat")).unwrap());
    assert_eq!((old.chunk_count, old.datasets.as_slice()), (3, &["calibration.txt".to_owned()][..]));
    let name = "blk.0.attn_q.weight";
    let (new, old) = (new.importance(name).unwrap(), old.importance(name).unwrap());
    assert_eq!(new.len(), 8);
    // The older form stores means times calls, rounded to f32 twice.
    assert!(new.iter().zip(&old).all(|(new, old)| (new - old).abs() <= 2e-7 * new), "{new:?} {old:?}");
}

#[test]
fn an_expert_without_tokens_has_importance_one() {
    let entry = Entry { sums: vec![2.0, 4.0, 0.0, 0.0], counts: vec![2.0, 0.0] };
    assert_eq!(entry.importance(), [1.0, 2.0, 1.0, 1.0]);
    let matrix = Imatrix::read(golden("imatrix.gguf")).unwrap();
    let importance = matrix.importance("blk.0.ffn_down_exps.weight").unwrap();
    assert_eq!((importance.len(), &importance[4..]), (8, &[1.0; 4][..]));
    assert_eq!(matrix.importance("output.weight"), None);
}

#[test]
fn broken_matrices_are_named() {
    let bytes = fs::read(golden("imatrix.dat")).unwrap();
    let end_of_entries = bytes.len() - 4 - 4 - 15;
    for len in 0..bytes.len() {
        let complete = len == end_of_entries || len == end_of_entries + 4;
        assert_eq!(Imatrix::decode_legacy(&bytes[..len]).is_ok(), complete, "{len}");
    }
    let error = Imatrix::decode_legacy(&[255, 255, 255, 127, 0, 0, 0, 0]).unwrap_err();
    assert!(error.starts_with("byte 0: the number of entries is 2147483647, expected 0 to 0"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    let mut matrix = Imatrix::default();
    let error = matrix.write(&path).unwrap_err().to_string();
    assert!(error.contains("has no `….in_sum2` tensors: this is not an importance matrix"), "{error}");
    matrix.entries.insert("a".to_owned(), Entry { sums: vec![1.0, f32::NAN], counts: vec![1.0] });
    let error = matrix.write(&path).unwrap_err().to_string();
    assert!(error.contains("tensor `a` has the value NaN, expected finite numbers"), "{error}");
    matrix.entries.insert("a".to_owned(), Entry { sums: vec![1.0; 3], counts: vec![1.0; 2] });
    let error = matrix.write(&path).unwrap_err().to_string();
    assert!(error.contains("tensor `a` has 3 sums for 2 counts, expected a multiple"), "{error}");
    let error = Imatrix::read(golden("containers.gguf")).unwrap_err().to_string();
    assert!(error.contains("this is not an importance matrix"), "{error}");
    let mut writer = gguf::Writer::create(&path).unwrap();
    writer.declare("a.in_sum2", &[1], quantization::ggml::GgmlType::F32).unwrap();
    writer.append(&[0; 4]).unwrap();
    writer.finish().unwrap();
    let error = Imatrix::read(&path).unwrap_err().to_string();
    assert!(error.contains("no tensor `a.counts`"), "{error}");
}
