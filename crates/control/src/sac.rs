//! SAC (Haarnoja et al., arXiv 1812.05905): actor and critics that also value
//! entropy. It learns while it acts, and so makes the data that others learn from.

use iwsft_engine::Precision;
use serde::{Deserialize, Serialize};

use crate::actor::{Sizes, SquashedActor};
use crate::baseline::{Algorithm, mean};
use crate::critic::TwinCritic;
use crate::learned::{Diverged, Learned};
use crate::policy::PolicyError;
use crate::random::Generator;
use crate::replay::Transitions;
use crate::temperature::Temperature;

/// Settings; the published ones where nothing else is said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Transitions of a gradient step.
    pub batch_size: usize,
    /// Widths of the hidden layers of actor and critics.
    pub hidden: Vec<usize>,
    /// Of actor, critics and temperature.
    pub learning_rate: f64,
    /// What a reward is worth a step later.
    pub discount: f32,
    /// How far targets move a step.
    pub tau: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            batch_size: 256,
            hidden: vec![256; 2],
            learning_rate: 3e-4,
            discount: 0.99,
            tau: 0.005,
        }
    }
}

/// SAC at work.
pub struct Sac {
    settings: Settings,
    actor: SquashedActor,
    critics: TwinCritic,
    temperature: Temperature,
    actions: Vec<f32>,
    log_probs: Vec<f32>,
    critic_loss: f64,
}

impl Sac {
    /// Begins, for observations of `o` and actions of `a` numbers.
    ///
    /// # Errors
    /// [`PolicyError::Config`] if the hidden widths make no network.
    pub fn new(settings: &Settings, [o, a]: [usize; 2], seed: u64) -> Result<Self, PolicyError> {
        let random = &mut Generator::new(seed);
        let sizes = Sizes {
            observation: o,
            action: a,
            hidden: &settings.hidden,
        };
        Ok(Self {
            actor: SquashedActor::new(sizes, random)?,
            critics: TwinCritic::new([o, a], &settings.hidden, false, random),
            temperature: Temperature::new(a),
            settings: settings.clone(),
            actions: Vec::new(),
            log_probs: Vec::new(),
            critic_loss: f64::NAN,
        })
    }

    /// Draws actions `[n, a]` in units of their bounds.
    pub fn draw(&mut self, observations: &[f32], random: &mut Generator, actions: &mut Vec<f32>) {
        let log_probs = &mut self.log_probs;
        self.actor.draw(observations, random, actions, log_probs);
    }

    fn update_critics(
        &mut self,
        batch: &Transitions,
        random: &mut Generator,
    ) -> Result<(), Diverged> {
        let (actions, log_probs) = (&mut self.actions, &mut self.log_probs);
        let seen = &batch.next_observations;
        self.actor.draw(seen, random, actions, log_probs);
        let temperature = self.temperature.value();
        let (discount, rate) = (self.settings.discount, self.settings.learning_rate);
        self.critic_loss = self
            .critics
            .learn_ahead(batch, actions, discount, rate, |worth| {
                for (worth, log_prob) in worth.iter_mut().zip(log_probs) {
                    *worth -= temperature * *log_prob;
                }
            })?;
        Ok(())
    }
}

impl Algorithm for Sac {
    fn update(&mut self, batch: &Transitions, random: &mut Generator) -> Result<(), Diverged> {
        self.update_critics(batch, random)?;
        self.actor.climb(
            &batch.observations,
            &mut self.critics,
            &mut self.temperature,
            random,
            self.settings.learning_rate,
        )?;
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
            ("temperature", self.temperature.value().into()),
            ("entropy", self.temperature.entropy()),
        ]
    }

    fn policy(&self) -> Vec<f32> {
        self.actor.policy()
    }

    fn learned(&mut self) -> Vec<&mut Learned> {
        let mut learned = vec![&mut self.actor.learned, &mut self.temperature.learned];
        learned.extend(self.critics.learned());
        learned
    }
}
