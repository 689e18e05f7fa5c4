//! Clicks that nobody made: centres of objects with errors that grow with the object.

use common::seed;
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, Object};
use crate::formats::clicks::Click;

/// Errors of a click per axis, `N(0, (s √A + s₀)²)` with A the area of the object.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorModel {
    /// Error as a share of the object's side, s. Ours: 0.09; the published error study's numbers are not known to us.
    pub relative: f64,
    /// Error on the smallest object in pixels, s₀. Ours: 1.
    pub least_px: f64,
    /// Share of clicks that are anywhere in the box. Ours: 0.
    pub outliers: f64,
}

/// Which object of a class is clicked where an image has several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Instance {
    /// Each as likely.
    Uniform,
    /// Likely as its area is large.
    ByArea,
}

impl ErrorModel {
    /// s = 0.09, s₀ = 1 px, no outliers.
    pub const fn usual() -> Self {
        Self { relative: 0.09, least_px: 1.0, outliers: 0.0 }
    }

    /// Error on an object of an area, in pixels.
    pub fn error(&self, area: f64, rng: &mut impl Rng) -> [f64; 2] {
        let sigma = self.relative * area.sqrt() + self.least_px;
        // Box and Muller: two independent normal numbers from two uniform ones.
        let (radius, angle) =
            ((-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt(), std::f64::consts::TAU * rng.random::<f64>());
        [sigma * radius * angle.cos(), sigma * radius * angle.sin()]
    }

    /// A click on an object, inside the image.
    pub fn click(&self, object: &Object, width: u32, height: u32, rng: &mut impl Rng) -> [f64; 2] {
        let bbox = &object.bbox;
        let (outlier, [dx, dy]) = (rng.random::<f64>() < self.outliers, self.error(bbox.area(), rng));
        let anywhere = [rng.random::<f64>(), rng.random::<f64>()];
        let [x, y] = match outlier {
            true => [bbox.x0 + anywhere[0] * bbox.width(), bbox.y0 + anywhere[1] * bbox.height()],
            false => [bbox.centre().x + dx, bbox.centre().y + dy],
        };
        [x.clamp(0.0, f64::from(width)), y.clamp(0.0, f64::from(height))]
    }
}

/// One click per annotator for each class of each image, on one of its objects that count. Annotators choose their object
/// independently. The clicks of an image depend on the seed, its id and the class, not on what else is in the set.
pub fn clicks(
    dataset: &Dataset,
    model: &ErrorModel,
    instance: Instance,
    annotators: u32,
    run_seed: u64,
) -> Vec<Click> {
    let mut clicks = Vec::new();
    for picture in &dataset.pictures {
        for class in picture.classes() {
            let objects: Vec<&Object> =
                picture.objects.iter().filter(|object| object.class == class && object.counts()).collect();
            for annotator in 0..annotators {
                let stream = format!("click/{}/{}", picture.id, dataset.classes[class]);
                let mut rng = seed::rng(run_seed, &stream, u64::from(annotator));
                let object = objects[chosen(&objects, instance, &mut rng)];
                let [x, y] = model.click(object, picture.width, picture.height, &mut rng);
                let (image, class) = (picture.id.clone(), dataset.classes[class].clone());
                clicks.push(Click { image, class, annotator, x, y, time_ms: None });
            }
        }
    }
    clicks
}

fn chosen(objects: &[&Object], instance: Instance, rng: &mut impl Rng) -> usize {
    let weights: Vec<f64> = match instance {
        Instance::Uniform => vec![1.0; objects.len()],
        Instance::ByArea => objects.iter().map(|object| object.bbox.area()).collect(),
    };
    let mut left = rng.random::<f64>() * weights.iter().sum::<f64>();
    let passes = |weight: &f64| {
        left -= weight;
        left < 0.0
    };
    weights.iter().position(passes).unwrap_or(objects.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Picture;
    use crate::geometry::BoundingBox;

    fn one_object(bbox: BoundingBox) -> Dataset {
        let picture = Picture {
            id: "a".into(),
            width: 400,
            height: 300,
            objects: vec![Object::new(0, bbox)],
            ..Picture::default()
        };
        Dataset { classes: vec!["cat".into()], pictures: vec![picture] }
    }

    #[test]
    fn the_mean_error_grows_with_the_object() {
        let mean = |side: f64| {
            let object = Object::new(0, BoundingBox::new(100.0, 50.0, 100.0 + side, 50.0 + side));
            let mut rng = seed::rng(3, "error", 0);
            let errors = (0..4000).map(|_| {
                let [x, y] = ErrorModel::usual().click(&object, 400, 300, &mut rng);
                object.bbox.centre().distance(&crate::geometry::Point { x, y })
            });
            errors.sum::<f64>() / 4000.0
        };
        // Rayleigh: σ √(π / 2).
        for side in [20.0, 100.0] {
            let expected = (0.09 * side + 1.0) * (std::f64::consts::PI / 2.0).sqrt();
            assert!((mean(side) / expected - 1.0).abs() < 0.05, "{side}: {} {expected}", mean(side));
        }
    }

    #[test]
    fn clicks_lie_in_the_image_and_depend_on_the_seed() {
        let dataset = one_object(BoundingBox::new(380.0, 0.0, 400.0, 300.0));
        let model = ErrorModel { relative: 0.5, ..ErrorModel::usual() };
        let all = |seed| clicks(&dataset, &model, Instance::ByArea, 2, seed);
        for click in (0..50).flat_map(all) {
            assert!((0.0..=400.0).contains(&click.x) && (0.0..=300.0).contains(&click.y));
        }
        assert_eq!(all(1), all(1));
        assert_ne!(all(1), all(2));
        assert_eq!(all(1).len(), 2);
    }
}
