//! Whole models from one format and precision to another, tensor by tensor.
//!
//! Rows are read, encoded and written in pieces of bounded size, several pieces at once, so that memory does not grow with the model.
//! [`calibrate`] is the exception: GPTQ runs the model, and holds it.

pub mod calibrate;
mod decode;
mod effort;
mod error;
mod gguf;
mod layout;
mod packing;
mod pieces;
mod plan;
mod summary;
mod survey;

pub use decode::{dequantize_to_gguf, dequantize_to_safetensors};
pub use effort::{SEARCHED, Search};
pub use error::ConvertError;
pub use gguf::{GgufOptions, write_gguf};
pub use layout::{LayoutOptions, layout_names, write_layout, write_rounded};
pub use packing::Packing;
pub use pieces::Squares;
pub use plan::{Budgeted, Plan, Planned, Recipe, plan, plan_under_budget};
pub use summary::{Share, Summary, TensorReport};
pub use survey::{Cost, costs};

/// Asked between pieces with the tensor's number and the bytes written so far; `false` stops the work.
pub type Progress<'a> = &'a (dyn Fn(usize, &str) -> bool + Sync);

/// Threads to work on.
///
/// # Errors
/// [`ConvertError::Threads`].
pub fn pool(threads: usize) -> Result<rayon::ThreadPool, ConvertError> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|problem| ConvertError::Threads { threads, problem: problem.to_string() })
}
