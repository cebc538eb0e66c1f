//! One seed of `iwsft control train` with a `[baseline]`.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context;
use iwsft_control::baseline::{Algorithm, Baseline};
use iwsft_control::{GaussianConfig, GaussianFiles, GaussianPolicy, Generator, Transitions};
use iwsft_data::episodes::Episodes;
use iwsft_engine::Tensor;
use iwsft_train::{EvaluationMetrics, MetricsLog};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::conclusion::{Conclusion, SeedResult, best_logged};
use super::evaluation::{Rollouts, TrainingRollouts, in_words};
use super::recipe::ControlRecipe;
use super::seed::SharedProgress;
use super::standing;
use crate::mistake::Mistake;

/// Steps between two lines of the log.
const LOG_EVERY: u64 = 1_000;

/// Steps between two states of the folder, if no evaluation comes before.
const SAVE_EVERY: u64 = 10_000;

/// What IQL scales returns to span.
const RETURN_SPAN: f32 = 1000.0;

/// What all seeds share.
pub(super) struct BaselineRun<'a> {
    pub(super) recipe: &'a ControlRecipe,
    pub(super) baseline: &'a Baseline,
    pub(super) config: GaussianConfig,
    pub(super) transitions: Transitions,
    pub(super) stop: &'a AtomicBool,
    pub(super) progress: Mutex<SharedProgress>,
}

/// Where a seed stands; `state.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    baseline: Baseline,
    precision: String,
    /// Of the transitions.
    data: String,
    step: u64,
    seconds: f64,
}

impl BaselineRun<'_> {
    /// Trains one seed, or goes on with it; `None` if it was asked to stop.
    pub(super) fn train(&self, seed: u64) -> anyhow::Result<Option<SeedResult>> {
        let folder = self.recipe.run_folder().join(format!("seed-{seed}"));
        if let Some(result) = SeedResult::read(&folder)? {
            return Ok(Some(result));
        }
        let policy = GaussianPolicy::new(self.config.clone())?;
        let files = GaussianFiles::of(&policy);
        let Some(last) = self.learn(seed, &folder, &files)? else {
            return Ok(None);
        };
        files.save(&folder.join("model"), &last)?;
        Conclusion {
            recipe: self.recipe,
            seed,
            folder: &folder,
            files: &files,
            log: &folder.join("training/metrics.jsonl"),
            steps: self.baseline.steps(),
            stop: self.stop,
        }
        .measure(policy, None, &last)
    }

    fn learn(
        &self,
        seed: u64,
        folder: &Path,
        files: &GaussianFiles,
    ) -> anyhow::Result<Option<Tensor>> {
        let training = folder.join("training");
        fs::create_dir_all(&training).with_context(|| training.display().to_string())?;
        let sizes = [self.config.observation_size(), self.config.action_size()];
        let mut algorithm = self.baseline.begin(sizes, seed)?;
        let precision = self.recipe.train.precision;
        algorithm.set_precision(precision);
        let mut record = Record {
            baseline: self.baseline.clone(),
            precision: precision.to_string(),
            data: self.fingerprint(),
            step: 0,
            seconds: 0.0,
        };
        if let Some(found) = standing::read::<Record>(&training)? {
            let settings = |record: &Record| {
                let precision = record.precision.clone();
                (record.baseline.clone(), precision, record.data.clone())
            };
            if settings(&found) != settings(&record) {
                return Err(Mistake::new(format!(
                    "{}: the run was begun with other settings or other data; resume it by its folder, without changes, or choose another with --run",
                    training.display()
                ))
                .into());
            }
            standing::load(&training, found.step, algorithm.as_mut())?;
            record = found;
        }
        let log = training.join("metrics.jsonl");
        let mut metrics = MetricsLog::open(&log, record.step)?;
        let environment = &self.recipe.environment;
        let acting = GaussianPolicy::new(self.config.clone())?;
        let mut evaluator = TrainingRollouts {
            rollouts: Rollouts::new(acting, &environment.name, environment.episodes)?,
            environment: &environment.name,
            seed: environment.seed,
            stop: self.stop,
            is_start: false,
            best: best_logged(&log).map(|(_, value)| value),
            best_folder: folder.join("best"),
            files: files.clone(),
        };
        self.with(|progress| progress.done += record.step);
        let mut batch = Transitions::default();
        let mut begun = Instant::now();
        while record.step < self.baseline.steps() {
            if self.stop.load(Ordering::Relaxed) {
                standing::save(&training, record.step, algorithm.as_mut(), &record)?;
                metrics.sync()?;
                return Ok(None);
            }
            // What a step draws depends on nothing before it.
            let mut random = Generator::of_step(seed, record.step);
            let count = self.baseline.batch_size();
            self.transitions.draw(count, &mut random, &mut batch);
            algorithm.update(&batch, &mut random)?;
            record.step += 1;
            self.show(seed, record.step, algorithm.as_ref());
            let is_last = record.step == self.baseline.steps();
            if record.step.is_multiple_of(LOG_EVERY) || is_last {
                record.seconds += begun.elapsed().as_secs_f64();
                begun = Instant::now();
                metrics.append(&line(&record, algorithm.as_ref()))?;
            }
            if record.step.is_multiple_of(self.recipe.evaluate_every()) || is_last {
                let parameters = Tensor::from_vec(algorithm.policy());
                let found = evaluator
                    .measure(&parameters)
                    .map_err(anyhow::Error::from_boxed)?;
                if let Some(found) = found {
                    let found = EvaluationMetrics {
                        step: record.step,
                        seconds: record.seconds,
                        found,
                    };
                    metrics.append(&found)?;
                    let told = in_words(seed, record.step, &found.found);
                    self.with(|progress| progress.bar.line(&told));
                }
                begun = Instant::now();
            }
            if record.step.is_multiple_of(SAVE_EVERY) {
                standing::save(&training, record.step, algorithm.as_mut(), &record)?;
                metrics.sync()?;
            }
        }
        standing::save(&training, record.step, algorithm.as_mut(), &record)?;
        Ok(Some(Tensor::from_vec(algorithm.policy())))
    }

    fn show(&self, seed: u64, step: u64, algorithm: &dyn Algorithm) {
        self.with(|progress| {
            progress.done += 1;
            progress.bar.at(progress.done, || {
                let found = algorithm.metrics();
                let told: Vec<String> = found
                    .iter()
                    .map(|(name, value)| format!("{name} {value:.3}"))
                    .collect();
                format!("seed {seed} step {step} {}", told.join(" "))
            });
        });
    }

    fn with(&self, show: impl FnOnce(&mut SharedProgress)) {
        if let Ok(mut progress) = self.progress.lock() {
            show(&mut progress);
        }
    }

    fn fingerprint(&self) -> String {
        let data = &self.transitions;
        let mut hasher = blake3::Hasher::new();
        for column in [
            &data.observations,
            &data.actions,
            &data.rewards,
            &data.next_observations,
            &data.next_actions,
            &data.goes_on,
        ] {
            hasher.update(&(column.len() as u64).to_le_bytes());
            for piece in column.chunks(1 << 12) {
                let bytes: Vec<u8> = piece.iter().flat_map(|x| x.to_le_bytes()).collect();
                hasher.update(&bytes);
            }
        }
        hasher.finalize().to_hex().to_string()
    }
}

fn line(record: &Record, algorithm: &dyn Algorithm) -> Value {
    let mut line = Map::new();
    line.insert("kind".into(), "update".into());
    line.insert("step".into(), record.step.into());
    line.insert("seconds".into(), json!(record.seconds));
    for (name, value) in algorithm.metrics() {
        line.insert(name.into(), json!(value));
    }
    line.into()
}

/// The chosen episodes' steps as a baseline learns from them.
pub(super) fn transitions(
    baseline: &Baseline,
    config: &GaussianConfig,
    episodes: &Episodes,
    action_scale: f32,
) -> anyhow::Result<Transitions> {
    let (o, a) = (episodes.observation_size(), episodes.action_size());
    let found = episodes.transitions();
    let returns = episodes.returns();
    let [low, high] = [f64::min as fn(f64, f64) -> f64, f64::max]
        .map(|of| returns.iter().copied().reduce(of).unwrap_or(0.0));
    let reward_scale = match baseline.scales_rewards() && high > low {
        true => RETURN_SPAN / (high - low) as f32,
        false => 1.0,
    };
    let starts: std::collections::BTreeSet<usize> = episodes.starts().iter().copied().collect();
    let mut data = Transitions::default();
    for (&step, &terminal) in found.steps.iter().zip(&found.terminals) {
        let ends = starts.contains(&(step + 1));
        // What was done next is not known behind a timeout.
        if baseline.needs_next_actions() && ends && !terminal {
            continue;
        }
        let next = if ends { step } else { step + 1 };
        let seen = step * o..(step + 1) * o;
        data.observations
            .extend_from_slice(&episodes.observations()[seen.clone()]);
        data.next_observations
            .extend_from_slice(&episodes.next_observations()[seen]);
        data.actions
            .extend_from_slice(&episodes.actions()[step * a..(step + 1) * a]);
        if baseline.needs_next_actions() {
            data.next_actions
                .extend_from_slice(&episodes.actions()[next * a..(next + 1) * a]);
        }
        data.rewards.push(reward_scale * episodes.rewards()[step]);
        data.goes_on.push(f32::from(u8::from(!terminal)));
    }
    if data.is_empty() {
        return Err(Mistake::new("the data has no transition to learn from").into());
    }
    for actions in [&mut data.actions, &mut data.next_actions] {
        actions.iter_mut().for_each(|x| *x *= action_scale);
        config.scale_actions(actions);
    }
    for observations in [&mut data.observations, &mut data.next_observations] {
        config.normalise(observations);
    }
    Ok(data)
}
