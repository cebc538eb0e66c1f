//! The Gaussian policy: a network from what is seen to the mean of what is done,
//! and one deviation for all states (the control program of arXiv 2507.12856).

mod config;
mod error;
mod files;

use std::ops::Range;

use iwsft_engine::ops::{gaussian, tanh};
use iwsft_engine::{Layout, Policy, Precision, Tensor, View};

pub use config::GaussianConfig;
pub use error::PolicyError;
pub use files::GaussianFiles;

use crate::network::{Network, Pass};
use crate::random::Generator;

/// Whole trajectories, their `n` steps end to end.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepBatch {
    /// What was seen before each step, `[n, o]`, as recorded.
    pub observations: Vec<f32>,
    /// What was done, `[n, a]`, in the environment's units.
    pub actions: Vec<f32>,
    /// Number of steps `n`.
    pub steps: usize,
}

/// A network of linear layers with ReLU between them. The last one's output
/// goes through tanh: it is the mean of an action whose bounds are -1 and 1.
///
/// The policy lives in those units. An action `x` of the environment stands for
/// `(x - centre) / half`, `centre` and `half` being the middle and half the width
/// of its bounds, so deviations mean the same in every environment. A
/// log-probability is the density in these units; that in the environment's
/// differs by a constant, which cancels in every ratio. Where bounds are -1 and
/// 1, as those of D4RL's robots, the two are the same.
pub struct GaussianPolicy {
    config: GaussianConfig,
    layout: Layout,
    network: Network,
    log_std: Range<usize>,
    work: Work,
}

/// Memory that grows to the largest batch and is then used again.
struct Work {
    /// Numbers on their way to a tensor.
    host: Vec<f32>,
    pass: Pass,
    actions: Tensor,
    /// Log-probabilities or coefficients, `[n]`.
    per_step: Tensor,
}

impl GaussianPolicy {
    /// The network that `config` describes.
    ///
    /// # Errors
    /// [`PolicyError::Config`] if it describes none.
    pub fn new(config: GaussianConfig) -> Result<Self, PolicyError> {
        config.validate()?;
        let mut layout = Layout::default();
        let mut widths = vec![config.observation_size()];
        widths.extend_from_slice(&config.hidden);
        widths.push(config.action_size());
        let network = Network::new(&mut layout, "", &widths, false);
        let log_std = layout.push("log_std", &[config.action_size()]);
        Ok(Self {
            work: Work {
                host: Vec::new(),
                pass: network.pass(),
                actions: Tensor::default(),
                per_step: Tensor::default(),
            },
            config,
            layout,
            network,
            log_std,
        })
    }

    /// Multiplies in this precision from now on; it begins with f32.
    pub fn set_precision(&mut self, precision: Precision) {
        self.network.precision = precision;
    }

    /// Sizes, scales and bounds.
    pub fn config(&self) -> &GaussianConfig {
        &self.config
    }

    /// Parameters to start from: weights and biases even in
    /// `+-1 / sqrt(inputs)`, as PyTorch's linear layers have them, and
    /// log-deviations of 0.
    pub fn initial(&self, seed: u64) -> Tensor {
        self.initial_from(&mut Generator::new(seed))
    }

    pub(crate) fn initial_from(&self, random: &mut Generator) -> Tensor {
        let mut values = vec![0.0; self.layout.len()];
        self.network.initialise(random, &mut values);
        Tensor::from_vec(values)
    }

    /// The deviation of each element of an action, `[a]`, in units of its bounds.
    pub(crate) fn deviations(&self, parameters: &Tensor) -> Vec<f32> {
        let mut values = parameters.view(self.log_std.clone()).to_host();
        let [lowest, highest] = [*gaussian::LOG_STD.start(), *gaussian::LOG_STD.end()];
        for value in &mut values {
            *value = value.clamp(lowest, highest).exp();
        }
        values
    }

    /// Writes the mean action `[n, a]` for each of the `observations` `[n, o]`,
    /// in the environment's units.
    ///
    /// # Panics
    /// If the sizes disagree.
    pub fn act(&mut self, parameters: &Tensor, observations: &[f32], actions: &mut [f32]) {
        self.means(parameters, observations).copy_to_host(actions);
        self.config.unscale_actions(actions);
    }

    /// The means `[n, a]` in units of the bounds, for `observations` `[n, o]`.
    pub(crate) fn means(&mut self, parameters: &Tensor, observations: &[f32]) -> View<'_> {
        let work = &mut self.work;
        work.host.clear();
        work.host.extend_from_slice(observations);
        self.config.normalise(&mut work.host);
        let means = self.network.forward(parameters, &mut work.pass, &work.host);
        tanh::forward_in_place(means);
        self.network.outputs(&self.work.pass)
    }

    /// Adds to `gradients` what the gradient `dmeans [n, a]` of the last means makes
    /// of the parameters.
    pub(crate) fn backward_means(
        &mut self,
        parameters: &Tensor,
        gradients: &mut Tensor,
        dmeans: &[f32],
    ) {
        let (_, mut room) = self.network.output_and_gradient(&mut self.work.pass);
        room.copy_from_host(dmeans);
        self.backward_network(parameters, gradients);
    }

    /// The same for the gradient that is in the pass already.
    fn backward_network(&mut self, parameters: &Tensor, gradients: &mut Tensor) {
        let pass = &mut self.work.pass;
        let (means, dmeans) = self.network.output_and_gradient(pass);
        tanh::backward_in_place(means, dmeans);
        self.network.backward(parameters, gradients, pass);
    }
}

/// Copies `values` to the beginning of a tensor that grows as it must.
fn put(tensor: &mut Tensor, values: &[f32]) {
    tensor.reserve(values.len());
    tensor.copy_from_host(0, values);
}

impl Policy for GaussianPolicy {
    type Batch = StepBatch;

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn steps(batch: &StepBatch) -> usize {
        batch.steps
    }

    fn forward(&mut self, parameters: &Tensor, batch: &StepBatch, log_probs: &mut [f32]) {
        let (n, a) = (batch.steps, self.config.action_size());
        self.means(parameters, &batch.observations);
        let work = &mut self.work;
        work.host.clear();
        work.host.extend_from_slice(&batch.actions);
        self.config.scale_actions(&mut work.host);
        put(&mut work.actions, &work.host);
        work.per_step.reserve(n);
        gaussian::log_prob(
            self.network.outputs(&work.pass),
            parameters.view(self.log_std.clone()),
            work.actions.view(0..n * a),
            work.per_step.view_mut(0..n),
        );
        work.per_step.view(0..n).copy_to_host(log_probs);
    }

    fn backward(
        &mut self,
        parameters: &Tensor,
        gradients: &mut Tensor,
        batch: &StepBatch,
        coefficients: &[f32],
    ) {
        let (n, a) = (batch.steps, self.config.action_size());
        let work = &mut self.work;
        put(&mut work.per_step, coefficients);
        let (means, dmeans) = self.network.output_and_gradient(&mut work.pass);
        gaussian::backward(
            means,
            parameters.view(self.log_std.clone()),
            work.actions.view(0..n * a),
            work.per_step.view(0..n),
            dmeans,
            gradients.view_mut(self.log_std.clone()),
        );
        self.backward_network(parameters, gradients);
    }

    fn log_probs(&mut self, parameters: &Tensor, batch: &StepBatch, log_probs: &mut [f32]) {
        self.forward(parameters, batch, log_probs);
    }
}
