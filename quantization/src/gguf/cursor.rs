//! A position in a file that never reads, nor takes memory for, more than the file holds.

use std::io::Read;

use super::HeaderError;

/// Reads forward and knows how many bytes are left.
pub(super) struct Cursor<R> {
    reader: R,
    at: u64,
    size: u64,
}

impl<R: Read> Cursor<R> {
    pub(super) fn new(reader: R, size: u64) -> Self {
        Self { reader, at: 0, size }
    }

    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Errors unless `needed` more bytes exist; `what` says what they would hold.
    pub(super) fn require(&self, needed: u64, what: &str) -> Result<(), HeaderError> {
        let left = self.size - self.at;
        if needed <= left {
            return Ok(());
        }
        Err(HeaderError::Truncated { at: self.at, what: what.to_owned(), needed, left })
    }

    /// Errors unless `count` things of at least `each` bytes can follow.
    pub(super) fn require_count(&self, count: u64, each: u64, what: &str) -> Result<usize, HeaderError> {
        let left = self.size - self.at;
        if count <= left / each {
            return Ok(count as usize);
        }
        Err(HeaderError::Count { at: self.at, what: what.to_owned(), count, left })
    }

    pub(super) fn fill(&mut self, out: &mut [u8], what: &str) -> Result<(), HeaderError> {
        self.require(out.len() as u64, what)?;
        self.reader.read_exact(out).map_err(|problem| HeaderError::Io { at: self.at, problem })?;
        self.at += out.len() as u64;
        Ok(())
    }

    pub(super) fn bytes<const N: usize>(&mut self, what: &str) -> Result<[u8; N], HeaderError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, what)?;
        Ok(bytes)
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, HeaderError> {
        Ok(u32::from_le_bytes(self.bytes(what)?))
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64, HeaderError> {
        Ok(u64::from_le_bytes(self.bytes(what)?))
    }

    /// Length of a string, known to be within the file.
    pub(super) fn string_len(&mut self, what: &str) -> Result<usize, HeaderError> {
        let len = self.u64(what)?;
        self.require(len, what)?;
        Ok(len as usize)
    }

    pub(super) fn string(&mut self, what: &str) -> Result<String, HeaderError> {
        let len = self.string_len(what)?;
        let at = self.at;
        let mut bytes = vec![0; len];
        self.fill(&mut bytes, what)?;
        String::from_utf8(bytes).map_err(|_| HeaderError::Utf8 { at, what: what.to_owned() })
    }
}
