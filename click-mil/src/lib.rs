//! Detectors from centre clicks.

pub mod annotate;
pub mod area_prior;
pub mod cli;
pub mod click_score;
pub mod dataset;
pub mod deep_mil;
pub mod detector;
pub mod draw;
pub mod edge_boxes;
pub mod edges;
pub mod evaluate;
pub mod experiment;
pub mod fast_rcnn;
pub mod features;
pub mod formats;
pub mod geometry;
pub mod learn;
pub mod linear;
pub mod mil;
mod negatives;
pub mod nms;
pub mod opencv;
pub mod pipeline;
pub mod simulate;
pub mod svm;
