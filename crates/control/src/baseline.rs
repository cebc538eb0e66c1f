//! Reinforcement learning to compare with: algorithms that learn from transitions,
//! one file each, all in the same order: where it comes from, its settings as
//! published, what it holds, one update.
//!
//! Observations and actions come as networks see them (normalised, and in units of
//! the bounds); the policy that each teaches is kept as a [`crate::GaussianPolicy`].

pub mod awac;
pub mod cql;
pub mod iql;
mod limits;
pub mod rebrac;
pub mod td3_bc;

pub use limits::SettingError;

use iwsft_engine::Precision;
use serde::{Deserialize, Serialize};

use crate::learned::{Diverged, Learned};
use crate::policy::PolicyError;
use crate::random::Generator;
use crate::replay::Transitions;

/// An algorithm at work.
pub trait Algorithm: Send {
    /// One gradient step of everything that it teaches.
    ///
    /// # Errors
    /// [`Diverged`] if a gradient is not finite.
    fn update(&mut self, batch: &Transitions, random: &mut Generator) -> Result<(), Diverged>;

    /// Multiplies in this precision from now on; it begins with f32.
    fn set_precision(&mut self, precision: Precision);

    /// Names and values of what there is to see of the last update.
    fn metrics(&self) -> Vec<(&'static str, f64)>;

    /// Parameters of the Gaussian policy, with the hidden widths of the settings,
    /// whose mean action is what it has learnt.
    fn policy(&self) -> Vec<f32>;

    /// All parameters that it moves.
    fn learned(&mut self) -> Vec<&mut Learned>;
}

/// An algorithm and its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "algorithm", rename_all = "kebab-case")]
pub enum Baseline {
    /// [`td3_bc`]
    Td3Bc(td3_bc::Settings),
    /// [`iql`]
    Iql(iql::Settings),
    /// [`awac`]
    Awac(awac::Settings),
    /// [`cql`]
    Cql(cql::Settings),
    /// [`rebrac`]
    Rebrac(rebrac::Settings),
}

/// Calls a block with the settings of whichever algorithm it is.
macro_rules! of_each {
    ($baseline:expr, $settings:ident => $result:expr) => {
        match $baseline {
            Baseline::Td3Bc($settings) => $result,
            Baseline::Iql($settings) => $result,
            Baseline::Awac($settings) => $result,
            Baseline::Cql($settings) => $result,
            Baseline::Rebrac($settings) => $result,
        }
    };
}

impl Baseline {
    /// As recipes have it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Td3Bc(_) => "td3-bc",
            Self::Iql(_) => "iql",
            Self::Awac(_) => "awac",
            Self::Cql(_) => "cql",
            Self::Rebrac(_) => "rebrac",
        }
    }

    /// Gradient steps.
    pub fn steps(&self) -> u64 {
        of_each!(self, settings => settings.steps)
    }

    /// Transitions of a step.
    pub fn batch_size(&self) -> usize {
        of_each!(self, settings => settings.batch_size)
    }

    /// Widths of the actor's hidden layers.
    pub fn hidden(&self) -> &[usize] {
        of_each!(self, settings => &settings.hidden)
    }

    /// Whether observations get the mean 0 and the deviation 1 of the data.
    pub fn normalises(&self) -> bool {
        of_each!(self, settings => settings.normalise)
    }

    /// Whether rewards are scaled such that returns span 1000.
    pub fn scales_rewards(&self) -> bool {
        match self {
            Self::Iql(settings) => settings.scale_rewards,
            _ => false,
        }
    }

    /// Whether it needs to know what was done next.
    pub fn needs_next_actions(&self) -> bool {
        matches!(self, Self::Rebrac(_))
    }

    /// Begins, for observations of `o` and actions of `a` numbers.
    ///
    /// # Errors
    /// [`PolicyError::Config`] if the hidden widths make no network.
    pub fn begin(&self, [o, a]: [usize; 2], seed: u64) -> Result<Box<dyn Algorithm>, PolicyError> {
        let random = &mut Generator::new(seed);
        Ok(match self {
            Self::Td3Bc(settings) => Box::new(td3_bc::Td3Bc::new(settings, [o, a], random)?),
            Self::Iql(settings) => Box::new(iql::Iql::new(settings, [o, a], random)?),
            Self::Awac(settings) => Box::new(awac::Awac::new(settings, [o, a], random)?),
            Self::Cql(settings) => Box::new(cql::Cql::new(settings, [o, a], random)?),
            Self::Rebrac(settings) => Box::new(rebrac::Rebrac::new(settings, [o, a], random)?),
        })
    }
}

/// Makes Bellman's targets `[n]` of what comes next: `r + discount worth`, and `r` where
/// nothing follows.
pub(crate) fn discount_to_targets(batch: &Transitions, discount: f32, worth: &mut [f32]) {
    let rows = batch.rewards.iter().zip(&batch.goes_on);
    for (worth, (reward, goes_on)) in worth.iter_mut().zip(rows) {
        *worth = (discount * goes_on).mul_add(*worth, *reward);
    }
}

/// Adds clipped noise to actions and keeps them within their bounds, such that
/// targets are smooth (Fujimoto et al., arXiv 1802.09477).
fn smooth(actions: &mut [f32], deviation: f64, clip: f64, random: &mut Generator) {
    for action in actions {
        let noise = (random.normal() * deviation).clamp(-clip, clip);
        *action = (*action + noise as f32).clamp(-1.0, 1.0);
    }
}

/// Turns `dactions [n, a]`, the gradient of Q, into that of
/// `hold / 2 sum (action - done)^2 - pull Q`: up the critic, and towards the data.
/// Returns the mean squared distance to the data.
fn hold_to_data(
    dactions: &mut [f32],
    actions: &[f32],
    done: &[f32],
    [pull, hold]: [f32; 2],
) -> f64 {
    let mut squares = 0.0;
    for (daction, (action, done)) in dactions.iter_mut().zip(actions.iter().zip(done)) {
        let distance = action - done;
        squares += f64::from(distance * distance);
        *daction = hold.mul_add(distance, -pull * *daction);
    }
    squares / actions.len() as f64
}

pub(crate) fn mean(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len().max(1) as f64
}
