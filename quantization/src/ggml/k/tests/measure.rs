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
                {
                    let time = seconds(|| {
                        let out = &mut out;
                        dispatch::encode(
                            level,
                            Job { kind, weights: &weights, row_len: 4096, importance, out },
                        );
                    });
                    report(&format!("{level:?}"), time);
                }
            }
            eprintln!("{line}");
        }
    }
}
