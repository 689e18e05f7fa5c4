//! The machine against liblinear's optimum, see `golden/README.md`.

use click_mil::svm::{Config, Examples, Loss, SvmError, train};
use serde_json::Value;

const N: usize = 160;
const WIDTH: usize = 40;
/// Slopes are sums of f32.
const TOLERANCE: f64 = 3e-5;

/// The golden script's features.
fn features() -> Vec<f32> {
    let mut state = 12345_u64;
    let mut next = || {
        state = (state * 1_103_515_245 + 12345) % (1 << 31);
        state as f64 / f64::from(1_u32 << 31) - 0.5
    };
    let mut features = Vec::new();
    for row in 0..N {
        let mut values: Vec<f64> = (0..WIDTH).map(|_| next()).collect();
        if row < N / 4 {
            values[0] += 0.4;
        }
        let length = values.iter().map(|value| value * value).sum::<f64>().sqrt();
        features.extend(values.iter().map(|value| (value / length) as f32));
    }
    features
}

fn labels() -> Vec<bool> {
    (0..N).map(|row| row < N / 4).collect()
}

#[test]
fn the_optimum_is_liblinears() {
    let (features, labels) = (features(), labels());
    let examples = Examples { features: &features, labels: &labels, chosen: None };
    let cases: Value = serde_json::from_str(include_str!("golden/svm.json")).unwrap();
    for case in cases.as_array().unwrap() {
        let loss = if case["loss"] == "hinge" { Loss::Hinge } else { Loss::SquaredHinge };
        let cost = case["cost"].as_f64().unwrap();
        let config = Config { loss, cost, tolerance: 1e-4, max_passes: 20_000, ..Config::usual() };
        let trained = train(examples, &config, &[], 1).unwrap();
        assert!(trained.converged, "{case}");
        let (ours, theirs) = (trained.svm.objective(examples, &config), case["objective"].as_f64().unwrap());
        assert!((ours / theirs - 1.0).abs() < TOLERANCE, "{case}: {ours}");
        let bias = case["bias"].as_f64().unwrap();
        assert!((f64::from(trained.svm.bias) - bias).abs() < 2e-3, "{case}: {}", trained.svm.bias);
    }
}

#[test]
fn a_warm_start_ends_at_the_same_optimum_in_fewer_passes() {
    let (features, labels) = (features(), labels());
    let examples = Examples { features: &features, labels: &labels, chosen: None };
    let config = Config { tolerance: 1e-3, ..Config::usual() };
    let cold = train(examples, &config, &[], 1).unwrap();
    let warm = train(examples, &config, &cold.multipliers, 2).unwrap();
    assert!(warm.passes < cold.passes, "{} {}", warm.passes, cold.passes);
    let [one, two] = [&cold, &warm].map(|trained| trained.svm.objective(examples, &config));
    assert!((one / two - 1.0).abs() < 1e-5);
}

#[test]
fn rows_left_out_count_as_if_they_were_not_there() {
    let (features, labels) = (features(), labels());
    let config = Config { tolerance: 1e-4, ..Config::usual() };
    let chosen: Vec<u32> = (0..N as u32).filter(|row| row % 3 != 0).collect();
    let among = Examples { features: &features, labels: &labels, chosen: Some(&chosen) };
    let alone: Vec<f32> =
        chosen.iter().flat_map(|&row| features[row as usize * WIDTH..][..WIDTH].to_vec()).collect();
    let own: Vec<bool> = chosen.iter().map(|&row| labels[row as usize]).collect();
    let alone = Examples { features: &alone, labels: &own, chosen: None };
    let one = train(among, &config, &vec![1.0; N], 1).unwrap();
    let two = train(alone, &config, &[], 1).unwrap();
    let [one_ends, two_ends] = [one.svm.objective(among, &config), two.svm.objective(alone, &config)];
    assert!((one_ends / two_ends - 1.0).abs() < TOLERANCE, "{one_ends} {two_ends}");
    assert!(one.multipliers.iter().step_by(3).all(|&multiplier| multiplier == 0.0));
}

#[test]
fn examples_of_one_class_and_values_that_are_no_numbers_are_named() {
    let config = Config::usual();
    let fails = |features: &[f32], labels: &[bool]| {
        train(Examples { features, labels, chosen: None }, &config, &[], 1).unwrap_err()
    };
    assert_eq!(fails(&[1.0, 2.0], &[true, true]), SvmError::OneClass { positive: 2, negative: 0 });
    assert_eq!(fails(&[], &[]), SvmError::OneClass { positive: 0, negative: 0 });
    assert_eq!(fails(&[1.0, 2.0, 3.0, f32::NAN], &[true, false]), SvmError::NotFinite { row: 1, column: 1 });
    assert_eq!(
        fails(&[1.0, 2.0, 3.0], &[true, false]),
        SvmError::Lengths { values: 3, multipliers: 0, labels: 2 }
    );
}
