//! `metrics.jsonl`: one JSON object a line, appended as the run goes.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{TrainError, atomic};

/// The run's log, open for appending.
#[derive(Debug)]
pub struct MetricsLog {
    path: PathBuf,
    file: File,
    line: Vec<u8>,
}

/// The part of every line that resuming looks at.
#[derive(Deserialize)]
struct Dated {
    step: u64,
}

impl MetricsLog {
    /// Opens the log at `path` for a run that stands at `step`: 0 starts an
    /// empty log, later steps keep the lines up to and including `step`. A
    /// line that a killed run left half-written goes too.
    ///
    /// # Errors
    /// [`TrainError::Io`] if the file cannot be read or written.
    pub fn open(path: &Path, step: u64) -> Result<Self, TrainError> {
        let text = match fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(TrainError::io("read", path)(error)),
        };
        let keep = |line: &&str| {
            step > 0
                && line.ends_with('\n')
                && serde_json::from_str::<Dated>(line).is_ok_and(|dated| dated.step <= step)
        };
        let kept: String = text.split_inclusive('\n').filter(keep).collect();
        atomic::write_atomically(path, kept.as_bytes())?;
        let file = OpenOptions::new()
            .append(true)
            .open(path)
            .map_err(TrainError::io("open", path))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            line: Vec::new(),
        })
    }

    /// Appends `record` as one line, which must have a `step`.
    ///
    /// # Errors
    /// [`TrainError::Io`] if the line cannot be written.
    pub fn append(&mut self, record: &impl Serialize) -> Result<(), TrainError> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, record)
            .map_err(|error| TrainError::io("write", &self.path)(error.into()))?;
        self.line.push(b'\n');
        self.file
            .write_all(&self.line)
            .map_err(TrainError::io("write", &self.path))
    }

    /// Flushes to the disk: after a checkpoint the log must reach as far.
    ///
    /// # Errors
    /// [`TrainError::Io`] if the disk refuses.
    pub fn sync(&self) -> Result<(), TrainError> {
        self.file
            .sync_all()
            .map_err(TrainError::io("flush", &self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Line {
        step: u64,
        loss: f64,
    }

    fn log(steps: std::ops::RangeInclusive<u64>, path: &Path, from: u64) {
        let mut log = MetricsLog::open(path, from).unwrap();
        for step in steps {
            let loss = 1.0 / step as f64;
            log.append(&Line { step, loss }).unwrap();
        }
        log.sync().unwrap();
    }

    #[test]
    fn a_resumed_log_equals_an_uninterrupted_one() {
        let folder = tempfile::tempdir().unwrap();
        let (whole, pieces) = (folder.path().join("whole"), folder.path().join("pieces"));
        log(1..=9, &whole, 0);
        log(1..=6, &pieces, 0);
        // Killed in the middle of a line, two steps behind the checkpoint.
        let mut file = OpenOptions::new().append(true).open(&pieces).unwrap();
        file.write_all(br#"{"step":7,"lo"#).unwrap();
        log(5..=9, &pieces, 4);
        assert_eq!(fs::read(whole).unwrap(), fs::read(pieces).unwrap());
    }
}
