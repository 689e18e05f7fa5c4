//! Calibration by relative entropy: the clip whose histogram survives quantization best.

use serde::{Deserialize, Serialize};

/// What happens to bins that are empty on one side only.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Smoothing {
    /// Bins empty in P count nothing; a bin of P that is empty in Q makes the divergence infinite.
    Skip,
    /// This many counts are put on each empty bin and taken in equal parts from the others, in P and in Q before they
    /// are normalised; 10⁻⁴ in one open implementation. A histogram whose bins cannot give that much has no divergence.
    Move(f64),
}

/// Number of first bins `i` (from `levels` on) with the least divergence, and that divergence; the least `i` of equals.
///
/// The clip is `(i + ½) · w` with the bin width `w`, or the end of the histogram where all bins are kept.
/// `levels` is 128 for magnitudes of signed 8-bit codes, 256 for unsigned ones. None when the histogram has fewer
/// bins than levels or no finite divergence.
///
/// ```
/// use quantization::calibration::{Smoothing, entropy_bins};
/// // two levels: P = [4, 3] against Q = [4, 2] for 2 bins; [4, 2, 1] against [4, 1, 1]; [4, 2, 0, 1] against [3, 3, 0, 1]
/// let (bins, divergence) = entropy_bins(&[4, 2, 0, 1], 2, Smoothing::Skip).unwrap();
/// let two_bins = 4.0 / 7.0 * (6.0_f64 / 7.0).ln() + 3.0 / 7.0 * (9.0_f64 / 7.0).ln(); // 0.0196
/// assert_eq!(bins, 2);
/// assert!((divergence - two_bins).abs() < 1e-12);
/// ```
pub fn entropy_bins(counts: &[u64], levels: usize, smoothing: Smoothing) -> Option<(usize, f64)> {
    let mut best = None;
    for bins in levels..=counts.len() {
        let beyond = counts[bins..].iter().sum();
        let Some(divergence) = divergence(&counts[..bins], 0, beyond, levels, smoothing) else { continue };
        if best.is_none_or(|(_, least)| divergence < least) {
            best = Some((bins, divergence));
        }
    }
    best
}

/// `D = Σ P log(P / Q)` of a window of a histogram and its form in `levels` equal groups of bins.
///
/// P is the window with the counts `below` and `beyond` it added to its first and last bin; Q spreads each group's
/// total, without the added counts, evenly over those of the group's bins that are not empty in P.
/// Group `k` of `n` bins has the bins from `⌊k·n/levels⌋` up to `⌊(k+1)·n/levels⌋`. None where it is infinite or
/// undefined.
pub fn divergence(
    window: &[u64],
    below: u64,
    beyond: u64,
    levels: usize,
    smoothing: Smoothing,
) -> Option<f64> {
    let bins = window.len();
    if bins == 0 || levels == 0 {
        return None;
    }
    let mut p: Vec<f64> = window.iter().map(|count| *count as f64).collect();
    p[0] += below as f64;
    p[bins - 1] += beyond as f64;
    let mut q = vec![0.0; bins];
    for level in 0..levels {
        let group = level * bins / levels..(level + 1) * bins / levels;
        let filled = p[group.clone()].iter().filter(|count| **count > 0.0).count();
        let total: u64 = window[group.clone()].iter().sum();
        if filled > 0 {
            let share = total as f64 / filled as f64;
            q[group.clone()]
                .iter_mut()
                .zip(&p[group])
                .for_each(|(q, p)| *q = if *p > 0.0 { share } else { 0.0 });
        }
    }
    if let Smoothing::Move(amount) = smoothing {
        smooth(&mut p, amount)?;
        smooth(&mut q, amount)?;
    }
    let (p_total, q_total) = (p.iter().sum::<f64>(), q.iter().sum::<f64>());
    let terms = p.iter().zip(&q).filter(|(p, _)| **p > 0.0);
    let divergence: f64 = terms.map(|(p, q)| p / p_total * ((p / p_total) / (q / q_total)).ln()).sum();
    divergence.is_finite().then_some(divergence)
}

/// Puts `amount` on each empty bin and takes it from the others in equal parts.
fn smooth(counts: &mut [f64], amount: f64) -> Option<()> {
    let empty = counts.iter().filter(|count| **count == 0.0).count();
    let filled = counts.len() - empty;
    if filled == 0 {
        return None;
    }
    let part = amount * empty as f64 / filled as f64;
    for count in counts.iter_mut() {
        *count = if *count == 0.0 { amount } else { *count - part };
    }
    counts.iter().all(|count| *count >= 0.0).then_some(())
}
