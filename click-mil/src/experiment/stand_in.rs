//! What stands in for missing data in the quick preset: drawn shapes in VOC's layout, and a network that nobody trained.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use common::nn::checkpoint::{named, save};
use common::nn::vision::{Trunk, TrunkName};
use common::{files, seed};
use image::{ImageFormat, Rgb, RgbImage};
use rand::Rng;
use tch::Device;
use tch::nn::VarStore;

use super::design::{MIX, TEST, TRAINING};
use super::work::weights;
use crate::dataset::{Object, Picture};
use crate::draw::rectangle;
use crate::formats::voc::annotation_xml;
use crate::geometry::BoundingBox;

/// Name and colour of the shapes.
const SHAPES: [(&str, [u8; 3]); 2] = [("bar", [40, 190, 60]), ("square", [220, 40, 40])];
/// Sides of the images.
const SIZE: [u32; 2] = [120, 90];

/// Writes the stand-ins below `root`: 48 training and 24 test images, and weights of a fixed seed.
///
/// # Errors
/// An unwritable folder.
pub fn write(root: &Path) -> Result<()> {
    let folder = root.join(MIX);
    for part in ["Annotations", "ImageSets/Main", "JPEGImages"] {
        files::make_folder(&folder.join(part))?;
    }
    let mut rng = seed::rng(1, "stand-in", 0);
    for (split, n) in [(TRAINING, 48), (TEST, 24)] {
        let mut list = String::new();
        for at in 0..n {
            let id = format!("{split}-{at:03}");
            let (image, picture) = drawn(&id, at % 2, &mut rng);
            let file = folder.join(format!("JPEGImages/{id}.png"));
            let mut png = std::io::Cursor::new(Vec::new());
            image.write_to(&mut png, ImageFormat::Png)?;
            files::write_atomic(&file, png.get_ref())?;
            let classes: Vec<String> = SHAPES.iter().map(|(name, _)| (*name).to_owned()).collect();
            let xml = annotation_xml(&picture, &classes);
            files::write_atomic(&folder.join(format!("Annotations/{id}.xml")), xml.as_bytes())?;
            let _ = writeln!(list, "{id}");
        }
        files::write_atomic(&folder.join(format!("ImageSets/Main/{split}.txt")), list.as_bytes())?;
    }
    let path = weights(root);
    files::make_folder(path.parent().unwrap_or(root))?;
    tch::manual_seed(3);
    let store = VarStore::new(Device::Cpu);
    let _trunk = Trunk::new(&store.root(), TrunkName::SqueezeNet);
    Ok(save(&named(&store), &path)?)
}

/// Noise with one shape of a class, filled by its outlines.
fn drawn(id: &str, class: usize, rng: &mut impl Rng) -> (RgbImage, Picture) {
    let [width, height] = SIZE;
    let mut image = RgbImage::from_fn(width, height, |_, _| Rgb([110 + rng.random_range(0..12_u8); 3]));
    let [w, h] = [[66, 24], [40, 40]][class];
    let (x, y) = (rng.random_range(3..width - w - 3), rng.random_range(3..height - h - 3));
    let [x0, y0, x1, y1] = [x, y, x + w, y + h].map(f64::from);
    for inset in (0..w.min(h) / 2).step_by(2).map(f64::from) {
        let bbox = BoundingBox::new(x0 + inset, y0 + inset, x1 - inset, y1 - inset);
        rectangle(&mut image, &bbox, Rgb(SHAPES[class].1));
    }
    let objects = vec![Object::new(class, BoundingBox::new(x0, y0, x1, y1))];
    let picture = Picture { id: id.to_owned(), file: format!("{id}.png").into(), width, height, objects };
    (image, picture)
}
