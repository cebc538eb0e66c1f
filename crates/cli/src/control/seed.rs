//! One seed of `iwsft control train`: behaviour cloning, training, evaluation.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use iwsft_control::{GaussianConfig, GaussianFiles, GaussianPolicy};
use iwsft_data::Mixture;
use iwsft_engine::Tensor;
use iwsft_objective::{Objective, Preset};
use iwsft_train::{
    EvaluationMetrics, Job, Observer, Outcome, PolicyFiles, RunFolder, SourceError, StepMetrics,
    TrainConfig, Training, Trajectories, score,
};

use super::conclusion::{Conclusion, SeedResult, best_logged};
use super::episodes::EpisodeTrajectories;
use super::evaluation::{Rollouts, TrainingRollouts, in_words};
use super::recipe::ControlRecipe;
use crate::mistake::Mistake;
use crate::progress::Progress;

/// What all seeds share.
pub(super) struct Shared<'a> {
    pub(super) recipe: &'a ControlRecipe,
    pub(super) config: GaussianConfig,
    pub(super) objective: Objective,
    /// What is trained on.
    pub(super) chosen: EpisodeTrajectories<'a>,
    /// What behaviour cloning learns from.
    pub(super) all: EpisodeTrajectories<'a>,
    pub(super) stop: &'a AtomicBool,
    pub(super) progress: Mutex<SharedProgress>,
}

/// The steps of all seeds together.
pub(super) struct SharedProgress {
    pub(super) bar: Progress,
    pub(super) done: u64,
}

impl SharedProgress {
    /// Of `steps` steps for each seed.
    pub(super) fn of(recipe: &ControlRecipe, steps: u64) -> Mutex<Self> {
        Mutex::new(Self {
            bar: Progress::new("training", recipe.seeds.saturating_mul(steps)),
            done: 0,
        })
    }

    pub(super) fn finish(progress: &Mutex<Self>) {
        if let Ok(progress) = progress.lock() {
            progress.bar.finish();
        }
    }
}

/// Checkpoints of a Gaussian policy.
struct Checkpointed(GaussianFiles);

impl PolicyFiles for Checkpointed {
    fn exact(&self) -> bool {
        true
    }

    fn save(&self, folder: &Path, parameters: &Tensor) -> Result<(), SourceError> {
        Ok(self.0.save(folder, parameters)?)
    }

    fn load(&self, folder: &Path, parameters: &mut Tensor) -> Result<(), SourceError> {
        *parameters = self.0.load(folder)?;
        Ok(())
    }
}

/// Shows the progress of one seed.
struct SeedObserver<'a> {
    seed: u64,
    stage: &'static str,
    progress: &'a Mutex<SharedProgress>,
}

impl SeedObserver<'_> {
    fn with(&self, show: impl FnOnce(&mut SharedProgress)) {
        if let Ok(mut progress) = self.progress.lock() {
            show(&mut progress);
        }
    }
}

impl Observer for SeedObserver<'_> {
    fn on_start(&mut self, _: &iwsft_train::Plan, step: u64) {
        self.with(|progress| progress.done += step);
    }

    fn on_step(&mut self, metrics: &StepMetrics) {
        self.with(|progress| {
            progress.done += 1;
            let (seed, stage) = (self.seed, self.stage);
            progress.bar.at(progress.done, || {
                let diagnostics = &metrics.diagnostics;
                format!(
                    "seed {seed} {stage} {} nll {:.3} ess {:.0}%",
                    metrics.step,
                    diagnostics.nll,
                    100.0 * diagnostics.effective_share
                )
            });
        });
    }

    fn on_evaluation(&mut self, metrics: &EvaluationMetrics) {
        self.on_message(&in_words(self.seed, metrics.step, &metrics.found));
    }

    fn on_message(&mut self, message: &str) {
        self.with(|progress| progress.bar.line(message));
    }
}

impl Shared<'_> {
    /// Trains one seed, or goes on with it; `None` if it was asked to stop.
    pub(super) fn train(&self, seed: u64) -> anyhow::Result<Option<SeedResult>> {
        let folder = self.recipe.run_folder().join(format!("seed-{seed}"));
        if let Some(result) = SeedResult::read(&folder)? {
            return Ok(Some(result));
        }
        let mut policy = GaussianPolicy::new(self.config.clone())?;
        let files = Checkpointed(GaussianFiles::of(&policy));
        let Some((start, has_learnt)) = self.start(seed, &folder, &mut policy, &files)? else {
            return Ok(None);
        };
        let Some(last) = self.fine_tune(seed, &folder, &mut policy, &files, &start, has_learnt)?
        else {
            return Ok(None);
        };
        files.0.save(&folder.join("model"), &last)?;

        Conclusion {
            recipe: self.recipe,
            seed,
            folder: &folder,
            files: &files.0,
            log: &folder.join("training/metrics.jsonl"),
            steps: self.recipe.train.plan(self.chosen.len()).total_steps,
            stop: self.stop,
        }
        .measure(policy, has_learnt.then_some(&start), &last)
    }

    /// The parameters to start from, and whether they have learnt anything yet.
    fn start(
        &self,
        seed: u64,
        folder: &Path,
        policy: &mut GaussianPolicy,
        files: &Checkpointed,
    ) -> anyhow::Result<Option<(Tensor, bool)>> {
        if let Some(start) = &self.recipe.policy.start {
            return Ok(Some((open_start(start, seed, &self.config)?, true)));
        }
        let initial = policy.initial(seed);
        let Some(section) = &self.recipe.behaviour_cloning else {
            return Ok(Some((initial, false)));
        };
        policy.set_precision(section.precision);
        let job = Job {
            policy,
            parameters: initial,
            train: &self.all,
            validation: None,
            mixture: Mixture::whole(self.all.len()),
            objective: Preset::Sft.spec().resolve()?,
            config: TrainConfig {
                seed,
                ..section.clone()
            },
            reference: None,
            files,
            settings: self.settings(&[])?,
        };
        let mut training = Training::resume(job, folder_of(&folder.join("behaviour-cloning"))?)?;
        let mut observer = self.observer(seed, "cloning");
        match training.run(&mut observer, self.stop)? {
            Outcome::Stopped { .. } => Ok(None),
            Outcome::Finished { .. } => Ok(Some((copy(training.parameters()), true))),
        }
    }

    fn fine_tune(
        &self,
        seed: u64,
        folder: &Path,
        policy: &mut GaussianPolicy,
        files: &Checkpointed,
        start: &Tensor,
        has_learnt: bool,
    ) -> anyhow::Result<Option<Tensor>> {
        let config = TrainConfig {
            seed,
            ..self.recipe.train.clone()
        };
        policy.set_precision(config.precision);
        // With a reference, J and its bounds are reported for SFT as well.
        let reference = has_learnt.then(|| {
            score(
                policy,
                start,
                &self.chosen,
                config.micro_tokens,
                &mut |_| {},
            )
        });
        let environment = &self.recipe.environment;
        let acting = GaussianPolicy::new(self.config.clone())?;
        let mut evaluator = TrainingRollouts {
            rollouts: Rollouts::new(acting, &environment.name, environment.episodes)?,
            environment: &environment.name,
            seed: environment.seed,
            stop: self.stop,
            is_start: true,
            best: None,
            best_folder: folder.join("best"),
            files: files.0.clone(),
        };
        let job = Job {
            policy,
            parameters: copy(start),
            train: &self.chosen,
            validation: None,
            mixture: Mixture::whole(self.chosen.len()),
            objective: self.objective.clone(),
            config,
            reference,
            files,
            settings: self.settings(&start.to_host())?,
        };
        let run = folder_of(&folder.join("training"))?;
        let log = run.metrics();
        let mut training = Training::resume(job, run)?;
        evaluator.is_start = training.step() == 0;
        // The log ends where the run stands.
        evaluator.best = best_logged(&log).map(|(_, value)| value);
        training.evaluate_every(self.recipe.evaluate_every(), &mut evaluator);
        let mut observer = self.observer(seed, "training");
        match training.run(&mut observer, self.stop)? {
            Outcome::Stopped { .. } => Ok(None),
            Outcome::Finished { .. } => Ok(Some(copy(training.parameters()))),
        }
    }

    /// What decides the result beside the settings of the loop.
    fn settings(&self, start: &[f32]) -> anyhow::Result<BTreeMap<String, String>> {
        let bytes: Vec<u8> = start.iter().flat_map(|x| x.to_le_bytes()).collect();
        Ok(BTreeMap::from([
            ("policy".into(), serde_json::to_string(&self.config)?),
            ("start".into(), blake3::hash(&bytes).to_hex().to_string()),
        ]))
    }

    fn observer(&self, seed: u64, stage: &'static str) -> SeedObserver<'_> {
        SeedObserver {
            seed,
            stage,
            progress: &self.progress,
        }
    }
}

/// The parameters of the policy in `start`, or of that of a seed, where `start` is a
/// run.
pub(super) fn open_start(
    start: &Path,
    seed: u64,
    config: &GaussianConfig,
) -> anyhow::Result<Tensor> {
    let of_seed = start.join(format!("seed-{seed}/model"));
    let path = if of_seed.is_dir() { &of_seed } else { start };
    let (found, parameters) = GaussianPolicy::open(path)?;
    if found.config() != config {
        return Err(Mistake::new(format!(
            "{}: the policy differs from that of the recipe in its widths, its scales of observations or its bounds of actions; start from one that was trained on the same data, with the same [policy]",
            path.display()
        ))
        .into());
    }
    Ok(parameters)
}

fn copy(parameters: &Tensor) -> Tensor {
    Tensor::from_vec(parameters.to_host())
}

/// The folder of a stage, begun or to be begun.
fn folder_of(path: &Path) -> Result<RunFolder, iwsft_train::TrainError> {
    match path.is_dir() {
        true => RunFolder::open(path),
        false => RunFolder::create(path),
    }
}
