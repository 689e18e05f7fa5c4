//! PASCAL VOC: a folder with `Annotations`, `ImageSets/Main` and `JPEGImages`.
//!
//! VOC's boxes are whole numbers from 1, both ends included; boxes here are from 0 and end exclusive, so that `xmin − 1` and `xmax`
//! are their edges.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use common::files;
use roxmltree::{Document, Node};

use super::FormatError;
use crate::dataset::{Dataset, Object, Picture};
use crate::evaluate::Detection;
use crate::geometry::{BoundingBox, Point};

/// Endings of image files that are looked for, in any case.
const ENDINGS: [&str; 4] = ["jpg", "jpeg", "png", "bmp"];

/// What an annotation file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Annotation {
    /// Name of the image file.
    pub filename: String,
    /// Width and height; never to be trusted, 0 in many files.
    pub size: [u32; 2],
    /// Objects with the names of their classes, and the points clicked for them.
    pub objects: Vec<(String, Object, Vec<Point>)>,
    /// Objects that were mended or left out, in words.
    pub notes: Vec<String>,
}

/// A data set with what had to be mended while it was read.
#[derive(Clone, Debug)]
pub struct Read {
    /// The data set; sizes are those of the image files.
    pub dataset: Dataset,
    /// What was mended or left out, in words that begin with the file.
    pub notes: Vec<String>,
}

/// Reads the images of a split below a folder in VOC's layout. Classes are sorted by name.
///
/// # Errors
/// [`FormatError`]: a missing list, an annotation that is no XML of this form, an image that is not there or cannot be measured.
pub fn read(root: &Path, split: &str) -> Result<Read, FormatError> {
    let list = root.join("ImageSets/Main").join(format!("{split}.txt"));
    let images = images_in(&root.join("JPEGImages"))?;
    let mut notes = Vec::new();
    let mut read = Vec::new();
    for (number, line) in files::read_text(&list)?.lines().enumerate() {
        // Lists of one class have `-1`, `0` or `1` behind the name.
        let Some(id) = line.split_whitespace().next() else { continue };
        let path = root.join("Annotations").join(format!("{id}.xml"));
        let annotation = read_annotation(&path)?;
        let file = images.get(&id.to_lowercase()).cloned().ok_or_else(|| {
            let folder = root.join("JPEGImages");
            let problem = format!("no image `{id}` in {}; expected {}", folder.display(), ENDINGS.join(", "));
            FormatError::at(&list, format!("line {}", number + 1), problem)
        })?;
        let (width, height) = image::image_dimensions(&file).map_err(|error| {
            FormatError::at(&file, "header", format!("{error}; expected a JPEG or PNG image"))
        })?;
        notes.extend(annotation.notes.iter().map(|note| format!("{}: {note}", path.display())));
        read.push((
            Picture { id: id.to_owned(), file, width, height, objects: Vec::new() },
            annotation.objects,
        ));
    }
    let names = read.iter().flat_map(|(_, objects)| objects.iter().map(|(name, ..)| name.clone()));
    let mut classes: Vec<String> = names.collect();
    classes.sort_unstable();
    classes.dedup();
    let place: HashMap<&str, usize> = classes.iter().enumerate().map(|(at, name)| (&**name, at)).collect();
    let finish = |(picture, objects): (Picture, Vec<(String, Object, Vec<Point>)>)| {
        let objects = objects.into_iter().map(|(name, object, _)| Object { class: place[&*name], ..object });
        let bounds = (f64::from(picture.width), f64::from(picture.height));
        let clipped = objects.map(|object| {
            let bbox = object.bbox.clipped(bounds.0, bounds.1);
            Object { bbox, area: bbox.area(), ..object }
        });
        let objects = clipped.filter(|object| object.area > 0.0).collect();
        Picture { objects, ..picture }
    };
    let pictures = read.into_iter().map(finish).collect();
    Ok(Read { dataset: Dataset { classes, pictures }, notes })
}

/// Image files of a folder by their lower-case stem.
fn images_in(folder: &Path) -> Result<HashMap<String, PathBuf>, FormatError> {
    let is_image = |path: &PathBuf| {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known))
    };
    let named = |name: PathBuf| Some((name.file_stem()?.to_str()?.to_lowercase(), folder.join(name)));
    Ok(files::names_in(folder)?.into_iter().filter(is_image).filter_map(named).collect())
}

/// Reads an annotation file. Boxes may be fractions; a reversed one is turned round, one without size left out; both are noted.
///
/// # Errors
/// [`FormatError`] with line and column: no XML, an object without a name, a box without its four numbers.
pub fn read_annotation(path: &Path) -> Result<Annotation, FormatError> {
    let text = files::read_text(path)?;
    let document = Document::parse(&text).map_err(|error| {
        let at = error.pos();
        FormatError::at(
            path,
            format!("line {} column {}", at.row, at.col),
            format!("{error}; expected VOC XML"),
        )
    })?;
    let root = document.root_element();
    let mut annotation = Annotation {
        filename: text_of(root, "filename").unwrap_or_default().to_owned(),
        size: child(root, "size").map_or([0; 2], |size| {
            ["width", "height"]
                .map(|name| text_of(size, name).and_then(|text| text.parse().ok()).unwrap_or(0))
        }),
        ..Annotation::default()
    };
    for object in root.children().filter(|node| node.has_tag_name("object")) {
        read_object(path, object, &mut annotation)?;
    }
    Ok(annotation)
}

fn read_object(path: &Path, node: Node<'_, '_>, annotation: &mut Annotation) -> Result<(), FormatError> {
    let at = |node: Node<'_, '_>| {
        let at = node.document().text_pos_at(node.range().start);
        format!("line {}", at.row)
    };
    let number = |of: Node<'_, '_>, name: &str| {
        let text = text_of(of, name).unwrap_or_default();
        text.parse::<f64>().ok().filter(|number| number.is_finite()).ok_or_else(|| {
            FormatError::at(path, at(of), format!("`{name}` is `{text}`; expected a number of pixels"))
        })
    };
    let name = text_of(node, "name").filter(|name| !name.is_empty());
    let name =
        name.ok_or_else(|| FormatError::at(path, at(node), "an object without a name; expected its class"))?;
    let bbox = child(node, "bndbox")
        .ok_or_else(|| FormatError::at(path, at(node), "an object without `bndbox`; expected one"))?;
    let [x0, y0, x1, y1] = ["xmin", "ymin", "xmax", "ymax"].map(|side| number(bbox, side));
    let (mut x, mut y) = ([x0?, x1?], [y0?, y1?]);
    if x[0] > x[1] || y[0] > y[1] {
        let note = format!("{}: the box of `{name}` is reversed; its ends were exchanged", at(bbox));
        annotation.notes.push(note);
        [&mut x, &mut y].into_iter().for_each(|ends| ends.sort_by(f64::total_cmp));
    }
    if x[0] == x[1] || y[0] == y[1] {
        annotation.notes.push(format!("{}: the box of `{name}` has no size; it was left out", at(bbox)));
        return Ok(());
    }
    let bbox = BoundingBox::new(x[0] - 1.0, y[0] - 1.0, x[1], y[1]);
    let flag = |name: &str| text_of(node, name).is_some_and(|text| text == "1");
    let (difficult, truncated) = (flag("difficult"), flag("truncated"));
    let mut points = Vec::new();
    for point in node.children().filter(|node| node.has_tag_name("point")) {
        points.push(Point { x: number(point, "x")?, y: number(point, "y")? });
    }
    let object = Object { difficult, truncated, ..Object::new(0, bbox) };
    annotation.objects.push((name.to_owned(), object, points));
    Ok(())
}

fn child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|child| child.has_tag_name(name))
}

fn text_of<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    child(node, name)?.text().map(str::trim)
}

/// Annotation of an image as VOC XML.
pub fn annotation_xml(picture: &Picture, classes: &[String]) -> String {
    let name = picture.file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut xml = format!(
        "<annotation>\n\t<filename>{}</filename>\n\t<size><width>{}</width><height>{}</height><depth>3</depth></size>\n",
        escaped(&name),
        picture.width,
        picture.height
    );
    for object in &picture.objects {
        let [x0, y0, x1, y1] = inclusive(&object.bbox);
        let _ = writeln!(
            xml,
            "\t<object>\n\t\t<name>{}</name>\n\t\t<pose>Unspecified</pose>\n\t\t<truncated>{}</truncated>\n\t\t<difficult>{}</difficult>\n\t\t<bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox>\n\t</object>",
            escaped(&classes[object.class]),
            u8::from(object.truncated),
            u8::from(object.difficult),
        );
    }
    xml.push_str("</annotation>\n");
    xml
}

/// VOC's whole numbers from 1, both ends included.
fn inclusive(bbox: &BoundingBox) -> [i64; 4] {
    [bbox.x0 + 1.0, bbox.y0 + 1.0, bbox.x1, bbox.y1].map(|side| side.round() as i64)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Writes detections as `comp4_det_SPLIT_CLASS.txt`, a file per class with `id score xmin ymin xmax ymax` per line.
///
/// # Errors
/// [`FormatError::File`].
pub fn write_detections(
    folder: &Path,
    split: &str,
    dataset: &Dataset,
    detections: &[Detection],
) -> Result<(), FormatError> {
    files::make_folder(folder)?;
    for (class, name) in dataset.classes.iter().enumerate() {
        let mut text = String::new();
        for detection in detections.iter().filter(|detection| detection.class == class) {
            let BoundingBox { x0, y0, x1, y1 } = detection.bbox;
            let id = &dataset.pictures[detection.picture].id;
            let _ =
                writeln!(text, "{id} {:.6} {:.2} {:.2} {x1:.2} {y1:.2}", detection.score, x0 + 1.0, y0 + 1.0);
        }
        files::write_atomic(&folder.join(format!("comp4_det_{split}_{name}.txt")), text.as_bytes())?;
    }
    Ok(())
}

/// Reads detections that [`write_detections`] or another program wrote for a split of a data set.
///
/// # Errors
/// [`FormatError`] with the line: not six parts, an image that the split lacks, a number that is none.
pub fn read_detections(folder: &Path, split: &str, dataset: &Dataset) -> Result<Vec<Detection>, FormatError> {
    let places: HashMap<&str, usize> =
        dataset.pictures.iter().enumerate().map(|(place, picture)| (&*picture.id, place)).collect();
    let mut detections = Vec::new();
    for (class, name) in dataset.classes.iter().enumerate() {
        let path = folder.join(format!("comp4_det_{split}_{name}.txt"));
        if !path.exists() {
            continue;
        }
        for (number, line) in files::read_text(&path)?.lines().enumerate() {
            let at = || format!("line {}", number + 1);
            let parts: Vec<&str> = line.split_whitespace().collect();
            let [id, numbers @ ..] = &parts[..] else { continue };
            let values: Vec<f64> = numbers.iter().filter_map(|text| text.parse().ok()).collect();
            let [score, x0, y0, x1, y1] = values[..] else {
                let problem = format!("`{line}`; expected `id score xmin ymin xmax ymax`");
                return Err(FormatError::at(&path, at(), problem));
            };
            let picture = *places.get(id).ok_or_else(|| {
                FormatError::at(
                    &path,
                    at(),
                    format!("image `{id}` is not in the split `{split}`; is it the right split?"),
                )
            })?;
            detections.push(Detection {
                picture,
                class,
                bbox: BoundingBox::new(x0 - 1.0, y0 - 1.0, x1, y1),
                score,
            });
        }
    }
    if detections.is_empty() {
        let problem = format!("no detections; expected files `comp4_det_{split}_CLASS.txt`");
        return Err(FormatError::at(folder, "folder", problem));
    }
    Ok(detections)
}
