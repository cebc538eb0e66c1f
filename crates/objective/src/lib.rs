//! Importance-weighted objectives: per-step log-probabilities, rewards and
//! masks go in; coefficients, losses, bounds and diagnostics come out.
//!
//! Every objective here is a weighted log-likelihood,
//! `loss = -sum_i sum_t c[i,t] log p[i,t] / denominator`, whose coefficients
//! carry no gradient. So a policy only has to give log-probabilities and take
//! coefficients back, and one implementation serves token models, Gaussian
//! control policies and tables of probabilities.
//!
//! The functions are pure: slices in, slices and sums out, no files, no
//! tensors, no threads. Inputs are `f32`, every sum is taken in `f64`.
//!
//! ```
//! use iwsft_objective::{Objective, Preset, Steps};
//!
//! let objective: Objective = Preset::IwSftLlm.spec().resolve()?;
//! // Two trajectories, of two steps and of one.
//! let steps = Steps::new(
//!     &[0, 2, 3],
//!     &[-0.1, -0.3, -1.0],         // log p
//!     None,                        // log q: q is the current policy
//!     Some(&[-0.2, -0.4, -0.5]),   // log pi_ref
//!     &[1.0, 1.0, 1.0],            // step weights
//!     &[1.0, 1.0],                 // rewards
//!     &[1.0, 1.0],                 // trajectory weights
//! )?;
//! let mut coefficients = [0.0; 3];
//! let summary = objective.coefficients(&steps, &mut coefficients)?;
//! // Over the micro-batches of one step: merge the summaries, then scale the
//! // accumulated gradients once.
//! let scale = summary.scale();
//! assert_eq!(scale, 1.0 / 2.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod anchor;
pub mod bandit;
mod coefficients;
mod diagnostics;
mod histogram;
mod objective;
pub mod policy_gradient;
mod presets;
mod ratio;
mod resample;
mod spec;
mod steps;

pub use diagnostics::{Diagnostics, Summary};
pub use histogram::{HISTOGRAM_BINS, HISTOGRAM_EDGES, Histogram};
pub use objective::{Length, Method, Objective, ObjectiveError, Proposal, Quality, Reduction};
pub use policy_gradient::{Advantages, PolicyGradient, PolicyGradientSpec};
pub use presets::Preset;
pub use ratio::EXPONENT_CAP;
pub use resample::{ResampleError, Resampler};
pub use spec::{MethodName, ObjectiveSpec};
pub use steps::{Steps, StepsError};
