//! Choosing the next token from logits.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How tokens are drawn. Unlikely tokens are cut first by `top_k`, then `top_p`, then `min_p`, all with the
/// probabilities at temperature 1, as llama.cpp's default chain does; then the temperature applies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// 0 takes the most probable token.
    pub temperature: f32,
    /// Keeps this many tokens; 0 keeps all.
    pub top_k: usize,
    /// Keeps the most probable tokens that together reach this probability; 1 keeps all.
    pub top_p: f32,
    /// Keeps tokens with at least this share of the largest probability; 0 keeps all.
    pub min_p: f32,
    /// Seed of the ChaCha8 stream.
    pub seed: u64,
}

impl Sampling {
    /// Always the most probable token.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, top_k: 0, top_p: 1.0, min_p: 0.0, seed: 0 }
    }
}

/// Draws tokens, reusing its memory.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    random: ChaCha8Rng,
    /// (logit or probability, token).
    candidates: Vec<(f32, u32)>,
}

impl Sampler {
    /// A sampler at the beginning of its stream.
    pub fn new(sampling: Sampling) -> Self {
        Self { sampling, random: ChaCha8Rng::seed_from_u64(sampling.seed), candidates: Vec::new() }
    }

    /// The next token; of equally probable ones the lower id comes first.
    ///
    /// # Panics
    /// If there are no logits.
    pub fn next(&mut self, logits: &[f32]) -> u32 {
        if self.sampling.temperature <= 0.0 {
            return greedy(logits);
        }
        self.candidates.clear();
        self.candidates.extend(logits.iter().copied().zip(0..));
        self.keep_best();
        self.keep_probable();
        let temperature = self.sampling.temperature;
        let best = self.candidates[0].0;
        let weight = |logit: f32| f64::from((logit - best) / temperature).exp();
        let total: f64 = self.candidates.iter().map(|&(logit, _)| weight(logit)).sum();
        let mut left = self.random.random::<f64>() * total;
        let drawn = self.candidates.iter().find(|&&(logit, _)| {
            left -= weight(logit);
            left < 0.0
        });
        drawn.unwrap_or(&self.candidates[0]).1
    }

    /// Sorts the candidates and applies `top_k`.
    fn keep_best(&mut self) {
        let order = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        let keep = self.sampling.top_k;
        if keep > 0 && keep < self.candidates.len() {
            self.candidates.select_nth_unstable_by(keep - 1, order);
            self.candidates.truncate(keep);
        }
        self.candidates.sort_unstable_by(order);
    }

    /// Applies `top_p` and `min_p` to the sorted candidates; at least one stays.
    fn keep_probable(&mut self) {
        let best = self.candidates[0].0;
        let weight = |logit: f32| f64::from(logit - best).exp();
        if self.sampling.top_p < 1.0 {
            let total: f64 = self.candidates.iter().map(|&(logit, _)| weight(logit)).sum();
            let enough = f64::from(self.sampling.top_p) * total;
            let mut sum = 0.0;
            let reached = self.candidates.iter().position(|&(logit, _)| {
                sum += weight(logit);
                sum >= enough
            });
            self.candidates.truncate(reached.map_or(usize::MAX, |place| place + 1));
        }
        let least = f64::from(self.sampling.min_p);
        let kept = self.candidates.iter().take_while(|&&(logit, _)| weight(logit) >= least).count();
        self.candidates.truncate(kept.max(1));
    }
}

/// The first of the most probable tokens.
fn greedy(logits: &[f32]) -> u32 {
    (1..logits.len()).fold(0, |best, id| if logits[id] > logits[best] { id } else { best }) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 5] = [1.0, 3.0, -1.0, 3.0, 2.0];

    fn drawn(sampling: Sampling) -> [usize; 5] {
        let mut sampler = Sampler::new(sampling);
        let mut counts = [0; 5];
        (0..20_000).for_each(|_| counts[sampler.next(&LOGITS) as usize] += 1);
        counts
    }

    #[test]
    fn greedy_takes_the_first_of_the_largest() {
        assert_eq!(Sampler::new(Sampling::greedy()).next(&LOGITS), 1);
    }

    #[test]
    fn tokens_come_as_often_as_the_softmax_says() {
        let sampling = Sampling { temperature: 0.5, seed: 3, ..Sampling::greedy() };
        let total: f64 = LOGITS.iter().map(|l| f64::from(l * 2.0).exp()).sum();
        for (count, logit) in drawn(sampling).into_iter().zip(LOGITS) {
            let expected = f64::from(logit * 2.0).exp() / total;
            let error = (expected * (1.0 - expected) / 20_000.0).sqrt();
            assert!((count as f64 / 20_000.0 - expected).abs() < 4.0 * error + 1e-9);
        }
    }

    #[test]
    fn cuts_keep_the_tokens_that_they_should() {
        let all = Sampling { temperature: 5.0, ..Sampling::greedy() };
        let kept = |sampling| drawn(sampling).map(|count| count > 0);
        assert_eq!(kept(all), [true; 5]);
        assert_eq!(kept(Sampling { top_k: 3, ..all }), [false, true, false, true, true]);
        assert_eq!(kept(Sampling { top_k: 1, ..all }), [false, true, false, false, false]);
        // Probabilities: 0.0535, 0.3951, 0.0072, 0.3951, 0.1454 (hand calculator, rounded).
        assert_eq!(kept(Sampling { top_p: 0.79, ..all }), [false, true, false, true, false]);
        assert_eq!(kept(Sampling { top_p: 0.80, ..all }), [false, true, false, true, true]);
        assert_eq!(kept(Sampling { min_p: 0.3, ..all }), [false, true, false, true, true]);
        assert_eq!(drawn(all), drawn(all));
        assert_ne!(drawn(all), drawn(Sampling { seed: 1, ..all }));
    }
}
