//! The folder `checkpoints/`: one folder a checkpoint, named by its step, each
//! either complete or absent.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use iwsft_engine::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::SourceError;
use crate::{Difference, TrainError};

const PREFIX: &str = "step-";
const RECORD: &str = "trainer.json";
const VERSION: u32 = 1;

/// How a kind of policy is stored for others to load.
pub trait PolicyFiles {
    /// Whether [`PolicyFiles::save`] keeps every bit of the f32 parameters. If
    /// it does not (a model stored in bf16), a checkpoint holds the f32
    /// parameters a second time, beside the optimizer's state.
    fn exact(&self) -> bool;

    /// Writes the policy into the existing, empty `folder`.
    ///
    /// # Errors
    /// Whatever went wrong; the folder is then removed.
    fn save(&self, folder: &Path, parameters: &Tensor) -> Result<(), SourceError>;

    /// Reads back what [`PolicyFiles::save`] wrote. Called only if it is exact.
    ///
    /// # Errors
    /// Whatever went wrong.
    fn load(&self, folder: &Path, parameters: &mut Tensor) -> Result<(), SourceError>;
}

/// `trainer.json`: where a run stood.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainerRecord {
    /// Version of this format.
    pub version: u32,
    /// Optimizer steps made.
    pub step: u64,
    /// Complete passes over the data.
    pub epoch: u64,
    /// Trajectories of the present pass that were trained on.
    pub position: u64,
    /// Tokens trained on, all passes together.
    pub tokens: u64,
    /// Tokens that the policy drew to train on, all rounds together.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub drawn: u64,
    /// Seconds of training, earlier sessions included.
    pub seconds: f64,
    /// Seed of the order of the data.
    pub seed: u64,
    /// Negative log-likelihood per step on the validation data, where the
    /// checkpoint was validated and the value is finite.
    pub validation_nll: Option<f64>,
    /// The lowest `validation_nll` of the run so far.
    pub best_validation_nll: Option<f64>,
    /// Hash of `settings`.
    pub settings_hash: String,
    /// Every setting that the result depends on, by its dotted name.
    pub settings: BTreeMap<String, String>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl TrainerRecord {
    /// The version that this program writes.
    pub const VERSION: u32 = VERSION;

    /// The settings in which `now` differs from this record's.
    pub fn differences(&self, now: &BTreeMap<String, String>) -> Vec<Difference> {
        let mut keys: Vec<_> = self.settings.keys().chain(now.keys()).collect();
        keys.sort();
        keys.dedup();
        let value = |map: &BTreeMap<String, String>, key| {
            map.get(key).map_or("absent".to_owned(), Clone::clone)
        };
        keys.into_iter()
            .map(|key| Difference {
                key: key.clone(),
                before: value(&self.settings, key),
                now: value(now, key),
            })
            .filter(|difference| difference.before != difference.now)
            .collect()
    }
}

/// A complete checkpoint.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Its folder.
    pub path: PathBuf,
    /// Where the run stood.
    pub record: TrainerRecord,
}

/// All checkpoints of a run.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    folder: PathBuf,
}

/// The newest checkpoint of the run in folder `run`.
///
/// # Errors
/// [`TrainError::Damaged`] if a record cannot be read.
pub fn latest(run: &Path) -> Result<Option<Checkpoint>, TrainError> {
    Checkpoints::of_run(run).latest()
}

/// The checkpoint of the run in folder `run` with the lowest validation
/// negative log-likelihood; `None` if none was validated.
///
/// # Errors
/// [`TrainError::Damaged`] if a record cannot be read.
pub fn best(run: &Path) -> Result<Option<Checkpoint>, TrainError> {
    Checkpoints::of_run(run).best()
}

impl Checkpoints {
    /// The checkpoints of the run in folder `run`.
    pub fn of_run(run: &Path) -> Self {
        Self {
            folder: run.join("checkpoints"),
        }
    }

    /// The folder that holds them.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All complete checkpoints, oldest first.
    ///
    /// # Errors
    /// [`TrainError::Damaged`] if a record cannot be read.
    pub fn list(&self) -> Result<Vec<Checkpoint>, TrainError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(TrainError::io("read", &self.folder)(error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(TrainError::io("read", &self.folder))?.path();
            let name = path.file_name().map(|name| name.to_string_lossy());
            if name.is_some_and(|name| name.starts_with(PREFIX)) {
                let record = read_record(&path.join(RECORD))?;
                found.push(Checkpoint { path, record });
            }
        }
        found.sort_by_key(|checkpoint| checkpoint.record.step);
        Ok(found)
    }

    /// The newest one.
    ///
    /// # Errors
    /// As [`Checkpoints::list`].
    pub fn latest(&self) -> Result<Option<Checkpoint>, TrainError> {
        Ok(self.list()?.pop())
    }

    /// The one with the lowest validation negative log-likelihood; the older
    /// one of two equals.
    ///
    /// # Errors
    /// As [`Checkpoints::list`].
    pub fn best(&self) -> Result<Option<Checkpoint>, TrainError> {
        let all = self.list()?;
        Ok(best_of(&all).cloned())
    }

    /// Writes a checkpoint: `content` fills a folder beside the final one,
    /// which is flushed to the disk and renamed once it is complete.
    ///
    /// # Errors
    /// [`TrainError::Save`]; nothing of the new checkpoint is left then, and
    /// the earlier ones are as they were.
    pub fn save(
        &self,
        record: &TrainerRecord,
        content: impl FnOnce(&Path) -> Result<(), SourceError>,
    ) -> Result<PathBuf, TrainError> {
        let name = format!("{PREFIX}{:08}", record.step);
        let path = self.folder.join(&name);
        let unfinished = self
            .folder
            .join(format!(".{name}{}", iwsft_files::UNFINISHED));
        let result = self.write(&unfinished, &path, record, content);
        result.map_err(|source| {
            // The error to report is the first one; a leftover goes with the
            // next start of the run.
            let _ = fs::remove_dir_all(&unfinished);
            let last_good = self.latest().ok().flatten().map(|last| last.path);
            TrainError::Save {
                path: path.clone(),
                last_good,
                source,
            }
        })?;
        Ok(path)
    }

    fn write(
        &self,
        unfinished: &Path,
        path: &Path,
        record: &TrainerRecord,
        content: impl FnOnce(&Path) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        fs::create_dir(unfinished)?;
        content(unfinished)?;
        let mut file = fs::File::create(unfinished.join(RECORD))?;
        serde_json::to_writer_pretty(&mut file, record)?;
        file.write_all(b"\n")?;
        drop(file);
        sync_all(unfinished)?;
        fs::rename(unfinished, path)?;
        iwsft_files::sync_folder(&self.folder)?;
        Ok(())
    }

    /// Removes all but the `keep_last` newest and, if `keep_best`, the best.
    ///
    /// # Errors
    /// [`TrainError::Io`] if one cannot be removed.
    pub fn prune(&self, keep_last: usize, keep_best: bool) -> Result<(), TrainError> {
        let all = self.list()?;
        let best = keep_best.then(|| best_of(&all)).flatten();
        let best = best.map(|checkpoint| checkpoint.record.step);
        for old in &all[..all.len().saturating_sub(keep_last)] {
            if Some(old.record.step) != best {
                self.remove(&old.path)?;
            }
        }
        Ok(())
    }

    /// Removes a checkpoint; killed in between, it is a leftover and not half
    /// a checkpoint.
    fn remove(&self, path: &Path) -> Result<(), TrainError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let leaving = self
            .folder
            .join(format!(".{name}{}", iwsft_files::UNFINISHED));
        fs::rename(path, &leaving).map_err(TrainError::io("remove", path))?;
        fs::remove_dir_all(&leaving).map_err(TrainError::io("remove", leaving))
    }
}

fn best_of(all: &[Checkpoint]) -> Option<&Checkpoint> {
    let nll = |checkpoint: &Checkpoint| checkpoint.record.validation_nll;
    let validated = all.iter().filter_map(|one| Some((nll(one)?, one)));
    validated
        .min_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, checkpoint)| checkpoint)
}

fn read_record(path: &Path) -> Result<TrainerRecord, TrainError> {
    let damaged = |reason| TrainError::Damaged {
        path: path.to_owned(),
        reason,
        remedy: "remove this checkpoint to resume from an earlier one",
    };
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let text = fs::read(path).map_err(|error| damaged(error.to_string()))?;
    let found: Versioned =
        serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    if found.version != VERSION {
        let found = found.version;
        return Err(damaged(format!(
            "it has version {found}, this program reads version {VERSION}"
        )));
    }
    serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))
}

/// Flushes every file of a folder, then the folder.
fn sync_all(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_all(&path)?;
        } else {
            // Windows flushes only files that are open for writing.
            let file = OpenOptions::new().read(true).write(true).open(path)?;
            file.sync_all()?;
        }
    }
    iwsft_files::sync_folder(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(step: u64, validation_nll: Option<f64>) -> TrainerRecord {
        TrainerRecord {
            version: VERSION,
            step,
            epoch: 0,
            position: step,
            tokens: 10 * step,
            drawn: 0,
            seconds: 0.5,
            seed: 1,
            validation_nll,
            best_validation_nll: validation_nll,
            settings_hash: String::new(),
            settings: BTreeMap::new(),
        }
    }

    fn checkpoints(folder: &Path) -> Checkpoints {
        let checkpoints = Checkpoints::of_run(folder);
        fs::create_dir(checkpoints.folder()).unwrap();
        checkpoints
    }

    fn steps(checkpoints: &Checkpoints) -> Vec<u64> {
        let list = checkpoints.list().unwrap();
        list.iter().map(|one| one.record.step).collect()
    }

    #[test]
    fn the_last_k_and_the_best_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = checkpoints(folder.path());
        let nll = [None, Some(3.0), Some(1.0), Some(2.0), None, Some(1.0), None];
        for (step, nll) in (1..).zip(nll) {
            checkpoints.save(&record(step, nll), |_| Ok(())).unwrap();
        }
        checkpoints.prune(2, true).unwrap();
        assert_eq!(steps(&checkpoints), [3, 6, 7]);
        assert_eq!(best(folder.path()).unwrap().unwrap().record.step, 3);
        assert_eq!(latest(folder.path()).unwrap().unwrap().record.step, 7);
        checkpoints.prune(1, false).unwrap();
        assert_eq!(steps(&checkpoints), [7]);
    }

    #[test]
    fn a_failed_save_leaves_the_earlier_checkpoints_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = checkpoints(folder.path());
        let kept = checkpoints
            .save(&record(1, None), |to| Ok(fs::write(to.join("model"), "1")?))
            .unwrap();
        let error = checkpoints
            .save(&record(2, None), |to| {
                fs::write(to.join("model"), "half")?;
                Err("no space left on device".into())
            })
            .unwrap_err()
            .to_string();
        assert!(error.contains("no space left"), "{error}");
        assert!(error.contains("step-00000001"), "{error}");
        let names: Vec<_> = fs::read_dir(checkpoints.folder()).unwrap().collect();
        assert_eq!(names.len(), 1);
        assert_eq!(fs::read_to_string(kept.join("model")).unwrap(), "1");
    }

    #[test]
    fn a_record_of_another_version_is_refused_with_both_versions() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = checkpoints(folder.path());
        let future = TrainerRecord {
            version: 99,
            ..record(1, None)
        };
        checkpoints.save(&future, |_| Ok(())).unwrap();
        let error = checkpoints.latest().unwrap_err().to_string();
        assert!(error.contains("99") && error.contains('1'), "{error}");
    }

    #[test]
    fn differing_settings_are_named_with_both_values() {
        let map = |pairs: &[(&str, &str)]| {
            let own = |(k, v): &(&str, &str)| (k.to_string(), v.to_string());
            pairs.iter().map(own).collect::<BTreeMap<_, _>>()
        };
        let mut before = record(1, None);
        before.settings = map(&[("seed", "1"), ("train.batch_size", "8")]);
        let now = map(&[("seed", "1"), ("train.batch_size", "4"), ("new", "x")]);
        let differences = before.differences(&now);
        let difference = |key: &str, before: &str, now: &str| Difference {
            key: key.into(),
            before: before.into(),
            now: now.into(),
        };
        assert_eq!(
            differences,
            [
                difference("new", "absent", "x"),
                difference("train.batch_size", "8", "4")
            ]
        );
    }
}
