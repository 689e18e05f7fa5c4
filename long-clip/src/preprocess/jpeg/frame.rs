//! A frame: its components and their coefficients.

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
    /// Coefficients block by block, in natural order, not yet multiplied.
    pub(super) coefficients: Vec<[i16; 64]>,
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
                coefficients: vec![[0; 64]; units.0 * across * units.1 * down],
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

    /// Samples of all components.
    pub(super) fn planes(&self, quantisers: &[Option<[u16; 64]>; 4]) -> Result<Vec<Plane>, String> {
        if !self.components.iter().all(|component| component.seen) {
            return Err("a colour is missing".to_owned());
        }
        self.components.iter().map(|component| self.plane(component, quantisers)).collect()
    }

    fn plane(&self, component: &Component, quantisers: &[Option<[u16; 64]>; 4]) -> Result<Plane, String> {
        let quantiser = quantisers[component.quantiser].as_ref().ok_or("a quantiser is missing")?;
        let quantiser = quantiser.map(i32::from);
        let stride = component.stride * 8;
        let mut samples = vec![0; stride * component.high * 8];
        for (row, blocks) in
            component.coefficients.chunks_exact(component.stride).take(component.high).enumerate()
        {
            let lines = &mut samples[row * 8 * stride..][..8 * stride];
            for (column, block) in blocks[..component.wide].iter().enumerate() {
                transform::inverse(block, &quantiser, &mut lines[column * 8..], stride);
            }
        }
        let (across, down) = (self.most.0 / component.across, self.most.1 / component.down);
        if across * component.across != self.most.0 || down * component.down != self.most.1 {
            return Err("sampling factors that do not divide each other".to_owned());
        }
        Ok(Plane {
            samples,
            stride,
            width: component.width,
            height: component.height,
            across,
            down,
            pixels: self.width,
        })
    }
}
