//! The type of every tensor under a file type: default, exceptions, rules, fall-backs.

use super::exception::{State, layer};
use super::{FileType, MixtureError, Rule};
use crate::ggml::GgmlType;

/// What decides a tensor's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its name in GGUF's convention, such as `blk.0.attn_v.weight`.
    pub name: String,
    /// Sizes, the contiguous dimension first.
    pub dims: Vec<u64>,
    /// Type before quantization; kept where nothing is to be quantized.
    pub kind: GgmlType,
}

/// What the exceptions ask about the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Number of layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Experts per feed-forward layer; 0 or 1 for a dense model.
    pub experts: usize,
    /// Whether an importance matrix is used.
    pub importance: bool,
}

/// Why a tensor got its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Vectors, norms and the like keep their type.
    Kept,
    /// The file type's default.
    Default,
    /// An exception of the file type.
    Exception,
    /// The rule of this number.
    Rule(usize),
}

/// Type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The type.
    pub kind: GgmlType,
    /// The type that was wanted; another than `kind` where rows do not fill its blocks.
    pub wanted: GgmlType,
    /// Why it was wanted.
    pub reason: Reason,
}

/// Parts of names of tensors that are never quantized: routers, small convolutions, RWKV's and others' small matrices.
const NEVER: [&str; 37] = [
    "_norm.weight",
    "ffn_gate_inp.weight",
    "ffn_gate_tid2eid.weight",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "ssm_conv1d",
    "shortconv.conv.weight",
    "indexer.k_proj.weight",
    "indexer.q_proj.weight",
    "time_mix_first.weight",
    "time_mix_w0.weight",
    "time_mix_w1.weight",
    "time_mix_w2.weight",
    "time_mix_v0.weight",
    "time_mix_v1.weight",
    "time_mix_v2.weight",
    "time_mix_a0.weight",
    "time_mix_a1.weight",
    "time_mix_a2.weight",
    "time_mix_g1.weight",
    "time_mix_g2.weight",
    "time_mix_decay_w1.weight",
    "time_mix_decay_w2.weight",
    "time_mix_lerp_fused.weight",
    "attn_rel_b.weight",
    ".position_embd",
    "sam.pos_embd",
    "sam.neck.",
    "sam.net_",
    ".rel_pos",
    ".patch_embd",
    ".patch_merger",
    "a.rvq.codebook",
    "mm.a.code_embd",
    "position_embd.weight",
    "token_types.weight",
];

/// Whether a tensor of this name and shape is quantized at all: a matrix named `….weight` that is no norm, router, position table or
/// small convolution.
pub fn allows_quantization(name: &str, dims: &[u64]) -> bool {
    let rank = dims.iter().rposition(|&size| size > 1).map_or(1, |last| last + 1);
    rank >= 2 && name.ends_with("weight") && !NEVER.iter().any(|part| name.contains(part))
}

/// The type that rows of `row` weights can take instead of `wanted`: smaller blocks, F16 where 32 does not divide either.
pub fn fall_back(wanted: GgmlType, row: u64) -> GgmlType {
    use GgmlType::*;
    let fits = |kind: GgmlType| row.is_multiple_of(kind.block_len() as u64);
    if fits(wanted) {
        return wanted;
    }
    let smaller = match wanted {
        IQ4_XS => IQ4_NL,
        Q2_0 | Q2_K | Q3_K | TQ1_0 | TQ2_0 => Q4_0,
        Q4_K => Q5_0,
        Q5_K => Q5_1,
        Q6_K => Q8_0,
        other => other,
    };
    if fits(smaller) { smaller } else { F16 }
}

/// Whether llama.cpp refuses to make this tensor without an importance matrix, among the types that this crate writes.
pub fn needs_importance(file_type: FileType, name: &str, kind: GgmlType) -> bool {
    let table = ["token_embd.weight", "per_layer_token_embd.weight", "output.weight"].contains(&name);
    file_type == FileType::Q2_K_S && kind == GgmlType::Q2_K && !table
}

/// Type of each tensor, in the order given. The first rule that matches wins over the exceptions, as in llama.cpp, where rules apply to
/// quantized file types only.
///
/// # Errors
/// [`MixtureError::NotWritten`] for a file type whose blocks this crate does not write.
pub fn assign(
    file_type: FileType,
    facts: &Facts,
    tensors: &[Tensor],
    rules: &[Rule],
) -> Result<Vec<Assignment>, MixtureError> {
    let default = file_type.default_type()?;
    let mut out: Vec<_> = tensors.iter().map(|tensor| keep(tensor.kind)).collect();
    let mut state = State::new(file_type, facts, tensors);
    for place in layer_order(tensors) {
        let tensor = &tensors[place];
        if !allows_quantization(&tensor.name, &tensor.dims) {
            continue;
        }
        if default.block_len() == 1 {
            out[place] = Assignment { kind: default, wanted: default, reason: Reason::Default };
            continue;
        }
        let (wanted, reason) = match rules.iter().position(|rule| rule.matches(&tensor.name)) {
            Some(number) => (rules[number].kind, Reason::Rule(number)),
            None => match state.exception(default, tensor) {
                kind if kind == default => (kind, Reason::Default),
                kind => (kind, Reason::Exception),
            },
        };
        let kind = fall_back(wanted, tensor.dims.first().copied().unwrap_or(1));
        out[place] = Assignment { kind, wanted, reason };
    }
    Ok(out)
}

fn keep(kind: GgmlType) -> Assignment {
    Assignment { kind, wanted: kind, reason: Reason::Kept }
}

/// Places in the order in which llama.cpp visits tensors: by layer, those of no layer first, then by name.
fn layer_order(tensors: &[Tensor]) -> Vec<usize> {
    let mut order: Vec<_> = (0..tensors.len()).collect();
    order.sort_by_key(|&place| (layer(&tensors[place].name), &tensors[place].name));
    order
}
