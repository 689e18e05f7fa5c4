//! An index that is searched.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::manifest::{Manifest, Part, read_part, verify_part};
use super::segment::Segment;
use super::{Codec, IndexError, codec_file};

/// An index in a folder, mapped into memory. It sees the documents that were there when it was opened, whatever is written
/// afterwards.
#[derive(Debug)]
pub struct Index {
    path: PathBuf,
    manifest: Manifest,
    codec: Codec,
    segments: Vec<Segment>,
    /// One bit per document.
    deleted: Vec<u64>,
    deleted_count: usize,
}

/// What an index consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Documents that are found.
    pub documents: usize,
    /// Documents that are deleted, but still on the disk.
    pub deleted: usize,
    /// Tokens on the disk.
    pub tokens: usize,
    /// Centroids.
    pub centroids: usize,
    /// Segment files.
    pub segments: usize,
    /// Bytes of all files, without stored texts.
    pub bytes: u64,
    /// Bytes of stored texts.
    pub text_bytes: u64,
}

impl Summary {
    /// Bytes per token, centroids, lists and ids included, stored texts not; `None` without tokens.
    pub fn bytes_per_token(&self) -> Option<f64> {
        (self.tokens > 0).then(|| self.bytes as f64 / self.tokens as f64)
    }
}

impl Index {
    /// The index in the folder `path`.
    ///
    /// # Errors
    /// [`IndexError`] when there is none, it has another version, or its files do not have the expected structure.
    pub fn open(path: &Path) -> Result<Self, IndexError> {
        let mut tries = 0;
        loop {
            let manifest = Manifest::read(path)?;
            match Self::of(path, manifest.clone()) {
                // A writer may have replaced the manifest and removed files between reading it and opening them.
                Err(_) if tries < 3 && Manifest::read(path)? != manifest => tries += 1,
                done => return done,
            }
        }
    }

    fn of(path: &Path, manifest: Manifest) -> Result<Self, IndexError> {
        let codec = codec_file::read(path, &manifest)?;
        let mut first = 0_u64;
        let mut segments = Vec::with_capacity(manifest.segments.len());
        for part in &manifest.segments {
            segments.push(Segment::open(path, part, &codec, first as u32)?);
            first += part.documents;
        }
        if u32::try_from(first).is_err() {
            return Err(IndexError::corrupt(
                path,
                format!("{first} documents are more than can be numbered"),
            ));
        }
        let mut deleted = vec![0; (first as usize).div_ceil(64)];
        let mut deleted_count = 0;
        if let Some(part) = &manifest.deleted {
            for document in read_deleted(path, part)? {
                let word = deleted.get_mut(document as usize / 64);
                let word = word.filter(|_| u64::from(document) < first).ok_or_else(|| {
                    IndexError::corrupt(&path.join(&part.file), "a deleted document that is not there")
                })?;
                deleted_count += usize::from(*word >> (document % 64) & 1 == 0);
                *word |= 1 << (document % 64);
            }
        }
        Ok(Self { path: path.to_owned(), manifest, codec, segments, deleted, deleted_count })
    }

    /// Checks every byte of every file against its checksum. Files that a later compaction has removed count as missing: open the
    /// index anew before.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] naming the first file that has changed.
    pub fn verify(&self) -> Result<(), IndexError> {
        self.manifest.parts().try_for_each(|part| verify_part(&self.path, part))
    }

    /// Folder of the index.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What [`IndexConfig::note`](super::IndexConfig::note) said when it was built.
    pub fn note(&self) -> &str {
        &self.manifest.note
    }

    /// Sizes.
    pub fn summary(&self) -> Summary {
        let manifest_bytes = std::fs::metadata(self.path.join(super::manifest::MANIFEST));
        let segments = &self.manifest.segments;
        let text_bytes = segments.iter().flat_map(|segment| &segment.texts).map(|part| part.bytes).sum();
        let all: u64 = self.manifest.parts().map(|part| part.bytes).sum();
        Summary {
            documents: self.len(),
            deleted: self.deleted_count,
            tokens: segments.iter().map(|segment| segment.tokens as usize).sum(),
            centroids: self.codec.len(),
            segments: segments.len(),
            bytes: all - text_bytes + manifest_bytes.map_or(0, |file| file.len()),
            text_bytes,
        }
    }

    /// Number of documents that are found.
    pub fn len(&self) -> usize {
        self.slots() - self.deleted_count
    }

    /// Whether no document is found.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers of documents go from 0 to below this, deleted ones included.
    pub fn slots(&self) -> usize {
        self.manifest.segments.iter().map(|segment| segment.documents as usize).sum()
    }

    /// Centroids and cells.
    pub fn codec(&self) -> &Codec {
        &self.codec
    }

    /// Id of document `document`.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] when its bytes are no text.
    ///
    /// # Panics
    /// When there is no such document.
    pub fn id(&self, document: u32) -> Result<&str, IndexError> {
        let (number, within) = self.place(document);
        let file = &self.manifest.segments[number].data.file;
        let corrupt = || IndexError::corrupt(&self.path.join(file), "an id that is not UTF-8");
        self.segments[number].id(within).ok_or_else(corrupt)
    }

    /// Text of document `document`, when it was stored.
    ///
    /// # Panics
    /// When there is no such document.
    pub fn text(&self, document: u32) -> Option<&str> {
        let (number, within) = self.place(document);
        self.segments[number].text(within)
    }

    /// The tokens of document `document` as the index knows them, `[tokens, width]`, of unit length.
    ///
    /// # Panics
    /// When there is no such document.
    pub fn vectors(&self, document: u32) -> Vec<f32> {
        let (number, within) = self.place(document);
        let segment = &self.segments[number];
        let tokens = segment.tokens_of(within);
        let codes = segment.codes();
        let mut rows = vec![0.0; tokens.len() * self.codec.width()];
        let packed = segment.residuals(tokens.clone()).chunks_exact(self.codec.row_bytes());
        for ((row, packed), token) in rows.chunks_exact_mut(self.codec.width()).zip(packed).zip(tokens) {
            self.codec.decode(packed, segment.code(codes, token), row);
        }
        rows
    }

    /// Centroid of each token of document `document`.
    ///
    /// # Panics
    /// When there is no such document.
    pub fn centroids_of(&self, document: u32) -> Vec<u32> {
        let (number, within) = self.place(document);
        let (segment, codes) = (&self.segments[number], self.segments[number].codes());
        segment.tokens_of(within).map(|token| segment.code(codes, token)).collect()
    }

    /// Whether document `document` is deleted.
    #[inline]
    pub fn is_deleted(&self, document: u32) -> bool {
        self.deleted[document as usize / 64] >> (document % 64) & 1 == 1
    }

    /// Numbers of the documents with the given ids.
    ///
    /// # Errors
    /// [`IndexError::UnknownId`] for an id that no document has.
    pub fn find(&self, ids: &[&str]) -> Result<Vec<u32>, IndexError> {
        let wanted: HashSet<&str> = ids.iter().copied().collect();
        let mut found = std::collections::HashMap::new();
        for document in (0..self.slots() as u32).filter(|&document| !self.is_deleted(document)) {
            if let Some(&id) = wanted.get(self.id(document)?) {
                found.insert(id, document);
            }
        }
        let number = |&id: &&str| {
            let unknown = || IndexError::UnknownId { id: id.to_owned() };
            found.get(id).copied().ok_or_else(unknown)
        };
        ids.iter().map(number).collect()
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Segment of a document and its number there.
    pub(crate) fn place(&self, document: u32) -> (usize, usize) {
        assert!((document as usize) < self.slots(), "document {document} of {}", self.slots());
        let number = self.segments.partition_point(|segment| segment.first <= document) - 1;
        // Segments without documents share their first number with the next: the last of them has the document.
        (number, (document - self.segments[number].first) as usize)
    }
}

/// Numbers of deleted documents.
fn read_deleted(folder: &Path, part: &Part) -> Result<Vec<u32>, IndexError> {
    let bytes = read_part(folder, part)?;
    Ok(bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect())
}
