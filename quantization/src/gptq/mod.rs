//! GPTQ: weights of a linear layer rounded one column at a time, the rest of the row compensating each error.
//!
//! Source: Frantar, Ashkboos, Hoefler, Alistarh, *GPTQ*, ICLR 2023, algorithm 1, and the code that came with it.
//!
//! ```text
//! minimise ‖W X − Ŵ X‖²        H = (2/n) Σ x xᵀ        UᵀU = (H + λI)⁻¹, U upper triangular
//! for each column j:   e = (W[:,j] − quant(W[:,j])) / U[j,j]        W[:,j..] ← W[:,j..] − e · U[j,j..]
//! ```
//!
//! Round to nearest, the baseline, is [`affine::quantize`](crate::affine::quantize) on the same grid.

mod cholesky;
mod error;
mod hessian;
mod order;
mod outer;
mod panel;
mod solve;
mod sweep;

pub use cholesky::inverse_factor;
pub use error::GptqError;
pub use hessian::Hessian;
pub use order::Order;
pub use solve::{Options, Solution, gptq};
