//! Batches, caches, blocks and hooks of tiny random models.

use std::sync::Arc;

use quantization::ggml::GgmlType;
use quantization::llama::{
    BoxError, Gate, Hooks, Kernels, LlamaError, Loading, Matrix, Model, Norms, Projection, Role, Threads,
};

use crate::sources::tiny;

const LLAMA: Norms = Norms { block: true, sub: false, projection: false };
const SUB: Norms = Norms { block: true, sub: true, projection: false };
const EACH: Norms = Norms { block: false, sub: false, projection: true };

fn models() -> [Model; 3] {
    [tiny(LLAMA, Gate::Silu).model(), tiny(SUB, Gate::SquaredRelu).model(), tiny(EACH, Gate::Silu).model()]
}

fn tokens(count: usize) -> Vec<u32> {
    (0..count as u32).map(|i| (i * i + 3) % 23).collect()
}

fn all_logits(model: &Model, tokens: &[u32], threads: usize, batch: usize) -> Vec<u32> {
    let mut state = model.state(tokens.len(), threads).unwrap();
    let mut all = Vec::new();
    for tokens in tokens.chunks(batch) {
        let mut each = |_: usize, logits: &[f32]| all.extend(logits.iter().map(|logit| logit.to_bits()));
        model.logits(tokens, 0, &mut state, &mut Hooks::none(), &mut each).unwrap();
    }
    assert_eq!(state.length(), tokens.len());
    all
}

#[test]
fn batches_of_any_size_give_the_same_bits() {
    for model in models() {
        let tokens = tokens(290);
        let whole = all_logits(&model, &tokens, 1, 290);
        assert_eq!(whole.len(), 290 * 23);
        assert!(whole == all_logits(&model, &tokens, 1, 1));
        assert!(whole == all_logits(&model, &tokens, 2, 7));
    }
}

#[test]
fn truncated_state_continues_as_if_the_rest_had_never_been() {
    let [model, ..] = models();
    let tokens = tokens(40);
    let mut state = model.state(60, 1).unwrap();
    model.forward(&tokens, &mut state, &mut Hooks::none()).unwrap();
    state.truncate(10);
    let again = model.forward(&[5, 6], &mut state, &mut Hooks::none()).unwrap().to_vec();
    let fresh_tokens: Vec<u32> = tokens[..10].iter().copied().chain([5, 6]).collect();
    let mut fresh = model.state(12, 1).unwrap();
    assert_eq!(again, model.forward(&fresh_tokens, &mut fresh, &mut Hooks::none()).unwrap());
}

#[test]
fn block_by_block_equals_the_whole() {
    for model in models() {
        let tokens = tokens(33);
        let mut state = model.state(33, 1).unwrap();
        let expected = model.forward(&tokens, &mut state, &mut Hooks::none()).unwrap().to_vec();
        let (mut hidden, mut hooks, dim) = (Vec::new(), Hooks::none(), model.config().dim);
        model.embed(&tokens, &mut hidden).unwrap();
        for layer in 0..2 {
            model.block(layer, &mut hidden, 0, &mut state, &mut hooks).unwrap();
        }
        let mut logits = vec![0.0; 23];
        model.head(&mut hidden[32 * dim..], &mut state, &mut hooks, &mut logits).unwrap();
        assert_eq!(logits, expected);
    }
}

#[test]
fn hooks_see_each_input_once_and_replaced_inputs_count() {
    let [llama, _, each] = models();
    let roles = |model: &Model| {
        let mut seen = Vec::new();
        let mut observe = |layer: usize, role: Role, inputs: &[f32], rows: usize| {
            seen.push((layer, role, inputs.len() / rows))
        };
        let mut hooks = Hooks { observe: Some(&mut observe), replace: None };
        model.forward(&tokens(4), &mut model.state(4, 1).unwrap(), &mut hooks).unwrap();
        seen
    };
    let expected = [
        (0, Role::Attention, 20),
        (0, Role::Single(Projection::Output), 36),
        (0, Role::FeedForward, 20),
        (0, Role::Single(Projection::Down), 27),
    ];
    let seen = roles(&llama);
    assert_eq!((seen.len(), &seen[..4], seen[8]), (9, &expected[..], (2, Role::Head, 20)));
    let seen = roles(&each);
    assert_eq!((seen.len(), seen[1]), (15, (0, Role::Single(Projection::Key), 20)));

    let mut zero = |_: usize, _: Role, inputs: &mut [f32], _: usize| inputs.fill(0.0);
    let mut hooks = Hooks { observe: None, replace: Some(&mut zero) };
    let mut state = llama.state(4, 1).unwrap();
    assert!(llama.forward(&tokens(4), &mut state, &mut hooks).unwrap().iter().all(|&logit| logit == 0.0));
}

#[test]
fn rotation_and_grouping_follow_the_definition() {
    let model = tiny(LLAMA, Gate::Silu).model();
    let naive = naive_logits(&model, &tokens(9));
    let mut state = model.state(9, 1).unwrap();
    let logits = model.forward(&tokens(9), &mut state, &mut Hooks::none()).unwrap();
    for (logit, naive) in logits.iter().zip(naive) {
        assert!((f64::from(*logit) - naive).abs() < 2e-5, "{logit} {naive}");
    }
}

/// The definition in double loops of f64; the tiny models' norms are read from their source.
fn naive_logits(model: &Model, tokens: &[u32]) -> Vec<f64> {
    let (config, source) = (model.config(), tiny(LLAMA, Gate::Silu));
    let floats = |name: &str| -> Vec<f64> {
        let bytes = &source.tensors[name].2;
        bytes.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect()
    };
    let multiply = |name: &str, x: &[f64]| -> Vec<f64> {
        floats(name).chunks_exact(x.len()).map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
    };
    let norm = |name: &str, x: &[f64]| -> Vec<f64> {
        let root = (x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64 + 1e-5).sqrt();
        x.iter().zip(floats(name)).map(|(x, w)| x / root * w).collect()
    };
    let rotated = |mut x: Vec<f64>, position: usize| {
        for head in x.chunks_exact_mut(6) {
            for pair in 0..2 {
                let (sin, cos) = (position as f64 * 500f64.powf(-(pair as f64) / 2.0)).sin_cos();
                let (a, b) = (head[2 * pair], head[2 * pair + 1]);
                (head[2 * pair], head[2 * pair + 1]) = (a * cos - b * sin, a * sin + b * cos);
            }
        }
        x
    };
    let table = floats("token_embd.weight");
    let mut hidden: Vec<Vec<f64>> = tokens.iter().map(|&t| table[t as usize * 20..][..20].to_vec()).collect();
    for layer in 0..2 {
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        let normed: Vec<_> = hidden.iter().map(|h| norm(&name("attn_norm"), h)).collect();
        let places = || normed.iter().enumerate();
        let queries: Vec<_> = places().map(|(t, n)| rotated(multiply(&name("attn_q"), n), t)).collect();
        let keys: Vec<_> = places().map(|(t, n)| rotated(multiply(&name("attn_k"), n), t)).collect();
        let values: Vec<_> = normed.iter().map(|n| multiply(&name("attn_v"), n)).collect();
        for (t, h) in hidden.iter_mut().enumerate() {
            let mut mixed = vec![0.0; config.query_width()];
            for head in 0..6 {
                let score = |s: usize| {
                    (0..6).map(|d| queries[t][head * 6 + d] * keys[s][head / 2 * 6 + d]).sum::<f64>()
                };
                let weights: Vec<f64> = (0..=t).map(|s| (score(s) / 6f64.sqrt()).exp()).collect();
                let total: f64 = weights.iter().sum();
                for d in 0..6 {
                    mixed[head * 6 + d] =
                        (0..=t).map(|s| weights[s] / total * values[s][head / 2 * 6 + d]).sum();
                }
            }
            let add = |h: &mut Vec<f64>, y: Vec<f64>| h.iter_mut().zip(y).for_each(|(h, y)| *h += y);
            add(h, multiply(&name("attn_output"), &mixed));
            let n = norm(&name("ffn_norm"), h);
            let gate = multiply(&name("ffn_gate"), &n).into_iter().map(|g| g / (1.0 + (-g).exp()));
            let inner: Vec<f64> = gate.zip(multiply(&name("ffn_up"), &n)).map(|(g, u)| g * u).collect();
            add(h, multiply(&name("ffn_down"), &inner));
        }
    }
    multiply("output.weight", &norm("output_norm.weight", &hidden[tokens.len() - 1]))
}

#[test]
fn what_does_not_fit_is_refused_in_words() {
    let [model, ..] = models();
    let mut state = model.state(3, 1).unwrap();
    let mut run = |tokens: &[u32]| {
        model.forward(tokens, &mut state, &mut Hooks::none()).map(|_| ()).unwrap_err().to_string()
    };
    assert_eq!(
        run(&[1, 2, 3, 4]),
        "4 positions, but the cache holds 3; shorten the text or ask for a larger cache"
    );
    assert_eq!(
        run(&[23]),
        "token 23 is outside the vocabulary of 23; was the text encoded with another tokenizer?"
    );
    let mut source = tiny(LLAMA, Gate::Silu);
    source.tensors.get_mut("blk.1.ffn_up.weight").unwrap().1 = vec![27, 20];
    let error = Model::load(&source, &Loading::AsStored(None)).unwrap_err();
    assert!(matches!(error, LlamaError::Shape { .. }));
    assert_eq!(
        error.to_string(),
        "tensor `blk.1.ffn_up.weight` has dimensions [27, 20], expected [20, 27] (innermost first)"
    );
}

/// Bytes of I8 as weights of 1/8 each: a stand-in for quantized blocks.
struct Eighths;

impl Kernels for Eighths {
    fn decode(&self, _: GgmlType, bytes: &[u8], out: &mut [f32]) -> Result<(), BoxError> {
        out.iter_mut().zip(bytes).for_each(|(out, &byte)| *out = f32::from(byte as i8) / 8.0);
        Ok(())
    }

    fn matmul(
        &self,
        kind: GgmlType,
        weights: &[u8],
        rows: usize,
        columns: usize,
        x: &[f32],
        y: &mut [f32],
    ) -> Result<(), BoxError> {
        let mut values = vec![0.0; rows * columns];
        self.decode(kind, weights, &mut values)?;
        Ok(Matrix::from_f32(values, rows, columns)?.apply(x, y, &Threads::new(1)?)?)
    }
}

#[test]
fn quantized_and_decoded_weights_give_the_same_where_kernels_round_nothing() {
    let mut source = tiny(LLAMA, Gate::Silu);
    for (kind, dims, bytes) in source.tensors.values_mut().filter(|tensor| tensor.1.len() == 2) {
        *kind = GgmlType::I8;
        *bytes =
            (0..dims[0] * dims[1]).map(|i| (i * i % 15) as u8).map(|code| code.wrapping_sub(7)).collect();
    }
    let stored = Model::load(&source, &Loading::AsStored(Some(Arc::new(Eighths)))).unwrap();
    let decode = |kind: GgmlType, bytes: &[u8], out: &mut [f32]| Eighths.decode(kind, bytes, out);
    let decoded = Model::load(&source, &Loading::Decoded(&decode)).unwrap();
    assert_eq!(4 * stored.weights().bytes(), decoded.weights().bytes());
    let whole = all_logits(&decoded, &tokens(30), 1, 30);
    assert!(whole == all_logits(&stored, &tokens(30), 2, 9));
    let error = Model::load(&source, &Loading::AsStored(None)).unwrap_err().to_string();
    assert!(error.ends_with("has type I8; give kernels for quantized types or load it decoded"), "{error}");
}
