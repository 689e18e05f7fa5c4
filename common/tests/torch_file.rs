//! Files of `torch.save`, both formats, see `golden/README.md`.

use std::fs;
use std::path::{Path, PathBuf};

use common::torch_file::{Dtype, TorchFile};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn wave(places: impl IntoIterator<Item = u8>) -> Vec<f64> {
    places.into_iter().map(|place| f64::from(place) / 8.0 - 1.0).collect()
}

#[test]
fn both_formats_hold_the_same_tensors() {
    for name in ["state.pt", "state_legacy.pt"] {
        assert!(TorchFile::recognises(&golden(name)));
        let file = TorchFile::open(&golden(name)).unwrap();
        let numbers = |name: &str| -> (Vec<usize>, Vec<f64>) {
            let entry = file.tensors().iter().find(|entry| entry.name == name).unwrap();
            let bytes = file.numbers(entry).unwrap();
            let number = |bytes: &[u8]| match entry.dtype {
                Dtype::F64 => f64::from_le_bytes(bytes.try_into().unwrap()),
                Dtype::I64 => i64::from_le_bytes(bytes.try_into().unwrap()) as f64,
                Dtype::F32 => f64::from(f32::from_le_bytes(bytes.try_into().unwrap())),
                other => panic!("{other:?}"),
            };
            (entry.shape.clone(), bytes.chunks_exact(entry.dtype.size()).map(number).collect())
        };
        assert_eq!(file.tensors().len(), 5, "{name}");
        assert_eq!(numbers("features.0.weight"), (vec![2, 3, 2, 2], wave(0..24)));
        let turned = wave([4, 8, 12, 5, 9, 13, 6, 10, 14, 7, 11, 15]);
        assert_eq!(numbers("features.0.turned"), (vec![4, 3], turned));
        assert_eq!(numbers("features.1.num_batches_tracked"), (vec![], vec![7.0]));
        assert_eq!(numbers("classifier.weight"), (vec![1, 4], wave(0..4)));
        let half = file.tensors().iter().find(|entry| entry.name == "features.1.running_var").unwrap();
        // −1, −0.875 and −0.75 in half precision.
        assert_eq!(
            (half.dtype, file.numbers(half).unwrap()),
            (Dtype::F16, vec![0x00, 0xbc, 0x00, 0xbb, 0x00, 0xba])
        );
    }
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.pt");
    // Of an archive's last record of 22 bytes, the last are not needed.
    for (name, spare) in [("state.pt", 22), ("state_legacy.pt", 0)] {
        let whole = fs::read(golden(name)).unwrap();
        for length in (0..whole.len() - spare).step_by(7) {
            fs::write(&path, &whole[..length]).unwrap();
            let error = TorchFile::open(&path).unwrap_err().to_string();
            assert!(error.contains("cut.pt: "), "{name} of {length} bytes: {error}");
        }
    }
    assert!(!TorchFile::recognises(&golden("README.md")) && !TorchFile::recognises(&golden("absent")));
}
