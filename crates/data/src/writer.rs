//! Writes rows to a file in the format of its ending.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use iwsft_files::AtomicFile;
use serde_json::{Map, Value};

use crate::DataError;
use crate::reader::Format;

/// Writes JSON objects, one a row, such that [`crate::read_objects`] reads the
/// same from them: `.jsonl` and `.jsonl.gz`. The file is there once
/// [`Self::finish`] returns, and not before.
pub struct RowWriter {
    path: PathBuf,
    lines: Lines,
}

enum Lines {
    Plain(AtomicFile),
    Gz(GzEncoder<AtomicFile>),
}

impl RowWriter {
    /// Begins `path`.
    ///
    /// # Errors
    /// If nothing can be written there, or the ending is not one to write.
    pub fn create(path: &Path) -> Result<Self, DataError> {
        let file = || AtomicFile::create(path).map_err(write_error(path));
        let lines = match Format::of(path)? {
            Format::JsonLines { gz: false } => Lines::Plain(file()?),
            Format::JsonLines { gz: true } => {
                Lines::Gz(GzEncoder::new(file()?, Compression::default()))
            }
            Format::JsonList { .. } | Format::Csv { .. } | Format::Parquet => {
                return Err(DataError::NotWritten {
                    path: path.to_owned(),
                });
            }
        };
        Ok(Self {
            path: path.to_owned(),
            lines,
        })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&mut self, row: &Map<String, Value>) -> Result<(), DataError> {
        let to: &mut dyn Write = match &mut self.lines {
            Lines::Plain(file) => file,
            Lines::Gz(encoder) => encoder,
        };
        let line = |to: &mut dyn Write| -> io::Result<()> {
            serde_json::to_writer(&mut *to, row)?;
            to.write_all(b"\n")
        };
        line(to).map_err(write_error(&self.path))
    }

    /// Puts the file in place.
    ///
    /// # Errors
    /// If it cannot be written to the end; `path` is then as it was.
    pub fn finish(self) -> Result<(), DataError> {
        let file = match self.lines {
            Lines::Plain(file) => Ok(file),
            Lines::Gz(encoder) => encoder.finish(),
        };
        file.and_then(AtomicFile::commit)
            .map_err(write_error(&self.path))
    }
}

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> DataError + use<> {
    let path = path.to_owned();
    move |reason| DataError::Write { path, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_objects;

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let row: Map<String, Value> =
            serde_json::from_str(r#"{"prompt": "1+1=", "n": 2, "log_probs": [-0.5, -1e-9]}"#)
                .unwrap();
        for name in ["a.jsonl", "a.jsonl.gz"] {
            let path = folder.path().join(name);
            let mut writer = RowWriter::create(&path).unwrap();
            writer.write(&row).unwrap();
            writer.write(&row).unwrap();
            assert!(!path.exists());
            writer.finish().unwrap();
            let rows: Vec<_> = read_objects(&path)
                .unwrap()
                .map(|object| object.unwrap().1)
                .collect();
            assert_eq!(rows, [row.clone(), row.clone()]);
        }
    }
}
