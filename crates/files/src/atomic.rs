//! Files that are either there in full or not there at all.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Suffix of files and folders that are still being written. A killed program
/// leaves them behind.
pub const UNFINISHED: &str = ".tmp";

/// A file that takes the place of `path` once it is complete: it is written
/// beside it, flushed to the disk, and renamed. Whoever looks sees the old
/// content or the new, never a part. Dropped without [`Self::commit`], it is
/// removed and `path` stays as it was.
///
/// A link is followed, and what it points to is replaced. The new file has the
/// mode and, as far as the system allows, the owner of the old one. What is no
/// regular file (`/dev/null`, a pipe) cannot be replaced and is written through.
#[derive(Debug)]
pub struct AtomicFile {
    writer: BufWriter<Destination>,
}

#[derive(Debug)]
enum Destination {
    /// To be renamed to `path`.
    Beside { file: NamedTempFile, path: PathBuf },
    /// A device or a pipe.
    Through(File),
}

impl AtomicFile {
    /// Begins the new content of `path`, whose folder must exist.
    ///
    /// # Errors
    /// When `path` is a folder, or nothing can be written beside it.
    pub fn create(path: &Path) -> io::Result<Self> {
        let path = behind_links(path)?;
        let old = match std::fs::metadata(&path) {
            Ok(old) if old.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(old) if !old.is_file() => {
                let through = OpenOptions::new().write(true).open(&path)?;
                return Ok(Self::to(Destination::Through(through)));
            }
            Ok(old) => Some(old),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".").suffix(UNFINISHED);
        // A temporary file is private by default; this one is to become a normal
        // file, as the umask has it.
        if let Some(permissions) = normal_permissions() {
            builder.permissions(permissions);
        }
        let file = builder.tempfile_in(folder_of(&path))?;
        if let Some(old) = old {
            keep_owner_and_mode(file.as_file(), &old)?;
        }
        Ok(Self::to(Destination::Beside { file, path }))
    }

    fn to(destination: Destination) -> Self {
        Self {
            writer: BufWriter::with_capacity(1 << 20, destination),
        }
    }

    /// Puts the content in place.
    ///
    /// # Errors
    /// When it cannot be written to the end; `path` is then as it was.
    pub fn commit(self) -> io::Result<()> {
        let destination = self
            .writer
            .into_inner()
            .map_err(|error| error.into_error())?;
        match destination {
            Destination::Through(_) => Ok(()),
            Destination::Beside { file, path } => {
                file.as_file().sync_all()?;
                file.persist(&path).map_err(|error| error.error)?;
                sync_folder(folder_of(&path))
            }
        }
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Beside { file, .. } => file.write(bytes),
            Self::Through(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Beside { file, .. } => file.flush(),
            Self::Through(file) => file.flush(),
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Writes all of `path` at once, as [`AtomicFile`] does.
///
/// # Errors
/// When it cannot be written; `path` is then as it was.
pub fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(content)?;
    file.commit()
}

/// Makes renames and new names inside `folder` survive a power cut.
///
/// # Errors
/// When the folder cannot be opened or flushed.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    // Only Unix can flush a directory.
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Links that a path may lead through; a circle of them ends here.
const MOST_LINKS: usize = 40;

/// The path that `path` stands for, which need not exist.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match std::fs::read_link(&path) {
            Ok(target) => path = folder_of(&path).join(target),
            // What is there is no link, or nothing is.
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many links, or links in a circle"))
}

#[cfg(unix)]
fn keep_owner_and_mode(file: &File, old: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let new = file.metadata()?;
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
        // Only root may give a file away; a group of one's own is kept all the same.
        let _ = fchown(file, Some(old.uid()), Some(old.gid()))
            .or_else(|_| fchown(file, None, Some(old.gid())));
    }
    file.set_permissions(Permissions::from_mode(old.permissions().mode() & 0o777))
}

#[cfg(not(unix))]
fn keep_owner_and_mode(file: &File, old: &Metadata) -> io::Result<()> {
    file.set_permissions(old.permissions())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_committed_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.jsonl");
        write_atomically(&path, b"old").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        file.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(write_atomically(&folder.path().join("no/file"), b"x").is_err());
    }

    #[test]
    #[cfg(unix)]
    fn a_link_stays_and_what_it_points_to_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        let dangling = folder.path().join("dangling");
        std::fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink("real", &link).unwrap();
        std::os::unix::fs::symlink("later", &dangling).unwrap();
        write_atomically(&link, b"new").unwrap();
        write_atomically(&dangling, b"first").unwrap();
        assert!(link.is_symlink() && dangling.is_symlink());
        assert_eq!(std::fs::read(&real).unwrap(), b"new");
        let later = std::fs::read(folder.path().join("later")).unwrap();
        assert_eq!(later, b"first");

        let circle = folder.path().join("circle");
        std::os::unix::fs::symlink("circle", &circle).unwrap();
        let error = write_atomically(&circle, b"x").unwrap_err().to_string();
        assert!(error.contains("links"), "{error}");
    }

    #[test]
    #[cfg(unix)]
    fn what_is_replaced_keeps_its_mode_and_a_new_file_has_that_of_the_umask() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("private");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        write_atomically(&path, b"new").unwrap();
        assert_eq!(mode(&path), 0o600);

        let (ours, normal) = (folder.path().join("ours"), folder.path().join("normal"));
        write_atomically(&ours, b"").unwrap();
        std::fs::write(&normal, "").unwrap();
        assert_eq!(mode(&ours), mode(&normal));
    }

    #[test]
    #[cfg(unix)]
    fn a_device_is_written_through_and_a_folder_refused() {
        write_atomically(Path::new("/dev/null"), b"x").unwrap();
        assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
        let folder = tempfile::tempdir().unwrap();
        assert!(write_atomically(folder.path(), b"x").is_err());

        // A pipe takes the content, and stays one.
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || std::fs::read(pipe).unwrap()
        });
        write_atomically(&pipe, b"through").unwrap();
        assert_eq!(reader.join().unwrap(), b"through");
        assert!(std::fs::symlink_metadata(&pipe).is_ok_and(|pipe| !pipe.is_file()));
    }
}
