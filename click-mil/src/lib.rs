//! Detectors from centre clicks.

pub mod edge_boxes;
pub mod edges;
pub mod geometry;
