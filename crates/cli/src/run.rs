//! A run's folder, begun or gone on with.

use std::path::Path;

use iwsft_train::RunFolder;

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
    let result = train(folder);
    if result.is_err() && !resume {
        RunFolder::discard(run);
    }
    result
}
