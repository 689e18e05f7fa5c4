//! Detectors from centre clicks.

pub mod area_prior;
pub mod click_score;
pub mod dataset;
pub mod edge_boxes;
pub mod edges;
pub mod evaluate;
pub mod fast_rcnn;
pub mod features;
pub mod formats;
pub mod geometry;
pub mod mil;
pub mod nms;
pub mod pipeline;
pub mod simulate;
pub mod svm;
