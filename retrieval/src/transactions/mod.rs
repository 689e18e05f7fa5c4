//! Transaction embeddings: from a coded ledger to suggested accounts (Huang & Biryukov 2024, "Improving Retrieval on Ramp
//! with Transaction Embeddings").
//!
//! | module | section of the article |
//! |---|---|
//! | [`record`] | contextual transaction string |
//! | [`amount`], [`ledger`] | exports of real systems: numbers, encodings, broken rows |
//! | [`store`], [`book`] | coded transactions of many companies, append-only |
//! | `loss`, `sampling`, `train` | triplet loss with margin, mining; contrastive and later losses |
//! | [`neighbours`], [`vote`] | similar coded transactions |
//! | [`lookup`], [`sparse`] | what needs no encoder: the floors |
//! | [`calibration`], [`coding`] | confidence, automatic filling, abstention |
//! | `model` | one encoder for all companies, on the disk |
//! | `experiment`, `cli` | studies and verdicts; the command |
//!
//! Modules without a link need libtorch (feature `tensor`).

pub mod amount;
pub mod book;
pub mod calibration;
#[cfg(feature = "tensor")]
pub mod cli;
pub mod coding;
#[cfg(feature = "tensor")]
pub mod experiment;
pub mod ledger;
pub mod lookup;
#[cfg(feature = "tensor")]
pub mod loss;
#[cfg(feature = "tensor")]
pub mod model;
pub mod neighbours;
pub mod record;
#[cfg(feature = "tensor")]
pub mod sampling;
pub mod sparse;
pub mod store;
#[cfg(feature = "tensor")]
pub mod train;
pub mod vote;
