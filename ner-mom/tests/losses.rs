//! Losses against values computed by hand in f64, against finite differences, and against their definitions.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use common::testing::{gradient_error, torch_rng};
use ner_mom::experiment::identity_error;
use ner_mom::loss::{Context, Loss, inverse_frequency};
use proptest::prelude::*;
use tch::{Device, Kind, Tensor};

/// Four words, three classes.
const LOGITS: [f64; 12] = [2.0, 0.5, -1.0, 0.1, 0.2, 0.3, -0.5, 1.5, 0.0, 1.0, 1.0, -2.0];
const GOLD: [i64; 4] = [0, 2, 1, 0];

fn logits() -> Tensor {
    Tensor::from_slice(&LOGITS).view([4, 3])
}

fn context(weights: &[f64], words: &[usize]) -> Context {
    Context::new(&Tensor::from_slice(weights), words)
}

fn value(loss: &str, context: &Context) -> f64 {
    let loss: Loss = loss.parse().unwrap();
    loss.forward(&logits(), &Tensor::from_slice(&GOLD), context).double_value(&[])
}

fn near(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() < tolerance, "{found} instead of {expected}");
}

#[test]
fn losses_equal_the_hand_computed_values() {
    let plain = context(&[1.0; 3], &[4]);
    for (loss, expected) in [
        ("ce", 0.5668364439),
        ("mom:ce:0.5", 0.4032991239),
        ("mom:ce:1", 0.5668364439),
        ("mom:ce:0.2:majority", 0.4969861749),
        ("mom:ce:0.5:majority", 0.5231800258),
        ("focal:1", 0.2835565306),
        ("focal:2", 0.1554845981),
        ("focal:4", 0.0530172244),
        ("dice:per_element", 0.4762014143),
        ("dice:set_level", 0.3058175784),
    ] {
        near(value(loss, &plain), expected, 1e-9);
    }
    // These two were published with λ rounded to f32.
    near(value("mom:ce:0.2", &plain), 0.3051767, 1e-7);
    near(value("mom:ce:0.8", &plain), 0.5014215, 1e-7);
}

#[test]
fn inverse_frequency_weights_equal_the_hand_computed_value() {
    let weights = inverse_frequency(&[80, 15, 5]);
    near(weights[0], 0.4166666667, 1e-9);
    near(value("wce1", &context(&weights, &[4])), 0.7981727108, 1e-9);
}

#[test]
fn the_normaliser_only_scales_the_majority_term() {
    let term = |loss: &str, words: &[usize]| {
        let context = context(&[1.0; 3], words);
        value(loss, &context) - 0.5 * value("ce", &context)
    };
    let words = term("mom:ce:0.5", &[3, 1]);
    near(term("mom:ce:0.5:longest", &[3, 1]), words * 4.0 / 3.0, 1e-12);
    near(term("mom:ce:0.5:padded", &[3, 1]), words * 4.0 / 6.0, 1e-12);
}

#[test]
fn mom_over_cross_entropy_is_a_reweighted_cross_entropy() {
    for lambda in [0.1, 0.3, 0.5, 0.9, 1.0] {
        let error = identity_error(lambda);
        assert!(error < 1e-12, "λ = {lambda}: {error:e}");
    }
}

#[test]
fn gradients_match_finite_differences() {
    let gold = Tensor::from_slice(&GOLD);
    for loss in [
        "ce",
        "wce1",
        "wce2:0.3",
        "focal:2",
        "focal:0.5",
        "dice:per_element",
        "dice:set_level",
        "dice:reference",
        "mom:ce:0.5",
        "mom:focal:2:0.3",
        "mom:wce2:0.2:0.5",
        "mom:dice:per_element:0.4",
        "mom:dice:set_level:0.4",
        "mom:ce:0.2:longest",
        "mom:ce:0.2:majority",
    ] {
        let parsed: Loss = loss.parse().unwrap();
        let context = context(&[0.4, 2.2, 6.7], &[3, 1]);
        let error = gradient_error(|logits| parsed.forward(logits, &gold, &context), &logits());
        assert!(error < 1e-6, "{loss}: relative error {error:e}");
    }
}

#[test]
fn batches_of_one_side_and_extreme_scores_stay_finite() {
    let _rng = torch_rng(1);
    for loss in [
        "ce",
        "wce1",
        "focal:2",
        "dice:per_element",
        "dice:set_level",
        "mom:ce:0.5",
        "mom:dice:set_level:0.5",
        "mom:focal:2:0.5:majority",
    ] {
        let parsed: Loss = loss.parse().unwrap();
        for gold in [[0_i64, 0, 0], [1, 2, 1]] {
            let logits =
                (Tensor::randn([3, 3], (Kind::Float, Device::Cpu)).sign() * 1e4).set_requires_grad(true);
            let value = parsed.forward(&logits, &Tensor::from_slice(&gold), &context(&[1.0; 3], &[3]));
            value.backward();
            let finite = value.isfinite().all().logical_and(&logits.grad().isfinite().all());
            assert!(finite.int64_value(&[]) == 1, "{loss} {gold:?}");
        }
    }
}

#[test]
fn what_is_no_loss_is_refused_with_the_forms_that_are() {
    for text in
        ["", "mom", "mom:ce", "mom:ce:0", "mom:ce:1.5", "mom:mom:ce:0.5:0.5", "focal:x", "wce2:-1", "dice"]
    {
        let error = text.parse::<Loss>().unwrap_err().to_string();
        assert!(error.starts_with(&format!("`{text}` is not a loss; expected ce, wce1")), "{error}");
    }
}

proptest! {
    #[test]
    fn a_loss_reads_back_as_it_was_written(lambda in 0.01_f64..1.0, gamma in 0.0_f64..5.0) {
        for text in [format!("mom:focal:{gamma}:{lambda}"), format!("mom:wce1:{lambda}:longest"), format!("focal:{gamma}")] {
            let loss: Loss = text.parse().unwrap();
            prop_assert_eq!(loss.to_string(), text);
        }
    }

    #[test]
    fn the_order_of_words_does_not_change_a_loss(shift in 1_usize..4) {
        let order: Vec<i64> = (0..4).map(|i| ((i + shift) % 4) as i64).collect();
        let order = Tensor::from_slice(&order);
        let context = context(&[0.4, 2.2, 6.7], &[4]);
        for loss in ["wce1", "mom:focal:2:0.3", "dice:set_level", "mom:dice:reference:0.5"] {
            let parsed: Loss = loss.parse().unwrap();
            let moved = parsed.forward(&logits().index_select(0, &order), &Tensor::from_slice(&GOLD).index_select(0, &order), &context);
            prop_assert!((moved.double_value(&[]) - value(loss, &context)).abs() < 1e-12);
        }
    }
}
