//! Photographs and fakes of the experiment, alike in everything but their making.
//!
//! What real and fake crops share: subjects (autoencoders), size, no resize, a random offset against the photograph and against
//! the generator's grid, bytes, and one last JPEG pass of random quality.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use common::{data, files, seed};
use image::RgbImage;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::augment::{cropped, jpeg};
use crate::data::read_picture;

/// The data set of photographs.
pub const SET: &str = "bsds500-images";
/// Side of what generators see and make, in pixels.
pub const REGION: u32 = 80;
/// Side of the crops that detectors are given.
pub const CROP: u32 = 64;
/// Qualities of the last JPEG pass. Ours: high, so that traces survive.
const QUALITIES: std::ops::RangeInclusive<u8> = 85..=98;

/// Which photographs; no two parts share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// For the generators.
    Generators,
    /// For training detectors.
    Training,
    /// For validating them.
    Validation,
    /// For testing them.
    Test,
}

impl Part {
    /// Name of its files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Generators => "generators",
            Self::Training => "training",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// Photographs by part.
pub struct Photographs {
    parts: [Vec<RgbImage>; 4],
}

impl Photographs {
    /// The published photographs below a data root: 100 of `train` for the generators, the others and 50 of `val` for training, 50
    /// of `val` for validation, all of `test` for testing. `limit` keeps the first of each part.
    ///
    /// # Errors
    /// A missing data set, a broken picture.
    pub fn read(root: &Path, limit: usize) -> Result<Self> {
        let set = data::locate(root, SET)?;
        let named = |folder: &str| -> Vec<PathBuf> {
            let below = |file: &&data::FileEntry| file.path.starts_with(folder);
            set.entry.files.iter().filter(below).map(|file| set.folder.join(&file.path)).collect()
        };
        let (train, val, test) = (named("train/"), named("val/"), named("test/"));
        let (for_generators, rest) = train.split_at(train.len() / 2);
        let (for_training, for_validation) = val.split_at(val.len() / 2);
        let training = [rest, for_training].concat();
        let read = |paths: &[PathBuf]| -> Result<Vec<RgbImage>> {
            Ok(paths.iter().take(limit).map(|path| read_picture(path)).collect::<Result<_, _>>()?)
        };
        let parts = [read(for_generators)?, read(&training)?, read(for_validation)?, read(&test)?];
        Ok(Self { parts })
    }

    /// Stand-ins where the data set is missing: sums of waves with falling amplitudes, and edges.
    pub fn generated() -> Self {
        let part = |part: u64| (0..12).map(|at| stand_in(&mut seed::rng(part, "stand-in", at))).collect();
        Self { parts: [0, 1, 2, 3].map(part) }
    }

    /// Photographs of a part.
    pub fn of(&self, part: Part) -> &[RgbImage] {
        &self.parts[part as usize]
    }

    /// A random region of a random photograph of the part; `stream` and `index` decide which.
    pub fn region(&self, part: Part, stream: &str, index: u64) -> RgbImage {
        let photographs = self.of(part);
        let mut rng = seed::rng(0, stream, index);
        let photograph = &photographs[rng.random_range(0..photographs.len())];
        let x = rng.random_range(0..=photograph.width() - REGION);
        let y = rng.random_range(0..=photograph.height() - REGION);
        cropped(photograph, x, y, REGION)
    }

    /// Finished real crops of a part.
    ///
    /// # Errors
    /// As [`finished`].
    pub fn real(&self, part: Part, n: usize) -> Result<Vec<RgbImage>> {
        let stream = format!("{} regions", part.name());
        (0..n as u64).map(|index| finished(&self.region(part, &stream, index), "real", index)).collect()
    }
}

/// The last steps of real and fake crops alike: a random place inside of the region, then a JPEG pass of random quality.
///
/// # Errors
/// A JPEG that cannot be encoded.
pub fn finished(region: &RgbImage, stream: &str, index: u64) -> Result<RgbImage> {
    let mut rng = seed::rng(1, stream, index);
    let mut offset = |size: u32| rng.random_range(0..=size - CROP);
    let (x, y) = (offset(region.width()), offset(region.height()));
    Ok(jpeg(&cropped(region, x, y, CROP), rng.random_range(QUALITIES))?)
}

fn stand_in(rng: &mut ChaCha8Rng) -> RgbImage {
    let mut waves = Vec::new();
    for _ in 0..24 {
        let frequency = 0.01 * 60_f64.powf(rng.random::<f64>());
        let angle = rng.random::<f64>() * std::f64::consts::TAU;
        let phase = rng.random::<f64>() * std::f64::consts::TAU;
        let colour = [0, 1, 2].map(|_| 0.6 + 0.4 * rng.random::<f64>());
        waves.push((frequency * angle.cos(), frequency * angle.sin(), phase, 0.7 / frequency.sqrt(), colour));
    }
    let edge = (rng.random::<f64>() * 160.0, rng.random::<f64>() * 160.0);
    RgbImage::from_fn(160, 160, |x, y| {
        let (x, y) = (f64::from(x), f64::from(y));
        let mut sums = [if x * edge.1 > y * edge.0 { 100.0 } else { 150.0 }; 3];
        for (fx, fy, phase, height, colour) in &waves {
            let value = height * 4.0 * (std::f64::consts::TAU * (fx * x + fy * y) + phase).sin();
            sums.iter_mut().zip(colour).for_each(|(sum, colour)| *sum += value * colour);
        }
        image::Rgb(sums.map(|sum: f64| sum.clamp(0.0, 255.0) as u8))
    })
}

/// Writes crops of one size one after another.
///
/// # Errors
/// A file that cannot be written.
pub fn store(images: &[RgbImage], folder: &Path, name: &str) -> Result<()> {
    files::make_folder(folder)?;
    let bytes: Vec<u8> = images.iter().flat_map(|image| image.as_raw()).copied().collect();
    Ok(files::write_atomic(&folder.join(format!("{name}.rgb")), &bytes)?)
}

/// Crops that [`store`] wrote.
///
/// # Errors
/// A file that is missing or holds no whole number of crops.
pub fn stored(folder: &Path, name: &str) -> Result<Vec<RgbImage>> {
    let path = folder.join(format!("{name}.rgb"));
    let bytes = files::read(&path).context("fakes of this run; start a new run without --resume")?;
    let size = (CROP * CROP * 3) as usize;
    if bytes.len() % size != 0 {
        bail!("{}: {} bytes are no whole crops; delete the run's folder", path.display(), bytes.len());
    }
    Ok(bytes.chunks(size).filter_map(|bytes| RgbImage::from_raw(CROP, CROP, bytes.to_vec())).collect())
}
