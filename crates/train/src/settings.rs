//! The settings that decide a run's result, by dotted names, so that a resumed
//! run can be compared with the run it continues.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::{Plan, Shape, TrainConfig};

/// Adds every leaf of `value` under `prefix`: `train.batch_size` = `8`.
pub(crate) fn add(settings: &mut BTreeMap<String, String>, prefix: &str, value: &impl Serialize) {
    // What cannot be written as JSON has no leaves to compare.
    if let Ok(value) = serde_json::to_value(value) {
        add_value(settings, prefix, &value);
    }
}

fn add_value(settings: &mut BTreeMap<String, String>, key: &str, value: &Value) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                add_value(settings, &format!("{key}.{name}"), value);
            }
        }
        Value::Null => {}
        Value::String(text) => {
            settings.insert(key.to_owned(), text.clone());
        }
        other => {
            settings.insert(key.to_owned(), other.to_string());
        }
    }
}

/// Adds what of `config` decides the result. How often to validate and save,
/// and how to pack, may change between sessions; the length of the run may
/// where the learning rate does not depend on it.
pub(crate) fn add_config(
    settings: &mut BTreeMap<String, String>,
    config: &TrainConfig,
    plan: &Plan,
) {
    const FREE: [&str; 8] = [
        "epochs",
        "steps",
        "warmup",
        "micro_tokens",
        "validate_every",
        "checkpoint_every",
        "keep_last",
        "keep_best",
    ];
    add(settings, "train", config);
    for key in FREE {
        settings.remove(&format!("train.{key}"));
    }
    add(settings, "train.warmup_steps", &plan.warmup_steps);
    if config.schedule != Shape::Constant {
        add(settings, "train.total_steps", &plan.total_steps);
    }
}

/// One hash of all settings.
pub(crate) fn hash(settings: &BTreeMap<String, String>) -> String {
    let mut hasher = blake3::Hasher::new();
    for text in settings.iter().flat_map(|(key, value)| [key, value]) {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(config: &TrainConfig) -> BTreeMap<String, String> {
        let mut settings = BTreeMap::new();
        add_config(&mut settings, config, &config.plan(100));
        settings
    }

    #[test]
    fn what_decides_the_result_is_compared_and_the_rest_is_free() {
        let base = TrainConfig::default();
        let seed = TrainConfig {
            seed: 1,
            ..base.clone()
        };
        let longer = TrainConfig {
            epochs: Some(6.0),
            ..base.clone()
        };
        let packed = TrainConfig {
            micro_tokens: 9,
            keep_last: 7,
            ..base.clone()
        };
        assert_ne!(settings(&base), settings(&seed));
        assert_ne!(settings(&base), settings(&longer));
        assert_eq!(settings(&base), settings(&packed));
        assert_ne!(hash(&settings(&base)), hash(&settings(&seed)));
    }

    #[test]
    fn a_run_at_a_constant_rate_may_be_made_longer() {
        let base = TrainConfig {
            schedule: Shape::Constant,
            warmup: crate::Warmup::Steps(3),
            ..TrainConfig::default()
        };
        let longer = TrainConfig {
            epochs: Some(9.0),
            ..base.clone()
        };
        assert_eq!(settings(&base), settings(&longer));
    }
}
