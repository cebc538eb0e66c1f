//! What a run on rollouts comes to.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::progress::duration;
use crate::table::Table;

/// What a finished run comes to. `end` means the mean over the last tenth of its
/// rounds or steps.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) model: PathBuf,
    pub(crate) rounds: u64,
    pub(crate) steps: u64,
    pub(crate) seconds: f64,
    /// Completions drawn, and their tokens.
    pub(crate) completions: u64,
    pub(crate) tokens_sampled: u64,
    /// Tokens that went through the policy with a gradient, prompts included.
    pub(crate) tokens_trained: u64,
    pub(crate) sampling_seconds: f64,
    pub(crate) reward_first: f64,
    pub(crate) reward_end: f64,
    pub(crate) no_signal_end: f64,
    pub(crate) mean_tokens_end: f64,
    pub(crate) clipped_end: f64,
    pub(crate) kl_end: Option<f64>,
    /// The first and the last evaluation, as `metrics.jsonl` has them.
    pub(crate) evaluation_before: Option<Map<String, Value>>,
    pub(crate) evaluation: Option<Map<String, Value>>,
}

/// A line of `metrics.jsonl`, as far as the summary needs it.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Record {
    Rollouts(Rollouts),
    Step(Step),
    Eval(Map<String, Value>),
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Rollouts {
    round: u64,
    rollouts: u64,
    reward: f64,
    no_signal: f64,
    mean_tokens: f64,
    total_tokens: u64,
    round_seconds: f64,
}

#[derive(Deserialize)]
struct Step {
    step: u64,
    seconds: f64,
    total_tokens: u64,
    clipped: f64,
    kl: Option<f64>,
}

impl Summary {
    /// Reads the log of the run in folder `run`.
    pub(super) fn read(run: &Path, model: PathBuf) -> anyhow::Result<Self> {
        let log = run.join("metrics.jsonl");
        let text = fs::read_to_string(&log).with_context(|| log.display().to_string())?;
        let (mut rollouts, mut steps, mut evaluations) = (Vec::new(), Vec::new(), Vec::new());
        for line in text.lines() {
            match serde_json::from_str(line) {
                Ok(Record::Rollouts(record)) => rollouts.push(record),
                Ok(Record::Step(record)) => steps.push(record),
                Ok(Record::Eval(record)) => evaluations.push(record),
                Ok(Record::Other) | Err(_) => {}
            }
        }
        let missing = || format!("{}: no round is logged", log.display());
        let last = rollouts.last().with_context(missing)?;
        let last_step = steps.last().with_context(missing)?;
        let kls: Vec<f64> = last_tenth(&steps)
            .iter()
            .filter_map(|step| step.kl)
            .collect();
        Ok(Self {
            model,
            rounds: last.round,
            steps: last_step.step,
            seconds: last_step.seconds,
            completions: rollouts.iter().map(|round| round.rollouts).sum(),
            tokens_sampled: last.total_tokens,
            tokens_trained: last_step.total_tokens,
            sampling_seconds: rollouts.iter().map(|round| round.round_seconds).sum(),
            reward_first: rollouts.first().map_or(f64::NAN, |round| round.reward),
            reward_end: mean(last_tenth(&rollouts), |round| round.reward),
            no_signal_end: mean(last_tenth(&rollouts), |round| round.no_signal),
            mean_tokens_end: mean(last_tenth(&rollouts), |round| round.mean_tokens),
            clipped_end: mean(last_tenth(&steps), |step| step.clipped),
            kl_end: (!kls.is_empty()).then(|| mean(&kls, |kl| *kl)),
            evaluation_before: evaluations.first().cloned(),
            evaluation: evaluations.pop(),
        })
    }

    /// Prints a table.
    pub(super) fn print(&self) -> anyhow::Result<()> {
        let mut table = Table::new(["", ""]);
        let percent = |share: f64| format!("{:.1}%", 100.0 * share);
        let counts = format!("{} ({} steps)", self.rounds, self.steps);
        table.row(["rounds".into(), counts]);
        let sampling = duration(self.sampling_seconds);
        table.row([
            "time".into(),
            format!("{}, {sampling} of it sampling", duration(self.seconds)),
        ]);
        table.row(["completions".into(), self.completions.to_string()]);
        table.row(["tokens sampled".into(), self.tokens_sampled.to_string()]);
        table.row(["tokens trained".into(), self.tokens_trained.to_string()]);
        table.row([
            "mean reward".into(),
            format!(
                "{:.4} at first, {:.4} at the end",
                self.reward_first, self.reward_end
            ),
        ]);
        table.row(["groups without signal".into(), percent(self.no_signal_end)]);
        table.row([
            "tokens a completion".into(),
            format!("{:.1}", self.mean_tokens_end),
        ]);
        table.row(["steps clipped".into(), percent(self.clipped_end)]);
        if let Some(kl) = self.kl_end {
            table.row(["KL to the start".into(), format!("{kl:.4} nats a token")]);
        }
        let evaluations = [
            ("evaluation before", &self.evaluation_before),
            ("evaluation after", &self.evaluation),
        ];
        for (name, found) in evaluations {
            if let Some(found) = found {
                table.row([name.into(), crate::eval::in_words(found)]);
            }
        }
        table.row(["model".into(), self.model.display().to_string()]);
        table.print()
    }
}

fn last_tenth<T>(records: &[T]) -> &[T] {
    &records[records.len() - records.len().div_ceil(10)..]
}

fn mean<T>(records: &[T], value: impl Fn(&T) -> f64) -> f64 {
    records.iter().map(value).sum::<f64>() / records.len().max(1) as f64
}
