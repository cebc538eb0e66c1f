//! From log-probabilities to coefficients.

use crate::anchor;
use crate::diagnostics::Summary;
use crate::objective::{Method, Objective, Reduction};
use crate::ratio::{Clipped, capped_exp, trajectory_log_ratio};
use crate::steps::{Steps, StepsError, Trajectory, check_length};

impl Objective {
    /// Writes the unnormalised coefficients `c` `[s]` of a micro-batch and
    /// returns its sums.
    ///
    /// With `w` the method's weight after clipping, `g` the trajectory's
    /// quality, `a` the step's weight and `A` the sum of `a` over the
    /// trajectory,
    ///
    /// | reduction | `c[i,t]` | denominator |
    /// | --- | --- | --- |
    /// | trajectory mean | `g w a / A` | number of trajectories |
    /// | token | `g w a` | sum of `a` |
    /// | either, self-normalised | as above | sum of `c` |
    ///
    /// and the loss of an optimizer step is `-sum(c log p) / denominator`
    /// with both sums over all its micro-batches: feed each micro-batch's `c`
    /// to the policy's backward pass as it is, [`Summary::merge`] the
    /// summaries, and multiply the accumulated gradients by
    /// [`Summary::scale`]. How the trajectories are split into micro-batches
    /// then does not matter.
    ///
    /// Method `asft` adds `g a lambda (1 - p/ref)` to the `g a p` of DFT, under
    /// the same reduction; its loss adds `lambda` times the estimate of the KL
    /// divergence itself, not that coefficient times `log p`.
    ///
    /// Masked steps get 0. A trajectory whose steps are all masked counts
    /// nowhere, in no denominator either.
    ///
    /// # Errors
    ///
    /// [`StepsError`] when the objective needs log-probabilities that the
    /// batch does not have, or `out` has the wrong length.
    pub fn coefficients(&self, steps: &Steps<'_>, out: &mut [f32]) -> Result<Summary, StepsError> {
        check_length("out", out.len(), steps.len(), "steps")?;
        if self.needs_reference() && !steps.has_reference() {
            return Err(StepsError::MissingReference {
                method: self.method.name(),
            });
        }
        if self.needs_q() && !steps.has_proposal() {
            return Err(StepsError::MissingProposal);
        }
        let mut summary = Summary::default();
        for trajectory in steps.iter() {
            let end = trajectory.start + trajectory.log_p.len();
            let out = &mut out[trajectory.start..end];
            self.trajectory(&trajectory, out, &mut summary);
        }
        Ok(summary)
    }

    fn trajectory(&self, trajectory: &Trajectory<'_>, out: &mut [f32], summary: &mut Summary) {
        let step_weights: f64 = trajectory.step_weight.iter().copied().map(f64::from).sum();
        if step_weights == 0.0 {
            out.fill(0.0);
            return;
        }
        let share = match self.reduction {
            Reduction::TrajectoryMean => 1.0 / step_weights,
            Reduction::Token => 1.0,
        };
        let whole = self.trajectory_weight(trajectory);
        if let Some(weight) = whole {
            summary.add_weight(weight, trajectory.quality);
        }
        let mut coefficients = 0.0;
        for (t, c_out) in out.iter_mut().enumerate() {
            let step_weight = f64::from(trajectory.step_weight[t]);
            if step_weight == 0.0 {
                *c_out = 0.0;
                continue;
            }
            let weight = whole.unwrap_or_else(|| {
                let weight = self.step_weight(trajectory, t);
                summary.add_weight(weight, trajectory.quality);
                weight
            });
            let factor = trajectory.quality * step_weight * share;
            let c = factor * weight.value;
            summary.add_step(trajectory, t, -c * f64::from(trajectory.log_p[t]));
            let pull = self.anchor(trajectory, t, factor, summary);
            *c_out = (c + pull) as f32;
            coefficients += c;
        }
        summary.add_trajectory(match (self.self_normalise, self.reduction) {
            (true, _) => coefficients,
            (false, Reduction::TrajectoryMean) => 1.0,
            (false, Reduction::Token) => step_weights,
        });
        self.add_bounds(trajectory, summary);
    }

    /// The weight that a whole trajectory shares, or `None` where each step
    /// has its own.
    fn trajectory_weight(&self, trajectory: &Trajectory<'_>) -> Option<Clipped> {
        match self.method {
            Method::Sft => Some(Clipped::free(1.0)),
            Method::IwSft => {
                let log_q = trajectory.log_q.unwrap_or(trajectory.log_p);
                let log_ref = trajectory.log_ref?;
                let ratio =
                    trajectory_log_ratio(trajectory, log_q, log_ref, self.temperature, self.length);
                Some(self.clipped(ratio.exp()))
            }
            _ => None,
        }
    }

    fn step_weight(&self, trajectory: &Trajectory<'_>, t: usize) -> Clipped {
        let log_p = f64::from(trajectory.log_p[t]);
        let log_q = trajectory.log_q.map_or(log_p, |q| f64::from(q[t]));
        match self.method {
            Method::Sft | Method::IwSft => Clipped::free(1.0), // one a trajectory, above
            Method::IwSftStep => {
                let log_ref = trajectory.log_ref.map_or(log_q, |r| f64::from(r[t]));
                self.clipped(capped_exp(self.temperature * (log_q - log_ref)))
            }
            Method::Dft | Method::Asft { .. } => Clipped::free(capped_exp(log_p)),
            Method::PAlpha { alpha } => Clipped::free(capped_exp(alpha * log_p)),
            Method::Psft { epsilon } => {
                let ratio = capped_exp(log_p - log_q);
                if ratio > 1.0 + epsilon {
                    Clipped {
                        value: 0.0,
                        low: false,
                        high: true,
                    }
                } else {
                    Clipped::free(ratio)
                }
            }
        }
    }

    /// The anchor's part of a step's coefficient, and its loss and divergence
    /// into the summary; 0 for methods without an anchor. `factor` is all that
    /// multiplies the step's loss.
    fn anchor(
        &self,
        trajectory: &Trajectory<'_>,
        t: usize,
        factor: f64,
        summary: &mut Summary,
    ) -> f64 {
        let (Method::Asft { lambda }, Some(log_ref)) = (self.method, trajectory.log_ref) else {
            return 0.0;
        };
        let log_ratio = f64::from(trajectory.log_p[t]) - f64::from(log_ref[t]);
        let divergence = anchor::forward(log_ratio);
        summary.add_divergence(
            f64::from(trajectory.step_weight[t]),
            divergence.value,
            factor * lambda,
        );
        factor * lambda * divergence.coefficient
    }

    fn clipped(&self, ratio: f64) -> Clipped {
        self.clip
            .map_or(Clipped::free(ratio), |range| Clipped::to(ratio, range))
    }

    fn add_bounds(&self, trajectory: &Trajectory<'_>, summary: &mut Summary) {
        let Some(log_ref) = trajectory.log_ref else {
            return;
        };
        let log_ratio = |numerator| {
            trajectory_log_ratio(
                trajectory,
                numerator,
                log_ref,
                self.temperature,
                self.length,
            )
        };
        let p = log_ratio(trajectory.log_p);
        let q = trajectory.log_q.map_or(p, log_ratio);
        summary.add_bounds(trajectory.reward, trajectory.density, p, q);
    }
}
