//! Matrix products with quantized weights: integer products of 8-bit activations and block-coded weights.
//!
//! ```text
//! y[token, row] = Σ_blocks s_w · s_x · Σ_i qw_i · qx_i  (+ minimum · s_x · Σ_i qx_i)
//! ```
//! The inner sum is an exact i32; scales are f32. Weights stay in ggml's block layout; activations are quantized on the fly to the
//! form that ggml uses for the type ([`Form`]). Every tier ([`Capability`]) has the same integer sums; only the order of the final
//! f32 sums differs.

mod activations;
mod bandwidth;
mod capability;
mod error;
mod half;
mod layout;
mod matrix;
mod plain;
mod portable;
mod ternary;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::cell::Cell;

pub use activations::{Activations, Form};
pub use bandwidth::{Bandwidth, bandwidth};
pub use capability::{Capability, capability};
pub use error::KernelError;
pub use matrix::{Kernel, Matrix, with_capability};
pub use ternary::{TernaryMatrix, ternary};

use crate::ggml::GgmlType;

/// Weights that every kernel takes at a time: the length of a super-block, a multiple of every block.
pub(crate) const GROUP: usize = 256;

/// Fills `y` (`[tokens, rows]`) with `x` (`[tokens, columns]`) times the transposed weights (`[rows, columns]`).
///
/// ```
/// use quantization::{ggml::GgmlType, kernel};
/// // Two rows of one Q8_0 block each: scale 1, codes 1 in the first row and 2 in the second.
/// let row = |code| [vec![0x00, 0x3c], vec![code; 32]].concat();
/// let weights = [row(1u8), row(2)].concat();
/// let mut y = [0.0; 2];
/// kernel::matmul(GgmlType::Q8_0, &weights, 2, 32, &[127.0; 32], &mut y, 1)?;
/// assert_eq!(y, [4064.0, 8128.0]);
/// # Ok::<(), kernel::KernelError>(())
/// ```
///
/// # Errors
/// [`KernelError`] when sizes disagree, `x` is not finite, or the type is not computed with.
pub fn matmul(
    kind: GgmlType,
    weights: &[u8],
    rows: usize,
    columns: usize,
    x: &[f32],
    y: &mut [f32],
    threads: usize,
) -> Result<(), KernelError> {
    thread_local! {
        /// Memory of the last call's activations: fresh pages cost more than quantizing into them.
        static LAST: Cell<Option<Activations>> = const { Cell::new(None) };
    }
    let matrix = Matrix::new(kind, weights, rows, columns)?;
    // Taken, not borrowed: while this thread waits for others, it may work on another product.
    let mut activations = LAST.take().unwrap_or_else(Activations::empty);
    activations.refill(kind, x, columns)?;
    let done = Kernel::best().multiply(&matrix, &activations, y, threads);
    LAST.set(Some(activations));
    done
}

/// [`matmul`] with activations that are quantized already, so that matrices with the same input share them.
///
/// # Errors
/// [`KernelError`] when sizes disagree or the activations are in another form than `kind` wants.
pub fn matmul_quantized(
    kind: GgmlType,
    weights: &[u8],
    rows: usize,
    columns: usize,
    activations: &Activations,
    y: &mut [f32],
    threads: usize,
) -> Result<(), KernelError> {
    Kernel::best().multiply(&Matrix::new(kind, weights, rows, columns)?, activations, y, threads)
}
