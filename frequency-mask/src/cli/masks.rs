//! `mask`, and the options that choose a mask.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use common::files;
use image::{ExtendedColorType, ImageEncoder, RgbImage};

use crate::data::{pictures_below, read_picture};
use crate::mask::{Band, FrequencyMask, Kind, Layout, Mask, Masker};
use crate::spectrum;

/// Which mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Mode {
    /// No mask
    None,
    /// Frequencies as the official code masks them: rectangles of the unshifted spectrum, halved bins, bytes that wrap
    Compat,
    /// Frequencies as the names promise: rings around the mean, removed bins, the mean kept, bytes clamped
    Clean,
    /// Single pixels, black
    Pixel,
    /// Squares of 16 pixels or the next smaller side that divides the image, black
    Patch,
    /// Squares as the official code draws them, one row and column too large
    PatchCompat,
}

/// Options that choose a mask.
#[derive(Debug, Args)]
pub(super) struct MaskOptions {
    /// What is masked
    #[arg(long, value_enum, default_value = "clean")]
    mode: Mode,
    /// Bands: all, or some of low, mid and high
    #[arg(long, value_delimiter = ',', default_value = "all")]
    band: Vec<Band>,
    /// Share of the bins, pixels or patches, 0 to 1
    #[arg(long, default_value_t = 0.15)]
    ratio: f64,
    /// Ends of the rings low and mid in cycles per pixel, for clean [default: 0.118,0.25]
    #[arg(long, value_delimiter = ',', num_args = 2, value_name = "CYCLES")]
    cutoffs: Option<Vec<f64>>,
    /// Square rings instead of round ones, for clean
    #[arg(long)]
    square: bool,
    /// Also mask the mean, for clean
    #[arg(long)]
    with_mean: bool,
    /// The only channel that is masked: r, g or b
    #[arg(long, value_parser = ["r", "g", "b"])]
    channel: Option<String>,
}

impl MaskOptions {
    /// The mask, `None` for the mode none.
    pub(super) fn mask(&self) -> Result<Option<Mask>> {
        let kind = match self.mode {
            Mode::None => return Ok(None),
            Mode::Pixel => Kind::Pixel,
            Mode::Patch => Kind::Patch { spill: false },
            Mode::PatchCompat => Kind::Patch { spill: true },
            Mode::Compat | Mode::Clean => Kind::Frequency(self.frequency()),
        };
        Ok(Some(Mask::new(kind, self.ratio)?))
    }

    fn frequency(&self) -> FrequencyMask {
        let mut frequency = match self.mode {
            Mode::Compat => FrequencyMask::compat(Band::All),
            _ => FrequencyMask::clean(Band::All),
        };
        frequency.bands.clone_from(&self.band);
        if self.mode == Mode::Clean {
            let cutoffs = match self.cutoffs.as_deref() {
                Some([low, mid]) => [*low, *mid],
                _ => [0.118, 0.25],
            };
            frequency.layout =
                if self.square { Layout::Square { cutoffs } } else { Layout::Radial { cutoffs } };
            frequency.protect_dc = !self.with_mean;
        }
        let letter = self.channel.as_deref().and_then(|channel| channel.chars().next());
        frequency.channel = letter.and_then(|letter| "rgb".find(letter));
        frequency
    }
}

/// Options of `mask`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Pictures, or folders of them
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// Folder for the masked pictures (PNG)
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    #[command(flatten)]
    mask: MaskOptions,
    /// Seed of the masks; the same seed and place in the order give the same mask
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Epoch of the masks
    #[arg(long, default_value_t = 0)]
    epoch: u64,
    /// Also write the spectrum before and after, and the mask, as pictures
    #[arg(long)]
    spectra: bool,
}

/// Pictures of files and folders with the names they get below an output folder.
pub(super) fn inputs(given: &[PathBuf]) -> Result<Vec<(PathBuf, PathBuf)>> {
    let mut all = Vec::new();
    for path in given {
        if path.is_dir() {
            let found = pictures_below(path)?;
            if found.is_empty() {
                bail!("{}: no picture in this folder (.png, .jpg, .jpeg, .webp)", path.display());
            }
            all.extend(found.into_iter().map(|file| {
                let name = file.strip_prefix(path).map(Path::to_owned);
                (file.clone(), name.unwrap_or(file))
            }));
        } else {
            let name = path.file_name().map(PathBuf::from).context("a path that ends in `..`")?;
            all.push((path.clone(), name));
        }
    }
    Ok(all)
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let Some(mask) = arguments.mask.mask()? else { bail!("--mode none masks nothing; choose another mode") };
    let masker = Masker::new(mask);
    let files = inputs(&arguments.inputs)?;
    let mut taken = std::collections::BTreeMap::new();
    for (file, name) in &files {
        if let Some(other) = taken.insert(name.with_extension("png"), file) {
            let (first, second) = (other.display(), file.display());
            bail!(
                "{first} and {second} would both become {}; mask them into two folders",
                name.with_extension("png").display()
            );
        }
    }
    let mut failed = 0;
    for (index, (file, name)) in files.iter().enumerate() {
        let picture = match read_picture(file) {
            Ok(picture) => picture,
            Err(error) => {
                eprintln!("error: {error}");
                failed += 1;
                continue;
            }
        };
        let place = (arguments.seed, index as u64, arguments.epoch);
        let masked = masker.apply(&picture, place.0, place.1, place.2);
        let out = arguments.out.join(name).with_extension("png");
        write_png(&masked, &out)?;
        if arguments.spectra {
            let beside = |what: &str| out.with_extension(format!("{what}.png"));
            let [before, after] = [&picture, &masked].map(spectrum::of_picture);
            let highest = before.iter().flatten().copied().fold(0.0, f64::max);
            write_grey(&spectrum::picture(&before, 0.0, highest), &beside("before"))?;
            write_grey(&spectrum::picture(&after, 0.0, highest), &beside("after"))?;
            if let Some(mask) = masker.picture(&picture, place.0, place.1, place.2) {
                write_grey(&mask, &beside("mask"))?;
            }
        }
        println!("{}", out.display());
    }
    if failed > 0 {
        bail!("{failed} of {} pictures could not be read, see above; the others are masked", files.len());
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn write_grey(picture: &image::GrayImage, path: &Path) -> Result<()> {
    write(picture, picture.dimensions(), ExtendedColorType::L8, path)
}

fn write_png(picture: &RgbImage, path: &Path) -> Result<()> {
    write(picture, picture.dimensions(), ExtendedColorType::Rgb8, path)
}

fn write(bytes: &[u8], (width, height): (u32, u32), colour: ExtendedColorType, path: &Path) -> Result<()> {
    if let Some(folder) = path.parent() {
        files::make_folder(folder)?;
    }
    let mut png = Vec::new();
    image::codecs::png::PngEncoder::new(&mut png).write_image(bytes, width, height, colour)?;
    Ok(files::write_atomic(path, &png)?)
}
