//! The training loop, over any policy and any curated data.
//!
//! [`Training`] takes a [`Job`] (a policy, [`Trajectories`], an objective, a
//! [`TrainConfig`]) and a [`RunFolder`] and runs to the end: each step packs
//! its trajectories into micro-batches, weighs them by the objective and makes
//! one AdamW update with the exact denominator of the whole step. Checkpoints
//! are complete or absent, and a resumed run has the same weights, bit for
//! bit, as one that was never interrupted.
//!
//! Files: `config` has the settings, `step` one optimizer step, `training` the
//! loop over data and `on_policy` the loop over rollouts, `rule` what either
//! optimises, `state` and `checkpoint` what is saved, `recorder`, `run_folder` and
//! `metrics` the folder around it, `idle` rows that nothing is learnt from, `log_probs` and `reference` the scoring of a data set
//! and its cache, `evaluator` and `observer` who looks on.

mod atomic;
pub mod checkpoint;
mod config;
mod error;
mod evaluator;
mod idle;
mod log_probs;
mod metrics;
mod observer;
mod on_policy;
mod packing;
mod recorder;
mod reference;
mod rule;
mod run_folder;
mod settings;
mod state;
mod step;
mod tensor_file;
mod training;
mod trajectories;

pub use atomic::write_atomically;
pub use checkpoint::{Checkpoint, Checkpoints, PolicyFiles, TrainerRecord};
pub use config::{Plan, Shape, TrainConfig, Warmup};
pub use error::{Difference, SourceError, TrainError};
pub use evaluator::Evaluator;
pub use log_probs::{LogProbs, score};
pub use metrics::MetricsLog;
pub use observer::{EvaluationMetrics, Observer, RolloutMetrics, StepMetrics, ValidationMetrics};
pub use on_policy::{OnPolicy, OnPolicyJob, Rollouts, Round, Rounds};
pub(crate) use packing::micro_batches;
pub use reference::ReferenceKey;
pub use rule::Rule;
pub use run_folder::RunFolder;
pub use state::State;
pub use step::{StepOutcome, Stepper};
pub use training::{Job, Outcome, Training};
pub use trajectories::Trajectories;
