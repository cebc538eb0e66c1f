//! A run's folder, begun or gone on with, by one process at a time.

use std::fs;
use std::path::Path;

use iwsft_files::{FOLDER_LOCK, Journal, Lock};
use iwsft_train::RunFolder;

use crate::progress::say;

/// Keeps the folder of a run for this process until dropped.
///
/// # Errors
/// If another process has it, which is named where the system tells.
pub(crate) fn hold(folder: &Path) -> anyhow::Result<Lock> {
    let lock = Lock::folder(folder)?;
    warn_unlocked(lock.is_held(), folder);
    Ok(lock)
}

/// Says so where the file system has no locks: nothing then keeps a second process
/// away.
fn warn_unlocked(is_held: bool, path: &Path) {
    if !is_held {
        say(&format!(
            "{}: this file system has no locks; see to it that no other process works there",
            path.display()
        ));
    }
}

/// The same for the output that a journal belongs to.
pub(crate) fn warn_of_journal(journal: &Journal, output: &Path) {
    warn_unlocked(journal.is_locked(), output);
}

/// Whether a folder holds anything beside the file that locks it.
pub(crate) fn holds_something(folder: &Path) -> std::io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        if entry?.file_name() != FOLDER_LOCK {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Trains into the folder `run`: a new one, or the one to resume. A new one goes again
/// where training failed.
pub(crate) fn in_folder<T>(
    run: &Path,
    resume: bool,
    train: impl FnOnce(RunFolder) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    // Before anything slow: a run that cannot be written is not worth starting.
    let folder = match resume {
        true => RunFolder::open(run)?,
        false => RunFolder::create(run)?,
    };
    warn_unlocked(folder.is_locked(), run);
    let result = train(folder);
    if result.is_err() && !resume {
        RunFolder::discard(run);
    }
    result
}
