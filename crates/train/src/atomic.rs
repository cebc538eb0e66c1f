//! Files that are either there in full or not there at all.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::path::Path;

use crate::TrainError;

/// Suffix of files and folders that are still being written. A killed run
/// leaves them behind; the next one removes them.
pub(crate) const UNFINISHED: &str = ".tmp";

/// Writes `path` through a file beside it, which is flushed to the disk and
/// then renamed: whoever looks sees the old content or the new, never a part.
///
/// # Errors
/// [`TrainError::Io`] if it cannot be written; `path` is then as it was.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<(), TrainError> {
    try_write(path, content).map_err(TrainError::io("write", path))
}

fn try_write(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".").suffix(UNFINISHED);
    // A temporary file is private by default; this one is to become a normal
    // file, as the umask has it.
    if let Some(permissions) = normal_permissions() {
        builder.permissions(permissions);
    }
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// Makes renames and new names inside `folder` survive a power cut.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    // Only Unix can flush a directory.
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(unix)]
fn normal_permissions() -> Option<Permissions> {
    use std::os::unix::fs::PermissionsExt;
    Some(Permissions::from_mode(0o666))
}

#[cfg(not(unix))]
fn normal_permissions() -> Option<Permissions> {
    None
}
