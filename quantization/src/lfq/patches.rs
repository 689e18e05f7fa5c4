//! Square patches of RGB photographs.

use std::fs;
use std::path::Path;

use common::seed;
use rand::Rng;
use tch::{Kind, Tensor};

use super::LfqError;

/// An RGB image file as a tensor `[3, height, width]`, u8.
///
/// # Errors
/// [`LfqError::Image`] for a file that is missing or no PNG or JPEG.
pub fn rgb_tensor(path: &Path) -> Result<Tensor, LfqError> {
    let problem = |problem: String| LfqError::Image { path: path.to_owned(), problem };
    let image = image::open(path).map_err(|error| problem(error.to_string()))?.to_rgb8();
    let (width, height) = image.dimensions();
    let pixels = Tensor::from_slice(image.as_raw()).view([i64::from(height), i64::from(width), 3]);
    Ok(pixels.permute([2, 0, 1]).contiguous())
}

/// The first `count` images of a folder (`.jpg`, `.jpeg`, `.png`) in the order of their names.
///
/// # Errors
/// [`LfqError::Image`] for an unreadable folder or file, or a folder without images.
pub fn photographs(folder: &Path, count: usize) -> Result<Vec<Tensor>, LfqError> {
    let problem = |problem: String| LfqError::Image { path: folder.to_owned(), problem };
    let entries = fs::read_dir(folder).map_err(|error| problem(error.to_string()))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| problem(error.to_string()))?.path();
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        if ["jpg", "jpeg", "png"].contains(&&*extension) {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        return Err(problem("no .jpg, .jpeg or .png in this folder; give one with photographs".to_owned()));
    }
    paths.iter().take(count).map(|path| rgb_tensor(path)).collect()
}

/// `count` patches `[count, 3·side²]` in −1 … 1 from random places of images `[3, height, width]` (u8), drawn by
/// `run_seed`.
///
/// # Errors
/// [`LfqError::Config`] for no images or one smaller than a patch.
pub fn random_patches(images: &[Tensor], side: i64, count: usize, run_seed: u64) -> Result<Tensor, LfqError> {
    let fits = |image: &Tensor| matches!(image.size()[..], [3, height, width] if height.min(width) >= side);
    if images.is_empty() || side < 1 || !images.iter().all(fits) {
        let found = format!("{:?}", images.iter().find(|image| !fits(image)).map(Tensor::size));
        return Err(LfqError::Config {
            field: "images",
            found,
            expected: "[3, height, width] of at least a patch",
        });
    }
    let mut rng = seed::rng(run_seed, "patches", 0);
    let mut patch = || {
        let image = &images[rng.random_range(0..images.len())];
        let (height, width) = (image.size()[1], image.size()[2]);
        let (top, left) = (rng.random_range(0..=height - side), rng.random_range(0..=width - side));
        image.narrow(1, top, side).narrow(2, left, side).reshape([-1])
    };
    let patches: Vec<Tensor> = (0..count).map(|_| patch()).collect();
    Ok(Tensor::stack(&patches, 0).to_kind(Kind::Float) / 127.5 - 1.0)
}
