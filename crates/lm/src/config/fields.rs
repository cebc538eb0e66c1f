//! A JSON object of which every field must be asked for.

use std::collections::HashSet;
use std::path::Path;

use serde_json::{Map, Value};

use super::harmless::is_harmless;
use crate::error::LmError;

/// Reads typed fields and remembers which ones were read, so that the rest can
/// be reported as unknown.
pub(super) struct Fields<'a> {
    path: &'a Path,
    /// Key of this object within the file, with a dot behind it, or nothing.
    prefix: &'static str,
    map: &'a Map<String, Value>,
    seen: HashSet<&'static str>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(path: &'a Path, prefix: &'static str, map: &'a Map<String, Value>) -> Self {
        Self {
            path,
            prefix,
            map,
            seen: HashSet::new(),
        }
    }

    /// The field's value; a field that is null counts as absent.
    pub(super) fn value(&mut self, key: &'static str) -> Option<&'a Value> {
        self.seen.insert(key);
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// Whether the file names the field at all, as null or as anything else.
    pub(super) fn names(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// The error for a field whose value is not supported.
    pub(super) fn refuse(&self, key: &str, expected: impl Into<String>) -> LmError {
        LmError::ConfigValue {
            path: self.path.to_path_buf(),
            key: format!("{}{key}", self.prefix),
            found: self
                .map
                .get(key)
                .map_or_else(|| "absent".into(), Value::to_string),
            expected: expected.into(),
        }
    }

    pub(super) fn missing(&self, key: &str, expected: &str) -> LmError {
        LmError::ConfigMissing {
            path: self.path.to_path_buf(),
            key: format!("{}{key}", self.prefix),
            expected: expected.into(),
        }
    }

    /// A whole number above zero.
    pub(super) fn size(&mut self, key: &'static str) -> Result<Option<usize>, LmError> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        match value.as_u64().and_then(|size| usize::try_from(size).ok()) {
            // A bound far above any real model keeps products within usize.
            Some(size) if (1..=1 << 31).contains(&size) => Ok(Some(size)),
            _ => Err(self.refuse(key, "it must be a whole number from 1 to 2147483648")),
        }
    }

    pub(super) fn required_size(&mut self, key: &'static str) -> Result<usize, LmError> {
        self.size(key)?
            .ok_or_else(|| self.missing(key, "a whole number above 0"))
    }

    /// A finite number above zero.
    pub(super) fn positive(&mut self, key: &'static str) -> Result<Option<f64>, LmError> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        match value.as_f64() {
            Some(number) if number > 0.0 && number.is_finite() => Ok(Some(number)),
            _ => Err(self.refuse(key, "it must be a number above 0")),
        }
    }

    pub(super) fn required_positive(&mut self, key: &'static str) -> Result<f64, LmError> {
        self.positive(key)?
            .ok_or_else(|| self.missing(key, "a number above 0"))
    }

    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> Result<bool, LmError> {
        match self.value(key) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.refuse(key, "it must be true or false")),
        }
    }

    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<&'a str>, LmError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.refuse(key, "it must be a string")),
        }
    }

    pub(super) fn token(&mut self, key: &'static str) -> Result<Option<u32>, LmError> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        token_id(value)
            .map(Some)
            .ok_or_else(|| self.refuse(key, "it must be a token id"))
    }

    /// One token id or a list of them.
    pub(super) fn tokens(&mut self, key: &'static str) -> Result<Vec<u32>, LmError> {
        let ids = match self.value(key) {
            None => return Ok(Vec::new()),
            Some(Value::Array(values)) => values.iter().map(token_id).collect(),
            Some(value) => token_id(value).map(|id| vec![id]),
        };
        ids.ok_or_else(|| self.refuse(key, "it must be a token id or a list of token ids"))
    }

    /// Requires the field to be absent, null or equal to one of `allowed`.
    pub(super) fn only(
        &mut self,
        key: &'static str,
        allowed: &[Value],
        expected: &str,
    ) -> Result<(), LmError> {
        match self.value(key) {
            Some(value) if !allowed.iter().any(|option| same(option, value)) => {
                Err(self.refuse(key, expected))
            }
            _ => Ok(()),
        }
    }

    /// Fails on the first field that nobody asked for, that has a value, and that
    /// is not harmless.
    pub(super) fn finish(self, family: &'static str) -> Result<(), LmError> {
        let unknown = self.map.iter().find(|(key, value)| {
            !self.seen.contains(key.as_str()) && !value.is_null() && !is_harmless(key)
        });
        match unknown {
            None => Ok(()),
            Some((key, value)) => Err(LmError::ConfigUnknown {
                path: self.path.to_path_buf(),
                key: format!("{}{key}", self.prefix),
                found: value.to_string(),
                family,
            }),
        }
    }
}

/// Equality in which 0 and 0.0 are the same number.
fn same(left: &Value, right: &Value) -> bool {
    match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => left == right,
        _ => left == right,
    }
}

fn token_id(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|id| u32::try_from(id).ok())
}
