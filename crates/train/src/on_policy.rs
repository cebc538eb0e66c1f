//! A run on rollouts of the policy itself: round by round it draws, and makes a
//! few optimizer steps on what it drew.
//!
//! Checkpoints stand between rounds. What a round draws depends on the policy,
//! the seed and the round's number alone, so a run that was killed in the middle
//! of a round draws the same again and ends with the same bits.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use iwsft_data::{EpochOrder, Mixture};
use iwsft_engine::optim::AdamW;
use iwsft_engine::schedule::Schedule;
use iwsft_engine::{Policy, Tensor};
use iwsft_objective::PolicyGradient;
use serde::{Deserialize, Serialize};

use crate::checkpoint::{Checkpoint, TrainerRecord};
use crate::recorder::{Recorder, require_same};
use crate::{
    Evaluator, Observer, Outcome, Plan, PolicyFiles, RolloutMetrics, RunFolder, SourceError, State,
    StepMetrics, Stepper, TrainConfig, TrainError, Trajectories, score, settings,
};

/// Draws rollouts and rewards them.
pub trait Rollouts<P: Policy> {
    /// What is drawn. Its [`Trajectories::advantage`] and
    /// [`Trajectories::behaviour`] are those of the policy it was drawn from.
    type Drawn: Trajectories<Batch = P::Batch>;

    /// Draws round `round`, from 0, with these parameters; `None` where that
    /// was broken off. It depends on nothing else. `observer` may be told how
    /// far it is.
    ///
    /// # Errors
    /// Whatever should end the run.
    fn draw(
        &mut self,
        policy: &P,
        parameters: &Tensor,
        round: u64,
        observer: &mut dyn Observer,
    ) -> Result<Option<Round<Self::Drawn>>, SourceError>;
}

/// A round's rollouts, and what there is to tell of them.
#[derive(Debug)]
pub struct Round<T> {
    /// The rollouts.
    pub rollouts: T,
    /// Groups of rollouts of one prompt.
    pub groups: u64,
    /// Mean reward.
    pub reward: f64,
    /// Groups whose rewards are all the same.
    pub no_signal: u64,
    /// Tokens drawn.
    pub tokens: u64,
    /// Rollouts that a limit ended.
    pub cut: u64,
}

/// How rounds make a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub struct Rounds {
    /// Rounds of the run.
    pub rounds: u64,
    /// Parts that a round's rollouts are split into, an optimizer step each.
    pub updates: u64,
    /// Passes over a round's rollouts.
    pub passes: u64,
}

impl Rounds {
    fn steps_per_round(self) -> u64 {
        self.updates * self.passes
    }
}

/// Everything that a run on rollouts is made of.
pub struct OnPolicyJob<'a, P: Policy, R> {
    /// The network.
    pub policy: &'a mut P,
    /// The parameters to start from, and the reference. A resumed run replaces
    /// the former.
    pub parameters: Tensor,
    /// Who draws.
    pub rollouts: &'a mut R,
    /// What is optimised.
    pub gradient: PolicyGradient,
    /// How. `epochs`, `steps`, `batch_size` and what is about validation are not
    /// looked at; `checkpoint_every` counts rounds.
    pub config: TrainConfig,
    /// How rounds make a run.
    pub rounds: Rounds,
    /// How checkpoints store the policy.
    pub files: &'a dyn PolicyFiles,
    /// Whatever else decides the result, by dotted names: a resumed run must
    /// have the same.
    pub settings: BTreeMap<String, String>,
}

/// A run on rollouts that is ready to go.
pub struct OnPolicy<'a, P: Policy, R> {
    policy: &'a mut P,
    rollouts: &'a mut R,
    gradient: PolicyGradient,
    /// The start, where the gradient needs it.
    reference: Option<Tensor>,
    state: State,
    /// Rounds between evaluations, and who evaluates.
    evaluator: Option<(u64, &'a mut dyn Evaluator<P>)>,
    config: TrainConfig,
    rounds: Rounds,
    plan: Plan,
    schedule: Schedule,
    recorder: Recorder<'a>,
    /// Tokens trained on and drawn.
    tokens: u64,
    drawn: u64,
    seconds: f64,
    /// Rounds in a row, up to now, that had nothing to learn from.
    silent: u64,
}

/// Rounds without a signal, one behind the other, that are worth a word; then
/// twice as many, and so on.
const SILENT_ROUNDS: u64 = 3;

impl<'a, P: Policy, R: Rollouts<P>> OnPolicy<'a, P, R> {
    /// Prepares a run that begins with its first round.
    ///
    /// # Errors
    /// Whatever would stop the run later: settings, a full disk.
    pub fn new(job: OnPolicyJob<'a, P, R>, folder: RunFolder) -> Result<Self, TrainError> {
        Self::prepare(job, folder, None)
    }

    /// Prepares a run that goes on after the newest checkpoint of `folder`, or
    /// begins where there is none yet.
    ///
    /// # Errors
    /// As [`OnPolicy::new`], and [`TrainError::Changed`] if a setting that
    /// decides the result is another one than before.
    pub fn resume(job: OnPolicyJob<'a, P, R>, folder: RunFolder) -> Result<Self, TrainError> {
        let latest = folder.checkpoints().latest()?;
        Self::prepare(job, folder, latest)
    }

    fn prepare(
        job: OnPolicyJob<'a, P, R>,
        folder: RunFolder,
        from: Option<Checkpoint>,
    ) -> Result<Self, TrainError> {
        job.config.validate()?;
        let total = job.rounds.rounds * job.rounds.steps_per_round();
        let plan = Plan {
            steps_per_epoch: job.rounds.steps_per_round().max(1),
            total_steps: total,
            warmup_steps: job.config.warmup_steps(total),
        };
        let settings = all_settings(&job, &plan);
        if let Some(checkpoint) = &from {
            require_same(checkpoint, &settings)?;
        }
        let reference = job.gradient.needs_reference().then(|| {
            let mut copy = Tensor::zeros(job.parameters.len());
            copy.copy_from(&job.parameters);
            copy
        });
        let optimizer = AdamW::new(job.policy.layout(), job.config.adamw());
        let mut state = State {
            step: 0,
            parameters: job.parameters,
            optimizer,
            proposal: None,
        };
        if let Some(Checkpoint { path, record }) = &from {
            state.load(path, record.step, job.files)?;
        }
        let record = from.as_ref().map(|checkpoint| checkpoint.record.clone());
        let at_once = match job.config.checkpoint_every {
            0 => 1,
            _ => job.config.keep_last + 1,
        };
        let recorder = Recorder::open(
            folder,
            job.files,
            settings,
            from,
            &state,
            &job.config,
            at_once,
        )?;
        Ok(Self {
            policy: job.policy,
            rollouts: job.rollouts,
            gradient: job.gradient,
            reference,
            state,
            evaluator: None,
            schedule: job.config.schedule(plan.warmup_steps),
            config: job.config,
            rounds: job.rounds,
            plan,
            recorder,
            tokens: record.as_ref().map_or(0, |record| record.tokens),
            drawn: record.as_ref().map_or(0, |record| record.drawn),
            seconds: record.as_ref().map_or(0.0, |record| record.seconds),
            silent: 0,
        })
    }

    /// Has the policy evaluated before the first round, after every `every`
    /// rounds, and after the last.
    pub fn evaluate_every(&mut self, every: u64, evaluator: &'a mut dyn Evaluator<P>) {
        self.evaluator = Some((every, evaluator));
    }

    /// The steps of the run; a pass over the data is a round.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Steps made so far.
    pub fn step(&self) -> u64 {
        self.state.step
    }

    /// The policy's parameters as they are now.
    pub fn parameters(&self) -> &Tensor {
        &self.state.parameters
    }

    /// Goes to the end, or until `stop` is set: then a round that is being drawn
    /// is given up, or one that is trained on is finished, and the state saved.
    ///
    /// # Errors
    /// As [`crate::Training::run`], and [`TrainError::Rollouts`].
    pub fn run(
        &mut self,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<Outcome, TrainError> {
        observer.on_start(&self.plan, self.state.step);
        if self.state.step == 0 {
            self.evaluate(observer)?;
        }
        while self.state.step < self.plan.total_steps {
            let finished = self.round(observer)?;
            let last = self.state.step == self.plan.total_steps;
            let every = self.evaluator.as_ref().map_or(0, |(every, _)| *every);
            if finished && (last || self.is_due(every)) {
                self.evaluate(observer)?;
            }
            if finished && self.is_due(self.config.checkpoint_every) {
                self.save(observer)?;
            }
            if (stop.load(Ordering::Relaxed) || !finished) && !last {
                return Ok(Outcome::Stopped {
                    checkpoint: self.save(observer)?,
                    step: self.state.step,
                });
            }
        }
        Ok(Outcome::Finished {
            checkpoint: self.save(observer)?,
            step: self.state.step,
        })
    }

    fn made(&self) -> u64 {
        self.state.step / self.plan.steps_per_epoch
    }

    fn is_due(&self, every: u64) -> bool {
        every > 0 && self.made().is_multiple_of(every)
    }

    /// Draws a round and trains on it; `false` where the drawing was broken off.
    fn round(&mut self, observer: &mut dyn Observer) -> Result<bool, TrainError> {
        let (round, start) = (self.made(), Instant::now());
        let drawn = self
            .rollouts
            .draw(self.policy, &self.state.parameters, round, observer)
            .map_err(|source| TrainError::Rollouts { round, source })?;
        let Some(drawn) = drawn else {
            return Ok(false);
        };
        let seconds = start.elapsed().as_secs_f64();
        self.seconds += seconds;
        self.drawn += drawn.tokens;
        self.tell(&drawn, round, seconds, observer)?;
        self.learn(&drawn.rollouts, round, observer)?;
        Ok(true)
    }

    /// Makes a round's optimizer steps on what was drawn.
    fn learn(
        &mut self,
        rollouts: &R::Drawn,
        round: u64,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let mut start = Instant::now();
        let micro_tokens = self.config.micro_tokens;
        let reference = self
            .reference
            .as_ref()
            .map(|start| score(self.policy, start, rollouts, micro_tokens, &mut |_| {}));
        let mut stepper = Stepper::new(
            self.policy,
            rollouts,
            self.gradient.clone(),
            reference,
            micro_tokens,
            self.config.clip(),
        )?;
        let count = rollouts.len();
        let order = EpochOrder::new(Mixture::whole(count), None, self.config.seed)?;
        for pass in 0..self.rounds.passes {
            let order = order.epoch(round * self.rounds.passes + pass);
            for update in 0..self.rounds.updates as usize {
                let part = |end: usize| end * count / self.rounds.updates as usize;
                let indices = &order[part(update)..part(update + 1)];
                let learning_rate = self.schedule.learning_rate(
                    self.state.step + 1,
                    self.plan.total_steps,
                    self.config.learning_rate,
                );
                let outcome = stepper
                    .step(&mut self.state, indices, learning_rate)
                    .map_err(|error| self.recorder.with_last_good(error))?;
                let seconds = start.elapsed().as_secs_f64();
                start = Instant::now();
                self.seconds += seconds;
                self.tokens += outcome.tokens;
                let step = self.state.step;
                let metrics = StepMetrics {
                    step,
                    epoch: step as f64 / self.plan.steps_per_epoch as f64,
                    learning_rate,
                    grad_norm: outcome.grad_norm,
                    grad_clipped: outcome.clipped,
                    tokens: outcome.tokens,
                    total_tokens: self.tokens,
                    micro_batches: outcome.micro_batches,
                    tokens_per_second: outcome.tokens as f64 / seconds.max(f64::MIN_POSITIVE),
                    seconds: self.seconds,
                    diagnostics: outcome.diagnostics,
                };
                self.recorder.log(&metrics)?;
                observer.on_step(&metrics);
            }
        }
        Ok(())
    }

    /// Logs what was drawn.
    fn tell(
        &mut self,
        drawn: &Round<R::Drawn>,
        round: u64,
        seconds: f64,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let count = drawn.rollouts.len().max(1) as f64;
        let metrics = RolloutMetrics {
            step: self.state.step + 1,
            round: round + 1,
            rollouts: drawn.rollouts.len() as u64,
            groups: drawn.groups,
            reward: drawn.reward,
            no_signal: drawn.no_signal as f64 / drawn.groups.max(1) as f64,
            mean_tokens: drawn.tokens as f64 / count,
            cut: drawn.cut as f64 / count,
            tokens: drawn.tokens,
            total_tokens: self.drawn,
            round_seconds: seconds,
            tokens_per_second: drawn.tokens as f64 / seconds.max(f64::MIN_POSITIVE),
            seconds: self.seconds,
        };
        self.recorder.log(&metrics)?;
        observer.on_rollouts(&metrics);
        self.warn_of_silence(drawn, observer);
        Ok(())
    }

    /// Says so where round after round has nothing to learn from.
    fn warn_of_silence(&mut self, drawn: &Round<R::Drawn>, observer: &mut dyn Observer) {
        if drawn.no_signal < drawn.groups {
            self.silent = 0;
            return;
        }
        self.silent += 1;
        let all = self.silent == self.rounds.rounds;
        let due = self.silent.is_multiple_of(SILENT_ROUNDS)
            && (self.silent / SILENT_ROUNDS).is_power_of_two();
        if all || due {
            observer.on_message(&format!(
                "{} rounds in a row had nothing to learn from: the answers to a prompt all got the \
                 same reward (mean {:.3}); try prompts that are neither too hard nor too easy, more \
                 answers to each, a higher temperature, or look at the grading",
                self.silent, drawn.reward
            ));
        }
    }

    fn evaluate(&mut self, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let Some((_, evaluator)) = &mut self.evaluator else {
            return Ok(());
        };
        let at = (self.state.step, self.seconds);
        let parameters = &self.state.parameters;
        self.recorder
            .evaluate(*evaluator, self.policy, parameters, at, observer)
    }

    fn save(&mut self, observer: &mut dyn Observer) -> Result<PathBuf, TrainError> {
        let record = TrainerRecord {
            version: TrainerRecord::VERSION,
            step: self.state.step,
            epoch: self.made(),
            position: 0,
            tokens: self.tokens,
            drawn: self.drawn,
            seconds: self.seconds,
            seed: self.config.seed,
            validation_nll: None,
            best_validation_nll: None,
            settings_hash: String::new(),
            settings: BTreeMap::new(),
        };
        self.recorder.save(&self.state, record, observer)
    }
}

/// Every setting that decides the result, by its dotted name.
fn all_settings<P: Policy, R>(
    job: &OnPolicyJob<'_, P, R>,
    plan: &Plan,
) -> BTreeMap<String, String> {
    let mut all = job.settings.clone();
    settings::add_config(&mut all, &job.config, plan);
    all.remove("train.batch_size");
    settings::add(&mut all, "objective", &job.gradient);
    settings::add(&mut all, "rollout.updates", &job.rounds.updates);
    settings::add(&mut all, "rollout.passes", &job.rounds.passes);
    let parameters = job.policy.layout().len();
    all.insert("parameters".to_owned(), parameters.to_string());
    all
}
