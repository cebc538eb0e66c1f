//! Shares of right answers, how sure they are, and whether two models differ.
//!
//! The unit is the problem: several answers to one problem are alike, so they
//! become one value in 0..=1 first ([`average`], [`pass_at_k`], [`majority`]).
//! [`Estimate::of_problems`] says how sure the mean of these values is,
//! [`Comparison`] whether two models on the same problems differ, and
//! [`Estimate::over_seeds`] what several trained models come to.

mod bootstrap;
mod comparison;
mod estimate;
mod problem;

pub use comparison::{Comparison, SIGNIFICANT, Test, Verdict};
pub use estimate::{Estimate, Method, paired_t_test, wilson};
pub use problem::{average, majority, pass_at_k};

/// 97.5 % quantile of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Both tails outside a 95 % interval, together.
const OUTSIDE: f64 = 0.05;
