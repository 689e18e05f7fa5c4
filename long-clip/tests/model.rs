//! The model and its training step, on a tiny one.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod toy;

use common::testing::{max_difference, torch_rng};
use long_clip::model::{Clip, ModelError, normalised};
use long_clip::pcm::AxesGradient;
use long_clip::position::PositionTable;
use long_clip::step::{Batch, Objective, Optimiser, ShortObjective, StepError, gradients};
use long_clip::stretch::Stretch;
use tch::{Device, Kind, Tensor};

const VOCABULARY: usize = 60;

fn model() -> Clip {
    Clip::new(toy::config(VOCABULARY), Device::Cpu).unwrap()
}

fn texts(lengths: &[usize]) -> Vec<Vec<i64>> {
    let text = |(row, &length): (usize, &usize)| {
        let mut ids: Vec<i64> = (0..length).map(|place| ((place * 7 + row * 13) % 58) as i64).collect();
        ids[length - 1] = 59;
        ids
    };
    lengths.iter().enumerate().map(text).collect()
}

#[test]
fn texts_have_the_same_features_alone_and_in_any_batch() {
    let _rng = torch_rng(1);
    let _guard = tch::no_grad_guard();
    let model = model();
    let batch = texts(&[5, 77, 2, 5, 30, 1, 5]);
    let together = model.encode_text(&batch).unwrap();
    for (row, text) in batch.iter().enumerate() {
        let alone = model.encode_text(std::slice::from_ref(text)).unwrap();
        assert!(max_difference(&alone.get(0), &together.get(row as i64)) < 1e-5, "text {row}");
    }
    assert_eq!(model.encode_text(&[]).unwrap().size(), [0, 16]);
}

#[test]
fn images_have_the_same_features_alone_and_in_a_batch() {
    let _rng = torch_rng(2);
    let _guard = tch::no_grad_guard();
    let model = model();
    let images = Tensor::randn([3, 3, 16, 16], (Kind::Float, Device::Cpu));
    let together = model.encode_image(&images).unwrap();
    for row in 0..3 {
        let alone = model.encode_image(&images.narrow(0, row, 1)).unwrap();
        assert!(max_difference(&alone.get(0), &together.get(row)) < 1e-5);
    }
}

#[test]
fn input_that_no_model_takes_is_named() {
    let model = model();
    let message = |texts: &[Vec<i64>]| model.encode_text(texts).unwrap_err().to_string();
    assert_eq!(
        message(&texts(&[3, 78])),
        "text 1 has 78 tokens, the model has 77 positions: cut it, or stretch the model with `stretch`"
    );
    assert_eq!(message(&[vec![]]), "text 0 has no tokens; every text has at least a start and an end token");
    assert_eq!(
        message(&[vec![60]]),
        "text 0 has the token 60, the model knows 0 to 59: do tokenizer and model belong together?"
    );
    let images = Tensor::zeros([1, 3, 16, 8], (Kind::Float, Device::Cpu));
    let error = model.encode_image(&images).unwrap_err();
    assert_eq!(error, ModelError::Images { found: vec![1, 3, 16, 8], px: 16 });
}

#[test]
fn weights_start_as_the_reference_draws_them() {
    let _rng = torch_rng(3);
    let mut config = toy::config(2000);
    (config.text.width, config.vision.width, config.embed_dim) = (256, 256, 128);
    let model = Clip::new(config, Device::Cpu).unwrap();
    let deviation = |name: &str| model.store.variables()[name].std(false).double_value(&[]);
    // OpenAI's `initialize_parameters` for two layers of width 256, and PyTorch's defaults of the image tower.
    let expected = [
        ("token_embedding.weight", 0.02),
        ("positional_embedding", 0.01),
        ("transformer.resblocks.0.attn.in_proj_weight", 1.0 / 16.0),
        ("transformer.resblocks.1.attn.out_proj.weight", 1.0 / 32.0),
        ("transformer.resblocks.0.mlp.c_proj.weight", 1.0 / 32.0),
        ("transformer.resblocks.0.mlp.c_fc.weight", 1.0 / 512.0_f64.sqrt()),
        ("text_projection", 1.0 / 16.0),
        ("visual.proj", 1.0 / 16.0),
        ("visual.conv1.weight", 1.0 / (3.0 * 192.0_f64).sqrt()),
        ("visual.transformer.resblocks.0.attn.in_proj_weight", (2.0 / 1024.0_f64).sqrt()),
    ];
    for (name, value) in expected {
        assert!((deviation(name) / value - 1.0).abs() < 0.03, "{name}: {} against {value}", deviation(name));
    }
    assert!((model.scale().double_value(&[]) - 1.0 / 0.07).abs() < 1e-4);
}

fn objective(components: Option<i64>) -> Objective {
    let short = ShortObjective { weight: 1.0, components, gradient: AxesGradient::Full };
    Objective { short: Some(short), label_smoothing: 0.1, frozen_positions: 20, largest_scale: Some(100.0) }
}

#[test]
fn frozen_positions_stay_bit_by_bit_and_the_others_move() {
    let _rng = torch_rng(4);
    let mut model = model().with_positions(&Stretch::paper().apply(&model().positions()).unwrap());
    let before = model.positions();
    let images = Tensor::randn([6, 3, 16, 16], (Kind::Float, Device::Cpu));
    let (long, short) = (texts(&[40, 60, 80, 33, 120, 248]), texts(&[8, 9, 10, 5, 6, 7]));
    let objective = objective(Some(3));
    let mut optimiser = Optimiser::new(&mut model, &objective, 0.1);
    for _ in 0..3 {
        optimiser.zero_grad();
        gradients(&model, &Batch { images: &images, long: &long, short: &short }, &objective).unwrap();
        optimiser.step(&model, 1e-2);
    }
    let after = model.positions();
    let same = |row: usize| PositionTable::row(&before, row) == after.row(row);
    assert!((0..20).all(same) && !(20..248).any(same));
}

#[test]
fn as_many_components_as_a_batch_has_give_the_plain_loss_step_for_step() {
    let run = |components: Option<i64>| {
        let _rng = torch_rng(5);
        let mut model = model();
        let images = Tensor::randn([6, 3, 16, 16], (Kind::Float, Device::Cpu));
        let (long, short) = (texts(&[40, 60, 77, 33, 20, 21]), texts(&[8, 9, 10, 5, 6, 7]));
        let objective = objective(components);
        let mut optimiser = Optimiser::new(&mut model, &objective, 0.01);
        let step = |_| {
            optimiser.zero_grad();
            let batch = Batch { images: &images, long: &long, short: &short };
            let losses = gradients(&model, &batch, &objective).unwrap();
            optimiser.step(&model, 1e-3);
            losses
        };
        (0..4).map(step).collect::<Vec<_>>()
    };
    assert_eq!(run(Some(5)), run(None));
    assert_ne!(run(Some(2)), run(None));
}

#[test]
fn the_scale_is_bounded_and_divergence_is_named() {
    let _rng = torch_rng(6);
    let mut model = model();
    let images = Tensor::randn([4, 3, 16, 16], (Kind::Float, Device::Cpu));
    let long = texts(&[4, 5, 6, 7]);
    let objective = Objective::contrastive();
    let batch = Batch { images: &images, long: &long, short: &[] };
    let mut optimiser = Optimiser::new(&mut model, &objective, 0.0);
    {
        let _guard = tch::no_grad_guard();
        let _ = model.logit_scale.shallow_clone().fill_(9.0);
    }
    gradients(&model, &batch, &objective).unwrap();
    optimiser.step(&model, 1e-6);
    assert!(model.scale().double_value(&[]) <= 100.0 * (1.0 + 1e-6));
    {
        let _guard = tch::no_grad_guard();
        let _ = model.logit_scale.shallow_clone().fill_(f64::NAN);
    }
    let error = gradients(&model, &batch, &objective).unwrap_err().to_string();
    assert_eq!(error, "the loss of the long texts is NaN: training has diverged; lower the learning rate");
    let error = gradients(&model, &Batch { long: &long[..3], ..batch }, &objective).unwrap_err();
    assert_eq!(error, StepError::Counts { images: 4, long: 3, short: 0 });
}

#[test]
fn normalised_rows_have_length_one() {
    let rows = normalised(&Tensor::from_slice2(&[[3.0, 4.0], [-0.5, 0.0]]));
    assert_eq!(Vec::<Vec<f64>>::try_from(&rows).unwrap(), [[0.6, 0.8], [-1.0, 0.0]]);
}
