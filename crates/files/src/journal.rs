//! A journal: what long work has finished so far, kept beside its output so that
//! an interrupted command goes on where it stopped.
//!
//! The journal of `answers.jsonl` is `answers.jsonl.journal`: a first line that
//! says which work it belongs to, then one JSON value a line, flushed as it
//! comes. The output itself is written once everything is there.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::lock::{Lock, LockError};

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A file operation failed.
    #[error("{}: cannot {action} the journal: {source}", path.display())]
    Io {
        /// The journal.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// The journal belongs to other work.
    #[error(
        "{}: was begun with {key} = {found}, now it is {expected}; \
         use the same settings to go on, or remove the file (or use --restart) to begin anew",
        path.display()
    )]
    OtherWork {
        /// The journal.
        path: PathBuf,
        /// The setting that differs.
        key: String,
        /// Its value in the journal.
        found: String,
        /// Its value now.
        expected: String,
    },
    /// Another process writes the same output, or the file cannot be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The first line does not say which work it is.
    #[error(
        "{}:{line}: not an entry of this work ({reason}); remove the file (or use --restart) to begin anew",
        path.display()
    )]
    Entry {
        /// The journal.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// An entry that cannot be read, as after a fault of the disk. What it kept has to
/// be done again; all others are of use.
#[derive(Debug, thiserror::Error)]
#[error("{}:{line}: not an entry of this work ({reason})", path.display())]
pub struct LostEntry {
    /// The journal.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// The journal of one output file, locked while it is open.
#[derive(Debug)]
pub struct Journal {
    lock: Lock,
    path: PathBuf,
    is_new: bool,
}

impl Journal {
    /// Opens the journal of `output` and returns the entries of an earlier,
    /// interrupted attempt. `work` is everything that decides the result: an
    /// object whose values must be equal for the entries to be of use. A last
    /// line that was cut off is dropped, and one that cannot be read is lost by
    /// itself. With `restart`, earlier entries are thrown away.
    ///
    /// # Errors
    /// If the file cannot be used, is in use, or belongs to other work.
    pub fn open<T: DeserializeOwned>(
        output: &Path,
        work: &Value,
        restart: bool,
    ) -> Result<(Self, Vec<Result<T, LostEntry>>), JournalError> {
        let path = Self::path_for(output);
        let at = path.clone();
        let io = |action| io_error(&at, action);
        let mut lock = Lock::take(&path)?;
        let file = lock.file();
        if restart {
            file.set_len(0).map_err(io("write"))?;
        }
        let (entries, length) = read(file, &path, work)?;
        // What stands behind the last whole line was cut off.
        file.set_len(length).map_err(io("write"))?;
        file.seek(io::SeekFrom::End(0)).map_err(io("write"))?;
        let mut journal = Self {
            lock,
            path,
            is_new: length == 0,
        };
        if journal.is_new {
            journal.append(&json!({ "work": work }))?;
        }
        Ok((journal, entries))
    }

    /// Whether there was none of an earlier attempt.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Whether the file system could lock it; see [`Lock`].
    pub fn is_locked(&self) -> bool {
        self.lock.is_held()
    }

    /// Where the journal of `output` lies.
    pub fn path_for(output: &Path) -> PathBuf {
        let mut name = output.file_name().unwrap_or_default().to_owned();
        name.push(".journal");
        output.with_file_name(name)
    }

    /// Adds an entry; once this returns it outlives the process.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn append(&mut self, entry: &impl Serialize) -> Result<(), JournalError> {
        let write = |file: &mut File| -> io::Result<()> {
            let mut line = serde_json::to_vec(entry)?;
            line.push(b'\n');
            file.write_all(&line)
        };
        write(self.lock.file()).map_err(io_error(&self.path, "write"))
    }

    /// Removes the journal: the output is complete.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove(self) -> Result<(), JournalError> {
        std::fs::remove_file(&self.path).map_err(io_error(&self.path, "remove"))
    }
}

/// Entries of a journal and the length of its whole lines in bytes.
fn read<T: DeserializeOwned>(
    file: &mut File,
    path: &Path,
    work: &Value,
) -> Result<(Vec<Result<T, LostEntry>>, u64), JournalError> {
    let (mut entries, mut length) = (Vec::new(), 0);
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = reader
            .read_until(b'\n', &mut line)
            .map_err(io_error(path, "read"))?;
        if line.last() != Some(&b'\n') {
            break;
        }
        let broken = |reason: String| JournalError::Entry {
            path: path.to_owned(),
            line: number,
            reason,
        };
        if number == 1 {
            let head: Value =
                serde_json::from_slice(&line).map_err(|error| broken(error.to_string()))?;
            let found = head
                .get("work")
                .ok_or_else(|| broken("it does not say which work it belongs to".into()))?;
            same_work(path, found, work)?;
        } else {
            entries.push(serde_json::from_slice(&line).map_err(|error| LostEntry {
                path: path.to_owned(),
                line: number,
                reason: error.to_string(),
            }));
        }
        length += read as u64;
    }
    Ok((entries, length))
}

fn same_work(path: &Path, found: &Value, expected: &Value) -> Result<(), JournalError> {
    if found == expected {
        return Ok(());
    }
    let empty = serde_json::Map::new();
    let [was, is] = [found, expected].map(|work| work.as_object().unwrap_or(&empty));
    let differs = |key: &&String| was.get(*key) != is.get(*key);
    let key = is.keys().chain(was.keys()).find(differs);
    let key = key.cloned().unwrap_or_else(|| "work".into());
    let of = |work: &serde_json::Map<String, Value>| {
        work.get(&key)
            .map_or("not set".to_owned(), Value::to_string)
    };
    Err(JournalError::OtherWork {
        path: path.to_owned(),
        found: of(was),
        expected: of(is),
        key,
    })
}

fn io_error(path: &Path, action: &'static str) -> impl Fn(io::Error) -> JournalError + use<> {
    let path = path.to_owned();
    move |source| JournalError::Io {
        path: path.clone(),
        action,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(output: &Path, seed: u64) -> Result<(Journal, Vec<u32>), JournalError> {
        let work = json!({"seed": seed, "model": "m"});
        let (journal, entries) = Journal::open(output, &work, false)?;
        let entries: Result<_, LostEntry> = entries.into_iter().collect();
        Ok((journal, entries.unwrap()))
    }

    #[test]
    fn entries_outlive_the_process_and_a_torn_line_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.jsonl");
        let (mut journal, entries) = open(&output, 1).unwrap();
        assert!(entries.is_empty());
        journal.append(&7).unwrap();
        journal.append(&8).unwrap();
        drop(journal);
        let path = Journal::path_for(&output);
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap();
        file.write_all(b"12").unwrap();
        drop(file);

        let (mut journal, entries) = open(&output, 1).unwrap();
        assert_eq!(entries, [7, 8]);
        journal.append(&9).unwrap();
        drop(journal);
        let (journal, entries) = open(&output, 1).unwrap();
        assert_eq!(entries, [7, 8, 9]);
        journal.remove().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_lost_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.jsonl");
        let (mut journal, _) = open(&output, 1).unwrap();
        for entry in [7, 8, 9] {
            journal.append(&entry).unwrap();
        }
        drop(journal);
        let path = Journal::path_for(&output);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\n8\n", "\n\0\n")).unwrap();

        let work = json!({"seed": 1, "model": "m"});
        let (mut journal, entries) = Journal::open::<u32>(&output, &work, false).unwrap();
        let [Ok(7), Err(lost), Ok(9)] = &entries[..] else {
            panic!("{entries:?}");
        };
        assert!(lost.to_string().contains("out.jsonl.journal:3: "), "{lost}");
        journal.append(&10).unwrap();
        drop(journal);
        let (_, entries) = Journal::open::<u32>(&output, &work, false).unwrap();
        assert_eq!(entries.len(), 4);
    }

    #[test]
    fn other_work_is_refused_with_the_setting_that_differs() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.jsonl");
        drop(open(&output, 1).unwrap());
        let message = open(&output, 2).unwrap_err().to_string();
        assert!(message.contains("seed = 1, now it is 2"), "{message}");
        let restarted = Journal::open::<u32>(&output, &json!({"seed": 2}), true);
        assert!(restarted.unwrap().1.is_empty());
    }

    #[test]
    fn two_processes_cannot_share_an_output() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.jsonl");
        let _held = open(&output, 1).unwrap();
        let error = open(&output, 1).unwrap_err();
        let held = matches!(error, JournalError::Lock(LockError::Held { .. }));
        assert!(held, "{error}");
    }

    #[test]
    #[cfg(unix)]
    fn a_journal_behind_a_link_is_refused_and_what_it_points_to_kept() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.jsonl");
        let precious = folder.path().join("precious");
        std::fs::write(&precious, "all of it").unwrap();
        std::os::unix::fs::symlink(&precious, Journal::path_for(&output)).unwrap();
        for restart in [false, true] {
            let opened = Journal::open::<u32>(&output, &json!({}), restart);
            assert!(opened.unwrap_err().to_string().contains("a link"));
        }
        assert_eq!(std::fs::read(&precious).unwrap(), b"all of it");
    }

    #[test]
    fn a_foreign_file_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.jsonl");
        let path = Journal::path_for(&output);
        std::fs::write(&path, "my thesis\n").unwrap();
        let error = open(&output, 1).unwrap_err();
        assert!(
            matches!(error, JournalError::Entry { line: 1, .. }),
            "{error}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"my thesis\n");
    }
}
