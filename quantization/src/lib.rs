#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! | module | chapter of the guide, section of a paper |
//! |---|---|
//! | [`float`], [`memory`] | number formats, what a model weighs |
//! | [`affine`] | symmetric and asymmetric quantization, granularity, clipping |
//! | [`calibration`] | choosing ranges: extremes, percentiles, least error, entropy |
//! | [`gptq`], [`sequential`], [`gptq_layout`] | GPTQ: one layer, a model block by block, the checkpoint format |
//! | [`ggml`], [`mixture`], [`imatrix`] | GGUF's block types, mixtures of them, importance |
//! | [`kernel`] | products with quantized weights, ternary ones included |
//! | [`convert`], [`cli`] | whole files quantized in pieces; the command |
//! | [`gguf`], [`safetensors`], [`llama2c`], [`model_file`] | model files |
//! | [`llama`] | inference: perplexity, divergence, text |
//! | [`encoder`] | BERT encoders: agreement on sentences |
//! | `lm`, `qat`, `bitnet` | training: fake quantization, BitNet and BitNet b1.58 (feature `tensor`) |
//! | [`common::residual`], [`lfq`] | vector quantizers: ColBERTv2's residual codec, lookup-free quantization |
//! | `experiment` | the studies, verdicts, the report (feature `tensor`) |

pub mod activation;
pub mod affine;
pub mod calibration;
pub mod cli;
pub mod convert;
pub mod encoder;
pub mod float;
pub mod ggml;
pub mod gguf;
pub mod gptq;
pub mod gptq_layout;
pub mod imatrix;
pub mod kernel;
pub mod lfq;
pub mod llama;
pub mod llama2c;
pub mod memory;
pub mod mixture;
pub mod model_file;
pub mod safetensors;
pub mod sequential;

#[cfg(feature = "tensor")]
pub mod bitnet;
#[cfg(feature = "tensor")]
pub mod experiment;
#[cfg(feature = "tensor")]
pub mod lm;
#[cfg(feature = "tensor")]
pub mod qat;
