//! Features of proposals: a convolutional network's map of the image, pooled over each box, in half precision.

mod roi;
mod store;

pub use roi::{FeatureMap, Pooling, RoiError};
pub use store::{FeatureStore, StoreError, StoreWriter};
