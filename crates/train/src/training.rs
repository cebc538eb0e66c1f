//! A run from its first step, or from its last checkpoint, to its end.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use iwsft_data::{EpochOrder, Mixture};
use iwsft_engine::optim::AdamW;
use iwsft_engine::schedule::Schedule;
use iwsft_engine::{Policy, Tensor};
use iwsft_objective::{Objective, Quality};

use crate::checkpoint::{Checkpoint, TrainerRecord};
use crate::idle::Idle;
use crate::recorder::{Recorder, require_same};
use crate::{
    Evaluator, LogProbs, Observer, Plan, PolicyFiles, RunFolder, State, StepMetrics, Stepper,
    TrainConfig, TrainError, Trajectories, ValidationMetrics, score, settings,
};

/// Everything that a run is made of.
pub struct Job<'a, P: Policy, T> {
    /// The network.
    pub policy: &'a mut P,
    /// The parameters to start from. A resumed run replaces them.
    pub parameters: Tensor,
    /// The curated data.
    pub train: &'a T,
    /// Data to validate on.
    pub validation: Option<&'a T>,
    /// How many trajectories of each part of the data make a pass over it.
    pub mixture: Mixture,
    /// What is optimised.
    pub objective: Objective,
    /// How.
    pub config: TrainConfig,
    /// Log-probabilities of `train` under the reference policy. Without them,
    /// those that the data itself has are used.
    pub reference: Option<LogProbs>,
    /// How checkpoints store the policy.
    pub files: &'a dyn PolicyFiles,
    /// Whatever else decides the result (the starting model), by dotted names:
    /// a resumed run must have the same.
    pub settings: BTreeMap<String, String>,
}

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// All steps were made.
    Finished {
        /// The last checkpoint.
        checkpoint: PathBuf,
        /// Steps made.
        step: u64,
    },
    /// It was asked to stop, and can be resumed.
    Stopped {
        /// The checkpoint to resume from.
        checkpoint: PathBuf,
        /// Steps made.
        step: u64,
    },
}

/// A run that is ready to go.
pub struct Training<'a, P: Policy, T> {
    stepper: Stepper<'a, P, T>,
    state: State,
    validation: Option<&'a T>,
    /// Steps between evaluations, and who evaluates.
    evaluator: Option<(u64, &'a mut dyn Evaluator<P>)>,
    order: EpochOrder,
    config: TrainConfig,
    plan: Plan,
    schedule: Schedule,
    recorder: Recorder<'a>,
    /// The present pass and its order.
    epoch: (u64, Vec<usize>),
    tokens: u64,
    seconds: f64,
    best_nll: Option<f64>,
    /// The validation of the present step.
    validated: Option<f64>,
    /// Trajectories that nothing is learnt from.
    idle: Idle,
}

impl<'a, P, T> Training<'a, P, T>
where
    P: Policy,
    T: Trajectories<Batch = P::Batch>,
{
    /// Prepares a run that begins at its first step.
    ///
    /// # Errors
    /// Whatever would stop the run later: settings, data, a missing reference,
    /// a full disk.
    pub fn new(job: Job<'a, P, T>, folder: RunFolder) -> Result<Self, TrainError> {
        Self::prepare(job, folder, None)
    }

    /// Prepares a run that goes on after the newest checkpoint of `folder`, or
    /// begins where there is none yet.
    ///
    /// # Errors
    /// As [`Training::new`], and [`TrainError::Changed`] if a setting that
    /// decides the result is another one than before.
    pub fn resume(job: Job<'a, P, T>, folder: RunFolder) -> Result<Self, TrainError> {
        let latest = folder.checkpoints().latest()?;
        Self::prepare(job, folder, latest)
    }

    fn prepare(
        job: Job<'a, P, T>,
        folder: RunFolder,
        from: Option<Checkpoint>,
    ) -> Result<Self, TrainError> {
        job.config.validate()?;
        require_steps(job.train)?;
        job.validation.map_or(Ok(()), require_steps)?;
        let idle = Idle::of(job.train, job.objective.quality);
        idle.leave_something()?;
        let order = order(&job)?;
        let first_epoch = order.epoch(0);
        let plan = job.config.plan(first_epoch.len());
        let settings = all_settings(&job, &plan, &first_epoch);
        if let Some(checkpoint) = &from {
            require_same(checkpoint, &settings)?;
        }

        let mut stepper = Stepper::new(
            job.policy,
            job.train,
            job.objective.clone(),
            job.reference,
            job.config.micro_tokens,
            job.config.clip(),
        )?;
        stepper.drawn_from(&job.mixture);
        let optimizer = AdamW::new(stepper.policy.layout(), job.config.adamw());
        let mut state = State::new(job.parameters, optimizer, &job.objective);
        if let Some(Checkpoint { path, record }) = &from {
            state.load(path, record.step, job.files)?;
        }
        let record = from.as_ref().map(|checkpoint| checkpoint.record.clone());
        let record = record.as_ref();
        let at_once = checkpoints_at_once(&job.config, job.validation.is_some());
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
            schedule: job.config.schedule(plan.warmup_steps),
            tokens: record.map_or(0, |record| record.tokens),
            seconds: record.map_or(0.0, |record| record.seconds),
            best_nll: record.and_then(|record| record.best_validation_nll),
            validated: record.and_then(|record| record.validation_nll),
            stepper,
            state,
            validation: job.validation,
            evaluator: None,
            order,
            config: job.config,
            plan,
            recorder,
            epoch: (0, first_epoch),
            idle,
        })
    }

    /// Has the policy evaluated before the first step, after every `every` steps,
    /// and after the last.
    pub fn evaluate_every(&mut self, every: u64, evaluator: &'a mut dyn Evaluator<P>) {
        self.evaluator = Some((every, evaluator));
    }

    /// The steps of the run.
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

    /// Trains to the end, or until `stop` is set: then the step in progress is
    /// finished and saved.
    ///
    /// # Errors
    /// [`TrainError::NonFinite`] and [`TrainError::Save`], which name the last
    /// good checkpoint, and errors of the log.
    pub fn run(
        &mut self,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<Outcome, TrainError> {
        observer.on_start(&self.plan, self.state.step);
        if self.stepper.ignores_rewards() {
            observer.on_message(
                "some rewards are below 0, for which the bounds on J do not hold: J and its bounds count every trajectory as a success (R = 1)",
            );
        }
        if self.idle.any() {
            observer.on_message(&format!("nothing is learnt from {}", self.idle));
        }
        if let Some(epochs) = self.config.epochs.filter(|epochs| epochs.fract() > 0.0) {
            let Plan {
                steps_per_epoch,
                total_steps,
                ..
            } = self.plan;
            observer.on_message(&format!(
                "{epochs} epochs of {steps_per_epoch} steps are {total_steps} steps, rounded up"
            ));
        }
        if self.state.step == 0 {
            self.validate(observer)?;
            self.evaluate(observer)?;
        }
        while self.state.step < self.plan.total_steps {
            self.advance(observer)?;
            let stopping = stop.load(Ordering::Relaxed);
            let last = self.state.step == self.plan.total_steps;
            let validate = last || self.is_due(self.config.validate_every);
            let improved = validate && self.validate(observer)?;
            let every = self.evaluator.as_ref().map_or(0, |(every, _)| *every);
            if last || self.is_due(every) {
                self.evaluate(observer)?;
            }
            let keep = improved && self.config.keep_best;
            if keep || self.is_due(self.config.checkpoint_every) {
                self.save(observer)?;
            }
            if stopping && !last {
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

    fn is_due(&self, every: u64) -> bool {
        every > 0 && self.state.step.is_multiple_of(every)
    }

    /// Makes the next step and logs it.
    fn advance(&mut self, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let start = Instant::now();
        let batch = self.next_batch();
        let learning_rate = self.schedule.learning_rate(
            self.state.step + 1,
            self.plan.total_steps,
            self.config.learning_rate,
        );
        let outcome = self
            .stepper
            .step(&mut self.state, &self.epoch.1[batch], learning_rate)
            .map_err(|error| self.recorder.with_last_good(error))?;
        self.validated = None;
        let seconds = start.elapsed().as_secs_f64();
        self.seconds += seconds;
        self.tokens += outcome.tokens;
        let metrics = StepMetrics {
            step: self.state.step,
            epoch: self.state.step as f64 / self.plan.steps_per_epoch as f64,
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
        Ok(())
    }

    /// Where the next step's trajectories lie in the present pass. The last
    /// step of a pass takes what is left of it.
    fn next_batch(&mut self) -> Range<usize> {
        let epoch = self.state.step / self.plan.steps_per_epoch;
        if self.epoch.0 != epoch {
            self.epoch = (epoch, self.order.epoch(epoch));
        }
        let size = self.config.batch_size;
        let start = (self.state.step % self.plan.steps_per_epoch) as usize * size;
        start..(start + size).min(self.epoch.1.len())
    }

    /// Validates and logs it; whether the result is the best so far. The
    /// starting policy is logged and competes with nobody: it is no
    /// checkpoint.
    fn validate(&mut self, observer: &mut dyn Observer) -> Result<bool, TrainError> {
        let Some(validation) = self.validation else {
            return Ok(false);
        };
        let scores = score(
            self.stepper.policy,
            &self.state.parameters,
            validation,
            self.config.micro_tokens,
            &mut |_| {},
        );
        let nll = scores.nll(validation);
        let trained = self.state.step > 0 && nll.is_finite();
        let best = trained && self.best_nll.is_none_or(|best| nll < best);
        if trained {
            self.validated = Some(nll);
        }
        if best {
            self.best_nll = Some(nll);
        }
        if !nll.is_finite() {
            observer.on_message("the validation loss is not finite");
        }
        let metrics = ValidationMetrics {
            step: self.state.step,
            nll,
            best,
            seconds: self.seconds,
        };
        self.recorder.log(&metrics)?;
        observer.on_validation(&metrics);
        Ok(best)
    }

    fn evaluate(&mut self, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let Some((_, evaluator)) = &mut self.evaluator else {
            return Ok(());
        };
        let at = (self.state.step, self.seconds);
        let parameters = &self.state.parameters;
        self.recorder
            .evaluate(*evaluator, self.stepper.policy, parameters, at, observer)
    }

    fn save(&mut self, observer: &mut dyn Observer) -> Result<PathBuf, TrainError> {
        let record = self.record();
        self.recorder.save(&self.state, record, observer)
    }

    fn record(&self) -> TrainerRecord {
        let step = self.state.step;
        let epoch = step / self.plan.steps_per_epoch;
        let in_epoch = step % self.plan.steps_per_epoch;
        TrainerRecord {
            version: TrainerRecord::VERSION,
            step,
            epoch,
            position: in_epoch * self.config.batch_size as u64,
            tokens: self.tokens,
            drawn: 0,
            seconds: self.seconds,
            seed: self.config.seed,
            validation_nll: self.validated,
            best_validation_nll: self.best_nll,
            settings_hash: String::new(),
            settings: BTreeMap::new(),
        }
    }
}

/// The most checkpoints that lie in the folder at one time: those that are
/// kept, and the one being written.
fn checkpoints_at_once(config: &TrainConfig, validates: bool) -> usize {
    let best = config.keep_best && validates;
    if config.checkpoint_every == 0 && (config.validate_every == 0 || !best) {
        return 1;
    }
    config.keep_last + usize::from(best) + 1
}

/// Every setting that decides the result, by its dotted name.
fn all_settings<P, T>(
    job: &Job<'_, P, T>,
    plan: &Plan,
    first_epoch: &[usize],
) -> BTreeMap<String, String>
where
    P: Policy,
    T: Trajectories,
{
    let mut all = job.settings.clone();
    settings::add_config(&mut all, &job.config, plan);
    settings::add(&mut all, "objective", &job.objective);
    let data = job.train.fingerprint().to_hex();
    all.insert("data".to_owned(), data.to_string());
    // Stands for the shares of mixed files, and for all else that orders.
    let order: Vec<u8> = first_epoch
        .iter()
        .flat_map(|&i| (i as u64).to_le_bytes())
        .collect();
    all.insert("order".to_owned(), blake3::hash(&order).to_string());
    if job.objective.quality == Quality::Resample {
        // Before there was this setting, in the order of the file.
        let drawing = "over an order shuffled for every epoch";
        all.insert("order.by_quality".to_owned(), drawing.to_owned());
    }
    if let Some(reference) = &job.reference {
        let hash = reference.fingerprint().to_hex();
        all.insert("reference".to_owned(), hash.to_string());
    }
    let parameters = job.policy.layout().len();
    all.insert("parameters".to_owned(), parameters.to_string());
    all
}

fn require_steps<T: Trajectories>(trajectories: &T) -> Result<(), TrainError> {
    if trajectories.is_empty() {
        return Err(TrainError::Data(
            "there is no trajectory; check the data files and filters".to_owned(),
        ));
    }
    let mut indices = 0..trajectories.len();
    match indices.find(|&index| trajectories.steps(index) == 0) {
        None => Ok(()),
        Some(index) => Err(TrainError::Data(format!(
            "{} has no step that carries loss; remove the row or check its loss mask",
            trajectories.describe(index)
        ))),
    }
}

/// The order of every pass: shuffled by the seed, and drawn by quality where
/// the objective says so.
fn order<P: Policy, T: Trajectories>(job: &Job<'_, P, T>) -> Result<EpochOrder, TrainError> {
    let end = job.mixture.pools().iter().map(|pool| pool.trajectories.end);
    let (end, len) = (end.max().unwrap_or(0), job.train.len());
    if end != len {
        return Err(TrainError::Data(format!(
            "the mixture is of {end} trajectories, and there are {len}"
        )));
    }
    let qualities: Option<Vec<_>> = (job.objective.quality == Quality::Resample)
        .then(|| (0..len).map(|index| job.train.quality(index)).collect());
    let mixture = job.mixture.clone();
    Ok(EpochOrder::new(
        mixture,
        qualities.as_deref(),
        job.config.seed,
    )?)
}
