//! The training engine: device memory, fused operations with forward and
//! backward side by side, optimizers and learning-rate schedules.
//!
//! Nothing outside this crate knows where an operation runs. Callers hold
//! [`Tensor`]s, borrow [`View`]s of them and call the functions in [`ops`];
//! only [`Tensor::to_host`] and [`Tensor::copy_from_host`] cross the border.
//!
//! # Dimension letters
//!
//! One legend for the whole workspace:
//!
//! | letter | meaning |
//! | --- | --- |
//! | `n` | tokens (rows) of a packed micro-batch |
//! | `d` | width of the residual stream (`hidden_size`) |
//! | `h` | query heads |
//! | `k` | key/value heads |
//! | `e` | width of one head |
//! | `f` | width of the feed-forward layer (`intermediate_size`) |
//! | `v` | vocabulary size |
//! | `s` | steps that carry loss (rows whose next token is scored) |
//! | `b` | sequences in a micro-batch |

mod bf16;
mod cpu;
mod layout;
mod matmul;
pub mod ops;
pub mod optim;
mod policy;
mod precision;
pub mod schedule;
mod tensor;

pub use cpu::{CPU_VARIABLE, CpuPath, UnavailableCpuPath};
pub use layout::{Layout, Parameter};
pub use policy::Policy;
pub use precision::{Precision, UnknownPrecision};
pub use tensor::{Tensor, View, ViewMut};
