//! The Gaussian policy: a network from what is seen to the mean of what is done,
//! and one deviation for all states (the control program of arXiv 2507.12856).

mod config;
mod error;
mod files;

use std::ops::Range;

use iwsft_engine::ops::{gaussian, linear, relu, tanh};
use iwsft_engine::{Layout, Policy, Precision, Tensor};

pub use config::GaussianConfig;
pub use error::PolicyError;
pub use files::GaussianFiles;

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
    layers: Vec<Layer>,
    log_std: Range<usize>,
    work: Work,
}

/// Where a linear layer's parameters are, and its widths.
struct Layer {
    weight: Range<usize>,
    bias: Range<usize>,
    input: usize,
    output: usize,
}

/// Memory that grows to the largest batch and is then used again.
#[derive(Default)]
struct Work {
    /// Numbers on their way to a tensor.
    host: Vec<f32>,
    /// The input `[n, o]`, and the output of each layer behind it.
    activations: Vec<Tensor>,
    actions: Tensor,
    /// Log-probabilities or coefficients, `[n]`.
    per_step: Tensor,
    /// Gradients of two neighbouring activations.
    gradients: [Tensor; 2],
}

impl GaussianPolicy {
    /// The network that `config` describes.
    ///
    /// # Errors
    /// [`PolicyError::Config`] if it describes none.
    pub fn new(config: GaussianConfig) -> Result<Self, PolicyError> {
        config.validate()?;
        let mut layout = Layout::default();
        let mut layers = Vec::new();
        let mut input = config.observation_size();
        let outputs = config.hidden.iter().copied().chain([config.action_size()]);
        for (index, output) in outputs.enumerate() {
            layers.push(Layer {
                weight: layout.push(format!("layers.{index}.weight"), &[output, input]),
                bias: layout.push(format!("layers.{index}.bias"), &[output]),
                input,
                output,
            });
            input = output;
        }
        let log_std = layout.push("log_std", &[config.action_size()]);
        Ok(Self {
            work: Work {
                activations: (0..=layers.len()).map(|_| Tensor::default()).collect(),
                ..Work::default()
            },
            config,
            layout,
            layers,
            log_std,
        })
    }

    /// Sizes, scales and bounds.
    pub fn config(&self) -> &GaussianConfig {
        &self.config
    }

    /// Parameters to start from: weights and biases even in
    /// `+-1 / sqrt(inputs)`, as PyTorch's linear layers have them, and
    /// log-deviations of 0.
    pub fn initial(&self, seed: u64) -> Tensor {
        let mut random = Generator::new(seed);
        let mut values = vec![0.0; self.layout.len()];
        for layer in &self.layers {
            let bound = 1.0 / (layer.input as f64).sqrt();
            for range in [&layer.weight, &layer.bias] {
                for value in &mut values[range.clone()] {
                    *value = random.uniform(-bound, bound) as f32;
                }
            }
        }
        Tensor::from_vec(values)
    }

    /// Writes the mean action `[n, a]` for each of the `observations` `[n, o]`,
    /// in the environment's units.
    ///
    /// # Panics
    /// If the sizes disagree.
    pub fn act(&mut self, parameters: &Tensor, observations: &[f32], actions: &mut [f32]) {
        let a = self.config.action_size();
        let n = actions.len() / a;
        self.means(parameters, observations, n);
        let means = self.work.activations[self.layers.len()].view(0..n * a);
        actions.copy_from_slice(&means.to_host());
        self.config.unscale_actions(actions);
    }

    /// Writes the means in units of the bounds as the last activation.
    fn means(&mut self, parameters: &Tensor, observations: &[f32], n: usize) {
        let work = &mut self.work;
        let expected = n * self.config.observation_size();
        assert_eq!(observations.len(), expected, "numbers of {n} observations");
        work.host.clear();
        work.host.extend_from_slice(observations);
        self.config.normalise(&mut work.host);
        put(&mut work.activations[0], &work.host);
        for (index, layer) in self.layers.iter().enumerate() {
            let (before, behind) = work.activations.split_at_mut(index + 1);
            let (x, y) = (&before[index], &mut behind[0]);
            y.reserve(n * layer.output);
            linear::forward(
                x.view(0..n * layer.input),
                parameters.view(layer.weight.clone()),
                Some(parameters.view(layer.bias.clone())),
                y.view_mut(0..n * layer.output),
                [n, layer.input, layer.output],
                false,
                Precision::F32,
            );
            let y = y.view_mut(0..n * layer.output);
            match index + 1 < self.layers.len() {
                true => relu::forward_in_place(y),
                false => tanh::forward_in_place(y),
            }
        }
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
        self.means(parameters, &batch.observations, n);
        let work = &mut self.work;
        work.host.clear();
        work.host.extend_from_slice(&batch.actions);
        self.config.scale_actions(&mut work.host);
        put(&mut work.actions, &work.host);
        work.per_step.reserve(n);
        gaussian::log_prob(
            work.activations[self.layers.len()].view(0..n * a),
            parameters.view(self.log_std.clone()),
            work.actions.view(0..n * a),
            work.per_step.view_mut(0..n),
        );
        log_probs.copy_from_slice(&work.per_step.view(0..n).to_host());
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
        let widest = self.layers.iter().map(|layer| layer.output).max();
        let widest = widest.unwrap_or(a);
        work.gradients
            .iter_mut()
            .for_each(|each| each.reserve(n * widest));
        put(&mut work.per_step, coefficients);
        let [dy, dx] = &mut work.gradients;
        let (mut dy, mut dx) = (dy, dx);
        let mean = work.activations[self.layers.len()].view(0..n * a);
        gaussian::backward(
            mean,
            parameters.view(self.log_std.clone()),
            work.actions.view(0..n * a),
            work.per_step.view(0..n),
            dy.view_mut(0..n * a),
            gradients.view_mut(self.log_std.clone()),
        );
        tanh::backward_in_place(mean, dy.view_mut(0..n * a));
        for (index, layer) in self.layers.iter().enumerate().rev() {
            let sizes = [n, layer.input, layer.output];
            let upstream = dy.view(0..n * layer.output);
            let x = work.activations[index].view(0..n * layer.input);
            let dweight = gradients.view_mut(layer.weight.clone());
            linear::backward_weight(upstream, x, dweight, sizes, Precision::F32);
            linear::backward_bias(upstream, gradients.view_mut(layer.bias.clone()));
            // Nothing depends on the gradient of what was seen.
            if index > 0 {
                let weight = parameters.view(layer.weight.clone());
                let mut dinput = dx.view_mut(0..n * layer.input);
                linear::backward_input(
                    upstream,
                    weight,
                    dinput.reborrow(),
                    sizes,
                    false,
                    Precision::F32,
                );
                relu::backward_in_place(x, dinput);
                std::mem::swap(&mut dy, &mut dx);
            }
        }
    }

    fn log_probs(&mut self, parameters: &Tensor, batch: &StepBatch, log_probs: &mut [f32]) {
        self.forward(parameters, batch, log_probs);
    }
}
