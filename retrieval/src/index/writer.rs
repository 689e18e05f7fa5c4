//! Making and changing an index: new files first, then one new manifest.

use std::path::{Path, PathBuf};

use super::batch::{Batch, Gate, SourceItem};
use super::codec::cells_name;
use super::manifest::{self, Manifest, WriterLock, write_part};
use super::segment::SegmentBuilder;
use super::spool::Spool;
use super::{Codec, Index, IndexConfig, IndexError, codec_file, default_centroids};

/// Numbers that are compressed at a time.
const AT_ONCE: usize = 1 << 22;

/// Builds an index of the documents of `source` in the folder `path`, in place of one that is there.
///
/// The source is read once: its vectors wait in a file in the folder, the centroids are learned from a sample of them, then
/// they are compressed segment by segment. Memory: the sample (at most `points_per_centroid` vectors per centroid), one
/// segment, one batch, and about 40 bytes per document. The same source and settings give the same files, whatever the number
/// of threads. An older index stays usable until the last step; if the build fails, it is as it was.
///
/// ```
/// use retrieval::index::{Batch, IndexConfig, build};
/// use retrieval::plaid::{Plaid, SearchConfig};
/// use retrieval::vectors::TokenVectors;
/// # let folder = tempfile::tempdir()?;
/// let vectors = TokenVectors::from_parts(2, vec![1, 3], vec![1.0, 0.0, 0.0, 1.0, -1.0, 0.0])?;
/// let batch = Batch { ids: vec!["east".into(), "north and west".into()], texts: Vec::new(), vectors };
/// let index = build(folder.path(), &IndexConfig::colbert_v2(2), [Ok(batch)])?;
/// let (hits, _) = Plaid::new(&index).search(&[0.0, 1.0, -1.0, 0.0], 1, &SearchConfig::for_k(1))?;
/// assert_eq!(index.id(hits[0].document)?, "north and west");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`IndexError`]: the source's own error, unusable vectors or ids, files that cannot be written, another writer.
pub fn build(
    path: &Path,
    config: &IndexConfig,
    source: impl IntoIterator<Item = SourceItem>,
) -> Result<Index, IndexError> {
    config.check()?;
    let _lock = WriterLock::take(path)?;
    let next = next_number(path)?;
    let mut gate = Gate::new(None);
    let mut spool = Spool::create(path)?;
    for batch in source {
        let batch = batch.map_err(IndexError::Source)?;
        gate.check(&batch)?;
        spool.push(&batch)?;
    }
    let width = gate.width().ok_or(IndexError::NoVectors)?;
    let tokens = spool.numbers() / width;
    let centroids = config.centroids.unwrap_or_else(|| default_centroids(tokens));
    // A twentieth is held out of the training of the centroids.
    let most = centroids.saturating_mul(config.points_per_centroid).saturating_mul(width) / 19 * 20;
    let sample = spool.sample(config.seed, most)?;
    let codec = Codec::train(sample, width, tokens, config)?;
    let mut manifest = first_manifest(path, next, &codec, cells_name(config.cells), config.segment_tokens)?;
    manifest.note.clone_from(&config.note);
    let mut segments = Segments::new(path, &codec, &mut manifest);
    spool.for_each(|document| segments.push(&document.id, document.text.as_deref(), &document.rows))?;
    segments.finish()?;
    drop(spool);
    manifest.replace(path)?;
    manifest.remove_rubbish(path)?;
    Index::open(path)
}

/// Writes the codec and gives the manifest of an index without documents, which is not on the disk yet.
fn first_manifest(
    path: &Path,
    next: u64,
    codec: &Codec,
    cells: &str,
    segment_tokens: usize,
) -> Result<Manifest, IndexError> {
    Ok(Manifest {
        format: Manifest::format(),
        version: manifest::VERSION,
        note: String::new(),
        width: codec.width(),
        bits: codec.bits(),
        centroids: codec.len(),
        cells: cells.to_owned(),
        segment_tokens,
        codec: codec_file::write(path, format!("codec-{next:06}.bin"), codec)?,
        segments: Vec::new(),
        deleted: None,
        next: next + 1,
    })
}

/// A compressed document of another program: number of its tokens follows from its centroids.
pub(super) struct Foreign<'a> {
    pub(super) centroids: &'a [u32],
    pub(super) residuals: &'a [u8],
}

/// Makes an index of documents that another program has compressed; their ids are their numbers.
pub(super) fn store(
    path: &Path,
    codec: &Codec,
    documents: impl FnOnce(&mut dyn FnMut(Foreign<'_>) -> Result<(), IndexError>) -> Result<(), IndexError>,
) -> Result<Index, IndexError> {
    let _lock = WriterLock::take(path)?;
    let next = next_number(path)?;
    let limit = IndexConfig::colbert_v2(codec.bits()).segment_tokens;
    let mut manifest = first_manifest(path, next, codec, "foreign", limit)?;
    let mut segments = Segments::new(path, codec, &mut manifest);
    let mut number = 0_usize;
    documents(&mut |document| {
        number += 1;
        segments.keep(&(number - 1).to_string(), None, document.centroids, document.residuals)
    })?;
    segments.finish()?;
    manifest.replace(path)?;
    manifest.remove_rubbish(path)?;
    Index::open(path)
}

/// Number of the next file; what an interrupted writer left is removed.
fn next_number(path: &Path) -> Result<u64, IndexError> {
    match Manifest::read(path) {
        Ok(old) => old.remove_rubbish(path).map(|()| old.next),
        // An index of another version is replaced as well; only its file names must not be used again.
        Err(IndexError::Missing { .. } | IndexError::Version { .. }) => free_number(path),
        Err(_) => {
            let problem =
                "is no manifest of an index and is not overwritten; choose another folder, or remove it";
            Err(IndexError::Foreign { path: path.join(manifest::MANIFEST), problem: problem.to_owned() })
        }
    }
}

/// A number above those of all files in the folder.
fn free_number(path: &Path) -> Result<u64, IndexError> {
    let number = |name: PathBuf| -> Option<u64> {
        let stem = name.file_stem()?.to_str()?;
        stem.rsplit_once('-')?.1.parse().ok()
    };
    let names = common::files::names_in(path)?;
    Ok(names.into_iter().filter_map(number).max().map_or(1, |number| number + 1))
}

/// Documents on their way into segments.
struct Segments<'a> {
    folder: &'a Path,
    codec: &'a Codec,
    manifest: &'a mut Manifest,
    builder: SegmentBuilder,
    /// Documents that wait to be compressed together: id, text, number of values.
    waiting: Vec<(String, Option<String>, usize)>,
    rows: Vec<f32>,
}

impl<'a> Segments<'a> {
    fn new(folder: &'a Path, codec: &'a Codec, manifest: &'a mut Manifest) -> Self {
        let builder = SegmentBuilder::default();
        Self { folder, codec, manifest, builder, waiting: Vec::new(), rows: Vec::new() }
    }

    fn push(&mut self, id: &str, text: Option<&str>, rows: &[f32]) -> Result<(), IndexError> {
        self.waiting.push((id.to_owned(), text.map(str::to_owned), rows.len()));
        self.rows.extend_from_slice(rows);
        if self.rows.len() >= AT_ONCE { self.compress() } else { Ok(()) }
    }

    fn compress(&mut self) -> Result<(), IndexError> {
        let compressed = self.codec.compress(&self.rows);
        self.rows.clear();
        let (mut start, bytes) = (0, self.codec.row_bytes());
        for (id, text, numbers) in std::mem::take(&mut self.waiting) {
            let end = start + numbers / self.codec.width();
            let residuals = &compressed.residuals[start * bytes..end * bytes];
            self.keep(&id, text.as_deref(), &compressed.centroids[start..end], residuals)?;
            start = end;
        }
        Ok(())
    }

    /// Adds a compressed document to the current segment, after writing it when it is full.
    fn keep(
        &mut self,
        id: &str,
        text: Option<&str>,
        codes: &[u32],
        residuals: &[u8],
    ) -> Result<(), IndexError> {
        if self.builder.is_full(codes.len(), self.manifest.segment_tokens, id) {
            self.write()?;
        }
        self.builder.push(id, text, codes, residuals);
        Ok(())
    }

    fn write(&mut self) -> Result<(), IndexError> {
        let segment = std::mem::take(&mut self.builder).write(self.folder, self.manifest.next, self.codec)?;
        self.manifest.next += 1;
        self.manifest.segments.push(segment);
        Ok(())
    }

    fn finish(mut self) -> Result<(), IndexError> {
        self.compress()?;
        if self.builder.is_empty() { Ok(()) } else { self.write() }
    }
}

/// The one writer of an index; others are refused while it lives.
#[derive(Debug)]
pub struct Writer {
    index: Index,
    _lock: WriterLock,
}

impl Writer {
    /// Locks the index in `path` for writing, and removes what an interrupted writer left.
    ///
    /// # Errors
    /// [`IndexError`] when there is no index, or another writer.
    pub fn open(path: &Path) -> Result<Self, IndexError> {
        Manifest::read(path)?; // before a lock file is made where there is no index
        let lock = WriterLock::take(path)?;
        let index = Index::open(path)?;
        index.manifest().remove_rubbish(path)?;
        Ok(Self { index, _lock: lock })
    }

    /// The index as it is now.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Adds documents, compressed with the centroids that were learned when the index was built. All or none are added.
    ///
    /// # Errors
    /// [`IndexError`] as for [`build`]; the index stays as it was then.
    pub fn add(&mut self, source: impl IntoIterator<Item = SourceItem>) -> Result<(), IndexError> {
        let mut gate = Gate::new(Some(self.index.codec().width()));
        for document in (0..self.index.slots() as u32).filter(|&document| !self.index.is_deleted(document)) {
            gate.insert(self.index.id(document)?);
        }
        let mut manifest = self.index.manifest().clone();
        let written = self.write(&mut manifest, &mut gate, source);
        if written.is_err() {
            self.index.manifest().remove_rubbish(self.index.path())?;
        }
        written?;
        self.commit(&manifest)
    }

    fn write(
        &self,
        manifest: &mut Manifest,
        gate: &mut Gate,
        source: impl IntoIterator<Item = SourceItem>,
    ) -> Result<(), IndexError> {
        let mut segments = Segments::new(self.index.path(), self.index.codec(), manifest);
        for batch in source {
            let batch: Batch = batch.map_err(IndexError::Source)?;
            gate.check(&batch)?;
            for (id, text, rows) in batch.documents() {
                segments.push(id, text, rows)?;
            }
        }
        segments.finish()
    }

    /// Changes what [`Index::note`] says.
    ///
    /// # Errors
    /// [`IndexError`] when the manifest cannot be written; the index stays as it was then.
    pub fn set_note(&mut self, note: &str) -> Result<(), IndexError> {
        let manifest = Manifest { note: note.to_owned(), ..self.index.manifest().clone() };
        self.commit(&manifest)
    }

    /// Deletes documents by their ids: they are no longer found; [`Self::compact`] frees their bytes.
    ///
    /// # Errors
    /// [`IndexError::UnknownId`] for an id that is not there; nothing is deleted then.
    pub fn delete(&mut self, ids: &[&str]) -> Result<(), IndexError> {
        let new = self.index.find(ids)?;
        let old = (0..self.index.slots() as u32).filter(|&document| self.index.is_deleted(document));
        let mut all: Vec<u32> = old.chain(new).collect();
        all.sort_unstable();
        all.dedup();
        let bytes: Vec<u8> = all.iter().flat_map(|document| document.to_le_bytes()).collect();
        let mut manifest = self.index.manifest().clone();
        let file = format!("deleted-{:06}.bin", manifest.next);
        manifest.deleted = Some(write_part(self.index.path(), file, &[&bytes])?);
        manifest.next += 1;
        self.commit(&manifest)
    }

    /// Writes the documents that are left into as few segments as they need, and frees the others' bytes. Documents get new
    /// numbers, in the old order; ids, codes and scores stay.
    ///
    /// # Errors
    /// [`IndexError`] when files cannot be written; the index stays as it was then.
    pub fn compact(&mut self) -> Result<(), IndexError> {
        let index = &self.index;
        let mut manifest = index.manifest().clone();
        manifest.segments.clear();
        manifest.deleted = None;
        let mut segments = Segments::new(index.path(), index.codec(), &mut manifest);
        for segment in index.segments() {
            let codes = segment.codes();
            for within in 0..segment.documents() {
                let document = segment.first + within as u32;
                if index.is_deleted(document) {
                    continue;
                }
                let tokens = segment.tokens_of(within);
                let centroids: Vec<u32> = tokens.clone().map(|token| segment.code(codes, token)).collect();
                let residuals = segment.residuals(tokens);
                segments.keep(index.id(document)?, segment.text(within), &centroids, residuals)?;
            }
        }
        segments.finish()?;
        self.commit(&manifest)
    }

    fn commit(&mut self, manifest: &Manifest) -> Result<(), IndexError> {
        let path = self.index.path().to_owned();
        manifest.replace(&path)?;
        manifest.remove_rubbish(&path)?;
        self.index = Index::open(&path)?;
        Ok(())
    }
}
