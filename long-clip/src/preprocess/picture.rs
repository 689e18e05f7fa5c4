//! Pixels in the mode in which a file holds them.

use super::resample::{self, Window};

/// What the bytes of a pixel mean; Pillow's modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One byte, 0 or 255 (Pillow: `1`).
    Bilevel,
    /// One byte of lightness (`L`).
    Grey,
    /// Lightness and opacity (`LA`).
    GreyAlpha,
    /// One byte that points into a palette (`P`).
    Palette,
    /// Red, green, blue (`RGB`).
    Rgb,
    /// The same and opacity (`RGBA`).
    Rgba,
    /// Four inks (`CMYK`).
    Cmyk,
}

impl Mode {
    /// Bytes of a pixel.
    pub fn channels(self) -> usize {
        match self {
            Self::Bilevel | Self::Grey | Self::Palette => 1,
            Self::GreyAlpha => 2,
            Self::Rgb => 3,
            Self::Rgba | Self::Cmyk => 4,
        }
    }
}

/// An image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    mode: Mode,
    samples: Vec<u8>,
    /// Red, green and blue of up to 256 entries.
    palette: Vec<u8>,
}

impl Picture {
    /// An image of rows of pixels; `None` without pixels, or when the bytes do not fill it. A palette is set with
    /// [`Self::with_palette`].
    pub fn new(width: usize, height: usize, mode: Mode, samples: Vec<u8>) -> Option<Self> {
        let bytes = width.checked_mul(height)?.checked_mul(mode.channels())?;
        (bytes > 0 && bytes == samples.len()).then_some(Self {
            width,
            height,
            mode,
            samples,
            palette: Vec::new(),
        })
    }

    /// The same with a palette of red, green and blue bytes.
    #[must_use]
    pub fn with_palette(self, palette: Vec<u8>) -> Self {
        Self { palette, ..self }
    }

    /// Pixels of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Mode.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The bytes, row by row.
    pub fn samples(&self) -> &[u8] {
        &self.samples
    }

    /// The bytes.
    pub fn into_samples(self) -> Vec<u8> {
        self.samples
    }

    /// The window of the image at another size, in the same mode. Opacity weighs the colours meanwhile; palettes and 1-bit
    /// images take the nearest pixel.
    pub(super) fn resized(&self, width: usize, height: usize, window: Window) -> Self {
        let (from, to) = ((self.width, self.height), (width, height));
        let bicubic = |samples: &[u8]| resample::bicubic(samples, from, self.mode.channels(), to, window);
        // Pillow returns a copy, not weighed and unweighed, when nothing is to be done.
        let same = from == to;
        let samples = match self.mode {
            Mode::Bilevel | Mode::Palette => resample::nearest(&self.samples, from, to, window),
            Mode::GreyAlpha | Mode::Rgba if !same => {
                let channels = self.mode.channels();
                unweighed(bicubic(&weighed(&self.samples, channels)), channels)
            }
            _ => bicubic(&self.samples),
        };
        Self {
            width: window.width,
            height: window.height,
            mode: self.mode,
            samples,
            palette: self.palette.clone(),
        }
    }

    /// As red, green and blue; opacity is dropped, as Pillow's `convert("RGB")` does.
    #[must_use]
    pub fn to_rgb(&self) -> Self {
        let samples = match self.mode {
            Mode::Rgb => self.samples.clone(),
            Mode::Bilevel | Mode::Grey => self.samples.iter().flat_map(|&grey| [grey; 3]).collect(),
            Mode::GreyAlpha => self.samples.chunks_exact(2).flat_map(|pixel| [pixel[0]; 3]).collect(),
            Mode::Rgba => {
                self.samples.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
            }
            Mode::Palette => self.samples.iter().flat_map(|&index| self.entry(index)).collect(),
            Mode::Cmyk => self.samples.chunks_exact(4).flat_map(without_black).collect(),
        };
        Self { samples, mode: Mode::Rgb, palette: Vec::new(), ..*self }
    }

    /// Colours behind the end of a palette are black.
    fn entry(&self, index: u8) -> [u8; 3] {
        let at = 3 * usize::from(index);
        self.palette.get(at..at + 3).map_or([0; 3], |colour| [colour[0], colour[1], colour[2]])
    }
}

/// a · b / 255, rounded (Pillow's `MULDIV255`).
fn product(a: u8, b: u8) -> u8 {
    let exact = u32::from(a) * u32::from(b) + 128;
    (((exact >> 8) + exact) >> 8) as u8
}

fn without_black(inks: &[u8]) -> [u8; 3] {
    let light = 255 - inks[3];
    [0, 1, 2].map(|colour| light - product(inks[colour], light))
}

fn weighed(samples: &[u8], channels: usize) -> Vec<u8> {
    let mut out = samples.to_vec();
    for pixel in out.chunks_exact_mut(channels) {
        if let Some((&mut alpha, colours)) = pixel.split_last_mut() {
            colours.iter_mut().for_each(|colour| *colour = product(*colour, alpha));
        }
    }
    out
}

fn unweighed(mut samples: Vec<u8>, channels: usize) -> Vec<u8> {
    for pixel in samples.chunks_exact_mut(channels) {
        if let Some((&mut alpha, colours)) = pixel.split_last_mut()
            && alpha != 0
            && alpha != 255
        {
            colours.iter_mut().for_each(|colour| {
                *colour = (255 * u32::from(*colour) / u32::from(alpha)).min(255) as u8;
            });
        }
    }
    samples
}
