//! The lane code against plain loops, on every processor that this machine can stand for.

mod scalar;

use proptest::prelude::*;

use super::encode;
use crate::ggml::lanes::{LANES, with_each_processor};
use crate::ggml::{EncodeError, GgmlType};

const KINDS: [GgmlType; 15] = [
    GgmlType::F16,
    GgmlType::BF16,
    GgmlType::Q4_0,
    GgmlType::Q4_1,
    GgmlType::Q5_0,
    GgmlType::Q5_1,
    GgmlType::Q8_0,
    GgmlType::IQ4_NL,
    GgmlType::IQ4_XS,
    GgmlType::MXFP4,
    GgmlType::NVFP4,
    GgmlType::TQ1_0,
    GgmlType::TQ2_0,
    GgmlType::Q1_0,
    GgmlType::Q2_0,
];

/// Blocks of one character each: ordinary, constant, tiny, huge, subnormal, full of ties, any finite bits.
fn run() -> impl Strategy<Value = Vec<f32>> {
    let many = |element: BoxedStrategy<f32>| prop::collection::vec(element, 32).boxed();
    let scaled = |scale: f32| many((-1.0_f32..1.0).prop_map(move |x| x * x * x * scale).boxed());
    const CONSTANTS: [f32; 7] = [0.0, -0.0, 0.5, -0.3125, 1e-7, 1e-15, 3e4];
    prop_oneof![
        4 => scaled(0.1),
        1 => prop::sample::select(&CONSTANTS[..]).prop_map(|x| vec![x; 32]),
        1 => scaled(1e-7),
        1 => scaled(1e-16),
        1 => scaled(4e4),
        1 => scaled(1e-39),
        1 => scaled(3e38),
        2 => many((-8_i8..9).prop_map(|x| f32::from(x) * 0.25).boxed()),
        1 => many(prop::sample::select(&[0.0_f32, -0.0, 1.0, -1.0, 0.5][..]).boxed()),
        1 => many(any::<f32>().prop_map(|x| if x.is_finite() { x } else { 1.0 }).boxed()),
    ]
}

/// Rows of 512 weights.
fn rows() -> impl Strategy<Value = Vec<f32>> {
    (1_usize..4).prop_flat_map(|rows| prop::collection::vec(run(), 16 * rows)).prop_map(|runs| runs.concat())
}

fn importance() -> impl Strategy<Value = Option<Vec<f32>>> {
    let weight = prop_oneof![3 => 0.01_f32..1.0, 1 => Just(0.0), 1 => 1e-6_f32..1e6];
    prop::option::of(prop::collection::vec(weight, 512))
}

/// The bytes that `encode` leaves, scales beyond half precision included.
fn lanes(kind: GgmlType, weights: &[f32], importance: Option<&[f32]>) -> Vec<u8> {
    let mut bytes = vec![0xA5; kind.bytes(weights.len()).unwrap()];
    match encode(kind, weights, 512, importance, &mut bytes) {
        Ok(()) | Err(EncodeError::Overflow { .. }) => bytes,
        Err(error) => panic!("{error}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn lanes_write_the_bytes_of_plain_loops_on_every_processor(weights in rows(), importance in importance()) {
        let importance = importance.as_deref();
        for kind in KINDS {
            let expected = scalar::encode(kind, &weights, 512, importance);
            with_each_processor(|processor| {
                let bytes = lanes(kind, &weights, importance);
                let wrong = bytes.iter().zip(&expected).position(|(a, b)| a != b);
                prop_assert_eq!(wrong.map(|i| i / kind.block_bytes()), None, "{} on {:?}", kind, processor);
                Ok(())
            })?;
        }
    }

    #[test]
    fn many_rows_are_encoded_as_one_by_one(weights in rows(), importance in importance()) {
        let importance = importance.as_deref();
        for kind in KINDS {
            let alone: Vec<u8> = weights.chunks(512).flat_map(|row| lanes(kind, row, importance)).collect();
            prop_assert_eq!(&lanes(kind, &weights, importance), &alone, "{}", kind);
        }
    }
}

#[test]
fn strips_and_partial_groups_change_nothing() {
    let weights: Vec<f32> =
        (0..512 * 67).map(|i| ((i * 2_654_435_761_usize) as u32 as f32 / 4e9 - 0.5).powi(3)).collect();
    assert_ne!(weights.len() / 32 % LANES, 1);
    for kind in KINDS {
        assert_eq!(lanes(kind, &weights, None), scalar::encode(kind, &weights, 512, None), "{kind}");
    }
}

#[test]
fn q8_1_is_q8_0_with_the_sum_of_its_codes() {
    let weights: Vec<f32> = (0..512).map(|i| (i as f32 * 0.37).sin()).collect();
    let (plain, summed) = (lanes(GgmlType::Q8_0, &weights, None), lanes(GgmlType::Q8_1, &weights, None));
    for (x, (plain, summed)) in weights.chunks(32).zip(plain.chunks(34).zip(summed.chunks(36))) {
        assert_eq!((&plain[..2], &plain[2..]), (&summed[..2], &summed[4..]));
        let d = x.iter().fold(0.0_f32, |most, x| most.max(x.abs())) / 127.0;
        let sum: i32 = plain[2..].iter().map(|code| i32::from(*code as i8)).sum();
        assert_eq!(summed[2..4], crate::float::f32_to_f16(sum as f32 * d).to_le_bytes());
    }
}
