//! `.csv`: comma-separated text whose first row names the columns. Every value
//! is text; an empty one counts as absent, as null does elsewhere.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use csv::{ErrorKind, Reader, StringRecord};
use serde_json::{Map, Value};

use crate::DataError;
use crate::json_text::{MAX_ROW_BYTES, MAX_ROW_VALUES};
use crate::reader::ReadObject;
use crate::row::Location;

/// The rows below the names of a CSV file.
pub(crate) struct CsvRows<R> {
    from: Reader<Rationed<R>>,
    file: Arc<Path>,
    names: StringRecord,
    record: StringRecord,
    over: bool,
}

impl<R: Read> CsvRows<R> {
    pub(crate) fn open(from: R, file: Arc<Path>) -> Result<Self, DataError> {
        let mut from = Reader::from_reader(Rationed::new(from));
        let names = match from.headers().cloned() {
            Ok(names) => names,
            Err(reason) => return Err(broken(&from, &file, 1, reason)),
        };
        let mut sorted: Vec<&str> = names.iter().collect();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(DataError::Csv {
                at: Location { file, line: 1 },
                reason: format!("two columns are called `{}`", twice[0]),
            });
        }
        Ok(Self {
            from,
            file,
            names,
            record: StringRecord::new(),
            over: false,
        })
    }
}

impl<R: Read> Iterator for CsvRows<R> {
    type Item = ReadObject;

    fn next(&mut self) -> Option<ReadObject> {
        if self.over {
            return None;
        }
        let line = self.from.position().line();
        self.from.get_mut().begin_row();
        match self.from.read_record(&mut self.record) {
            Ok(true) => {}
            Ok(false) => return None,
            Err(reason) => {
                self.over = true;
                return Some(Err(broken(&self.from, &self.file, line, reason)));
            }
        }
        let at = Location {
            file: self.file.clone(),
            line: self.record.position().map_or(line, csv::Position::line),
        };
        let values = self.names.iter().zip(&self.record);
        let row = values
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.to_owned(), Value::from(value)))
            .collect::<Map<_, _>>();
        Some(Ok((at, row.into())))
    }
}

/// Text of which only so much may make a row: a quotation mark that nobody closes,
/// or a file without line breaks, would be read into memory as a whole.
struct Rationed<R> {
    from: R,
    bytes: usize,
    commas: usize,
}

impl<R> Rationed<R> {
    fn new(from: R) -> Self {
        Self {
            from,
            bytes: 0,
            commas: 0,
        }
    }

    fn begin_row(&mut self) {
        (self.bytes, self.commas) = (0, 0);
    }

    /// What there is too much of.
    fn excess(&self, at: &Location) -> Option<DataError> {
        let at = at.clone();
        if self.bytes > MAX_ROW_BYTES {
            let limit = MAX_ROW_BYTES;
            Some(DataError::RowTooLong { at, limit })
        } else if self.commas > MAX_ROW_VALUES {
            let limit = MAX_ROW_VALUES;
            Some(DataError::TooManyValues { at, limit })
        } else {
            None
        }
    }
}

impl<R: Read> Read for Rationed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.bytes += count;
        self.commas += buffer[..count].iter().filter(|&&byte| byte == b',').count();
        match self.bytes > MAX_ROW_BYTES || self.commas > MAX_ROW_VALUES {
            true => Err(io::Error::other("too much for a row")),
            false => Ok(count),
        }
    }
}

fn broken<R: Read>(
    from: &Reader<Rationed<R>>,
    file: &Arc<Path>,
    line: u64,
    error: csv::Error,
) -> DataError {
    let line = error.position().map_or(line, csv::Position::line);
    let at = Location {
        file: file.clone(),
        line,
    };
    if let Some(excess) = from.get_ref().excess(&at) {
        return excess;
    }
    let reason = match error.into_kind() {
        ErrorKind::Io(reason) => return DataError::Read { at, reason },
        ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("the row has {len} values, the first row names {expected_len} columns"),
        ErrorKind::Utf8 { err, .. } => {
            format!("the value of column {} is not UTF-8", err.field() + 1)
        }
        other => format!("{other:?}"),
    };
    DataError::Csv { at, reason }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{DataError, read_objects};

    fn rows(text: &[u8]) -> Vec<Result<(u64, serde_json::Value), DataError>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        std::fs::write(&path, text).unwrap();
        match read_objects(&path) {
            Err(error) => vec![Err(error)],
            Ok(rows) => rows
                .map(|row| row.map(|(at, row)| (at.line, row.into_values().into())))
                .collect(),
        }
    }

    #[test]
    fn rows_keep_quotes_and_line_breaks_and_know_their_line() {
        let text = "\u{feff}Question,Correct Answer\n\"a, \"\"b\"\"\nc\",1\nd,\n";
        let found: Vec<_> = rows(text.as_bytes())
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let expected = [
            (2, json!({"Question": "a, \"b\"\nc", "Correct Answer": "1"})),
            (4, json!({"Question": "d"})),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_broken_file_is_refused_with_line_and_reason() {
        let cases: [(&[u8], &str); 5] = [
            (
                b"a,b\n1,2\n3\n",
                ":3: not readable as CSV (the row has 1 values",
            ),
            (
                b"a,b\n1,\xff\n",
                ":2: not readable as CSV (the value of column 2",
            ),
            (
                b"a,a\n1,2\n",
                ":1: not readable as CSV (two columns are called `a`)",
            ),
            (b"a,b\n", "holds no rows"),
            (b"", "holds no rows"),
        ];
        for (text, expected) in cases {
            let error = rows(text).into_iter().find_map(Result::err).unwrap();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
