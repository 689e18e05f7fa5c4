//! Images and labels from files: single pictures, and the folder layouts of the literature.

mod folder;

use std::path::{Path, PathBuf};

use image::{ImageError, ImageReader, RgbImage};
use thiserror::Error;

pub use folder::{FolderError, Labelled, data_sets, labelled, pictures_below};

/// A picture that cannot be used.
#[derive(Debug, Error)]
pub enum PictureError {
    /// Not opened.
    #[error("{path}: {problem}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        problem: std::io::Error,
    },
    /// Not decoded.
    #[error("{path}: not a whole PNG, JPEG or WebP picture: {problem}", path = path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        problem: String,
    },
    /// A moving picture.
    #[error("{path}: an animated {format}; expected a single picture (save one frame as PNG)", path = path.display())]
    Animated {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: &'static str,
    },
    /// Not encoded.
    #[error("a picture could not be compressed as JPEG: {0}")]
    Encoding(String),
}

impl PictureError {
    pub(crate) fn encoding(error: ImageError) -> Self {
        Self::Encoding(error.to_string())
    }
}

/// A picture as 8-bit RGB: grey is repeated, 16 bits are divided by 257, CMYK is converted, transparency is dropped.
///
/// # Errors
/// [`PictureError`].
pub fn read_picture(path: &Path) -> Result<RgbImage, PictureError> {
    let bytes =
        std::fs::read(path).map_err(|problem| PictureError::Unreadable { path: path.to_owned(), problem })?;
    decode(&bytes, path)
}

/// The same from the bytes of a file; `path` names it in messages.
///
/// # Errors
/// [`PictureError`].
pub fn decode(bytes: &[u8], path: &Path) -> Result<RgbImage, PictureError> {
    if let Some(format) = animated(bytes) {
        return Err(PictureError::Animated { path: path.to_owned(), format });
    }
    let broken = |problem: String| PictureError::Broken { path: path.to_owned(), problem };
    let reader = ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format();
    let reader = reader.map_err(|error| broken(error.to_string()))?;
    if reader.format().is_none() {
        return Err(broken("its first bytes are those of another format".to_owned()));
    }
    let picture = reader.decode().map_err(|error| broken(error.to_string()))?;
    Ok(picture.into_rgb8())
}

/// The format of moving pictures, by its marks: GIF, PNG with `acTL`, WebP with `ANIM`.
fn animated(bytes: &[u8]) -> Option<&'static str> {
    let has = |mark: &[u8]| bytes.windows(4).take(4096).any(|window| window == mark);
    if bytes.starts_with(b"GIF8") {
        Some("GIF")
    } else if bytes.starts_with(b"\x89PNG") && has(b"acTL") {
        Some("PNG")
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") && has(b"ANIM") {
        Some("WebP")
    } else {
        None
    }
}
