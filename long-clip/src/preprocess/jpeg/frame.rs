//! A frame: its components and their coefficients.

use std::ops::Range;

use super::transform;
use super::truncated;

/// Largest image: as libjpeg, 65,500 pixels a side, and Pillow's limit of pixels.
const LARGEST: usize = 65_500;
const MOST_PIXELS: usize = 178_956_970;

/// Whether colours are differences from lightness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transform {
    None,
    Ycc,
}

pub(super) struct Frame {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) progressive: bool,
    pub(super) components: Vec<Component>,
    /// Largest sampling factors.
    pub(super) most: (usize, usize),
    /// Scans that were read.
    pub(super) scans: usize,
}

pub(super) struct Component {
    pub(super) id: u8,
    /// Sampling factors.
    pub(super) across: usize,
    pub(super) down: usize,
    quantiser: usize,
    /// Samples, as the frame's size and the factors say.
    width: usize,
    height: usize,
    /// Blocks that hold these samples.
    pub(super) wide: usize,
    pub(super) high: usize,
    /// Blocks in a row of whole units; there are more than the samples need.
    pub(super) stride: usize,
    /// Coefficients block by block, in natural order, not yet multiplied; only of a progressive file.
    pub(super) coefficients: Vec<[i16; 64]>,
    /// Samples, eight lines for each row of blocks.
    samples: Vec<u8>,
    factors: Option<[i32; 64]>,
    /// Columns and rows of blocks that are wanted.
    wanted: [Range<usize>; 2],
    pub(super) seen: bool,
}

/// Samples of a component.
pub(super) struct Plane {
    pub(super) samples: Vec<u8>,
    pub(super) stride: usize,
    pub(super) width: usize,
    pub(super) height: usize,
    /// How many pixels a sample stands for, across and down.
    pub(super) across: usize,
    pub(super) down: usize,
    /// Pixels of a row of the image.
    pub(super) pixels: usize,
}

impl Frame {
    pub(super) fn new(segment: &[u8], progressive: bool) -> Result<Self, String> {
        let (head, mut rest) = segment.split_first_chunk::<6>().ok_or_else(truncated)?;
        if head[0] != 8 {
            return Err(format!("{} bits per sample, expected 8", head[0]));
        }
        let number = |high: u8, low: u8| usize::from(u16::from_be_bytes([high, low]));
        let (height, width) = (number(head[1], head[2]), number(head[3], head[4]));
        if width == 0 || height == 0 || width > LARGEST || height > LARGEST || width * height > MOST_PIXELS {
            return Err(format!("{width} × {height} pixels"));
        }
        let mut factors = Vec::new();
        for _ in 0..head[5] {
            let (&[id, sampling, quantiser], behind) = rest.split_first_chunk::<3>().ok_or_else(truncated)?;
            let (across, down) = (usize::from(sampling >> 4), usize::from(sampling & 15));
            if !(1..=4).contains(&across) || !(1..=4).contains(&down) || quantiser > 3 {
                return Err("a component with impossible sampling".to_owned());
            }
            factors.push((id, across, down, usize::from(quantiser)));
            rest = behind;
        }
        if !matches!(factors.len(), 1 | 3 | 4) {
            return Err(format!("{} colour components, expected 1, 3 or 4", factors.len()));
        }
        let most = factors.iter().fold((1, 1), |most, factor| (most.0.max(factor.1), most.1.max(factor.2)));
        let units = (width.div_ceil(8 * most.0), height.div_ceil(8 * most.1));
        let component = |&(id, across, down, quantiser): &(u8, usize, usize, usize)| {
            let own = ((width * across).div_ceil(most.0), (height * down).div_ceil(most.1));
            Component {
                id,
                across,
                down,
                quantiser,
                width: own.0,
                height: own.1,
                wide: own.0.div_ceil(8),
                high: own.1.div_ceil(8),
                stride: units.0 * across,
                coefficients: if progressive {
                    vec![[0; 64]; units.0 * across * units.1 * down]
                } else {
                    Vec::new()
                },
                samples: vec![0; units.0 * across * units.1 * down * 64],
                factors: None,
                wanted: [0..usize::MAX, 0..usize::MAX],
                seen: false,
            }
        };
        let components = factors.iter().map(component).collect();
        Ok(Self { width, height, progressive, components, most, scans: 0 })
    }

    /// Whether everything of a file of one scan is there.
    pub(super) fn is_done(&self) -> bool {
        !self.progressive && self.components.iter().all(|component| component.seen)
    }

    /// libjpeg's guess of what the components mean.
    pub(super) fn transform(&self, adobe: Option<u8>, is_jfif: bool) -> Transform {
        let ids: Vec<u8> = self.components.iter().map(|component| component.id).collect();
        match (ids.len(), adobe) {
            (3, _) if is_jfif => Transform::Ycc,
            (3, Some(0)) => Transform::None,
            (3, None) if ids == *b"RGB" => Transform::None,
            (3, _) | (4, Some(2)) => Transform::Ycc,
            _ => Transform::None,
        }
    }

    /// Only the pixels of these columns and rows are wanted; others stay undefined.
    pub(super) fn want(&mut self, columns: &Range<usize>, rows: &Range<usize>) {
        for component in &mut self.components {
            let blocks = |pixels: &Range<usize>, own: usize, most: usize| {
                // The filter looks one sample further.
                let first = (pixels.start * own / most).saturating_sub(1) / 8;
                first..(pixels.end * own).div_ceil(most).saturating_add(1).div_ceil(8)
            };
            component.wanted =
                [blocks(columns, component.across, self.most.0), blocks(rows, component.down, self.most.1)];
        }
    }

    /// Quantisers of the components, as they stand where a scan begins.
    pub(super) fn prepare(&mut self, quantisers: &[Option<[u16; 64]>; 4]) -> Result<(), String> {
        for component in self.components.iter_mut().filter(|component| component.factors.is_none()) {
            let quantiser = quantisers[component.quantiser].as_ref().ok_or("a quantiser is missing")?;
            component.factors = Some(quantiser.map(i32::from));
        }
        Ok(())
    }

    /// Samples of all components.
    pub(super) fn planes(self) -> Result<Vec<Plane>, String> {
        if !self.components.iter().all(|component| component.seen) {
            return Err("a colour is missing".to_owned());
        }
        let Self { most, width, progressive, components, .. } = self;
        components.into_iter().map(|component| component.into_plane(most, width, progressive)).collect()
    }
}

impl Component {
    /// Samples of a block.
    pub(super) fn put(&mut self, block: &[i16; 64], row: usize, column: usize) {
        let [columns, rows] = &self.wanted;
        if let Some(factors) = &self.factors
            && columns.contains(&column)
            && rows.contains(&row)
        {
            let stride = self.stride * 8;
            transform::inverse(block, factors, &mut self.samples[row * 8 * stride + column * 8..], stride);
        }
    }

    fn into_plane(mut self, most: (usize, usize), pixels: usize, progressive: bool) -> Result<Plane, String> {
        if progressive {
            let coefficients = std::mem::take(&mut self.coefficients);
            for (row, blocks) in coefficients.chunks_exact(self.stride).take(self.high).enumerate() {
                for (column, block) in blocks[..self.wide].iter().enumerate() {
                    self.put(block, row, column);
                }
            }
        }
        let (across, down) = (most.0 / self.across, most.1 / self.down);
        if across * self.across != most.0 || down * self.down != most.1 {
            return Err("sampling factors that do not divide each other".to_owned());
        }
        Ok(Plane {
            samples: self.samples,
            stride: self.stride * 8,
            width: self.width,
            height: self.height,
            across,
            down,
            pixels,
        })
    }
}
