//! Who acts in an environment: a policy, a written rule, or chance.

use std::path::Path;

use iwsft_control::{Environment, GaussianPolicy, Spec, SwingUp};
use iwsft_engine::Tensor;

use crate::mistake::Mistake;

/// Reads a policy that can act in an environment.
pub(super) fn open(folder: &Path, spec: &Spec) -> anyhow::Result<(GaussianPolicy, Tensor)> {
    let (policy, parameters) = GaussianPolicy::open(folder)?;
    let config = policy.config();
    let sizes = [
        (
            "observations",
            config.observation_size(),
            spec.observation_size(),
        ),
        ("actions", config.action_size(), spec.action_size()),
    ];
    for (what, found, expected) in sizes {
        if found != expected {
            return Err(Mistake::new(format!(
                "{}: the policy's {what} have {found} numbers, those of {} have {expected}; \
                 choose the environment that it was trained for",
                folder.display(),
                spec.name
            ))
            .into());
        }
    }
    Ok((policy, parameters))
}

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
                let (policy, parameters) = open(Path::new(folder), environment.spec())?;
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
