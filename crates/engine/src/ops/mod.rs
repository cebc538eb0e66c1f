//! Fused operations, each with its forward and backward pass in one file.
//!
//! Shapes use the legend at the top of the crate. Matrices are row-major and
//! tokens are packed end to end: there is no padding, and `cu_seqlens` (length
//! `b + 1`, from 0 to `n`) says where sequences begin and end. A backward pass
//! adds to parameters' gradients; what it does to activations' gradients, each
//! function says.

pub mod attention;
pub mod cached_attention;
pub mod draw;
pub mod embedding;
pub mod gaussian;
pub mod head_norm;
pub mod layer_norm;
pub mod linear;
pub mod log_prob;
mod one_output;
pub mod packed_linear;
pub mod relu;
pub mod rms_norm;
pub mod rotary;
pub mod rows;
mod shared;
pub mod swiglu;
pub mod tanh;

use shared::Shared;

/// Rows handled by one task of a row-wise kernel. Fixed, so that partial sums
/// do not depend on the number of threads.
pub(crate) const ROWS_PER_TASK: usize = 64;

/// Columns of one task of a sum over all rows, which it walks in order.
pub(crate) const COLUMNS_PER_TASK: usize = 64;
