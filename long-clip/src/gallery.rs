//! A page of images that were found: self-contained, readable on a phone and in the dark.

use std::fmt::Write as _;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use common::files::{self, FileError};
use image::{DynamicImage, ImageFormat, RgbImage};

use crate::preprocess;

/// Larger side of an image on the page, in pixels.
const SIDE: u32 = 320;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c2024;--paper:#fff;--soft:#f2f4f7}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--paper:#16181b;--soft:#1f2328}}\
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:80rem;margin:0 auto;padding:1rem}\
blockquote{background:var(--soft);margin:1rem 0;padding:.8rem 1rem;border-left:.4rem solid #0b57a4}\
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(13rem,1fr));gap:1rem}\
figure{margin:0}img{width:100%;border-radius:.3rem}figcaption{font-size:.85rem;overflow-wrap:anywhere}";

/// An image that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Its file.
    pub path: PathBuf,
    /// Cosine with the description.
    pub score: f32,
}

/// Descriptions with the images that were found for them, best first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gallery {
    sections: Vec<(String, Vec<Picture>)>,
}

impl Gallery {
    /// Adds a description and its images.
    pub fn add(&mut self, text: &str, pictures: Vec<Picture>) {
        self.sections.push((text.to_owned(), pictures));
    }

    /// Writes the page; what could not be shown, with the reason.
    ///
    /// # Errors
    /// [`FileError`] when the page cannot be written.
    pub fn write(&self, path: &Path) -> Result<Vec<String>, FileError> {
        let mut body = String::new();
        let mut broken = Vec::new();
        for (text, pictures) in &self.sections {
            let _ = write!(body, "<blockquote>{}</blockquote><div class=\"grid\">", escape(text));
            for (rank, picture) in pictures.iter().enumerate() {
                match thumbnail(&picture.path) {
                    Ok(jpeg) => {
                        let name = escape(&picture.path.display().to_string());
                        let _ = write!(
                            body,
                            "<figure><img alt=\"{name}\" src=\"data:image/jpeg;base64,{}\"><figcaption>{} · {:.4}<br>{name}</figcaption></figure>",
                            base64(&jpeg),
                            rank + 1,
                            picture.score
                        );
                    }
                    Err(problem) => broken.push(problem),
                }
            }
            body.push_str("</div>");
        }
        let page = format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
             <title>Images found</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
        );
        files::write_atomic(path, page.as_bytes())?;
        Ok(broken)
    }
}

fn thumbnail(path: &Path) -> Result<Vec<u8>, String> {
    let picture = preprocess::read(path).map_err(|error| error.to_string())?.to_rgb();
    let (width, height) = (picture.width() as u32, picture.height() as u32);
    let image = RgbImage::from_raw(width, height, picture.into_samples()).ok_or("no pixels")?;
    let mut bytes = Vec::new();
    let small = DynamicImage::from(image).thumbnail(SIDE, SIDE);
    small.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Jpeg).map_err(|error| error.to_string())?;
    Ok(bytes)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// RFC 4648.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0_u32, |word, &byte| word << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * place) & 63) as usize];
            out.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_base64() {
        let cases = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (text, expected) in cases {
            assert_eq!(base64(text.as_bytes()), expected);
        }
    }
}
