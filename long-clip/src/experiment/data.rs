//! Batches of the world for training.

use common::seed;
use rand::Rng;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::arm::{BASE_LENGTH, LENGTH};
use crate::world::{self, Caption, Gallery, Look, Scene, SceneSizes, Summary};

/// Longest short caption, start and end included: its end stands on the last row that stretching leaves alone.
pub const SHORT_TOKENS: usize = 21;

/// What scenes there are and how they are shown and told.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct World {
    /// Objects of a scene.
    pub sizes: SceneSizes,
    /// Drawing.
    pub look: Look,
    /// Relations are added to a long caption until it has so many tokens, where the scene has enough of them.
    pub fewest_tokens: usize,
    /// Standard deviation of the noise of images to be classified, of 255: more than in training, so that classes are not trivial.
    pub class_noise: f32,
}

/// Images and texts of one step.
#[derive(Clone, Debug)]
pub struct StepData {
    /// Pixels, image by image.
    pub images: Vec<u8>,
    /// Long texts.
    pub long: Vec<Vec<i64>>,
    /// Their first sentences.
    pub first: Vec<Vec<i64>>,
    /// Random sentences of them.
    pub random: Vec<Vec<i64>>,
}

impl World {
    /// `n` scenes of a stream drawn one by one.
    pub fn gallery(&self, n: usize, run_seed: u64, stream: &str) -> Gallery {
        world::scenes(n, self.sizes, self.look, self.fewest_tokens, run_seed, stream)
    }

    /// Families of similar scenes.
    pub fn families(&self, n: usize, members: usize, run_seed: u64, stream: &str) -> Gallery {
        world::families((n, members), self.sizes, self.look, self.fewest_tokens, run_seed, stream)
    }

    /// A step of the base's training: a short caption for each scene, for a share `tail` of them a longer one. Scenes are the
    /// same for every share.
    pub fn base_step(&self, batch: usize, tail: f64, run_seed: u64, step: usize) -> (Vec<u8>, Vec<Vec<i64>>) {
        let mut rng = seed::rng(run_seed, "base", step as u64);
        let mut chance = seed::rng(run_seed, "tail", step as u64);
        let (mut images, mut texts) = (Vec::new(), Vec::new());
        for _ in 0..batch {
            let scene = Scene::random(self.sizes, &mut rng);
            let summary = Summary::random(&scene, &mut rng);
            images.extend(world::draw(&scene, self.look, &mut rng));
            let text = if chance.random_bool(tail) {
                let long = Caption::long(&scene, summary, self.fewest_tokens, &mut chance);
                long.tail(BASE_LENGTH, &mut chance)
            } else {
                Caption::short(summary)
            };
            texts.push(world::ids(&text, BASE_LENGTH));
        }
        (images, texts)
    }

    /// A step of fine-tuning, the same for every arm.
    pub fn tune_step(&self, batch: usize, run_seed: u64, step: usize) -> StepData {
        let mut rng = seed::rng(run_seed, "tune", step as u64);
        let mut data = StepData { images: vec![], long: vec![], first: vec![], random: vec![] };
        for _ in 0..batch {
            let scene = Scene::random(self.sizes, &mut rng);
            let summary = Summary::random(&scene, &mut rng);
            data.images.extend(world::draw(&scene, self.look, &mut rng));
            let long = Caption::long(&scene, summary.clone(), self.fewest_tokens, &mut rng);
            data.random.push(world::ids(&long.subset(SHORT_TOKENS, &mut rng), LENGTH));
            data.first.push(world::ids(&Caption::short(summary), LENGTH));
            data.long.push(world::ids(&long, LENGTH));
        }
        data
    }
}

/// Mean and deviation of pixel values of 255. Ours: the world's, about.
const PIXELS: (f64, f64) = (122.0, 45.0);

/// `[n, 3, side, side]`, f32, centred and scaled, of images one after another.
pub fn to_tensor(pixels: &[u8], side_px: usize, device: Device) -> Tensor {
    let side = side_px as i64;
    let bytes = Tensor::from_slice(pixels).view([-1, 3, side, side]).to_device(device);
    (bytes.to_kind(Kind::Float) - PIXELS.0) / PIXELS.1
}
