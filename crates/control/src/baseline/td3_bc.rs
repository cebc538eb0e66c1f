//! TD3+BC (Fujimoto & Gu, arXiv 2106.06860): TD3 with a pull towards what the data
//! did. The actor's loss is `mean (pi(s) - a)^2 - lambda mean Q(s, pi(s))` with
//! `lambda = alpha / mean |Q|`.

use iwsft_engine::Precision;
use serde::{Deserialize, Serialize};

use super::{Algorithm, mean, smooth, targets};
use crate::actor::{GaussianActor, Sizes};
use crate::critic::{TwinCritic, side_by_side};
use crate::learned::{Diverged, Learned};
use crate::policy::PolicyError;
use crate::random::Generator;
use crate::replay::Transitions;

/// Settings; the published ones where nothing else is said.
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
    /// Weight of the critic against the data.
    pub alpha: f32,
    /// Deviation of the noise that smooths targets, and where it is clipped.
    pub policy_noise: f64,
    /// See `policy_noise`.
    pub noise_clip: f64,
    /// The actor learns at every so many steps of the critics.
    pub policy_every: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            steps: 1_000_000,
            batch_size: 256,
            hidden: vec![256; 2],
            normalise: true,
            learning_rate: 3e-4,
            discount: 0.99,
            tau: 0.005,
            alpha: 2.5,
            policy_noise: 0.2,
            noise_clip: 0.5,
            policy_every: 2,
        }
    }
}

/// TD3+BC at work.
pub struct Td3Bc {
    settings: Settings,
    actor: GaussianActor,
    critics: TwinCritic,
    /// Rows of observation and action, `[n, o + a]`.
    rows: Vec<f32>,
    actions: Vec<f32>,
    values: Vec<f32>,
    targets: Vec<f32>,
    dactions: Vec<f32>,
    critic_loss: f64,
    distance: f64,
}

impl Td3Bc {
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
            actor: GaussianActor::new(sizes, random)?.with_target(),
            critics: TwinCritic::new(o + a, &settings.hidden, false, random),
            settings: settings.clone(),
            rows: Vec::new(),
            actions: Vec::new(),
            values: Vec::new(),
            targets: Vec::new(),
            dactions: Vec::new(),
            critic_loss: f64::NAN,
            distance: f64::NAN,
        })
    }

    fn update_critics(
        &mut self,
        batch: &Transitions,
        random: &mut Generator,
    ) -> Result<(), Diverged> {
        let settings = &self.settings;
        let next = &batch.next_observations;
        self.actor.target_means(next, &mut self.actions);
        smooth(
            &mut self.actions,
            settings.policy_noise,
            settings.noise_clip,
            random,
        );
        side_by_side(next, &self.actions, batch.len(), &mut self.rows);
        self.critics.lower_target(&self.rows, &mut self.values);
        targets(batch, settings.discount, &self.values, &mut self.targets);
        let (seen, done) = (&batch.observations, &batch.actions);
        side_by_side(seen, done, batch.len(), &mut self.rows);
        let rate = settings.learning_rate;
        self.critic_loss = self.critics.fit(&self.rows, &self.targets, 1.0, rate)?;
        Ok(())
    }

    fn update_actor(&mut self, batch: &Transitions) -> Result<(), Diverged> {
        let seen = &batch.observations;
        self.actor.means(seen, &mut self.actions);
        side_by_side(seen, &self.actions, batch.len(), &mut self.rows);
        let a = self.actions.len() / batch.len();
        let (values, dactions) = (&mut self.values, &mut self.dactions);
        self.critics
            .first_and_gradient(&self.rows, a, values, dactions);
        let size: f32 = values.iter().map(|value| value.abs()).sum();
        // lambda, over the rows of the mean: alpha / mean |Q| / n.
        let pull = self.settings.alpha / size.max(f32::MIN_POSITIVE);
        let hold = 2.0 / self.actions.len() as f32;
        let mut squares = 0.0;
        let pairs = self.actions.iter().zip(&batch.actions);
        for (daction, (action, done)) in dactions.iter_mut().zip(pairs) {
            let distance = action - done;
            squares += f64::from(distance * distance);
            *daction = hold.mul_add(distance, -pull * *daction);
        }
        self.distance = squares / self.actions.len() as f64;
        self.actor
            .learn_means(dactions, self.settings.learning_rate)
    }
}

impl Algorithm for Td3Bc {
    fn update(&mut self, batch: &Transitions, random: &mut Generator) -> Result<(), Diverged> {
        self.update_critics(batch, random)?;
        let updates = self.critics.pair[0].learned.updates();
        if updates.is_multiple_of(self.settings.policy_every.max(1)) {
            self.update_actor(batch)?;
            self.critics.follow(self.settings.tau);
            self.actor.learned.follow(self.settings.tau);
        }
        Ok(())
    }

    fn set_precision(&mut self, precision: Precision) {
        self.actor.set_precision(precision);
        self.critics.set_precision(precision);
    }

    fn metrics(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("critic_loss", self.critic_loss),
            ("target", mean(&self.targets)),
            ("distance", self.distance),
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
