//! Measurements, run by name: speed of the vector widths, and error of the two encoders.

use std::time::Instant;

use super::*;

/// Least time of a run; neighbours on the machine disturb the others.
fn seconds(mut run: impl FnMut()) -> f64 {
    let times = (0..40).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    });
    times.fold(f64::MAX, f64::min)
}

#[test]
#[ignore = "a measurement"]
fn megabytes_of_floats_a_second() {
    let weights = sample(Shape::Normal, 1 << 14, 1);
    let importance: Vec<f32> = sample(Shape::Positive, 4096, 2);
    for kind in KINDS.into_iter().chain([GgmlType::Q8_K]) {
        for importance in [None, Some(importance.as_slice())] {
            let mut out = vec![0; kind.bytes(weights.len()).unwrap()];
            let mut line = format!("{kind} importance {:5}", importance.is_some());
            let mut report = |name: &str, seconds: f64| {
                line += &format!("  {name} {:6.0}", 4e-6 * weights.len() as f64 / seconds);
            };
            report("scalar", seconds(|| scalar::encode(kind, &weights, 4096, importance, &mut out)));
            for level in Level::available() {
                for beyond in [false, true] {
                    let time = seconds(|| {
                        let out = &mut out;
                        dispatch::encode(
                            level,
                            Job { kind, weights: &weights, row_len: 4096, importance, out, beyond },
                        );
                    });
                    report(&format!("{level:?}{}", if beyond { " best" } else { "" }), time);
                }
            }
            eprintln!("{line}");
        }
    }
}

/// Weights of ggml's search without importance.
fn weights_of_ggml(kind: GgmlType, x: &[f32]) -> Vec<f32> {
    let mean = |x: &[f32]| (x.iter().map(|x| x * x).sum::<f32>() / x.len() as f32).sqrt();
    match kind {
        GgmlType::Q2_K => x.iter().map(|x| x.abs()).collect(),
        GgmlType::Q3_K | GgmlType::Q6_K => x.iter().map(|x| x * x).collect(),
        _ => x.chunks(32).flat_map(|x| x.iter().map(|v| v.abs() + mean(x)).collect::<Vec<_>>()).collect(),
    }
}

fn errors(name: &str, weights: &[f32], row_len: usize, importance: Option<&[f32]>) {
    for kind in KINDS {
        let mut bytes = [false, true].map(|_| vec![0; kind.bytes(weights.len()).unwrap()]);
        encode(kind, weights, row_len, importance, &mut bytes[0]);
        encode_best(kind, weights, row_len, importance, &mut bytes[1]);
        let [mut plain, mut own] = [[0.0; 2]; 2];
        let power: f64 = weights.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        for (i, x) in weights.chunks_exact(256).enumerate() {
            let start = i * 256 % row_len;
            let ones = [1.0; 256];
            let v = importance.map_or(&ones[..], |v| &v[start..start + 256]);
            let theirs = weights_of_ggml(kind, x);
            for side in 0..2 {
                let size = kind.block_bytes();
                let block = &bytes[side][i * size..][..size];
                plain[side] += squared(kind, x, v, block);
                own[side] += squared(kind, x, &theirs, block);
            }
        }
        eprintln!(
            "{name:32} {kind} relative error {:.4e}, best {:.4e}: {:6.2} % ({:+6.2} % under ggml's weights)",
            plain[0] / power,
            plain[1] / power,
            100.0 * (plain[1] / plain[0] - 1.0),
            100.0 * (own[1] / own[0] - 1.0),
        );
    }
}

#[test]
#[ignore = "a measurement"]
fn errors_of_the_two_encoders() {
    let importance = sample(Shape::Positive, 4096, 2);
    for (name, shape) in [("normal", Shape::Normal), ("heavy-tailed", Shape::HeavyTailed)] {
        let weights = sample(shape, 1 << 18, 3);
        errors(name, &weights, 4096, None);
        errors(&format!("{name}, importance"), &weights, 4096, Some(&importance));
    }
    let Some(root) = std::env::var_os("BENKYOKAI_DATA") else { return };
    let bytes = std::fs::read(PathBuf::from(root).join("shakespeare-llama-256/model.safetensors")).unwrap();
    let (size, rest) = bytes.split_at(8);
    let (header, rest) = rest.split_at(u64::from_le_bytes(size.try_into().unwrap()) as usize);
    let header: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(header).unwrap();
    let mut weights = Vec::new();
    for tensor in header.values() {
        let (Some("F16"), Some(shape)) = (tensor["dtype"].as_str(), tensor["shape"].as_array()) else {
            continue;
        };
        if shape.len() == 2 && shape[1].as_u64().is_some_and(|n| n % 256 == 0) {
            let [start, end] = [0, 1].map(|i| tensor["data_offsets"][i].as_u64().unwrap() as usize);
            let halves = rest[start..end].as_chunks::<2>().0.iter();
            let floats = halves.map(|&x| f16::f16_to_f32(u16::from_le_bytes(x)));
            weights.extend(floats.take(1 << 18));
        }
    }
    errors("shakespeare-llama-256", &weights, weights.len(), None);
}
