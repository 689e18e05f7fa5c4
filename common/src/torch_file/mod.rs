//! Files of PyTorch that hold tensors: those of `torch.save` and those of TorchScript. Since version 1.6 both are ZIP archives
//! without compression, of a pickle and one file of numbers per storage; before, the pickle stood in front of the numbers. It is
//! read by an interpreter that knows tensors, dictionaries, lists and modules, and runs nothing.

mod archive;
mod legacy;
mod pickle;

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::files::{self, FileError, read_exact_at};
use pickle::{Node, Pickle, Stored};

/// Most bytes of a pickle, whose numbers are in other files.
const PICKLE: u64 = 1 << 24;
/// Most values within values; a module tree has some ten levels.
const DEPTH: usize = 64;
/// Most names that are looked at, so that a pickle of shared values ends.
const VISITS: usize = 1 << 18;
/// What a file of `torch.save` before version 1.6 starts with: a pickled magic number.
const LEGACY: [u8; 7] = [0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c];

/// A file that cannot be read.
#[derive(Debug, Error)]
pub enum TorchFileError {
    /// Missing or unreadable.
    #[error(transparent)]
    File(#[from] FileError),
    /// None of PyTorch's, broken, or asking for more than tensors.
    #[error("{path}: {problem}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it is, and how to mend it.
        problem: String,
    },
}

/// Type of a tensor's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is its name")]
pub enum Dtype {
    F16,
    Bf16,
    F32,
    F64,
    U8,
    I32,
    I64,
}

impl Dtype {
    /// Bytes of a number.
    pub fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F16 | Self::Bf16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }
}

/// A tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Names on the way to it, joined by dots.
    pub name: String,
    /// Type of its numbers.
    pub dtype: Dtype,
    /// Sizes.
    pub shape: Vec<usize>,
    stored: Stored,
}

/// An open file.
#[derive(Debug)]
pub struct TorchFile {
    path: PathBuf,
    file: File,
    places: HashMap<String, Range<u64>>,
    folder: String,
    tensors: Vec<Entry>,
    scripted: bool,
}

impl TorchFile {
    /// Whether a file begins as PyTorch's do: a ZIP archive, or the pickle of the time before.
    pub fn recognises(path: &Path) -> bool {
        let mut start = Vec::new();
        files::open(path).is_ok_and(|file| file.take(8).read_to_end(&mut start).is_ok())
            && (start.starts_with(b"PK\x03\x04") || start.starts_with(&LEGACY))
    }

    /// Reads what a file holds, not yet its numbers.
    ///
    /// # Errors
    /// [`TorchFileError`].
    pub fn open(path: &Path) -> Result<Self, TorchFileError> {
        let fail = |problem: String| TorchFileError::Content { path: path.to_owned(), problem };
        let mut file = files::open(path)?;
        let mut start = Vec::new();
        (&mut file).take(8).read_to_end(&mut start).map_err(|error| fail(error.to_string()))?;
        let length = file.metadata().map_err(|error| fail(error.to_string()))?.len();
        if start.starts_with(&LEGACY) {
            let (tensors, places) = legacy::read(&file, length)
                .map_err(|what| fail(format!("a file of `torch.save` before version 1.6: {what}")))?;
            let (path, folder) = (path.to_owned(), String::new());
            return Ok(Self { path, tensors, scripted: false, folder, file, places });
        }
        let places = archive::entries(&file, length)
            .map_err(|what| fail(format!("not a file of `torch.save` or TorchScript: {what}")))?;
        let pickle = places.iter().find(|(name, _)| name.ends_with("/data.pkl"));
        let (name, place) =
            pickle.ok_or_else(|| fail("no `data.pkl` in it; was it made by PyTorch?".to_owned()))?;
        let folder = name.trim_end_matches("data.pkl").to_owned();
        if place.end - place.start > PICKLE {
            return Err(fail("a longer pickle than tensors need".to_owned()));
        }
        let read = |place: &Range<u64>| read_place(&file, place).map_err(|error| fail(error.to_string()));
        let order = places.get(&format!("{folder}byteorder")).map(read).transpose()?;
        if order.is_some_and(|order| order != b"little") {
            return Err(fail("big-endian numbers, expected little-endian".to_owned()));
        }
        let bytes = read(place)?;
        let scripted = places.contains_key(&format!("{folder}constants.pkl"));
        let tensors = Pickle::parse(&bytes).and_then(|pickle| named(&pickle)).map_err(fail)?;
        Ok(Self { path: path.to_owned(), tensors, scripted, folder, file, places })
    }

    /// The tensors in the order of the file.
    pub fn tensors(&self) -> &[Entry] {
        &self.tensors
    }

    /// Whether TorchScript made the file.
    pub fn is_scripted(&self) -> bool {
        self.scripted
    }

    /// The numbers of a tensor of this file, row-major, little-endian.
    ///
    /// # Errors
    /// [`TorchFileError`] when the file has fewer numbers than the shape.
    pub fn numbers(&self, entry: &Entry) -> Result<Vec<u8>, TorchFileError> {
        let fail = |problem: String| TorchFileError::Content { path: self.path.clone(), problem };
        let few = || fail(format!("`{}` has fewer numbers than its shape {:?}", entry.name, entry.shape));
        let Stored { dtype, storage, offset, shape, strides } = &entry.stored;
        let place = self.places.get(&format!("{}data/{storage}", self.folder)).ok_or_else(few)?;
        let held = (place.end - place.start) as usize / dtype.size();
        // The place of the last number says whether all are there.
        let last = shape.iter().zip(strides).try_fold(*offset, |at, (&count, &stride)| {
            at.checked_add(count.saturating_sub(1).checked_mul(stride)?)
        });
        let count = shape.iter().try_fold(1_usize, |product, &count| product.checked_mul(count));
        let (last, count) = last.zip(count).ok_or_else(few)?;
        if count == 0 {
            return Ok(Vec::new());
        }
        // A broadcast tensor, with stride 0, could ask for more numbers than memory holds.
        if last >= held || count > held {
            return Err(few());
        }
        let size = dtype.size();
        let start = place.start + (offset * size) as u64;
        let span = (last - offset + 1) * size;
        let bytes =
            read_place(&self.file, &(start..start + span as u64)).map_err(|error| fail(error.to_string()))?;
        Ok(if is_contiguous(shape, strides) { bytes } else { gathered(&bytes, shape, strides, size) })
    }
}

fn read_place(file: &File, place: &Range<u64>) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; (place.end - place.start) as usize];
    read_exact_at(file, &mut bytes, place.start).map(|()| bytes)
}

/// The tensors of a pickle with their names.
fn named(pickle: &Pickle) -> Result<Vec<Entry>, String> {
    let mut found = Vec::new();
    let mut visits = 0;
    let mut waiting = vec![(pickle.root, String::new(), 0)];
    while let Some((id, name, depth)) = waiting.pop() {
        visits += 1;
        if visits > VISITS || depth > DEPTH {
            return Err("values within values without end".to_owned());
        }
        let below = |part: &str| if name.is_empty() { part.to_owned() } else { format!("{name}.{part}") };
        match pickle.node(id) {
            Node::Tensor(stored) => found.push(Entry {
                dtype: stored.dtype,
                shape: stored.shape.clone(),
                stored: stored.clone(),
                name,
            }),
            Node::Items(items) => {
                let named = items.iter().enumerate().rev();
                waiting.extend(named.map(|(i, &item)| (item, below(&i.to_string()), depth + 1)));
            }
            Node::Names(names) => {
                for &(key, value) in names.iter().rev() {
                    match pickle.node(key) {
                        Node::Text(part) => waiting.push((value, below(part), depth + 1)),
                        Node::Integer(part) => waiting.push((value, below(&part.to_string()), depth + 1)),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1_usize;
    shape.iter().zip(strides).rev().all(|(&size, &stride)| {
        let fits = size == 1 || stride == expected;
        expected = expected.saturating_mul(size.max(1));
        fits
    })
}

/// Numbers in row-major order from where strides put them.
fn gathered(bytes: &[u8], shape: &[usize], strides: &[usize], size: usize) -> Vec<u8> {
    let count: usize = shape.iter().product();
    let mut out = Vec::with_capacity(count * size);
    let mut index = vec![0; shape.len()];
    for _ in 0..count {
        let at = index.iter().zip(strides).map(|(i, stride)| i * stride).sum::<usize>() * size;
        out.extend_from_slice(&bytes[at..at + size]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(pickle: &[u8]) -> String {
        Pickle::parse(pickle).and_then(|pickle| named(&pickle)).unwrap_err()
    }

    #[test]
    fn functions_other_than_a_tensors_are_refused() {
        let expected = "it asks for `os.system`, which is not run: only tensors are read";
        assert_eq!(problem(b"\x80\x02cos\nsystem\n(X\x02\x00\x00\x00lstR."), expected);
        assert_eq!(problem(b"\x80\x04\x8c\x02os\x8c\x06system\x93."), expected);
    }

    #[test]
    fn cut_and_hostile_pickles_are_refused() {
        for pickle in [
            &b""[..],
            b"\x80",
            b"X\xff\xff\xff\xff",
            b"t.",
            b"h\x05.",
            b"R",
            b"\x87",
            b"\x8a\xff",
            b"}b.",
            b"N}b.",
            b"U\x05ab.",
        ] {
            assert!(Pickle::parse(pickle).is_err(), "{pickle:?}");
        }
        // Tuples of a tuple twice, over and over: 2^64 values if they were made.
        let mut bomb = b"\x80\x02)q\x00".to_vec();
        for place in 0..64 {
            bomb.extend([b'h', place, b'h', place, 0x86, b'q', place + 1]);
        }
        bomb.push(b'.');
        assert_eq!(problem(&bomb), "values within values without end");
        // A list within itself.
        assert_eq!(problem(b"\x80\x02]q\x00h\x00a."), "values within values without end");
    }

    #[test]
    fn numbers_are_gathered_along_strides() {
        let bytes: Vec<u8> = (0..6).collect();
        assert_eq!(gathered(&bytes, &[3, 2], &[1, 3], 1), [0, 3, 1, 4, 2, 5]);
        assert!(
            is_contiguous(&[2, 3], &[3, 1]) && is_contiguous(&[5, 1], &[1, 7]) && is_contiguous(&[], &[])
        );
        assert!(!is_contiguous(&[2, 3], &[1, 2]));
    }
}
