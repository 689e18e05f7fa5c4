//! The adversaries against numbers of the reference programs' formulas and against finite differences.

use common::tensor::reverse_gradient;
use common::testing::{gradient_error, max_difference};
use proptest::prelude::*;
use tch::{Kind, Tensor};
use transfer_ner::adversary::{Discriminator, perturbation, released_perturbation};

/// Double precision and sums of four terms.
const EXACT: f64 = 1e-10;

fn logit(r: f64) -> f64 {
    (r / (1.0 - r)).ln()
}

/// Mean loss of two source sentences with r = 0.9, 0.6 and two target ones with r = 0.2, 0.7.
fn mean_loss(discriminator: Discriminator) -> f64 {
    let of = |r: [f64; 2], source: bool| {
        discriminator.loss(&Tensor::from_slice(&r.map(logit)), source).double_value(&[])
    };
    (of([0.9, 0.6], true) + of([0.2, 0.7], false)) / 2.0
}

#[test]
fn grad_equals_the_formula() {
    let grad = Discriminator::Grad { alpha: 0.25, gamma: 2.0 };
    let one = |r: f64, source: bool| grad.loss(&Tensor::from_slice(&[logit(r)]), source).double_value(&[]);
    let terms = [one(0.9, true), one(0.6, true), one(0.2, false), one(0.7, false)];
    let expected = [0.00026340128914, 0.02043302495064, 0.00669430653943, 0.44246000558978];
    for (term, expected) in terms.iter().zip(expected) {
        assert!((term - expected).abs() < EXACT, "{term} against {expected}");
    }
    assert!((mean_loss(grad) - 0.1174626846).abs() < EXACT);
    assert!((mean_loss(Discriminator::Plain) - 0.5108256238).abs() < EXACT);
}

#[test]
fn the_released_form_does_not_depend_on_alpha() {
    let logits = Tensor::from_slice(&[logit(0.9), logit(0.6), -0.3]);
    let of = |alpha: f64| {
        let released = Discriminator::GradReleased { alpha, gamma: 2.0 };
        assert!((mean_loss(released) - 0.0852072651).abs() < EXACT);
        let leaf = logits.copy().set_requires_grad(true);
        released.loss(&leaf, false).backward();
        leaf.grad()
    };
    for alpha in [0.25, 0.5, 0.9] {
        assert!(max_difference(&of(0.05), &of(alpha)) < 1e-15);
    }
}

#[test]
fn grad_with_even_weights_and_no_focus_is_half_of_the_plain_loss() {
    let grad = Discriminator::Grad { alpha: 0.5, gamma: 0.0 };
    assert!((mean_loss(grad) - 0.5 * mean_loss(Discriminator::Plain)).abs() < EXACT);
}

#[test]
fn gradients_of_the_discriminators_match_finite_differences() {
    let point = Tensor::from_slice(&[0.3, -1.2, 2.5, -0.1]);
    for text in ["plain", "grad:0.25:2", "grad:0.9:0.5", "grad-released:0.25:2"] {
        let discriminator: Discriminator = text.parse().unwrap();
        for source in [true, false] {
            let error = gradient_error(|logits| discriminator.loss(logits, source), &point);
            assert!(error < 1e-7, "{text}, source {source}: {error:e}");
        }
    }
}

#[test]
fn certain_discriminators_have_finite_losses_and_gradients() {
    for text in ["plain", "grad:0.25:2", "grad-released:0.25:2"] {
        let discriminator: Discriminator = text.parse().unwrap();
        let logits = Tensor::from_slice(&[-90.0_f32, 90.0, 0.0]).set_requires_grad(true);
        let loss = discriminator.loss(&logits, true);
        loss.backward();
        assert!(loss.double_value(&[]).is_finite() && logits.grad().isfinite().all().int64_value(&[]) == 1);
    }
}

#[test]
fn a_perturbation_has_length_epsilon_in_each_sentence() {
    let gradient = Tensor::from_slice(&[0.3, -0.1, 0.0, 0.4, 1.0, 0.0, 0.0, 0.0]).view([2, 2, 2]);
    let expected = Tensor::from_slice(&[2.94174203, -0.98058068, 0.0, 3.92232270, 5.0, 0.0, 0.0, 0.0]);
    assert!(max_difference(&perturbation(&gradient, 5.0).flatten(0, -1), &expected) < 5e-9);
    let none = perturbation(&Tensor::zeros([1, 3, 2], (Kind::Float, tch::Device::Cpu)), 5.0);
    assert_eq!(none.abs().max().double_value(&[]), 0.0);
    let tiny = perturbation(&(gradient.to_kind(Kind::Float) * 1e-30), 5.0);
    assert!(max_difference(&tiny.flatten(0, -1), &expected) < 1e-5);
}

#[test]
fn the_released_perturbation_is_longer_by_the_root_of_the_width() {
    let gradient = Tensor::arange(24, (Kind::Double, tch::Device::Cpu)).view([1, 2, 3, 4]) + 1.0;
    let length = |eta: &Tensor| eta.norm().double_value(&[]);
    assert!((length(&released_perturbation(&gradient, 5.0)) - 10.0).abs() < EXACT); // 5 · √4
    assert!((length(&perturbation(&gradient, 5.0)) - 5.0).abs() < EXACT);
}

#[test]
fn the_gradient_is_reversed_by_its_weight() {
    let x = Tensor::from_slice(&[1.5, -0.5]).set_requires_grad(true);
    let reversed = reverse_gradient(&x, 0.7);
    assert_eq!(reversed, x);
    (reversed * Tensor::from_slice(&[2.0, 3.0])).sum(Kind::Double).backward();
    assert!(max_difference(&x.grad(), &Tensor::from_slice(&[-1.4, -2.1])) < EXACT);
}

proptest! {
    #[test]
    fn texts_of_discriminators_come_back(alpha in 0.0..=1.0_f64, gamma in 0.0..9.0_f64) {
        for discriminator in [Discriminator::Grad { alpha, gamma }, Discriminator::GradReleased { alpha, gamma }] {
            prop_assert_eq!(discriminator.to_string().parse::<Discriminator>().unwrap(), discriminator);
        }
    }
}
