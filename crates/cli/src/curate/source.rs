//! Files by name, rows and content.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// A file that was read or written.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) rows: usize,
    /// Of the bytes of the file.
    pub(crate) blake3: String,
}

impl Source {
    /// Hashes a file of so many rows.
    pub(crate) fn of(path: &Path, rows: usize) -> anyhow::Result<Self> {
        let mut hasher = blake3::Hasher::new();
        File::open(path)
            .and_then(|file| hasher.update_reader(file).map(|_| ()))
            .with_context(|| format!("{}: cannot be read again for its hash", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            rows,
            blake3: hasher.finalize().to_hex().to_string(),
        })
    }
}
