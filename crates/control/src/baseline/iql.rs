//! IQL (Kostrikov et al., arXiv 2110.06169): the value of a state is an expectile of
//! the critics' values of what the data did, so no action outside of the data is
//! ever asked about; the policy is advantage-weighted behaviour cloning.

use iwsft_engine::Precision;
use serde::{Deserialize, Serialize};

use super::{Algorithm, discount_to_targets, mean};
use crate::actor::{GaussianActor, Sizes};
use crate::critic::{Critic, TwinCritic};
use crate::learned::{Diverged, Learned};
use crate::policy::PolicyError;
use crate::random::Generator;
use crate::replay::Transitions;

/// The largest weight of an action, as published.
const LARGEST_WEIGHT: f32 = 100.0;

/// Settings; the published ones for D4RL's gym tasks where nothing else is said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Gradient steps; the actor's learning rate falls to 0 along a cosine.
    pub steps: u64,
    /// Transitions of a step.
    pub batch_size: usize,
    /// Widths of the hidden layers of actor and critics.
    pub hidden: Vec<usize>,
    /// Whether observations get the mean 0 and the deviation 1 of the data.
    pub normalise: bool,
    /// Whether rewards are scaled such that the data's returns span 1000.
    pub scale_rewards: bool,
    /// Of actor, critics and value.
    pub learning_rate: f64,
    /// What a reward is worth a step later.
    pub discount: f32,
    /// How far targets move a step.
    pub tau: f64,
    /// The expectile: 0.5 is the mean, towards 1 the maximum.
    pub expectile: f32,
    /// Inverse temperature of the advantages' weights.
    pub beta: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            steps: 1_000_000,
            batch_size: 256,
            hidden: vec![256; 2],
            normalise: false,
            scale_rewards: true,
            learning_rate: 3e-4,
            discount: 0.99,
            tau: 0.005,
            expectile: 0.7,
            beta: 3.0,
        }
    }
}

/// IQL at work.
pub struct Iql {
    settings: Settings,
    actor: GaussianActor,
    critics: TwinCritic,
    value: Critic,
    values: Vec<f32>,
    lower: Vec<f32>,
    /// What the next states are worth, and then the critics' targets.
    targets: Vec<f32>,
    dvalues: Vec<f32>,
    weights: Vec<f32>,
    critic_loss: f64,
    nll: f64,
}

impl Iql {
    /// Begins, for observations of `o` and actions of `a` numbers.
    ///
    /// # Errors
    /// [`PolicyError::Config`] if the hidden widths make no network.
    pub fn new(
        settings: &Settings,
        [o, a]: [usize; 2],
        random: &mut Generator,
    ) -> Result<Self, PolicyError> {
        let hidden = &settings.hidden;
        let sizes = Sizes {
            observation: o,
            action: a,
            hidden,
        };
        Ok(Self {
            actor: GaussianActor::new(sizes, random)?,
            critics: TwinCritic::new([o, a], hidden, false, random),
            value: Critic::new("value", o, hidden, false, random),
            settings: settings.clone(),
            values: Vec::new(),
            lower: Vec::new(),
            targets: Vec::new(),
            dvalues: Vec::new(),
            weights: Vec::new(),
            critic_loss: f64::NAN,
            nll: f64::NAN,
        })
    }

    /// The gradient of `mean |expectile - [u < 0]| u^2`, `u = Q - V`, with regard to
    /// V, and the weights `exp(beta u)` of the actions.
    fn weigh(&mut self) {
        let Settings {
            expectile, beta, ..
        } = self.settings;
        let scale = 2.0 / self.values.len() as f32;
        self.dvalues.clear();
        self.weights.clear();
        for (q, v) in self.lower.iter().zip(&self.values) {
            let advantage = q - v;
            let side = if advantage < 0.0 {
                1.0 - expectile
            } else {
                expectile
            };
            self.dvalues.push(-scale * side * advantage);
            let weight = (beta * advantage).exp();
            self.weights.push(weight.min(LARGEST_WEIGHT));
        }
    }
}

impl Algorithm for Iql {
    fn update(&mut self, batch: &Transitions, _: &mut Generator) -> Result<(), Diverged> {
        let (seen, done) = (&batch.observations, &batch.actions);
        rayon::join(
            || self.critics.lower_target(seen, done, &mut self.lower),
            || {
                self.value.values(seen, &mut self.values);
                let next = &batch.next_observations;
                self.value.other_values(next, &mut self.targets);
            },
        );
        self.weigh();
        let settings = &self.settings;
        discount_to_targets(batch, settings.discount, &mut self.targets);
        let rate = settings.learning_rate;
        let progress = self.actor.learned.updates() as f64 / settings.steps.max(1) as f64;
        let actor_rate = rate * 0.5 * (1.0 + (std::f64::consts::PI * progress.min(1.0)).cos());
        // The loss of the critics is the mean of the two.
        let (critics, (value, actor)) = rayon::join(
            || self.critics.fit(seen, done, &self.targets, 0.5, rate),
            || {
                rayon::join(
                    || self.value.learn(&self.dvalues, rate),
                    || {
                        let weights = &self.weights;
                        self.actor.learn_actions(seen, done, weights, actor_rate)
                    },
                )
            },
        );
        value?;
        self.critic_loss = critics?;
        self.nll = actor?;
        self.critics.follow(settings.tau);
        Ok(())
    }

    fn set_precision(&mut self, precision: Precision) {
        self.actor.set_precision(precision);
        self.critics.set_precision(precision);
        self.value.set_precision(precision);
    }

    fn metrics(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("critic_loss", self.critic_loss),
            ("value", mean(&self.values)),
            ("weight", mean(&self.weights)),
            ("nll", self.nll),
        ]
    }

    fn policy(&self) -> Vec<f32> {
        self.actor.policy()
    }

    fn learned(&mut self) -> Vec<&mut Learned> {
        let mut learned = vec![&mut self.actor.learned, &mut self.value.learned];
        learned.extend(self.critics.learned());
        learned
    }
}
