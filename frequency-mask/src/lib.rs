#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! | module | section of the paper |
//! |---|---|
//! | [`mask`] | frequency, pixel and patch masking |
//! | [`augment`], [`train`] | training settings, order of operations |
//! | [`detector`], [`score`] | detectors, test on whole images |
//! | [`generator`], [`spectrum`] | ours: fakes for the re-test, and their traces |
//! | [`data`], [`experiment`], [`cli`] | data sets, compared runs, the command |

pub mod augment;
pub mod cli;
pub mod data;
pub mod detector;
pub mod experiment;
pub mod generator;
pub mod mask;
pub mod score;
pub mod spectrum;
pub mod train;
