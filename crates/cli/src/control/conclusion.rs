//! How a seed ends: its last and its best policy are measured by other episodes
//! than the best one was chosen by.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use iwsft_control::{GaussianFiles, GaussianPolicy};
use iwsft_engine::Tensor;
use iwsft_eval::statistics::Estimate;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::evaluation::{Figure, Rollouts};
use super::recipe::ControlRecipe;

/// What a seed comes to; `seed-N/results.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SeedResult {
    pub(super) seed: u64,
    /// The policy that training started from, where it had learnt something.
    pub(super) start: Option<Figure>,
    pub(super) last: Figure,
    pub(super) best: Figure,
    /// Steps behind which the best policy was found.
    pub(super) best_step: u64,
}

impl SeedResult {
    /// That of a seed's folder, if it is finished.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Option<Self>> {
        let path = folder.join("results.json");
        let Ok(text) = fs::read(&path) else {
            return Ok(None);
        };
        let result = serde_json::from_slice(&text);
        result.map(Some).with_context(|| path.display().to_string())
    }
}

/// A seed that is trained.
pub(super) struct Conclusion<'a> {
    pub(super) recipe: &'a ControlRecipe,
    pub(super) seed: u64,
    pub(super) folder: &'a Path,
    pub(super) files: &'a GaussianFiles,
    /// The log with its evaluations.
    pub(super) log: &'a Path,
    /// Steps of training.
    pub(super) steps: u64,
    pub(super) stop: &'a AtomicBool,
}

impl Conclusion<'_> {
    /// Measures the policies and writes the result; `None` if it was asked to stop.
    pub(super) fn measure(
        &self,
        policy: GaussianPolicy,
        start: Option<&Tensor>,
        last: &Tensor,
    ) -> anyhow::Result<Option<SeedResult>> {
        // Where Ctrl-C broke off every evaluation, no better one is known.
        let (best_step, best) = match best_logged(self.log) {
            Some((step, _)) => (step, Some(self.files.load(&self.folder.join("best"))?)),
            None => (self.steps, None),
        };
        let environment = &self.recipe.environment;
        let mut rollouts = Rollouts::new(policy, &environment.name, environment.final_episodes)?;
        let from = environment.seed.wrapping_add(environment.episodes as u64);
        let mut measure = |parameters: &Tensor| -> anyhow::Result<Option<Figure>> {
            let returns = rollouts.returns(parameters, from, self.stop)?;
            let mean = returns.as_deref().and_then(Estimate::over_seeds);
            Ok(mean.map(|mean| Figure::of(&environment.name, mean.value)))
        };
        let at_start = match start {
            None => None,
            Some(start) => match measure(start)? {
                None => return Ok(None),
                found => found,
            },
        };
        let Some(last) = measure(last)? else {
            return Ok(None);
        };
        let best = match &best {
            None => Some(last),
            Some(best) => measure(best)?,
        };
        let Some(best) = best else {
            return Ok(None);
        };
        let result = SeedResult {
            seed: self.seed,
            start: at_start,
            last,
            best,
            best_step,
        };
        let path = self.folder.join("results.json");
        iwsft_files::write_atomically(&path, &serde_json::to_vec_pretty(&result)?)
            .with_context(|| path.display().to_string())?;
        Ok(Some(result))
    }
}

/// Step and return of the best evaluation in a log, the start left out.
pub(super) fn best_logged(log: &Path) -> Option<(u64, f64)> {
    let text = fs::read_to_string(log).ok()?;
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let evaluations = lines
        .filter(|line| line["kind"] == "eval")
        .filter_map(|line| {
            let step = line["step"].as_u64().filter(|&step| step > 0)?;
            Some((step, line["metrics"][0]["value"].as_f64()?))
        });
    // Of equal ones the first, as the evaluator has it.
    evaluations.reduce(|best, each| if each.1 > best.1 { each } else { best })
}
