//! One process at a time: locks of folders and outputs.
//!
//! A lock is the operating system's, on a file: it goes with the process that
//! holds it, however that ends. Where the file system has no locks, work goes on
//! without, and [`Lock::is_held`] says so: to refuse would be to refuse all work
//! there, and files made to stand for locks outlive the processes that made them.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The file that is locked for a whole folder.
pub const FOLDER_LOCK: &str = ".lock";

/// A file that this process has for itself until the lock is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
    held: bool,
}

/// Why a lock cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error(
        "{}: another process is at work here{}; wait for it, or choose another place",
        path.display(),
        by.as_ref().map_or(String::new(), |by| format!(" ({by})"))
    )]
    Held {
        /// The file.
        path: PathBuf,
        /// The process, where the system tells.
        by: Option<String>,
    },
    /// The file cannot be used.
    #[error("{}: cannot open the file to lock: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl Lock {
    /// Locks a folder, by its file [`FOLDER_LOCK`].
    ///
    /// # Errors
    /// As [`Lock::take`].
    pub fn folder(folder: &Path) -> Result<Self, LockError> {
        Self::take(&folder.join(FOLDER_LOCK))
    }

    /// Locks a file, made where it is missing. Nothing is written to it, and a
    /// link is not followed.
    ///
    /// # Errors
    /// [`LockError`], if another process has it, or there is no regular file to be
    /// had of that name.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        loop {
            let file = open(path).map_err(|source| LockError::Open {
                path: path.to_owned(),
                source,
            })?;
            let held = match file.try_lock() {
                Ok(()) => true,
                Err(TryLockError::WouldBlock) => {
                    return Err(LockError::Held {
                        by: holder_of(&file),
                        path: path.to_owned(),
                    });
                }
                Err(TryLockError::Error(_)) => false,
            };
            // Whoever had it before may have removed it in the meantime.
            if is_at(&file, path) {
                return Ok(Self { file, held });
            }
        }
    }

    /// Whether the file system has locks.
    pub fn is_held(&self) -> bool {
        self.held
    }

    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }
}

/// Opens a regular file to read and write, as it is.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK);
    }
    let is_link = std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    let no_file = |what| io::Error::new(io::ErrorKind::InvalidInput, format!("it is {what}"));
    if is_link {
        return Err(no_file("a link, which is not followed; remove it"));
    }
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(no_file("no regular file; remove it"));
    }
    Ok(file)
}

/// Whether `file` is what is found at `path` now.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let place = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    let (own, found) = (file.metadata().map(place), path.metadata().map(place));
    own.is_ok_and(|own| found.is_ok_and(|found| own == found))
}

/// Elsewhere a file that is open is not removed.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

/// The process that has a lock on the file, where the system tells: its number and
/// command.
#[cfg(target_os = "linux")]
fn holder_of(file: &File) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let inode = file.metadata().ok()?.ino();
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let of_file = |line: &str| -> Option<u32> {
        // 1: FLOCK  ADVISORY  WRITE 27997 fe:00:6832231 0 EOF
        let words: Vec<&str> = line.split_whitespace().collect();
        let found = words.get(5)?.rsplit(':').next()?.parse::<u64>().ok()?;
        (words.get(1) == Some(&"FLOCK") && found == inode).then(|| words.get(4)?.parse().ok())?
    };
    let mut found: Vec<u32> = locks.lines().filter_map(of_file).collect();
    found.dedup();
    // Files of several file systems may share a number.
    let [process] = found[..] else { return None };
    let command = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    let words: Vec<String> = command
        .split(|byte| *byte == 0)
        .map(|word| String::from_utf8_lossy(word).escape_debug().to_string())
        .collect();
    let command: String = words.join(" ").trim_end().chars().take(SHOWN).collect();
    Some(match command.is_empty() {
        true => format!("process {process}"),
        false => format!("process {process}: {command}"),
    })
}

/// Characters of a command that are shown.
#[cfg(target_os = "linux")]
const SHOWN: usize = 100;

#[cfg(not(target_os = "linux"))]
fn holder_of(_: &File) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_the_other_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let lock = Lock::folder(folder.path()).unwrap();
        let error = Lock::folder(folder.path()).unwrap_err();
        assert!(matches!(error, LockError::Held { .. }), "{error}");
        if let LockError::Held { by: Some(by), .. } = &error {
            let own = format!("process {}", std::process::id());
            assert!(by.starts_with(&own), "{by}");
        }
        drop(lock);
        assert!(Lock::folder(folder.path()).unwrap().is_held());
    }

    #[test]
    fn what_is_in_the_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FOLDER_LOCK);
        std::fs::write(&path, "precious").unwrap();
        drop(Lock::folder(folder.path()).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    #[cfg(unix)]
    fn a_link_is_refused_and_what_it_points_to_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (precious, new) = (folder.path().join("precious"), folder.path().join("new"));
        std::fs::write(&precious, "all of it").unwrap();
        let path = folder.path().join(FOLDER_LOCK);
        for target in [&precious, &new] {
            std::os::unix::fs::symlink(target, &path).unwrap();
            let error = Lock::folder(folder.path()).unwrap_err().to_string();
            assert!(error.contains("a link"), "{error}");
            std::fs::remove_file(&path).unwrap();
        }
        assert_eq!(std::fs::read(&precious).unwrap(), b"all of it");
        assert!(!new.exists());
        std::fs::create_dir(&path).unwrap();
        assert!(Lock::folder(folder.path()).is_err());
    }
}
