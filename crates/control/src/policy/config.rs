//! What a Gaussian policy is, apart from its parameters.

use serde::{Deserialize, Serialize};

use super::PolicyError;

/// The most numbers of an observation, an action or a hidden layer, and the
/// most layers: more is a damaged file.
const LARGEST: usize = 1 << 16;
const MOST_LAYERS: usize = 64;

/// Sizes, scales and bounds of a Gaussian policy: its `config.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GaussianConfig {
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// What is subtracted from an observation `[o]`.
    pub observation_mean: Vec<f32>,
    /// What it is then divided by `[o]`.
    pub observation_deviation: Vec<f32>,
    /// Smallest value of each element of an action `[a]`.
    pub action_low: Vec<f32>,
    /// Largest value of each element of an action `[a]`.
    pub action_high: Vec<f32>,
}

impl GaussianConfig {
    /// Numbers of an observation, `o`.
    pub fn observation_size(&self) -> usize {
        self.observation_mean.len()
    }

    /// Numbers of an action, `a`.
    pub fn action_size(&self) -> usize {
        self.action_low.len()
    }

    /// Refuses what is no policy.
    pub(super) fn validate(&self) -> Result<(), PolicyError> {
        let refuse = |reason: String| Err(PolicyError::Config { reason });
        let (o, a) = (self.observation_size(), self.action_size());
        let mut widths = self.hidden.iter().chain([&o, &a]);
        if let Some(width) = widths.find(|width| !(1..=LARGEST).contains(*width)) {
            return refuse(format!(
                "an observation, an action or a hidden layer has {width} numbers; expected 1 to {LARGEST}"
            ));
        }
        if self.hidden.len() > MOST_LAYERS {
            let count = self.hidden.len();
            return refuse(format!("{count} hidden layers; at most {MOST_LAYERS} work"));
        }
        for (name, found, expected) in [
            ("observation_deviation", self.observation_deviation.len(), o),
            ("action_high", self.action_high.len(), a),
        ] {
            if found != expected {
                return refuse(format!("`{name}` has {found} numbers, expected {expected}"));
            }
        }
        let positive = |x: &f32| x.is_finite() && *x > 0.0;
        if !self.observation_deviation.iter().all(positive)
            || !self.observation_mean.iter().all(|x| x.is_finite())
        {
            return refuse(
                "observations must have finite means, and finite deviations above 0".into(),
            );
        }
        let mut bounds = self.action_low.iter().zip(&self.action_high);
        match bounds.position(|(low, high)| !(low < high && (high - low).is_finite())) {
            None => Ok(()),
            Some(index) => refuse(format!(
                "element {index} of an action is bounded by {} and {}; expected finite numbers, the first below the second",
                self.action_low[index], self.action_high[index]
            )),
        }
    }

    /// Observations `[n, o]` with the mean taken off, in deviations.
    pub fn normalise(&self, observations: &mut [f32]) {
        let scales = || {
            self.observation_mean
                .iter()
                .zip(&self.observation_deviation)
        };
        for row in observations.chunks_exact_mut(self.observation_size()) {
            for (number, (mean, deviation)) in row.iter_mut().zip(scales()) {
                *number = (*number - mean) / deviation;
            }
        }
    }

    /// Actions `[n, a]` from the environment's units to those of the policy.
    pub fn scale_actions(&self, actions: &mut [f32]) {
        self.each_element(actions, |x, centre, half| (x - centre) / half);
    }

    /// Actions `[n, a]` from the policy's units to those of the environment.
    pub fn unscale_actions(&self, actions: &mut [f32]) {
        self.each_element(actions, |x, centre, half| x.mul_add(half, centre));
    }

    fn each_element(&self, actions: &mut [f32], change: impl Fn(f32, f32, f32) -> f32) {
        for row in actions.chunks_exact_mut(self.action_size()) {
            let bounds = self.action_low.iter().zip(&self.action_high);
            for (x, (low, high)) in row.iter_mut().zip(bounds) {
                *x = change(*x, 0.5 * (low + high), 0.5 * (high - low));
            }
        }
    }
}
