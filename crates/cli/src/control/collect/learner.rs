//! SAC at work in an environment, in pieces: what was done so far lies in the
//! folder, and the run goes on from the end of an episode bit for bit.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use iwsft_control::baseline::Algorithm;
use iwsft_control::sac::Sac;
use iwsft_control::{
    Actions, Bounds, Environment, GaussianConfig, GaussianFiles, GaussianPolicy, Generator, Step,
    Transitions, load_learned, save_learned,
};
use iwsft_data::episodes::{End, EpisodeColumns, Episodes, Tail, read_episodes, write_d4rl};
use iwsft_engine::{Precision, Tensor};
use iwsft_eval::statistics::Estimate;
use serde::{Deserialize, Serialize};

use super::Settings;
use crate::control::evaluation::{Figure, Rollouts};
use crate::control::recording::Recording;
use crate::control::standing;
use crate::mistake::Mistake;
use crate::progress::Progress;

/// Steps between two states of the folder.
const SAVE_EVERY: u64 = 20_000;

/// Evaluations begin where no episode of the data does.
const EVALUATION_SEED: u64 = 1_000_000;

/// Where a run stands; `state.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    settings: Settings,
    steps: u64,
    episodes: u64,
    /// Files of `replay/`.
    pieces: u32,
    evaluations: Vec<Evaluation>,
}

/// How the policy fared, evaluated by its mean action.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Evaluation {
    pub(super) step: u64,
    #[serde(flatten)]
    pub(super) figure: Figure,
}

/// The policies that sets are recorded from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tiers {
    pub(super) medium: Evaluation,
    pub(super) expert: Evaluation,
}

pub(super) enum Outcome {
    Finished,
    Stopped,
}

pub(super) struct Learner {
    folder: PathBuf,
    record: Record,
    environment: Environment,
    /// What its policies are, apart from their parameters.
    policy: GaussianConfig,
    sac: Sac,
    memory: Transitions,
    /// Episodes since the last piece.
    fresh: Episodes,
    rollouts: Rollouts,
    files: GaussianFiles,
}

impl Learner {
    /// Begins in `folder`, or goes on.
    pub(super) fn open(
        folder: &Path,
        settings: Settings,
        environment: Environment,
        precision: Precision,
    ) -> anyhow::Result<Self> {
        let spec = environment.spec().clone();
        let (o, a) = (spec.observation_size(), spec.action_size());
        let bounds = match &spec.actions {
            Actions::Continuous(bounds) => bounds.clone(),
            Actions::Discrete(_) => Bounds::none(0),
        };
        let config = GaussianConfig {
            hidden: settings.sac.hidden.clone(),
            observation_mean: vec![0.0; o],
            observation_deviation: vec![1.0; o],
            action_low: bounds.low,
            action_high: bounds.high,
        };
        let policy = GaussianPolicy::new(config.clone())?;
        let mut learner = Self {
            folder: folder.to_owned(),
            sac: Sac::new(&settings.sac, [o, a], settings.seed)?,
            files: GaussianFiles::of(&policy),
            rollouts: Rollouts::new(policy, spec.name, settings.episodes as usize)?,
            record: Record {
                settings,
                steps: 0,
                episodes: 0,
                pieces: 0,
                evaluations: Vec::new(),
            },
            environment,
            policy: config,
            memory: Transitions::default(),
            fresh: Episodes::new(o, a),
        };
        learner.sac.set_precision(precision);
        learner.go_on()?;
        Ok(learner)
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.record.settings
    }

    pub(super) fn steps(&self) -> u64 {
        self.record.steps
    }

    pub(super) fn evaluations(&self) -> &[Evaluation] {
        &self.record.evaluations
    }

    fn piece_path(&self, piece: u32) -> PathBuf {
        self.folder.join(format!("replay/{piece:04}.hdf5"))
    }

    /// The parameters that SAC had at an evaluation.
    fn snapshot_path(&self, step: u64) -> PathBuf {
        self.folder.join(format!("policies/step-{step}"))
    }

    /// Reads the state of the folder, if there is one.
    fn go_on(&mut self) -> anyhow::Result<()> {
        let Some(record) = standing::read::<Record>(&self.folder)? else {
            return Ok(());
        };
        if record.settings != self.record.settings {
            return Err(super::other_settings(&self.folder));
        }
        standing::load(&self.folder, record.steps, &mut self.sac)?;
        self.record = record;
        let everything = self.replay(u64::MAX)?;
        for index in 0..everything.len() {
            let episode = everything.episode(index);
            let last = episode.length() - 1;
            let memory = &mut self.memory;
            memory.observations.extend_from_slice(episode.observations);
            memory.rewards.extend_from_slice(episode.rewards);
            memory
                .next_observations
                .extend_from_slice(episode.next_observations);
            let first = memory.actions.len();
            memory.actions.extend_from_slice(episode.actions);
            self.policy.scale_actions(&mut memory.actions[first..]);
            let ends = |step| step == last && episode.end == End::Terminal;
            memory
                .goes_on
                .extend((0..=last).map(|step| f32::from(u8::from(!ends(step)))));
        }
        Ok(())
    }

    /// Everything that was done in the first `steps` steps, in whole episodes.
    pub(super) fn replay(&self, steps: u64) -> anyhow::Result<Episodes> {
        let spec = self.environment.spec();
        let mut all = Episodes::new(spec.observation_size(), spec.action_size());
        for piece in 0..self.record.pieces {
            let path = self.piece_path(piece);
            all.append(&read_episodes(
                &path,
                &EpisodeColumns::default(),
                Tail::default(),
            )?);
        }
        let kept = all.starts().windows(2).enumerate();
        let kept: Vec<usize> = kept
            .filter(|(_, range)| range[1] as u64 <= steps)
            .map(|(index, _)| index)
            .collect();
        Ok(all.select(&kept))
    }

    /// Learns until `steps` steps were made.
    pub(super) fn run(&mut self, steps: u64, stop: &AtomicBool) -> anyhow::Result<Outcome> {
        let begun = self.record.steps;
        let mut progress = Progress::starting_at("learning", steps.max(begun), begun);
        let mut saved = begun;
        while self.record.steps < steps && !stop.load(Ordering::Relaxed) {
            self.episode(&mut progress, stop)?;
            if self.record.steps - saved >= SAVE_EVERY {
                self.save()?;
                saved = self.record.steps;
            }
        }
        if self.record.steps > saved {
            self.save()?;
        }
        progress.finish();
        Ok(match self.record.steps < steps {
            true => Outcome::Stopped,
            false => Outcome::Finished,
        })
    }

    /// Acts out one episode, with a gradient step behind every step.
    fn episode(&mut self, progress: &mut Progress, stop: &AtomicBool) -> anyhow::Result<()> {
        let settings = self.record.settings.clone();
        let spec = self.environment.spec().clone();
        let mut seen = vec![0.0; spec.observation_size()];
        let single = |seen: &[f64]| -> Vec<f32> { seen.iter().map(|&x| x as f32).collect() };
        let seed = settings.seed.wrapping_add(self.record.episodes);
        self.environment.reset(Some(seed), &mut seen)?;
        let mut before = single(&seen);
        let mut recording = Recording::default();
        let mut batch = Transitions::default();
        loop {
            let step = self.record.steps;
            let mut random = Generator::of_step(settings.seed, step);
            let mut action = Vec::with_capacity(spec.action_size());
            if step < settings.random_steps {
                let drawn = (0..spec.action_size()).map(|_| random.uniform(-1.0, 1.0) as f32);
                action.extend(drawn);
            } else {
                self.sac.draw(&before, &mut random, &mut action);
            }
            let mut done = action;
            self.policy.unscale_actions(&mut done);
            let outcome = self.environment.step(&done, &mut seen)?;
            let behind = single(&seen);
            self.remember(&before, &done, outcome, &behind);
            recording.add(&before, &done, outcome, &behind);
            before = behind;
            self.record.steps += 1;
            if step >= settings.random_steps {
                let count = settings.sac.batch_size;
                self.memory.draw(count, &mut random, &mut batch);
                self.sac.update(&batch, &mut random)?;
            }
            if self.record.steps.is_multiple_of(settings.evaluate_every) {
                self.evaluate(progress, stop)?;
            }
            let latest = self.record.evaluations.last();
            progress.at(self.record.steps, || {
                latest.map_or(String::new(), |found| {
                    format!("return {:.1}", found.figure.mean_return)
                })
            });
            if outcome.is_last() {
                break;
            }
        }
        self.fresh.push(recording.as_episode());
        self.record.episodes += 1;
        Ok(())
    }

    /// Keeps a step as its file has it, so that a resumed run sees the same.
    fn remember(&mut self, before: &[f32], done: &[f32], outcome: Step, behind: &[f32]) {
        let memory = &mut self.memory;
        memory.observations.extend_from_slice(before);
        let first = memory.actions.len();
        memory.actions.extend_from_slice(done);
        self.policy.scale_actions(&mut memory.actions[first..]);
        memory.rewards.push(outcome.reward as f32);
        memory.next_observations.extend_from_slice(behind);
        let goes_on = f32::from(u8::from(!outcome.terminated));
        memory.goes_on.push(goes_on);
    }

    /// Evaluates the policy as it is now, and keeps it.
    fn evaluate(&mut self, progress: &Progress, stop: &AtomicBool) -> anyhow::Result<()> {
        let step = self.record.steps;
        let parameters = Tensor::from_vec(self.sac.policy());
        let Some(returns) = self.rollouts.returns(&parameters, EVALUATION_SEED, stop)? else {
            return Ok(());
        };
        let Some(found) = Estimate::over_seeds(&returns) else {
            return Ok(());
        };
        let folder = self.snapshot_path(step);
        self.files.save(&folder, &parameters)?;
        save_learned(&folder.join("learned.safetensors"), self.sac.learned())?;
        let figure = Figure::of(&self.record.settings.environment, found.value);
        self.record.evaluations.push(Evaluation { step, figure });
        let score = figure.score.map(|score| format!(", score {score:.1}"));
        progress.line(&format!(
            "step {step}: return {:.1}{}",
            found.value,
            score.unwrap_or_default()
        ));
        Ok(())
    }

    /// Writes what is new, and then the state that counts it in.
    fn save(&mut self) -> anyhow::Result<()> {
        let piece = self.piece_path(self.record.pieces);
        if let Some(folder) = piece.parent() {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        write_d4rl(&piece, &self.fresh)?;
        self.record.pieces += 1;
        let record = &self.record;
        standing::save(&self.folder, record.steps, &mut self.sac, record)?;
        let spec = self.environment.spec();
        self.fresh = Episodes::new(spec.observation_size(), spec.action_size());
        Ok(())
    }

    /// The best policy, and the first one a third of the way to it from the first
    /// evaluation.
    pub(super) fn tiers(&self) -> anyhow::Result<Tiers> {
        let evaluations = &self.record.evaluations;
        let best = evaluations.iter().copied().reduce(|best, each| {
            if each.figure.mean_return > best.figure.mean_return {
                each
            } else {
                best
            }
        });
        let (Some(expert), Some(first)) = (best, evaluations.first()) else {
            return Err(Mistake::new(
                "no policy was evaluated; make --evaluate-every smaller than --steps",
            )
            .into());
        };
        let [low, high] = [first, &expert].map(|each| each.figure.mean_return);
        let third = low + (high - low) / 3.0;
        let medium = evaluations
            .iter()
            .find(|each| each.figure.mean_return >= third);
        Ok(Tiers {
            medium: medium.copied().unwrap_or(expert),
            expert,
        })
    }

    /// SAC as it was at an evaluation.
    pub(super) fn snapshot(&self, step: u64) -> anyhow::Result<Sac> {
        let spec = self.environment.spec();
        let sizes = [spec.observation_size(), spec.action_size()];
        let mut sac = Sac::new(&self.record.settings.sac, sizes, 0)?;
        let path = self.snapshot_path(step).join("learned.safetensors");
        load_learned(&path, sac.learned())?;
        Ok(sac)
    }

    /// What its policies are, apart from their parameters.
    pub(super) fn policy(&self) -> &GaussianConfig {
        &self.policy
    }
}
