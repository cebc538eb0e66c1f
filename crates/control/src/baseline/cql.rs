//! CQL (Kumar et al., arXiv 2006.04779): SAC whose critics are pressed down where
//! the policy and chance would act, and up where the data did. The critics' loss
//! is the squared error plus `alpha (logsumexp_a Q(s, a) - Q(s, a of the data))`,
//! the first term by importance sampling; targets without entropy.

use iwsft_engine::Precision;
use serde::{Deserialize, Serialize};

use super::{Algorithm, mean};
use crate::actor::{Sizes, SquashedActor};
use crate::critic::TwinCritic;
use crate::learned::{Diverged, Learned};
use crate::policy::PolicyError;
use crate::random::Generator;
use crate::replay::Transitions;
use crate::temperature::Temperature;

/// Settings; where nothing else is said, those that its public program
/// (github.com/tinkoff-ai/CORL) is run with on D4RL's gym tasks.
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
    /// Of actor and temperature.
    pub actor_learning_rate: f64,
    /// Of the critics.
    pub critic_learning_rate: f64,
    /// What a reward is worth a step later.
    pub discount: f32,
    /// How far targets move a step.
    pub tau: f64,
    /// Weight of the pressure.
    pub alpha: f32,
    /// Actions of each of three kinds (chance, the policy now, the policy at the next
    /// state) that are pressed down.
    pub actions: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            steps: 1_000_000,
            batch_size: 256,
            hidden: vec![256; 3],
            normalise: true,
            actor_learning_rate: 3e-5,
            critic_learning_rate: 3e-4,
            discount: 0.99,
            tau: 0.005,
            alpha: 10.0,
            actions: 10,
        }
    }
}

/// CQL at work.
pub struct Cql {
    settings: Settings,
    actor: SquashedActor,
    critics: TwinCritic,
    temperature: Temperature,
    /// Log-densities of what the actions that are pressed down were drawn from.
    densities: Vec<f32>,
    actions: Vec<f32>,
    log_probs: Vec<f32>,
    critic_loss: f64,
    gap: f64,
}

impl Cql {
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
            actor: SquashedActor::new(sizes, random)?,
            critics: TwinCritic::new([o, a], &settings.hidden, false, random),
            temperature: Temperature::new(a),
            settings: settings.clone(),
            densities: Vec::new(),
            actions: Vec::new(),
            log_probs: Vec::new(),
            critic_loss: f64::NAN,
            gap: f64::NAN,
        })
    }

    /// Lays out the rows of the data, and behind them those that are pressed down.
    fn press(&mut self, batch: &Transitions, random: &mut Generator) {
        let (n, count) = (batch.len(), self.settings.actions);
        let a = batch.actions.len() / n;
        let width = batch.observations.len() / n;
        let [now, next] = [&batch.observations, &batch.next_observations].map(|observations| {
            let mut repeated = Vec::with_capacity(count * observations.len());
            for row in observations.chunks_exact(width) {
                (0..count).for_each(|_| repeated.extend_from_slice(row));
            }
            let (mut actions, mut log_probs) = (Vec::new(), Vec::new());
            self.actor
                .draw(&repeated, random, &mut actions, &mut log_probs);
            (actions, log_probs)
        });
        // Each element of a random action has the density 1 / 2.
        let chance = -(a as f32) * std::f32::consts::LN_2;
        let densities = &mut self.densities;
        densities.clear();
        let (seen, done) = (&batch.observations, &batch.actions);
        self.critics.lay_out(seen, done, |rows| {
            for (index, seen) in seen.chunks_exact(width).enumerate() {
                for _ in 0..count {
                    rows.extend_from_slice(seen);
                    rows.extend((0..a).map(|_| random.uniform(-1.0, 1.0) as f32));
                    densities.push(chance);
                }
                for (actions, log_probs) in [&now, &next] {
                    for draw in index * count..(index + 1) * count {
                        rows.extend_from_slice(seen);
                        rows.extend_from_slice(&actions[draw * a..(draw + 1) * a]);
                        densities.push(log_probs[draw]);
                    }
                }
            }
        });
    }

    fn update_critics(
        &mut self,
        batch: &Transitions,
        random: &mut Generator,
    ) -> Result<(), Diverged> {
        let n = batch.len();
        let seen = &batch.next_observations;
        let (actions, log_probs) = (&mut self.actions, &mut self.log_probs);
        self.actor.draw(seen, random, actions, log_probs);
        let discount = self.settings.discount;
        self.critics.look_ahead(batch, actions, discount, |_| {});
        self.press(batch, random);
        let targets = self.critics.targets().to_vec();
        let pressure = Pressure {
            targets: &targets,
            densities: &self.densities,
            alpha: self.settings.alpha,
        };
        let rate = self.settings.critic_learning_rate;
        self.critics
            .learn(rate, |values, dvalues| pressure.gradient(values, dvalues))?;
        let (data, pressed) = self.critics.values(0).split_at(n);
        let errors = data.iter().zip(&targets);
        let squares: f64 = errors.map(|(q, y)| f64::from(q - y).powi(2)).sum();
        self.critic_loss = squares / n as f64;
        self.gap = mean(pressed) - mean(data);
        Ok(())
    }
}

/// What the critics' loss is made of.
struct Pressure<'a> {
    targets: &'a [f32],
    densities: &'a [f32],
    alpha: f32,
}

impl Pressure<'_> {
    /// The gradient of the loss with regard to the `values` of all rows.
    fn gradient(&self, values: &[f32], dvalues: &mut Vec<f32>) {
        let n = self.targets.len();
        let (data, pressed) = values.split_at(n);
        let share = self.alpha / n as f32;
        dvalues.clear();
        let errors = data.iter().zip(self.targets).map(|(q, y)| q - y);
        dvalues.extend(errors.map(|error| 2.0 * error / n as f32 - share));
        let group = pressed.len() / n;
        let groups = pressed.chunks_exact(group);
        for (values, densities) in groups.zip(self.densities.chunks_exact(group)) {
            let weighed = || values.iter().zip(densities).map(|(q, density)| q - density);
            let largest = weighed().fold(f32::NEG_INFINITY, f32::max);
            let total: f32 = weighed().map(|each| (each - largest).exp()).sum();
            dvalues.extend(weighed().map(|each| share * (each - largest).exp() / total));
        }
    }
}

impl Algorithm for Cql {
    fn update(&mut self, batch: &Transitions, random: &mut Generator) -> Result<(), Diverged> {
        self.update_critics(batch, random)?;
        self.actor.climb(
            &batch.observations,
            &mut self.critics,
            &mut self.temperature,
            random,
            self.settings.actor_learning_rate,
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
            ("gap", self.gap),
            ("temperature", self.temperature.value().into()),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// `mean (q - y)^2 + alpha mean (logsumexp (q - density) - q of the data)`.
    fn loss(values: &[f32], pressure: &Pressure<'_>) -> f64 {
        let n = pressure.targets.len();
        let (data, pressed) = values.split_at(n);
        let group = pressed.len() / n;
        let rows = (0..n).map(|row| {
            let range = row * group..(row + 1) * group;
            let sum: f64 = pressed[range.clone()]
                .iter()
                .zip(&pressure.densities[range])
                .map(|(q, density)| f64::from(q - density).exp())
                .sum();
            let (q, y) = (f64::from(data[row]), f64::from(pressure.targets[row]));
            (q - y).powi(2) + f64::from(pressure.alpha) * (sum.ln() - q)
        });
        rows.sum::<f64>() / n as f64
    }

    #[test]
    fn the_pressure_is_the_gradient_of_its_loss() {
        let values = [0.5, -1.0, 0.3, 0.7, -0.2, 1.5, 0.1, 0.0];
        let pressure = Pressure {
            targets: &[1.0, 0.0],
            densities: &[-0.7, 0.2, -1.0, -0.7, 0.5, 0.1],
            alpha: 5.0,
        };
        let mut found = Vec::new();
        pressure.gradient(&values, &mut found);
        for index in 0..values.len() {
            let [below, above] = [-1e-2, 1e-2].map(|step| {
                let mut moved = values;
                moved[index] += step;
                loss(&moved, &pressure)
            });
            let expected = (above - below) / 2e-2;
            assert!((f64::from(found[index]) - expected).abs() < 1e-3, "{index}");
        }
    }
}
