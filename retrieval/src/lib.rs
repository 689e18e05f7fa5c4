//! Late-interaction retrieval.

pub mod index;
pub mod maxsim;
pub mod vectors;
