//! The BERT encoder against transformers.
#![cfg(feature = "tensor")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use common::nn::bert::{Activation, Bert, Config, Packed, load_pretrained};
use common::nn::checkpoint::{named, save};
use common::testing::{golden, golden_tensor, max_difference};
use serde_json::Value;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

/// f32 through two layers against f64.
const SINGLE: f64 = 1e-5;
/// f64 through two layers in another order.
const DOUBLE: f64 = 1e-11;
/// f32 sums over all tokens against f64.
const GRADIENT: f64 = 1e-4;

fn recorded() -> Value {
    golden(env!("CARGO_MANIFEST_DIR"), "bert.json")
}

/// The encoder with the golden script's weights.
fn encoder(golden: &Value, kind: Kind, activation: Activation) -> (VarStore, Bert) {
    let config = Config::from_json(&golden["config"].to_string()).unwrap();
    let mut store = VarStore::new(Device::Cpu);
    store.set_kind(kind);
    let bert = Bert::new(&store.root(), &Config { hidden_act: activation, ..config });
    let _guard = tch::no_grad_guard();
    for (t, (name, mut variable)) in named(&store).into_iter().enumerate() {
        let i = Tensor::arange(variable.numel() as i64, (Kind::Double, Device::Cpu));
        let shift = f64::from(u8::from(name.ends_with("LayerNorm.weight")));
        variable.copy_(&((i * 0.37 + t as f64).sin() * 0.3 + shift).view_as(&variable));
    }
    (store, bert)
}

fn packed(golden: &Value) -> Packed {
    let rows = |name: &str| serde_json::from_value::<Vec<Vec<i64>>>(golden[name].clone()).unwrap();
    let ids = rows("ids");
    let length = |row: usize| ids[row].iter().filter(|&&id| id != 0).count();
    let cut = |rows: &[Vec<i64>]| rows.iter().enumerate().map(|(i, row)| row[..length(i)].to_vec()).collect();
    let (ids, types): (Vec<Vec<i64>>, Vec<Vec<i64>>) = (cut(&ids), cut(&rows("token_types")));
    Packed::with_token_types(&ids, &types, Device::Cpu)
}

#[test]
fn the_encoder_has_the_tensor_names_of_hugging_face() {
    let golden = recorded();
    let (store, _) = encoder(&golden, Kind::Float, Activation::Gelu);
    let names: Vec<String> = serde_json::from_value(golden["names"].clone()).unwrap();
    assert_eq!(named(&store).into_iter().map(|(name, _)| name).collect::<Vec<_>>(), names);
}

#[test]
fn hidden_states_equal_those_of_transformers_in_each_activation() {
    let golden = recorded();
    let batch = packed(&golden);
    let activations =
        [("gelu", Activation::Gelu), ("gelu_new", Activation::GeluNew), ("relu", Activation::Relu)];
    for (kind, tolerance) in [(Kind::Float, SINGLE), (Kind::Double, DOUBLE)] {
        for (name, activation) in activations {
            let (_store, bert) = encoder(&golden, kind, activation);
            let states = batch.unpack(&bert.forward(&batch, false).unwrap());
            let difference = max_difference(&states, &golden_tensor(&golden["cases"][name]["last"]));
            assert!(difference < tolerance, "{name} {kind:?}: {difference:e}");
        }
    }
}

#[test]
fn gradients_equal_those_of_transformers() {
    let golden = recorded();
    let batch = packed(&golden);
    for (kind, tolerance) in [(Kind::Float, GRADIENT), (Kind::Double, DOUBLE)] {
        let (store, bert) = encoder(&golden, kind, Activation::Gelu);
        let weights = Tensor::arange(16, (Kind::Double, Device::Cpu)).cos().to_kind(kind);
        (bert.forward(&batch, true).unwrap() * weights).sum(kind).backward();
        for (name, expected) in golden["cases"]["gelu"]["gradients"].as_object().unwrap() {
            let difference = max_difference(&store.variables()[name].grad(), &golden_tensor(expected));
            assert!(difference < tolerance, "{name} {kind:?}: {difference:e}");
        }
    }
}

#[test]
fn a_sentence_is_encoded_alike_alone_and_in_a_batch() {
    let golden = recorded();
    let (_store, bert) = encoder(&golden, Kind::Float, Activation::Gelu);
    let sentences = [vec![2, 9, 14, 5, 3], vec![], vec![2, 22, 3]];
    let together = bert.forward(&Packed::new(&sentences, Device::Cpu), false).unwrap();
    let alone: Vec<Tensor> = sentences
        .iter()
        .map(|ids| bert.forward(&Packed::new(std::slice::from_ref(ids), Device::Cpu), false).unwrap())
        .collect();
    assert!(max_difference(&together, &Tensor::cat(&alone, 0)) < 1e-6);
}

#[test]
fn a_checkpoint_in_half_precision_with_old_names_and_heads_fills_the_encoder_alone() {
    let golden = recorded();
    let (source, _) = encoder(&golden, Kind::Float, Activation::Gelu);
    let mut tensors: Vec<(String, Tensor)> = named(&source)
        .into_iter()
        .map(|(name, tensor)| {
            let old = name
                .replace("LayerNorm.weight", "LayerNorm.gamma")
                .replace("LayerNorm.bias", "LayerNorm.beta");
            (format!("bert.{old}"), tensor.detach().to_kind(Kind::Half))
        })
        .collect();
    tensors.push(("cls.predictions.bias".to_owned(), Tensor::zeros([23], (Kind::Float, Device::Cpu))));
    let folder = tempfile::tempdir().unwrap();
    save(&tensors, &folder.path().join("model.safetensors")).unwrap();
    let store = VarStore::new(Device::Cpu);
    let config = Config::from_json(&golden["config"].to_string()).unwrap();
    let _bert = Bert::new(&(store.root() / "encoder"), &config);
    let _head = common::nn::linear::Linear::new(&(store.root() / "output"), 16, 3);
    load_pretrained(&store, "encoder.", folder.path()).unwrap();
    for (name, tensor) in named(&source) {
        let loaded = &store.variables()[&format!("encoder.{name}")];
        assert!(max_difference(loaded, &tensor) < 1e-3, "{name}");
    }
    let _ = tensors.remove(0);
    save(&tensors, &folder.path().join("model.safetensors")).unwrap();
    let error = load_pretrained(&store, "encoder.", folder.path()).unwrap_err().to_string();
    assert!(error.contains("`encoder.embeddings.LayerNorm.bias` is missing"), "{error}");
}

#[test]
fn hidden_tokens_see_the_visible_ones_and_are_seen_by_none() {
    let _rng = common::testing::torch_rng(3);
    let golden = recorded();
    let sentences = [vec![2, 5, 3, 4, 4], vec![2, 6, 5, 6, 3], vec![2, 3, 4]];
    let visible = [3, 5, 2];
    let alone: Vec<Vec<i64>> = sentences.iter().zip(visible).map(|(ids, n)| ids[..n].to_vec()).collect();
    let (_store, bert) = encoder(&golden, Kind::Double, Activation::Gelu);
    let forward = |bert: &Bert, batch: &Packed, train| batch.unpack(&bert.forward(batch, train).unwrap());
    let masked = Packed::with_visible(&sentences, &visible, Device::Cpu);
    let with = forward(&bert, &masked, false);
    let without = forward(&bert, &Packed::new(&alone, Device::Cpu), false);
    for (row, n) in (0i64..).zip(visible) {
        let start = |states: &Tensor| states.get(row).narrow(0, 0, n as i64);
        assert!(max_difference(&start(&with), &start(&without)) < DOUBLE, "sentence {row}");
    }
    let (a, b) = (with.get(0).get(3), with.get(0).get(4));
    assert!(max_difference(&a, &b) > 1e-6, "each hidden token has its position");
    let all = forward(&bert, &Packed::new(&sentences, Device::Cpu), false);
    assert!(max_difference(&with.get(0), &all.get(0)) > 1e-6);
    assert!(max_difference(&with.get(1), &all.get(1)) < DOUBLE);
    // With dropout of the weights the attention goes another way; this little drops nothing.
    let mut store = VarStore::new(Device::Cpu);
    store.set_kind(Kind::Double);
    let config =
        Config { attention_probs_dropout_prob: 1e-12, hidden_dropout_prob: 0.0, ..Config::new(10, 8, 2, 2) };
    let bert = Bert::new(&store.root(), &config);
    let (fused, plain) = (forward(&bert, &masked, false), forward(&bert, &masked, true));
    assert!(max_difference(&fused, &plain) < 1e-9);
}
