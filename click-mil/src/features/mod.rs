//! Features of proposals: a convolutional network's map of the image, pooled over each box, in half precision.

mod backbone;
mod products;
mod roi;
mod store;

pub(crate) use backbone::STRIDE;
pub use backbone::{Backbone, BackboneError, Config, Pixels};
pub use roi::{FeatureMap, Pooling, RoiError};
pub use store::{FeatureStore, StoreError, StoreWriter};
