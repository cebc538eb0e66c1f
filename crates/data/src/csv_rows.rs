//! `.csv`: comma-separated text whose first row names the columns. Every value
//! is text; an empty one counts as absent, as null does elsewhere.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use csv::{ErrorKind, Reader, StringRecord};
use serde_json::{Map, Value};

use crate::DataError;
use crate::reader::Object;
use crate::row::Location;

/// The rows below the names of a CSV file.
pub(crate) struct CsvRows<R> {
    from: Reader<R>,
    file: Arc<Path>,
    names: StringRecord,
    record: StringRecord,
    over: bool,
}

impl<R: Read> CsvRows<R> {
    pub(crate) fn open(from: R, file: Arc<Path>) -> Result<Self, DataError> {
        let mut from = Reader::from_reader(from);
        let names = from.headers().cloned();
        let names = names.map_err(|reason| broken(&file, 1, reason))?;
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
    type Item = Object;

    fn next(&mut self) -> Option<Object> {
        if self.over {
            return None;
        }
        let line = self.from.position().line();
        match self.from.read_record(&mut self.record) {
            Ok(true) => {}
            Ok(false) => return None,
            Err(reason) => {
                self.over = true;
                return Some(Err(broken(&self.file, line, reason)));
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
        Some(Ok((at, row)))
    }
}

fn broken(file: &Arc<Path>, line: u64, error: csv::Error) -> DataError {
    let line = error.position().map_or(line, csv::Position::line);
    let at = Location {
        file: file.clone(),
        line,
    };
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
                .map(|row| row.map(|(at, row)| (at.line, row.into())))
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
