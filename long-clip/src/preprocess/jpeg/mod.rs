//! JPEG with the very numbers of libjpeg-turbo, which Pillow decodes with: its integer transform, its triangle filter for thinned
//! colours, its integer colour conversion. Sequential and progressive Huffman files of 8 bits, 1, 3 or 4 components.
//!
//! Other decoders round otherwise (one byte in a hundred of a photograph differs), and the features of a model with them.

mod bits;
mod colour;
mod frame;
mod scan;
mod transform;
mod upsample;

use std::ops::Range;

use super::picture::{Mode, Picture};
use frame::{Frame, Transform};

/// The image of a file. `wanted` is told its size and gives the columns and rows that must be right; others may be anything.
///
/// # Errors
/// What is broken or not supported.
pub(super) fn decode(
    bytes: &[u8],
    wanted: impl Fn(usize, usize) -> (Range<usize>, Range<usize>),
) -> Result<Picture, String> {
    let (tables, wanted) = (Tables::default(), &wanted);
    let mut reader = Reader { bytes, at: 2, tables, transform: None, is_jfif: false, frame: None, wanted };
    reader.read()?;
    let frame = reader.frame.ok_or("no image in it")?;
    let transform = frame.transform(reader.transform, reader.is_jfif);
    let (width, height) = (frame.width, frame.height);
    let (columns, wanted_rows) = wanted(width, height);
    let columns = columns.start.min(width)..columns.end.min(width);
    let planes = frame.planes()?;
    let rows = |y: usize, out: &mut [Vec<u8>]| {
        for (plane, row) in planes.iter().zip(out) {
            upsample::row(plane, y, row);
        }
    };
    let channels = planes.len();
    let mut line: Vec<Vec<u8>> = planes.iter().map(|_| Vec::new()).collect();
    let mut samples = vec![0; width * height * channels];
    for (y, out) in samples.chunks_exact_mut(width * channels).enumerate() {
        if !wanted_rows.contains(&y) {
            continue;
        }
        rows(y, &mut line);
        let out = &mut out[columns.start * channels..columns.end * channels];
        let parts: Vec<&[u8]> = line.iter().map(|row| &row[columns.clone()]).collect();
        match (&parts[..], transform) {
            ([grey], _) => out.copy_from_slice(grey),
            ([y, cb, cr], Transform::Ycc) => colour::rgb_of_ycc(y, cb, cr, out),
            ([y, cb, cr, k], Transform::Ycc) => colour::cmyk_of_ycck(y, cb, cr, k, out),
            ([_, _, _] | [_, _, _, _], _) => colour::interleaved(&parts, out),
            _ => return Err(format!("{channels} colour components, expected 1, 3 or 4")),
        }
    }
    let mode = match channels {
        1 => Mode::Grey,
        3 => Mode::Rgb,
        _ => Mode::Cmyk,
    };
    if mode == Mode::Cmyk {
        // Adobe's files hold the inks inverted, and Pillow takes all for Adobe's.
        samples.iter_mut().for_each(|ink| *ink = 255 - *ink);
    }
    Picture::new(width, height, mode, samples).ok_or_else(|| "no pixels in it".to_owned())
}

/// Tables that stand until they are replaced.
#[derive(Default)]
struct Tables {
    quantisers: [Option<[u16; 64]>; 4],
    dc: [Option<bits::Codes>; 4],
    ac: [Option<bits::Codes>; 4],
    restart_interval: usize,
}

struct Reader<'a, W> {
    bytes: &'a [u8],
    at: usize,
    tables: Tables,
    /// Adobe's marker.
    transform: Option<u8>,
    is_jfif: bool,
    frame: Option<Frame>,
    wanted: &'a W,
}

fn truncated() -> String {
    "the file ends too early".to_owned()
}

impl<'a, W: Fn(usize, usize) -> (Range<usize>, Range<usize>)> Reader<'a, W> {
    /// All segments up to the end of the image.
    fn read(&mut self) -> Result<(), String> {
        loop {
            let marker = match self.marker() {
                Ok(marker) => marker,
                // Everything that one scan has is there: what follows would only say so.
                Err(_) if self.frame.as_ref().is_some_and(Frame::is_done) => return Ok(()),
                Err(problem) => return Err(problem),
            };
            match marker {
                0xd9 => return Ok(()),
                0x01 | 0xd0..=0xd8 => {}
                0xda => {
                    let header = self.segment()?;
                    let frame = self.frame.as_mut().ok_or("a scan before its frame")?;
                    self.at += scan::read(frame, header, &self.tables, &self.bytes[self.at..])?;
                }
                0xc0..=0xc2 => {
                    let segment = self.segment()?;
                    if self.frame.is_some() {
                        return Err("two images in one file".to_owned());
                    }
                    let mut frame = Frame::new(segment, marker == 0xc2)?;
                    let (columns, rows) = (self.wanted)(frame.width, frame.height);
                    frame.want(&columns, &rows);
                    self.frame = Some(frame);
                }
                0xc4 => self.codes()?,
                0xdb => self.quantisers()?,
                0xdd => {
                    let segment = self.segment()?;
                    let interval = segment.first_chunk::<2>().ok_or_else(truncated)?;
                    self.tables.restart_interval = u16::from_be_bytes(*interval).into();
                }
                0xe0 => self.is_jfif |= self.segment()?.starts_with(b"JFIF\0"),
                0xee => {
                    let segment = self.segment()?;
                    if segment.starts_with(b"Adobe") {
                        self.transform = segment.get(11).copied().or(self.transform);
                    }
                }
                0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                    return Err("a lossless, arithmetic or hierarchical JPEG, which is not read".to_owned());
                }
                _ => drop(self.segment()?),
            }
        }
    }

    /// The next marker; other bytes before it are passed over, as libjpeg does.
    fn marker(&mut self) -> Result<u8, String> {
        loop {
            let rest = self.bytes.get(self.at..).ok_or_else(truncated)?;
            let found = rest.iter().position(|&byte| byte == 0xff).ok_or_else(truncated)?;
            let mut at = self.at + found;
            while self.bytes.get(at) == Some(&0xff) {
                at += 1;
            }
            let marker = *self.bytes.get(at).ok_or_else(truncated)?;
            self.at = at + 1;
            if marker != 0 {
                return Ok(marker);
            }
        }
    }

    fn segment(&mut self) -> Result<&'a [u8], String> {
        let rest = self.bytes.get(self.at..).ok_or_else(truncated)?;
        let length = usize::from(u16::from_be_bytes(*rest.first_chunk::<2>().ok_or_else(truncated)?));
        let segment = rest.get(2..length).ok_or_else(truncated)?;
        self.at += length;
        Ok(segment)
    }

    fn codes(&mut self) -> Result<(), String> {
        let mut segment = self.segment()?;
        while let Some((&[kind], rest)) = segment.split_first_chunk::<1>() {
            let (counts, rest) = rest.split_first_chunk::<16>().ok_or_else(truncated)?;
            let total = counts.iter().map(|&count| usize::from(count)).sum();
            let (values, rest) = rest.split_at_checked(total).ok_or_else(truncated)?;
            let class = if kind >> 4 == 0 { &mut self.tables.dc } else { &mut self.tables.ac };
            let place = class.get_mut(usize::from(kind & 15)).ok_or("a fifth code table")?;
            *place = Some(bits::Codes::new(counts, values)?);
            segment = rest;
        }
        Ok(())
    }

    fn quantisers(&mut self) -> Result<(), String> {
        let mut segment = self.segment()?;
        while let Some((&[kind], rest)) = segment.split_first_chunk::<1>() {
            let size = if kind >> 4 == 0 { 1 } else { 2 };
            let (values, rest) = rest.split_at_checked(64 * size).ok_or_else(truncated)?;
            let mut table = [0; 64];
            for (value, &place) in values.chunks_exact(size).zip(&bits::NATURAL_ORDER) {
                table[usize::from(place)] =
                    value.iter().fold(0, |number, &byte| number << 8 | u16::from(byte));
            }
            let slot = self.tables.quantisers.get_mut(usize::from(kind & 15)).ok_or("a fifth quantiser")?;
            *slot = Some(table);
            segment = rest;
        }
        Ok(())
    }
}
