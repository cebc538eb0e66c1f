//! What a run reports while it goes on.

use std::path::Path;

use iwsft_objective::Diagnostics;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::Plan;

/// Follows a run, to show progress. Every method may be left out.
pub trait Observer {
    /// The run begins, or goes on, after `step` steps.
    fn on_start(&mut self, plan: &Plan, step: u64) {
        let _ = (plan, step);
    }

    /// So many rollouts of a round are drawn, of so many.
    fn on_drawing(&mut self, done: u64, total: u64) {
        let _ = (done, total);
    }

    /// Rollouts were drawn, which the following steps train on.
    fn on_rollouts(&mut self, metrics: &RolloutMetrics) {
        let _ = metrics;
    }

    /// A step was made.
    fn on_step(&mut self, metrics: &StepMetrics) {
        let _ = metrics;
    }

    /// The policy was validated.
    fn on_validation(&mut self, metrics: &ValidationMetrics) {
        let _ = metrics;
    }

    /// The policy was evaluated.
    fn on_evaluation(&mut self, metrics: &EvaluationMetrics) {
        let _ = metrics;
    }

    /// A checkpoint was written to `path` after `step` steps.
    fn on_checkpoint(&mut self, path: &Path, step: u64) {
        let _ = (path, step);
    }

    /// Something that the user should know.
    fn on_message(&mut self, message: &str) {
        let _ = message;
    }
}

/// Shows nothing.
impl Observer for () {}

/// Several observers: each is told everything, in their order.
impl Observer for Vec<Box<dyn Observer>> {
    fn on_start(&mut self, plan: &Plan, step: u64) {
        self.iter_mut().for_each(|each| each.on_start(plan, step));
    }

    fn on_drawing(&mut self, done: u64, total: u64) {
        self.iter_mut()
            .for_each(|each| each.on_drawing(done, total));
    }

    fn on_rollouts(&mut self, metrics: &RolloutMetrics) {
        self.iter_mut().for_each(|each| each.on_rollouts(metrics));
    }

    fn on_step(&mut self, metrics: &StepMetrics) {
        self.iter_mut().for_each(|each| each.on_step(metrics));
    }

    fn on_validation(&mut self, metrics: &ValidationMetrics) {
        self.iter_mut().for_each(|each| each.on_validation(metrics));
    }

    fn on_evaluation(&mut self, metrics: &EvaluationMetrics) {
        self.iter_mut().for_each(|each| each.on_evaluation(metrics));
    }

    fn on_checkpoint(&mut self, path: &Path, step: u64) {
        self.iter_mut()
            .for_each(|each| each.on_checkpoint(path, step));
    }

    fn on_message(&mut self, message: &str) {
        self.iter_mut().for_each(|each| each.on_message(message));
    }
}

/// A line of `metrics.jsonl` about an optimizer step.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename = "step")]
pub struct StepMetrics {
    /// Steps made, this one included.
    pub step: u64,
    /// Passes over the data made, with the share of the present one.
    pub epoch: f64,
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Norm of the gradient before it was clipped.
    pub grad_norm: f64,
    /// Whether the gradient was clipped.
    pub grad_clipped: bool,
    /// Rows (tokens) of this step, prompts included.
    pub tokens: u64,
    /// The same of all steps so far.
    pub total_tokens: u64,
    /// Forward passes that carried gradients.
    pub micro_batches: usize,
    /// Rows (tokens) a second, of this step.
    pub tokens_per_second: f64,
    /// Seconds of training so far, earlier sessions included.
    pub seconds: f64,
    /// The objective's report on the batch; `loss` is what is optimised.
    #[serde(flatten)]
    pub diagnostics: Diagnostics,
}

/// A line of `metrics.jsonl` about a round of rollouts.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename = "rollouts")]
pub struct RolloutMetrics {
    /// The first step that trains on them: a resumed run that draws them again
    /// drops this line with that step's.
    pub step: u64,
    /// Rounds, this one included.
    pub round: u64,
    /// Rollouts drawn.
    pub rollouts: u64,
    /// Groups of rollouts of one prompt.
    pub groups: u64,
    /// Mean reward.
    pub reward: f64,
    /// Share of groups whose rewards are all the same: they have no advantage.
    pub no_signal: f64,
    /// Mean length, in drawn tokens.
    pub mean_tokens: f64,
    /// Share of rollouts that a limit ended.
    pub cut: f64,
    /// Tokens drawn in this round, and in all so far.
    pub tokens: u64,
    /// The same of all rounds so far.
    pub total_tokens: u64,
    /// Seconds that drawing and grading took.
    pub round_seconds: f64,
    /// Drawn tokens a second.
    pub tokens_per_second: f64,
    /// Seconds of the run so far, earlier sessions included; evaluations do not
    /// count.
    pub seconds: f64,
}

/// A line of `metrics.jsonl` about a validation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename = "validation")]
pub struct ValidationMetrics {
    /// Steps made before it.
    pub step: u64,
    /// Plain negative log-likelihood in nats per step (token) with loss.
    pub nll: f64,
    /// Whether no earlier validation of a trained policy was lower.
    pub best: bool,
    /// Seconds of training so far, earlier sessions included.
    pub seconds: f64,
}

/// A line of `metrics.jsonl` about an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename = "eval")]
pub struct EvaluationMetrics {
    /// Steps made before it.
    pub step: u64,
    /// Seconds of training so far, earlier sessions included; evaluations do not
    /// count.
    pub seconds: f64,
    /// What the evaluator found.
    #[serde(flatten)]
    pub found: Map<String, Value>,
}
