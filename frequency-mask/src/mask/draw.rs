//! Numbers drawn without replacement.

use rand::Rng;

/// Calls `keep` for `n` of the numbers below `total`, every set of them equally likely, in growing order or not.
///
/// # Panics
/// When `n` exceeds `total`.
pub(super) fn draw(rng: &mut impl Rng, total: usize, n: usize, mut keep: impl FnMut(usize)) {
    assert!(n <= total, "{n} of {total}");
    let few = n <= total / 2;
    let wanted = if few { n } else { total - n };
    let mut seen = vec![0_u64; total.div_ceil(64)];
    let mut found = 0;
    while found < wanted {
        let index = rng.random_range(0..total as u32) as usize;
        let (word, bit) = (index / 64, 1 << (index % 64));
        if seen[word] & bit == 0 {
            seen[word] |= bit;
            found += 1;
            if few {
                keep(index);
            }
        }
    }
    if !few {
        (0..total).filter(|index| seen[index / 64] >> (index % 64) & 1 == 0).for_each(keep);
    }
}

/// `⌈ratio · total⌉`, as the official code counts.
pub(super) fn share(total: usize, ratio: f64) -> usize {
    ((total as f64 * ratio).ceil() as usize).min(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_drawn_once_and_as_often_as_the_others() {
        let mut rng = common::seed::rng(1, "draw", 0);
        for n in [0, 1, 3, 7, 10] {
            let mut counts = [0_usize; 10];
            for _ in 0..2000 {
                let mut seen = [false; 10];
                draw(&mut rng, 10, n, |index| {
                    assert!(!std::mem::replace(&mut seen[index], true));
                    counts[index] += 1;
                });
            }
            assert_eq!(counts.iter().sum::<usize>(), 2000 * n);
            assert!(counts.iter().all(|count| count.abs_diff(200 * n) < 150), "{n}: {counts:?}");
        }
    }
}
