//! Whole files, with the training loop's errors.

use std::path::Path;

use crate::TrainError;

/// Writes `path` so that whoever looks sees the old content or the new, never a
/// part: see [`iwsft_files::write_atomically`].
///
/// # Errors
/// [`TrainError::Io`] if it cannot be written; `path` is then as it was.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<(), TrainError> {
    iwsft_files::write_atomically(path, content).map_err(TrainError::io("write", path))
}
