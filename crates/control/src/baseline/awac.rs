//! AWAC (Nair et al., arXiv 2006.09359): actor and critics, and a policy that is
//! cloned from the data's actions with the weights `exp(advantage / lambda)`.
//!
//! Its mean goes through tanh here, as those of all Gaussian policies of this crate;
//! that of the published programs does not.

use iwsft_engine::Precision;
use serde::{Deserialize, Serialize};

use super::{Algorithm, mean};
use crate::actor::{GaussianActor, Sizes};
use crate::critic::TwinCritic;
use crate::learned::{Diverged, Learned};
use crate::policy::PolicyError;
use crate::random::Generator;
use crate::replay::Transitions;

/// Settings; where nothing else is said, those that its public program
/// (github.com/tinkoff-ai/CORL) is run with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Gradient steps.
    pub steps: u64,
    /// Transitions of a step.
    pub batch_size: usize,
    /// Widths of the hidden layers of actor and critics.
    pub hidden: Vec<usize>,
    /// Whether observations get the mean 0 and the deviation 1 of the data.
    pub normalise: bool,
    /// Of actor and critics.
    pub learning_rate: f64,
    /// What a reward is worth a step later.
    pub discount: f32,
    /// How far targets move a step.
    pub tau: f64,
    /// Temperature of the advantages' weights.
    pub lambda: f32,
    /// The largest weight of an action.
    pub largest_weight: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            steps: 1_000_000,
            batch_size: 256,
            hidden: vec![256; 3],
            normalise: true,
            learning_rate: 3e-4,
            discount: 0.99,
            tau: 0.005,
            lambda: 1.0 / 3.0,
            largest_weight: 100.0,
        }
    }
}

/// AWAC at work.
pub struct Awac {
    settings: Settings,
    actor: GaussianActor,
    critics: TwinCritic,
    actions: Vec<f32>,
    values: Vec<f32>,
    weights: Vec<f32>,
    critic_loss: f64,
    nll: f64,
}

impl Awac {
    /// Begins, for observations of `o` and actions of `a` numbers.
    ///
    /// # Errors
    /// [`PolicyError::Config`] if the hidden widths make no network.
    pub fn new(
        settings: &Settings,
        [o, a]: [usize; 2],
        random: &mut Generator,
    ) -> Result<Self, PolicyError> {
        let sizes = Sizes {
            observation: o,
            action: a,
            hidden: &settings.hidden,
        };
        Ok(Self {
            actor: GaussianActor::new(sizes, random)?,
            critics: TwinCritic::new([o, a], &settings.hidden, false, random),
            settings: settings.clone(),
            actions: Vec::new(),
            values: Vec::new(),
            weights: Vec::new(),
            critic_loss: f64::NAN,
            nll: f64::NAN,
        })
    }

    fn update_critics(
        &mut self,
        batch: &Transitions,
        random: &mut Generator,
    ) -> Result<(), Diverged> {
        let seen = &batch.next_observations;
        self.actor.draw(seen, random, &mut self.actions);
        let (discount, rate) = (self.settings.discount, self.settings.learning_rate);
        let next = &self.actions;
        self.critic_loss = self
            .critics
            .learn_ahead(batch, next, discount, rate, |_| {})?;
        Ok(())
    }

    /// The advantage of what was done over what the policy would do.
    fn update_actor(
        &mut self,
        batch: &Transitions,
        random: &mut Generator,
    ) -> Result<(), Diverged> {
        let (seen, done) = (&batch.observations, &batch.actions);
        let weights = &mut self.weights;
        self.critics.lower_value(seen, done, weights);
        self.actor.draw(seen, random, &mut self.actions);
        self.critics
            .lower_value(seen, &self.actions, &mut self.values);
        for (weight, value) in weights.iter_mut().zip(&self.values) {
            let advantage = *weight - value;
            let size = (advantage / self.settings.lambda).exp();
            *weight = size.min(self.settings.largest_weight);
        }
        let rate = self.settings.learning_rate;
        self.nll = self.actor.learn_actions(seen, done, weights, rate)?;
        Ok(())
    }
}

impl Algorithm for Awac {
    fn update(&mut self, batch: &Transitions, random: &mut Generator) -> Result<(), Diverged> {
        self.update_critics(batch, random)?;
        self.update_actor(batch, random)?;
        self.critics.follow(self.settings.tau);
        Ok(())
    }

    fn set_precision(&mut self, precision: Precision) {
        self.actor.set_precision(precision);
        self.critics.set_precision(precision);
    }

    fn metrics(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("critic_loss", self.critic_loss),
            ("target", mean(self.critics.targets())),
            ("weight", mean(&self.weights)),
            ("nll", self.nll),
        ]
    }

    fn policy(&self) -> Vec<f32> {
        self.actor.policy()
    }

    fn learned(&mut self) -> Vec<&mut Learned> {
        let mut learned = vec![&mut self.actor.learned];
        learned.extend(self.critics.learned());
        learned
    }
}
