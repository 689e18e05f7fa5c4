//! One segment: some documents with their ids, codes, residuals and inverted lists.
//!
//! ```text
//! header     magic, documents, tokens, centroids, bytes per residual, bytes of ids      (6 × 8 bytes)
//! ends       where each document ends, in tokens                                        u32 each
//! id ends    where each id ends, in bytes                                               u32 each
//! counts     documents in each centroid's list                                          u32 each
//! codes      centroid of each token                                                     ⌈log₂ centroids⌉ bits each
//! lists      per centroid: the distinct documents with a token of it, as gaps           as many bits as its widest gap
//! widths     bits of each list's gaps                                                   u8 each
//! ids        UTF-8
//! residuals  codes of the residuals
//! ```
//! Little-endian; texts are in a file of their own, which only [`Segment::text`] reads.

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use memmap2::Mmap;

use super::bits::{BitWriter, bits_of, packed_bytes, read};
use super::manifest::{self, write_part};
use super::{Codec, Compressed, IndexError};

const MAGIC: &[u8; 8] = b"BKSEGM01";
const HEADER: usize = 48;

/// Documents that are to become a segment.
#[derive(Default)]
pub(super) struct SegmentBuilder {
    ends: Vec<u32>,
    ids: String,
    id_ends: Vec<u32>,
    compressed: Compressed,
    texts: Vec<u8>,
    text_ends: Vec<u64>,
    has_text: bool,
}

impl SegmentBuilder {
    /// Adds a document of compressed tokens.
    pub(super) fn push(&mut self, id: &str, text: Option<&str>, centroids: &[u32], residuals: &[u8]) {
        self.compressed.centroids.extend_from_slice(centroids);
        self.compressed.residuals.extend_from_slice(residuals);
        self.ends.push(self.compressed.centroids.len() as u32);
        self.ids.push_str(id);
        self.id_ends.push(self.ids.len() as u32);
        self.has_text |= text.is_some();
        self.texts.extend_from_slice(text.unwrap_or_default().as_bytes());
        self.text_ends.push(self.texts.len() as u64);
    }

    pub(super) fn tokens(&self) -> usize {
        self.compressed.centroids.len()
    }

    /// Whether another document of `tokens` tokens belongs into the next segment.
    pub(super) fn is_full(&self, tokens: usize, limit: usize, id: &str) -> bool {
        let long_ids = self.ids.len() + id.len() > u32::MAX as usize;
        !self.ends.is_empty() && (self.tokens() + tokens > limit || long_ids)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Writes the files of number `number`.
    pub(super) fn write(
        self,
        folder: &Path,
        number: u64,
        codec: &Codec,
    ) -> Result<manifest::Segment, IndexError> {
        let (documents, tokens) = (self.ends.len(), self.tokens());
        let mut codes = BitWriter::default();
        let code_bits = bits_of(codec.len() as u32 - 1);
        self.compressed.centroids.iter().for_each(|&code| codes.push(code, code_bits));
        let lists = Lists::new(&self.ends, &self.compressed.centroids, codec.len());
        let mut head = MAGIC.to_vec();
        for number in [documents, tokens, codec.len(), codec.row_bytes(), self.ids.len()] {
            head.extend((number as u64).to_le_bytes());
        }
        for number in self.ends.iter().chain(&self.id_ends).chain(&lists.counts) {
            head.extend(number.to_le_bytes());
        }
        let parts: [&[u8]; 6] = [
            &head,
            &codes.finish(),
            &lists.gaps,
            &lists.widths,
            self.ids.as_bytes(),
            &self.compressed.residuals,
        ];
        let data = write_part(folder, format!("segment-{number:06}.bin"), &parts)?;
        let ends: Vec<u8> = self.text_ends.iter().flat_map(|end| end.to_le_bytes()).collect();
        let write_texts = || write_part(folder, format!("texts-{number:06}.bin"), &[&ends, &self.texts]);
        let texts = self.has_text.then(write_texts).transpose()?;
        Ok(manifest::Segment { documents: documents as u64, tokens: tokens as u64, data, texts })
    }
}

/// Inverted lists of a segment.
struct Lists {
    counts: Vec<u32>,
    widths: Vec<u8>,
    gaps: Vec<u8>,
}

impl Lists {
    fn new(ends: &[u32], codes: &[u32], centroids: usize) -> Self {
        let mut pairs: Vec<u64> = Vec::with_capacity(codes.len());
        let mut start = 0;
        for (document, &end) in ends.iter().enumerate() {
            let codes = &codes[start..end as usize];
            pairs.extend(codes.iter().map(|&code| u64::from(code) << 32 | document as u64));
            start = end as usize;
        }
        pairs.sort_unstable();
        pairs.dedup();
        let (mut counts, mut widths) = (vec![0; centroids], vec![0; centroids]);
        let mut gaps = BitWriter::default();
        for list in pairs.chunk_by(|a, b| a >> 32 == b >> 32) {
            let centroid = (list[0] >> 32) as usize;
            let gap = |place: usize| match place {
                0 => list[0] as u32,
                _ => (list[place] - list[place - 1]) as u32 - 1,
            };
            let width = (0..list.len()).map(|place| bits_of(gap(place))).max().unwrap_or(0);
            (0..list.len()).for_each(|place| gaps.push(gap(place), width));
            counts[centroid] = list.len() as u32;
            widths[centroid] = width as u8;
        }
        Self { counts, widths, gaps: gaps.finish() }
    }
}

/// A segment that is read.
#[derive(Debug)]
pub(crate) struct Segment {
    map: Mmap,
    texts: Option<Mmap>,
    /// Number of the segment's first document in the index.
    pub(crate) first: u32,
    documents: usize,
    centroids: usize,
    row_bytes: usize,
    code_bits: u32,
    places: Places,
    /// First bit of each centroid's list.
    list_starts: Vec<u64>,
}

/// Where the sections are.
#[derive(Debug, Clone)]
struct Places {
    ends: usize,
    id_ends: usize,
    counts: usize,
    codes: Range<usize>,
    lists: Range<usize>,
    widths: usize,
    ids: Range<usize>,
    residuals: usize,
}

impl Segment {
    /// Maps a segment's files and checks its structure, but not every byte: see [`Index::verify`](super::Index::verify).
    pub(super) fn open(
        folder: &Path,
        part: &manifest::Segment,
        codec: &Codec,
        first: u32,
    ) -> Result<Self, IndexError> {
        let path = folder.join(&part.data.file);
        let corrupt = |problem: &str| IndexError::corrupt(&path, problem);
        let map = map(folder, &part.data)?;
        let head = map.first_chunk::<HEADER>().ok_or_else(|| corrupt("too short"))?;
        if !head.starts_with(MAGIC) {
            return Err(corrupt("not a segment file"));
        }
        let head: Vec<u64> = head.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let [documents, tokens, centroids, row_bytes, id_bytes] = [1, 2, 3, 4, 5].map(|i| head[i] as usize);
        let expected = (part.documents, part.tokens, codec.len(), codec.row_bytes());
        if (documents as u64, tokens as u64, centroids, row_bytes) != expected {
            return Err(corrupt("documents, tokens or centroids differ from the manifest's"));
        }
        // Each has a byte of its own at least, so that the sums below cannot overflow.
        if [documents, tokens, centroids, id_bytes].iter().any(|&count| count > map.len()) {
            return Err(corrupt("shorter than its header says"));
        }
        let code_bits = bits_of(centroids as u32 - 1);
        let ends = HEADER;
        let (id_ends, counts) = (ends + 4 * documents, ends + 8 * documents);
        let codes = counts + 4 * centroids..counts + 4 * centroids + packed_bytes(tokens, code_bits);
        // What is left over is the lists: their length is nowhere else.
        let after_lists = centroids + id_bytes + tokens * row_bytes;
        let lists = match map.len().checked_sub(after_lists) {
            Some(end) if end >= codes.end => codes.end..end,
            _ => return Err(corrupt("shorter than its header says")),
        };
        let widths = lists.end;
        let ids = widths + centroids..widths + centroids + id_bytes;
        let residuals = ids.end;
        let places = Places { ends, id_ends, counts, codes, lists, widths, ids, residuals };
        let texts = part.texts.as_ref().map(|texts| self::map(folder, texts)).transpose()?;
        let mut segment = Self {
            map,
            texts,
            first,
            documents,
            centroids,
            row_bytes,
            code_bits,
            places,
            list_starts: Vec::new(),
        };
        segment.check(tokens, id_bytes).map_err(corrupt)?;
        segment.list_starts = segment.starts().ok_or_else(|| corrupt("the lists have another length"))?;
        Ok(segment)
    }

    /// Ends that rise to the last token and the last byte.
    fn check(&self, tokens: usize, id_bytes: usize) -> Result<(), &'static str> {
        for (place, last) in [(self.places.ends, tokens), (self.places.id_ends, id_bytes)] {
            let ends = &self.map[place..place + 4 * self.documents];
            let mut ends = ends.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
            if !ends.clone().is_sorted() || ends.next_back().unwrap_or(0) as usize != last {
                return Err("the ends of documents or ids do not fit");
            }
        }
        Ok(())
    }

    fn starts(&self) -> Option<Vec<u64>> {
        let mut at = 0;
        let start = |centroid: usize| {
            let width = self.map[self.places.widths + centroid];
            let start = at;
            at += u64::from(self.list_len(centroid)) * u64::from(width);
            (width <= 32).then_some(start)
        };
        let starts: Option<Vec<u64>> = (0..self.centroids).map(start).collect();
        (packed_bytes(at as usize, 1) == self.places.lists.len()).then_some(starts?)
    }

    fn number(&self, place: usize, index: usize) -> u32 {
        let bytes = &self.map[place + 4 * index..][..4];
        u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }

    pub(crate) fn documents(&self) -> usize {
        self.documents
    }

    /// Tokens of a document, by its number within the segment.
    #[inline]
    pub(crate) fn tokens_of(&self, document: usize) -> Range<usize> {
        let start = if document == 0 { 0 } else { self.number(self.places.ends, document - 1) };
        start as usize..self.number(self.places.ends, document) as usize
    }

    /// Centroid of a token; below the next power of two of the number of centroids, whatever the file holds.
    #[inline(always)]
    pub(crate) fn code(&self, codes: &[u8], token: usize) -> u32 {
        read(codes, token * self.code_bits as usize, self.code_bits)
    }

    /// The packed codes that [`Self::code`] reads.
    #[inline]
    pub(crate) fn codes(&self) -> &[u8] {
        &self.map[self.places.codes.clone()]
    }

    /// Residuals of a range of tokens.
    #[inline]
    pub(crate) fn residuals(&self, tokens: Range<usize>) -> &[u8] {
        let start = self.places.residuals;
        &self.map[start + tokens.start * self.row_bytes..start + tokens.end * self.row_bytes]
    }

    /// Documents in a centroid's list.
    #[inline]
    pub(crate) fn list_len(&self, centroid: usize) -> u32 {
        self.number(self.places.counts, centroid)
    }

    /// Calls `see` with the documents, by their numbers within the segment, that have a token of `centroid`, ascending.
    #[inline]
    pub(crate) fn for_each_in_list(&self, centroid: usize, mut see: impl FnMut(usize)) {
        let bits = u32::from(self.map[self.places.widths + centroid]);
        let (lists, mut at) = (&self.map[self.places.lists.clone()], self.list_starts[centroid] as usize);
        let mut next = 0;
        for _ in 0..self.list_len(centroid) {
            let document = next + read(lists, at, bits) as usize;
            if document >= self.documents {
                return; // only a corrupt file names it
            }
            see(document);
            next = document + 1;
            at += bits as usize;
        }
    }

    /// Id of a document; `None` when the file is corrupt.
    pub(crate) fn id(&self, document: usize) -> Option<&str> {
        let start = if document == 0 { 0 } else { self.number(self.places.id_ends, document - 1) };
        let ids = &self.map[self.places.ids.clone()];
        std::str::from_utf8(&ids[start as usize..self.number(self.places.id_ends, document) as usize]).ok()
    }

    /// Text of a document; `None` when none was stored.
    pub(crate) fn text(&self, document: usize) -> Option<&str> {
        let texts = self.texts.as_ref()?;
        let end = |index: usize| {
            let word = texts.get(8 * index..)?.first_chunk::<8>()?;
            Some(u64::from_le_bytes(*word) as usize)
        };
        let start = if document == 0 { 0 } else { end(document - 1)? };
        let bytes = texts.get(8 * self.documents..)?.get(start..end(document)?)?;
        std::str::from_utf8(bytes).ok()
    }
}

#[expect(unsafe_code, reason = "a memory map")]
fn map(folder: &Path, part: &manifest::Part) -> Result<Mmap, IndexError> {
    let path = folder.join(&part.file);
    let fail = |source| IndexError::io(&path, "reading", &source);
    let file = File::open(&path).map_err(fail)?;
    // SAFETY: files that a manifest names are never changed, only removed, which leaves the map as it is.
    let map = unsafe { Mmap::map(&file) }.map_err(fail)?;
    if map.len() as u64 != part.bytes {
        let problem = format!("{} bytes, expected {}: it was cut or extended", map.len(), part.bytes);
        return Err(IndexError::corrupt(&path, problem));
    }
    Ok(map)
}
