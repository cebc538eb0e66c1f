//! Reading files with errors that name them, and writing files that are never
//! seen half-written.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::error::LmError;

/// The [`LmError::Io`] for `path`.
pub(crate) fn io_error(
    path: &Path,
    action: &'static str,
) -> impl FnOnce(std::io::Error) -> LmError + use<> {
    let path = path.to_path_buf();
    move |source| LmError::Io {
        path,
        action,
        source,
    }
}

/// Reads a text file; `None` when there is none.
pub(crate) fn read_if_present(path: &Path) -> Result<Option<String>, LmError> {
    match fs::read_to_string(path) {
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

/// Creates or replaces `path` with what `fill` writes: beside it first, then
/// flushed to the disk and renamed. On an error `path` is as it was.
pub(crate) fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), LmError>,
) -> Result<(), LmError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".partial-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Readable like any other file (the umask applies), not only by the owner.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder
        .tempfile_in(folder)
        .map_err(io_error(path, "write"))?;
    let mut writer = BufWriter::with_capacity(1 << 20, file.as_file_mut());
    fill(&mut writer)?;
    writer.flush().map_err(io_error(path, "write"))?;
    drop(writer);
    file.as_file().sync_all().map_err(io_error(path, "write"))?;
    file.persist(path)
        .map_err(|error| io_error(path, "write")(error.error))?;
    sync_folder(folder)
}

/// Makes the renames inside `folder` survive a power failure.
fn sync_folder(folder: &Path) -> Result<(), LmError> {
    // Only Unix can open a folder as a file.
    if cfg!(unix) {
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(io_error(folder, "write"))?;
    }
    Ok(())
}
