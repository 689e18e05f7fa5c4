//! Files that are either whole or not there: atomic writes, hashes, text with a name in every error.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};
use thiserror::Error;

/// A file that could not be read or written.
#[derive(Debug, Error)]
#[error("{path}: {problem}", path = path.display())]
pub struct FileError {
    path: PathBuf,
    problem: String,
    /// Said in `problem` already, so that it is no source of its own.
    cause: io::Error,
}

impl FileError {
    fn new(path: &Path, doing: &str, source: io::Error) -> Self {
        let problem = match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                format!("{doing}: the disk is full; nothing was changed; free some space and run again")
            }
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                format!("{doing}: no permission; choose another folder or change its permissions")
            }
            io::ErrorKind::NotFound => format!("{doing}: no such file or folder"),
            io::ErrorKind::InvalidData => format!("{doing}: not UTF-8 text; convert it to UTF-8"),
            _ => format!("{doing}: {source}"),
        };
        Self { path: path.to_owned(), problem, cause: source }
    }

    /// A file that could be read but holds something else than expected.
    pub fn content(path: &Path, problem: String) -> Self {
        let cause = io::Error::new(io::ErrorKind::InvalidData, problem.clone());
        Self { path: path.to_owned(), problem, cause }
    }

    /// File or folder that the error is about.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Kind of the operating system's error.
    pub fn kind(&self) -> io::ErrorKind {
        self.cause.kind()
    }
}

/// Writes a file through `fill` under a temporary name beside it, flushes it to the disk and renames it.
/// Whatever fails, an older file of that name stays as it was and the temporary one is removed.
///
/// # Errors
/// [`FileError`] in plain words for a full disk, a read-only or missing folder.
pub fn write_atomic_with(
    path: &Path,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), FileError> {
    let mut file = AtomicFile::create(path)?;
    fill(file.out.get_mut()).map_err(|source| FileError::new(path, "writing", source))?;
    file.finish()
}

/// Writes `bytes` as a whole file, see [`write_atomic_with`].
///
/// # Errors
/// As [`write_atomic_with`].
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_atomic_with(path, |file| file.write_all(bytes))
}

/// A file that is written in pieces under a temporary name beside its place. It takes its place in [`Self::finish`], and vanishes when
/// dropped before: an older file of that name stays as it was.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    temporary: PathBuf,
    out: BufWriter<File>,
    finished: bool,
}

/// Bytes that an [`AtomicFile`] gathers before it writes.
const GATHERED: usize = 1 << 18;

impl AtomicFile {
    /// Starts the file.
    ///
    /// # Errors
    /// [`FileError`] in plain words for a full disk, a read-only or missing folder.
    pub fn create(path: &Path) -> Result<Self, FileError> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let temporary = path.with_file_name(name);
        let file = File::create(&temporary).map_err(|source| FileError::new(path, "writing", source))?;
        let out = BufWriter::with_capacity(GATHERED, file);
        Ok(Self { path: path.to_owned(), temporary, out, finished: false })
    }

    /// Appends bytes, or puts them where [`Self::seek`] went.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.out.write_all(bytes).map_err(|source| FileError::new(&self.path, "writing", source))
    }

    /// Goes to byte `at` of the file.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn seek(&mut self, at: u64) -> Result<(), FileError> {
        let sought = self.out.seek(SeekFrom::Start(at));
        sought.map(drop).map_err(|source| FileError::new(&self.path, "writing", source))
    }

    /// Flushes the file to the disk and gives it its name.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn finish(mut self) -> Result<(), FileError> {
        let done = self.out.flush();
        let done = done.and_then(|()| self.out.get_ref().sync_all());
        let done = done.and_then(|()| fs::rename(&self.temporary, &self.path));
        done.map_err(|source| FileError::new(&self.path, "writing", source))?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_file(&self.temporary); // nothing can be done, and the old file is untouched
        }
    }
}

/// Fills `out` from byte `at` on, without moving a shared position.
///
/// # Errors
/// What the system says; `UnexpectedEof` when the file ends before.
#[cfg(unix)]
pub fn read_exact_at(file: &File, out: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, out, at)
}

/// Fills `out` from byte `at` on; reads that move the position of the file exclude each other.
///
/// # Errors
/// What the system says; `UnexpectedEof` when the file ends before.
#[cfg(not(unix))]
pub fn read_exact_at(mut file: &File, out: &mut [u8], at: u64) -> io::Result<()> {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(out)
}

/// Makes a folder and those above it.
///
/// # Errors
/// [`FileError`] when it cannot be made.
pub fn make_folder(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(|source| FileError::new(path, "making the folder", source))
}

/// A file to read from.
///
/// # Errors
/// [`FileError`] when it is missing or unreadable.
pub fn open(path: &Path) -> Result<File, FileError> {
    File::open(path).map_err(|source| FileError::new(path, "reading", source))
}

/// Content of a file.
///
/// # Errors
/// [`FileError`] when it is missing or unreadable.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(path).map_err(|source| FileError::new(path, "reading", source))
}

/// Names of what is in a folder, sorted.
///
/// # Errors
/// [`FileError`] when it is missing or unreadable.
pub fn names_in(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let fail = |source| FileError::new(folder, "reading the folder", source);
    let entries = fs::read_dir(folder).map_err(fail)?;
    let names: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.file_name().into())).collect();
    let mut names = names.map_err(fail)?;
    names.sort();
    Ok(names)
}

/// Content of a UTF-8 text file.
///
/// # Errors
/// [`FileError`] when it is missing, unreadable or not UTF-8.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    fs::read_to_string(path).map_err(|source| FileError::new(path, "reading", source))
}

/// Sha256 of a file, in hex.
///
/// # Errors
/// [`FileError`] when it is missing or unreadable.
pub fn sha256_of(path: &Path) -> Result<String, FileError> {
    let hash = File::open(path).and_then(digest);
    hash.map_err(|source| FileError::new(path, "reading", source))
}

/// Sha256 of the unpacked content of a gzip file, in hex.
///
/// # Errors
/// [`FileError`] when it is missing, unreadable or not gzip.
pub fn sha256_unpacked(path: &Path) -> Result<String, FileError> {
    let hash = File::open(path).and_then(|file| digest(MultiGzDecoder::new(BufReader::new(file))));
    hash.map_err(|source| FileError::new(path, "unpacking", source))
}

fn digest(mut reader: impl Read) -> io::Result<String> {
    let mut digest = Sha256::new();
    io::copy(&mut reader, &mut digest)?;
    Ok(hex(&digest.finalize()))
}

/// Sha256 of bytes, in hex.
///
/// ```
/// assert!(common::files::sha256_hex(b"").starts_with("e3b0c44298fc1c14"));
/// ```
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_keeps_the_old_file_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write_atomic(&path, b"old").unwrap();
        let full = |_: &mut File| Err(io::Error::from(io::ErrorKind::StorageFull));
        let error = write_atomic_with(&path, full).unwrap_err().to_string();
        assert!(error.contains("a.json: writing: the disk is full; nothing was changed"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = write_atomic(Path::new("no/such/folder/x"), b"").unwrap_err().to_string();
        assert_eq!(error, "no/such/folder/x: writing: no such file or folder");
    }
}
