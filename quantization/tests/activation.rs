//! The integer layer against floats, dynamic against static scales, and the bound of the sums.

use common::seed;
use quantization::activation::{ActivationError, IntegerLinear, Scope, dynamic, fixed, safe_columns};
use quantization::affine::{Fit, Grid, measure};
use quantization::calibration::{Method, Observer, Range, Shape};
use rand::Rng;

fn uniform(count: usize, low: f32, stream: &str) -> Vec<f32> {
    let mut rng = seed::rng(1, stream, 0);
    (0..count).map(|_| rng.random_range(low..1.0)).collect()
}

fn product(inputs: &[f32], weights: &[f32], width: usize) -> Vec<f32> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    inputs
        .chunks(width)
        .flat_map(|input| weights.chunks(width).map(move |row| dot(input, row) as f32))
        .collect()
}

#[test]
fn the_integer_layer_equals_the_dequantized_product_for_all_zero_points() {
    for width in [1, 31, 200] {
        let inputs = uniform(7 * width, -0.3, "inputs"); // off centre, so that zero-points are not 0
        let weights = uniform(5 * width, -0.6, "weights");
        for bits in [2, 4, 8] {
            for input_grid in [Grid::absmax(bits), Grid::asymmetric(8)] {
                for weight_grid in [Grid::absmax(8), Grid::asymmetric(bits)] {
                    for scope in [Scope::Tensor, Scope::Token] {
                        let layer = IntegerLinear::new(&weights, width, &weight_grid, &Fit::MinMax).unwrap();
                        let codes = dynamic(&inputs, width, &input_grid, scope).unwrap();
                        let expected = product(&codes.dequantize(), &layer.weights().dequantize(), width);
                        for (found, expected) in layer.forward(&codes).unwrap().iter().zip(expected) {
                            // dequantized values are rounded to 32 bits, the integer sum is exact
                            let allowed = 2e-7 * width as f32;
                            assert!((found - expected).abs() <= allowed, "{found} {expected}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn tokens_of_different_size_want_their_own_scale() {
    let mut inputs = uniform(32 * 64, -1.0, "tokens");
    for (i, token) in inputs.chunks_mut(64).enumerate() {
        token.iter_mut().for_each(|x| *x *= 1.0 + i as f32);
    }
    for bits in [4, 6, 8] {
        let error = |scope| {
            let codes = dynamic(&inputs, 64, &Grid::absmax(bits), scope).unwrap();
            measure(&inputs, &codes.dequantize()).mse
        };
        assert!(error(Scope::Token) < 0.7 * error(Scope::Tensor), "{bits}");
    }
}

#[test]
fn a_static_range_clips_what_calibration_has_not_seen() {
    let mut observer = Observer::new(Method::MinMax, Shape::Symmetric, Grid::absmax(8)).unwrap();
    observer.observe(&[-1.0, 0.5]).unwrap();
    let range = observer.range().unwrap();
    let codes = fixed(&[0.5, 1.0, 3.0, -9.0], 4, &Grid::absmax(8), range).unwrap();
    assert_eq!(codes.codes, [64, 127, 127, -127]);
    let codes = fixed(&[0.0, 2.0], 1, &Grid::asymmetric(8), Range { low: 0.0, high: 1.0 }).unwrap();
    assert_eq!((&codes.codes[..], &codes.zero_points[..]), (&[-128, 127][..], &[-128, -128][..]));
    // the same range as a dynamic one gives the same codes
    let inputs = uniform(40, -1.0, "static");
    let low = inputs.iter().copied().fold(0.0, f32::min);
    let high = inputs.iter().copied().fold(0.0, f32::max);
    let grid = Grid::asymmetric(8);
    assert_eq!(
        fixed(&inputs, 8, &grid, Range { low, high }).unwrap(),
        dynamic(&inputs, 8, &grid, Scope::Tensor).unwrap()
    );
}

#[test]
fn the_longest_safe_row_does_not_overflow_and_a_longer_one_is_refused() {
    let grid = Grid::absmax(8);
    let safe = safe_columns(&grid, &grid);
    let ones = vec![1.0; safe + 1];
    let layer = IntegerLinear::new(&ones[1..], safe, &grid, &Fit::MinMax).unwrap();
    let output = layer.forward(&dynamic(&ones[1..], safe, &grid, Scope::Token).unwrap()).unwrap();
    assert!((output[0] / safe as f32 - 1.0).abs() < 1e-6, "{output:?}");
    let layer = IntegerLinear::new(&ones, safe + 1, &grid, &Fit::MinMax).unwrap();
    let error = layer.forward(&dynamic(&ones, safe + 1, &grid, Scope::Token).unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a row of 133145 columns could overflow 32-bit sums, safe up to 133144; split the layer's columns"
    );
}

#[test]
fn wrong_input_is_named() {
    let grid = Grid::absmax(8);
    let layer = IntegerLinear::new(&[1.0; 6], 3, &grid, &Fit::MinMax).unwrap();
    let codes = dynamic(&[1.0; 4], 2, &grid, Scope::Token).unwrap();
    assert_eq!(
        layer.forward(&codes).unwrap_err().to_string(),
        "activations of width 2 meet a layer of 3 columns; pass the inputs of this layer"
    );
    assert!(matches!(dynamic(&[f32::NAN], 1, &grid, Scope::Token), Err(ActivationError::Affine(_))));
    assert!(matches!(dynamic(&[1.0], 1, &Grid::absmax(9), Scope::Token), Err(ActivationError::Affine(_))));
    assert_eq!(layer.forward(&dynamic(&[], 3, &grid, Scope::Token).unwrap()).unwrap(), [0.0; 0]);
}
