//! COCO JSON: images with boxes, and the list of detections.

use std::collections::HashMap;
use std::path::Path;

use common::files;
use serde::{Deserialize, Serialize};

use super::FormatError;
use crate::dataset::{Dataset, Object, Picture};
use crate::evaluate::Detection;
use crate::geometry::BoundingBox;

#[derive(Serialize, Deserialize)]
struct File {
    images: Vec<Image>,
    #[serde(default)]
    annotations: Vec<Annotation>,
    categories: Vec<Category>,
}

#[derive(Serialize, Deserialize)]
struct Image {
    id: u64,
    file_name: String,
    #[serde(default)]
    width: u32,
    #[serde(default)]
    height: u32,
}

#[derive(Serialize, Deserialize)]
struct Annotation {
    id: u64,
    image_id: u64,
    category_id: u64,
    bbox: [f64; 4],
    #[serde(default, skip_serializing_if = "Option::is_none")]
    area: Option<f64>,
    #[serde(default)]
    iscrowd: u8,
}

#[derive(Serialize, Deserialize)]
struct Category {
    id: u64,
    name: String,
}

#[derive(Serialize, Deserialize)]
struct ResultLine {
    image_id: u64,
    category_id: u64,
    bbox: [f64; 4],
    score: f64,
}

/// A data set with the numbers that its file gives to images and classes.
#[derive(Clone, Debug)]
pub struct Numbered {
    /// The data set; the id of an image is its number in decimal digits.
    pub dataset: Dataset,
    images: HashMap<u64, usize>,
    categories: HashMap<u64, usize>,
    category_ids: Vec<u64>,
}

/// Reads images and objects; image files are looked for in `folder`. Annotations without a box of positive size are refused.
///
/// # Errors
/// [`FormatError`] with the place in the file: no JSON of this form, a number that comes twice or that nothing has, a box of no size.
pub fn read(path: &Path, folder: &Path) -> Result<Numbered, FormatError> {
    let file: File = parse(path, "an object with images, annotations and categories")?;
    let mut categories = HashMap::new();
    for (place, category) in file.categories.iter().enumerate() {
        let at = || format!("categories[{place}]");
        unique(path, &mut categories, category.id, place, at)?;
    }
    let mut images = HashMap::new();
    let mut pictures = Vec::with_capacity(file.images.len());
    for (place, image) in file.images.into_iter().enumerate() {
        unique(path, &mut images, image.id, place, || format!("images[{place}]"))?;
        let Image { id, file_name, width, height } = image;
        let objects = Vec::new();
        pictures.push(Picture { id: id.to_string(), file: folder.join(file_name), width, height, objects });
    }
    let mut known = HashMap::new();
    for (place, annotation) in file.annotations.into_iter().enumerate() {
        let at = || format!("annotations[{place}]");
        unique(path, &mut known, annotation.id, place, at)?;
        let picture = of(path, &images, annotation.image_id, "image", at)?;
        let class = of(path, &categories, annotation.category_id, "category", at)?;
        let bbox = corners(path, annotation.bbox, at)?;
        let area = annotation.area.unwrap_or(bbox.area());
        let crowd = annotation.iscrowd != 0;
        pictures[picture].objects.push(Object { area, crowd, ..Object::new(class, bbox) });
    }
    let category_ids = file.categories.iter().map(|category| category.id).collect();
    let classes = file.categories.into_iter().map(|category| category.name).collect();
    Ok(Numbered { dataset: Dataset { classes, pictures }, images, categories, category_ids })
}

/// Reads a list of detections.
///
/// # Errors
/// [`FormatError`] with the place: an image or class that the data set lacks, a score that is no number.
pub fn read_results(path: &Path, numbered: &Numbered) -> Result<Vec<Detection>, FormatError> {
    let lines: Vec<ResultLine> = parse(path, "a list of image_id, category_id, bbox and score")?;
    let detection = |(place, line): (usize, ResultLine)| {
        let at = || format!("[{place}]");
        let picture = of(path, &numbered.images, line.image_id, "image", at)?;
        let class = of(path, &numbered.categories, line.category_id, "category", at)?;
        if !line.score.is_finite() {
            return Err(FormatError::at(path, at(), format!("score {}; expected a number", line.score)));
        }
        let [x, y, w, h] = line.bbox;
        Ok(Detection { picture, class, bbox: BoundingBox::new(x, y, x + w, y + h), score: line.score })
    };
    lines.into_iter().enumerate().map(detection).collect()
}

/// Writes a data set; images and classes are numbered from 1 where their ids are no numbers.
///
/// # Errors
/// [`FormatError::File`].
pub fn write(path: &Path, dataset: &Dataset) -> Result<(), FormatError> {
    let numbers: Vec<u64> = image_numbers(dataset);
    let images = dataset.pictures.iter().zip(&numbers).map(|(picture, &id)| {
        let name = picture.file.file_name().map(|name| name.to_string_lossy().into_owned());
        let Picture { width, height, .. } = *picture;
        Image { id, file_name: name.unwrap_or_default(), width, height }
    });
    let objects = dataset
        .pictures
        .iter()
        .zip(&numbers)
        .flat_map(|(picture, &image)| picture.objects.iter().map(move |object| (image, object)));
    let annotations = objects.zip(1..).map(|((image_id, object), id)| Annotation {
        id,
        image_id,
        category_id: object.class as u64 + 1,
        bbox: sides(&object.bbox),
        area: Some(object.area),
        iscrowd: object.crowd.into(),
    });
    let categories = dataset.classes.iter().zip(1..).map(|(name, id)| Category { id, name: name.clone() });
    let file = File {
        images: images.collect(),
        annotations: annotations.collect(),
        categories: categories.collect(),
    };
    let json = serde_json::to_vec(&file).expect("numbers and strings");
    Ok(files::write_atomic(path, &json)?)
}

/// Writes detections with the numbers of the data set's file.
///
/// # Errors
/// [`FormatError::File`].
pub fn write_results(path: &Path, detections: &[Detection], numbered: &Numbered) -> Result<(), FormatError> {
    let number: HashMap<usize, u64> = numbered.images.iter().map(|(&id, &place)| (place, id)).collect();
    let line = |detection: &Detection| ResultLine {
        image_id: number[&detection.picture],
        category_id: numbered.category_ids[detection.class],
        bbox: sides(&detection.bbox),
        score: detection.score,
    };
    let lines: Vec<ResultLine> = detections.iter().map(line).collect();
    Ok(files::write_atomic(path, &serde_json::to_vec(&lines).expect("finite numbers"))?)
}

/// Numbers of images: their ids where all are different numbers, else their places from 1.
fn image_numbers(dataset: &Dataset) -> Vec<u64> {
    let ids: Vec<Option<u64>> = dataset.pictures.iter().map(|picture| picture.id.parse().ok()).collect();
    let distinct: std::collections::HashSet<u64> = ids.iter().flatten().copied().collect();
    match distinct.len() == ids.len() {
        true => ids.into_iter().flatten().collect(),
        false => (1..=ids.len() as u64).collect(),
    }
}

fn sides(bbox: &BoundingBox) -> [f64; 4] {
    [bbox.x0, bbox.y0, bbox.width(), bbox.height()]
}

fn parse<T: for<'a> Deserialize<'a>>(path: &Path, expected: &str) -> Result<T, FormatError> {
    let text = files::read_text(path)?;
    serde_json::from_str(&text).map_err(|error| {
        let at = format!("line {} column {}", error.line(), error.column());
        FormatError::at(path, at, format!("{error}; expected COCO JSON, {expected}"))
    })
}

fn unique(
    path: &Path,
    known: &mut HashMap<u64, usize>,
    id: u64,
    place: usize,
    at: impl Fn() -> String,
) -> Result<(), FormatError> {
    match known.insert(id, place) {
        None => Ok(()),
        Some(first) => Err(FormatError::at(
            path,
            at(),
            format!("id {id} stands at place {first} already; expected each id once: number them anew"),
        )),
    }
}

fn of(
    path: &Path,
    known: &HashMap<u64, usize>,
    id: u64,
    what: &str,
    at: impl Fn() -> String,
) -> Result<usize, FormatError> {
    known.get(&id).copied().ok_or_else(|| {
        let problem = format!("no {what} has id {id}; expected one of the {} that are listed", known.len());
        FormatError::at(path, at(), problem)
    })
}

fn corners(path: &Path, [x, y, w, h]: [f64; 4], at: impl Fn() -> String) -> Result<BoundingBox, FormatError> {
    if [x, y, w, h].iter().all(|side| side.is_finite()) && w > 0.0 && h > 0.0 {
        return Ok(BoundingBox::new(x, y, x + w, y + h));
    }
    let problem = format!("bbox [{x}, {y}, {w}, {h}]; expected x, y and a positive width and height");
    Err(FormatError::at(path, at(), problem))
}
