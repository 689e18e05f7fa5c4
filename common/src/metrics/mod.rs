//! Metrics, counted in integers and divided once; an undefined ratio is `None`.

pub mod binary;
pub mod entity;
pub mod overlap;
pub mod ranking;
