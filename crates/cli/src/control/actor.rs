//! Who acts in an environment: a policy, a written rule, or chance.

use std::path::Path;

use iwsft_control::{Environment, GaussianPolicy, SwingUp};
use iwsft_engine::Tensor;

use crate::mistake::Mistake;

/// Who acts.
pub(super) enum Actor {
    Random,
    Rule(SwingUp),
    Policy(Box<GaussianPolicy>, Tensor),
}

impl Actor {
    pub(super) fn of(name: &str, environment: &Environment) -> anyhow::Result<Self> {
        match name {
            "random" => Ok(Self::Random),
            "energy" => Ok(Self::Rule(SwingUp::of(environment)?)),
            folder if Path::new(folder).is_dir() => {
                let (policy, parameters) = GaussianPolicy::open(Path::new(folder))?;
                let config = policy.config();
                let spec = environment.spec();
                let found = [config.observation_size(), config.action_size()];
                let expected = [spec.observation_size(), spec.action_size()];
                if found != expected {
                    return Err(Mistake::new(format!(
                        "{folder}: the policy's observations and actions have {} and {} numbers, those of {} have {} and {}",
                        found[0], found[1], spec.name, expected[0], expected[1]
                    ))
                    .into());
                }
                Ok(Self::Policy(Box::new(policy), parameters))
            }
            _ => Err(Mistake::new(format!(
                "--policy {name}: expected energy, random, or the folder of a policy"
            ))
            .into()),
        }
    }

    /// Writes actions `[m, a]` for observations `[m, o]`.
    pub(super) fn act(&mut self, observations: &[f32], actions: &mut [f32]) {
        match self {
            Self::Random => {}
            Self::Rule(rule) => {
                let (rows, _) = observations.as_chunks::<3>();
                for (action, row) in actions.iter_mut().zip(rows) {
                    *action = rule.act(*row);
                }
            }
            Self::Policy(policy, parameters) => policy.act(parameters, observations, actions),
        }
    }

    /// The share of random actions that a draw from 0 to `noise` leads to.
    pub(super) fn share(&self, drawn: f64) -> f64 {
        match self {
            Self::Random => 1.0,
            _ => drawn,
        }
    }
}
