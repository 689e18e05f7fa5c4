//! Fake quantization: surrogate gradients, learned steps, the deployed integer layer.

use common::testing::{gradient_error, max_difference, torch_rng};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use super::*;

const F64: (Kind, Device) = (Kind::Double, Device::Cpu);
const GRID: Grid = Grid { low: -4, high: 3 };
const NEAREST: Option<&Tensor> = None;

fn vector(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.to_kind(Kind::Double).flatten(0, -1)).unwrap()
}

/// Gradients of `Σ direction · map(x, step)` towards `x` and `step`.
fn gradients(
    x: &Tensor,
    step: &Tensor,
    direction: &Tensor,
    map: impl Fn(&Tensor, &Tensor) -> Tensor,
) -> (Tensor, Tensor) {
    let (x, step) = (x.copy().set_requires_grad(true), step.copy().set_requires_grad(true));
    (map(&x, &step) * direction).sum(Kind::Double).backward();
    (x.grad(), step.grad())
}

#[test]
fn rounding_is_to_the_nearest_ties_to_even_and_clips() {
    let x = Tensor::from_slice(&[0.5, 1.5, 2.5, -0.5, -9.0, 9.0]);
    assert_eq!(vector(&codes(&x, &Tensor::from(1.0), GRID, NEAREST)), [0.0, 2.0, 2.0, 0.0, -4.0, 3.0]);
}

#[test]
fn straight_passes_all_gradients_and_clipped_only_those_inside() {
    let (x, step) = (Tensor::from_slice(&[0.3, -2.1, 1.4, 1.9]), Tensor::from(0.5));
    let direction = Tensor::from_slice(&[1.0, -2.0, 3.0, 4.0]);
    let (inside, _) = gradients(&x, &step, &direction, |x, s| straight(x, s, GRID, NEAREST));
    assert_eq!(vector(&inside), [1.0, -2.0, 3.0, 4.0]);
    let (inside, _) = gradients(&x, &step, &direction, |x, s| clipped(x, s, GRID, NEAREST));
    assert_eq!(vector(&inside), [1.0, 0.0, 3.0, 0.0]);
}

#[test]
fn learned_step_has_the_gradient_of_lsq() {
    let _rng = torch_rng(1);
    let x = Tensor::randn([3, 1, 16], F64);
    let step = Tensor::from_slice(&[0.2, 0.3, 0.9]).view([3, 1, 1]);
    let direction = Tensor::randn([3, 1, 16], F64);
    let (to_x, to_step) = gradients(&x, &step, &direction, |x, s| learned_step(x, s, GRID, NEAREST));
    let scale = 1.0 / (16.0 * 3.0_f64).sqrt();
    for row in 0..3 {
        let s = step.double_value(&[row, 0, 0]);
        let mut expected = 0.0;
        for column in 0..16 {
            let (value, weight) =
                (x.double_value(&[row, 0, column]), direction.double_value(&[row, 0, column]));
            let scaled = value / s;
            let inside = (-4.0..=3.0).contains(&scaled);
            let slope = if inside { scaled.round_ties_even() - scaled } else { scaled.clamp(-4.0, 3.0) };
            expected += weight * slope * scale;
            let towards_x = to_x.double_value(&[row, 0, column]);
            assert!((towards_x - if inside { weight } else { 0.0 }).abs() < 1e-12);
        }
        assert!((to_step.double_value(&[row, 0, 0]) - expected).abs() < 1e-12);
    }
}

/// Where everything is clipped, `w̃ = step · bound` is smooth in the step and the surrogate is the true gradient.
#[test]
fn learned_step_matches_finite_differences_outside_the_range() {
    let x = Tensor::from_slice(&[5.0, -7.0, 9.0]).view([1, 1, 3]);
    let direction = Tensor::from_slice(&[0.3, 1.1, -0.4]).view([1, 1, 3]);
    let scale = (3.0 * 3.0_f64).sqrt(); // undoes LSQ's own scale
    let surrogate = |s: &Tensor| (learned_step(&x, s, GRID, NEAREST) * &direction).sum(Kind::Double) * scale;
    let leaf = Tensor::from_slice(&[0.5]).view([1, 1, 1]).set_requires_grad(true);
    surrogate(&leaf).backward();
    let true_slope = 3.0 * 0.3 - 4.0 * 1.1 + 3.0 * -0.4;
    assert!((leaf.grad().double_value(&[0, 0, 0]) - true_slope).abs() < 1e-12);
    let error = gradient_error(
        |s| (clipped(&(s * 10.0), &Tensor::from(1.0), GRID, NEAREST)).sum(Kind::Double),
        &Tensor::from_slice(&[0.9, -0.7]),
    );
    assert!(error < 1e-7, "constant where clipped: {error:e}");
}

#[test]
fn the_searched_step_is_never_worse_than_absmax() {
    let _rng = torch_rng(2);
    let x = Tensor::randn([8, 1, 64], F64);
    for bits in [2, 3, 4, 8] {
        let error = |step: &Tensor, grid| {
            (codes(&x, step, grid, NEAREST) * step - &x).square().mean(Kind::Double).double_value(&[])
        };
        let (full, symmetric) = (Grid::full(bits), Grid::symmetric(bits));
        let absmax = surrogate::absmax_step(&x, &[-1], symmetric);
        let searched = error(&searched_step(&x, full), full);
        assert!(searched <= error(&absmax, symmetric), "{bits} bits");
    }
}

#[test]
fn stochastic_rounding_is_unbiased() {
    use rand::SeedableRng;
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
    let x = Tensor::full([40_000], 0.3, F64);
    let noise = surrogate::uniform_noise(&x, &mut rng);
    let mean = codes(&x, &Tensor::from(1.0), GRID, Some(&noise)).mean(Kind::Double).double_value(&[]);
    assert!((mean - 0.3).abs() < 0.01, "{mean}");
}

fn quantizer(config: WeightConfig, weight: &Tensor) -> (VarStore, WeightQuantizer) {
    let mut store = VarStore::new(Device::Cpu);
    let quantizer = WeightQuantizer::new(&store.root(), weight, config);
    if weight.kind() == Kind::Double {
        store.double();
    }
    (store, quantizer)
}

#[test]
fn the_integer_layer_equals_the_fake_quantized_one() {
    let _rng = torch_rng(4);
    let weight = Tensor::randn([12, 32], (Kind::Float, Device::Cpu)) * 0.1;
    let x = Tensor::randn([5, 32], (Kind::Float, Device::Cpu));
    let activations = ActivationConfig { bits: 8, range: RangeRule::PerToken };
    let store = VarStore::new(Device::Cpu);
    let quantized_x = ActivationQuantizer::new(&store.root(), activations).forward(&x, false);
    let tokens = QuantizedRows::per_token(&Vec::<f32>::try_from(x.flatten(0, -1)).unwrap(), 32, 8);
    for granularity in [Granularity::Tensor, Granularity::Channel, Granularity::Group(8)] {
        for step in [StepRule::Absmax, StepRule::Searched, StepRule::Learned, StepRule::Frozen { after: 2 }] {
            let config = WeightConfig { granularity, step, ..WeightConfig::absmax(4) };
            let (_store, quantizer) = quantizer(config, &weight);
            let expected = quantized_x.matmul(&quantizer.forward(&weight, None).tr());
            let (codes, steps) = quantizer.deployed(&weight);
            let codes = vector(&codes).into_iter().map(|code| code as i8).collect();
            let rows: Vec<f32> = match granularity {
                Granularity::Tensor => vec![steps.double_value(&[0, 0, 0]) as f32; 12],
                _ => Vec::try_from(steps.flatten(0, -1)).unwrap(),
            };
            let layer = DeployedLinear::new(codes, rows.clone(), 12, rows.len() / 12).unwrap();
            let actual = Tensor::from_slice(&layer.forward(&tokens).unwrap()).view([5, 12]);
            let off = max_difference(&actual, &expected) / expected.abs().max().double_value(&[]);
            assert!(off < 1e-6, "{granularity:?} {step:?}: {off:e}");
        }
    }
}

#[test]
fn frozen_ranges_move_for_their_steps_only() {
    use rand::SeedableRng;
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(5);
    let weight = Tensor::from_slice2(&[[1.0_f32, -7.0]]);
    let config = WeightConfig { step: StepRule::Frozen { after: 1 }, ..WeightConfig::absmax(4) };
    let (_store, quantizer) = quantizer(config, &weight);
    let larger = &weight * 2.0;
    assert_eq!(vector(&quantizer.forward(&larger, Some(&mut rng))), [2.0, -14.0]);
    assert_eq!(vector(&quantizer.forward(&(&larger * 2.0), Some(&mut rng))), [4.0, -14.0]);
    let range = ActivationConfig { bits: 4, range: RangeRule::Frozen { after: 2 } };
    let store = VarStore::new(Device::Cpu);
    let activations = ActivationQuantizer::new(&store.root(), range);
    for x in [7.0_f32, 17.0, 700.0] {
        let _ = activations.forward(&Tensor::from_slice(&[x]), true);
    }
    let clipped = activations.forward(&Tensor::from_slice(&[1000.0_f32]), false);
    assert!((clipped.double_value(&[0]) - 8.0).abs() < 1e-5, "0.9·7 + 0.1·17 = 8: {clipped:?}");
}

#[test]
fn a_learned_activation_step_starts_from_the_first_batch() {
    let range = ActivationConfig { bits: 3, range: RangeRule::Learned };
    let store = VarStore::new(Device::Cpu);
    let activations = ActivationQuantizer::new(&store.root(), range);
    let x = Tensor::from_slice(&[1.0_f32, -1.0, 2.0, 0.0]); // 2·1/√3 = 1.1547
    let y = activations.forward(&x, true);
    let step = 2.0 / 3.0_f64.sqrt();
    assert!(max_difference(&y, &Tensor::from_slice(&[step, -step, 2.0 * step, 0.0])) < 1e-6);
    y.sum(Kind::Float).backward();
    assert!(store.variables()["activation_step_ratio"].grad().defined());
}

#[test]
fn layers_of_other_lengths_are_refused() {
    let message = DeployedLinear::new(vec![1; 8], vec![1.0; 3], 2, 2).unwrap_err().to_string();
    assert_eq!(message, "scales has 3 entries, expected 4");
}

#[test]
fn grids_have_the_codes_of_their_bits() {
    assert_eq!(Grid::symmetric(2), Grid { low: -1, high: 1 });
    assert_eq!(Grid::full(4), Grid { low: -8, high: 7 });
}

#[test]
fn bits_and_groups_are_checked_by_name() {
    let mut config = FakeQuantConfig { weights: WeightConfig::absmax(9), activations: None };
    assert_eq!(config.check(8).unwrap_err().to_string(), "`weights.bits` is 9, expected 2 to 8");
    config.weights = WeightConfig { granularity: Granularity::Group(3), ..WeightConfig::absmax(4) };
    let expected = "`group` is 3, expected a positive divisor of the row length 8";
    assert_eq!(config.check(8).unwrap_err().to_string(), expected);
}
