//! `log Z` and its gradient by forward and backward sums that are scaled at each token (Rabiner 1989, section V.A):
//! products and one logarithm per token, where the log-space recursion takes an exponential and a logarithm per tag.

use super::{Loss, Scores};

/// Most tags that [`log_z`] takes.
pub(super) const MOST_TAGS: usize = 64;

/// `log Z` with its gradients, for tame scores ([`Scores::is_tame`]) of at most [`MOST_TAGS`] tags.
pub(super) fn log_z(scores: &Scores, emissions: &[f64]) -> Loss {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        #[expect(
            unsafe_code,
            reason = "a function for a processor's feature is called after asking for it"
        )]
        // SAFETY: the processor has AVX2.
        return unsafe { with_avx2(scores, emissions) };
    }
    for_tags(scores, emissions)
}

/// The same operations in the same order, four numbers at a time.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2(scores: &Scores, emissions: &[f64]) -> Loss {
    for_tags(scores, emissions)
}

#[inline(always)]
fn for_tags(scores: &Scores, emissions: &[f64]) -> Loss {
    match scores.tags() {
        0..=4 => padded::<4>(scores, emissions),
        5..=8 => padded::<8>(scores, emissions),
        9..=12 => padded::<12>(scores, emissions),
        13..=16 => padded::<16>(scores, emissions),
        17..=24 => padded::<24>(scores, emissions),
        25..=40 => padded::<40>(scores, emissions),
        _ => padded::<MOST_TAGS>(scores, emissions),
    }
}

/// The tags filled up with impossible ones to a number that the compiler knows: it unrolls the inner loops.
#[inline(always)]
fn padded<const TAGS: usize>(scores: &Scores, emissions: &[f64]) -> Loss {
    let tags = scores.tags();
    let tokens = emissions.len() / tags;
    let mut loss = Loss { value: 0.0, emissions: vec![0.0; emissions.len()], scores: Scores::zeros(tags) };
    if tokens == 0 {
        return loss;
    }
    let (starts, start_shift) = exponentials::<TAGS>(&scores.start);
    let (ends, end_shift) = exponentials::<TAGS>(&scores.end);
    let mut factors = [[0.0; TAGS]; TAGS];
    for (row, own) in factors.iter_mut().zip(scores.exp_transitions.chunks(tags)) {
        row[..tags].copy_from_slice(own);
    }
    loss.value = start_shift + end_shift + (tokens - 1) as f64 * scores.shift;
    let mut emitted = Vec::with_capacity(tokens);
    let mut alphas: Vec<[f64; TAGS]> = Vec::with_capacity(tokens);
    let mut inverses = Vec::with_capacity(tokens);
    for scores in emissions.chunks(tags) {
        let (emission, shift) = exponentials::<TAGS>(scores);
        let mut alpha = starts;
        if let Some(before) = alphas.last() {
            alpha = [0.0; TAGS];
            for (row, weight) in factors.iter().zip(before) {
                (0..TAGS).for_each(|j| alpha[j] += weight * row[j]);
            }
        }
        (0..TAGS).for_each(|j| alpha[j] *= emission[j]);
        let scale: f64 = alpha.iter().sum();
        let inverse = 1.0 / scale;
        alpha.iter_mut().for_each(|sum| *sum *= inverse);
        loss.value += shift + scale.ln();
        inverses.push(inverse);
        emitted.push(emission);
        alphas.push(alpha);
    }
    let rest: f64 = (0..TAGS).map(|j| alphas[tokens - 1][j] * ends[j]).sum();
    loss.value += rest.ln();
    let mut beta = ends.map(|end| end / rest);
    let mut totals = [[0.0; TAGS]; TAGS];
    for t in (0..tokens).rev() {
        let marginals = &mut loss.emissions[t * tags..(t + 1) * tags];
        (0..tags).for_each(|j| marginals[j] = alphas[t][j] * beta[j]);
        if t == 0 {
            break;
        }
        let mut ahead = [0.0; TAGS];
        (0..TAGS).for_each(|j| ahead[j] = emitted[t][j] * beta[j] * inverses[t]);
        for k in 0..TAGS {
            let alpha = alphas[t - 1][k];
            (0..TAGS).for_each(|j| totals[k][j] += alpha * ahead[j]);
            beta[k] = dot(&factors[k], &ahead);
        }
    }
    loss.scores.start.copy_from_slice(&loss.emissions[..tags]);
    loss.scores.end.copy_from_slice(&loss.emissions[(tokens - 1) * tags..]);
    // Each total lacks the factor that its transitions share.
    let totals = totals.iter().flat_map(|row| &row[..tags]).zip(&scores.exp_transitions);
    loss.scores.transitions.iter_mut().zip(totals).for_each(|(out, (total, factor))| *out = total * factor);
    loss
}

/// Sum of products in four interleaved sums, which the processor can overlap.
#[inline(always)]
fn dot<const N: usize>(a: &[f64; N], b: &[f64; N]) -> f64 {
    let mut sums = [0.0; 4];
    for (a, b) in a.chunks_exact(4).zip(b.chunks_exact(4)) {
        (0..4).for_each(|i| sums[i] += a[i] * b[i]);
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3])
}

/// `exp(x − max x)`, filled up with zeros, and the maximum.
#[inline(always)]
fn exponentials<const N: usize>(values: &[f64]) -> ([f64; N], f64) {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut out = [0.0; N];
    out.iter_mut().zip(values).for_each(|(out, value)| *out = (value - largest).exp());
    (out, largest)
}
