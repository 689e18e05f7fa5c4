//! Pictures of the method at work: proposals and clicks, windows over the iterations, detections.

use std::path::Path;

use anyhow::{Context, Result};
use common::figure::{Figure, PALETTE, Picture};
use common::files;
use common::outcome::{Drawing, Outcome};
use image::imageops::FilterType;
use image::{Rgb, RgbImage, imageops};
use tch::Device;

use super::arms::Arm;
use super::design::Job;
use super::detectors;
use super::windows::{self, Windows, clicks_of};
use super::world::World;
use crate::draw::{cross, rectangle};
use crate::evaluate::Detection;
use crate::geometry::{BoundingBox, Point};
use crate::pipeline::read_image;

/// Pictures that are shown.
const SHOWN: usize = 3;
/// Longer side of a drawn picture, in pixels.
const SIDE: u32 = 192;
/// Proposals that are drawn.
const PROPOSALS: usize = 25;
/// Detections below this score are not drawn.
const LEAST_SCORE: f64 = 0.3;
/// Number of the licence CC BY 2.0 in COCO's list.
const CC_BY: u64 = 4;

/// An image that may be shown.
struct Shown {
    picture: usize,
    class: usize,
    address: String,
}

/// Draws the first images of the licence CC BY in which an object of a class fills between a twentieth and a half of the image.
///
/// # Errors
/// Unreadable images, diverged training.
pub(super) fn draw(world: &World, data: &Path, job: &Job, device: Device) -> Result<Outcome> {
    let arm = Arm::named(&job.arm);
    let windows = windows::of(world, job, &arm)?;
    let head = detectors::head(world, job, &windows, device)?;
    let config = detectors::head_config(job);
    let mut outcome = Outcome::default();
    let mut pictures = Vec::new();
    for Shown { picture, class, address } in shown(world, &data.join(&job.set.name).join("instances.json"))? {
        let of = &world.dataset.pictures[picture];
        let features = world.features.all_rows(picture);
        let size = [of.width, of.height];
        let mut found = head.detect(&features, &world.proposals[picture], picture, size, &config);
        found.retain(|detection| detection.class == class && detection.score >= LEAST_SCORE);
        let name = &world.dataset.classes[class];
        let view = View::of(&read_image(&of.file)?);
        let clicks = clicks_of(world, job, &arm, picture, class)?;
        pictures.push(view.proposals(world, picture, &clicks).named(&format!("{name}: proposals, click")));
        pictures.push(view.windows(&windows, picture, class, &clicks).named("windows, rounds 1 to last"));
        pictures.push(view.detections(&found).named(&format!("{} detected", found.len())));
        outcome.text.push(format!("{} ({name}): {address}, CC BY 2.0", of.id));
    }
    let figure = Figure::Pictures { title: "From a click to a detector".to_owned(), columns: 3, pictures };
    outcome.drawings = vec![Drawing { id: "pictures".to_owned(), caption: String::new(), figure }];
    Ok(outcome)
}

fn shown(world: &World, instances: &Path) -> Result<Vec<Shown>> {
    let wrong =
        || format!("{}: expected COCO's instances with `license` and `flickr_url`", instances.display());
    let json: serde_json::Value = serde_json::from_str(&files::read_text(instances)?).with_context(wrong)?;
    let mut shown = Vec::new();
    for image in json["images"].as_array().with_context(wrong)? {
        let stem = image["file_name"].as_str().and_then(|name| name.split('.').next()).unwrap_or_default();
        let place = world.dataset.picture(stem).filter(|_| image["license"].as_u64() == Some(CC_BY));
        let Some(picture) = place else { continue };
        let of = &world.dataset.pictures[picture];
        let area = f64::from(of.width) * f64::from(of.height);
        let fits = |share: f64| (0.05..=0.5).contains(&share);
        let object = of.objects.iter().find(|object| object.counts() && fits(object.bbox.area() / area));
        let Some(object) = object else { continue };
        let address = image["flickr_url"].as_str().with_context(wrong)?.to_owned();
        shown.push(Shown { picture, class: object.class, address });
        if shown.len() == SHOWN {
            break;
        }
    }
    Ok(shown)
}

/// An image made smaller, with the factor.
struct View {
    image: RgbImage,
    scale: f64,
}

fn colour(at: usize) -> Rgb<u8> {
    let colour = PALETTE[at % PALETTE.len()];
    Rgb([colour.0, colour.1, colour.2])
}

impl View {
    fn of(image: &RgbImage) -> Self {
        let scale = f64::from(SIDE) / f64::from(image.width().max(image.height()));
        let [width, height] =
            [image.width(), image.height()].map(|side| (f64::from(side) * scale).round() as u32);
        Self { image: imageops::resize(image, width.max(1), height.max(1), FilterType::CatmullRom), scale }
    }

    fn scaled(&self, bbox: &BoundingBox) -> BoundingBox {
        BoundingBox::new(
            bbox.x0 * self.scale,
            bbox.y0 * self.scale,
            bbox.x1 * self.scale,
            bbox.y1 * self.scale,
        )
    }

    fn with(&self, boxes: impl Iterator<Item = (BoundingBox, Rgb<u8>)>, clicks: &[Point]) -> Self {
        let mut image = self.image.clone();
        boxes.for_each(|(bbox, colour)| rectangle(&mut image, &self.scaled(&bbox), colour));
        for click in clicks {
            let at = Point { x: click.x * self.scale, y: click.y * self.scale };
            cross(&mut image, &at, Rgb([255, 255, 0]));
        }
        Self { image, scale: self.scale }
    }

    fn proposals(&self, world: &World, picture: usize, clicks: &[Point]) -> Self {
        let best = world.proposals[picture].iter().take(PROPOSALS);
        self.with(best.map(|proposal| (proposal.bbox, colour(6))), clicks)
    }

    fn windows(&self, windows: &Windows, picture: usize, class: usize, clicks: &[Point]) -> Self {
        let of = |iteration| Some((windows.of(iteration, picture, class)?, colour(iteration)));
        self.with((0..windows.iterations()).filter_map(of), clicks)
    }

    fn detections(&self, found: &[Detection]) -> Self {
        self.with(found.iter().enumerate().map(|(at, detection)| (detection.bbox, colour(at))), &[])
    }

    fn named(self, title: &str) -> Picture {
        let (width, height) = (self.image.width() as usize, self.image.height() as usize);
        Picture { title: title.to_owned(), width, height, pixels: self.image.into_raw() }
    }
}
