//! Policy gradients on rollouts of the policy itself: GRPO, Dr. GRPO and
//! REINFORCE with a baseline from the group.
//!
//! A group is several completions of one prompt. [`Advantages`] makes
//! advantages of its rewards, [`PolicyGradient`] makes coefficients of
//! advantages and log-probabilities. Like every objective here these are a
//! weighted log-likelihood: the gradient of the surrogate is that of
//! `-sum_t c_t log p_t` with `c` detached.

mod advantages;
mod spec;

pub use advantages::{Advantages, Baseline, Normalise};
pub use spec::{
    ClipName, PolicyGradientError, PolicyGradientPreset, PolicyGradientSpec, ResolvedPolicyGradient,
};

use serde::Serialize;

use crate::anchor;
use crate::diagnostics::Summary;
use crate::objective::Reduction;
use crate::ratio::{Clipped, capped_exp};
use crate::steps::{Steps, StepsError, Trajectory, check_length};

/// A clipped surrogate (PPO, arXiv 1707.06347; GRPO, arXiv 2402.03300).
///
/// With `r_t = p_t / old_t`, the ratio to the policy that drew the rollout, the
/// loss of a step is
///
/// ```text
/// -min(r A, clip(r, 1 - low, 1 + high) A) + beta k3(p, ref)
/// ```
///
/// and its coefficient
///
/// ```text
/// c_t = A r_t 1[not clipped] + beta (ref_t / p_t - 1)
/// ```
///
/// where a step counts as clipped if `A > 0` and `r > 1 + high`, or `A < 0` and
/// `r < 1 - low`: only there is the minimum flat. `k3` is
/// [`anchor::reverse`], an estimate of `KL(p || ref)`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicyGradient {
    /// How far the ratio counts below and above 1; `None` clips nothing, which
    /// with one update a round is REINFORCE.
    pub clip: Option<[f64; 2]>,
    /// Weight of the divergence from the reference; 0 needs no reference.
    pub beta: f64,
    /// How steps are averaged into the loss.
    pub reduction: Reduction,
}

impl PolicyGradient {
    /// Whether the coefficients need the reference's log-probabilities.
    pub fn needs_reference(&self) -> bool {
        self.beta > 0.0
    }

    /// Whether a trajectory of this advantage has no gradient, so that it need
    /// not go through the policy.
    pub fn is_idle(&self, advantage: f32) -> bool {
        advantage == 0.0 && self.beta == 0.0
    }

    /// Counts a trajectory without gradient, whose step weights sum to
    /// `step_weights`, in the denominator: the mean is over all trajectories,
    /// not over those with a gradient.
    pub fn count_idle(&self, step_weights: f64, summary: &mut Summary) {
        if step_weights > 0.0 {
            summary.add_idle(self.denominator(step_weights));
        }
    }

    /// Writes the unnormalised coefficients `c` `[s]` of a micro-batch and
    /// returns its sums; they are merged, and gradients scaled, as those of
    /// [`crate::Objective::coefficients`].
    ///
    /// - `steps`: `log_q` is the policy that drew the rollouts; without it that
    ///   is the current one, and every ratio is 1. `log_ref` is needed where
    ///   `beta` is above 0. Rewards and qualities are not looked at;
    /// - `advantage` `[b]`: of each trajectory, finite.
    ///
    /// In the summary the weights are the ratios `r`, and `clipped` is the share
    /// of steps whose gradient the clip removed.
    ///
    /// # Errors
    /// [`StepsError`] when the reference is missing, a length is wrong, or an
    /// advantage is not finite.
    pub fn coefficients(
        &self,
        steps: &Steps<'_>,
        advantage: &[f32],
        out: &mut [f32],
    ) -> Result<Summary, StepsError> {
        check_length("out", out.len(), steps.len(), "steps")?;
        let trajectories = steps.trajectories();
        check_length("advantage", advantage.len(), trajectories, "trajectories")?;
        if let Some(index) = advantage.iter().position(|a| !a.is_finite()) {
            return Err(StepsError::Advantage {
                index,
                found: advantage[index],
            });
        }
        if self.needs_reference() && !steps.has_reference() {
            return Err(StepsError::MissingReference {
                method: "policy gradient with beta",
            });
        }
        let mut summary = Summary::default();
        for (trajectory, advantage) in steps.iter().zip(advantage) {
            let end = trajectory.start + trajectory.log_p.len();
            let out = &mut out[trajectory.start..end];
            self.trajectory(&trajectory, f64::from(*advantage), out, &mut summary);
        }
        Ok(summary)
    }

    fn trajectory(
        &self,
        trajectory: &Trajectory<'_>,
        advantage: f64,
        out: &mut [f32],
        summary: &mut Summary,
    ) {
        let step_weights: f64 = trajectory.step_weight.iter().copied().map(f64::from).sum();
        if step_weights == 0.0 {
            out.fill(0.0);
            return;
        }
        let share = match self.reduction {
            Reduction::TrajectoryMean => 1.0 / step_weights,
            Reduction::Token => 1.0,
        };
        for (t, c_out) in out.iter_mut().enumerate() {
            let step_weight = f64::from(trajectory.step_weight[t]);
            if step_weight == 0.0 {
                *c_out = 0.0;
                continue;
            }
            let factor = step_weight * share;
            let log_p = f64::from(trajectory.log_p[t]);
            let log_old = trajectory.log_q.map_or(log_p, |q| f64::from(q[t]));
            let (ratio, surrogate, mut c) = self.surrogate(log_p - log_old, advantage);
            summary.add_weight(ratio, 1.0);
            summary.add_step(trajectory, t, -factor * surrogate);
            if let Some(log_ref) = trajectory.log_ref {
                let divergence = anchor::reverse(log_p - f64::from(log_ref[t]));
                summary.add_divergence(step_weight, divergence.value, factor * self.beta);
                c += self.beta * divergence.coefficient;
            }
            *c_out = (factor * c) as f32;
        }
        summary.add_trajectory(self.denominator(step_weights));
    }

    /// The ratio of a step with its side of the clip, the surrogate
    /// `min(r A, clip(r) A)`, and its derivative in `log p`.
    fn surrogate(&self, log_ratio: f64, advantage: f64) -> (Clipped, f64, f64) {
        let r = capped_exp(log_ratio);
        let mut ratio = Clipped::free(r);
        if let Some([low, high]) = self.clip {
            ratio.high = advantage > 0.0 && r > 1.0 + high;
            ratio.low = advantage < 0.0 && r < 1.0 - low;
            if ratio.high || ratio.low {
                let end = if ratio.high { 1.0 + high } else { 1.0 - low };
                return (ratio, end * advantage, 0.0);
            }
        }
        (ratio, r * advantage, r * advantage)
    }

    fn denominator(&self, step_weights: f64) -> f64 {
        match self.reduction {
            Reduction::TrajectoryMean => 1.0,
            Reduction::Token => step_weights,
        }
    }
}
