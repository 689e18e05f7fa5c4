#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! | module | section of a paper |
//! |---|---|
//! | [`tokenizer`], `encoder` | sequences, token vectors: ColBERT, section 3; JaColBERTv2.5, section 3.5 (query length) |
//! | `training`, `teacher` | distillation, losses, optimisers, averaging: JaColBERTv2.5, sections 3.3 to 3.9 |
//! | [`vectors`], [`maxsim`] | exact scores: ColBERTv2, equation 1 |
//! | [`index`] | residual compression on the disk: ColBERTv2, section 3.3 |
//! | [`plaid`] | search of an index: PLAID, section 4 |
//! | [`bm25`] | the floor, and hard negatives |
//! | [`data`], [`export`], [`serve`], `search`, `cli` | collections, other engines, the service, the command |
//! | `experiment` | the studies, verdicts, the report |
//! | [`transactions`] | embeddings of card transactions: another paper, with a command of its own |
//!
//! Modules without a link need libtorch (feature `tensor`).

pub mod bm25;
#[cfg(feature = "tensor")]
pub mod cli;
pub mod data;
#[cfg(feature = "tensor")]
pub mod encoder;
#[cfg(feature = "tensor")]
pub mod experiment;
pub mod export;
pub mod index;
pub mod maxsim;
pub mod plaid;
#[cfg(feature = "tensor")]
pub mod search;
pub mod serve;
#[cfg(feature = "tensor")]
pub mod teacher;
pub mod tokenizer;
#[cfg(feature = "tensor")]
pub mod training;
pub mod transactions;
pub mod vectors;
