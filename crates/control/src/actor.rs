//! Actors: the policies that baselines teach, in units of the actions' bounds.

use iwsft_engine::{Layout, Policy, Precision, Tensor};

use crate::critic::TwinCritic;
use crate::learned::{Diverged, Learned};
use crate::network::{Network, Pass};
use crate::policy::{GaussianConfig, GaussianPolicy, PolicyError, StepBatch};
use crate::random::Generator;
use crate::temperature::Temperature;

/// The hidden widths and sizes of an actor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes<'a> {
    /// Numbers of an observation, `o`.
    pub(crate) observation: usize,
    /// Numbers of an action, `a`.
    pub(crate) action: usize,
    /// Widths of hidden layers.
    pub(crate) hidden: &'a [usize],
}

impl Sizes<'_> {
    /// A policy of these sizes that takes observations and actions as they are.
    fn policy(&self) -> Result<GaussianPolicy, PolicyError> {
        GaussianPolicy::new(GaussianConfig {
            hidden: self.hidden.to_vec(),
            observation_mean: vec![0.0; self.observation],
            observation_deviation: vec![1.0; self.observation],
            action_low: vec![-1.0; self.action],
            action_high: vec![1.0; self.action],
        })
    }
}

/// A Gaussian policy that learns: by its mean alone, or by log-probabilities.
pub(crate) struct GaussianActor {
    policy: GaussianPolicy,
    pub(crate) learned: Learned,
    batch: StepBatch,
    log_probs: Vec<f32>,
}

impl GaussianActor {
    pub(crate) fn new(sizes: Sizes<'_>, random: &mut Generator) -> Result<Self, PolicyError> {
        let policy = sizes.policy()?;
        let parameters = policy.initial_from(random);
        Ok(Self {
            learned: Learned::new("actor", policy.layout().clone(), parameters),
            policy,
            batch: StepBatch::default(),
            log_probs: Vec::new(),
        })
    }

    pub(crate) fn with_target(mut self) -> Self {
        self.learned = self.learned.with_target();
        self
    }

    /// Multiplies in this precision from now on.
    pub(crate) fn set_precision(&mut self, precision: Precision) {
        self.policy.set_precision(precision);
    }

    /// The means `[n, a]`; kept, to be learnt from.
    pub(crate) fn means(&mut self, observations: &[f32], means: &mut Vec<f32>) {
        let found = self.policy.means(&self.learned.parameters, observations);
        means.resize(found.len(), 0.0);
        found.copy_to_host(means);
    }

    /// The means `[n, a]` of the target.
    pub(crate) fn target_means(&mut self, observations: &[f32], means: &mut Vec<f32>) {
        let learned = &self.learned;
        let parameters = learned.target.as_ref().unwrap_or(&learned.parameters);
        let found = self.policy.means(parameters, observations);
        means.resize(found.len(), 0.0);
        found.copy_to_host(means);
    }

    /// Draws actions `[n, a]`, cut off at their bounds.
    pub(crate) fn draw(
        &mut self,
        observations: &[f32],
        random: &mut Generator,
        actions: &mut Vec<f32>,
    ) {
        self.means(observations, actions);
        let deviations = self.policy.deviations(&self.learned.parameters);
        for row in actions.chunks_exact_mut(deviations.len()) {
            for (action, deviation) in row.iter_mut().zip(&deviations) {
                let noise = random.normal() as f32;
                *action = noise.mul_add(*deviation, *action).clamp(-1.0, 1.0);
            }
        }
    }

    /// One update along `dmeans [n, a]`, the gradient of the means found last.
    pub(crate) fn learn_means(
        &mut self,
        dmeans: &[f32],
        learning_rate: f64,
    ) -> Result<(), Diverged> {
        let Learned {
            parameters,
            gradients,
            ..
        } = &mut self.learned;
        self.policy.backward_means(parameters, gradients, dmeans);
        self.learned.update(learning_rate)
    }

    /// One update of the loss `-mean_i weights_i log p(actions_i)`: a weighted
    /// log-likelihood, as every objective of this project is. Returns the mean
    /// negative log-likelihood.
    pub(crate) fn learn_actions(
        &mut self,
        observations: &[f32],
        actions: &[f32],
        weights: &[f32],
        learning_rate: f64,
    ) -> Result<f64, Diverged> {
        let n = weights.len();
        let batch = &mut self.batch;
        batch.steps = n;
        batch.observations.clear();
        batch.observations.extend_from_slice(observations);
        batch.actions.clear();
        batch.actions.extend_from_slice(actions);
        self.log_probs.resize(n, 0.0);
        let Learned {
            parameters,
            gradients,
            ..
        } = &mut self.learned;
        let log_probs = &mut self.log_probs;
        self.policy.forward(parameters, batch, log_probs);
        let nll = -log_probs.iter().map(|&p| f64::from(p)).sum::<f64>() / n as f64;
        // The log-probabilities have been used; their room takes the coefficients.
        let coefficients = log_probs;
        for (coefficient, weight) in coefficients.iter_mut().zip(weights) {
            *coefficient = weight / n as f32;
        }
        self.policy
            .backward(parameters, gradients, batch, coefficients);
        self.learned.update(learning_rate)?;
        Ok(nll)
    }

    /// The parameters of the policy.
    pub(crate) fn policy(&self) -> Vec<f32> {
        self.learned.parameters.to_host()
    }
}

/// What a log-deviation is clamped to, as the published programs have it.
const LOG_STD: [f32; 2] = [-20.0, 2.0];

const HALF_LOG_TWO_PI: f32 = 0.918_938_5;

/// A policy whose actions are the tanh of a Gaussian, mean and log-deviation both
/// the network's (Haarnoja et al., arXiv 1801.01290).
#[derive(Debug)]
pub(crate) struct SquashedActor {
    network: Network,
    pub(crate) learned: Learned,
    pass: Pass,
    a: usize,
    /// What was drawn last: the network's outputs `[n, 2 a]`, noise and actions
    /// `[n, a]`.
    outputs: Vec<f32>,
    noise: Vec<f32>,
    actions: Vec<f32>,
}

impl SquashedActor {
    pub(crate) fn new(sizes: Sizes<'_>, random: &mut Generator) -> Result<Self, PolicyError> {
        // The same sizes make a Gaussian policy, as which it is kept.
        sizes.policy()?;
        let a = sizes.action;
        let widths = [&[sizes.observation], sizes.hidden, &[2 * a]].concat();
        let mut layout = Layout::default();
        let network = Network::new(&mut layout, "", &widths, false);
        let mut parameters = vec![0.0; layout.len()];
        network.initialise(random, &mut parameters);
        Ok(Self {
            pass: network.pass(),
            network,
            learned: Learned::new("actor", layout, Tensor::from_vec(parameters)),
            a,
            outputs: Vec::new(),
            noise: Vec::new(),
            actions: Vec::new(),
        })
    }

    /// Multiplies in this precision from now on.
    pub(crate) fn set_precision(&mut self, precision: Precision) {
        self.network.precision = precision;
    }

    /// Draws actions `[n, a]` and writes their log-densities `[n]`; kept, to be
    /// learnt from.
    ///
    /// With `u = mean + exp(s) noise`, `action = tanh(u)` and
    /// `log p = sum_i -noise^2 / 2 - s - log(2 pi) / 2 - log(1 - tanh(u)^2)`.
    pub(crate) fn draw(
        &mut self,
        observations: &[f32],
        random: &mut Generator,
        actions: &mut Vec<f32>,
        log_probs: &mut Vec<f32>,
    ) {
        self.run(observations);
        self.noise.clear();
        actions.clear();
        log_probs.clear();
        for row in self.outputs.chunks_exact(2 * self.a) {
            let (means, log_stds) = row.split_at(self.a);
            let mut log_prob = 0.0;
            for (mean, log_std) in means.iter().zip(log_stds) {
                let s = log_std.clamp(LOG_STD[0], LOG_STD[1]);
                let noise = random.normal() as f32;
                let u = s.exp().mul_add(noise, *mean);
                log_prob -= 0.5 * noise * noise + s + HALF_LOG_TWO_PI + log_slope(u);
                self.noise.push(noise);
                actions.push(u.tanh());
            }
            log_probs.push(log_prob);
        }
        self.actions.clear();
        self.actions.extend_from_slice(actions);
    }

    fn run(&mut self, observations: &[f32]) {
        let parameters = &self.learned.parameters;
        let outputs = self
            .network
            .forward(parameters, &mut self.pass, observations);
        self.outputs.resize(outputs.len(), 0.0);
        self.network
            .outputs(&self.pass)
            .copy_to_host(&mut self.outputs);
    }

    /// One update of the loss `mean_i temperature log p(action_i) + f(action_i)` for
    /// the actions drawn last; `dactions [n, a]` is the gradient of `f`.
    pub(crate) fn learn(
        &mut self,
        dactions: &[f32],
        temperature: f32,
        learning_rate: f64,
    ) -> Result<(), Diverged> {
        let a = self.a;
        let scale = a as f32 / dactions.len() as f32;
        let mut doutputs = vec![0.0; self.outputs.len()];
        let rows = doutputs
            .chunks_exact_mut(2 * a)
            .zip(self.outputs.chunks_exact(2 * a));
        for (row, (doutput, output)) in rows.enumerate() {
            for i in 0..a {
                let at = row * a + i;
                let action = self.actions[at];
                let slope = action.mul_add(-action, 1.0);
                // d/du of -log(1 - tanh(u)^2) is 2 tanh(u).
                let du = scale * dactions[at].mul_add(slope, temperature * 2.0 * action);
                let log_std = output[a + i];
                doutput[i] = du;
                if (LOG_STD[0]..=LOG_STD[1]).contains(&log_std) {
                    doutput[a + i] =
                        du.mul_add(log_std.exp() * self.noise[at], -scale * temperature);
                }
            }
        }
        let (_, mut gradient) = self.network.output_and_gradient(&mut self.pass);
        gradient.copy_from_host(&doutputs);
        let Learned {
            parameters,
            gradients,
            ..
        } = &mut self.learned;
        self.network.backward(parameters, gradients, &mut self.pass);
        self.learned.update(learning_rate)
    }

    /// Draws actions in the states `observations [n, o]`, and makes one update towards
    /// those that the lower of the `critics` values more and that keep the entropy;
    /// then one of its weight, `temperature`.
    pub(crate) fn climb(
        &mut self,
        observations: &[f32],
        critics: &mut TwinCritic,
        temperature: &mut Temperature,
        random: &mut Generator,
        learning_rate: f64,
    ) -> Result<(), Diverged> {
        let (mut actions, mut log_probs) = (Vec::new(), Vec::new());
        self.draw(observations, random, &mut actions, &mut log_probs);
        let (mut values, mut dactions) = (Vec::new(), Vec::new());
        critics.lower_and_gradient(observations, &actions, &mut values, &mut dactions);
        dactions.iter_mut().for_each(|each| *each = -*each);
        self.learn(&dactions, temperature.value(), learning_rate)?;
        temperature.learn(&log_probs, learning_rate)
    }

    /// The parameters of the Gaussian policy whose mean is that of this one: without
    /// the rows of the log-deviations, and one of 0 in their place.
    pub(crate) fn policy(&self) -> Vec<f32> {
        let values = self.learned.parameters.to_host();
        let [weight, bias] = self.network.last();
        let kept = weight.start + weight.len() / 2;
        let mut policy = values[..kept].to_vec();
        policy.extend_from_slice(&values[bias.start..bias.start + self.a]);
        policy.resize(policy.len() + self.a, 0.0);
        policy
    }
}

/// `log(1 - tanh(u)^2)`, without the cancellation: `2 (log 2 - u - log(1 + exp(-2 u)))`,
/// and even in `u`.
fn log_slope(u: f32) -> f32 {
    let u = u.abs();
    2.0 * (std::f32::consts::LN_2 - u - (-2.0 * u).exp().ln_1p())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: Sizes<'static> = Sizes {
        observation: 2,
        action: 2,
        hidden: &[7, 5],
    };
    const SEEN: [f32; 6] = [0.5, -1.0, 0.25, 0.75, -0.5, 1.0];

    fn drawn(actor: &mut SquashedActor) -> (Vec<f32>, Vec<f32>) {
        let (mut actions, mut log_probs) = (Vec::new(), Vec::new());
        // The same noise each time.
        actor.draw(&SEEN, &mut Generator::new(4), &mut actions, &mut log_probs);
        (actions, log_probs)
    }

    #[test]
    fn the_density_of_a_squashed_action_is_that_of_the_change_of_variables() {
        let mut actor = SquashedActor::new(SIZES, &mut Generator::new(1)).unwrap();
        let (actions, log_probs) = drawn(&mut actor);
        for (row, log_prob) in log_probs.iter().enumerate() {
            let expected: f64 = (0..2)
                .map(|i| {
                    let output = |at: usize| f64::from(actor.outputs[4 * row + at]);
                    let action = f64::from(actions[2 * row + i]);
                    let (mean, deviation) = (output(i), output(2 + i).exp());
                    let z = (action.atanh() - mean) / deviation;
                    let density = (-0.5 * z * z).exp() / (deviation * std::f64::consts::TAU.sqrt());
                    (density / (1.0 - action * action)).ln()
                })
                .sum();
            assert!((f64::from(*log_prob) - expected).abs() < 1e-4);
        }
        assert!((log_slope(20.0) - (2.0 * (2.0_f32.ln() - 20.0))).abs() < 1e-4);
        assert_eq!(log_slope(0.0), 0.0);
    }

    #[test]
    fn a_squashed_actor_learns_along_the_gradient_of_its_loss() {
        // The loss: temperature mean log p + mean_i sum 3 actions.
        let (temperature, slope) = (0.7, 3.0);
        let mut actor = SquashedActor::new(SIZES, &mut Generator::new(1)).unwrap();
        let parameters = actor.learned.parameters.to_host();
        let mut loss = |values: &[f32]| -> f64 {
            actor.learned.parameters.copy_from_host(0, values);
            let (actions, log_probs) = drawn(&mut actor);
            let sum = |values: &[f32]| values.iter().map(|&x| f64::from(x)).sum::<f64>() / 3.0;
            temperature * sum(&log_probs) + slope * sum(&actions)
        };
        const STEP: f32 = 4e-3;
        let differences: Vec<f64> = (0..parameters.len())
            .map(|index| {
                let [below, above] = [-STEP, STEP].map(|step| {
                    let mut moved = parameters.clone();
                    moved[index] += step;
                    loss(&moved)
                });
                (above - below) / f64::from(2.0 * STEP)
            })
            .collect();
        loss(&parameters);
        // Adam's first moment after its first step is a tenth of the gradient.
        actor
            .learn(&[slope as f32; 6], temperature as f32, 0.0)
            .unwrap();
        let state = actor.learned.state();
        let found = state.tensors[1].1.to_host();
        for (index, (found, expected)) in found.iter().zip(&differences).enumerate() {
            let found = 10.0 * f64::from(*found);
            let error = (found - expected).abs();
            assert!(
                error < 0.02 * expected.abs().max(1.0),
                "{index}: {found} {expected}"
            );
        }
    }

    #[test]
    fn a_squashed_actor_is_kept_as_the_gaussian_of_the_same_mean() {
        let mut actor = SquashedActor::new(SIZES, &mut Generator::new(1)).unwrap();
        drawn(&mut actor);
        let mut policy = SIZES.policy().unwrap();
        let mut means = [0.0; 6];
        policy.act(&Tensor::from_vec(actor.policy()), &SEEN, &mut means);
        for (mean, output) in means.chunks(2).zip(actor.outputs.chunks(4)) {
            for (mean, output) in mean.iter().zip(output) {
                assert!((mean - output.tanh()).abs() < 1e-6);
            }
        }
    }
}
