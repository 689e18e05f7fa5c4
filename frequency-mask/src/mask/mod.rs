//! Masks of photographs: frequencies, single pixels, patches.
//!
//! `compat` is the official code bit for bit but for rounding: rectangles of the unshifted spectrum, the same bins in all channels,
//! the real part of the inverse (which halves most masked bins instead of removing them), bytes that wrap around. `clean` is what
//! the names say: rings around the mean, bins removed together with their mirror images, the mean kept, bytes clamped.

mod band;
mod draw;
mod lanes;
mod spatial;
mod transform;
mod transpose;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use common::seed;
use image::{GrayImage, RgbImage};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use band::{Band, Layout};
use draw::{draw, share};
use transform::{Filter, Transform};

/// How a filtered value becomes a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cast {
    /// Truncated, and wrapped modulo 256: -3.2 becomes 253. Official code.
    Wrap,
    /// Rounded and clamped to 0..=255.
    Clamp,
    /// Control of ours: what would wrap wraps, every other byte is the photograph's.
    WrapOnly,
}

/// A mask of frequencies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrequencyMask {
    /// Bands in which bins are drawn, each for itself.
    pub bands: Vec<Band>,
    /// Where the bands lie.
    pub layout: Layout,
    /// Whether the mean of the image is never touched.
    pub protect_dc: bool,
    /// How values become bytes.
    pub cast: Cast,
    /// The only channel that is masked: 0 red, 1 green, 2 blue.
    #[serde(default)]
    pub channel: Option<usize>,
}

impl FrequencyMask {
    /// The official code's mask of a band.
    pub fn compat(band: Band) -> Self {
        Self {
            bands: vec![band],
            layout: Layout::Released,
            protect_dc: false,
            cast: Cast::Wrap,
            channel: None,
        }
    }

    /// The mask that the names promise: radial bands, bins removed for good, the mean kept, bytes clamped.
    pub fn clean(band: Band) -> Self {
        Self { layout: Layout::RADIAL, protect_dc: true, cast: Cast::Clamp, ..Self::compat(band) }
    }
}

/// What is masked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Frequencies.
    Frequency(FrequencyMask),
    /// Single pixels, black in all channels.
    Pixel,
    /// Squares of at most 16 pixels that divide the image, black.
    Patch {
        /// Whether each also covers its neighbours' next row and column, as the official code draws it.
        spill: bool,
    },
    /// Control of ours: with the probability `ratio` the mean of each channel is removed, bytes clamped.
    MeanOnly,
}

/// A mask that can be applied: a kind, and which share of its bins, pixels or patches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked", into = "Unchecked")]
pub struct Mask {
    kind: Kind,
    ratio: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    kind: Kind,
    ratio: f64,
}

/// A mask that is none.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum MaskError {
    /// A share outside of 0 to 1.
    #[error("the ratio of a mask is {0}; expected 0 to 1 (15 % is 0.15)")]
    Ratio(f64),
    /// A channel that is none.
    #[error("channel {0} cannot be masked; expected 0 (red), 1 (green) or 2 (blue)")]
    Channel(usize),
    /// Cut-offs that do not grow.
    #[error("the cut-offs {0} and {1} are no bands; expected 0 < first < second, in cycles per pixel")]
    Cutoffs(f64, f64),
    /// No band, or some bins in two.
    #[error(
        "{0} bands of which one holds bins of another, or none; expected `all` alone, or some of low, mid and high"
    )]
    Bands(usize),
}

impl Mask {
    /// A mask of this share.
    ///
    /// # Errors
    /// [`MaskError`].
    pub fn new(kind: Kind, ratio: f64) -> Result<Self, MaskError> {
        if !(0.0..=1.0).contains(&ratio) {
            return Err(MaskError::Ratio(ratio));
        }
        if let Kind::Frequency(frequency) = &kind {
            if let Some(channel) = frequency.channel.filter(|channel| *channel > 2) {
                return Err(MaskError::Channel(channel));
            }
            let bands = &frequency.bands;
            let twice = (1..bands.len()).any(|at| bands[..at].contains(&bands[at]));
            if bands.is_empty() || twice || (bands.contains(&Band::All) && bands.len() > 1) {
                return Err(MaskError::Bands(bands.len()));
            }
            if let Layout::Radial { cutoffs: [a, b] } | Layout::Square { cutoffs: [a, b] } = frequency.layout
                && !(0.0 < a && a < b)
            {
                return Err(MaskError::Cutoffs(a, b));
            }
        }
        Ok(Self { kind, ratio })
    }

    /// What is masked.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Share of the bins of a band, of the pixels or of the patches.
    pub fn ratio(&self) -> f64 {
        self.ratio
    }
}

impl TryFrom<Unchecked> for Mask {
    type Error = MaskError;

    fn try_from(Unchecked { kind, ratio }: Unchecked) -> Result<Self, MaskError> {
        Self::new(kind, ratio)
    }
}

impl From<Mask> for Unchecked {
    fn from(Mask { kind, ratio }: Mask) -> Self {
        Self { kind, ratio }
    }
}

/// Applies one mask to images of any size; what a size needs is made once. Threads share it.
pub struct Masker {
    mask: Mask,
    sizes: Mutex<HashMap<(u32, u32), Arc<Prepared>>>,
}

/// What one image size needs.
struct Prepared {
    transform: Transform,
    /// Bins of each band, one of each pair of mirror images; empty for the official rectangles.
    rings: Vec<Vec<[u32; 2]>>,
    filters: Mutex<Vec<Filter>>,
}

impl Masker {
    /// A masker.
    pub fn new(mask: Mask) -> Self {
        Self { mask, sizes: Mutex::default() }
    }

    /// The mask.
    pub fn mask(&self) -> &Mask {
        &self.mask
    }

    /// The masked image. The same seed, image number and epoch draw the same mask.
    pub fn apply(&self, image: &RgbImage, seed: u64, index: u64, epoch: u64) -> RgbImage {
        let rng = stream(seed, index, epoch);
        self.apply_drawing(image, rng)
    }

    fn apply_drawing(&self, image: &RgbImage, mut rng: ChaCha8Rng) -> RgbImage {
        match &self.mask.kind {
            Kind::Pixel => spatial::pixels(image, self.mask.ratio, &mut rng),
            Kind::Patch { spill } => spatial::patches(image, self.mask.ratio, *spill, &mut rng),
            Kind::MeanOnly => spatial::without_mean(image, self.mask.ratio, &mut rng),
            Kind::Frequency(frequency) => {
                let prepared = self.prepared(image, frequency);
                let mut filter = prepared.filter(image, frequency);
                self.fill(&mut filter, &prepared, image, frequency, &mut rng);
                let out = prepared.apply(image, &filter, frequency.cast);
                prepared.put_back(filter);
                out
            }
        }
    }

    /// How much of each frequency the mask of this image leaves, as a picture with the mean in its middle: white is all.
    /// `None` for a mask of pixels or patches.
    pub fn picture(&self, image: &RgbImage, seed: u64, index: u64, epoch: u64) -> Option<GrayImage> {
        let Kind::Frequency(frequency) = &self.mask.kind else { return None };
        let prepared = self.prepared(image, frequency);
        let mut filter = prepared.filter(image, frequency);
        self.fill(&mut filter, &prepared, image, frequency, &mut stream(seed, index, epoch));
        let (width, height) = image.dimensions();
        Some(GrayImage::from_fn(width, height, |x, y| {
            let row = (y + height - height / 2) % height;
            let column = (x + width - width / 2) % width;
            image::Luma([(255.0 * (1.0 - filter.removed(row as usize, column as usize))).round() as u8])
        }))
    }

    /// Filters an image with given bins set to zero as the official code does it, `[row, column]` of the unshifted spectrum.
    pub fn apply_bins(image: &RgbImage, bins: &[[usize; 2]], cast: Cast) -> RgbImage {
        let (width, height) = (image.width() as usize, image.height() as usize);
        let mut filter = Filter::identity(height, width, 0..height.div_ceil(2));
        bins.iter().for_each(|[row, column]| filter.remove_half(*row, *column));
        let mut out = RgbImage::new(image.width(), image.height());
        Transform::new(height, width).apply(image, &filter, cast, &mut out);
        out
    }

    fn fill(
        &self,
        filter: &mut Filter,
        prepared: &Prepared,
        image: &RgbImage,
        frequency: &FrequencyMask,
        rng: &mut ChaCha8Rng,
    ) {
        let (width, height) = (image.width() as usize, image.height() as usize);
        if frequency.layout == Layout::Released {
            for &band in &frequency.bands {
                let (rows, columns) = band::rectangle(band, height, width);
                let across = columns[1] - columns[0];
                let bins = (rows[1] - rows[0]) * across;
                draw(rng, bins, share(bins, self.mask.ratio), |index| {
                    let (row, column) = (rows[0] + index / across, columns[0] + index % across);
                    if !(frequency.protect_dc && row == 0 && column == 0) {
                        filter.remove_half(row, column);
                    }
                });
            }
        } else {
            for ring in &prepared.rings {
                draw(rng, ring.len(), share(ring.len(), self.mask.ratio), |index| {
                    let [row, column] = ring[index].map(|at| at as usize);
                    let mirror = [(height - row) % height, (width - column) % width];
                    filter.remove_half(row, column);
                    if mirror != [row, column] {
                        filter.remove_half(mirror[0], mirror[1]);
                    }
                });
            }
        }
    }

    fn prepared(&self, image: &RgbImage, frequency: &FrequencyMask) -> Arc<Prepared> {
        let mut sizes = self.sizes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let new = || Arc::new(Prepared::new(image, frequency));
        sizes.entry(image.dimensions()).or_insert_with(new).clone()
    }
}

fn stream(seed: u64, index: u64, epoch: u64) -> ChaCha8Rng {
    seed::rng(seed::derive(seed, "mask", epoch), "image", index)
}

impl Prepared {
    fn new(image: &RgbImage, frequency: &FrequencyMask) -> Self {
        let (width, height) = (image.width() as usize, image.height() as usize);
        let rings = match frequency.layout {
            Layout::Released => Vec::new(),
            Layout::Radial { cutoffs } | Layout::Square { cutoffs } => {
                let square = matches!(frequency.layout, Layout::Square { .. });
                let ring =
                    |band: &Band| band::ring(*band, height, width, cutoffs, square, frequency.protect_dc);
                frequency.bands.iter().map(ring).collect()
            }
        };
        Self { transform: Transform::new(height, width), rings, filters: Mutex::default() }
    }

    /// An identity filter that may touch the rows of the bands.
    fn filter(&self, image: &RgbImage, frequency: &FrequencyMask) -> Filter {
        if let Some(mut filter) = self.filters.lock().ok().and_then(|mut filters| filters.pop()) {
            filter.clear();
            return filter;
        }
        let (width, height) = (image.width() as usize, image.height() as usize);
        let fold = |row: usize| if 2 * row > height { height - row } else { row };
        let rows: Vec<usize> = if frequency.layout == Layout::Released {
            let rectangles = frequency.bands.iter().map(|band| band::rectangle(*band, height, width).0);
            rectangles.flat_map(|rows| rows[0]..rows[1]).map(fold).collect()
        } else {
            self.rings.iter().flatten().map(|[row, _]| *row as usize).collect()
        };
        let mut filter = Filter::identity(height, width, rows);
        filter.channel = frequency.channel;
        filter
    }

    fn put_back(&self, filter: Filter) {
        if let Ok(mut filters) = self.filters.lock() {
            filters.push(filter);
        }
    }

    fn apply(&self, image: &RgbImage, filter: &Filter, cast: Cast) -> RgbImage {
        let mut out = RgbImage::new(image.width(), image.height());
        self.transform.apply(image, filter, cast, &mut out);
        out
    }
}
