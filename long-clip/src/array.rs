//! NumPy's arrays of f32 `[rows, width]`, written and read row by row.

use std::fs::File;
use std::path::{Path, PathBuf};

use common::files::{self, AtomicFile, FileError};
use tch::{Device, Kind, Tensor};

/// Bytes before the numbers; the header is filled up with spaces to this.
const HEADER: usize = 128;
const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";

/// An array whose number of rows is known when it is finished.
#[derive(Debug)]
pub struct ArrayFile {
    file: AtomicFile,
    width: usize,
    rows: usize,
}

impl ArrayFile {
    /// Starts the file; it takes its place in [`Self::finish`].
    ///
    /// # Errors
    /// [`FileError`].
    pub fn create(path: &Path, width: usize) -> Result<Self, FileError> {
        let mut file = AtomicFile::create(path)?;
        file.write(&[0; HEADER])?;
        Ok(Self { file, width, rows: 0 })
    }

    /// Appends rows.
    ///
    /// # Errors
    /// [`FileError`].
    ///
    /// # Panics
    /// For rows of another width.
    pub fn write(&mut self, rows: &Tensor) -> Result<(), FileError> {
        let [count, width] = rows.size()[..] else { panic!("rows are [rows, width]") };
        assert_eq!(width as usize, self.width, "rows have the array's width");
        let flat = rows.to_kind(Kind::Float).to_device(Device::Cpu).contiguous().view([count * width]);
        let mut values = vec![0.0_f32; (count * width) as usize];
        let size = values.len();
        flat.copy_data(&mut values, size);
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.file.write(&bytes)?;
        self.rows += count as usize;
        Ok(())
    }

    /// Rows so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Writes the header and gives the file its name; the number of rows.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn finish(mut self) -> Result<usize, FileError> {
        let text =
            format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", self.rows, self.width);
        let length = HEADER - MAGIC.len() - 2;
        let mut header = MAGIC.to_vec();
        header.extend((length as u16).to_le_bytes());
        header.extend(format!("{text:<width$}\n", width = length - 1).bytes());
        self.file.seek(0)?;
        self.file.write(&header)?;
        self.file.finish()?;
        Ok(self.rows)
    }
}

/// An array of this crate's, read in parts.
#[derive(Debug)]
pub struct ArrayReader {
    path: PathBuf,
    file: File,
    rows: usize,
    width: usize,
}

impl ArrayReader {
    /// Opens an array.
    ///
    /// # Errors
    /// [`FileError`] for a file that is none, or is cut.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let content = |problem: &str| FileError::content(path, problem.to_owned());
        let file = files::open(path)?;
        let mut header = [0; HEADER];
        let read = files::read_exact_at(&file, &mut header, 0);
        let text = String::from_utf8_lossy(&header[10..]).into_owned();
        let shape = text.split_once("'shape': (").and_then(|(_, rest)| rest.split_once(')'));
        let sizes: Vec<usize> = shape
            .map(|(shape, _)| shape.split(',').filter_map(|size| size.trim().parse().ok()).collect())
            .unwrap_or_default();
        let plain = text.contains("'<f4'") && text.contains("'fortran_order': False");
        let (true, Ok(()), [rows, width]) = (plain && header.starts_with(MAGIC), read, &sizes[..]) else {
            return Err(content("not an array that `index` wrote; make the index again"));
        };
        let (rows, width) = (*rows, *width);
        let expected = (HEADER + rows * width * 4) as u64;
        if file.metadata().map_or(0, |data| data.len()) != expected {
            return Err(content("the numbers do not fit its shape: cut? make the index again"));
        }
        Ok(Self { path: path.to_owned(), file, rows, width })
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Numbers of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// `count` rows from `first` on, `[count, width]`.
    ///
    /// # Errors
    /// [`FileError`].
    ///
    /// # Panics
    /// For rows that are not there.
    pub fn read(&self, first: usize, count: usize) -> Result<Tensor, FileError> {
        assert!(first + count <= self.rows, "rows within the array");
        let mut bytes = vec![0; count * self.width * 4];
        let at = HEADER + first * self.width * 4;
        files::read_exact_at(&self.file, &mut bytes, at as u64)
            .map_err(|error| FileError::content(&self.path, error.to_string()))?;
        let shape = [count as i64, self.width as i64];
        Ok(Tensor::from_data_size(&bytes, &shape, Kind::Float))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_return_and_a_cut_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        let rows = Tensor::arange(12, (Kind::Float, Device::Cpu)).view([4, 3]);
        let mut file = ArrayFile::create(&path, 3).unwrap();
        file.write(&rows.narrow(0, 0, 1)).unwrap();
        file.write(&rows.narrow(0, 1, 3)).unwrap();
        assert_eq!(file.finish().unwrap(), 4);
        let reader = ArrayReader::open(&path).unwrap();
        assert_eq!(reader.read(1, 2).unwrap(), rows.narrow(0, 1, 2));
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let error = ArrayReader::open(&path).unwrap_err().to_string();
        assert!(error.ends_with("the numbers do not fit its shape: cut? make the index again"), "{error}");
    }
}
