//! Images with their captions from the field's layouts. Nothing but names and texts is held in memory.

mod json;
mod tables;
mod tar;

use std::fs::File;
use std::path::{Path, PathBuf};

use common::files::{self, FileError};
use common::formats::ParseError;
use thiserror::Error;

/// Where an image's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageFile {
    /// A file.
    Path(PathBuf),
    /// A member of a `.tar` archive.
    Member {
        /// The archive.
        archive: PathBuf,
        /// Its name there.
        name: String,
        /// First byte.
        at: u64,
        /// Number of bytes.
        size: u64,
    },
}

impl ImageFile {
    /// Its bytes.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn read(&self) -> Result<Vec<u8>, FileError> {
        match self {
            Self::Path(path) => files::read(path),
            Self::Member { archive, name, at, size } => {
                let mut bytes = vec![0; *size as usize];
                File::open(archive)
                    .and_then(|file| files::read_exact_at(&file, &mut bytes, *at))
                    .map_err(|error| FileError::content(archive, format!("`{name}`: {error}")))?;
                Ok(bytes)
            }
        }
    }

    /// Its name for messages and lists.
    pub fn name(&self) -> String {
        match self {
            Self::Path(path) => path.display().to_string(),
            Self::Member { archive, name, .. } => format!("{}:{name}", archive.display()),
        }
    }
}

/// An image and its captions; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The image.
    pub image: ImageFile,
    /// Captions in the order of the file, without white space around them.
    pub captions: Vec<String>,
}

/// Images with captions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collection {
    /// The items in the order of the source.
    pub items: Vec<Item>,
    /// Captions of white space only, which were left out.
    pub empty_captions: usize,
    /// Images without any caption, or captions whose image is not there; which were left out.
    pub left_out: Vec<String>,
}

impl Collection {
    fn add(&mut self, image: ImageFile, captions: impl IntoIterator<Item = String>) {
        let mut kept = Vec::new();
        for caption in captions {
            let trimmed = caption.trim();
            if trimmed.is_empty() {
                self.empty_captions += 1;
            } else {
                kept.push(if trimmed.len() == caption.len() { caption } else { trimmed.to_owned() });
            }
        }
        if let ImageFile::Path(path) = &image
            && !path.exists()
        {
            self.left_out.push(format!("{}: captions without an image", path.display()));
        } else if kept.is_empty() {
            self.left_out.push(format!("{}: an image without captions", image.name()));
        } else {
            self.items.push(Item { image, captions: kept });
        }
    }

    /// Number of captions.
    pub fn n_captions(&self) -> usize {
        self.items.iter().map(|item| item.captions.len()).sum()
    }
}

/// How a source is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Folder that image names are relative to; absent: beside the list, or in `images` there.
    pub images: Option<PathBuf>,
    /// Split of a Karpathy file.
    pub split: Option<String>,
    /// Most captions of an image that are read; COCO's protocol: 5.
    pub captions: Option<usize>,
    /// Column or key of the image's name. open_clip: `filepath`.
    pub image_key: String,
    /// Column or key of the caption. open_clip: `title`.
    pub caption_key: String,
}

impl Default for Reading {
    fn default() -> Self {
        let (image_key, caption_key) = ("filepath".to_owned(), "title".to_owned());
        Self { images: None, split: None, captions: None, image_key, caption_key }
    }
}

/// A source that cannot be read.
#[derive(Debug, Error)]
pub enum DataError {
    /// A missing or unreadable file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A line.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// Content of another form.
    #[error("{path}: {problem}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What was found and what is expected.
        problem: String,
    },
}

const LAYOUTS: &str = "COCO, Karpathy or ShareGPT4V `.json`, `.jsonl`, `.csv`, `.tsv`, Flickr `.token`, WebDataset `.tar`, or a folder \
                       of `.tar` files, or one with `image` and `caption` (Urban-1k)";

/// Reads a source; its layout follows from its name and content.
///
/// # Errors
/// [`DataError`], also when nothing is left.
pub fn read(path: &Path, reading: &Reading) -> Result<Collection, DataError> {
    let content = |problem: String| DataError::Content { path: path.to_owned(), problem };
    let extension =
        path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default();
    let mut collection = match &*extension {
        _ if path.is_dir() => folder(path)?,
        "json" => json::read(path, reading)?,
        "jsonl" | "csv" | "tsv" | "token" => tables::read(path, reading, &extension)?,
        "tar" => tar::read(std::slice::from_ref(&path.to_owned()))?,
        _ => {
            files::read(path)?; // a missing file is said to be missing
            return Err(content(format!("unknown layout; expected {LAYOUTS}")));
        }
    };
    if let Some(most) = reading.captions {
        collection.items.iter_mut().for_each(|item| item.captions.truncate(most));
    }
    if collection.items.is_empty() {
        let first = collection.left_out.first().map(|first| format!(", such as {first}")).unwrap_or_default();
        let count = collection.left_out.len();
        return Err(content(format!(
            "no image with a caption is left; {count} were left out{first}; give the folder of the images with --images"
        )));
    }
    Ok(collection)
}

/// Urban-1k's folders `image` and `caption`, paired by stem; or `.tar` files.
fn folder(path: &Path) -> Result<Collection, DataError> {
    let (images, captions) = (path.join("image"), path.join("caption"));
    if images.is_dir() && captions.is_dir() {
        let mut by_stem = std::collections::HashMap::new();
        for name in files::names_in(&images)? {
            by_stem.insert(name.file_stem().unwrap_or_default().to_owned(), images.join(name));
        }
        let mut collection = Collection::default();
        for name in files::names_in(&captions)? {
            let text = files::read_text(&captions.join(&name))?;
            let first = text.lines().next().unwrap_or_default().to_owned();
            let stem = name.file_stem().unwrap_or_default();
            let image = by_stem.get(stem).cloned().unwrap_or_else(|| images.join(stem));
            collection.add(ImageFile::Path(image), [first]);
        }
        return Ok(collection);
    }
    let archives: Vec<PathBuf> = (files::names_in(path)?.into_iter())
        .filter(|name| name.extension().is_some_and(|extension| extension == "tar"))
        .map(|name| path.join(name))
        .collect();
    if archives.is_empty() {
        let problem =
            format!("neither `image` and `caption` folders nor `.tar` files in it; expected {LAYOUTS}");
        return Err(DataError::Content { path: path.to_owned(), problem });
    }
    tar::read(&archives)
}

/// Endings of images' names.
const ENDINGS: [&str; 6] = ["bmp", "gif", "jpeg", "jpg", "png", "webp"];

/// All images below a folder, sorted by path.
///
/// # Errors
/// [`FileError`] for an unreadable folder.
pub fn images_below(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        for name in files::names_in(&folder)? {
            let path = folder.join(name);
            if path.is_dir() {
                waiting.push(path);
            } else if is_image(&path.to_string_lossy()) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn is_image(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, ending)| ENDINGS.contains(&&*ending.to_lowercase()))
}

/// Images of classes: the folders below `folder`, sorted, and the images in each.
///
/// # Errors
/// [`DataError`] when there is no folder with images.
pub fn classes(folder: &Path) -> Result<Vec<(String, Vec<PathBuf>)>, DataError> {
    let mut classes = Vec::new();
    for name in files::names_in(folder)? {
        let path = folder.join(&name);
        if path.is_dir() {
            let images = images_below(&path)?;
            if !images.is_empty() {
                classes.push((name.display().to_string(), images));
            }
        }
    }
    if classes.is_empty() {
        let problem = "no folder with images in it; expected one folder for each class".to_owned();
        return Err(DataError::Content { path: folder.to_owned(), problem });
    }
    Ok(classes)
}

/// The caption of a line of JSON under one of the keys that lists of captions use: `caption`, `description`, `text`, `IIW`.
///
/// # Errors
/// What is wrong with the line.
pub fn caption_of(line: &str) -> Result<String, String> {
    tables::caption_of(line)
}

/// Where an image is that a list names: below the folder given, else beside the list, else in `images` there.
fn place(name: &str, list: &Path, reading: &Reading) -> PathBuf {
    let beside = list.parent().unwrap_or(Path::new(""));
    let roots = match &reading.images {
        Some(folder) => vec![folder.clone()],
        None => vec![beside.to_owned(), beside.join("images")],
    };
    let found = roots.iter().map(|root| root.join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| roots[0].join(name))
}
