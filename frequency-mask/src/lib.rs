//! Frequency masking for detectors of generated images.

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
