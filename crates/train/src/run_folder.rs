//! The folder of one run: `metrics.jsonl`, `checkpoints/`, and whatever the
//! caller adds. Everything that could stop a run after hours is tried here
//! before its first step.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use iwsft_files::{FOLDER_LOCK as LOCK, Lock, LockError};

use crate::TrainError;
use crate::checkpoint::Checkpoints;

const CHECKPOINTS: &str = "checkpoints";
const METRICS: &str = "metrics.jsonl";

/// A run's folder, held for this process until dropped.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Held while the run goes on; the system frees it with the process.
    lock: Lock,
}

impl RunFolder {
    /// Takes `path` for a new run, creating it where it is missing.
    ///
    /// # Errors
    /// [`TrainError::FolderTaken`] if it is not empty,
    /// [`TrainError::FolderNotWritable`] if a file cannot be created in it,
    /// [`TrainError::FolderLocked`] if another process trains into it.
    pub fn create(path: &Path) -> Result<Self, TrainError> {
        fs::create_dir_all(path).map_err(not_writable(path))?;
        if let Some(found) = contents(path)? {
            let path = path.to_owned();
            return Err(TrainError::FolderTaken { path, found });
        }
        Self::take(path)
    }

    /// Takes the folder of a run that is to be resumed, and removes what a
    /// killed run left half-written.
    ///
    /// # Errors
    /// As [`RunFolder::create`], and [`TrainError::NoRun`] if there is no such
    /// folder.
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        if !path.is_dir() {
            let path = path.to_owned();
            return Err(TrainError::NoRun { path });
        }
        Self::take(path)
    }

    /// Takes back what [`RunFolder::create`] made at `path`, where no run began
    /// in it: whoever corrects their mistake can have the folder again. What
    /// others have put there stays.
    pub fn discard(path: &Path) {
        if path.join(METRICS).exists() {
            return;
        }
        // A folder is only removed when it is empty, and the error that made
        // the run impossible is the one to report.
        let _ = fs::remove_file(path.join(LOCK));
        let _ = fs::remove_dir(path.join(CHECKPOINTS));
        let _ = fs::remove_dir(path);
    }

    fn take(path: &Path) -> Result<Self, TrainError> {
        let lock = Lock::folder(path).map_err(|error| match error {
            LockError::Held { by, .. } => TrainError::FolderLocked {
                path: path.to_owned(),
                by,
            },
            LockError::Open { source, .. } => not_writable(path)(source),
        })?;
        let checkpoints = path.join(CHECKPOINTS);
        fs::create_dir_all(&checkpoints).map_err(not_writable(path))?;
        for folder in [path, &checkpoints] {
            remove_unfinished(folder)?;
            probe(folder).map_err(not_writable(path))?;
        }
        Ok(Self {
            path: path.to_owned(),
            lock,
        })
    }

    /// Whether the file system could lock it; see [`Lock`].
    pub fn is_locked(&self) -> bool {
        self.lock.is_held()
    }

    /// Refuses a disk with less than `needed` bytes free.
    ///
    /// # Errors
    /// [`TrainError::DiskSpace`] with both numbers.
    pub fn require_space(&self, needed: u64) -> Result<(), TrainError> {
        let free = fs4::available_space(&self.path)
            .map_err(TrainError::io("ask for the free space of", &self.path))?;
        if free < needed {
            let path = self.path.clone();
            return Err(TrainError::DiskSpace { path, needed, free });
        }
        Ok(())
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its checkpoints.
    pub fn checkpoints(&self) -> Checkpoints {
        Checkpoints::of_run(&self.path)
    }

    /// Its log.
    pub fn metrics(&self) -> PathBuf {
        self.path.join(METRICS)
    }
}

/// Creates, fills and removes a file: permissions, quota and a full disk show.
fn probe(folder: &Path) -> std::io::Result<()> {
    let mut file = tempfile::Builder::new()
        .prefix(".probe-")
        .suffix(iwsft_files::UNFINISHED)
        .tempfile_in(folder)?;
    file.write_all(&[0; 4096])?;
    file.as_file().sync_all()
}

/// What a folder that should be empty holds, in words.
fn contents(path: &Path) -> Result<Option<String>, TrainError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(TrainError::io("read", path))? {
        let entry = entry.map_err(TrainError::io("read", path))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // What an attempt leaves that was killed before its first step.
        let unused = name == LOCK
            || name.ends_with(iwsft_files::UNFINISHED)
            || (name == CHECKPOINTS && is_empty(&entry.path()));
        if !unused {
            names.push(name);
        }
    }
    names.sort();
    let found = if names
        .iter()
        .any(|name| name == CHECKPOINTS || name == METRICS)
    {
        Some("a run".to_owned())
    } else {
        names.first().map(|name| format!("`{name}`"))
    };
    Ok(found)
}

/// Whether a folder holds nothing, or nothing that was finished.
fn is_empty(folder: &Path) -> bool {
    let unfinished = |entry: std::io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| {
            let name = entry.file_name();
            name.to_string_lossy().ends_with(iwsft_files::UNFINISHED)
        })
    };
    fs::read_dir(folder).is_ok_and(|mut entries| entries.all(unfinished))
}

/// Removes the files and folders that a killed run was still writing.
fn remove_unfinished(folder: &Path) -> Result<(), TrainError> {
    for entry in fs::read_dir(folder).map_err(TrainError::io("read", folder))? {
        let entry = entry.map_err(TrainError::io("read", folder))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !(name.starts_with('.') && name.ends_with(iwsft_files::UNFINISHED)) {
            continue;
        }
        let path = entry.path();
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.map_err(TrainError::io("remove", &path))?;
    }
    Ok(())
}

fn not_writable(path: &Path) -> impl FnOnce(std::io::Error) -> TrainError {
    let path = path.to_owned();
    move |source| TrainError::FolderNotWritable { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_a_run_is_refused_and_an_empty_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/run");
        let run = RunFolder::create(&path).unwrap();
        fs::write(run.metrics(), "").unwrap();
        drop(run);
        let error = RunFolder::create(&path).unwrap_err();
        assert!(matches!(error, TrainError::FolderTaken { .. }), "{error}");
        assert!(error.to_string().contains("resume"), "{error}");

        let foreign = folder.path().join("foreign");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("thesis.tex"), "").unwrap();
        let error = RunFolder::create(&foreign).unwrap_err();
        assert!(error.to_string().contains("thesis.tex"), "{error}");

        let empty = folder.path().join("empty");
        fs::create_dir(&empty).unwrap();
        RunFolder::create(&empty).unwrap();
    }

    #[test]
    fn a_discarded_folder_is_gone_unless_a_run_began_or_others_use_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        drop(RunFolder::create(&path).unwrap());
        RunFolder::discard(&path);
        assert!(!path.exists());

        drop(RunFolder::create(&path).unwrap());
        fs::write(path.join("thesis.tex"), "").unwrap();
        RunFolder::discard(&path);
        assert!(path.join("thesis.tex").exists());
        fs::remove_file(path.join("thesis.tex")).unwrap();

        // What an attempt leaves that was killed early is no run.
        fs::create_dir(path.join(CHECKPOINTS)).unwrap();
        fs::write(path.join("checkpoints/.probe-1.tmp"), "").unwrap();
        let run = RunFolder::create(&path).unwrap();
        fs::write(run.metrics(), "").unwrap();
        drop(run);
        RunFolder::discard(&path);
        assert!(path.join(CHECKPOINTS).exists());
    }

    #[test]
    fn a_folder_that_is_not_there_cannot_be_resumed() {
        let folder = tempfile::tempdir().unwrap();
        let error = RunFolder::open(&folder.path().join("run")).unwrap_err();
        assert!(matches!(error, TrainError::NoRun { .. }), "{error}");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        // A file where a folder is needed stops every user, root included.
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = RunFolder::create(&file.join("run")).unwrap_err();
        assert!(
            matches!(error, TrainError::FolderNotWritable { .. }),
            "{error}"
        );
    }

    #[test]
    fn two_processes_cannot_train_into_one_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let held = RunFolder::create(&path).unwrap();
        let error = RunFolder::open(&path).unwrap_err();
        assert!(matches!(error, TrainError::FolderLocked { .. }), "{error}");
        drop(held);
        RunFolder::open(&path).unwrap();
    }

    #[test]
    #[cfg(unix)]
    fn a_lock_that_is_a_link_is_refused_and_what_it_points_to_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (path, precious) = (folder.path().join("run"), folder.path().join("precious"));
        fs::create_dir(&path).unwrap();
        fs::write(&precious, "all of it").unwrap();
        std::os::unix::fs::symlink(&precious, path.join(LOCK)).unwrap();
        for taken in [RunFolder::create(&path), RunFolder::open(&path)] {
            let error = taken.unwrap_err().to_string();
            assert!(error.contains("a link"), "{error}");
        }
        assert_eq!(fs::read_to_string(&precious).unwrap(), "all of it");
    }

    #[test]
    fn opening_removes_half_written_files_and_keeps_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        drop(RunFolder::create(&path).unwrap());
        let checkpoints = path.join(CHECKPOINTS);
        fs::create_dir(checkpoints.join(".step-00000007.tmp")).unwrap();
        fs::write(checkpoints.join(".step-00000007.tmp/x"), "x").unwrap();
        fs::write(path.join(".abc.tmp"), "x").unwrap();
        fs::write(path.join("recipe.toml"), "x").unwrap();
        RunFolder::open(&path).unwrap();
        assert!(!checkpoints.join(".step-00000007.tmp").exists());
        assert!(!path.join(".abc.tmp").exists());
        assert!(path.join("recipe.toml").exists());
    }

    #[test]
    fn more_space_than_the_disk_has_is_refused_with_both_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::create(&folder.path().join("run")).unwrap();
        run.require_space(1).unwrap();
        let error = run.require_space(u64::MAX).unwrap_err().to_string();
        assert!(error.contains(&u64::MAX.to_string()), "{error}");
    }
}
