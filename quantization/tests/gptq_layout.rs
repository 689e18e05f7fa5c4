//! The GPTQ layout against an independent packer, and the judge of zero-point conventions.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use common::files::sha256_hex;
use quantization::gptq_layout::{Convention, Layer, Packed, QuantizeConfig, zero_point_convention};
use quantization::safetensors;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value as Json;

fn numbers<T: TryFrom<i64>>(json: &Json) -> Vec<T> {
    let number = |value: &Json| T::try_from(value.as_i64().unwrap()).unwrap_or_else(|_| panic!("{value}"));
    json.as_array().unwrap().iter().map(number).collect()
}

#[test]
fn packing_and_unpacking_agree_with_an_independent_packer() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gptq_layout.json");
    let golden: Json = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let (inputs, outputs) = (64, 32);
    for case in golden["cases"].as_array().unwrap() {
        let bits = case["bits"].as_u64().unwrap() as u32;
        for (convention, key) in [(Convention::V1, "qzeros_v1"), (Convention::V2, "qzeros_v2")] {
            let packed = Packed {
                bits,
                inputs,
                outputs,
                qweight: numbers(&case["qweight"]),
                qzeros: numbers(&case[key]),
                scales: numbers(&case["scales"]),
                g_idx: numbers(&case["g_idx"]),
            };
            let layer = packed.unpack(convention).unwrap();
            assert_eq!(layer.codes, numbers::<u32>(&case["codes"]), "{bits} bits");
            assert_eq!(layer.zeros, numbers::<u32>(&case["zeros"]), "{bits} bits, {convention:?}");
            let bytes: Vec<u8> = layer.dequantize().iter().flat_map(|weight| weight.to_le_bytes()).collect();
            assert_eq!(sha256_hex(&bytes), case["weights_sha256"].as_str().unwrap(), "{bits} bits");
            assert_eq!(layer.pack(convention).unwrap(), packed, "{bits} bits, {convention:?}");
        }
    }
}

#[test]
fn packing_and_weights_agree_with_the_class_of_autogptq() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gptq_class.json");
    let golden: Json = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let packed = Packed {
            bits: case["bits"].as_u64().unwrap() as u32,
            inputs: 64,
            outputs: 32,
            qweight: numbers(&case["qweight"]),
            qzeros: numbers(&case["qzeros"]),
            scales: numbers(&case["scales"]),
            g_idx: (0..64).map(|input| input / 32).collect(),
        };
        let layer = packed.unpack(Convention::V1).unwrap();
        assert_eq!(layer.codes, numbers::<u32>(&case["codes"]));
        assert_eq!(layer.zeros, numbers::<u32>(&case["zeros"]));
        assert_eq!(layer.pack(Convention::V1).unwrap(), packed);
        let bytes: Vec<u8> = layer.dequantize().iter().flat_map(|weight| weight.to_le_bytes()).collect();
        assert_eq!(sha256_hex(&bytes), case["weights_sha256"].as_str().unwrap(), "{} bits", packed.bits);
    }
}

/// A layer quantized from normal weights, its grid from the middle (symmetric) or from minimum and maximum.
fn layer(bits: u32, symmetric: bool, seed: u64) -> Layer {
    let (inputs, outputs, group) = (128, 64, 32);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let normal = |random: &mut ChaCha8Rng| (0..12).map(|_| random.random::<f32>()).sum::<f32>() - 6.0;
    let weights: Vec<f32> = (0..inputs * outputs).map(|_| normal(&mut random)).collect();
    let (mut scales, mut zeros) = (Vec::new(), Vec::new());
    let largest = ((1 << bits) - 1) as f32;
    for first in (0..inputs).step_by(group) {
        for output in 0..outputs {
            let values = (first..first + group).map(|input| weights[input * outputs + output]);
            let low = values.clone().fold(0.0, f32::min);
            let high = values.fold(0.0, f32::max);
            let (low, high) = if symmetric { (-high.max(-low), high.max(-low)) } else { (low, high) };
            let scale = (high - low) / largest;
            scales.push(scale);
            let zero = if symmetric { (largest + 1.0) / 2.0 } else { (-low / scale).round() };
            zeros.push(zero as u32);
        }
    }
    let g_idx: Vec<i32> = (0..inputs).map(|input| (input / group) as i32).collect();
    let code = |at: usize| {
        let place = g_idx[at / outputs] as usize * outputs + at % outputs;
        (weights[at] / scales[place] + zeros[place] as f32).round().clamp(0.0, largest) as u32
    };
    let codes = (0..inputs * outputs).map(code).collect();
    Layer { bits, inputs, outputs, codes, zeros, scales, g_idx }
}

#[test]
fn the_convention_is_told_from_the_tensors_alone() {
    for (bits, symmetric) in [(4, true), (4, false), (8, true), (3, true), (3, false), (2, false)] {
        for convention in [Convention::V1, Convention::V2] {
            let layers = [0, 1].map(|seed| layer(bits, symmetric, seed).pack(convention).unwrap());
            let verdict = zero_point_convention(None, &layers).unwrap();
            assert_eq!(verdict.convention, convention, "{bits} {symmetric} {verdict:?}");
            assert!(verdict.confidence > 0.95, "{bits} {symmetric} {verdict:?}");
        }
    }
}

#[test]
fn eight_bits_without_symmetry_are_judged_with_little_confidence() {
    for seed in 0..6 {
        for convention in [Convention::V1, Convention::V2] {
            let verdict =
                zero_point_convention(None, &[layer(8, false, seed).pack(convention).unwrap()]).unwrap();
            assert!(verdict.convention == convention || verdict.confidence < 0.95, "{seed} {verdict:?}");
        }
    }
}

#[test]
fn a_symmetric_v1_file_of_4_bits_has_the_known_word() {
    let packed = layer(4, true, 3).pack(Convention::V1).unwrap();
    assert!(packed.qzeros.iter().all(|&word| word == 0x7777_7777));
    let verdict = zero_point_convention(None, &[packed]).unwrap();
    assert!(
        verdict
            .evidence
            .iter()
            .any(|line| line.contains("every stored zero-point is 7, the middle 8 minus 1"))
    );
}

#[test]
fn a_mislabelled_file_is_found_out() {
    let config = QuantizeConfig::new(4, 32, Convention::V1);
    let packed = layer(4, false, 5).pack(Convention::V2).unwrap();
    let verdict = zero_point_convention(Some(&config), std::slice::from_ref(&packed)).unwrap();
    assert!(verdict.contradicts_config && verdict.convention == Convention::V2, "{verdict:?}");
    let honest = QuantizeConfig::new(4, 32, Convention::V2);
    let verdict = zero_point_convention(Some(&honest), &[packed]).unwrap();
    assert!(!verdict.contradicts_config && verdict.confidence > 0.99, "{verdict:?}");
}

#[test]
fn without_tensors_the_custom_decides_with_little_confidence() {
    let verdict = zero_point_convention(None, &[]).unwrap();
    assert_eq!(verdict.convention, Convention::V1);
    assert!(verdict.confidence < 0.75, "{verdict:?}");
}

#[test]
fn a_zero_of_0_survives_v1() {
    for bits in [2, 3, 4, 8] {
        for zero in 0..1 << bits {
            let stored = Convention::V1.store(zero, bits);
            assert!(stored < 1 << bits);
            assert_eq!(Convention::V1.zero(stored, bits), zero);
        }
    }
}

#[test]
fn a_layer_goes_through_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let packed = layer(3, false, 7).pack(Convention::V2).unwrap();
    let tensors = packed.tensors("model.q_proj");
    let list: Vec<_> =
        tensors.iter().map(|(name, dtype, shape, _)| (name.clone(), *dtype, shape.clone())).collect();
    let mut writer = safetensors::Writer::create(&path, &BTreeMap::new(), &list).unwrap();
    tensors.iter().for_each(|(name, .., bytes)| writer.write_tensor(name, bytes).unwrap());
    writer.finish().unwrap();
    let file = safetensors::File::open(&path).unwrap();
    assert_eq!(Packed::read(&file, "model.q_proj", 3).unwrap(), packed);
    let error = Packed::read(&file, "model.q_proj", 4).unwrap_err().to_string();
    assert!(error.contains("expected"), "{error}");
    let error = Packed::read(&file, "model.k_proj", 3).unwrap_err().to_string();
    assert!(error.contains("no tensor `model.k_proj.qweight`"), "{error}");
}

#[test]
fn parts_that_do_not_fit_are_named() {
    let good = layer(4, false, 1);
    let says = |layer: Layer, message: &str| {
        let error = layer.pack(Convention::V1).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    };
    says(Layer { bits: 5, ..good.clone() }, "codes have 5 bits, expected 2, 3, 4 or 8");
    says(
        Layer { inputs: 33, ..good.clone() },
        "the matrix has 33 inputs and 64 outputs, expected positive multiples of 32",
    );
    says(Layer { codes: vec![0], ..good.clone() }, "`codes` has 1 numbers, expected 8192");
    says(
        Layer { scales: Vec::new(), zeros: Vec::new(), ..good.clone() },
        "`scales` has 0 numbers, expected 64",
    );
    says(
        Layer { codes: vec![16; 8192], ..good.clone() },
        "`codes` number 0 is 16, expected 0 to 15 for 4 bits",
    );
    says(Layer { g_idx: vec![4; 128], ..good.clone() }, "`g_idx` number 0 is 4, expected 0 to 3");
    says(Layer { g_idx: vec![-1; 128], ..good }, "`g_idx` number 0 is -1, expected 0 to 3");
}

#[test]
fn configurations_keep_the_fields_of_other_programs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    fs::write(
        &path,
        r#"{"hidden_size": 8, "quantization_config": {"bits": 4, "group_size": -1, "lm_head": false}}"#,
    )
    .unwrap();
    let config = QuantizeConfig::read(&path).unwrap();
    assert_eq!((config.bits, config.group_size, config.sym, config.convention()), (4, -1, true, None));
    assert_eq!(config.rest["lm_head"], Json::Bool(false));
    config.write(&path).unwrap();
    assert_eq!(QuantizeConfig::read(&path).unwrap(), config);
    fs::write(&path, r#"{"bits": 5, "group_size": 128}"#).unwrap();
    let error = QuantizeConfig::read(&path).unwrap_err().to_string();
    assert!(error.contains("`bits` 5 with `group_size` 128, expected 2, 3, 4 or 8 bits"), "{error}");
    fs::write(&path, "{}").unwrap();
    let error = QuantizeConfig::read(&path).unwrap_err().to_string();
    assert!(error.contains("expected an object with `bits` and `group_size`"), "{error}");
}
