//! The kernels of every tier against decoded weights, against each other, and on operands that do not fit.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

use std::path::PathBuf;

use quantization::ggml::GgmlType::{self, *};
use quantization::kernel::{
    self, Activations, Capability, Form, KernelError, Matrix, TernaryMatrix, bandwidth, capability,
    with_capability,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Types with block-wise codes.
const CODED: [GgmlType; 18] = [
    Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL, MXFP4, NVFP4, Q1_0, Q2_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_XS,
    TQ1_0, TQ2_0,
];

/// f32 sums of 1024 products, relative to the sum of their magnitudes.
const TOLERANCE: f64 = 1e-5;

/// Q8_1 keeps each block's scaled sum in half precision, 11 bits.
const HALF_SUM_TOLERANCE: f64 = 1e-3;

fn random(seed: u64, length: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..length).map(|_| rng.random_range(-1.0f32..1.0).powi(3) * 8.0).collect()
}

/// Where the half-precision scales stand in a block.
fn half_scales(kind: GgmlType) -> &'static [usize] {
    match kind {
        Q4_1 | Q5_1 | Q4_K | Q5_K => &[0, 2],
        Q2_K => &[80, 82],
        Q3_K => &[108],
        Q6_K => &[208],
        TQ1_0 => &[52],
        TQ2_0 => &[64],
        MXFP4 | NVFP4 => &[],
        _ => &[0],
    }
}

/// Random codes; scales that `scale` gives, in half precision.
fn blocks(
    kind: GgmlType,
    weights: usize,
    seed: u64,
    mut scale: impl FnMut(&mut ChaCha8Rng) -> u16,
) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut bytes = vec![0; kind.bytes(weights).unwrap()];
    rng.fill(&mut bytes[..]);
    for block in bytes.chunks_exact_mut(kind.block_bytes()) {
        for &at in half_scales(kind) {
            block[at..at + 2].copy_from_slice(&scale(&mut rng).to_le_bytes());
        }
        match kind {
            MXFP4 => block[0] = 128,
            NVFP4 => block[..4].fill(0x40),
            _ => {}
        }
    }
    bytes
}

/// Between 0.5 and 2, either sign.
fn around_one(rng: &mut ChaCha8Rng) -> u16 {
    rng.random_range(0x3800..0x4000) | rng.random_range(0..2) << 15
}

fn product(
    tier: Capability,
    kind: GgmlType,
    weights: &[u8],
    shape: [usize; 2],
    x: &[f32],
    threads: usize,
) -> Vec<f32> {
    let [rows, columns] = shape;
    let activations = Activations::quantize(kind, x, columns).unwrap();
    let mut y = vec![f32::NAN; rows * activations.rows()];
    let matrix = Matrix::new(kind, weights, rows, columns).unwrap();
    with_capability(tier).unwrap().multiply(&matrix, &activations, &mut y, threads).unwrap();
    y
}

fn golden(name: &str) -> Option<Vec<u8>> {
    let Some(root) = std::env::var_os("BENKYOKAI_DATA") else {
        eprintln!("skipped: BENKYOKAI_DATA is not set");
        return None;
    };
    std::fs::read(PathBuf::from(root).join("ggml-golden").join(name)).ok()
}

#[test]
fn products_with_golden_rows_are_those_of_their_decoded_values() {
    const SHAPE: [usize; 2] = [16, 1024];
    let tokens = 3;
    let x = random(1, tokens * SHAPE[1]);
    for kind in CODED {
        let Some(bytes) = golden(&format!("{kind}.bin")) else { return };
        let decoded = golden(&format!("{kind}.deq.f32")).unwrap();
        let decoded: Vec<f32> = decoded.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let activations = Activations::quantize(kind, &x, SHAPE[1]).unwrap();
        let tolerance = if activations.form() == Form::Q8_1 { HALF_SUM_TOLERANCE } else { TOLERANCE };
        for tier in Capability::available() {
            let y = product(tier, kind, &bytes, SHAPE, &x, 1);
            for token in 0..tokens {
                let (codes, scales) = activations.codes(token);
                let per_scale = codes.len() / scales.len();
                for row in 0..SHAPE[0] {
                    let weights = &decoded[row * SHAPE[1]..][..SHAPE[1]];
                    let terms = weights.iter().enumerate().map(|(i, weight)| {
                        f64::from(*weight) * f64::from(codes[i]) * f64::from(scales[i / per_scale])
                    });
                    let (expected, size) =
                        terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
                    let found = f64::from(y[token * SHAPE[0] + row]);
                    let message = format!("{kind} {tier:?} row {row}: {found}, expected {expected}");
                    assert!((found - expected).abs() <= tolerance * size, "{message}");
                }
            }
        }
    }
}

#[test]
fn integer_sums_are_the_same_in_every_tier() {
    const SHAPE: [usize; 2] = [21, 256];
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    // Every block holds -127, so that the quantized activations are these integers, with scale 1.
    let x: Vec<f32> =
        (0..256).map(|i| if i % 32 == 5 { -127.0 } else { rng.random_range(-126..127) as f32 }).collect();
    for kind in CODED {
        let weights = blocks(kind, SHAPE[0] * SHAPE[1], 4, |_| 0x3c00);
        let expected = product(Capability::Portable, kind, &weights, SHAPE, &x, 1);
        assert!(expected.iter().all(|y| y.abs() < 16_777_216.0 && y.fract() == 0.0), "{kind}");
        for tier in Capability::available() {
            assert_eq!(product(tier, kind, &weights, SHAPE, &x, 1), expected, "{kind} {tier:?}");
        }
    }
}

#[test]
fn extreme_codes_do_not_overflow() {
    let x = [[127.0; 256], [-127.0; 256]].concat();
    for kind in CODED {
        for fill in [0x00, 0x7f, 0x80, 0xff] {
            let mut weights = vec![fill; kind.bytes(512).unwrap()];
            for block in weights.chunks_exact_mut(kind.block_bytes()) {
                half_scales(kind)
                    .iter()
                    .for_each(|&at| block[at..at + 2].copy_from_slice(&0x3c00u16.to_le_bytes()));
                match kind {
                    MXFP4 => block[0] = 128,
                    NVFP4 => block[..4].fill(0x40),
                    _ => {}
                }
            }
            let expected = product(Capability::Portable, kind, &weights, [2, 256], &x, 1);
            for tier in Capability::available() {
                assert_close(
                    &product(tier, kind, &weights, [2, 256], &x, 1),
                    &expected,
                    &format!("{kind} {tier:?}"),
                );
            }
        }
    }
}

fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    let size = expected.iter().fold(1.0, |size: f32, y| size.max(y.abs()));
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let message = format!("{what} output {at}: {found}, expected {expected}");
        assert!((found - expected).abs() <= TOLERANCE as f32 * size, "{message}");
    }
}

#[test]
fn tiers_agree_on_every_shape_token_count_and_thread_count() {
    for kind in CODED {
        for (rows, columns, tokens) in [(1, 256, 1), (5, 512, 2), (35, 768, 9), (64, 256, 19), (50, 1024, 1)]
        {
            let weights = blocks(kind, rows * columns, 5, around_one);
            let x = random(6, tokens * columns);
            let expected = product(Capability::Portable, kind, &weights, [rows, columns], &x, 1);
            for tier in Capability::available() {
                for threads in [1, 3] {
                    let found = product(tier, kind, &weights, [rows, columns], &x, threads);
                    assert_close(
                        &found,
                        &expected,
                        &format!("{kind} {tier:?} {rows} × {columns} × {tokens}"),
                    );
                }
            }
        }
    }
}

#[test]
fn rows_that_end_inside_a_group_give_the_product_of_the_blocks_they_have() {
    for kind in CODED.into_iter().filter(|kind| kind.block_len() < 256) {
        let columns = 256 + kind.block_len();
        let weights = blocks(kind, 3 * columns, 7, around_one);
        let x = random(8, columns);
        let whole = {
            // The same weights and activations with zero activations behind.
            let row_bytes = kind.bytes(columns).unwrap();
            let rows = weights.chunks_exact(row_bytes).flat_map(|row| {
                let filler = blocks(kind, 512 - columns, 9, around_one);
                row.iter().copied().chain(filler).collect::<Vec<_>>()
            });
            let x: Vec<f32> = x.iter().copied().chain(vec![0.0; 512 - columns]).collect();
            product(Capability::Portable, kind, &rows.collect::<Vec<_>>(), [3, 512], &x, 1)
        };
        for tier in Capability::available() {
            assert_close(
                &product(tier, kind, &weights, [3, columns], &x, 1),
                &whole,
                &format!("{kind} {tier:?}"),
            );
        }
    }
}

#[test]
fn more_ragged_rows_than_are_copied_at_a_time_keep_their_order() {
    let (rows, columns) = (1100, 32);
    let weights = blocks(Q8_0, rows * columns, 13, around_one);
    let x = random(14, 3 * columns);
    let y = product(Capability::Portable, Q8_0, &weights, [rows, columns], &x, 1);
    for row in [0, 511, 512, 1099] {
        let alone = &weights[34 * row..][..34];
        let alone = product(Capability::Portable, Q8_0, alone, [1, columns], &x, 1);
        assert_eq!(alone, [y[row], y[rows + row], y[2 * rows + row]]);
    }
    assert_close(&product(capability(), Q8_0, &weights, [rows, columns], &x, 2), &y, "the best tier");
}

#[test]
fn plain_weights_give_plain_products() {
    let (rows, columns) = (3, 37);
    let (w, x) = (random(10, rows * columns), random(11, 2 * columns));
    let upper: Vec<f32> = w.iter().map(|w| f32::from_bits(w.to_bits() & 0xffff_0000)).collect();
    let f32_bytes: Vec<u8> = upper.iter().flat_map(|w| w.to_le_bytes()).collect();
    let bf16_bytes: Vec<u8> = upper.iter().flat_map(|w| w.to_le_bytes()[2..].to_vec()).collect();
    let expected: Vec<f64> = x
        .chunks(columns)
        .flat_map(|x| {
            upper
                .chunks(columns)
                .map(move |w| w.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum())
        })
        .collect();
    for (kind, bytes) in [(F32, f32_bytes), (BF16, bf16_bytes)] {
        let mut y = vec![0.0; 2 * rows];
        kernel::matmul(kind, &bytes, rows, columns, &x, &mut y, 1).unwrap();
        assert!(
            y.iter().zip(&expected).all(|(y, e)| (f64::from(*y) - e).abs() < 1e-3),
            "{kind} {y:?} {expected:?}"
        );
    }
    let halves: Vec<u8> = [0x3c00u16, 0xc000, 0x3800].iter().flat_map(|h| h.to_le_bytes()).collect();
    let mut y = [0.0];
    kernel::matmul(F16, &halves, 1, 3, &[1.0, 10.0, 100.0], &mut y, 1).unwrap();
    assert_eq!(y, [31.0]);
}

#[test]
fn ternary_sums_are_exact_even_at_the_extremes() {
    let (rows, columns, tokens) = (9, 640, 3);
    let mut rng = ChaCha8Rng::seed_from_u64(12);
    let mut weights: Vec<i8> = (0..rows * columns).map(|_| rng.random_range(-1..=1)).collect();
    weights[..columns].fill(1);
    weights[columns..2 * columns].fill(-1);
    let mut x: Vec<i8> = (0..tokens * columns).map(|_| rng.random()).collect();
    x[..columns].fill(i8::MIN);
    x[columns..2 * columns].fill(i8::MAX);
    let expected: Vec<i32> = x
        .chunks(columns)
        .flat_map(|x| {
            weights
                .chunks(columns)
                .map(move |w| w.iter().zip(x).map(|(w, x)| i32::from(*w) * i32::from(*x)).sum())
        })
        .collect();
    let matrix = TernaryMatrix::pack(&weights, rows, columns, 0.5).unwrap();
    for tier in Capability::available() {
        for threads in [1, 2] {
            let mut sums = vec![0; tokens * rows];
            kernel::ternary(tier, &matrix, &x, &mut sums, threads).unwrap();
            assert_eq!(sums, expected, "{tier:?}");
        }
    }
}

#[test]
fn operands_that_do_not_fit_are_errors_with_advice() {
    let mut y = [0.0; 2];
    let mut message = |kind, bytes: usize, rows, columns, x: &[f32], threads| {
        kernel::matmul(kind, &vec![0; bytes], rows, columns, x, &mut y, threads).unwrap_err().to_string()
    };
    let x = [1.0; 32];
    assert_eq!(
        message(Q8_1, 36, 1, 32, &x, 1),
        "weights are Q8_1, which nothing is computed with; expected a weight type such as Q4_K or F16: convert the tensor first"
    );
    assert!(
        message(Q4_K, 18, 1, 32, &x, 1)
            .starts_with("a row has 32 columns; expected a positive multiple of 256")
    );
    assert!(message(Q4_0, 18, 1, 0, &x, 1).starts_with("a row has 0 columns"));
    assert!(
        message(Q4_0, 35, 2, 32, &x, 1)
            .starts_with("the weights have 35 bytes; expected 36 for 2 rows of 32 columns")
    );
    assert!(
        message(Q4_0, 18, usize::MAX, 32, &x, 1)
            .starts_with("the weights have 18 bytes; expected 18446744073709551615")
    );
    assert!(
        message(Q4_0, 36, 2, 32, &x[..31], 1)
            .starts_with("there are 31 activations; expected whole rows of 32")
    );
    assert!(message(Q4_0, 18, 1, 32, &x, 1).starts_with("the output has room for 2 values; expected 1 × 1"));
    assert_eq!(message(Q4_0, 36, 2, 32, &x, 0), "0 threads were given; expected 1 or more");
    let bad = [&x[..31], &[f32::NAN]].concat();
    assert!(
        message(Q4_0, 36, 2, 32, &bad, 1)
            .starts_with("activation 31 of row 0 is NaN; expected a finite number")
    );
    let other = Activations::quantize(Q4_1, &x, 32).unwrap();
    let error = kernel::matmul_quantized(Q4_0, &[0; 36], 2, 32, &other, &mut y, 1).unwrap_err();
    assert_eq!(error, KernelError::Form { found: Form::Q8_1, expected: Form::Q8_0 });
    if capability() < Capability::Avx512Vnni {
        assert!(with_capability(Capability::Avx512Vnni).is_err());
    }
    assert_eq!(TernaryMatrix::pack(&[2; 128], 1, 128, 1.0), Err(KernelError::NotTernary { at: 0, value: 2 }));
    assert_eq!(
        TernaryMatrix::new(vec![0; 25], 1, 100, 1.0),
        Err(KernelError::TernaryColumns { columns: 100 })
    );
}

#[test]
fn refilled_activations_are_new_ones() {
    let (x, other) = (random(15, 512), random(16, 2 * 768));
    let mut activations = Activations::quantize(Q4_K, &other, 768).unwrap();
    assert!(activations.refill(Q4_K, &x, 100).is_err());
    assert_eq!((activations.rows(), activations.columns()), (2, 768));
    activations.refill(Q4_0, &x, 512).unwrap();
    assert_eq!(activations.codes(0), Activations::quantize(Q4_0, &x, 512).unwrap().codes(0));
    assert_eq!((activations.rows(), activations.form()), (1, Form::Q8_0));
}

#[test]
fn no_tokens_and_no_rows_give_no_output() {
    kernel::matmul(Q4_0, &[0; 36], 2, 32, &[], &mut [], 1).unwrap();
    kernel::matmul(Q4_0, &[], 0, 32, &[1.0; 32], &mut [], 2).unwrap();
}

#[test]
#[ignore = "reads 256 MiB several times"]
fn bandwidth_is_plausible() {
    let found = bandwidth();
    assert!(found.single_thread > 1e8 && found.all_threads > 0.5 * found.single_thread, "{found:?}");
    assert!((found.share(1000, 1000.0 / found.single_thread) - 1.0).abs() < 1e-9);
}
