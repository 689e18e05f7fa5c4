//! The affine grids against plain loops, published tables, and their own laws.

use common::seed;
use proptest::prelude::*;
use quantization::affine::{
    AffineError, Fit, Granularity, Grid, Levels, Rounding, Scheme, Shrink, best_clip, clip_curve,
    fake_quantize, gaussian_best_clip, gaussian_mse, measure, quantize,
};
use rand::Rng;

fn normal(count: usize, stream: &str) -> Vec<f32> {
    let mut rng = seed::rng(1, stream, 0);
    (0..count)
        .map(|_| {
            let (u, v): (f64, f64) = (rng.random(), rng.random());
            ((-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
        })
        .collect()
}

fn grids(bits: u32) -> [Grid; 3] {
    [Grid::absmax(bits), Grid::full_symmetric(bits), Grid::asymmetric(bits)]
}

/// Bits, then best clip and error of the symmetric levels, then of the mid-rise ones, then half a unit of the last
/// digit. The table was made on clips in steps of 0.005, so its last digit may be one too large.
const GAUSSIAN: [(u32, f64, f64, f64, f64, f64); 6] = [
    (2, 1.225, 0.19017, 1.990, 0.11885, 0.5e-5),
    (3, 1.950, 0.046860, 2.345, 0.037440, 0.5e-6),
    (4, 2.475, 0.012889, 2.680, 0.011543, 0.5e-6),
    (5, 2.900, 0.0036932, 3.010, 0.0034952, 0.5e-7),
    (6, 3.270, 0.0010693, 3.330, 0.0010401, 0.5e-7),
    (8, 3.920, 8.831e-5, 3.940, 8.769e-5, 0.5e-8),
];

#[test]
fn the_best_clips_of_a_normal_variable_are_the_published_ones() {
    for (bits, clip, mse, mid_clip, mid_mse, digit) in GAUSSIAN {
        for (levels, clip, mse) in [(Levels::Symmetric, clip, mse), (Levels::MidRise, mid_clip, mid_mse)] {
            let (best, least) = gaussian_best_clip(bits, levels);
            assert!(
                (least - mse).abs() <= 2.0 * digit,
                "{bits} bits, {levels:?}: {least:e} instead of {mse:e}"
            );
            assert!((best - clip).abs() <= 0.0055, "{bits} bits, {levels:?}: clip {best} instead of {clip}");
            assert!(gaussian_mse(bits, levels, clip) - least < 2.0 * digit);
        }
    }
}

#[test]
fn the_error_on_normal_samples_is_the_expected_one() {
    let values = normal(200_000, "clip");
    // 8 bits are left out: too few of the samples lie beyond 3.92 σ
    for (bits, clip, mse, ..) in GAUSSIAN.into_iter().take(5) {
        let grid = Grid::absmax(bits);
        let parameters = grid.parameters(-clip as f32, clip as f32).unwrap();
        let restored: Vec<f32> = values.iter().map(|x| parameters.value(grid.code(parameters, *x))).collect();
        let found = measure(&values, &restored).mse;
        assert!((found / mse - 1.0).abs() < 0.06, "{bits}: {found} against {mse}");
    }
}

#[test]
fn every_width_matches_the_plain_loop() {
    let weights = normal(5 * 70, "loop");
    for bits in 2..=8 {
        for grid in grids(bits) {
            for granularity in [Granularity::Tensor, Granularity::Channel, Granularity::Group(32)] {
                let quantized = quantize(&weights, 70, &grid, granularity, &Fit::MinMax).unwrap();
                let restored = quantized.dequantize();
                for (i, x) in weights.iter().enumerate() {
                    let block: Vec<f32> = match granularity {
                        Granularity::Tensor => weights.clone(),
                        Granularity::Channel => weights[i / 70 * 70..][..70].to_vec(),
                        Granularity::Group(size) => {
                            let start = i / 70 * 70;
                            let first = (i - start) / size * size;
                            weights[start + first..start + (first + size).min(70)].to_vec()
                        }
                    };
                    let low = block.iter().copied().fold(0.0, f32::min);
                    let high = block.iter().copied().fold(0.0, f32::max);
                    let levels = (1 << bits) as f32 - 1.0;
                    let half = (1 << (bits - 1)) as f32;
                    let alpha = high.max(-low);
                    let (scale, zero, least) = match grid.scheme {
                        Scheme::Symmetric => (alpha / (half - 1.0), half, 1.0),
                        Scheme::FullSymmetric => (2.0 * alpha / levels, half, 0.0),
                        Scheme::Asymmetric => {
                            let scale = (high - low) / levels;
                            (scale, (-low / scale).round_ties_even(), 0.0)
                        }
                    };
                    let code = ((x / scale).round_ties_even() + zero).clamp(least, levels);
                    assert_eq!(f32::from(quantized.codes[i]), code, "{grid:?} {granularity:?} {i}");
                    assert_eq!(restored[i], scale * (code - zero));
                }
                assert_eq!(fake_quantize(&weights, 70, &grid, granularity, &Fit::MinMax).unwrap(), restored);
            }
        }
    }
}

#[test]
fn ties_go_to_the_even_code_or_away_from_zero() {
    // scale 1: the range is −7 ..= 7 on the 4-bit absmax grid
    let weights = [7.0, 0.5, 1.5, 2.5, -0.5, -1.5];
    let grid = Grid::absmax(4);
    let even = fake_quantize(&weights, 6, &grid, Granularity::Tensor, &Fit::MinMax).unwrap();
    assert_eq!(even, [7.0, 0.0, 2.0, 2.0, 0.0, -2.0]);
    let grid = grid.with_rounding(Rounding::TiesAway);
    let away = fake_quantize(&weights, 6, &grid, Granularity::Tensor, &Fit::MinMax).unwrap();
    assert_eq!(away, [7.0, 1.0, 2.0, 3.0, -1.0, -2.0]);
}

#[test]
fn constant_and_zero_rows_have_a_defined_result() {
    for bits in 2..=8 {
        for grid in grids(bits) {
            let zeros = quantize(&[0.0; 4], 4, &grid, Granularity::Channel, &Fit::MinMax).unwrap();
            assert_eq!(zeros.dequantize(), [0.0; 4]);
            let top = f32::from(grid.highest_code());
            let unit = if grid.scheme == Scheme::Symmetric { (top - 1.0) / 2.0 } else { top / 2.0 };
            assert!((zeros.parameters[0].scale - 1.0 / unit).abs() < 1e-6, "the range of zeros is [-1, 1]");
            for constant in [3.0f32, -3.0, 1e-42, -1e-42, 3e38, -3e38] {
                let restored =
                    fake_quantize(&[constant; 4], 4, &grid, Granularity::Channel, &Fit::MinMax).unwrap();
                let off = (restored[0] - constant).abs();
                // the full symmetric grid clips its largest positive value by half a step
                let step = 2.0 * constant.abs() / top;
                let allowed =
                    if grid.scheme == Scheme::FullSymmetric { 0.51 * step } else { 1e-6 * constant.abs() };
                assert!(off <= allowed.max(f32::MIN_POSITIVE), "{grid:?} {constant}: {}", restored[0]);
            }
        }
    }
    let extremes = [0.9 * f32::MAX, -0.9 * f32::MAX]; // their difference is no finite float
    let restored =
        fake_quantize(&extremes, 2, &Grid::asymmetric(8), Granularity::Channel, &Fit::MinMax).unwrap();
    assert!(restored.iter().all(|x| x.is_finite()), "{restored:?}");
}

#[test]
fn half_scales_are_rounded_before_the_codes() {
    let weights = normal(64, "half");
    let grid = Grid::asymmetric(8).with_half_scales();
    let quantized = quantize(&weights, 64, &grid, Granularity::Channel, &Fit::MinMax).unwrap();
    let [parameters] = quantized.parameters[..] else { panic!("one row") };
    assert_eq!(parameters.scale.to_bits() & 0x1fff, 0, "13 low bits of the mantissa are free");
    for (code, x) in quantized.codes.iter().zip(&weights) {
        assert_eq!(u16::from(*code), grid.code(parameters, *x));
    }
    let error = quantize(&[2550.0 * 65536.0], 1, &grid, Granularity::Tensor, &Fit::MinMax).unwrap_err();
    assert_eq!(
        error.to_string(),
        "scale 6.5536e5 does not fit into 16 bits (at most 65504); rescale the tensor or keep scales in 32 bits"
    );
}

#[test]
fn wrong_input_is_named() {
    let text = |error: AffineError| error.to_string();
    let grid = Grid::absmax(4);
    let mut weights = vec![0.5; 5000];
    weights[4999] = f32::NAN;
    let error = |weights: &[f32], columns, grid: &Grid, granularity| {
        text(quantize(weights, columns, grid, granularity, &Fit::MinMax).unwrap_err())
    };
    assert_eq!(
        error(&weights, 5000, &grid, Granularity::Tensor),
        "weight 4999 is NaN, expected a finite number; mend the tensor before quantizing it"
    );
    assert_eq!(
        error(&[f32::INFINITY], 1, &grid, Granularity::Tensor),
        "weight 0 is inf, expected a finite number; mend the tensor before quantizing it"
    );
    assert_eq!(
        error(&[0.0; 5], 2, &grid, Granularity::Channel),
        "5 weights do not fill rows of 2 columns; pass the length of one row"
    );
    assert_eq!(
        error(&[0.0; 4], 2, &grid, Granularity::Group(0)),
        "a group has 0 columns, expected at least 1; use `Granularity::Channel` for whole rows"
    );
    assert_eq!(
        error(&[0.0; 4], 2, &Grid::absmax(1), Granularity::Channel),
        "1 bits are outside 2..=8; choose a width in that range"
    );
    assert!(quantize(&[], 4, &grid, Granularity::Channel, &Fit::MinMax).unwrap().codes.is_empty());
}

#[test]
fn finer_granularity_and_free_zero_points_lower_the_error_of_normal_weights() {
    let mut weights = normal(64 * 256, "granularity");
    // rows of different size and offset, as trained layers have them
    for (i, x) in weights.iter_mut().enumerate() {
        let row = (i / 256) as f32;
        *x = *x * (1.0 + row / 16.0) + 0.3;
    }
    for bits in 2..=8 {
        let ladder = [
            Granularity::Tensor,
            Granularity::Channel,
            Granularity::Group(128),
            Granularity::Group(64),
            Granularity::Group(32),
        ];
        for grid in grids(bits) {
            let errors = ladder.map(|granularity| {
                let restored = fake_quantize(&weights, 256, &grid, granularity, &Fit::MinMax).unwrap();
                measure(&weights, &restored).mse
            });
            assert!(errors.is_sorted_by(|a, b| a >= b), "{grid:?}: {errors:?}");
        }
        let error = |grid: &Grid| {
            let restored = fake_quantize(&weights, 256, grid, Granularity::Group(32), &Fit::MinMax).unwrap();
            measure(&weights, &restored).mse
        };
        assert!(error(&Grid::asymmetric(bits)) < error(&Grid::absmax(bits)), "{bits} bits");
    }
}

#[test]
fn each_bit_is_worth_six_decibels() {
    let weights: Vec<f32> = (0..100_001).map(|i| i as f32 / 50_000.0 - 1.0).collect();
    let sqnr = |bits| {
        let restored = fake_quantize(
            &weights,
            weights.len(),
            &Grid::asymmetric(bits),
            Granularity::Tensor,
            &Fit::MinMax,
        );
        measure(&weights, &restored.unwrap()).sqnr_db.unwrap()
    };
    for bits in 3..12 {
        assert!((sqnr(bits + 1) - sqnr(bits) - 6.02).abs() < 0.6, "{bits}");
    }
}

#[test]
fn the_searched_range_never_has_a_larger_error_than_the_full_one() {
    let weights = normal(32 * 128, "search");
    for bits in 2..=8 {
        for grid in grids(bits) {
            let full = fake_quantize(&weights, 128, &grid, Granularity::Channel, &Fit::MinMax).unwrap();
            let best =
                fake_quantize(&weights, 128, &grid, Granularity::Channel, &Fit::Mse(Shrink::squared()))
                    .unwrap();
            let (full, best) = (measure(&weights, &full).mse, measure(&weights, &best).mse);
            assert!(best <= full, "{grid:?}: {best} > {full}");
            if bits <= 4 {
                assert!(best < 0.95 * full, "clipping pays at {bits} bits");
            }
        }
    }
}

#[test]
fn the_clip_curve_starts_with_the_full_range() {
    let values = normal(4096, "curve");
    let curve = clip_curve(&values, &Grid::absmax(4), 50).unwrap();
    let restored = fake_quantize(&values, 4096, &Grid::absmax(4), Granularity::Tensor, &Fit::MinMax).unwrap();
    assert!((curve[0].mse / measure(&values, &restored).mse - 1.0).abs() < 1e-5);
    let best = best_clip(&values, &Grid::absmax(4), 50).unwrap();
    assert!(curve.iter().all(|clip| clip.mse >= best.mse));
    assert!(
        (best.high.max(-best.low) - 2.475).abs() < 0.25,
        "near the normal distribution's best clip: {best:?}"
    );
}

#[test]
fn clipped_weights_are_counted() {
    let mut weights = vec![0.1; 99];
    weights.push(100.0);
    let quantized =
        quantize(&weights, 100, &Grid::absmax(4), Granularity::Channel, &Fit::Mse(Shrink::gptq())).unwrap();
    let full = quantize(&weights, 100, &Grid::absmax(4), Granularity::Channel, &Fit::MinMax).unwrap();
    assert_eq!(full.clipped_fraction(&weights), 0.0);
    assert!(quantized.clipped_fraction(&weights) <= 0.01);
    let grid = Grid::full_symmetric(2);
    let weights = [1.0, 0.0, -0.5, 0.0]; // scale 2/3: 1.0 is exactly half a step outside
    assert_eq!(
        quantize(&weights, 4, &grid, Granularity::Tensor, &Fit::MinMax).unwrap().clipped_fraction(&weights),
        0.0
    );
}

proptest! {
    #[test]
    fn zero_maps_to_zero_and_codes_survive_the_round_trip(
        weights in prop::collection::vec(-100f32..100.0, 1..80),
        bits in 2u32..=8,
        scheme in 0usize..3,
    ) {
        let grid = grids(bits)[scheme];
        let mut weights = weights;
        weights.push(0.0);
        let columns = weights.len();
        let quantized = quantize(&weights, columns, &grid, Granularity::Channel, &Fit::MinMax).unwrap();
        let restored = quantized.dequantize();
        prop_assert_eq!(*restored.last().unwrap(), 0.0);
        let parameters = quantized.parameters[0];
        for (x, code) in restored.iter().zip(&quantized.codes) {
            prop_assert_eq!(grid.code(parameters, *x), u16::from(*code));
        }
        let widest = if scheme == 1 { 1.001 } else { 0.501 }; // half a step more at the clipped end
        for (x, y) in weights.iter().zip(&restored) {
            prop_assert!((x - y).abs() <= widest * parameters.scale, "{} {}", x, y);
        }
    }

    #[test]
    fn a_power_of_two_scales_everything_exactly(
        weights in prop::collection::vec(-1f32..1.0, 1..80),
        exponent in -20i32..20,
        bits in 2u32..=8,
        scheme in 0usize..3,
        searched in any::<bool>(),
    ) {
        let grid = grids(bits)[scheme];
        let fit = if searched { Fit::Mse(Shrink::gptq()) } else { Fit::MinMax };
        let factor = 2f32.powi(exponent);
        let scaled: Vec<f32> = weights.iter().map(|x| x * factor).collect();
        let columns = weights.len();
        let one = quantize(&weights, columns, &grid, Granularity::Channel, &fit).unwrap();
        let other = quantize(&scaled, columns, &grid, Granularity::Channel, &fit).unwrap();
        if weights.iter().any(|x| x.abs() > 1e-3) {
            prop_assert_eq!(one.codes, other.codes);
            prop_assert_eq!(one.parameters[0].scale * factor, other.parameters[0].scale);
        }
    }

    #[test]
    fn rows_are_independent(weights in prop::collection::vec(-1f32..1.0, 48), bits in 2u32..=8) {
        let grid = Grid::asymmetric(bits);
        let all = quantize(&weights, 16, &grid, Granularity::Group(5), &Fit::MinMax).unwrap();
        for (row, weights) in weights.chunks(16).enumerate() {
            let one = quantize(weights, 16, &grid, Granularity::Group(5), &Fit::MinMax).unwrap();
            prop_assert_eq!(&one.codes[..], &all.codes[row * 16..row * 16 + 16]);
        }
    }
}
