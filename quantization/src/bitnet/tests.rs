//! BitNet quantizers against their formulas, gradients in f64, lossless export.

use common::testing::{max_difference, torch_rng};
use tch::Device;

use super::*;

const F64: (Kind, Device) = (Kind::Double, Device::Cpu);

fn gradient_of(map: impl Fn(&Tensor) -> Tensor) -> (Tensor, Tensor) {
    let _rng = torch_rng(7);
    let x = Tensor::randn([6, 8], F64).set_requires_grad(true);
    let direction = Tensor::randn([6, 8], F64);
    (map(&x) * &direction).sum(Kind::Double).backward();
    (x.grad(), direction)
}

#[test]
fn every_quantizer_has_the_gradient_of_the_identity() {
    type Map = fn(&Tensor) -> Tensor;
    let maps: [Map; 5] =
        [ternary_weight, binary_weight, absmax_activation, binary_activation, shifted_activation];
    for map in maps {
        let (gradient, direction) = gradient_of(map);
        assert_eq!(max_difference(&gradient, &direction), 0.0);
    }
}

#[test]
fn codes_times_scale_are_the_weights_of_the_training_forward() {
    let _rng = torch_rng(8);
    let weight = Tensor::randn([16, 256], (Kind::Float, Device::Cpu)) * 0.03;
    let ternary = Ternary::absmean(&weight);
    let forward = Vec::<f32>::try_from(ternary_weight(&weight).flatten(0, -1)).unwrap();
    assert_eq!(ternary.values(), forward);
    assert!((0.2..0.4).contains(&ternary.zeros()), "{} of normal weights are 0", ternary.zeros());
}

/// TQ2_0 keeps, per 256 weights, the largest magnitude as f16 and `round(w / d) + 1` in two bits.
#[test]
fn ternary_weights_survive_tq2_0_up_to_the_half_precision_scale() {
    let _rng = torch_rng(9);
    let weight = Tensor::randn([16, 256], (Kind::Float, Device::Cpu)) * 0.03;
    let ternary = Ternary::absmean(&weight);
    let half = Tensor::from(ternary.scale).to_kind(Kind::Half).to_kind(Kind::Float).double_value(&[]);
    let values = ternary.values();
    let worst = values.chunks_exact(256).flat_map(|block| {
        let largest = block.iter().fold(0.0_f32, |largest, w| largest.max(w.abs()));
        block.iter().map(move |&w| f64::from((w / largest).round()) * half - f64::from(w))
    });
    let worst = worst.fold(0.0_f64, |worst, error| worst.max(error.abs()));
    assert!(worst <= f64::from(ternary.scale) * 2.0_f64.powi(-11), "{worst:e}");
    let raw = Vec::<f32>::try_from(weight.flatten(0, -1)).unwrap();
    let error = |decoded: &[f32]| decoded.iter().zip(&raw).map(|(d, w)| (d - w).powi(2)).sum::<f32>();
    let absmax: Vec<f32> = raw
        .chunks_exact(256)
        .flat_map(|block| {
            let largest = block.iter().fold(0.0_f32, |largest, w| largest.max(w.abs()));
            block.iter().map(move |w| (w / largest).round() * largest)
        })
        .collect();
    assert!(error(&absmax) > 2.0 * error(&values), "absmax should destroy latent weights");
}

#[test]
fn activations_use_the_whole_byte_per_token() {
    let x = Tensor::from_slice2(&[[1.0_f32, -0.5, 0.004], [100.0, 0.3, 0.0]]);
    let absmax = absmax_activation(&x);
    assert!(
        max_difference(&absmax.get(0), &Tensor::from_slice(&[1.0_f32, -64.0 / 127.0, 1.0 / 127.0])) < 1e-7
    );
    let b1 = binary_activation(&x);
    assert_eq!(Vec::<f32>::try_from(b1.get(0)).unwrap(), [127.0 / 128.0, -0.5, 1.0 / 128.0]);
    let shifted = shifted_activation(&x);
    assert_eq!(Vec::<f32>::try_from(shifted.get(0)).unwrap(), [127.0 / 128.0, 0.0, 65.0 / 128.0]);
}

#[test]
fn all_zero_input_stays_zero() {
    let zeros = Tensor::zeros([2, 4], (Kind::Float, Device::Cpu));
    for y in [absmax_activation(&zeros), binary_activation(&zeros), shifted_activation(&zeros)] {
        assert_eq!(y.abs().max().double_value(&[]), 0.0);
    }
    let ternary = Ternary::absmean(&zeros);
    assert_eq!((ternary.values(), ternary.zeros()), (vec![0.0; 8], 1.0));
}
