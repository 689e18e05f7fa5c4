//! Calibration against numpy, and what each method must do with outliers, batches and empty input.
#![allow(clippy::unwrap_used, reason = "a golden file that does not fit fails the test")]

use common::seed;
use quantization::affine::{Fit, Granularity, Grid, Shrink, fake_quantize, measure};
use quantization::calibration::{
    CalibrationError, Histogram, Method, Observer, Range, Shape, Smoothing, entropy_bins, percentile,
};
use rand::Rng;
use serde_json::Value;

fn normal(count: usize, stream: &str) -> Vec<f32> {
    let mut rng = seed::rng(1, stream, 0);
    (0..count)
        .map(|_| {
            let (u, v): (f64, f64) = (rng.random(), rng.random());
            ((-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
        })
        .collect()
}

fn range(method: Method, shape: Shape, grid: Grid, batches: &[&[f32]]) -> Range {
    let mut observer = Observer::new(method, shape, grid).unwrap();
    batches.iter().for_each(|batch| observer.observe(batch).unwrap());
    observer.range().unwrap()
}

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/calibration.json")).unwrap()
}

#[test]
fn the_window_of_least_divergence_is_the_reference_loops() {
    for case in golden()["entropy"].as_array().unwrap() {
        let counts: Vec<u64> =
            case["counts"].as_array().unwrap().iter().map(|x| x.as_u64().unwrap()).collect();
        let smoothing = case["amount"].as_f64().map_or(Smoothing::Skip, Smoothing::Move);
        let levels = case["levels"].as_u64().unwrap() as usize;
        let (bins, divergence) = entropy_bins(&counts, levels, smoothing).unwrap();
        let expected = case["divergence"].as_f64().unwrap();
        assert_eq!(bins as u64, case["bins"].as_u64().unwrap(), "{} {levels} {smoothing:?}", case["name"]);
        assert!((divergence - expected).abs() < 1e-12 * expected.abs().max(1.0));
    }
}

#[test]
fn percentiles_are_numpys() {
    for case in golden()["percentile"].as_array().unwrap() {
        let values: Vec<f32> =
            case["values"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect();
        for (share, found) in case["shares"].as_array().unwrap().iter().zip(case["found"].as_array().unwrap())
        {
            let mine = percentile(&values, share.as_f64().unwrap()).unwrap();
            assert!((mine - found.as_f64().unwrap()).abs() < 1e-12, "{share}");
        }
    }
    assert_eq!(percentile(&[], 0.5), None);
}

#[test]
fn a_growing_histogram_counts_like_one_made_at_once() {
    let values = normal(5000, "growing");
    let mut growing = Histogram::growing(64, false);
    let mut signed = Histogram::growing(64, true);
    growing.add(&[0.0; 3]);
    for batch in values.chunks(77) {
        growing.add(batch);
        signed.add(batch);
    }
    assert_eq!((growing.total(), signed.total()), (5003, 5000));
    for bin in 0..64 {
        let low = bin as f64 * growing.width();
        let inside = |x: f64, low: f64, width: f64| (low..low + width).contains(&x);
        let expected = values.iter().filter(|x| inside(f64::from(x.abs()), low, growing.width())).count();
        let zeros = if bin == 0 { 3 } else { 0 };
        // a value on an edge may fall to either side in the last bit
        assert!(growing.counts()[bin].abs_diff(expected as u64 + zeros) <= 1, "{bin}");
        let low = signed.middle(bin) - signed.width() / 2.0;
        let expected = values.iter().filter(|x| inside(f64::from(**x), low, signed.width())).count();
        assert!(signed.counts()[bin].abs_diff(expected as u64) <= 1, "{bin}");
    }
    let exact = Histogram::of_magnitudes(&values, 64);
    assert_eq!(exact.total(), 5000);
    assert!(*exact.counts().last().unwrap() > 0, "the largest value is in the last bin");
}

#[test]
fn extremes_are_kept_or_averaged() {
    let batches: [&[f32]; 2] = [&[-1.0, 2.0], &[-3.0, 1.0]];
    let grid = Grid::absmax(8);
    let found = range(Method::MinMax, Shape::Asymmetric, grid, &batches);
    assert_eq!((found.low, found.high), (-3.0, 2.0));
    let found = range(Method::MinMax, Shape::Symmetric, grid, &batches);
    assert_eq!((found.low, found.high), (-3.0, 3.0));
    let found = range(Method::MinMax, Shape::Unsigned, grid, &batches);
    assert_eq!((found.low, found.high), (0.0, 2.0));
    let found = range(Method::MovingAverage { momentum: 0.75 }, Shape::Asymmetric, grid, &batches);
    assert_eq!((found.low, found.high), (-1.5, 1.75));
}

#[test]
fn the_streamed_percentile_is_close_to_the_exact_one() {
    let values = normal(20_000, "percentile");
    let magnitudes: Vec<f32> = values.iter().map(|x| x.abs()).collect();
    let batches: Vec<&[f32]> = values.chunks(999).collect();
    for share in [0.9, 0.99, 0.999] {
        let grid = Grid::absmax(8);
        let exact = percentile(&magnitudes, share).unwrap();
        let found = range(Method::Percentile(share), Shape::Symmetric, grid, &batches);
        assert!((f64::from(found.high) - exact).abs() < 0.03, "{share}: {found:?}, exactly {exact}");
        assert_eq!(found.low, -found.high);
        let found = range(Method::Percentile(share), Shape::Asymmetric, grid, &batches);
        let exact = |share| percentile(&values, share).unwrap();
        let tail = (1.0 - share) / 2.0;
        assert!((f64::from(found.low) - exact(tail)).abs() < 0.05, "{share}: {found:?}");
        assert!((f64::from(found.high) - exact(1.0 - tail)).abs() < 0.05, "{share}: {found:?}");
    }
    let all = range(Method::Percentile(1.0), Shape::Symmetric, Grid::absmax(8), &batches);
    let full = range(Method::MinMax, Shape::Symmetric, Grid::absmax(8), &batches);
    assert!((all.high - full.high).abs() < 1e-3 * full.high);
}

#[test]
fn the_streamed_error_search_agrees_with_the_search_on_the_values() {
    let values = normal(20_000, "mse");
    let batches: Vec<&[f32]> = values.chunks(1000).collect();
    for bits in [3, 4, 6] {
        for shrink in [Shrink::gptq(), Shrink::squared()] {
            let mut observer =
                Observer::new(Method::Mse(shrink), Shape::Symmetric, Grid::absmax(bits)).unwrap();
            batches.iter().for_each(|batch| observer.observe(batch).unwrap());
            let exact = Fit::Mse(shrink).parameters(&values, &Grid::absmax(bits)).unwrap();
            let found = observer.parameters().unwrap();
            assert!((found.scale / exact.scale - 1.0).abs() < 0.03, "{bits}: {found:?}, exactly {exact:?}");
        }
    }
}

#[test]
fn entropy_cuts_far_too_much_of_a_tall_peak_with_heavy_tails() {
    // the known weakness: most values near 0, a few wide ones that carry the squares
    let mut values: Vec<f32> = normal(60_000, "peak").iter().map(|x| 0.05 * x).collect();
    values.extend(normal(3_000, "tail").iter().map(|x| 3.0 * x));
    let grid = Grid::absmax(8);
    let error = |method| {
        let Range { high, .. } = range(method, Shape::Symmetric, grid, &[&values]);
        let parameters = grid.parameters(-high, high).unwrap();
        let restored: Vec<f32> = values.iter().map(|x| parameters.value(grid.code(parameters, *x))).collect();
        measure(&values, &restored).mse
    };
    let squared = error(Method::Mse(Shrink::squared()));
    assert!(error(Method::Entropy(Smoothing::Skip)) > 3.0 * squared);
    assert!(squared <= error(Method::MinMax) * 1.001);
}

#[test]
fn every_method_and_shape_gives_a_range_around_zero() {
    let values: Vec<f32> = normal(5000, "shapes").iter().map(|x| x + 0.5).collect();
    let methods = [
        Method::MinMax,
        Method::MovingAverage { momentum: 0.9 },
        Method::Percentile(0.99),
        Method::Mse(Shrink::gptq()),
        Method::Entropy(Smoothing::Skip),
        Method::Entropy(Smoothing::Move(1e-4)),
    ];
    for method in methods {
        for shape in [Shape::Symmetric, Shape::Asymmetric, Shape::Unsigned] {
            for bits in [4, 8] {
                let found = range(method, shape, Grid::asymmetric(bits), &[&values[..2000], &values[2000..]]);
                let full = range(Method::MinMax, shape, Grid::asymmetric(bits), &[&values]);
                assert!(full.low <= found.low && found.low <= 0.0, "{method:?} {shape:?} {found:?}");
                assert!(0.3 < found.high && found.high <= full.high, "{method:?} {shape:?} {found:?}");
            }
            let zeros = range(method, shape, Grid::asymmetric(8), &[&[0.0; 10]]);
            assert_eq!((zeros.low, zeros.high), (0.0, 0.0));
        }
    }
}

#[test]
fn an_outlier_moves_the_extremes_only() {
    let mut values = normal(10_000, "outlier");
    values.push(500.0);
    let grid = Grid::absmax(8);
    let found = |method| range(method, Shape::Symmetric, grid, &[&values]).high;
    assert_eq!(found(Method::MinMax), 500.0);
    assert!(found(Method::Percentile(0.999)) < 4.0);
    assert!(found(Method::Percentile(0.99)) < 3.0);
    let restored =
        fake_quantize(&values, 10_001, &Grid::absmax(4), Granularity::Tensor, &Fit::MinMax).unwrap();
    assert!(restored[..10_000].iter().all(|x| *x == 0.0), "min-max leaves nothing of the others at 4 bits");
}

#[test]
fn wrong_input_is_named() {
    let grid = Grid::absmax(8);
    let new = |method| Observer::new(method, Shape::Symmetric, grid).map(|_| ()).unwrap_err().to_string();
    assert_eq!(new(Method::Percentile(99.9)), "percentile is 99.9, expected a share above 0 and at most 1");
    assert_eq!(
        new(Method::MovingAverage { momentum: 1.0 }),
        "momentum is 1, expected at least 0 and below 1"
    );
    assert_eq!(
        new(Method::Entropy(Smoothing::Move(2.0))),
        "smoothing is 2, expected a part of one count, above 0 and below 1"
    );
    let wide = Observer::new(Method::Entropy(Smoothing::Skip), Shape::Symmetric, Grid::absmax(16));
    assert_eq!(
        wide.map(|_| ()).unwrap_err().to_string(),
        "bits is 16, expected at most 10 for a histogram of 2048 bins"
    );
    let mut observer = Observer::new(Method::MinMax, Shape::Symmetric, grid).unwrap();
    assert_eq!(observer.range(), Err(CalibrationError::Empty));
    assert_eq!(
        CalibrationError::Empty.to_string(),
        "the observer has seen no value; show it at least one batch before asking for a range"
    );
    assert!(matches!(observer.observe(&[1.0, f32::NAN]), Err(CalibrationError::Affine(_))));
    assert_eq!(observer.range(), Err(CalibrationError::Empty), "a refused batch does not count");
}
