//! Images with objects: what all formats are read into.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::geometry::BoundingBox;

/// An object in an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Place of its class in [`Dataset::classes`].
    pub class: usize,
    /// Where.
    pub bbox: BoundingBox,
    /// Area in square pixels: of its outline where the format has one, else of the box.
    pub area: f64,
    /// Marked as hard to recognise: neither wanted nor wrong.
    pub difficult: bool,
    /// Cut off by the border or by other objects.
    pub truncated: bool,
    /// A region with many objects (COCO): neither wanted nor wrong.
    pub crowd: bool,
}

impl Object {
    /// An object of a class that counts.
    pub fn new(class: usize, bbox: BoundingBox) -> Self {
        Self { class, bbox, area: bbox.area(), difficult: false, truncated: false, crowd: false }
    }

    /// Whether a detector is expected to find it.
    pub fn counts(&self) -> bool {
        !self.difficult && !self.crowd
    }
}

/// An image of a data set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Picture {
    /// Its name in the format: the stem of the file in VOC, the number in COCO.
    pub id: String,
    /// The image file.
    pub file: PathBuf,
    /// Width in pixels; 0 where the annotation does not say and the file was not read.
    pub width: u32,
    /// Height in pixels, likewise.
    pub height: u32,
    /// Its objects.
    pub objects: Vec<Object>,
}

impl Picture {
    /// Whether it holds an object of a class that counts.
    pub fn has(&self, class: usize) -> bool {
        self.objects.iter().any(|object| object.class == class && object.counts())
    }

    /// Classes of its objects that count, growing.
    pub fn classes(&self) -> Vec<usize> {
        let classes: BTreeSet<usize> =
            self.objects.iter().filter(|object| object.counts()).map(|object| object.class).collect();
        classes.into_iter().collect()
    }
}

/// Images and the classes of their objects.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataset {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Images in the order of the list.
    pub pictures: Vec<Picture>,
}

impl Dataset {
    /// The same images with the classes only that at least `least` of them hold; other objects are left out.
    pub fn restricted(mut self, least: usize) -> Self {
        let images = |class: usize| self.pictures.iter().filter(|picture| picture.has(class)).count();
        let kept = (0..self.classes.len()).filter(|&class| images(class) >= least);
        let names: Vec<String> = kept.map(|class| self.classes[class].clone()).collect();
        self.name_classes(&names);
        self
    }

    /// Numbers the classes as in `names`; objects of other classes are left out.
    pub fn name_classes(&mut self, names: &[String]) {
        let classes = std::mem::replace(&mut self.classes, names.to_vec());
        let place = |class: usize| names.iter().position(|name| *name == classes[class]);
        for object in self.pictures.iter_mut().map(|picture| &mut picture.objects) {
            object.retain_mut(|object| place(object.class).map(|class| object.class = class).is_some());
        }
    }

    /// Place of a class by its name.
    pub fn class(&self, name: &str) -> Option<usize> {
        self.classes.iter().position(|class| class == name)
    }

    /// Place of an image by its id.
    pub fn picture(&self, id: &str) -> Option<usize> {
        self.pictures.iter().position(|picture| picture.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_classes_and_their_objects_are_left_out() {
        let object = |class| Object::new(class, BoundingBox::new(0.0, 0.0, 4.0, 4.0));
        let picture = |classes: &[usize]| Picture {
            objects: classes.iter().map(|&class| object(class)).collect(),
            ..Picture::default()
        };
        let classes = ["cat", "dog", "owl"].map(str::to_owned).into();
        let dataset = Dataset { classes, pictures: vec![picture(&[0, 2]), picture(&[2, 1]), picture(&[0])] };
        let kept = dataset.restricted(2);
        assert_eq!(kept.classes, ["cat", "owl"]);
        let left: Vec<Vec<usize>> = kept.pictures.iter().map(Picture::classes).collect();
        assert_eq!(left, [vec![0, 1], vec![1], vec![0]]);
    }
}
