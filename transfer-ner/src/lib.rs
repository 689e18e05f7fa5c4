#![doc = include_str!("../README.md")]

pub mod adversary;
pub mod batch;
pub mod config;
pub mod contextual;
pub mod model;
pub mod step;
pub mod train;
pub mod vectors;
pub mod vocabulary;
