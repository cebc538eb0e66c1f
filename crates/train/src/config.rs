//! The settings of a run. The defaults are the published recipe for language
//! models: 5 epochs in batches of 8, AdamW at 1e-5, a cosine after 5 % warm-up.

use iwsft_engine::Precision;
use iwsft_engine::optim::AdamWConfig;
use iwsft_engine::schedule::{self, Schedule};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::TrainError;

/// How to train. Every key may be left out; unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Passes over the data; of a part of one, its steps rounded up. Give this or
    /// `steps`; 5 where neither is given.
    #[serde(
        serialize_with = "whole_as_integer",
        skip_serializing_if = "Option::is_none"
    )]
    pub epochs: Option<f64>,
    /// Optimizer steps.
    pub steps: Option<u64>,
    /// Trajectories per optimizer step. Default 8. The last step of an epoch
    /// takes what is left, with its own exact denominator.
    pub batch_size: usize,
    /// Rows (tokens) of one forward pass: the trajectories of a step are
    /// packed into as few passes as fit. Memory grows with it; the result
    /// does not depend on it, up to rounding. A longer trajectory gets a pass of its own.
    /// Default 1024: on a CPU, larger passes were no faster.
    pub micro_tokens: usize,
    /// Peak learning rate. Default 1e-5.
    pub learning_rate: f64,
    /// Shape of the learning rate after the warm-up. Default `cosine`.
    pub schedule: Shape,
    /// Linear warm-up: an integer counts steps, a fraction is a share of all
    /// steps. Default 0.05.
    pub warmup: Warmup,
    /// The last learning rate as a share of the peak. Default 0.
    pub final_ratio: f64,
    /// AdamW's decay of the first moment. Default 0.9.
    pub beta1: f32,
    /// AdamW's decay of the second moment. Default 0.95.
    pub beta2: f32,
    /// AdamW's epsilon. Default 1e-8.
    pub eps: f32,
    /// Weight decay of matrices (biases and norms have none). Default 1e-4.
    pub weight_decay: f32,
    /// The gradient is scaled down to this norm; 0 leaves it alone. Default 1.
    pub max_grad_norm: f64,
    /// Numbers that the policy's matrix products multiply, `f32` or `bf16`;
    /// parameters, gradients and sums are f32. Default `f32`, which is not written
    /// down: runs from before there was a choice can be resumed.
    #[serde(
        serialize_with = "as_word",
        deserialize_with = "from_word",
        skip_serializing_if = "is_default"
    )]
    pub precision: Precision,
    /// Seed of the order of the data. Default 0.
    pub seed: u64,
    /// Steps between validations, where there is validation data; 0 validates
    /// at the beginning and at the end only. Default 0.
    pub validate_every: u64,
    /// Steps between checkpoints; 0 keeps the last step only. Default 0.
    pub checkpoint_every: u64,
    /// The newest checkpoints to keep. Default 2.
    pub keep_last: usize,
    /// Also save and keep the checkpoint with the lowest validation negative
    /// log-likelihood. Default true.
    pub keep_best: bool,
}

/// As recipes have it: `epochs = 3`, and not 3.0.
fn whole_as_integer<S: Serializer>(epochs: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
    match epochs {
        Some(epochs) if epochs.fract() == 0.0 && epochs.abs() < 1e15 => {
            to.serialize_i64(*epochs as i64)
        }
        epochs => epochs.serialize(to),
    }
}

fn as_word<S: Serializer>(precision: &Precision, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(precision)
}

fn from_word<'de, D: Deserializer<'de>>(from: D) -> Result<Precision, D::Error> {
    let word = String::deserialize(from)?;
    word.parse().map_err(de::Error::custom)
}

fn is_default(precision: &Precision) -> bool {
    *precision == Precision::default()
}

/// Shape of the learning rate after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Stays at the peak.
    Constant,
    /// A straight line to the final rate.
    Linear,
    /// Half a cosine to the final rate.
    Cosine,
}

/// Length of the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected an integer number of steps, or a share of all steps such as 0.05"
)]
pub enum Warmup {
    /// So many steps.
    Steps(u64),
    /// A share of all steps, between 0 and 1.
    Share(f64),
}

/// The settings once the number of trajectories is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Optimizer steps in one pass over the data.
    pub steps_per_epoch: u64,
    /// Optimizer steps of the whole run.
    pub total_steps: u64,
    /// Steps of the warm-up.
    pub warmup_steps: u64,
}

const DEFAULT_EPOCHS: f64 = 5.0;

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: None,
            steps: None,
            batch_size: 8,
            micro_tokens: 1024,
            learning_rate: 1e-5,
            schedule: Shape::Cosine,
            warmup: Warmup::Share(0.05),
            final_ratio: 0.0,
            beta1: 0.9,
            beta2: 0.95,
            eps: 1e-8,
            weight_decay: 1e-4,
            max_grad_norm: 1.0,
            precision: Precision::F32,
            seed: 0,
            validate_every: 0,
            checkpoint_every: 0,
            keep_last: 2,
            keep_best: true,
        }
    }
}

impl TrainConfig {
    /// Refuses values that cannot work.
    ///
    /// # Errors
    /// [`TrainError::Setting`] with the first such key.
    pub fn validate(&self) -> Result<(), TrainError> {
        let beta = |x: f32| (0.0..1.0).contains(&x);
        let positive = |x: f64| x.is_finite() && x > 0.0;
        let at_least_0 = |x: f64| x.is_finite() && x >= 0.0;
        if self.epochs.is_some() && self.steps.is_some() {
            let found = "given together with `epochs`".to_owned();
            return Err(setting("steps", found, "only one of the two"));
        }
        check("epochs", self.epochs.unwrap_or(1.0), positive, "above 0")?;
        check("steps", self.steps.unwrap_or(1), |n| n > 0, "1 or more")?;
        check("batch_size", self.batch_size, |n| n > 0, "1 or more")?;
        check("micro_tokens", self.micro_tokens, |n| n > 0, "1 or more")?;
        check("learning_rate", self.learning_rate, positive, "above 0")?;
        match self.warmup {
            Warmup::Steps(_) => {}
            Warmup::Share(share) => check(
                "warmup",
                share,
                |x| (0.0..=1.0).contains(&x),
                "a share from 0.0 to 1.0, or an integer number of steps",
            )?,
        }
        let ratio = |x: f64| (0.0..=1.0).contains(&x);
        check("final_ratio", self.final_ratio, ratio, "from 0 to 1")?;
        check("beta1", self.beta1, beta, "at least 0 and below 1")?;
        check("beta2", self.beta2, beta, "at least 0 and below 1")?;
        check("eps", self.eps, |x| positive(x.into()), "above 0")?;
        let decay = self.weight_decay;
        check("weight_decay", decay, |x| at_least_0(x.into()), "0 or more")?;
        check("max_grad_norm", self.max_grad_norm, at_least_0, "0 or more")?;
        check("keep_last", self.keep_last, |n| n > 0, "1 or more")
    }

    /// Counts the steps of a run whose epochs have `epoch_len` trajectories.
    pub fn plan(&self, epoch_len: usize) -> Plan {
        let steps_per_epoch = epoch_len.div_ceil(self.batch_size) as u64;
        let epochs = self.epochs.unwrap_or(DEFAULT_EPOCHS);
        let total_steps = self.steps.unwrap_or_else(|| {
            let steps = epochs * steps_per_epoch as f64;
            // What is a whole number but for rounding is not rounded up.
            let whole = (steps - steps.round()).abs() < 1e-12 * steps;
            let steps = if whole { steps.round() } else { steps.ceil() };
            steps as u64
        });
        Plan {
            steps_per_epoch,
            total_steps,
            warmup_steps: self.warmup_steps(total_steps),
        }
    }

    /// Steps of the warm-up of a run of `total_steps`.
    pub(crate) fn warmup_steps(&self, total_steps: u64) -> u64 {
        match self.warmup {
            Warmup::Steps(steps) => steps,
            // A product of a share and a count: rounding up gives every
            // non-zero share at least one step.
            Warmup::Share(share) => (share * total_steps as f64).ceil() as u64,
        }
    }

    /// The optimizer's settings.
    pub fn adamw(&self) -> AdamWConfig {
        AdamWConfig {
            beta1: self.beta1,
            beta2: self.beta2,
            eps: self.eps,
            weight_decay: self.weight_decay,
        }
    }

    /// The learning-rate schedule of a run with so many warm-up steps.
    pub fn schedule(&self, warmup_steps: u64) -> Schedule {
        let shape = match self.schedule {
            Shape::Constant => schedule::Shape::Constant,
            Shape::Linear => schedule::Shape::Linear,
            Shape::Cosine => schedule::Shape::Cosine,
        };
        Schedule {
            shape,
            warmup_steps,
            final_ratio: self.final_ratio,
        }
    }

    /// The norm to clip the gradient to, if any.
    pub fn clip(&self) -> Option<f64> {
        (self.max_grad_norm > 0.0).then_some(self.max_grad_norm)
    }
}

fn check<V: Copy + std::fmt::Display>(
    key: &'static str,
    value: V,
    holds: impl FnOnce(V) -> bool,
    expected: &'static str,
) -> Result<(), TrainError> {
    if holds(value) {
        Ok(())
    } else {
        Err(setting(key, value.to_string(), expected))
    }
}

fn setting(key: &'static str, found: String, expected: &'static str) -> TrainError {
    TrainError::Setting {
        key,
        found,
        expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_an_unknown_key_is_not() {
        TrainConfig::default().validate().unwrap();
        let error = serde_json::from_str::<TrainConfig>(r#"{"batchsize": 8}"#).unwrap_err();
        assert!(error.to_string().contains("batchsize"), "{error}");
    }

    #[test]
    fn an_integer_warmup_counts_steps_and_a_fraction_is_a_share() {
        let read = |text| serde_json::from_str::<TrainConfig>(text).unwrap();
        let plan = |text| read(text).plan(100);
        assert_eq!(plan(r#"{"steps": 50, "warmup": 7}"#).warmup_steps, 7);
        assert_eq!(plan(r#"{"steps": 50, "warmup": 0.1}"#).warmup_steps, 5);
        assert_eq!(plan(r#"{"steps": 50, "warmup": 0.01}"#).warmup_steps, 1);
        let error = serde_json::from_str::<TrainConfig>(r#"{"warmup": "5%"}"#).unwrap_err();
        assert!(error.to_string().contains("number of steps"), "{error}");
    }

    #[test]
    fn an_epoch_counts_its_partial_step() {
        let config = TrainConfig {
            epochs: Some(3.0),
            batch_size: 4,
            ..TrainConfig::default()
        };
        assert_eq!(config.plan(9).steps_per_epoch, 3);
        assert_eq!(config.plan(9).total_steps, 9);
        assert_eq!(config.plan(8).total_steps, 6);
    }

    #[test]
    fn a_part_of_an_epoch_is_its_steps_rounded_up() {
        let steps = |epochs, trajectories| {
            let config = TrainConfig {
                epochs: Some(epochs),
                batch_size: 1,
                ..TrainConfig::default()
            };
            config.validate().unwrap();
            config.plan(trajectories).total_steps
        };
        assert_eq!(steps(0.5, 5), 3);
        assert_eq!(steps(0.5, 6), 3);
        assert_eq!(steps(1.5, 6), 9);
        assert_eq!(steps(0.1, 30), 3);
        assert_eq!(steps(1e-9, 5), 1);
        assert_eq!(steps(7.0, 1_000_003), 7_000_021);
    }

    #[test]
    fn whole_epochs_are_written_as_they_always_were() {
        let written = |text: &str| {
            let config: TrainConfig = serde_json::from_str(text).unwrap();
            serde_json::to_value(config).unwrap()["epochs"].to_string()
        };
        assert_eq!(written(r#"{"epochs": 3}"#), "3");
        assert_eq!(written(r#"{"epochs": 3.0}"#), "3");
        assert_eq!(written(r#"{"epochs": 1.5}"#), "1.5");
        assert_eq!(written("{}"), "null");
    }

    #[test]
    fn each_impossible_value_is_refused_by_its_key() {
        let cases = [
            (r#"{"epochs": 1, "steps": 1}"#, "steps"),
            (r#"{"epochs": 0}"#, "epochs"),
            (r#"{"epochs": -0.5}"#, "epochs"),
            (r#"{"batch_size": 0}"#, "batch_size"),
            (r#"{"micro_tokens": 0}"#, "micro_tokens"),
            (r#"{"learning_rate": 0.0}"#, "learning_rate"),
            (r#"{"warmup": 1.5}"#, "warmup"),
            (r#"{"final_ratio": -0.1}"#, "final_ratio"),
            (r#"{"beta1": 1.0}"#, "beta1"),
            (r#"{"beta2": -0.5}"#, "beta2"),
            (r#"{"eps": 0.0}"#, "eps"),
            (r#"{"weight_decay": -1.0}"#, "weight_decay"),
            (r#"{"max_grad_norm": -1.0}"#, "max_grad_norm"),
            (r#"{"keep_last": 0}"#, "keep_last"),
        ];
        for (text, expected) in cases {
            let config: TrainConfig = serde_json::from_str(text).unwrap();
            match config.validate().unwrap_err() {
                TrainError::Setting { key, .. } => assert_eq!(key, expected),
                other => panic!("{text}: {other}"),
            }
        }
    }
}
