//! The manifest: the one file that says which others make up the index. Whatever it does not name is rubbish of a writer
//! that was interrupted.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use common::files;
use serde::{Deserialize, Serialize};

use super::IndexError;

/// Name of the manifest.
pub(super) const MANIFEST: &str = "manifest.json";
/// Name of the file that a writer holds locked.
pub(super) const LOCK: &str = "writer.lock";
/// What the manifest calls the format.
const FORMAT: &str = "benkyokai-plaid";
/// Version of the format, of the manifest and the files together.
pub(super) const VERSION: u64 = 1;

/// A file of the index and what it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    pub(super) file: String,
    pub(super) bytes: u64,
    pub(super) crc32: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Segment {
    pub(super) documents: u64,
    pub(super) tokens: u64,
    pub(super) data: Part,
    /// The documents' texts, when they were given.
    pub(super) texts: Option<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) format: String,
    pub(super) version: u64,
    #[serde(default)]
    pub(super) note: String,
    pub(super) width: usize,
    pub(super) bits: u32,
    pub(super) centroids: usize,
    pub(super) cells: String,
    pub(super) segment_tokens: usize,
    pub(super) codec: Part,
    pub(super) segments: Vec<Segment>,
    pub(super) deleted: Option<Part>,
    /// Number of the next file: names are never used twice.
    pub(super) next: u64,
}

impl Manifest {
    pub(super) fn format() -> String {
        FORMAT.to_owned()
    }

    pub(super) fn read(folder: &Path) -> Result<Self, IndexError> {
        let path = folder.join(MANIFEST);
        if !path.exists() {
            return Err(IndexError::Missing { path: folder.to_owned() });
        }
        let value: serde_json::Value = serde_json::from_str(&files::read_text(&path)?)
            .map_err(|error| IndexError::corrupt(&path, format!("not JSON: {error}")))?;
        if value["format"] != FORMAT {
            return Err(IndexError::corrupt(&path, format!("`format` is not `{FORMAT}`")));
        }
        match value["version"].as_u64() {
            Some(VERSION) => {}
            found => {
                let found = found.unwrap_or(0);
                return Err(IndexError::Version { path, found, expected: VERSION });
            }
        }
        let manifest: Self =
            serde_json::from_value(value).map_err(|error| IndexError::corrupt(&path, error.to_string()))?;
        if let Some(part) = manifest.parts().find(|part| !is_ours(&part.file)) {
            return Err(IndexError::corrupt(&path, format!("`{}` is no file of an index", part.file)));
        }
        Ok(manifest)
    }

    /// Makes this the folder's manifest, at once and for good: everything it names must be on the disk already.
    pub(super) fn replace(&self, folder: &Path) -> Result<(), IndexError> {
        sync_folder(folder)?;
        let text = serde_json::to_string_pretty(self).expect("a manifest has string keys only");
        files::write_atomic(&folder.join(MANIFEST), format!("{text}\n").as_bytes())?;
        sync_folder(folder)
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = &Part> {
        let segments =
            self.segments.iter().flat_map(|segment| std::iter::once(&segment.data).chain(&segment.texts));
        std::iter::once(&self.codec).chain(&self.deleted).chain(segments)
    }

    /// Removes files of the index's own kinds that the manifest does not name: what an interrupted or older write left.
    pub(super) fn remove_rubbish(&self, folder: &Path) -> Result<(), IndexError> {
        for name in files::names_in(folder)? {
            let text = name.to_string_lossy();
            if is_ours(&text) && self.parts().all(|part| part.file != text) {
                // A reader may hold the file open where that forbids removal; the next writer tries again.
                let _ = fs::remove_file(folder.join(&name));
            }
        }
        Ok(())
    }
}

/// Whether a file has a name that only writers of an index give: a kind, a number, an ending.
fn is_ours(name: &str) -> bool {
    let kinds = [
        ("codec-", ".bin"),
        ("segment-", ".bin"),
        ("texts-", ".bin"),
        ("deleted-", ".bin"),
        ("spool-", ".tmp"),
        ("manifest.json.", ".tmp"),
    ];
    let number = |(start, end)| name.strip_prefix(start)?.strip_suffix(end);
    let numbers = |number: &str| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    kinds.into_iter().filter_map(number).any(numbers)
}

/// Writes `bytes` to a new file, to the disk.
pub(super) fn write_part(folder: &Path, file: String, bytes: &[&[u8]]) -> Result<Part, IndexError> {
    let path = folder.join(&file);
    let mut hasher = crc32fast::Hasher::new();
    let written = File::create(&path).and_then(|mut out| {
        for bytes in bytes {
            hasher.update(bytes);
            out.write_all(bytes)?;
        }
        out.sync_all()
    });
    written.map_err(|source| IndexError::io(&path, "writing", &source))?;
    let bytes = bytes.iter().map(|bytes| bytes.len() as u64).sum();
    Ok(Part { file, bytes, crc32: hasher.finalize() })
}

/// Checks length and checksum of a file.
pub(super) fn verify_part(folder: &Path, part: &Part) -> Result<(), IndexError> {
    let path = folder.join(&part.file);
    let fail = |source| IndexError::io(&path, "reading", &source);
    let mut file = File::open(&path).map_err(fail)?;
    let (mut hasher, mut buffer, mut length) = (crc32fast::Hasher::new(), vec![0; 1 << 20], 0);
    loop {
        let count = file.read(&mut buffer).map_err(fail)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        length += count as u64;
    }
    if length != part.bytes {
        let problem = format!("{length} bytes, expected {}: it was cut or extended", part.bytes);
        return Err(IndexError::corrupt(&path, problem));
    }
    match hasher.finalize() == part.crc32 {
        true => Ok(()),
        false => Err(IndexError::corrupt(&path, "the checksum does not fit: bytes have changed")),
    }
}

/// Reads a whole file and checks it.
pub(super) fn read_part(folder: &Path, part: &Part) -> Result<Vec<u8>, IndexError> {
    let path = folder.join(&part.file);
    let bytes = files::read(&path)?;
    match bytes.len() as u64 == part.bytes && crc32fast::hash(&bytes) == part.crc32 {
        true => Ok(bytes),
        false => Err(IndexError::corrupt(&path, "length or checksum does not fit: bytes have changed")),
    }
}

/// Flushes the folder's list of names.
fn sync_folder(folder: &Path) -> Result<(), IndexError> {
    if cfg!(unix) {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|source| IndexError::io(folder, "writing", &source))?;
    }
    Ok(())
}

/// Held by the one writer of an index.
#[derive(Debug)]
pub(super) struct WriterLock {
    file: File,
}

impl Drop for WriterLock {
    fn drop(&mut self) {
        // Closing would leave it to a child process that is just being started and holds a copy of the handle.
        let _ = self.file.unlock();
    }
}

impl WriterLock {
    pub(super) fn take(folder: &Path) -> Result<Self, IndexError> {
        files::make_folder(folder)?;
        let path: PathBuf = folder.join(LOCK);
        let fail = |source| IndexError::io(&path, "locking", &source);
        let open = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = open.map_err(fail)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(fs::TryLockError::WouldBlock) => Err(IndexError::Locked { path: folder.to_owned() }),
            Err(fs::TryLockError::Error(source)) => Err(fail(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_writers_give_are_theirs() {
        for name in ["codec-000001.bin", "segment-1234567.bin", "spool-42.tmp", "manifest.json.42.tmp"] {
            assert!(is_ours(name), "{name}");
        }
        for name in
            ["segment-notes.bin", "texts-.bin", "codec-1.txt", "manifest.json", "spool-1.bin", "a-1.bin"]
        {
            assert!(!is_ours(name), "{name}");
        }
    }
}
