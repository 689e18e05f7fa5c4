//! Networks for images against torchvision, see `golden/README.md`.
#![cfg(feature = "tensor")]

use common::nn::checkpoint::named;
use common::nn::vision::{Trunk, TrunkName};
use serde_json::Value;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

/// The golden script's weights.
fn value(name: &str, shape: &[i64]) -> Vec<f32> {
    let n: i64 = shape.iter().product();
    let phase = (name.bytes().map(u32::from).sum::<u32>() % 97) as f64;
    let wave = (0..n).map(|at| (0.7 * at as f64 + phase).sin());
    let fan_in = shape.iter().skip(1).product::<i64>() as f64;
    let scaled = wave.map(|wave| match name {
        _ if name.ends_with("running_var") => 1.0 + 0.3 * wave,
        _ if shape.len() > 1 => wave * 1.5 / fan_in.sqrt(),
        _ if name.ends_with("weight") => 1.0 + 0.1 * wave,
        _ => 0.05 * wave,
    });
    scaled.map(|value| value as f32).collect()
}

#[test]
fn maps_are_those_of_torchvision() {
    let golden: Value = serde_json::from_str(include_str!("golden/vision.json")).unwrap();
    let image: Vec<f32> = (0..3 * 61 * 75).map(|at| (0.3 * f64::from(at)).sin() as f32).collect();
    let image = Tensor::from_slice(&image).view([1, 3, 61, 75]);
    for (name, expected) in golden.as_object().unwrap() {
        let store = VarStore::new(Device::Cpu);
        let trunk_name: TrunkName = name.parse().unwrap();
        let trunk = Trunk::new(&store.root(), trunk_name);
        let _guard = tch::no_grad_guard();
        for (name, mut variable) in named(&store) {
            variable.copy_(&Tensor::from_slice(&value(&name, &variable.size())).view_as(&variable));
        }
        let map = trunk.forward(&image);
        assert_eq!(map.size()[1], trunk_name.channels());
        let shape: Vec<i64> = serde_json::from_value(expected["shape"].clone()).unwrap();
        assert_eq!(map.size(), shape, "{name}");
        let values = Vec::<f64>::try_from(map.to_kind(Kind::Double).flatten(0, -1)).unwrap();
        let sizes = expected["square"].as_f64().unwrap().sqrt();
        let wanted: Vec<f64> = serde_json::from_value(expected["values"].clone()).unwrap();
        for (ours, theirs) in values.iter().step_by((values.len() / 40).max(1)).zip(wanted) {
            // f32 sums over thousands of inputs.
            assert!((ours - theirs).abs() < 1e-4 * (sizes + theirs.abs()), "{name}: {ours} {theirs}");
        }
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        assert!((mean - expected["mean"].as_f64().unwrap()).abs() < 1e-4 * sizes, "{name}");
    }
}

#[test]
fn an_unknown_network_is_named() {
    let error = "resnet19".parse::<TrunkName>().unwrap_err();
    assert!(
        error.starts_with("`resnet19` is not a network; expected one of squeezenet1_1, alexnet"),
        "{error}"
    );
}
