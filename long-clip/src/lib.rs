#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! | module | section of the paper |
//! |---|---|
//! | [`config`], [`model`] | CLIP itself, Radford et al. 2021 |
//! | [`checkpoint`], [`preprocess`] | every published file, OpenAI's preprocessing |
//! | [`tokenizer`] | OpenAI's byte pairs |
//! | [`data`], [`encode`], [`retrieval`] | the evaluation protocols, section 4 |
//! | [`position`], [`stretch`] | knowledge-preserved stretching, section 3.2 |
//! | [`pcm`], [`loss`], [`step`], [`train`] | primary component matching and training, section 3.3 |
//! | [`mod@array`], [`search`], [`gallery`], [`cli`] | features on disk, the command |
//! | [`world`], [`experiment`] | a world with known truth, and the re-test in it |

pub mod array;
pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod data;
pub mod encode;
pub mod experiment;
pub mod gallery;
pub mod loss;
pub mod model;
pub mod pcm;
pub mod position;
pub mod preprocess;
pub mod retrieval;
pub mod search;
pub mod step;
pub mod stretch;
pub mod tokenizer;
pub mod train;
pub mod world;
