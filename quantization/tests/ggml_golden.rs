//! Bytes and values of ggml's own quantizers, for every type with golden rows.
//!
//! The rows lie in the data folder named by `BENKYOKAI_DATA`; without it these tests are skipped.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

use std::fs;
use std::path::PathBuf;

use quantization::ggml::{GgmlType, decode, encode};

/// Weights per golden row.
const COLUMNS: usize = 1024;

fn golden() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("BENKYOKAI_DATA")?).join("ggml-golden");
    if !folder.is_dir() {
        eprintln!("skipped: {} is missing", folder.display());
        return None;
    }
    Some(folder)
}

fn floats(path: PathBuf) -> Vec<f32> {
    let bytes = fs::read(path).unwrap();
    bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

#[test]
fn every_encoder_writes_ggml_s_bytes() {
    let Some(folder) = golden() else { return };
    let input = floats(folder.join("input.f32"));
    let importance = floats(folder.join("importance.f32"));
    let mut compared = 0;
    for kind in GgmlType::all() {
        for (suffix, importance) in [("", None), ("_im", Some(&importance[..]))] {
            let path = folder.join(format!("{kind}{suffix}.bin"));
            let (Ok(expected), true) = (fs::read(&path), encodes(kind)) else { continue };
            let mut bytes = vec![0xA5; expected.len()];
            encode(kind, &input, COLUMNS, importance, &mut bytes).unwrap();
            let wrong = bytes.iter().zip(&expected).position(|(a, b)| a != b);
            assert_eq!(wrong.map(|i| i / kind.block_bytes()), None, "first wrong block of {kind}{suffix}");
            compared += 1;
        }
    }
    assert!(compared >= 19, "{compared}");
}

/// Whether the type has an encoder.
fn encodes(kind: GgmlType) -> bool {
    encode(kind, &vec![0.0; kind.block_len()], kind.block_len(), None, &mut vec![0; kind.block_bytes()])
        .is_ok()
}

#[test]
fn every_decoder_gives_ggml_s_values() {
    let Some(folder) = golden() else { return };
    let mut compared = 0;
    for kind in GgmlType::all() {
        for suffix in ["", "_im"] {
            let Ok(bytes) = fs::read(folder.join(format!("{kind}{suffix}.bin"))) else { continue };
            let expected = floats(folder.join(format!("{kind}{suffix}.deq.f32")));
            let mut values = vec![f32::NAN; expected.len()];
            decode(kind, &bytes, &mut values).unwrap();
            let wrong = values.iter().zip(&expected).position(|(a, b)| a.to_bits() != b.to_bits());
            assert_eq!(wrong, None, "first wrong weight of {kind}{suffix}");
            compared += 1;
        }
    }
    assert!(compared >= 31, "{compared}");
}
