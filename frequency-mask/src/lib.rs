//! Frequency masking for detectors of generated images.

pub mod augment;
pub mod detector;
pub mod mask;
