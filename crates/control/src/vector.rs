//! Several environments of one kind, stepped together on all threads.

use rayon::prelude::*;

use crate::environment::{Environment, Step};
use crate::error::ControlError;
use crate::registry::make;
use crate::spec::Spec;

/// Environments that are worth a thread of their own: a step of MuJoCo takes
/// tens of microseconds, one of a classic task far less than waking a thread.
const CLASSIC_PER_THREAD: usize = 1024;

/// `n` environments of one kind.
///
/// An episode that is over is followed by the next one in the same step, as in
/// Gymnasium's `AutoresetMode.SAME_STEP`: the step's [`Outcomes::steps`] says
/// that it was the last one, its [`Outcomes::observations`] begin the new
/// episode, and [`Outcomes::last_observations`] has the one that the old episode
/// ended with.
///
/// ```
/// use iwsft_control::VectorEnvironment;
///
/// let mut pendulums = VectorEnvironment::make("Pendulum-v1", 4)?;
/// let observations = pendulums.reset(Some(0))?; // [n, o]
/// assert_eq!(observations.len(), 4 * 3);
/// let outcomes = pendulums.step(&[0.1, 0.2, 0.3, 0.4])?;
/// assert!(outcomes.steps.iter().all(|step| !step.is_last()));
/// # Ok::<(), iwsft_control::ControlError>(())
/// ```
pub struct VectorEnvironment {
    environments: Vec<Environment>,
    outcomes: Outcomes,
}

/// What a step of all environments led to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcomes {
    /// What to act on next `[n, o]`.
    pub observations: Vec<f64>,
    /// Reward and end of each environment `[n]`.
    pub steps: Vec<Step>,
    /// The observation that each step led to `[n, o]`. It differs from
    /// `observations` where an episode has ended.
    pub last_observations: Vec<f64>,
}

impl VectorEnvironment {
    /// Makes `count` environments of a name, at least one.
    ///
    /// # Errors
    /// As [`make`].
    pub fn make(name: &str, count: usize) -> Result<Self, ControlError> {
        let environments = (0..count.max(1))
            .map(|_| make(name))
            .collect::<Result<Vec<_>, _>>()?;
        let (n, o) = (
            environments.len(),
            environments[0].spec().observation_size(),
        );
        let step = Step {
            reward: 0.0,
            terminated: false,
            truncated: false,
        };
        Ok(Self {
            environments,
            outcomes: Outcomes {
                observations: vec![0.0; n * o],
                steps: vec![step; n],
                last_observations: vec![0.0; n * o],
            },
        })
    }

    /// Name, sizes and bounds of each environment.
    pub fn spec(&self) -> &Spec {
        self.environments[0].spec()
    }

    /// Number of environments, `n`.
    pub fn count(&self) -> usize {
        self.environments.len()
    }

    /// Begins an episode in each environment and returns the observations
    /// `[n, o]`. Environment `i` gets the seed `seed + i`, as in Gymnasium.
    ///
    /// # Errors
    /// None that a caller can cause.
    pub fn reset(&mut self, seed: Option<u64>) -> Result<&[f64], ControlError> {
        let o = self.spec().observation_size();
        let rows = self.outcomes.observations.chunks_exact_mut(o);
        for ((index, environment), row) in (0..).zip(&mut self.environments).zip(rows) {
            environment.reset(seed.map(|seed| seed.wrapping_add(index)), row)?;
        }
        Ok(&self.outcomes.observations)
    }

    /// Steps each environment by its row of `actions` `[n, a]`. Each computes
    /// the same whatever the number of threads.
    ///
    /// # Errors
    /// If an action cannot be done, or nothing was reset before. Then nothing
    /// has happened.
    pub fn step(&mut self, actions: &[f32]) -> Result<&Outcomes, ControlError> {
        let (o, a) = (self.spec().observation_size(), self.spec().action_size());
        let (name, needs_mujoco) = (self.spec().name, self.spec().needs_mujoco);
        if actions.len() != self.count() * a {
            return Err(ControlError::Length {
                name,
                what: "actions of all environments",
                found: actions.len(),
                expected: self.count() * a,
            });
        }
        for (environment, action) in self.environments.iter().zip(actions.chunks_exact(a)) {
            environment.check_step(action)?;
        }
        let outcomes = &mut self.outcomes;
        self.environments
            .par_iter_mut()
            .zip(actions.par_chunks_exact(a))
            .zip(outcomes.observations.par_chunks_exact_mut(o))
            .zip(outcomes.last_observations.par_chunks_exact_mut(o))
            .zip(&mut outcomes.steps)
            .with_min_len(if needs_mujoco { 1 } else { CLASSIC_PER_THREAD })
            .try_for_each(|((((environment, action), next), last), step)| {
                *step = environment.step(action, last)?;
                next.copy_from_slice(last);
                if step.is_last() {
                    environment.reset(None, next)?;
                }
                Ok(())
            })?;
        Ok(&self.outcomes)
    }
}
