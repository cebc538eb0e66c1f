//! What a run optimises: a likelihood of data, or a return of rollouts.

use iwsft_objective::{Objective, PolicyGradient, Proposal, Quality, Summary};

use crate::Trajectories;

/// What makes coefficients of log-probabilities.
#[derive(Debug, Clone)]
pub enum Rule {
    /// A weighted log-likelihood of curated data.
    Likelihood(Objective),
    /// A policy gradient on rollouts, which have advantages and log-probabilities
    /// under the policy that drew them.
    PolicyGradient(PolicyGradient),
}

impl From<Objective> for Rule {
    fn from(objective: Objective) -> Self {
        Self::Likelihood(objective)
    }
}

impl From<PolicyGradient> for Rule {
    fn from(gradient: PolicyGradient) -> Self {
        Self::PolicyGradient(gradient)
    }
}

impl Rule {
    /// Whether the reference's log-probabilities are needed.
    pub fn needs_reference(&self) -> bool {
        match self {
            Self::Likelihood(objective) => objective.needs_reference(),
            Self::PolicyGradient(gradient) => gradient.needs_reference(),
        }
    }

    /// The proposal q.
    pub(crate) fn proposal(&self) -> Proposal {
        match self {
            Self::Likelihood(objective) => objective.q,
            Self::PolicyGradient(_) => Proposal::Current,
        }
    }

    /// What the rows' qualities do.
    pub(crate) fn quality(&self) -> Quality {
        match self {
            Self::Likelihood(objective) => objective.quality,
            Self::PolicyGradient(_) => Quality::Off,
        }
    }

    /// Those of the trajectories `indices` that have a gradient; the others are
    /// counted in `summary` and need not go through the policy.
    pub(crate) fn without_idle<T: Trajectories>(
        &self,
        trajectories: &T,
        indices: &[usize],
        summary: &mut Summary,
    ) -> Vec<usize> {
        let Self::PolicyGradient(gradient) = self else {
            return indices.to_vec();
        };
        let mut weights = Vec::new();
        let has_gradient = |&index: &usize| {
            if !gradient.is_idle(trajectories.advantage(index)) {
                return true;
            }
            weights.resize(trajectories.steps(index), 1.0);
            trajectories.step_weight(index, &mut weights);
            gradient.count_idle(weights.iter().copied().map(f64::from).sum(), summary);
            false
        };
        indices.iter().copied().filter(has_gradient).collect()
    }
}
