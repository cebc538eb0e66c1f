//! A run's folder as far as it can be read. Whatever is missing stays empty:
//! a run that was stopped half-way, or made by an older program, is shown too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context;
use serde::Deserialize;

use super::evaluation::{self, Evaluation};
use crate::environment::{self, Session};
use crate::mistake::Mistake;

/// All that a report shows of a run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) steps: Vec<Step>,
    pub(super) validations: Vec<Validation>,
    pub(super) rollouts: Vec<Rollouts>,
    pub(super) evaluations: Vec<Evaluation>,
    /// The recipe as resolved, by dotted keys.
    pub(super) recipe: BTreeMap<String, String>,
    pub(super) sessions: Vec<Session>,
    /// Lines of the log that are no records.
    pub(super) unreadable: usize,
}

/// A line about an optimizer step. Numbers that are not finite are logged as
/// null, so each may be missing.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(super) struct Step {
    pub(super) step: u64,
    pub(super) epoch: Option<f64>,
    pub(super) learning_rate: Option<f64>,
    pub(super) grad_norm: Option<f64>,
    pub(super) total_tokens: Option<u64>,
    pub(super) tokens_per_second: Option<f64>,
    pub(super) seconds: Option<f64>,
    pub(super) loss: Option<f64>,
    pub(super) nll: Option<f64>,
    pub(super) j: Option<f64>,
    pub(super) sft_bound: Option<f64>,
    pub(super) iw_sft_bound: Option<f64>,
    pub(super) sft_gap: Option<f64>,
    pub(super) iw_sft_gap: Option<f64>,
    pub(super) effective_share: Option<f64>,
    pub(super) weight_min: Option<f64>,
    pub(super) weight_mean: Option<f64>,
    pub(super) weight_max: Option<f64>,
    pub(super) weight_histogram: Vec<u64>,
    pub(super) clipped: Option<f64>,
    pub(super) log_ratio: Option<f64>,
    pub(super) kl: Option<f64>,
}

/// A line about a validation.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Validation {
    pub(super) step: u64,
    pub(super) nll: Option<f64>,
}

/// A line about a round of rollouts.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(super) struct Rollouts {
    pub(super) step: u64,
    pub(super) reward: Option<f64>,
    pub(super) no_signal: Option<f64>,
    pub(super) mean_tokens: Option<f64>,
    pub(super) total_tokens: Option<u64>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Record {
    Step(Box<Step>),
    Validation(Validation),
    Rollouts(Rollouts),
    Eval(serde_json::Value),
    /// Of a later program.
    #[serde(other)]
    Other,
}

impl Run {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let log = path.join("metrics.jsonl");
        let text =
            std::fs::read(&log).with_context(|| format!("{}: cannot read", log.display()))?;
        let mut run = Self {
            name: name(path),
            path: path.to_owned(),
            steps: Vec::new(),
            validations: Vec::new(),
            rollouts: Vec::new(),
            evaluations: evaluation::results(path),
            recipe: recipe(path)?,
            sessions: environment::sessions(path),
            unreadable: 0,
        };
        for line in String::from_utf8_lossy(&text).lines() {
            match serde_json::from_str(line) {
                Ok(Record::Step(step)) => run.steps.push(*step),
                Ok(Record::Validation(validation)) => run.validations.push(validation),
                Ok(Record::Rollouts(rollouts)) => run.rollouts.push(rollouts),
                Ok(Record::Eval(record)) => run.evaluations.extend(evaluation::find(&record)),
                Ok(Record::Other) => {}
                Err(_) => run.unreadable += 1,
            }
        }
        if run.steps.is_empty() {
            return Err(Mistake::new(format!(
                "{}: no step is logged; wait until the run has made one, or leave it out",
                log.display()
            ))
            .into());
        }
        Ok(run)
    }

    /// A curve: the steps at which `value` is known and finite.
    pub(super) fn curve(&self, value: impl Fn(&Step) -> Option<f64>) -> Vec<[f64; 2]> {
        let point = |step: &Step| Some([step.step as f64, value(step)?]);
        let mut points: Vec<_> = self.steps.iter().filter_map(point).collect();
        points.retain(|[_, y]| y.is_finite());
        points
    }

    /// A curve over the steps that rounds of rollouts began with.
    pub(super) fn rollouts_curve(&self, value: impl Fn(&Rollouts) -> Option<f64>) -> Vec<[f64; 2]> {
        let point = |each: &Rollouts| Some([each.step as f64, value(each)?]);
        let mut points: Vec<_> = self.rollouts.iter().filter_map(point).collect();
        points.retain(|[_, y]| y.is_finite());
        points
    }

    /// Whether steps of this run tell J and its bounds.
    pub(super) fn has_bounds(&self) -> bool {
        self.steps.iter().any(|step| step.j.is_some())
    }

    /// Whether any two weights of this run differ.
    pub(super) fn has_weights(&self) -> bool {
        let differ = |step: &Step| Some(step.weight_max? - step.weight_min? > 1e-6);
        self.steps.iter().any(|step| differ(step) == Some(true))
    }

    /// What the objective is called in the recipe.
    pub(super) fn objective(&self) -> String {
        let key = |key| self.recipe.get(key).cloned();
        let mut name = key("objective.preset")
            .or_else(|| key("objective.method"))
            .unwrap_or_else(|| "-".to_owned());
        if let Some(quality) = key("objective.quality").filter(|quality| quality != "off") {
            name += &format!(", quality by {quality}");
        }
        name
    }
}

/// When a run was begun, as far as files tell.
pub(super) fn begun(path: &Path) -> Option<SystemTime> {
    let recipe = std::fs::metadata(path.join("recipe.toml")).ok()?;
    recipe.modified().ok()
}

pub(super) fn name(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Puts the parent's name before names that occur twice.
pub(super) fn tell_apart(runs: &mut [Run]) {
    let names: Vec<String> = runs.iter().map(|run| run.name.clone()).collect();
    for run in runs {
        let same = names.iter().filter(|name| **name == run.name).count();
        let path = std::path::absolute(&run.path).unwrap_or_default();
        if let Some(parent) = path.parent().filter(|_| same > 1) {
            run.name = format!("{}/{}", name(parent), run.name);
        }
    }
}

/// `recipe.toml` by dotted keys; empty where the run has none yet.
pub(super) fn recipe(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let path = path.join("recipe.toml");
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        other => other.with_context(|| format!("{}: cannot read", path.display()))?,
    };
    let table: toml::Table = toml::from_str(&text)
        .map_err(|error| Mistake::new(format!("{}: {error}", path.display())))?;
    let mut flat = BTreeMap::new();
    flatten("", table, &mut flat);
    Ok(flat)
}

fn flatten(prefix: &str, table: toml::Table, flat: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let key = format!("{prefix}{key}");
        match value {
            toml::Value::Table(table) => flatten(&format!("{key}."), table, flat),
            toml::Value::String(text) => drop(flat.insert(key, text)),
            other => drop(flat.insert(key, other.to_string())),
        }
    }
}
