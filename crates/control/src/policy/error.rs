//! What can go wrong with a policy and its files.

use std::io;
use std::path::{Path, PathBuf};

use iwsft_files::{Looks, SNIFFED};

/// An error about a policy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The configuration describes no network.
    #[error("no policy can be made of this: {reason}")]
    Config {
        /// What was found and what was expected.
        reason: String,
    },
    /// A file cannot be read or written.
    #[error("{}: cannot {action} ({source})", path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not what its name says.
    #[error(
        "{}: {reason}; expected the folder of a Gaussian policy, as `iwsft control train` writes it, \
         with config.json and model.safetensors", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl PolicyError {
    /// The error for a file of these bytes, which may be another file altogether.
    pub(super) fn damaged(path: &Path, bytes: &[u8], reason: String) -> Self {
        let looks = Looks::of(&bytes[..bytes.len().min(SNIFFED)]);
        Self::Damaged {
            path: path.to_owned(),
            reason: looks.map_or(reason, |looks| looks.to_string()),
        }
    }

    pub(super) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
