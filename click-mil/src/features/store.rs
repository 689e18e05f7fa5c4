//! Features of all proposals on disk in half precision, read by memory map: one row of numbers per proposal, images one after the
//! other.
//!
//! The file is a header of 32 bytes (`CLICKMIL`, version, width, number of images), for each image its number of rows, then the rows
//! as little-endian f16. It is written beside its place and renamed when whole.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use common::files::{self, FileError};
use half::f16;
use half::slice::HalfFloatSliceExt;
use memmap2::Mmap;
use rayon::prelude::*;
use thiserror::Error;

use super::products::products;

const MAGIC: &[u8; 8] = b"CLICKMIL";
const VERSION: u64 = 1;
const HEADER: usize = 32;

/// A file of features that cannot be read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file system.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not such a file, or not a whole one.
    #[error("{path}: {problem}; compute the features again", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// Features of the proposals of many images, in one file or several.
#[derive(Debug)]
pub struct FeatureStore {
    files: Vec<Mapped>,
    width: usize,
    images: Vec<Place>,
}

/// One file; its rows begin at a byte.
#[derive(Debug)]
struct Mapped {
    map: Mmap,
    data: usize,
}

/// Where the rows of an image are.
#[derive(Clone, Copy, Debug)]
struct Place {
    file: usize,
    first: usize,
    rows: usize,
}

/// Writes features image by image.
#[derive(Debug)]
pub struct StoreWriter {
    path: PathBuf,
    rows: PathBuf,
    out: BufWriter<File>,
    width: usize,
    counts: Vec<u64>,
}

impl StoreWriter {
    /// Begins a file of rows of `width` numbers.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn create(path: &Path, width: usize) -> Result<Self, StoreError> {
        let mut rows = path.as_os_str().to_owned();
        rows.push(".part");
        let rows = PathBuf::from(rows);
        let file =
            File::create(&rows).map_err(|error| FileError::content(&rows, format!("writing: {error}")))?;
        let (path, counts) = (path.to_owned(), Vec::new());
        Ok(Self { path, rows, out: BufWriter::with_capacity(1 << 20, file), width, counts })
    }

    /// Adds the rows of the next image.
    ///
    /// # Errors
    /// [`StoreError::File`].
    ///
    /// # Panics
    /// When the values are not whole rows.
    pub fn push(&mut self, values: &[f32]) -> Result<(), StoreError> {
        assert_eq!(values.len() % self.width, 0, "rows of {} values", self.width);
        let mut halves = vec![f16::ZERO; values.len()];
        halves.convert_from_f32_slice(values);
        let bytes: Vec<u8> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
        self.counts.push((values.len() / self.width) as u64);
        let written = self.out.write_all(&bytes);
        Ok(written.map_err(|error| FileError::content(&self.rows, format!("writing: {error}")))?)
    }

    /// Puts the header before the rows and gives the file its name.
    ///
    /// # Errors
    /// [`StoreError::File`]; nothing stands under the name then.
    pub fn finish(mut self) -> Result<FeatureStore, StoreError> {
        let flushed = self.out.flush();
        flushed.map_err(|error| FileError::content(&self.rows, format!("writing: {error}")))?;
        files::write_atomic_with(&self.path, |out| {
            out.write_all(MAGIC)?;
            for number in [VERSION, self.width as u64, self.counts.len() as u64] {
                out.write_all(&number.to_le_bytes())?;
            }
            for count in &self.counts {
                out.write_all(&count.to_le_bytes())?;
            }
            std::io::copy(&mut File::open(&self.rows)?, out).map(|_| ())
        })?;
        FeatureStore::open(&self.path)
    }
}

impl Drop for StoreWriter {
    fn drop(&mut self) {
        // Nothing to be done where it cannot be removed.
        let _ = std::fs::remove_file(&self.rows);
    }
}

impl FeatureStore {
    /// Opens a file.
    ///
    /// # Errors
    /// [`StoreError`]: no such file, another one, a broken one.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_all(&[path.to_owned()])
    }

    /// Opens files whose images follow each other.
    ///
    /// # Errors
    /// [`StoreError`]: no such file, another one, a broken one, one of another width.
    pub fn open_all(paths: &[PathBuf]) -> Result<Self, StoreError> {
        let mut store = Self { files: Vec::new(), width: 0, images: Vec::new() };
        for path in paths {
            store.append(path)?;
        }
        Ok(store)
    }

    fn append(&mut self, path: &Path) -> Result<(), StoreError> {
        let wrong =
            |problem: &str| StoreError::Content { path: path.to_owned(), problem: problem.to_owned() };
        let file = File::open(path).map_err(|error| FileError::content(path, format!("reading: {error}")))?;
        #[expect(unsafe_code, reason = "a memory map")]
        // SAFETY: files are renamed into place when whole and never changed.
        let map = unsafe { Mmap::map(&file) };
        let map = map.map_err(|error| FileError::content(path, format!("reading: {error}")))?;
        let number = |at: usize| -> Option<usize> {
            let bytes = map.get(at..at + 8)?.try_into().ok()?;
            usize::try_from(u64::from_le_bytes(bytes)).ok()
        };
        if map.get(..8) != Some(MAGIC) {
            return Err(wrong("not a file of features"));
        }
        let header = [8, 16, 24].map(number);
        let [Some(version), Some(width), Some(images)] = header else {
            return Err(wrong("the header is cut off"));
        };
        if version as u64 != VERSION || width == 0 {
            return Err(wrong("a file of another version"));
        }
        if !self.files.is_empty() && width != self.width {
            return Err(wrong(&format!("rows of {width} values where the first file has {}", self.width)));
        }
        let (mut places, mut first) = (Vec::new(), 0_usize);
        for image in 0..images {
            let rows = number(HEADER + 8 * image).ok_or_else(|| wrong("the list of images is cut off"))?;
            places.push(Place { file: self.files.len(), first, rows });
            first = first.saturating_add(rows);
        }
        let data = HEADER + 8 * images;
        let expected = first.checked_mul(2 * width).and_then(|bytes| bytes.checked_add(data));
        if expected != Some(map.len()) {
            return Err(wrong("the rows are cut off"));
        }
        self.width = width;
        self.images.extend(places);
        self.files.push(Mapped { map, data });
        Ok(())
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Values per row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of proposals of an image.
    pub fn rows(&self, image: usize) -> usize {
        self.images[image].rows
    }

    /// Row of a proposal in f32.
    pub fn row(&self, image: usize, proposal: usize) -> Vec<f32> {
        let mut row = vec![0.0; self.width];
        self.halves(image, proposal, 1).convert_to_f32_slice(&mut row);
        row
    }

    /// All rows of an image in f32, one after the other.
    pub fn all_rows(&self, image: usize) -> Vec<f32> {
        let mut rows = vec![0.0; self.width * self.rows(image)];
        self.halves(image, 0, self.rows(image)).convert_to_f32_slice(&mut rows);
        rows
    }

    /// `n` rows of an image from `row` on.
    fn halves(&self, image: usize, row: usize, n: usize) -> &[f16] {
        let place = self.images[image];
        let file = &self.files[place.file];
        let from = file.data + 2 * self.width * (place.first + row);
        let bytes = &file.map[from..from + 2 * self.width * n];
        #[expect(unsafe_code, reason = "the same bytes as another plain type")]
        // SAFETY: every two bytes are an f16; the part before is checked to be empty: data starts at an even place of a page.
        let (before, halves, after) = unsafe { bytes.align_to::<f16>() };
        debug_assert!(before.is_empty() && after.is_empty());
        halves
    }

    /// Products of all rows of an image with each of `weights`, plus `biases`: `[weights][rows]`. Rows are read once.
    pub fn products(&self, image: usize, weights: &[&[f32]], biases: &[f32]) -> Vec<Vec<f32>> {
        products(self.halves(image, 0, self.rows(image)), self.width, weights, biases)
    }

    /// The same for many images, shared among threads.
    pub fn products_of(&self, images: &[usize], weights: &[&[f32]], biases: &[f32]) -> Vec<Vec<Vec<f32>>> {
        images.par_iter().map(|&image| self.products(image, weights, biases)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(folder: &Path) -> FeatureStore {
        let mut writer = StoreWriter::create(&folder.join("f.bin"), 3).unwrap();
        writer.push(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        writer.push(&[]).unwrap();
        writer.push(&[0.5, -1.0, 1e-3]).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn rows_come_back_and_products_are_theirs() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        assert_eq!((store.len(), store.rows(0), store.rows(1), store.rows(2)), (3, 2, 0, 1));
        assert_eq!(store.row(0, 1), [4.0, 5.0, 6.0]);
        let products = store.products_of(&[0, 1, 2], &[&[1.0, 0.0, 1.0]], &[0.5]);
        assert_eq!(products[0], [[4.5, 10.5]]);
        assert!(products[1][0].is_empty() && (products[2][0][0] - 1.001).abs() < 1e-4);
        assert_eq!(files::names_in(folder.path()).unwrap().len(), 1);
    }

    #[test]
    fn images_of_several_files_follow_each_other() {
        let folder = tempfile::tempdir().unwrap();
        drop(store(folder.path()));
        let mut writer = StoreWriter::create(&folder.path().join("g.bin"), 3).unwrap();
        writer.push(&[7.0, 8.0, 9.0]).unwrap();
        drop(writer.finish().unwrap());
        let path = |name: &str| folder.path().join(name);
        let both = FeatureStore::open_all(&[path("f.bin"), path("g.bin")]).unwrap();
        assert_eq!((both.len(), both.rows(2), both.rows(3)), (4, 1, 1));
        assert_eq!(both.row(3, 0), [7.0, 8.0, 9.0]);
        assert_eq!(both.all_rows(0), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let mut writer = StoreWriter::create(&path("h.bin"), 2).unwrap();
        writer.push(&[7.0, 8.0]).unwrap();
        drop(writer.finish().unwrap());
        let error = FeatureStore::open_all(&[path("f.bin"), path("h.bin")]).unwrap_err().to_string();
        assert!(error.contains("h.bin: rows of 2 values where the first file has 3"), "{error}");
    }

    #[test]
    fn a_cut_off_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        drop(store(folder.path()));
        let path = folder.path().join("f.bin");
        let bytes = std::fs::read(&path).unwrap();
        for (n, expected) in
            [(4, "not a file of features"), (20, "header"), (40, "list of images"), (60, "rows are cut off")]
        {
            std::fs::write(&path, &bytes[..n]).unwrap();
            let error = FeatureStore::open(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{n}: {error}");
        }
    }
}
