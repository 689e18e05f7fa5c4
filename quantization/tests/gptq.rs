//! GPTQ against the published algorithm, its identities, and layers that are hard to quantize.
#![allow(clippy::unwrap_used, reason = "a golden file that does not fit fails the test")]

use common::seed;
use proptest::prelude::*;
use quantization::affine::{Fit, Granularity, Grid, Shrink, quantize};
use quantization::gptq::{GptqError, Hessian, Options, Order, Solution, gptq};
use rand::Rng;
use serde_json::Value;

/// `count` values in [−1, 1).
fn uniform(count: usize, stream: &str) -> Vec<f32> {
    let mut rng = seed::rng(1, stream, 0);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Inputs whose neighbouring columns go together and whose sizes differ, as activations do.
fn inputs(rows: usize, width: usize) -> Vec<f32> {
    let mut values = uniform(rows * width, "inputs");
    for row in values.chunks_mut(width) {
        for j in 1..width {
            row[j] += 0.7 * row[j - 1];
        }
        row.iter_mut().enumerate().for_each(|(j, x)| *x *= 0.3 + ((j * 7) % 13) as f32 / 5.0);
    }
    values
}

fn hessian(inputs: &[f32], width: usize) -> Hessian {
    let mut hessian = Hessian::new(width);
    hessian.add(inputs).unwrap();
    hessian
}

fn floats(value: &Value) -> Vec<f32> {
    match value {
        Value::Array(values) => values.iter().flat_map(floats).collect(),
        other => vec![other.as_f64().unwrap() as f32],
    }
}

fn options_of(case: &Value) -> Options {
    let given = &case["options"];
    let flag = |name: &str| given[name].as_bool().unwrap_or(false);
    let bits = given["bits"].as_u64().unwrap() as u32;
    Options {
        grid: if flag("sym") { Grid::full_symmetric(bits) } else { Grid::asymmetric(bits) },
        fit: if flag("mse") { Fit::Mse(Shrink::gptq()) } else { Fit::MinMax },
        group_size: given["group"].as_u64().map(|size| size as usize),
        order: serde_json::from_value(given.get("order").cloned().unwrap_or("natural".into())).unwrap(),
        static_groups: flag("static"),
        damping: given["damp"].as_f64().unwrap_or(0.01),
        damping_increment: 0.0,
        block_size: given["block"].as_u64().unwrap_or(128) as usize,
    }
}

#[test]
fn codes_equal_those_of_the_published_algorithm() {
    let golden: Value = serde_json::from_str(include_str!("golden/gptq.json")).unwrap();
    let (weights, inputs) = (floats(&golden["weights"]), floats(&golden["inputs"]));
    let mut hessian = Hessian::new(48);
    let (first, second) = inputs.split_at(48 * golden["split"].as_u64().unwrap() as usize);
    hessian.add(first).unwrap();
    hessian.add(second).unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let name = &case["name"];
        let Solution { codes, scales, zero_points, group_of_column, loss, .. } =
            gptq(&weights, &hessian, &options_of(case)).unwrap();
        let expected: Vec<u8> = floats(&case["codes"]).iter().map(|x| *x as u8).collect();
        let different = codes.iter().zip(&expected).filter(|(a, b)| a != b).count();
        assert_eq!(different, 0, "{name}: {different} of {} codes differ", codes.len());
        for (found, expected) in scales.iter().zip(floats(&case["scales"])) {
            // later groups are fitted to compensated weights, which differ in the last bits
            assert!(
                (found - expected).abs() <= 1e-5 * expected,
                "{name}: scale {found} instead of {expected}"
            );
        }
        assert_eq!(
            zero_points.iter().map(|x| f32::from(*x)).collect::<Vec<_>>(),
            floats(&case["zeros"]),
            "{name}"
        );
        let groups: Vec<f32> = group_of_column.iter().map(|group| *group as f32).collect();
        assert_eq!(groups, floats(&case["g_idx"]), "{name}");
        let expected = case["loss"].as_f64().unwrap();
        assert!((loss / expected - 1.0).abs() < 1e-4, "{name}: loss {loss} instead of {expected}");
    }
}

#[test]
fn weights_that_lie_on_the_grid_stay_as_they_are() {
    // steps of 1/8, each row from −7/8 to 1: the asymmetric 4-bit grid has exactly these values
    let mut rng = seed::rng(1, "grid", 0);
    let width = 70;
    let mut weights: Vec<f32> = (0..9 * width).map(|_| rng.random_range(-7..=8) as f32 / 8.0).collect();
    for row in weights.chunks_mut(width) {
        row[3] = -7.0 / 8.0;
        row[50] = 1.0;
    }
    let solution = gptq(&weights, &hessian(&inputs(200, width), width), &Options::paper(4)).unwrap();
    assert_eq!(solution.weights, weights);
    assert_eq!(solution.loss, 0.0);
}

#[test]
fn more_bits_bring_the_result_to_the_weights() {
    let width = 64;
    let weights = uniform(8 * width, "weights");
    let hessian = hessian(&inputs(200, width), width);
    let error = |bits| gptq(&weights, &hessian, &Options::paper(bits)).unwrap().loss;
    for bits in 2..8 {
        let ratio = error(bits) / error(bits + 1);
        assert!((2.5..8.0).contains(&ratio), "a bit is worth a factor of about 4, not {ratio}");
    }
}

#[test]
fn a_diagonal_hessian_gives_round_to_nearest() {
    let width = 40;
    let weights = uniform(11 * width, "diagonal");
    let mut diagonal = vec![0.0; width * width];
    diagonal.iter_mut().step_by(width + 1).enumerate().for_each(|(i, x)| *x = 1.0 + i as f32);
    let hessian = hessian(&diagonal, width);
    for order in [Order::Natural, Order::Activation, Order::GroupAware] {
        for group_size in [None, Some(16)] {
            for fit in [Fit::MinMax, Fit::Mse(Shrink::gptq())] {
                let options = Options { group_size, order, fit, static_groups: true, ..Options::paper(3) };
                let granularity = group_size.map_or(Granularity::Channel, Granularity::Group);
                let nearest = quantize(&weights, width, &options.grid, granularity, &fit).unwrap();
                let solution = gptq(&weights, &hessian, &options).unwrap();
                assert_eq!(solution.codes, nearest.codes, "{options:?}");
                assert_eq!(solution.weights, nearest.dequantize());
            }
        }
    }
}

#[test]
fn the_block_size_changes_rounding_errors_only() {
    let width = 150;
    let weights = uniform(40 * width, "blocks");
    let hessian = hessian(&inputs(400, width), width);
    for options in [Options::paper(4), Options { static_groups: true, ..Options::grouped(3, 32) }] {
        let one = gptq(&weights, &hessian, &options).unwrap();
        for block_size in [1, 7, 32, 64, 150, 1000] {
            let other = gptq(&weights, &hessian, &Options { block_size, ..options }).unwrap();
            let different = one.codes.iter().zip(&other.codes).filter(|(a, b)| a != b).count();
            // a code that flips at a tie changes the rest of its row
            assert!(different <= one.codes.len() / 100, "{block_size}: {different} codes differ");
            assert!((one.loss / other.loss - 1.0).abs() < 2e-3, "{block_size}");
        }
    }
}

#[test]
fn the_loss_is_the_layers_error_in_the_damped_hessian() {
    let width = 50;
    let weights = uniform(20 * width, "loss");
    let hessian = hessian(&inputs(300, width), width);
    for order in [Order::Natural, Order::Activation] {
        let solution = gptq(&weights, &hessian, &Options { order, ..Options::paper(3) }).unwrap();
        let matrix = hessian.matrix();
        let mean = matrix.iter().step_by(width + 1).sum::<f64>() / width as f64;
        let squares: f64 =
            weights.iter().zip(&solution.weights).map(|(x, y)| f64::from(x - y).powi(2)).sum::<f64>();
        let error = hessian.layer_error(&weights, &solution.weights).unwrap() + squares * 0.01 * mean / 2.0;
        assert!((solution.loss / error - 1.0).abs() < 1e-4, "{} against {error}", solution.loss);
    }
}

#[test]
fn compensation_beats_rounding_to_nearest_and_finer_options_help() {
    let width = 128;
    let weights = uniform(64 * width, "better");
    let hessian = hessian(&inputs(512, width), width);
    for bits in [2, 3, 4, 8] {
        for grid in [Grid::asymmetric(bits), Grid::full_symmetric(bits), Grid::absmax(bits)] {
            for (group_size, granularity) in
                [(None, Granularity::Channel), (Some(32), Granularity::Group(32))]
            {
                for fit in [Fit::MinMax, Fit::Mse(Shrink::gptq())] {
                    let nearest = quantize(&weights, width, &grid, granularity, &fit).unwrap().dequantize();
                    let nearest = hessian.layer_error(&weights, &nearest).unwrap();
                    for order in [Order::Natural, Order::Activation, Order::GroupAware] {
                        let options = Options { grid, fit, group_size, order, ..Options::paper(bits) };
                        let solution = gptq(&weights, &hessian, &options).unwrap();
                        let error = hessian.layer_error(&weights, &solution.weights).unwrap();
                        assert!(error < 0.9 * nearest, "{options:?}: {error} against {nearest}");
                    }
                }
            }
        }
    }
}

#[test]
fn dead_columns_become_zero_and_are_listed() {
    let width = 20;
    let weights = uniform(5 * width, "dead");
    let mut inputs = inputs(60, width);
    inputs.chunks_mut(width).for_each(|row| (row[4], row[19]) = (0.0, 0.0));
    let options = Options { order: Order::Activation, ..Options::grouped(4, 8) };
    let solution = gptq(&weights, &hessian(&inputs, width), &options).unwrap();
    assert_eq!(solution.dead_columns, [4, 19]);
    for row in solution.weights.chunks(width) {
        assert_eq!((row[4], row[19]), (0.0, 0.0));
    }
    // all columns dead: nothing to keep
    let solution = gptq(&weights, &hessian(&vec![0.0; 3 * width], width), &Options::paper(4)).unwrap();
    assert!(solution.weights.iter().all(|x| *x == 0.0));
}

#[test]
fn fewer_inputs_than_columns_need_damping_only() {
    let width = 96;
    let weights = uniform(7 * width, "few");
    for rows in [1, 5, 95] {
        let hessian = hessian(&inputs(rows, width), width);
        let solution = gptq(&weights, &hessian, &Options::paper(4)).unwrap();
        assert_eq!(solution.damping, 0.01);
        assert!(solution.weights.iter().all(|x| x.is_finite()));
        let nearest =
            quantize(&weights, width, &Grid::asymmetric(4), Granularity::Channel, &Fit::MinMax).unwrap();
        let nearest = hessian.layer_error(&weights, &nearest.dequantize()).unwrap();
        assert!(hessian.layer_error(&weights, &solution.weights).unwrap() < nearest);
    }
}

#[test]
fn a_singular_hessian_raises_the_damping_or_is_refused() {
    let width = 6;
    let weights = uniform(2 * width, "singular");
    let hessian = hessian(&[1.0; 6], width); // rank 1, exact in floats
    let options = Options { damping: 0.0, ..Options::paper(4) };
    let solution = gptq(&weights, &hessian, &options).unwrap();
    assert_eq!(solution.damping, 0.0025, "the first increment is enough");
    let none = Options { damping_increment: 0.0, ..options };
    let floor = gptq(&weights, &hessian, &none).unwrap();
    assert!((floor.damping - 1e-6).abs() < 1e-12, "a floor of a millionth of the largest diagonal");
}

#[test]
fn results_do_not_depend_on_threads_or_on_the_cut_into_batches() {
    let width = 70;
    let weights = uniform(300 * width, "threads");
    let inputs = inputs(600, width);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| gptq(&weights, &hessian(&inputs, width), &Options::grouped(4, 32)).unwrap())
    };
    assert_eq!(run(1), run(3));
    let whole = hessian(&inputs, width);
    let mut pieces = Hessian::new(width);
    inputs.chunks(37 * width).for_each(|batch| pieces.add(batch).unwrap());
    assert_eq!(pieces.samples(), 600);
    for (a, b) in whole.matrix().iter().zip(pieces.matrix()) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

#[test]
fn the_hessian_is_the_plain_double_loop() {
    for (rows, width) in [(1, 1), (3, 5), (300, 33), (70, 131), (40, 290)] {
        let inputs = inputs(rows, width);
        let matrix = hessian(&inputs, width).matrix();
        for i in 0..width {
            for j in 0..width {
                let sum: f64 =
                    inputs.chunks(width).map(|row| f64::from(row[i]) * f64::from(row[j])).sum::<f64>();
                let expected = 2.0 * sum / rows as f64;
                let found = matrix[i * width + j];
                assert!(
                    (found - expected).abs() < 1e-5,
                    "[{i}, {j}] of {width}: {found} instead of {expected}"
                );
            }
        }
    }
}

#[test]
fn wrong_input_is_named() {
    let text = |error: GptqError| error.to_string();
    let mut hessian = Hessian::new(4);
    let paper = Options::paper(4);
    assert_eq!(
        text(gptq(&[0.0; 4], &hessian, &paper).unwrap_err()),
        "the Hessian has seen no calibration input; add at least one batch before quantizing"
    );
    assert_eq!(
        text(hessian.add(&[0.0; 6]).unwrap_err()),
        "a batch of 6 inputs does not fill rows of 4; pass `[rows, width]`, row after row"
    );
    assert_eq!(
        text(hessian.add(&[0.0, 0.0, 0.0, 0.0, 0.0, f32::NAN, 0.0, 0.0]).unwrap_err()),
        "calibration input [1, 1] is NaN, expected a finite number; drop that sample"
    );
    assert_eq!(hessian.samples(), 0);
    hessian.add(&inputs(9, 4)).unwrap();
    assert_eq!(
        text(gptq(&[0.0; 5], &hessian, &paper).unwrap_err()),
        "5 weights do not fill rows of 4 columns, the width of the calibration inputs; collect the inputs of this very layer"
    );
    assert_eq!(
        text(gptq(&[0.0, 1.0, f32::INFINITY, 0.0], &hessian, &Options::grouped(4, 2)).unwrap_err()),
        "weight 2 is inf, expected a finite number; mend the tensor before quantizing it"
    );
    assert_eq!(
        text(gptq(&[0.0; 4], &hessian, &Options::paper(9)).unwrap_err()),
        "9 bits are outside 1..=8; choose a width in that range"
    );
    assert_eq!(
        text(gptq(&[0.0; 4], &hessian, &Options { block_size: 0, ..paper }).unwrap_err()),
        "option `block_size` is 0, expected at least 1"
    );
    assert_eq!(
        text(gptq(&[0.0; 4], &hessian, &Options::grouped(4, 0)).unwrap_err()),
        "option `group_size` is 0, expected at least 1, or none for whole rows"
    );
    assert_eq!(
        text(gptq(&[0.0; 4], &hessian, &Options { damping: -1.0, ..paper }).unwrap_err()),
        "option `damping` is -1, expected a finite share, at least 0"
    );
    let mut huge = Hessian::new(2);
    huge.add(&[1e25, 0.0, 0.0, 1.0]).unwrap(); // the square overflows
    assert_eq!(
        text(gptq(&[1.0; 2], &huge, &paper).unwrap_err()),
        "the Hessian of 2 columns is not positive definite even with damping 0.01; \
         use more calibration inputs or check them for overflow"
    );
}

proptest! {
    #[test]
    fn codes_and_scales_give_the_weights(
        rows in 1usize..40,
        width in 1usize..50,
        group in 0usize..20,
        order in 0usize..3,
        static_groups in any::<bool>(),
        bits in 2u32..=8,
    ) {
        let weights = uniform(rows * width, "property");
        let order = [Order::Natural, Order::Activation, Order::GroupAware][order];
        let group_size = (group > 0).then_some(group);
        let options = Options { order, group_size, static_groups, ..Options::paper(bits) };
        let solution = gptq(&weights, &hessian(&inputs(30, width), width), &options).unwrap();
        let groups = width.div_ceil(group_size.unwrap_or(width).min(width));
        prop_assert_eq!(solution.scales.len(), rows * groups);
        for (i, weight) in solution.weights.iter().enumerate() {
            let place = i / width * groups + solution.group_of_column[i % width];
            let code = f32::from(solution.codes[i]);
            prop_assert_eq!(*weight, solution.scales[place] * (code - f32::from(solution.zero_points[place])));
        }
        let mut order = solution.order.clone();
        order.sort_unstable();
        prop_assert_eq!(order, (0..width).collect::<Vec<_>>());
        if options.order != Order::Activation || static_groups {
            prop_assert!(solution.group_of_column.is_sorted());
        }
    }

    #[test]
    fn rows_do_not_influence_each_other(rows in 1usize..140, bits in 2u32..=8) {
        let width = 24;
        let weights = uniform(rows * width, "rows");
        let hessian = hessian(&inputs(50, width), width);
        let all = gptq(&weights, &hessian, &Options::grouped(bits, 8)).unwrap();
        let last = gptq(&weights[(rows - 1) * width..], &hessian, &Options::grouped(bits, 8)).unwrap();
        prop_assert_eq!(&all.codes[(rows - 1) * width..], &last.codes[..]);
    }
}
