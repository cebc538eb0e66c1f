//! What can go wrong around training, and what to do about it.

use std::io;
use std::path::PathBuf;

/// The error of a caller's own code, passed through.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// Everything that stops a run, or keeps it from starting.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A setting has a value that cannot work.
    #[error("`{key}` is {found}, expected {expected}")]
    Setting {
        /// Key inside the training section.
        key: &'static str,
        /// The value found.
        found: String,
        /// The values that would do.
        expected: &'static str,
    },

    /// The data cannot be trained on.
    #[error("{0}")]
    Data(String),

    /// The order of the data cannot be made.
    #[error(transparent)]
    Order(#[from] iwsft_data::DataError),

    /// A file operation failed.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// What was tried: `write`, `read`, `rename`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// The run folder holds something already.
    #[error(
        "{path} already holds {found}; resume that run, choose another folder, or empty this one",
        path = path.display()
    )]
    FolderTaken {
        /// The folder.
        path: PathBuf,
        /// What it holds.
        found: String,
    },

    /// There is no run to resume.
    #[error(
        "{path}: there is no such run folder to resume; check the path, or start the run without --resume",
        path = path.display()
    )]
    NoRun {
        /// The folder asked for.
        path: PathBuf,
    },

    /// Another process is training into the same folder.
    #[error(
        "another process is training into {path}{}; wait for it or choose another folder",
        by.as_ref().map_or(String::new(), |by| format!(" ({by})")),
        path = path.display()
    )]
    FolderLocked {
        /// The folder.
        path: PathBuf,
        /// The process, where the system tells.
        by: Option<String>,
    },

    /// The run folder cannot be written to.
    #[error(
        "cannot write to the run folder {path}: {source}; nothing was trained: choose a folder that you may write to",
        path = path.display()
    )]
    FolderNotWritable {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// The disk would fill up before the run ends.
    #[error(
        "{path} has {free} bytes free, the checkpoints need {needed}; nothing was trained: free some space, lower `keep_last`, or choose another folder",
        path = path.display()
    )]
    DiskSpace {
        /// The run folder.
        path: PathBuf,
        /// Bytes that the checkpoints held at one time take.
        needed: u64,
        /// Bytes free for this user.
        free: u64,
    },

    /// A checkpoint could not be written; the earlier ones are as they were.
    #[error(
        "cannot write checkpoint {path}: {source}; {}",
        state_last_good(.last_good.as_ref())
    )]
    Save {
        /// The checkpoint's folder.
        path: PathBuf,
        /// The last checkpoint that was written.
        last_good: Option<PathBuf>,
        /// What went wrong.
        source: SourceError,
    },

    /// The policy could not be evaluated.
    #[error("cannot evaluate after step {step}: {source}")]
    Evaluation {
        /// Steps made.
        step: u64,
        /// What went wrong.
        source: SourceError,
    },

    /// Rollouts could not be drawn or rewarded.
    #[error("cannot draw round {}: {source}", .round + 1)]
    Rollouts {
        /// The round, from 0.
        round: u64,
        /// What went wrong.
        source: SourceError,
    },

    /// The policy's own files in a checkpoint could not be read.
    #[error("cannot read the policy in checkpoint {path}: {source}", path = path.display())]
    Load {
        /// The checkpoint's folder.
        path: PathBuf,
        /// What went wrong.
        source: SourceError,
    },

    /// A file of a checkpoint or of the reference cache is damaged.
    #[error("{path} is damaged: {reason}; {remedy}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },

    /// A resumed run has other settings than the run it continues.
    #[error("cannot resume {path}: {}; restore these settings, or start a new run in another folder", changes(.differences), path = path.display())]
    Changed {
        /// The checkpoint's folder.
        path: PathBuf,
        /// Every setting that differs.
        differences: Vec<Difference>,
    },

    /// Cached reference log-probabilities belong to something else.
    #[error(
        "the reference log-probabilities in {path} were computed with another {part} (cache {found}, now {expected}); delete the file or score again",
        path = path.display()
    )]
    StaleReference {
        /// The cache.
        path: PathBuf,
        /// Which part differs: `model`, `tokenizer`, `template` or `data`.
        part: &'static str,
        /// The cache's hash of that part.
        found: String,
        /// The present hash of that part.
        expected: String,
    },

    /// The objective compares with a reference, and none was given.
    #[error(
        "the objective needs reference log-probabilities, and {row} has none; score the data with the reference policy first"
    )]
    MissingReference {
        /// The first trajectory without.
        row: String,
    },

    /// A loss or gradient became NaN or infinite. Nothing was updated.
    #[error(
        "{what} is not finite at step {step}, in a batch of {}; no parameter was changed; {}; lower `learning_rate` or look at these rows",
        list(.rows),
        state_last_good(.last_good.as_ref())
    )]
    NonFinite {
        /// `log-probability`, `loss` or `gradient norm`.
        what: &'static str,
        /// The step, counted from 1.
        step: u64,
        /// The rows of the batch that caused it.
        rows: Vec<String>,
        /// The last checkpoint that was written.
        last_good: Option<PathBuf>,
    },
}

/// A setting that two runs do not share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The setting's dotted name.
    pub key: String,
    /// Its value in the run that is to be continued.
    pub before: String,
    /// Its value now.
    pub now: String,
}

impl TrainError {
    /// Names what was tried with which file.
    pub(crate) fn io(
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

fn state_last_good(path: Option<&PathBuf>) -> String {
    match path {
        Some(path) => format!("the last good checkpoint is {}", path.display()),
        None => "no checkpoint had been written".to_owned(),
    }
}

fn changes(differences: &[Difference]) -> String {
    let each: Vec<_> = differences
        .iter()
        .map(|d| format!("`{}` was {} and is {}", d.key, d.before, d.now))
        .collect();
    each.join(", ")
}

/// The first rows by name, the rest by count: a message stays readable.
fn list(rows: &[String]) -> String {
    const SHOWN: usize = 8;
    let named = rows[..rows.len().min(SHOWN)].join(", ");
    match rows.len().saturating_sub(SHOWN) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
