//! Files that are written in pieces and appear whole, and reads at a place.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A file that could not be written.
#[derive(Debug, Error)]
#[error("{path}: writing: {problem}", path = path.display())]
pub struct AtomicError {
    path: PathBuf,
    problem: String,
    /// Said in `problem` already, so that it is no source of its own.
    kind: io::ErrorKind,
}

impl AtomicError {
    fn new(path: &Path, source: &io::Error) -> Self {
        let problem = match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "the disk is full; nothing was changed; free some space and run again".to_owned()
            }
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                "no permission; choose another folder or change its permissions".to_owned()
            }
            io::ErrorKind::NotFound => "no such file or folder".to_owned(),
            _ => source.to_string(),
        };
        Self { path: path.to_owned(), problem, kind: source.kind() }
    }

    /// Kind of the operating system's error.
    pub fn kind(&self) -> io::ErrorKind {
        self.kind
    }
}

/// A file under a temporary name beside its place; it takes its place in [`Self::finish`] and vanishes when dropped before.
#[derive(Debug)]
pub(crate) struct AtomicFile {
    path: PathBuf,
    temporary: PathBuf,
    out: BufWriter<File>,
    finished: bool,
}

impl AtomicFile {
    pub(crate) fn create(path: &Path) -> Result<Self, AtomicError> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let temporary = path.with_file_name(name);
        let file = File::create(&temporary).map_err(|source| AtomicError::new(path, &source))?;
        let out = BufWriter::with_capacity(1 << 18, file);
        Ok(Self { path: path.to_owned(), temporary, out, finished: false })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), AtomicError> {
        self.out.write_all(bytes).map_err(|source| AtomicError::new(&self.path, &source))
    }

    pub(crate) fn seek(&mut self, at: u64) -> Result<(), AtomicError> {
        let sought = self.out.seek(SeekFrom::Start(at));
        sought.map(drop).map_err(|source| AtomicError::new(&self.path, &source))
    }

    pub(crate) fn finish(mut self) -> Result<(), AtomicError> {
        let done = self.out.flush();
        let done = done.and_then(|()| self.out.get_ref().sync_all());
        let done = done.and_then(|()| fs::rename(&self.temporary, &self.path));
        done.map_err(|source| AtomicError::new(&self.path, &source))?;
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
#[cfg(unix)]
pub(crate) fn read_exact_at(file: &File, out: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, out, at)
}

/// Fills `out` from byte `at` on; reads that move the position of the file exclude each other.
#[cfg(not(unix))]
pub(crate) fn read_exact_at(mut file: &File, out: &mut [u8], at: u64) -> io::Result<()> {
    use std::io::Read;
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(out)
}
