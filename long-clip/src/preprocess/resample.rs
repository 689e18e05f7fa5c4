//! Pillow's resampling of 8-bit images, bit by bit: bicubic with a = −0.5 and antialiasing, one pass for each direction, rounded to bytes
//! between them. Source: Pillow's `Resample.c`; only what a window shows is computed.

use super::dispatch::multiversion;

/// Bits behind the point of a weight: 32 − 8 − 2.
const BITS: u32 = 22;
/// Rows that the horizontal pass takes at once.
const ROWS: usize = 8;

/// The part of the resized image that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) left: usize,
    pub(super) top: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// What each output pixel takes: the first input and the weights from there on.
struct Filter {
    taps: Vec<(usize, usize)>,
    weights: Vec<i32>,
    /// Weights that each pixel has room for.
    room: usize,
}

/// (1.5|x| − 2.5) x² + 1 and −0.5 (|x|³ − 5x² + 8|x| − 4): Keys' kernel with a = −0.5.
fn kernel(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

impl Filter {
    /// Weights of `wanted` pixels from `first` on, when `from` pixels become `to`.
    fn new(from: usize, to: usize, first: usize, wanted: usize) -> Self {
        let scale = from as f64 / to as f64;
        let stretch = scale.max(1.0);
        let support = 2.0 * stretch;
        let room = support.ceil() as usize * 2 + 1;
        let mut filter = Self { taps: Vec::with_capacity(wanted), weights: vec![0; wanted * room], room };
        for (out, place) in (first..first + wanted).enumerate() {
            let centre = (place as f64 + 0.5) * scale;
            let low = (centre - support + 0.5).max(0.0) as usize;
            let high = ((centre + support + 0.5) as usize).min(from);
            let mut weights: Vec<f64> =
                (low..high).map(|i| kernel((i as f64 - centre + 0.5) * (1.0 / stretch))).collect();
            let sum: f64 = weights.iter().sum();
            if sum != 0.0 {
                weights.iter_mut().for_each(|weight| *weight /= sum);
            }
            let one = f64::from(1_u32 << BITS);
            for (fixed, weight) in filter.weights[out * room..].iter_mut().zip(&weights) {
                let half = if *weight < 0.0 { -0.5 } else { 0.5 };
                *fixed = (half + weight * one) as i32;
            }
            filter.taps.push((low, high - low));
        }
        filter
    }

    fn of(&self, out: usize) -> (usize, &[i32]) {
        let (low, count) = self.taps[out];
        (low, &self.weights[out * self.room..][..count])
    }

    /// First input and number of inputs that the window needs.
    fn span(&self) -> (usize, usize) {
        let low = self.taps.iter().map(|(low, _)| *low).min().unwrap_or(0);
        let high = self.taps.iter().map(|(low, count)| low + count).max().unwrap_or(0);
        (low, high - low)
    }
}

/// An image of `channels` bytes per pixel, resized to `to_width × to_height`, of which the window is returned.
///
/// The order of the passes is that of Pillow 13: vertical first where that takes away more than twice as many rows as the other
/// columns. Earlier versions always begin with the horizontal one, which differs for images over twice as high as wide.
pub(super) fn bicubic(
    samples: &[u8],
    (width, height): (usize, usize),
    channels: usize,
    (to_width, to_height): (usize, usize),
    window: Window,
) -> Vec<u8> {
    let across = (to_width != width).then(|| Filter::new(width, to_width, window.left, window.width));
    let down = (to_height != height).then(|| Filter::new(height, to_height, window.top, window.height));
    // What the window needs of the source.
    let (left, columns) = across.as_ref().map_or((window.left, window.width), Filter::span);
    let (top, rows) = down.as_ref().map_or((window.top, window.height), Filter::span);
    let mut part = Vec::with_capacity(rows * columns * channels);
    for row in samples[top * width * channels..].chunks_exact(width * channels).take(rows) {
        part.extend_from_slice(&row[left * channels..][..columns * channels]);
    }
    let horizontal = |part: Vec<u8>| match &across {
        Some(filter) => horizontal(&part, channels, filter),
        None => part,
    };
    let vertical = |part: Vec<u8>, row_bytes: usize| match &down {
        Some(filter) => vertical(&part, row_bytes, filter),
        None => part,
    };
    if to_height < height && height - to_height > 2 * width.saturating_sub(to_width) {
        horizontal(vertical(part, columns * channels))
    } else {
        vertical(horizontal(part), window.width * channels)
    }
}

/// The vertical pass over the rows that the filter spans.
fn vertical(samples: &[u8], row_bytes: usize, filter: &Filter) -> Vec<u8> {
    let (top, _) = filter.span();
    let mut out = vec![0; filter.taps.len() * row_bytes];
    let mut sums = vec![0_i32; row_bytes];
    for (place, row) in out.chunks_exact_mut(row_bytes).enumerate() {
        let (low, weights) = filter.of(place);
        sums.fill(1 << (BITS - 1));
        for (source, &weight) in samples[(low - top) * row_bytes..].chunks_exact(row_bytes).zip(weights) {
            add(&mut sums, source, weight);
        }
        clamp(&sums, row);
    }
    out
}

/// The horizontal pass over the columns that the filter spans.
fn horizontal(samples: &[u8], channels: usize, filter: &Filter) -> Vec<u8> {
    match channels {
        1 => rows_of::<1>(samples, filter),
        2 => rows_of::<2>(samples, filter),
        3 => rows_of::<3>(samples, filter),
        _ => rows_of::<4>(samples, filter),
    }
}

multiversion! {
    fn add(sums: &mut [i32], source: &[u8], weight: i32) {
        for (sum, &value) in sums.iter_mut().zip(source) {
            *sum = sum.wrapping_add(i32::from(value) * weight);
        }
    }
}

multiversion! {
    fn clamp(sums: &[i32], out: &mut [u8]) {
        for (byte, &sum) in out.iter_mut().zip(sums) {
            *byte = (sum >> BITS).clamp(0, 255) as u8;
        }
    }
}

/// `ROWS` rows at once: their bytes are laid side by side, so that a weight meets all of them.
fn rows_of<const CHANNELS: usize>(samples: &[u8], filter: &Filter) -> Vec<u8> {
    let (left, columns) = filter.span();
    let lanes = ROWS * CHANNELS;
    let (row_bytes, out_bytes) = (columns * CHANNELS, filter.taps.len() * CHANNELS);
    let mut out = vec![0; samples.len() / row_bytes * out_bytes];
    let mut block = vec![0_i16; columns * lanes];
    let mut results = vec![0_u8; filter.taps.len() * lanes];
    for (rows, outs) in samples.chunks(ROWS * row_bytes).zip(out.chunks_mut(ROWS * out_bytes)) {
        for (r, row) in rows.chunks_exact(row_bytes).enumerate() {
            for (lane, pixel) in block.chunks_exact_mut(lanes).zip(row.chunks_exact(CHANNELS)) {
                for (c, &value) in pixel.iter().enumerate() {
                    lane[r * CHANNELS + c] = value.into();
                }
            }
        }
        match CHANNELS {
            1 => columns_of_8(&block, left, filter, &mut results),
            2 => columns_of_16(&block, left, filter, &mut results),
            3 => columns_of_24(&block, left, filter, &mut results),
            _ => columns_of_32(&block, left, filter, &mut results),
        }
        for (r, row) in outs.chunks_exact_mut(out_bytes).enumerate() {
            for (pixel, lane) in row.chunks_exact_mut(CHANNELS).zip(results.chunks_exact(lanes)) {
                pixel.copy_from_slice(&lane[r * CHANNELS..][..CHANNELS]);
            }
        }
    }
    out
}

macro_rules! columns {
    ($name:ident, $lanes:literal) => {
        multiversion! {
            fn $name(block: &[i16], left: usize, filter: &Filter, results: &mut [u8]) {
                const LANES: usize = $lanes;
                for (place, result) in results.chunks_exact_mut(LANES).enumerate() {
                    let (low, weights) = filter.of(place);
                    let mut sums = [1_i32 << (BITS - 1); LANES];
                    for (lane, &weight) in block[(low - left) * LANES..].chunks_exact(LANES).zip(weights) {
                        for (sum, &value) in sums.iter_mut().zip(lane) {
                            *sum = sum.wrapping_add(i32::from(value) * weight);
                        }
                    }
                    for (byte, sum) in result.iter_mut().zip(sums) {
                        *byte = (sum >> BITS).clamp(0, 255) as u8;
                    }
                }
            }
        }
    };
}

columns!(columns_of_8, 8);
columns!(columns_of_16, 16);
columns!(columns_of_24, 24);
columns!(columns_of_32, 32);

/// Pillow's nearest neighbour, which it takes for palette and 1-bit images whatever was asked for.
pub(super) fn nearest(
    samples: &[u8],
    (width, height): (usize, usize),
    (to_width, to_height): (usize, usize),
    window: Window,
) -> Vec<u8> {
    let columns = places(width, to_width, window.left, window.width);
    let mut out = Vec::with_capacity(window.width * window.height);
    for y in places(height, to_height, window.top, window.height) {
        let row = &samples[y * width..][..width];
        out.extend(columns.iter().map(|&x| row[x]));
    }
    out
}

/// Source of each pixel; the places are summed up step by step, as Pillow does, and not multiplied.
fn places(from: usize, to: usize, first: usize, wanted: usize) -> Vec<usize> {
    let step = from as f64 / to as f64;
    let mut place = step * 0.5;
    let mut found = Vec::with_capacity(wanted);
    for out in 0..first + wanted {
        if out >= first {
            found.push((place as usize).min(from - 1));
        }
        place += step;
    }
    found
}
