//! Scenes as images.

use rand::{Rng, RngCore};
use rand_chacha::ChaCha8Rng;

use super::scene::{Object, Scene, Size};
use super::shape;

/// How scenes are drawn.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// Width and height of the image, a multiple of three.
    pub side_px: usize,
    /// Largest shift of an object from the middle of its cell, as a share of the cell.
    pub jitter: f32,
    /// Standard deviation of the noise of each value, of 255.
    pub noise: f32,
}

/// Radius of a large object as a share of its cell.
const LARGE: f32 = 0.44;
/// Radius of a small object as a share of its cell.
const SMALL: f32 = 0.28;
/// Points per pixel and axis that decide how much of it an object covers.
const SAMPLES: usize = 3;

/// The scene's image: three planes of red, green and blue, values 0 to 255. Place, brightness and noise are drawn from `rng`.
pub fn draw(scene: &Scene, look: Look, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let side = look.side_px;
    let ground: [f32; 3] = std::array::from_fn(|_| 122.0 + rng.random_range(-10.0..10.0_f32));
    let mut planes: Vec<f32> = ground.into_iter().flat_map(|value| vec![value; side * side]).collect();
    for object in &scene.objects {
        paint(&mut planes, object, look, rng);
    }
    let mut chance = vec![0; 2 * planes.len()];
    rng.fill_bytes(&mut chance);
    let noisy =
        |(value, bytes): (f32, &[u8])| (value + look.noise * standard(bytes) + 0.5).clamp(0.0, 255.0) as u8;
    planes.into_iter().zip(chance.chunks_exact(2)).map(noisy).collect()
}

fn paint(planes: &mut [f32], object: &Object, look: Look, rng: &mut ChaCha8Rng) {
    let side = look.side_px;
    let cell = side as f32 / 3.0;
    let radius = cell * if object.size == Size::Large { LARGE } else { SMALL };
    let shift = |rng: &mut ChaCha8Rng| look.jitter * cell * rng.random_range(-1.0..1.0_f32);
    let x0 = (f32::from(object.cell.column()) + 0.5) * cell + shift(rng);
    let y0 = (f32::from(object.cell.row()) + 0.5) * cell + shift(rng);
    let brightness = rng.random_range(0.88..1.08_f32);
    let range = |middle: f32| {
        let low = (middle - radius * 1.15).floor().max(0.0) as usize;
        low..((middle + radius * 1.15).ceil() as usize).min(side)
    };
    for y in range(y0) {
        for x in range(x0) {
            let covered = coverage(object, (x as f32 - x0) / radius, (y as f32 - y0) / radius, 1.0 / radius);
            for (plane, value) in object.colour.rgb().into_iter().enumerate() {
                let at = (plane * side + y) * side + x;
                planes[at] += (value * brightness - planes[at]) * covered;
            }
        }
    }
}

/// Share of the pixel with this corner and width, in units of the radius, that the object covers.
fn coverage(object: &Object, left: f32, top: f32, width: f32) -> f32 {
    let at = |start: f32, step: usize| start + width * (step as f32 + 0.5) / SAMPLES as f32;
    let inside = (0..SAMPLES * SAMPLES)
        .filter(|i| shape::contains(object.shape, at(left, i % SAMPLES), at(top, i / SAMPLES)))
        .count();
    inside as f32 / (SAMPLES * SAMPLES) as f32
}

/// Zero mean and unit variance from two uniform bytes: their centred sum, a triangle.
fn standard(bytes: &[u8]) -> f32 {
    // Each byte has the variance (256² − 1) / 12.
    (f32::from(bytes[0]) + f32::from(bytes[1]) - 255.0) / 104.5
}
