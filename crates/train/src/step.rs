//! One optimizer step: the trajectories of a batch go through the policy in
//! as many passes as the memory asks for, and the result is that of one pass.

use iwsft_data::Mixture;
use iwsft_engine::{Layout, Policy, Tensor, optim};
use iwsft_objective::{Diagnostics, Proposal, Quality, Steps, Summary};

use crate::{LogProbs, Rule, State, TrainError, Trajectories, micro_batches};

/// What one optimizer step did.
#[derive(Debug, Clone, PartialEq)]
pub struct StepOutcome {
    /// The objective's report on the batch.
    pub diagnostics: Diagnostics,
    /// Norm of the gradient of the loss, before it was clipped.
    pub grad_norm: f64,
    /// Whether the gradient was clipped.
    pub clipped: bool,
    /// Rows (tokens) that went through the policy, prompts included.
    pub tokens: u64,
    /// Forward passes that carried gradients.
    pub micro_batches: usize,
}

/// Makes optimizer steps. Holds what does not change between them, and the
/// memory that they reuse.
pub struct Stepper<'a, P: Policy, T> {
    pub(crate) policy: &'a mut P,
    trajectories: &'a T,
    rule: Rule,
    reference: Option<LogProbs>,
    /// R of J and its bounds is 1 for every row: some of the data's rewards are
    /// below 0.
    unit_rewards: bool,
    /// `[trajectories]`: how many times as likely each is to be drawn as the
    /// reference makes it; empty where rows are not drawn by quality.
    density: Vec<f32>,
    micro_tokens: usize,
    max_grad_norm: Option<f64>,
    layout: Layout,
    gradients: Tensor,
    rows: Rows,
}

/// A micro-batch as the objective takes it.
#[derive(Default)]
struct Rows {
    cu_steps: Vec<usize>,
    log_p: Vec<f32>,
    log_q: Vec<f32>,
    log_ref: Vec<f32>,
    step_weight: Vec<f32>,
    reward: Vec<f32>,
    quality: Vec<f32>,
    density: Vec<f32>,
    advantage: Vec<f32>,
    coefficients: Vec<f32>,
}

impl<'a, P, T> Stepper<'a, P, T>
where
    P: Policy,
    T: Trajectories<Batch = P::Batch>,
{
    /// Prepares steps on `trajectories`. Reference log-probabilities come from
    /// `reference` or, without it, from the data's own column.
    ///
    /// # Errors
    /// If the objective needs a reference and a row has none, or the reference
    /// does not belong to these trajectories.
    pub fn new(
        policy: &'a mut P,
        trajectories: &'a T,
        rule: impl Into<Rule>,
        reference: Option<LogProbs>,
        micro_tokens: usize,
        max_grad_norm: Option<f64>,
    ) -> Result<Self, TrainError> {
        let rule = rule.into();
        if let Some(reference) = &reference {
            reference.check(trajectories)?;
        }
        let indices = || 0..trajectories.len();
        if reference.is_none() && rule.needs_reference() {
            let without = indices().find(|&index| {
                let own = trajectories.reference(index);
                own.is_none_or(|own| own.len() != trajectories.steps(index))
            });
            if let Some(index) = without {
                let row = trajectories.describe(index);
                return Err(TrainError::MissingReference { row });
            }
        }
        // With qualities, R is the quality.
        let unit_rewards = rule.quality() == Quality::Off
            && indices().any(|index| trajectories.reward(index).is_some_and(|r| r < 0.0));
        let layout = policy.layout().clone();
        Ok(Self {
            gradients: Tensor::zeros(layout.len()),
            layout,
            policy,
            trajectories,
            rule,
            reference,
            unit_rewards,
            density: Vec::new(),
            micro_tokens,
            max_grad_norm,
            rows: Rows::default(),
        })
    }

    /// Tells, where rows are drawn by quality, from which parts of the data: in
    /// each, a row is as likely as its quality is above the part's mean.
    pub fn drawn_from(&mut self, mixture: &Mixture) {
        if self.rule.quality() != Quality::Resample {
            return;
        }
        let quality = |index: usize| f64::from(self.trajectories.quality(index));
        self.density = vec![1.0; self.trajectories.len()];
        for pool in mixture.pools() {
            let rows = pool.trajectories.clone();
            let mean = rows.clone().map(quality).sum::<f64>() / rows.len() as f64;
            for index in rows {
                // What is too rare for 32 bits is not drawn either.
                let density = (quality(index) / mean) as f32;
                self.density[index] = density.max(f32::MIN_POSITIVE);
            }
        }
    }

    /// Whether rewards below 0 made R = 1 for every row: the bounds on J hold
    /// only for rewards of at least 0. With qualities, R is the quality.
    pub fn ignores_rewards(&self) -> bool {
        self.unit_rewards
    }

    /// Makes one step on the trajectories `indices`. A trajectory listed twice
    /// counts twice.
    ///
    /// # Errors
    /// [`TrainError::NonFinite`] if a log-probability, the loss or the gradient
    /// is NaN or infinite; `state.parameters` and the optimizer are then as
    /// they were.
    pub fn step(
        &mut self,
        state: &mut State,
        indices: &[usize],
        learning_rate: f64,
    ) -> Result<StepOutcome, TrainError> {
        state.advance_proposal(self.rule.proposal());
        let outcome = self.update(state, indices, learning_rate);
        if outcome.is_err() {
            // What was accumulated so far must not leak into a later step.
            self.gradients.zero();
        }
        outcome
    }

    /// Accumulates the gradient of every micro-batch, then updates once.
    fn update(
        &mut self,
        state: &mut State,
        indices: &[usize],
        learning_rate: f64,
    ) -> Result<StepOutcome, TrainError> {
        let step = state.step + 1;
        let mut total = Summary::default();
        let active = self
            .rule
            .without_idle(self.trajectories, indices, &mut total);
        let parts = micro_batches(self.trajectories, &active, self.micro_tokens);
        for part in &parts {
            let part = &part.trajectories;
            let batch = self.trajectories.batch(part);
            self.rows.describe(self.trajectories, part);
            self.forward(state, &batch, part);
            self.require_finite(step, part)?;
            let summary = self.weigh(step, part)?;
            self.policy.backward(
                &state.parameters,
                &mut self.gradients,
                &batch,
                &self.rows.coefficients,
            );
            total.merge(&summary);
        }

        let report = state
            .optimizer
            .step(
                &self.layout,
                &mut state.parameters,
                &mut self.gradients,
                step,
                learning_rate,
                total.scale(),
                self.max_grad_norm,
            )
            .map_err(|_| self.non_finite("the gradient's norm", step, indices))?;
        state.step = step;
        Ok(StepOutcome {
            diagnostics: total.diagnostics(),
            grad_norm: report.grad_norm,
            clipped: report.clipped,
            tokens: parts.iter().map(|part| part.tokens as u64).sum(),
            micro_batches: parts.len(),
        })
    }

    /// Log-probabilities under q, where it is not p (of rollouts: the policy that
    /// drew them), and then under p: the backward pass follows its own forward
    /// pass.
    fn forward(&mut self, state: &State, batch: &P::Batch, part: &[usize]) {
        let steps = self.rows.step_weight.len();
        debug_assert_eq!(
            P::steps(batch),
            steps,
            "the batch has the steps of its rows"
        );
        self.rows.log_q.clear();
        if let Some(proposal) = &state.proposal {
            self.rows.log_q.resize(steps, 0.0);
            let log_q = &mut self.rows.log_q;
            self.policy.log_probs(proposal, batch, log_q);
        }
        if let Rule::PolicyGradient(_) = self.rule {
            self.rows.behaviour(self.trajectories, part);
        }
        self.rows.log_p.resize(steps, 0.0);
        let log_p = &mut self.rows.log_p;
        self.policy.forward(&state.parameters, batch, log_p);
    }

    /// The coefficients of the micro-batch, and its sums.
    fn weigh(&mut self, step: u64, part: &[usize]) -> Result<Summary, TrainError> {
        self.reward_and_refer(part);
        let rows = &mut self.rows;
        let given = |values: &Vec<f32>| values.len() == rows.step_weight.len();
        let steps = Steps::new(
            &rows.cu_steps,
            &rows.log_p,
            given(&rows.log_q).then_some(&rows.log_q),
            given(&rows.log_ref).then_some(&rows.log_ref),
            &rows.step_weight,
            &rows.reward,
            &rows.quality,
        );
        rows.coefficients.resize(rows.log_p.len(), 0.0);
        let steps = match rows.density.is_empty() {
            true => steps,
            false => steps.and_then(|steps| steps.drawn_with(&rows.density)),
        };
        let summary = steps
            .and_then(|steps| match &self.rule {
                Rule::Likelihood(objective) => {
                    objective.coefficients(&steps, &mut rows.coefficients)
                }
                Rule::PolicyGradient(gradient) => {
                    gradient.coefficients(&steps, &rows.advantage, &mut rows.coefficients)
                }
            })
            .map_err(|error| {
                let first = part.first().map(|&index| self.trajectories.describe(index));
                TrainError::Data(format!(
                    "{error} (in the micro-batch that starts with {})",
                    first.unwrap_or_default()
                ))
            })?;
        if !summary.diagnostics().loss.is_finite() {
            return Err(self.non_finite("the loss", step, part));
        }
        Ok(summary)
    }

    /// Collects the rewards, qualities and reference log-probabilities. R of J and
    /// its bounds is the reward, or with qualities the quality.
    fn reward_and_refer(&mut self, part: &[usize]) {
        let rows = &mut self.rows;
        let use_of_quality = self.rule.quality();
        rows.reward.clear();
        rows.quality.clear();
        rows.density.clear();
        rows.log_ref.clear();
        rows.advantage.clear();
        for &index in part {
            let quality = self.trajectories.quality(index);
            let weight = self.trajectories.weight(index);
            let (reward, factor) = match use_of_quality {
                Quality::Off if self.unit_rewards => (1.0, weight),
                Quality::Off => (self.trajectories.reward(index).unwrap_or(1.0), weight),
                Quality::Resample => (quality, weight),
                Quality::Weight => (quality, weight * quality),
            };
            rows.reward.push(reward);
            rows.quality.push(factor);
            rows.advantage.push(self.trajectories.advantage(index));
            rows.density.extend(self.density.get(index));
            let reference = match &self.reference {
                Some(reference) => Some(reference.get(index)),
                None => self.trajectories.reference(index),
            };
            // Where any row lacks one, the lengths differ and none is used.
            rows.log_ref
                .extend_from_slice(reference.unwrap_or_default());
        }
    }

    /// Stops at the rows whose log-probabilities are not finite.
    fn require_finite(&self, step: u64, part: &[usize]) -> Result<(), TrainError> {
        let rows = &self.rows;
        let finite = |t: usize| {
            let given = |values: &Vec<f32>| values.get(t).is_none_or(|value| value.is_finite());
            rows.step_weight[t] == 0.0 || (given(&rows.log_p) && given(&rows.log_q))
        };
        let ranges = rows.cu_steps.windows(2).map(|pair| pair[0]..pair[1]);
        let bad: Vec<_> = part
            .iter()
            .zip(ranges)
            .filter(|(_, range)| !range.clone().all(finite))
            .map(|(&index, _)| index)
            .collect();
        if bad.is_empty() {
            return Ok(());
        }
        Err(self.non_finite("a log-probability", step, &bad))
    }

    fn non_finite(&self, what: &'static str, step: u64, indices: &[usize]) -> TrainError {
        let describe = |&index: &usize| self.trajectories.describe(index);
        TrainError::NonFinite {
            what,
            step,
            rows: indices.iter().map(describe).collect(),
            last_good: None,
        }
    }
}

impl Rows {
    /// Lays out the steps of the trajectories `part`, with their weights.
    fn describe<T: Trajectories>(&mut self, trajectories: &T, part: &[usize]) {
        self.cu_steps.clear();
        self.cu_steps.push(0);
        self.step_weight.clear();
        for &index in part {
            let start = self.step_weight.len();
            let end = start + trajectories.steps(index);
            self.step_weight.resize(end, 1.0);
            trajectories.step_weight(index, &mut self.step_weight[start..end]);
            self.cu_steps.push(end);
        }
    }

    /// Collects the log-probabilities that the rollouts `part` were drawn with.
    fn behaviour<T: Trajectories>(&mut self, trajectories: &T, part: &[usize]) {
        for &index in part {
            // Where any row lacks them, the lengths differ and none is used.
            let own = trajectories.behaviour(index).unwrap_or_default();
            self.log_q.extend_from_slice(own);
        }
    }
}

impl State {
    /// Brings the proposal up to date before a step: a moving average takes in
    /// the policy before every step, the first included, and an older copy is
    /// renewed before the first step and then every so many steps.
    pub fn advance_proposal(&mut self, rule: Proposal) {
        let Some(proposal) = &mut self.proposal else {
            return;
        };
        match rule {
            Proposal::Current => {}
            Proposal::Ema(decay) => optim::ema(proposal, &self.parameters, decay as f32),
            Proposal::Lagged(every) => {
                if self.step.is_multiple_of(every.max(1)) {
                    proposal.copy_from(&self.parameters);
                }
            }
        }
    }
}
