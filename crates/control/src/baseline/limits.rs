//! What the numbers of a baseline's settings may be.

use serde_json::Value;

use super::Baseline;

/// A setting that no algorithm can work with.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("`baseline.{key}` is {found}; expected {expected}")]
pub struct SettingError {
    /// The key in the recipe.
    pub key: String,
    /// Its value.
    pub found: String,
    /// What it may be.
    pub expected: &'static str,
}

/// Transitions of a step beyond which a recipe has a digit too many.
const LARGEST_BATCH: f64 = 1_048_576.0;

impl Baseline {
    /// Checks every number of the settings; the hidden widths are checked where the
    /// networks are made.
    ///
    /// # Errors
    /// [`SettingError`] for the first that makes no sense.
    pub fn validate(&self) -> Result<(), SettingError> {
        let Ok(Value::Object(settings)) = serde_json::to_value(self) else {
            return Ok(());
        };
        for (key, value) in &settings {
            // A number that is not finite has no JSON and is null.
            let found = match value {
                Value::Number(number) => number.as_f64().unwrap_or(f64::NAN),
                Value::Null => f64::NAN,
                _ => continue,
            };
            let (is_allowed, expected) = allowed(key, found);
            if !is_allowed {
                return Err(SettingError {
                    key: key.clone(),
                    found: match value {
                        Value::Null => "not a finite number".to_owned(),
                        value => value.to_string(),
                    },
                    expected,
                });
            }
        }
        Ok(())
    }
}

/// Whether the setting `key` may be `x`, and what it may be.
fn allowed(key: &str, x: f64) -> (bool, &'static str) {
    match key {
        "batch_size" => ((1.0..=LARGEST_BATCH).contains(&x), "1 to 1048576"),
        "steps" | "policy_every" | "actions" => (x >= 1.0, "1 or more"),
        "discount" => ((0.0..=1.0).contains(&x), "0 to 1"),
        "tau" => (x > 0.0 && x <= 1.0, "above 0, at most 1"),
        "expectile" => (x > 0.0 && x < 1.0, "above 0 and below 1"),
        "largest_weight" | "lambda" => (x > 0.0, "above 0"),
        _ if key.ends_with("learning_rate") => (x > 0.0, "above 0"),
        _ => (x >= 0.0, "0 or more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A baseline of each algorithm with one setting changed.
    fn changed(key: &str, value: &Value) -> Vec<Baseline> {
        let algorithms = ["td3-bc", "iql", "awac", "cql", "rebrac"];
        let all = algorithms.iter().filter_map(|name| {
            let defaults: Baseline =
                serde_json::from_value(serde_json::json!({"algorithm": name})).unwrap();
            defaults.validate().unwrap();
            let mut settings = serde_json::to_value(defaults).unwrap();
            *settings.get_mut(key)? = value.clone();
            Some(serde_json::from_value(settings).unwrap())
        });
        all.collect()
    }

    #[test]
    fn a_setting_that_makes_no_sense_is_named_with_what_it_may_be() {
        for (key, value) in [
            ("batch_size", 0.into()),
            ("batch_size", 4_000_000_000_u64.into()),
            ("steps", 0.into()),
            ("discount", 1.5.into()),
            ("tau", 0.0.into()),
            ("expectile", 1.0.into()),
            ("lambda", 0.0.into()),
            ("learning_rate", (-1e-3).into()),
            ("policy_noise", (-0.1).into()),
        ] {
            let baselines = changed(key, &value);
            assert!(!baselines.is_empty(), "{key}");
            for baseline in baselines {
                let error = baseline.validate().unwrap_err();
                assert_eq!(error.key, key);
                assert!(error.to_string().contains("expected"), "{error}");
            }
        }
    }
}
