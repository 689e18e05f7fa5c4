//! The tagger's network, forward only, and the model that is trained, saved and loaded.

pub mod attention;
pub mod chars;
pub mod network;
pub mod places;
pub mod resource;
mod saved;

pub use saved::{Model, ModelError, Training};
