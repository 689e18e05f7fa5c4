//! Late-interaction retrieval.

pub mod index;
pub mod maxsim;
pub mod plaid;
pub mod vectors;
