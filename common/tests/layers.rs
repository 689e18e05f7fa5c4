//! Layers and optimiser against PyTorch.
#![cfg(feature = "tensor")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use common::nn::char_cnn::CharCnn;
use common::nn::checkpoint::named;
use common::nn::linear::Linear;
use common::nn::lstm::Lstm;
use common::optim::{AdamW, AdamWConfig, ScheduleFree, ScheduleFreeConfig, clip_grad_norm};
use common::testing::{golden, golden_tensor, max_difference, torch_rng};
use serde_json::Value;
use tch::nn::{Init, VarStore};
use tch::{Device, Kind, Tensor};

/// Same operations in f64, in another order.
const SAME: f64 = 1e-12;

fn layers() -> Value {
    golden(env!("CARGO_MANIFEST_DIR"), "layers.json")
}

/// Copies golden parameters into a store of the same names.
fn fill(store: &mut VarStore, parameters: &Value) {
    store.double();
    let _guard = tch::no_grad_guard();
    let variables = named(store);
    assert_eq!(variables.len(), parameters.as_object().unwrap().len());
    for (name, mut variable) in variables {
        variable.copy_(&golden_tensor(&parameters[&name]));
    }
}

#[test]
fn the_lstm_equals_packed_pytorch_forward_and_backward() {
    let golden = &layers()["lstm"];
    let mut store = VarStore::new(Device::Cpu);
    let lstm = Lstm::new(&store.root(), 3, 4, 2, 0.0);
    fill(&mut store, &golden["parameters"]);
    let input = golden_tensor(&golden["input"]).set_requires_grad(true);
    let output = lstm.forward(&input, &[5, 3, 1], true);
    let keep = Tensor::from_slice(&[5_i64, 3, 1])
        .view([3, 1, 1])
        .gt_tensor(&Tensor::arange(5, (Kind::Int64, Device::Cpu)).view([1, 5, 1]));
    let output = output * keep;
    assert!(max_difference(&output, &golden_tensor(&golden["output"])) < SAME);
    let weights =
        Tensor::linspace(-1.0, 1.0, output.numel() as i64, (Kind::Double, Device::Cpu)).view_as(&output);
    (output * weights).sum(Kind::Double).backward();
    assert!(max_difference(&input.grad(), &golden_tensor(&golden["input_gradient"])) < SAME);
    for (name, variable) in named(&store) {
        assert!(
            max_difference(&variable.grad(), &golden_tensor(&golden["gradients"][&name])) < SAME,
            "{name}"
        );
    }
}

#[test]
fn padding_changes_no_state_of_the_lstm() {
    let _rng = torch_rng(5);
    let store = VarStore::new(Device::Cpu);
    let lstm = Lstm::new(&store.root(), 3, 4, 1, 0.0);
    let input = Tensor::randn([1, 4, 3], (Kind::Float, Device::Cpu));
    let padded =
        Tensor::cat(&[input.shallow_clone(), Tensor::randn([1, 3, 3], (Kind::Float, Device::Cpu))], 1);
    let alone = lstm.forward(&input, &[4], false);
    let beside = lstm.forward(&padded, &[4], false).narrow(1, 0, 4);
    assert!(max_difference(&alone, &beside) < 1e-6);
}

#[test]
fn the_character_cnn_equals_pytorch() {
    let golden = &layers()["char_cnn"];
    let mut store = VarStore::new(Device::Cpu);
    let cnn = CharCnn::new(&store.root(), 7, 3, 5, 3);
    fill(&mut store, &golden["parameters"]);
    let ids: Vec<Vec<i64>> = serde_json::from_value(golden["ids"].clone()).unwrap();
    let found = cnn.forward(&Tensor::from_slice2(&ids));
    assert!(max_difference(&found, &golden_tensor(&golden["output"])) < SAME);
}

#[test]
fn adamw_equals_pytorch_over_twenty_steps() {
    let golden = &layers()["adamw"];
    let mut store = VarStore::new(Device::Cpu);
    let weight = store.root().var("weight", &[2, 3], Init::Const(0.0));
    let bias = store.root().var("bias", &[2], Init::Const(0.0));
    fill(&mut store, &golden["start"]);
    let mut optimiser = AdamW::new(&store, AdamWConfig { weight_decay: 0.1, ..AdamWConfig::adam() });
    let (data, target) = (golden_tensor(&golden["data"]), golden_tensor(&golden["target"]));
    let step = |optimiser: &mut AdamW| {
        optimiser.zero_grad();
        (data.linear(&weight, Some(&bias)) - &target).square().mean(Kind::Double).backward();
        optimiser.step(0.05);
    };
    for _ in 0..10 {
        step(&mut optimiser);
    }
    // The second half with a fresh optimiser and the saved state: resuming changes nothing.
    let state: Vec<(String, Tensor)> = optimiser.state().iter().map(|(n, t)| (n.clone(), t.copy())).collect();
    let mut resumed = AdamW::new(&store, AdamWConfig { weight_decay: 0.1, ..AdamWConfig::adam() });
    resumed.load_state(&state).unwrap();
    for _ in 0..10 {
        step(&mut resumed);
    }
    for (name, variable) in named(&store) {
        assert!(max_difference(&variable, &golden_tensor(&golden["end"][&name])) < SAME, "{name}");
    }
}

#[test]
fn schedule_free_adamw_equals_the_package_and_resumes_bit_by_bit() {
    let golden = golden(env!("CARGO_MANIFEST_DIR"), "schedule_free.json");
    let mut store = VarStore::new(Device::Cpu);
    let weight = store.root().var("weight", &[3, 2], Init::Const(0.0));
    let bias = store.root().var("bias", &[3], Init::Const(0.0));
    store.double();
    let start = Tensor::arange(9, (Kind::Double, Device::Cpu)).cos();
    tch::no_grad(|| {
        weight.shallow_clone().copy_(&start.narrow(0, 0, 6).view([3, 2]));
        bias.shallow_clone().copy_(&start.narrow(0, 6, 3));
    });
    let config = ScheduleFreeConfig { weight_decay: 0.1, warmup_steps: 4, ..ScheduleFreeConfig::new(0.05) };
    let mut optimiser = ScheduleFree::new(&store, config);
    let check = |place: &Value| {
        assert!(max_difference(&weight, &golden_tensor(&place["weight"])) < SAME);
        assert!(max_difference(&bias, &golden_tensor(&place["bias"])) < SAME);
    };
    for t in 0..20 {
        if t == 10 {
            let state: Vec<_> = optimiser.state().iter().map(|(n, s)| (n.clone(), s.copy())).collect();
            optimiser = ScheduleFree::new(&store, config);
            optimiser.load_state(&state).unwrap();
        }
        let g = (Tensor::arange(9, (Kind::Double, Device::Cpu)) * 1.3 + f64::from(t)).sin();
        optimiser.zero_grad();
        let at_weight = (&weight * g.narrow(0, 0, 6).view([3, 2])).sum(Kind::Double);
        (at_weight + (&bias * g.narrow(0, 6, 3) / 2.0).sum(Kind::Double)).backward();
        optimiser.step();
        let place = &golden["steps"][(t + 1).to_string()];
        if !place.is_null() {
            check(place);
        }
    }
    let trained = weight.detach().copy();
    optimiser.begin_evaluation();
    check(&golden["average"]);
    optimiser.end_evaluation();
    assert_eq!(weight.detach(), trained);
}

#[test]
fn a_parameter_without_part_in_the_loss_stays_where_it_is() {
    let store = VarStore::new(Device::Cpu);
    let used = store.root().var("used", &[1], Init::Const(1.0));
    let unused = store.root().var("unused", &[1], Init::Const(1.0));
    let mut optimiser = AdamW::new(&store, AdamWConfig::adam());
    let mut step = |loss: Tensor| {
        optimiser.zero_grad();
        loss.sum(Kind::Float).backward();
        optimiser.step(0.1);
    };
    step(&used + &unused);
    let before = unused.double_value(&[0]);
    step(&used * 1.0);
    assert_eq!(unused.double_value(&[0]), before);
    assert!(used.double_value(&[0]) < before);
}

#[test]
fn the_state_of_another_model_is_refused() {
    let store = VarStore::new(Device::Cpu);
    let _ = store.root().var("weight", &[2], Init::Const(0.0));
    let mut optimiser = AdamW::new(&store, AdamWConfig::adam());
    let error = optimiser.load_state(&[]).unwrap_err().to_string();
    assert!(error.starts_with("the optimiser state lacks `opt.step`"), "{error}");
}

#[test]
fn a_linear_layer_draws_pytorchs_numbers() {
    let _rng = torch_rng(11);
    let store = VarStore::new(Device::Cpu);
    let _linear = Linear::new(&store.root(), 4, 3);
    let golden = &layers()["linear"];
    for (name, variable) in named(&store) {
        assert!(max_difference(&variable, &golden_tensor(&golden[&name])) < 1e-7, "{name}");
    }
}

#[test]
fn clipping_scales_to_the_norm_and_refuses_what_is_not_finite() {
    let store = VarStore::new(Device::Cpu);
    let variable = store.root().var("x", &[2], Init::Const(1.0));
    assert_eq!(clip_grad_norm(&store, 1.0), Ok(0.0));
    (&variable * Tensor::from_slice(&[3_f32, 4.0])).sum(Kind::Float).backward();
    assert!((clip_grad_norm(&store, 1.0).unwrap() - 5.0).abs() < 1e-6);
    assert!((variable.grad().norm().double_value(&[]) - 1.0).abs() < 1e-5);
    (&variable * f64::NAN).sum(Kind::Float).backward();
    assert!(clip_grad_norm(&store, 1.0).is_err());
}
