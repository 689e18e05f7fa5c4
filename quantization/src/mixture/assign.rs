//! The type of every tensor under a file type: default, exceptions, rules, fall-backs.

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
    let mut state = State {
        file_type,
        facts: *facts,
        tied: !tensors.iter().any(|tensor| tensor.name == "output.weight"),
        values: tensors.iter().filter(|tensor| Role::of(&tensor.name).is_value()).count(),
        value: 0,
        down: 0,
    };
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

fn layer(name: &str) -> Option<usize> {
    name.strip_prefix("blk.")?.split('.').next()?.parse().ok()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Embedding,
    Output,
    QueryKeyValue,
    KeyValue,
    Value,
    Key,
    AttentionOutput,
    Down,
    Other,
}

impl Role {
    fn of(name: &str) -> Self {
        let parts = [
            ("attn_qkv.weight", Self::QueryKeyValue),
            ("attn_kv_b.weight", Self::KeyValue),
            ("attn_v.weight", Self::Value),
            ("attn_k.weight", Self::Key),
            ("attn_output.weight", Self::AttentionOutput),
            ("ffn_down", Self::Down),
        ];
        match name {
            "output.weight" => Self::Output,
            "token_embd.weight" | "per_layer_token_embd.weight" => Self::Embedding,
            _ => {
                parts.into_iter().find(|(part, _)| name.contains(part)).map_or(Self::Other, |(_, role)| role)
            }
        }
    }

    fn is_value(self) -> bool {
        matches!(self, Self::QueryKeyValue | Self::KeyValue | Self::Value)
    }
}

/// `use_more_bits` of llama.cpp: the first and last eighth, and every third layer between.
fn more_bits(layer: usize, layers: usize) -> bool {
    let (layer, layers) = (layer as i64, layers as i64);
    layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2
}

/// What the exceptions count while they pass over the tensors.
struct State {
    file_type: FileType,
    facts: Facts,
    tied: bool,
    /// Tensors in the role of attention values, and those passed.
    values: usize,
    value: usize,
    /// Tensors in the role of the feed-forward output passed.
    down: usize,
}

impl State {
    fn exception(&mut self, default: GgmlType, tensor: &Tensor) -> GgmlType {
        let role = Role::of(&tensor.name);
        match role {
            Role::Output => self.output(default, tensor),
            Role::Embedding if self.tied => self.output(default, tensor),
            _ if self.file_type == FileType::MXFP4_MOE => {
                let experts = tensor.dims.get(2).is_some_and(|&experts| experts > 1);
                if experts { GgmlType::MXFP4 } else { GgmlType::Q8_0 }
            }
            Role::Embedding => match self.file_type {
                FileType::TQ1_0 | FileType::TQ2_0 | FileType::Q2_0 => GgmlType::Q4_K,
                _ => default,
            },
            _ if role.is_value() => {
                let kind = self.value(default);
                self.value += 1;
                kind
            }
            Role::Key if self.facts.experts == 8 => GgmlType::Q8_0,
            Role::Down => {
                let passed = self.down;
                self.down += 1;
                let at = if self.facts.experts > 1 { layer(&tensor.name).unwrap_or(passed) } else { passed };
                self.down(default, at)
            }
            Role::AttentionOutput => self.attention_output(default),
            _ => default,
        }
    }

    fn output(&self, default: GgmlType, tensor: &Tensor) -> GgmlType {
        let row = tensor.dims.first().copied().unwrap_or(1);
        let fits = row.is_multiple_of(default.block_len() as u64);
        if self.file_type == FileType::MXFP4_MOE || !fits || default == GgmlType::Q8_0 {
            GgmlType::Q8_0
        } else {
            GgmlType::Q6_K
        }
    }

    fn value(&self, default: GgmlType) -> GgmlType {
        use FileType as F;
        use GgmlType::*;
        let grouped = self.facts.kv_heads > 0 && self.facts.heads / self.facts.kv_heads >= 4;
        let mut kind = match self.file_type {
            F::Q2_K => {
                if grouped {
                    Q4_K
                } else {
                    Q3_K
                }
            }
            F::Q2_K_S if grouped => Q4_K,
            F::Q3_K_M => {
                if self.value < 2 {
                    Q5_K
                } else {
                    Q4_K
                }
            }
            F::Q3_K_L => Q5_K,
            F::IQ4_NL | F::IQ4_XS if grouped => Q5_K,
            F::Q4_K_M | F::Q5_K_M if more_bits(self.value, self.values) => Q6_K,
            F::Q4_K_S if self.value < 4 => Q5_K,
            _ => default,
        };
        // The 70B models share each attn_v among 8 heads: more bits cost little there.
        let seventy = self.facts.layers == 80 && self.facts.heads != self.facts.kv_heads;
        if seventy && matches!(kind, Q3_K | Q4_K) {
            kind = Q5_K;
        }
        if self.facts.experts == 8 { Q8_0 } else { kind }
    }

    fn down(&self, default: GgmlType, at: usize) -> GgmlType {
        use FileType as F;
        use GgmlType::*;
        let layers = self.facts.layers;
        let early = at < layers / 8;
        match self.file_type {
            F::Q2_K => Q3_K,
            F::Q2_K_S if early => Q4_K,
            F::Q3_K_M => {
                if at < layers / 16 {
                    Q5_K
                } else {
                    Q4_K
                }
            }
            F::Q3_K_L => Q5_K,
            F::Q4_K_M | F::Q5_K_M if more_bits(at, layers) => Q6_K,
            F::IQ4_NL | F::IQ4_XS if early && !self.facts.importance => Q5_K,
            F::Q4_K_S if early => Q5_K,
            F::Q4_0 if early && self.facts.importance => Q4_1,
            F::Q5_0 if early && self.facts.importance => Q5_1,
            _ => default,
        }
    }

    fn attention_output(&self, default: GgmlType) -> GgmlType {
        use FileType as F;
        use GgmlType::*;
        if self.facts.experts == 8 {
            return match self.file_type {
                F::Q2_K | F::Q3_K_S | F::Q3_K_M | F::IQ4_NL | F::Q4_K_S | F::Q4_K_M | F::IQ4_XS => Q5_K,
                _ => default,
            };
        }
        match self.file_type {
            F::Q2_K => Q3_K,
            F::Q3_K_M => Q4_K,
            F::Q3_K_L => Q5_K,
            _ => default,
        }
    }
}
