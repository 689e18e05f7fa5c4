//! Readers of the data folder's models and a maker of tiny ones, as far as these tests need them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;

use quantization::ggml::GgmlType;
use quantization::llama::{
    BoxError, Config, Gate, LoadedTensor, Loading, Model, Norms, Projection, Scalar, TensorSource, gguf_name,
    halves_to_pairs, permuted_heads,
};

/// Tensors in memory.
pub(crate) struct Memory {
    pub(crate) config: Config,
    pub(crate) tensors: HashMap<String, (GgmlType, Vec<usize>, Vec<u8>)>,
}

impl TensorSource for Memory {
    fn config(&self) -> Result<Config, BoxError> {
        Ok(self.config.clone())
    }

    fn has_tensor(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    fn tensor(&self, name: &str) -> Result<LoadedTensor<'_>, BoxError> {
        let (kind, dims, bytes) = self.tensors.get(name).ok_or("no such tensor")?;
        Ok(LoadedTensor { kind: *kind, dims: dims.clone(), bytes: Cow::Borrowed(bytes) })
    }
}

impl Memory {
    pub(crate) fn model(&self) -> Model {
        Model::load(self, &Loading::AsStored(None)).unwrap()
    }
}

/// The data folder, `None` (and a word about it) where it is absent.
pub(crate) fn data(folder: &str) -> Option<PathBuf> {
    let path = std::env::var_os("BENKYOKAI_DATA").map(|root| PathBuf::from(root).join(folder));
    let path = path.filter(|path| path.is_dir());
    if path.is_none() {
        eprintln!("skipped: BENKYOKAI_DATA has no {folder}");
    }
    path
}

/// `stories260K.bin`.
pub(crate) fn stories() -> Option<Memory> {
    let bytes = std::fs::read(data("stories260k")?.join("stories260K.bin")).unwrap();
    let mut header = bytes[..28].chunks_exact(4).map(|b| i32::from_le_bytes(b.try_into().unwrap()) as usize);
    let mut next = || header.next().unwrap();
    let (dim, ffn, layers, heads, kv_heads, vocab, context) =
        (next(), next(), next(), next(), next(), next(), next());
    let head_dim = dim / heads;
    let norms = Norms { block: true, sub: false, projection: false };
    let (norm_epsilon, rope_base, rope_dims, gate) = (1e-5, 10_000.0, head_dim, Gate::Silu);
    let config = Config {
        dim,
        ffn,
        layers,
        heads,
        kv_heads,
        head_dim,
        vocab,
        context,
        norm_epsilon,
        rope_base,
        rope_dims,
        tied: true,
        norms,
        gate,
    };
    let mut rest = &bytes[28..];
    let mut tensors = HashMap::new();
    let mut take = |name: String, dims: &[usize]| {
        let (tensor, after) = rest.split_at(4 * dims.iter().product::<usize>());
        rest = after;
        tensors.insert(name, (GgmlType::F32, dims.to_vec(), tensor.to_vec()));
    };
    take("token_embd.weight".into(), &[dim, vocab]);
    let key = config.key_width();
    let parts: [(&str, &[usize]); 9] = [
        ("attn_norm", &[dim]),
        ("attn_q", &[dim, dim]),
        ("attn_k", &[dim, key]),
        ("attn_v", &[dim, key]),
        ("attn_output", &[dim, dim]),
        ("ffn_norm", &[dim]),
        ("ffn_gate", &[dim, ffn]),
        ("ffn_down", &[ffn, dim]),
        ("ffn_up", &[dim, ffn]),
    ];
    for (name, dims) in parts {
        (0..layers).for_each(|layer| take(format!("blk.{layer}.{name}.weight"), dims));
    }
    take("output_norm.weight".into(), &[dim]);
    Some(Memory { config, tensors })
}

/// The last 64 token sequences of the story sample.
pub(crate) fn story_sequences() -> Option<Vec<Vec<u32>>> {
    let text = std::fs::read(data("tinystories-sample")?.join("sequences.json")).unwrap();
    let mut all: Vec<Vec<u32>> = serde_json::from_slice(&text).unwrap();
    Some(all.split_off(all.len() - 64))
}

/// `shakespeare-llama-256/model.safetensors`.
pub(crate) fn shakespeare() -> Option<Memory> {
    let folder = data("shakespeare-llama-256")?;
    let bytes = std::fs::read(folder.join("model.safetensors")).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
    let names: HashMap<String, &str> = header
        .as_object()
        .unwrap()
        .keys()
        .filter_map(|name| Some((gguf_name(name)?, name.as_str())))
        .collect();
    let config =
        Config::from_hugging_face(&|key| scalar(json.get(key)?), &|name| names.contains_key(name)).unwrap();
    let read = |(gguf, name): (&String, &&str)| {
        let entry = &header[*name];
        assert_eq!(entry["dtype"], "F16");
        let numbers = |key: &str| -> Vec<usize> { serde_json::from_value(entry[key].clone()).unwrap() };
        let (shape, offsets) = (numbers("shape"), numbers("data_offsets"));
        let raw = &bytes[8 + length..][offsets[0]..offsets[1]];
        let raw = permuted_heads(gguf, &config)
            .map_or_else(|| raw.to_vec(), |heads| halves_to_pairs(raw, heads, shape[0]));
        (gguf.clone(), (GgmlType::F16, shape.into_iter().rev().collect(), raw))
    };
    let tensors = names.iter().map(read).collect();
    Some(Memory { config, tensors })
}

fn scalar(value: &serde_json::Value) -> Option<Scalar> {
    Some(match value {
        serde_json::Value::Null => return None,
        serde_json::Value::Bool(flag) => Scalar::Flag(*flag),
        serde_json::Value::Number(number) if number.is_u64() => Scalar::Integer(number.as_u64()?),
        serde_json::Value::Number(number) => Scalar::Real(number.as_f64()?),
        serde_json::Value::String(text) => Scalar::Text(text.clone()),
        serde_json::Value::Array(values) => Scalar::Length(values.len()),
        serde_json::Value::Object(values) => Scalar::Length(values.len()),
    })
}

/// The last 10 % of the plays, as bytes.
pub(crate) fn held_out_plays() -> Option<Vec<u32>> {
    let text = std::fs::read(data("tinyshakespeare")?.join("input.txt")).unwrap();
    Some(text[text.len() * 9 / 10..].iter().map(|&byte| u32::from(byte)).collect())
}

/// A random model of 2 blocks with odd widths.
pub(crate) fn tiny(norms: Norms, gate: Gate) -> Memory {
    let config = Config {
        dim: 20,
        ffn: 27,
        layers: 2,
        heads: 6,
        kv_heads: 3,
        head_dim: 6,
        vocab: 23,
        context: 300,
        norm_epsilon: 1e-5,
        rope_base: 500.0,
        rope_dims: 4,
        tied: false,
        norms,
        gate,
    };
    let mut state = 9u32;
    let mut numbers = |count: usize, mean: f32| -> Vec<u8> {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).flat_map(|_| (mean + 0.5 * next()).to_le_bytes()).collect()
    };
    let mut tensors = HashMap::new();
    let mut add = |name: String, dims: &[usize]| {
        let mean = if dims.len() == 1 { 1.0 } else { 0.0 };
        tensors.insert(name, (GgmlType::F32, dims.to_vec(), numbers(dims.iter().product(), mean)));
    };
    add("token_embd.weight".into(), &[config.dim, config.vocab]);
    add("output.weight".into(), &[config.dim, config.vocab]);
    add("output_norm.weight".into(), &[config.dim]);
    for layer in 0..config.layers {
        for projection in Projection::ALL {
            let (rows, columns) = projection.shape(&config);
            add(projection.tensor(layer), &[columns, rows]);
            add(format!("blk.{layer}.{}.norm.weight", projection.gguf()), &[columns]);
        }
        let widths = [config.dim, config.dim, config.query_width(), config.ffn];
        for (name, width) in ["attn_norm", "ffn_norm", "attn_sub_norm", "ffn_sub_norm"].iter().zip(widths) {
            add(format!("blk.{layer}.{name}.weight"), &[width]);
        }
    }
    Memory { config, tensors }
}
