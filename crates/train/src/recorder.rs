//! What a run writes down: its log and its checkpoints.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use iwsft_engine::{Policy, Tensor};
use serde::Serialize;

use crate::checkpoint::{Checkpoint, Checkpoints, TrainerRecord};
use crate::{
    EvaluationMetrics, Evaluator, MetricsLog, Observer, PolicyFiles, RunFolder, State, TrainConfig,
    TrainError, settings,
};

/// Room for the small files of checkpoints, beyond their tensors.
const SMALL_FILES: u64 = 32 << 20;

/// The log and the checkpoints of a run, and the folder that holds them.
pub(crate) struct Recorder<'a> {
    files: &'a dyn PolicyFiles,
    settings: BTreeMap<String, String>,
    checkpoints: Checkpoints,
    metrics: MetricsLog,
    keep_last: usize,
    keep_best: bool,
    /// The last checkpoint.
    saved: Option<(u64, PathBuf)>,
    /// Held while the run lasts.
    _folder: RunFolder,
}

impl<'a> Recorder<'a> {
    /// Opens the log of a run that goes on `from` a checkpoint, or begins, with
    /// room for `at_once` checkpoints of `state`. `settings` is everything that
    /// decides the result.
    ///
    /// # Errors
    /// [`TrainError::DiskSpace`], and errors of the log.
    pub(crate) fn open(
        folder: RunFolder,
        files: &'a dyn PolicyFiles,
        settings: BTreeMap<String, String>,
        from: Option<Checkpoint>,
        state: &State,
        config: &TrainConfig,
        at_once: usize,
    ) -> Result<Self, TrainError> {
        let checkpoints = folder.checkpoints();
        let missing = at_once.saturating_sub(checkpoints.list()?.len()).max(1);
        folder.require_space(missing as u64 * state.bytes(files) + SMALL_FILES)?;
        Ok(Self {
            files,
            settings,
            checkpoints,
            metrics: MetricsLog::open(&folder.metrics(), state.step)?,
            keep_last: config.keep_last,
            keep_best: config.keep_best,
            saved: from.map(|checkpoint| (checkpoint.record.step, checkpoint.path)),
            _folder: folder,
        })
    }

    /// Appends a line to the log.
    ///
    /// # Errors
    /// [`TrainError::Io`] if it cannot be written.
    pub(crate) fn log(&mut self, record: &impl Serialize) -> Result<(), TrainError> {
        self.metrics.append(record)
    }

    /// Has the policy evaluated, and logs it. As the log of a step is complete
    /// before its checkpoint is written, a resumed run does not evaluate again.
    ///
    /// # Errors
    /// [`TrainError::Evaluation`], and errors of the log.
    pub(crate) fn evaluate<P: Policy>(
        &mut self,
        evaluator: &mut dyn Evaluator<P>,
        policy: &P,
        parameters: &Tensor,
        (step, seconds): (u64, f64),
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let found = evaluator
            .evaluate(policy, parameters)
            .map_err(|source| TrainError::Evaluation { step, source })?;
        let Some(found) = found else {
            observer.on_message("the evaluation was broken off and is not logged");
            return Ok(());
        };
        let metrics = EvaluationMetrics {
            step,
            seconds,
            found,
        };
        self.metrics.append(&metrics)?;
        observer.on_evaluation(&metrics);
        Ok(())
    }

    /// Writes a checkpoint of the state's step, unless there is one, and removes
    /// those that need not be kept. The settings of `record` are filled in.
    ///
    /// # Errors
    /// [`TrainError::Save`], which names the last good checkpoint.
    pub(crate) fn save(
        &mut self,
        state: &State,
        record: TrainerRecord,
        observer: &mut dyn Observer,
    ) -> Result<PathBuf, TrainError> {
        let step = state.step;
        if let Some((saved, path)) = &self.saved
            && *saved == step
        {
            return Ok(path.clone());
        }
        // The log must reach at least as far as the checkpoint.
        self.metrics.sync()?;
        let record = TrainerRecord {
            settings_hash: settings::hash(&self.settings),
            settings: self.settings.clone(),
            ..record
        };
        let files = self.files;
        let path = self
            .checkpoints
            .save(&record, |folder: &Path| state.save(folder, files))?;
        self.saved = Some((step, path.clone()));
        self.checkpoints.prune(self.keep_last, self.keep_best)?;
        observer.on_checkpoint(&path, step);
        Ok(path)
    }

    /// Names the last checkpoint in an error that ends the run.
    pub(crate) fn with_last_good(&self, mut error: TrainError) -> TrainError {
        if let TrainError::NonFinite { last_good, .. } = &mut error {
            *last_good = self.saved.as_ref().map(|(_, path)| path.clone());
        }
        error
    }
}

/// Refuses to go on from a checkpoint of other settings.
///
/// # Errors
/// [`TrainError::Changed`] with every difference.
pub(crate) fn require_same(
    from: &Checkpoint,
    now: &BTreeMap<String, String>,
) -> Result<(), TrainError> {
    let differences = from.record.differences(now);
    if differences.is_empty() {
        return Ok(());
    }
    Err(TrainError::Changed {
        path: from.path.clone(),
        differences,
    })
}
