//! How a policy fares in its environment.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use iwsft_control::{ControlError, Environment, GaussianFiles, GaussianPolicy, make, rollout};
use iwsft_data::episodes::ReferenceReturns;
use iwsft_engine::Tensor;
use iwsft_eval::statistics::Estimate;
use iwsft_train::{Evaluator, SourceError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// A mean return, and what it is on D4RL's scale where that knows the task.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Figure {
    #[serde(rename = "return")]
    pub(super) mean_return: f64,
    pub(super) score: Option<f64>,
}

impl Figure {
    pub(super) fn of(environment: &str, mean_return: f64) -> Self {
        Self {
            mean_return,
            score: ReferenceReturns::of(environment).map(|known| known.score(mean_return)),
        }
    }
}

/// Environments side by side, and a network to act in them.
pub(super) struct Rollouts {
    environments: Vec<Environment>,
    policy: GaussianPolicy,
}

/// Why rollouts ended early.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("stopped")]
    Stopped,
    #[error(transparent)]
    Failed(#[from] ControlError),
}

impl Rollouts {
    pub(super) fn new(policy: GaussianPolicy, name: &str, count: usize) -> anyhow::Result<Self> {
        let environments = (0..count).map(|_| make(name)).collect::<Result<_, _>>()?;
        Ok(Self {
            environments,
            policy,
        })
    }

    /// Returns of one episode in each environment, with the mean actions; `None`
    /// where `stop` was set before the end.
    pub(super) fn returns(
        &mut self,
        parameters: &Tensor,
        seed: u64,
        stop: &AtomicBool,
    ) -> Result<Option<Vec<f64>>, ControlError> {
        let policy = &mut self.policy;
        let mut returns = vec![0.0; self.environments.len()];
        let result = rollout(
            &mut self.environments,
            seed,
            |observations, _, actions| {
                policy.act(parameters, observations, actions);
                match stop.load(Ordering::Relaxed) {
                    true => Err(Ended::Stopped),
                    false => Ok(()),
                }
            },
            |index, _, _, step, _| returns[index] += step.reward,
        );
        match result {
            Ok(()) => Ok(Some(returns)),
            Err(Ended::Stopped) => Ok(None),
            Err(Ended::Failed(error)) => Err(error),
        }
    }
}

/// Evaluates a policy while it trains, and keeps the best.
pub(super) struct TrainingRollouts<'a> {
    pub(super) rollouts: Rollouts,
    pub(super) environment: &'a str,
    pub(super) seed: u64,
    pub(super) stop: &'a AtomicBool,
    /// Whether the next evaluation is of the policy to start from, which is not
    /// in the running for the best.
    pub(super) is_start: bool,
    /// The best return so far.
    pub(super) best: Option<f64>,
    /// Where the best policy is kept.
    pub(super) best_folder: PathBuf,
    pub(super) files: GaussianFiles,
}

impl Evaluator<GaussianPolicy> for TrainingRollouts<'_> {
    fn evaluate(
        &mut self,
        _: &GaussianPolicy,
        parameters: &Tensor,
    ) -> Result<Option<Map<String, Value>>, SourceError> {
        self.measure(parameters)
    }
}

impl TrainingRollouts<'_> {
    /// The record of an evaluation; `None` if it was asked to stop.
    pub(super) fn measure(
        &mut self,
        parameters: &Tensor,
    ) -> Result<Option<Map<String, Value>>, SourceError> {
        let Some(returns) = self.rollouts.returns(parameters, self.seed, self.stop)? else {
            return Ok(None);
        };
        let Some(found) = Estimate::over_seeds(&returns) else {
            return Ok(None);
        };
        let is_start = std::mem::replace(&mut self.is_start, false);
        if !is_start && self.best.is_none_or(|best| found.value > best) {
            self.best = Some(found.value);
            self.files.save(&self.best_folder, parameters)?;
        }
        // The names that `iwsft report` looks for.
        let mut record = Map::new();
        record.insert("benchmark".into(), self.environment.into());
        record.insert("problems".into(), returns.len().into());
        let mut metrics = vec![json!({
            "metric": "return", "value": found.value, "interval": found.interval,
        })];
        let score = |value| Figure::of(self.environment, value).score;
        if let Some(value) = score(found.value) {
            let interval = found.interval.map(score);
            metrics.push(json!({"metric": "score", "value": value, "interval": interval}));
        }
        record.insert("metrics".into(), metrics.into());
        Ok(Some(record))
    }
}

/// An evaluation for people.
pub(super) fn in_words(seed: u64, step: u64, found: &Map<String, Value>) -> String {
    let metrics = found.get("metrics").unwrap_or(&Value::Null);
    let value = |index: usize| metrics[index]["value"].as_f64();
    let mean = value(0).unwrap_or(f64::NAN);
    let score = value(1).map(|score| format!(", score {score:.1}"));
    format!(
        "seed {seed} step {step}: return {mean:.1}{}",
        score.unwrap_or_default()
    )
}
