#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! | module | section of the paper |
//! |---|---|
//! | [`loss`] | MoM loss and the losses it is compared with |
//! | [`vocabulary`], [`batch`] | words and classes as numbers |
//! | [`model`], [`config`], [`train`] | sequence labelling and reading comprehension: network and training |
//! | [`experiment`] | compared runs, verdicts |
//! | [`cli`] | the command |

pub mod batch;
pub mod cli;
pub mod config;
pub mod experiment;
pub mod loss;
pub mod model;
pub mod train;
pub mod vocabulary;
