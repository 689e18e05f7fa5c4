//! Documents on the disk between the two passes of a build: encoders run once, and memory stays bounded.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use common::seed;

use super::batch::Batch;
use super::{IndexError, sample_size};

/// Documents of any number, as they came.
pub(super) struct Spool {
    path: PathBuf,
    out: BufWriter<File>,
    /// Where each document's rows are, and how many numbers.
    places: Vec<(u64, u32)>,
    at: u64,
}

/// A document that is read back.
#[derive(Default)]
pub(super) struct Spooled {
    pub(super) id: String,
    pub(super) text: Option<String>,
    pub(super) rows: Vec<f32>,
}

impl Spool {
    pub(super) fn create(folder: &Path) -> Result<Self, IndexError> {
        let path = folder.join(format!("spool-{}.tmp", std::process::id()));
        let file = fs::OpenOptions::new().create(true).truncate(true).read(true).write(true).open(&path);
        let file = file.map_err(|source| IndexError::io(&path, "writing", &source))?;
        Ok(Self { path, out: BufWriter::with_capacity(1 << 20, file), places: Vec::new(), at: 0 })
    }

    fn fail(&self, doing: &str, source: &io::Error) -> IndexError {
        IndexError::io(&self.path, doing, source)
    }

    pub(super) fn push(&mut self, batch: &Batch) -> Result<(), IndexError> {
        for (id, text, rows) in batch.documents() {
            self.write(id, text, rows).map_err(|source| self.fail("writing", &source))?;
        }
        Ok(())
    }

    fn write(&mut self, id: &str, text: Option<&str>, rows: &[f32]) -> io::Result<()> {
        let too_long = |_| io::Error::other("a document of more than 4 GiB");
        let text_len = text.map(|text| u32::try_from(text.len())).transpose().map_err(too_long)?;
        let head = [
            u32::try_from(id.len()).map_err(too_long)?,
            u32::from(text.is_some()),
            text_len.unwrap_or(0),
            u32::try_from(rows.len()).map_err(too_long)?,
        ];
        for number in head {
            self.out.write_all(&number.to_le_bytes())?;
        }
        self.out.write_all(id.as_bytes())?;
        self.out.write_all(text.unwrap_or_default().as_bytes())?;
        let before = 16 + (id.len() + text.unwrap_or_default().len()) as u64;
        self.places.push((self.at + before, rows.len() as u32));
        let bytes: Vec<u8> = rows.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.out.write_all(&bytes)?;
        self.at += before + bytes.len() as u64;
        Ok(())
    }

    /// Numbers in all documents' rows.
    pub(super) fn numbers(&self) -> usize {
        self.places.iter().map(|place| place.1 as usize).sum()
    }

    /// Rows of [`sample_size`] documents drawn by `run_seed`, in their order, `most` numbers at most (but one document).
    pub(super) fn sample(&mut self, run_seed: u64, most: usize) -> Result<Vec<f32>, IndexError> {
        let mut drawn: Vec<(u64, usize)> = (0..self.places.len())
            .map(|index| (seed::derive(run_seed, "sample", index as u64), index))
            .collect();
        drawn.sort_unstable();
        drawn.retain(|(_, index)| self.places[*index].1 > 0);
        drawn.truncate(sample_size(self.places.len()));
        let mut total = 0;
        let fits = drawn.iter().take_while(|(_, index)| {
            let first = total == 0;
            total += self.places[*index].1 as usize;
            first || total <= most
        });
        let mut chosen: Vec<usize> = fits.map(|(_, index)| *index).collect();
        chosen.sort_unstable();
        self.out.flush().map_err(|source| self.fail("writing", &source))?;
        let mut rows = Vec::new();
        let mut bytes = Vec::new();
        for index in chosen {
            let (at, numbers) = self.places[index];
            bytes.resize(4 * numbers as usize, 0);
            let file = self.out.get_mut();
            let read = file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut bytes));
            read.map_err(|source| self.fail("reading", &source))?;
            rows.extend(floats(&bytes));
        }
        Ok(rows)
    }

    /// Calls `see` with every document, in the order they came.
    pub(super) fn for_each(
        &mut self,
        mut see: impl FnMut(Spooled) -> Result<(), IndexError>,
    ) -> Result<(), IndexError> {
        let count = self.places.len();
        self.out.flush().map_err(|source| self.fail("writing", &source))?;
        let file = self.out.get_mut();
        let rewound = file.rewind();
        rewound.map_err(|source| self.fail("reading", &source))?;
        let path = self.path.clone();
        let mut input = BufReader::with_capacity(1 << 20, self.out.get_mut());
        for _ in 0..count {
            see(read_one(&mut input).map_err(|source| IndexError::io(&path, "reading", &source))?)?;
        }
        Ok(())
    }
}

fn read_one(input: &mut impl Read) -> io::Result<Spooled> {
    let mut head = [0; 16];
    input.read_exact(&mut head)?;
    let head: Vec<usize> =
        head.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word) as usize).collect();
    let mut bytes = |count: usize| {
        let mut bytes = vec![0; count];
        input.read_exact(&mut bytes).map(|()| bytes)
    };
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(io::Error::other);
    let id = text(bytes(head[0])?)?;
    let stored = text(bytes(head[2])?)?;
    Ok(Spooled { id, text: (head[1] == 1).then_some(stored), rows: floats(&bytes(4 * head[3])?).collect() })
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word))
}

impl Drop for Spool {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path); // the next writer removes what is left
    }
}
