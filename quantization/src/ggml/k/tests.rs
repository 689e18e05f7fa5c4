//! K-quants against the bytes of ggml and against the searches written block by block.

use std::path::PathBuf;

use super::*;

const KINDS: [GgmlType; 5] = [GgmlType::Q2_K, GgmlType::Q3_K, GgmlType::Q4_K, GgmlType::Q5_K, GgmlType::Q6_K];

/// `data/ggml-golden` of the data root, `None` (and a line) without it.
fn golden() -> Option<PathBuf> {
    let folder = std::env::var_os("BENKYOKAI_DATA").map(|root| PathBuf::from(root).join("ggml-golden"));
    let folder = folder.filter(|folder| folder.is_dir());
    if folder.is_none() {
        eprintln!("skipped: BENKYOKAI_DATA has no ggml-golden");
    }
    folder
}

fn floats(path: PathBuf) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    bytes.chunks_exact(4).map(|x| f32::from_le_bytes(x.try_into().unwrap())).collect()
}

fn check_golden(encode: impl Fn(GgmlType, &[f32], usize, Option<&[f32]>, &mut [u8])) {
    let Some(folder) = golden() else { return };
    let input = floats(folder.join("input.f32"));
    let importance = floats(folder.join("importance.f32"));
    for kind in KINDS {
        for (suffix, importance) in [("", None), ("_im", Some(importance.as_slice()))] {
            let expected = std::fs::read(folder.join(format!("{kind}{suffix}.bin"))).unwrap();
            let mut bytes = vec![0xa5; expected.len()];
            encode(kind, &input, 1024, importance, &mut bytes);
            let size = kind.block_bytes();
            let wrong = (0..expected.len() / size)
                .filter(|i| bytes[i * size..][..size] != expected[i * size..][..size]);
            assert_eq!(wrong.collect::<Vec<_>>(), [0; 0], "super-blocks of {kind}{suffix}");
        }
    }
}

#[test]
fn the_block_by_block_searches_give_the_bytes_of_ggml() {
    check_golden(scalar::encode);
}
