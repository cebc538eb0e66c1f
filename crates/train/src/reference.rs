//! The cache of reference log-probabilities: computed once, kept in one file,
//! and refused once anything that they depend on has changed.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::{LogProbs, TrainError, atomic};

const VALUES: &str = "log_probs";
const STEPS: &str = "steps";
const FORMAT: &str = "iwsft reference log-probabilities 1";
const REMEDY: &str = "delete the file or score again";

/// What reference log-probabilities depend on: a hash of each part, in
/// hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceKey {
    /// The reference policy: its configuration and parameters.
    pub model: String,
    /// The tokenizer.
    pub tokenizer: String,
    /// The chat template.
    pub template: String,
    /// The data, with everything that decides which tokens are trained on.
    pub data: String,
}

impl ReferenceKey {
    fn parts(&self) -> [(&'static str, &String); 4] {
        [
            ("model", &self.model),
            ("tokenizer", &self.tokenizer),
            ("template", &self.template),
            ("data", &self.data),
        ]
    }

    /// A name for the cache file that no other key has.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for (part, hash) in self.parts() {
            hasher.update(part.as_bytes());
            hasher.update(&(hash.len() as u64).to_le_bytes());
            hasher.update(hash.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}

impl LogProbs {
    /// Writes a reference cache to `path`, in one safetensors file with the
    /// tensors `log_probs` `[s]` (f32) and `steps` `[trajectories]` (u64).
    ///
    /// # Errors
    /// [`TrainError::Io`] if the file cannot be written.
    pub fn save(&self, path: &Path, key: &ReferenceKey) -> Result<(), TrainError> {
        let mut metadata = HashMap::from([("format".to_owned(), FORMAT.to_owned())]);
        for (part, hash) in key.parts() {
            metadata.insert(part.to_owned(), hash.clone());
        }
        let values: Vec<u8> = self.values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let counts = self
            .starts
            .windows(2)
            .map(|pair| (pair[1] - pair[0]) as u64);
        let counts: Vec<u8> = counts.flat_map(u64::to_le_bytes).collect();
        let tensors = [
            (VALUES, Dtype::F32, self.values.len(), &values),
            (STEPS, Dtype::U64, self.len(), &counts),
        ];
        let fail = |error| TrainError::io("write", path)(io::Error::other(error));
        let mut views = Vec::new();
        for (name, dtype, len, bytes) in tensors {
            let view = TensorView::new(dtype, vec![len], bytes).map_err(fail)?;
            views.push((name, view));
        }
        let bytes = safetensors::serialize(views, Some(metadata)).map_err(fail)?;
        atomic::write_atomically(path, &bytes)
    }

    /// Reads the reference cache at `path`; `None` where there is no file.
    ///
    /// # Errors
    /// [`TrainError::StaleReference`] naming the part of `key` that the cache
    /// does not match; [`TrainError::Damaged`] if it is not such a file.
    pub fn load(path: &Path, key: &ReferenceKey) -> Result<Option<Self>, TrainError> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(TrainError::io("read", path)(error)),
        };
        let damaged = |reason: String| TrainError::Damaged {
            path: path.to_owned(),
            reason,
            remedy: REMEDY,
        };
        let broken = |error: safetensors::SafeTensorError| damaged(error.to_string());
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(broken)?;
        let no_metadata = HashMap::new();
        let metadata = header.metadata().as_ref().unwrap_or(&no_metadata);
        if metadata.get("format").is_none_or(|found| found != FORMAT) {
            let found = metadata.get("format");
            return Err(damaged(format!(
                "its format is {found:?}, expected {FORMAT:?}"
            )));
        }
        for (part, expected) in key.parts() {
            let found = metadata.get(part).cloned().unwrap_or_default();
            if found != *expected {
                return Err(TrainError::StaleReference {
                    path: path.to_owned(),
                    part,
                    found,
                    expected: expected.clone(),
                });
            }
        }

        let file = SafeTensors::deserialize(&bytes).map_err(broken)?;
        let tensor = |name, dtype| {
            let view = file.tensor(name).map_err(broken)?;
            if view.dtype() != dtype {
                let found = view.dtype();
                return Err(damaged(format!("`{name}` is {found:?}, not {dtype:?}")));
            }
            Ok(view.data())
        };
        let (words, _) = tensor(VALUES, Dtype::F32)?.as_chunks();
        let values: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
        let (words, _) = tensor(STEPS, Dtype::U64)?.as_chunks();
        let mut starts = vec![0_usize];
        let mut end = 0_usize;
        for word in words {
            // A sum beyond all values is refused below, whatever it wraps to.
            end = end.saturating_add(u64::from_le_bytes(*word) as usize);
            starts.push(end);
        }
        if end != values.len() {
            return Err(damaged(format!(
                "it counts {end} steps and has {} values",
                values.len()
            )));
        }
        Ok(Some(Self { starts, values }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ReferenceKey {
        ReferenceKey {
            model: "m1".into(),
            tokenizer: "t1".into(),
            template: "c1".into(),
            data: "d1".into(),
        }
    }

    fn scores() -> LogProbs {
        LogProbs {
            starts: vec![0, 2, 2, 5],
            values: vec![-0.1, -0.2, -3.0, -4.0, -1e-20],
        }
    }

    #[test]
    fn a_cache_survives_a_round_trip_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reference.safetensors");
        assert!(LogProbs::load(&path, &key()).unwrap().is_none());
        scores().save(&path, &key()).unwrap();
        assert_eq!(LogProbs::load(&path, &key()).unwrap(), Some(scores()));
    }

    #[test]
    fn a_stale_cache_is_refused_naming_the_part_that_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reference.safetensors");
        scores().save(&path, &key()).unwrap();
        let other = || "other".to_owned();
        let changed = [
            (
                "model",
                ReferenceKey {
                    model: other(),
                    ..key()
                },
            ),
            (
                "tokenizer",
                ReferenceKey {
                    tokenizer: other(),
                    ..key()
                },
            ),
            (
                "template",
                ReferenceKey {
                    template: other(),
                    ..key()
                },
            ),
            (
                "data",
                ReferenceKey {
                    data: other(),
                    ..key()
                },
            ),
        ];
        for (expected, key) in changed {
            let error = LogProbs::load(&path, &key).unwrap_err();
            assert!(error.to_string().contains("score again"), "{error}");
            match error {
                TrainError::StaleReference { part, .. } => assert_eq!(part, expected),
                other => panic!("{other}"),
            }
        }
    }

    #[test]
    fn a_cut_cache_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reference.safetensors");
        scores().save(&path, &key()).unwrap();
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let error = LogProbs::load(&path, &key()).unwrap_err();
            assert!(matches!(error, TrainError::Damaged { .. }), "{error}");
        }
    }

    #[test]
    fn keys_that_differ_in_any_part_have_other_digests() {
        let moved = ReferenceKey {
            model: "m1t".into(),
            tokenizer: "1".into(),
            ..key()
        };
        assert_ne!(key().digest(), moved.digest());
    }
}
