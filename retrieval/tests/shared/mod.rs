//! Token vectors like those of real passages: documents share topics, tokens gather around common directions, queries ask
//! for what some document says.

#![allow(dead_code, reason = "every test and example uses its part")]

pub(crate) mod indexes;

use common::seed;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use retrieval::vectors::TokenVectors;

/// Length of the noise that is added to a direction: a token has a cosine of about 0.82 to it.
const SPREAD: f32 = 0.7;
/// Directions of one topic.
const TOPIC: usize = 64;

/// Directions that all texts share.
pub(crate) struct World {
    width: usize,
    run_seed: u64,
    directions: Vec<f32>,
}

impl World {
    pub(crate) fn new(run_seed: u64, directions: usize, width: usize) -> Self {
        let mut rng = seed::rng(run_seed, "directions", 0);
        let rows = (0..directions).flat_map(|_| near(&mut rng, None, width)).collect();
        Self { width, run_seed, directions: rows }
    }

    fn direction(&self, index: usize) -> &[f32] {
        let count = self.directions.len() / self.width;
        &self.directions[index % count * self.width..][..self.width]
    }

    /// `count` texts of `tokens` tokens; seven of ten are of the text's topic, the others of frequent directions.
    pub(crate) fn texts(&self, stream: &str, count: usize, tokens: usize) -> TokenVectors {
        let mut rng = seed::rng(self.run_seed, stream, 0);
        let mut texts = TokenVectors::new(self.width);
        for _ in 0..count {
            let topic = rng.random_range(0..1 << 20) * (TOPIC / 2);
            let mut rows = Vec::with_capacity(tokens * self.width);
            for _ in 0..tokens {
                let direction = match rng.random_range(0..10) {
                    // Squared, so that some are frequent.
                    0..3 => (rng.random::<f32>().powi(2) * 256.0) as usize,
                    _ => topic + rng.random_range(0..TOPIC),
                };
                rows.extend(near(&mut rng, Some(self.direction(direction)), self.width));
            }
            texts.push(&rows).expect("whole rows");
        }
        texts
    }

    /// `count` queries of `tokens` tokens, each near a token of one of `texts`.
    pub(crate) fn queries(&self, texts: &TokenVectors, count: usize, tokens: usize) -> TokenVectors {
        let mut rng = seed::rng(self.run_seed, "queries", 0);
        let mut queries = TokenVectors::new(self.width);
        for _ in 0..count {
            let text = texts.text(rng.random_range(0..texts.len()));
            let mut rows = Vec::with_capacity(tokens * self.width);
            for _ in 0..tokens {
                let token = rng.random_range(0..text.len() / self.width);
                rows.extend(near(&mut rng, Some(&text[token * self.width..][..self.width]), self.width));
            }
            queries.push(&rows).expect("whole rows");
        }
        queries
    }
}

/// Texts of a small world.
pub(crate) fn clustered(
    run_seed: u64,
    stream: &str,
    count: usize,
    tokens: usize,
    width: usize,
) -> TokenVectors {
    World::new(run_seed, 512, width).texts(stream, count, tokens)
}

/// A unit vector near `centre`, or a random one.
fn near(rng: &mut ChaCha8Rng, centre: Option<&[f32]>, width: usize) -> Vec<f32> {
    // The sum of four uniform numbers of variance 1/12 each, scaled to variance 1/width.
    let scale = (3.0 / width as f32).sqrt();
    let mut noise = || scale * ((0..4).map(|_| rng.random::<f32>()).sum::<f32>() - 2.0);
    let raw: Vec<f32> = match centre {
        Some(centre) => centre.iter().map(|c| c + SPREAD * noise()).collect(),
        None => (0..width).map(|_| noise()).collect(),
    };
    let length = raw.iter().map(|x| x * x).sum::<f32>().sqrt();
    raw.iter().map(|x| x / length).collect()
}
