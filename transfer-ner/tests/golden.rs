//! Layers and losses against PyTorch and scipy (`tests/golden/README.md` says versions and inputs).

use common::testing::{golden, golden_tensor, max_difference};
use tch::nn::VarStore;
use tch::{Device, Tensor};
use transfer_ner::adversary::Discriminator;
use transfer_ner::align::procrustes;
use transfer_ner::config::Attention;
use transfer_ner::model::attention::SelfAttention;

/// Double precision through a few matrix products.
const EXACT: f64 = 1e-10;

fn values() -> serde_json::Value {
    golden(env!("CARGO_MANIFEST_DIR"), "layers.json")
}

#[test]
fn the_rotation_is_scipys() {
    let golden = &values()["procrustes"];
    let of = |key: &str| golden_tensor(&golden[key]);
    assert!(max_difference(&procrustes(&of("x"), &of("y")), &of("rotation")) < EXACT);
}

#[test]
fn attention_of_many_heads_is_pytorchs_where_words_are_real() {
    let golden = &values()["heads"];
    let mut store = VarStore::new(Device::Cpu);
    let attention = SelfAttention::new(&store.root(), Attention::MultiHead(4), 8);
    store.double();
    {
        let _guard = tch::no_grad_guard();
        for (name, mut variable) in store.variables() {
            variable.copy_(&golden_tensor(&golden["weights"][&name]));
        }
    }
    let keep: Vec<bool> = [5, 3].iter().flat_map(|&n| (0..5).map(move |at| at < n)).collect();
    let keep = Tensor::from_slice(&keep).view([2, 5]);
    let output = attention.forward(&golden_tensor(&golden["states"]), &keep, 0.5, false);
    let expected = golden_tensor(&golden["output"]);
    for (row, length) in [(0, 5), (1, 3)] {
        let real = |tensor: &Tensor| tensor.get(row).narrow(0, 0, length);
        assert!(max_difference(&real(&output), &real(&expected)) < EXACT);
    }
}

#[test]
fn focal_losses_are_those_of_pytorchs_cross_entropy() {
    let golden = &values()["focal"];
    let logits = golden_tensor(&golden["logits"]);
    let of = |discriminator: Discriminator, key: &str| {
        for at in 0..4 {
            let one = logits.narrow(0, at, 1);
            let loss = discriminator.loss(&one, golden["labels"][at as usize] == 1).double_value(&[]);
            let expected = golden[key][at as usize].as_f64().unwrap_or(f64::NAN);
            assert!((loss - expected).abs() < EXACT, "{loss} against {expected}");
        }
    };
    of(Discriminator::Grad { alpha: 0.25, gamma: 2.0 }, "grad");
    of(Discriminator::GradReleased { alpha: 0.25, gamma: 2.0 }, "symmetric_half");
}
