//! Which tensor gets which type: llama.cpp's file types, rules by name, and the best mix under a budget.
//!
//! A file type such as Q4_K_M is a default type plus exceptions ([`assign`]). [`search`] instead takes the error of every tensor in
//! every type and finds the mix of least total error within a size.
//! Source of the exceptions and fall-backs: llama.cpp, `llama-quant.cpp`.

mod assign;
mod budget;
mod exception;
mod file_type;
mod frontier;
mod rule;
mod search;

pub use assign::{
    Assignment, Facts, Reason, Tensor, allows_quantization, assign, fall_back, needs_importance,
};
pub use budget::{Budget, BudgetError};
pub use file_type::{FileType, MixtureError};
pub use rule::{Rule, RuleError};
pub use search::{Choices, Mix, Offer, SearchError, search};
