//! A batch of trajectories as ragged slices.

use thiserror::Error;

/// A packed batch of `b` trajectories with `s` steps in all.
///
/// Trajectory `i` owns the steps `cu_steps[i] .. cu_steps[i + 1]`. Only
/// action (completion) steps are listed: the environment's (prompt's) terms
/// cancel in every ratio.
#[derive(Clone, Copy, Debug)]
pub struct Steps<'a> {
    cu_steps: &'a [usize],
    log_p: &'a [f32],
    log_q: Option<&'a [f32]>,
    log_ref: Option<&'a [f32]>,
    step_weight: &'a [f32],
    reward: &'a [f32],
    quality: &'a [f32],
    density: Option<&'a [f32]>,
}

/// One trajectory of a [`Steps`], borrowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trajectory<'a> {
    /// Index of its first step in the batch.
    pub(crate) start: usize,
    pub(crate) log_p: &'a [f32],
    pub(crate) log_q: Option<&'a [f32]>,
    pub(crate) log_ref: Option<&'a [f32]>,
    pub(crate) step_weight: &'a [f32],
    pub(crate) reward: f64,
    pub(crate) quality: f64,
    pub(crate) density: f64,
}

/// Why a batch cannot be used.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum StepsError {
    /// A slice has the wrong length.
    #[error(
        "`{name}` has {found} values, but the batch has {expected} {unit}; pass one value for each"
    )]
    Length {
        /// The slice at fault.
        name: &'static str,
        /// Its length.
        found: usize,
        /// The length it should have.
        expected: usize,
        /// What is counted.
        unit: &'static str,
    },
    /// `cu_steps` does not start at 0.
    #[error("`cu_steps` must start with 0, found {0}")]
    Start(
        /// The first value, or "nothing".
        String,
    ),
    /// `cu_steps` decreases.
    #[error(
        "`cu_steps` must not decrease, but trajectory {index} runs from step {from} to step {to}"
    )]
    Decreasing {
        /// The trajectory.
        index: usize,
        /// Its start.
        from: usize,
        /// Its end.
        to: usize,
    },
    /// A weight or reward is negative, infinite or not a number.
    #[error("`{name}`[{index}] is {found}; it must be finite and at least 0")]
    Value {
        /// The slice at fault.
        name: &'static str,
        /// The index in it.
        index: usize,
        /// The value found.
        found: f32,
    },
    /// A trajectory that cannot have been drawn was drawn.
    #[error("`density`[{index}] is 0, but the trajectory is in the batch; it must be above 0")]
    NeverDrawn {
        /// The trajectory.
        index: usize,
    },
    /// An advantage is infinite or not a number.
    #[error("`advantage`[{index}] is {found}; it must be finite")]
    Advantage {
        /// The trajectory.
        index: usize,
        /// The value found.
        found: f32,
    },
    /// The objective needs the reference's log-probabilities.
    #[error(
        "`{method}` weighs by the ratio to the reference policy, but the batch has no `log_ref`; \
         compute the reference's log-probabilities first"
    )]
    MissingReference {
        /// The method's name in a recipe.
        method: &'static str,
    },
    /// The objective needs the proposal's log-probabilities.
    #[error(
        "the objective's q is not the current policy, but the batch has no `log_q`; compute the \
         log-probabilities of q for this batch"
    )]
    MissingProposal,
}

impl<'a> Steps<'a> {
    /// Checks and borrows a batch.
    ///
    /// - `cu_steps` `[b + 1]`: where each trajectory starts, then `s`;
    /// - `log_p` `[s]`: log-probability under the policy being trained;
    /// - `log_q` `[s]`: under the proposal q; `None` means q is the current
    ///   policy, and the weights are computed from `log_p`;
    /// - `log_ref` `[s]`: under the reference policy that produced the data;
    /// - `step_weight` `[s]`: factor on each step's loss. 0 masks the step: it
    ///   then counts in no mean, sum or normalisation, whatever the other
    ///   slices hold there;
    /// - `reward` `[b]`: R in the estimate of J and in the bounds. It must be
    ///   at least 0, without which the bounds do not hold;
    /// - `quality` `[b]`: factor on each trajectory's loss, as resolved by the
    ///   caller: the row's own weight, times its quality when quality works by
    ///   weight. It does not enter J or the bounds, where `reward` stands: with
    ///   qualities, R is the quality.
    ///
    /// # Errors
    ///
    /// [`StepsError`] for lengths that do not match, a decreasing `cu_steps`,
    /// and weights or rewards that are negative or not finite.
    /// Log-probabilities are not looked at: one that is not a number makes the
    /// loss so, which the training loop reports with its batch.
    pub fn new(
        cu_steps: &'a [usize],
        log_p: &'a [f32],
        log_q: Option<&'a [f32]>,
        log_ref: Option<&'a [f32]>,
        step_weight: &'a [f32],
        reward: &'a [f32],
        quality: &'a [f32],
    ) -> Result<Self, StepsError> {
        match cu_steps.first() {
            Some(0) => {}
            Some(first) => return Err(StepsError::Start(first.to_string())),
            None => return Err(StepsError::Start("nothing".to_owned())),
        }
        for (index, pair) in cu_steps.windows(2).enumerate() {
            if pair[1] < pair[0] {
                return Err(StepsError::Decreasing {
                    index,
                    from: pair[0],
                    to: pair[1],
                });
            }
        }
        let b = cu_steps.len() - 1;
        let s = cu_steps[b];
        check_length("log_p", log_p.len(), s, "steps")?;
        check_length("log_q", log_q.map_or(s, <[f32]>::len), s, "steps")?;
        check_length("log_ref", log_ref.map_or(s, <[f32]>::len), s, "steps")?;
        check_length("step_weight", step_weight.len(), s, "steps")?;
        check_length("reward", reward.len(), b, "trajectories")?;
        check_length("quality", quality.len(), b, "trajectories")?;
        check_values("step_weight", step_weight)?;
        check_values("reward", reward)?;
        check_values("quality", quality)?;
        Ok(Self {
            cu_steps,
            log_p,
            log_q,
            log_ref,
            step_weight,
            reward,
            quality,
            density: None,
        })
    }

    /// Says that the trajectories were not drawn as the reference makes them:
    /// `density` `[b]` is how many times as likely each was to be drawn. It
    /// divides a trajectory's terms of J and of the bounds, and nothing else.
    ///
    /// # Errors
    ///
    /// [`StepsError`] for another number of densities, and one that is not above
    /// 0 or not finite.
    pub fn drawn_with(mut self, density: &'a [f32]) -> Result<Self, StepsError> {
        check_length(
            "density",
            density.len(),
            self.trajectories(),
            "trajectories",
        )?;
        check_values("density", density)?;
        if let Some(index) = density.iter().position(|density| *density == 0.0) {
            return Err(StepsError::NeverDrawn { index });
        }
        self.density = Some(density);
        Ok(self)
    }

    /// Number of trajectories, `b`.
    pub fn trajectories(&self) -> usize {
        self.cu_steps.len() - 1
    }

    /// Number of steps, `s`, masked ones included.
    pub fn len(&self) -> usize {
        self.log_p.len()
    }

    /// Whether there is no step.
    pub fn is_empty(&self) -> bool {
        self.log_p.is_empty()
    }

    pub(crate) fn has_proposal(&self) -> bool {
        self.log_q.is_some()
    }

    pub(crate) fn has_reference(&self) -> bool {
        self.log_ref.is_some()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Trajectory<'a>> + '_ {
        let steps = *self;
        (0..self.trajectories()).map(move |i| {
            let range = steps.cu_steps[i]..steps.cu_steps[i + 1];
            Trajectory {
                start: range.start,
                log_p: &steps.log_p[range.clone()],
                log_q: steps.log_q.map(|q| &q[range.clone()]),
                log_ref: steps.log_ref.map(|r| &r[range.clone()]),
                step_weight: &steps.step_weight[range],
                reward: f64::from(steps.reward[i]),
                quality: f64::from(steps.quality[i]),
                density: steps.density.map_or(1.0, |density| f64::from(density[i])),
            }
        })
    }
}

pub(crate) fn check_length(
    name: &'static str,
    found: usize,
    expected: usize,
    unit: &'static str,
) -> Result<(), StepsError> {
    if found == expected {
        return Ok(());
    }
    Err(StepsError::Length {
        name,
        found,
        expected,
        unit,
    })
}

fn check_values(name: &'static str, values: &[f32]) -> Result<(), StepsError> {
    match values.iter().position(|v| !v.is_finite() || *v < 0.0) {
        None => Ok(()),
        Some(index) => Err(StepsError::Value {
            name,
            index,
            found: values[index],
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &[f32] = &[1.0];
    const TWO: &[f32] = &[1.0, 1.0];

    #[test]
    fn a_batch_without_trajectories_is_accepted() {
        let steps = Steps::new(&[0], &[], None, None, &[], &[], &[]).unwrap();
        assert_eq!((steps.trajectories(), steps.len()), (0, 0));
    }

    #[test]
    fn a_wrong_length_is_refused_by_name() {
        let cases = [
            ("log_p", Steps::new(&[0, 2], ONE, None, None, TWO, ONE, ONE)),
            (
                "log_q",
                Steps::new(&[0, 2], TWO, Some(ONE), None, TWO, ONE, ONE),
            ),
            (
                "log_ref",
                Steps::new(&[0, 2], TWO, None, Some(ONE), TWO, ONE, ONE),
            ),
            (
                "step_weight",
                Steps::new(&[0, 2], TWO, None, None, ONE, ONE, ONE),
            ),
            (
                "reward",
                Steps::new(&[0, 2], TWO, None, None, TWO, TWO, ONE),
            ),
            (
                "quality",
                Steps::new(&[0, 2], TWO, None, None, TWO, ONE, TWO),
            ),
        ];
        for (name, result) in cases {
            let message = result.unwrap_err().to_string();
            assert!(message.starts_with(&format!("`{name}` has ")), "{message}");
        }
    }

    #[test]
    fn trajectory_boundaries_must_start_at_zero_and_never_decrease() {
        let start = |cu: &[usize]| Steps::new(cu, TWO, None, None, TWO, ONE, ONE).unwrap_err();
        assert_eq!(start(&[]), StepsError::Start("nothing".to_owned()));
        assert_eq!(start(&[1, 2]), StepsError::Start("1".to_owned()));
        assert_eq!(
            start(&[0, 3, 2]),
            StepsError::Decreasing {
                index: 1,
                from: 3,
                to: 2
            }
        );
    }

    #[test]
    fn negative_and_non_finite_weights_and_rewards_are_refused_by_index() {
        for bad in [-1.0, f32::NAN, f32::INFINITY] {
            let values = [1.0, bad];
            let cases = [
                (
                    "step_weight",
                    Steps::new(&[0, 1, 2], TWO, None, None, &values, TWO, TWO),
                ),
                (
                    "reward",
                    Steps::new(&[0, 1, 2], TWO, None, None, TWO, &values, TWO),
                ),
                (
                    "quality",
                    Steps::new(&[0, 1, 2], TWO, None, None, TWO, TWO, &values),
                ),
            ];
            for (name, result) in cases {
                let message = result.unwrap_err().to_string();
                assert!(message.contains(&format!("`{name}`[1]")), "{message}");
            }
        }
    }
}
