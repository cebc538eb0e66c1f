//! The contract between a policy and whatever trains it.

use crate::{Layout, Tensor};

/// A policy: a batch of trajectories goes in, the log-probability of every
/// step that carries loss comes out; per-step coefficients go in, the
/// parameters' gradients accumulate.
///
/// A policy is the network's shape and its working memory. Parameters and
/// gradients are values that the caller owns and hands in, laid out as
/// [`Policy::layout`] says; so the trained policy, a moving average of it and
/// a reference share one network.
pub trait Policy {
    /// A packed micro-batch of whole trajectories.
    type Batch;

    /// Where each parameter lives.
    fn layout(&self) -> &Layout;

    /// Number of steps with loss in `batch`: the length of `log_probs` below.
    fn steps(batch: &Self::Batch) -> usize;

    /// Writes the log-probability of each step, trajectory after trajectory,
    /// and keeps what [`Policy::backward`] needs.
    fn forward(&mut self, parameters: &Tensor, batch: &Self::Batch, log_probs: &mut [f32]);

    /// Adds the gradient of `-sum_t coefficients[t] * log_probs[t]` to
    /// `gradients`. Call once after a [`Policy::forward`] with the same
    /// parameters and batch.
    fn backward(
        &mut self,
        parameters: &Tensor,
        gradients: &mut Tensor,
        batch: &Self::Batch,
        coefficients: &[f32],
    );

    /// Writes the log-probability of each step and keeps nothing.
    fn log_probs(&mut self, parameters: &Tensor, batch: &Self::Batch, log_probs: &mut [f32]);
}
