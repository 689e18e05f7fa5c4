//! Centre clicks: CSV `image,class,annotator,x,y,time_ms`, the same as JSON, VOC XML with `<point>`, and plain text
//! `image class x1 y1 [x2 y2]`.
//!
//! Coordinates are pixels of the original image, the origin at the upper left corner of the upper left pixel.

use std::collections::HashMap;
use std::path::Path;

use common::files;
use serde::{Deserialize, Serialize};

use super::{FormatError, voc};
use crate::dataset::Dataset;
use crate::geometry::Point;

/// One click.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Click {
    /// Id of the image.
    pub image: String,
    /// Class whose object was clicked.
    pub class: String,
    /// Who clicked: 0, 1 …
    #[serde(default)]
    pub annotator: u32,
    /// From the left, in pixels.
    pub x: f64,
    /// From above, in pixels.
    pub y: f64,
    /// How long it took, in milliseconds.
    #[serde(default)]
    pub time_ms: Option<u32>,
}

impl Click {
    /// Where.
    pub fn point(&self) -> Point {
        Point { x: self.x, y: self.y }
    }
}

/// Clicks by image and class, one per annotator, in the order of the annotators.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clicks(HashMap<(usize, usize), Vec<Point>>);

impl Clicks {
    /// Clicks for an image and a class of a data set.
    pub fn of(&self, picture: usize, class: usize) -> &[Point] {
        self.0.get(&(picture, class)).map_or(&[], Vec::as_slice)
    }

    /// Number of clicks.
    pub fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether some class of an image has more than one.
    pub fn has_pairs(&self) -> bool {
        self.0.values().any(|clicks| clicks.len() > 1)
    }

    /// Adds a click.
    pub fn push(&mut self, picture: usize, class: usize, point: Point) {
        self.0.entry((picture, class)).or_default().push(point);
    }

    /// Places the clicks of a file in a data set.
    ///
    /// # Errors
    /// [`FormatError`] with the number of the click: an image or class that the data set lacks, a point outside the image, an
    /// annotator who clicked twice for one class of an image.
    pub fn placed(path: &Path, clicks: &[Click], dataset: &Dataset) -> Result<Self, FormatError> {
        let pictures: HashMap<&str, usize> =
            dataset.pictures.iter().enumerate().map(|(place, picture)| (&*picture.id, place)).collect();
        let mut order: Vec<usize> = (0..clicks.len()).collect();
        order.sort_by_key(|&place| clicks[place].annotator);
        let (mut placed, mut known) = (Self::default(), HashMap::new());
        for place in order {
            let click = &clicks[place];
            let wrong = |problem: String| Err(FormatError::at(path, format!("click {}", place + 1), problem));
            let Some(&picture) = pictures.get(&*click.image) else {
                return wrong(format!(
                    "image `{}` is not in the data set; expected one of its ids",
                    click.image
                ));
            };
            let Some(class) = dataset.class(&click.class) else {
                let classes = dataset.classes.join(", ");
                return wrong(format!(
                    "class `{}` is not in the data set; expected one of {classes}",
                    click.class
                ));
            };
            let (width, height) = (dataset.pictures[picture].width, dataset.pictures[picture].height);
            if !(0.0..=f64::from(width)).contains(&click.x) || !(0.0..=f64::from(height)).contains(&click.y) {
                return wrong(format!(
                    "({}, {}) lies outside image `{}` of {width}×{height} pixels; are these pixels of the original image?",
                    click.x, click.y, click.image
                ));
            }
            if let Some(first) = known.insert((picture, class, click.annotator), place) {
                return wrong(format!(
                    "annotator {} clicked `{}` in image `{}` at click {} already; expected one click per annotator, image and class",
                    click.annotator,
                    click.class,
                    click.image,
                    first + 1
                ));
            }
            placed.push(picture, class, click.point());
        }
        Ok(placed)
    }
}

/// Reads clicks; the ending says which form: `.csv`, `.json`, a folder of VOC `.xml`, anything else plain text.
///
/// # Errors
/// [`FormatError`] with the line.
pub fn read(path: &Path) -> Result<Vec<Click>, FormatError> {
    if path.is_dir() {
        return read_voc(path);
    }
    let text = files::read_text(path)?;
    match path.extension().and_then(|ending| ending.to_str()).map(str::to_lowercase).as_deref() {
        Some("csv") => read_csv(path, &text),
        Some("json") => serde_json::from_str(&text).map_err(|error| {
            let at = format!("line {} column {}", error.line(), error.column());
            FormatError::at(path, at, format!("{error}; expected a list of image, class, annotator, x, y"))
        }),
        _ => read_plain(path, &text),
    }
}

fn read_csv(path: &Path, text: &str) -> Result<Vec<Click>, FormatError> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let mut clicks = Vec::new();
    for click in reader.deserialize() {
        clicks.push(click.map_err(|error: csv::Error| {
            let line = error.position().map_or(1, |position| position.line());
            let problem = match error.kind() {
                csv::ErrorKind::Deserialize { err, .. } => err.to_string(),
                _ => error.to_string(),
            };
            let expected = "expected the columns image, class, annotator, x, y and perhaps time_ms";
            FormatError::at(path, format!("line {line}"), format!("{problem}; {expected}"))
        })?);
    }
    Ok(clicks)
}

fn read_plain(path: &Path, text: &str) -> Result<Vec<Click>, FormatError> {
    let mut clicks = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let parts: Vec<&str> = line.split_whitespace().collect();
        let numbers: Vec<f64> = parts.iter().skip(2).filter_map(|text| text.parse().ok()).collect();
        if !matches!(numbers.len(), 2 | 4) || parts.len() != numbers.len() + 2 {
            let problem = format!("`{line}`; expected `image class x1 y1` or `image class x1 y1 x2 y2`");
            return Err(FormatError::at(path, format!("line {}", number + 1), problem));
        }
        for (annotator, point) in numbers.chunks(2).enumerate() {
            clicks.push(Click {
                image: parts[0].to_owned(),
                class: parts[1].to_owned(),
                annotator: annotator as u32,
                x: point[0],
                y: point[1],
                time_ms: None,
            });
        }
    }
    Ok(clicks)
}

fn read_voc(folder: &Path) -> Result<Vec<Click>, FormatError> {
    let is_xml =
        |path: &std::path::PathBuf| path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("xml"));
    let mut clicks = Vec::new();
    for path in files::names_in(folder)?.into_iter().filter(is_xml) {
        let annotation = voc::read_annotation(&folder.join(&path))?;
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        for (class, _, points) in annotation.objects {
            for (annotator, point) in points.into_iter().enumerate() {
                let (image, class) = (stem.clone(), class.clone());
                let annotator = annotator as u32;
                clicks.push(Click { image, class, annotator, x: point.x, y: point.y, time_ms: None });
            }
        }
    }
    Ok(clicks)
}

/// Writes clicks as CSV, or as JSON where the ending is `.json`; the file is whole or not there.
///
/// # Errors
/// [`FormatError::File`].
pub fn write(path: &Path, clicks: &[Click]) -> Result<(), FormatError> {
    let json = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let bytes = if json {
        serde_json::to_vec_pretty(clicks).expect("finite numbers and strings")
    } else {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for click in clicks {
            writer.serialize(click).expect("a flat record in memory");
        }
        writer.into_inner().expect("a buffer in memory")
    };
    Ok(files::write_atomic(path, &bytes)?)
}
