#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! | module | section of the paper |
//! |---|---|
//! | [`config`], [`model`] | CLIP itself, Radford et al. 2021 |
//! | [`checkpoint`], [`preprocess`] | every published file, OpenAI's preprocessing |
//! | [`tokenizer`] | OpenAI's byte pairs |
//! | [`position`], [`stretch`] | knowledge-preserved stretching, section 3.2 |
//! | [`pcm`], [`loss`], [`step`] | primary component matching and training, section 3.3 |
//! | [`world`], [`experiment`] | a world with known truth, and the re-test in it |

pub mod checkpoint;
pub mod config;
pub mod experiment;
pub mod loss;
pub mod model;
pub mod pcm;
pub mod position;
pub mod preprocess;
pub mod step;
pub mod stretch;
pub mod tokenizer;
pub mod world;
