//! Reading files with errors that name them, and writing files that are never
//! seen half-written.

use std::io::Write;
use std::path::Path;

use iwsft_files::{AtomicFile, Looks, read_text};
use serde::de::DeserializeOwned;

use crate::error::LmError;

/// The [`LmError::Io`] for `path`, or [`LmError::Disguised`].
pub(crate) fn io_error(
    path: &Path,
    action: &'static str,
) -> impl FnOnce(std::io::Error) -> LmError + use<> {
    let path = path.to_path_buf();
    move |source| match source
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Looks>())
    {
        Some(&looks) => LmError::Disguised { path, looks },
        None => LmError::Io {
            path,
            action,
            source,
        },
    }
}

/// Reads a text file; `None` when there is none.
pub(crate) fn read_if_present(path: &Path) -> Result<Option<String>, LmError> {
    match read_text(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(io_error(path, "read")(source)),
    }
}

/// Parses a JSON text that was read from `path`.
pub(crate) fn parse_json<T: DeserializeOwned>(text: &str, path: &Path) -> Result<T, LmError> {
    serde_json::from_str(text).map_err(|source| LmError::Json {
        path: path.to_path_buf(),
        source,
    })
}

/// Reads a JSON file; `None` when there is none.
pub(crate) fn json_if_present<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, LmError> {
    read_if_present(path)?
        .map(|text| parse_json(&text, path))
        .transpose()
}

/// Creates or replaces `path` with what `fill` writes: see [`AtomicFile`]. On an
/// error `path` is as it was.
pub(crate) fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), LmError>,
) -> Result<(), LmError> {
    let mut file = AtomicFile::create(path).map_err(io_error(path, "write"))?;
    fill(&mut file)?;
    file.commit().map_err(io_error(path, "write"))
}
