//! Late-interaction retrieval.

pub mod maxsim;
pub mod vectors;
