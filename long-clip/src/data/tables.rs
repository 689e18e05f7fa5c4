//! One line for each caption: CSV and TSV with a header, JSON lines, Flickr30k's token file.

use std::collections::HashMap;
use std::path::Path;

use common::formats::{self, ParseError};
use serde_json::Value;

use super::{Collection, DataError, ImageFile, Reading, place};

pub(super) fn read(path: &Path, reading: &Reading, extension: &str) -> Result<Collection, DataError> {
    let mut grouped = Grouped::default();
    match extension {
        "csv" => separated(path, b',', reading, &mut grouped)?,
        "tsv" => separated(path, b'\t', reading, &mut grouped)?,
        "jsonl" => json_lines(path, reading, &mut grouped)?,
        _ => tokens(path, &mut grouped)?,
    }
    let mut collection = Collection::default();
    for (name, captions) in grouped.rows {
        collection.add(ImageFile::Path(place(&name, path, reading)), captions);
    }
    Ok(collection)
}

/// Captions by image, in the order in which images come first.
#[derive(Default)]
struct Grouped {
    rows: Vec<(String, Vec<String>)>,
    places: HashMap<String, usize>,
}

impl Grouped {
    fn add(&mut self, image: &str, caption: &str) {
        let place = *self.places.entry(image.to_owned()).or_insert_with(|| {
            self.rows.push((image.to_owned(), Vec::new()));
            self.rows.len() - 1
        });
        self.rows[place].1.push(caption.to_owned());
    }
}

fn separated(path: &Path, separator: u8, reading: &Reading, grouped: &mut Grouped) -> Result<(), DataError> {
    let content = |problem: String| DataError::Content { path: path.to_owned(), problem };
    let mut reader =
        csv::ReaderBuilder::new().delimiter(separator).flexible(true).from_path(path).map_err(|error| {
            content(match error.kind() {
                csv::ErrorKind::Io(error) => error.to_string(),
                _ => error.to_string(),
            })
        })?;
    let header = reader.headers().map_err(|error| content(error.to_string()))?.clone();
    let column = |name: &str| {
        header.iter().position(|known| known.trim() == name).ok_or_else(|| {
            let known: Vec<&str> = header.iter().collect();
            let columns = known.join("`, `");
            content(format!(
                "no column `{name}`; it has `{columns}`; name them with --image-key and --caption-key"
            ))
        })
    };
    let (image, caption) = (column(&reading.image_key)?, column(&reading.caption_key)?);
    for record in reader.records() {
        let record = record.map_err(|error| content(error.to_string()))?;
        match (record.get(image), record.get(caption)) {
            (Some(image), Some(caption)) => grouped.add(image, caption),
            _ => {
                let line = record.position().map_or(0, |position| position.line() as usize);
                let problem = format!("{} columns, expected {}", record.len(), header.len());
                return Err(ParseError::new(path, line, problem, "").into());
            }
        }
    }
    Ok(())
}

/// Keys under which lists of long captions keep an image's name, and the caption.
const IMAGE_KEYS: [&str; 6] = ["image", "image_file", "file_name", "filename", "image_key", "image/key"];
const CAPTION_KEYS: [&str; 4] = ["caption", "description", "text", "IIW"];

fn json_lines(path: &Path, reading: &Reading, grouped: &mut Grouped) -> Result<(), DataError> {
    let mut lines = formats::open(path)?;
    while let Some((line, text)) = lines.next_line()? {
        if text.trim().is_empty() {
            continue;
        }
        let fail =
            |problem: String| ParseError::new(path, line, problem, "expected one JSON object per line");
        let row: Value = serde_json::from_str(text).map_err(|error| fail(error.to_string()))?;
        let field = |own: &str, known: &[&str]| {
            let mut names = [own].into_iter().chain(known.iter().copied());
            names.find_map(|name| row[name].as_str().map(str::to_owned)).ok_or_else(|| {
                fail(format!(
                    "none of the keys `{own}`, `{}`; name it with --image-key or --caption-key",
                    known.join("`, `")
                ))
            })
        };
        let (image, caption) =
            (field(&reading.image_key, &IMAGE_KEYS)?, field(&reading.caption_key, &CAPTION_KEYS)?);
        grouped.add(&image, &caption);
    }
    Ok(())
}

/// The caption of a JSON line under one of the usual keys.
///
/// # Errors
/// What is wrong with the line.
pub(super) fn caption_of(line: &str) -> Result<String, String> {
    let row: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let caption = CAPTION_KEYS.iter().find_map(|key| row[*key].as_str());
    caption.map(str::to_owned).ok_or_else(|| format!("none of the keys `{}`", CAPTION_KEYS.join("`, `")))
}

/// `name.jpg#k<TAB>caption`.
fn tokens(path: &Path, grouped: &mut Grouped) -> Result<(), DataError> {
    let mut lines = formats::open(path)?;
    while let Some((line, text)) = lines.next_line()? {
        if text.is_empty() {
            continue;
        }
        let parts = text.split_once('\t').and_then(|(key, caption)| Some((key.rsplit_once('#')?.0, caption)));
        let (image, caption) = parts.ok_or_else(|| {
            ParseError::new(
                path,
                line,
                "not a line of Flickr30k",
                "expected `name.jpg#k`, a tab and the caption",
            )
        })?;
        grouped.add(image, caption);
    }
    Ok(())
}
