//! The exceptions that make a file type more than its default.

use super::{Facts, FileType, Tensor};
use crate::ggml::GgmlType;

/// Number in `blk.N.…`.
pub(super) fn layer(name: &str) -> Option<usize> {
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
pub(super) struct State {
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
    pub(super) fn new(file_type: FileType, facts: &Facts, tensors: &[Tensor]) -> Self {
        Self {
            file_type,
            facts: *facts,
            tied: !tensors.iter().any(|tensor| tensor.name == "output.weight"),
            values: tensors.iter().filter(|tensor| Role::of(&tensor.name).is_value()).count(),
            value: 0,
            down: 0,
        }
    }

    /// Type of the next tensor; `default` where it is no exception.
    pub(super) fn exception(&mut self, default: GgmlType, tensor: &Tensor) -> GgmlType {
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
