//! Writes rows to a file in the format of its ending.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use iwsft_files::AtomicFile;
use serde_json::Value;

use crate::DataError;
use crate::json_text::{MAX_DEPTH, MAX_ROW_BYTES};
use crate::object::Object;
use crate::parquet_writer::ParquetWriter;
use crate::reader::Format;
use crate::row::Location;

/// Writes objects, one a row, such that [`crate::read_objects`] reads the same from
/// them: `.jsonl`, `.jsonl.gz` and `.parquet`. The file is there once
/// [`Self::finish`] returns, and not before. What an object has as text goes into
/// JSONL as it is.
///
/// The columns of a Parquet file are all those of its rows, in the order in
/// which they first come, with null where a row lacks one. A column has one
/// type: integers and fractions together are fractions, and values that share
/// no type are refused. Null, and an object without fields, counts as absent.
/// The rows are held until the end, as only the last one settles the types.
pub struct RowWriter {
    path: PathBuf,
    rows: u64,
    line: Vec<u8>,
    to: To,
}

enum To {
    Plain(AtomicFile),
    Gz(GzEncoder<AtomicFile>),
    Parquet(ParquetWriter),
}

impl RowWriter {
    /// Begins `path`.
    ///
    /// # Errors
    /// If nothing can be written there, or the ending is not one to write.
    pub fn create(path: &Path) -> Result<Self, DataError> {
        let file = || AtomicFile::create(path).map_err(write_error(path));
        let to = match Format::of(path)? {
            Format::JsonLines { gz: false } => To::Plain(file()?),
            Format::JsonLines { gz: true } => {
                To::Gz(GzEncoder::new(file()?, Compression::default()))
            }
            Format::Parquet => To::Parquet(ParquetWriter::new(file()?, path)),
            Format::JsonList { .. } | Format::Csv { .. } => {
                return Err(DataError::NotWritten {
                    path: path.to_owned(),
                });
            }
        };
        Ok(Self {
            path: path.to_owned(),
            rows: 0,
            line: Vec::new(),
            to,
        })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// If it cannot be written, could not be read again, or does not fit the columns
    /// of the rows before; there is then no use in going on.
    pub fn write(&mut self, row: &Object) -> Result<(), DataError> {
        self.rows += 1;
        for (column, value) in row.iter() {
            let depth = 1 + depth(value);
            if depth > MAX_DEPTH {
                return Err(DataError::TooDeep {
                    at: self.here(),
                    column: column.clone(),
                    depth,
                    limit: MAX_DEPTH,
                });
            }
        }
        if let To::Parquet(writer) = &mut self.to {
            return writer.push(row);
        }
        self.line.clear();
        serde_json::to_writer(&mut self.line, row)
            .map_err(|error| write_error(&self.path)(error.into()))?;
        if self.line.len() > MAX_ROW_BYTES {
            return Err(DataError::RowTooLong {
                at: self.here(),
                limit: MAX_ROW_BYTES,
            });
        }
        self.line.push(b'\n');
        let written = match &mut self.to {
            To::Plain(file) => file.write_all(&self.line),
            To::Gz(encoder) => encoder.write_all(&self.line),
            To::Parquet(_) => Ok(()),
        };
        written.map_err(write_error(&self.path))
    }

    /// The row that is being written.
    fn here(&self) -> Location {
        Location {
            file: self.path.as_path().into(),
            line: self.rows,
        }
    }

    /// Puts the file in place.
    ///
    /// # Errors
    /// If it cannot be written to the end; `path` is then as it was.
    pub fn finish(self) -> Result<(), DataError> {
        let file = match self.to {
            To::Plain(file) => Ok(file),
            To::Gz(encoder) => encoder.finish(),
            To::Parquet(writer) => writer.finish(),
        };
        file.and_then(AtomicFile::commit)
            .map_err(write_error(&self.path))
    }
}

/// Lists and objects inside of each other, without a limit of its own: a value may
/// come from a format that has none.
fn depth(value: &Value) -> usize {
    let mut deepest = 0;
    let mut open = vec![(value, 0)];
    while let Some((value, above)) = open.pop() {
        let depth = above + 1;
        match value {
            Value::Array(list) => open.extend(list.iter().map(|inner| (inner, depth))),
            Value::Object(object) => open.extend(object.values().map(|inner| (inner, depth))),
            _ => continue,
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> DataError + use<> {
    let path = path.to_owned();
    move |reason| DataError::Write { path, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_objects;
    use proptest::prelude::*;
    use serde_json::{Map, json};

    type Object = Map<String, Value>;

    const ENDINGS: [&str; 3] = ["jsonl", "jsonl.gz", "parquet"];

    fn object(value: Value) -> Object {
        value.as_object().unwrap().clone()
    }

    fn round_trip(rows: &[Object], ending: &str) -> Vec<Object> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows").with_extension(ending);
        let mut writer = RowWriter::create(&path).unwrap();
        for row in rows {
            writer.write(&row.clone().into()).unwrap();
        }
        assert!(!path.exists());
        writer.finish().unwrap();
        read_objects(&path)
            .unwrap()
            .map(|object| object.unwrap().1.into_values())
            .collect()
    }

    /// As far as rows tell it: null and an object without fields are absent.
    fn told(value: &Value) -> Option<Value> {
        match value {
            Value::Null => None,
            Value::Object(object) => {
                let fields: Object = object
                    .iter()
                    .filter_map(|(name, value)| Some((name.clone(), told(value)?)))
                    .collect();
                (!fields.is_empty()).then_some(Value::Object(fields))
            }
            Value::Array(list) => {
                let list = list.iter().map(|value| told(value).unwrap_or_default());
                Some(list.collect())
            }
            Value::Number(number) => number.as_f64().map(Value::from),
            value => Some(value.clone()),
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let row = object(json!({
            "prompt": "1+1=", "n": 2, "reward": true, "log_probs": [-0.5, -1e-9], "none": [],
            "messages": [{"role": "user", "content": "Größe? 漢字"},
                         {"role": "assistant", "content": "", "weight": 0.5}],
            "of": {"a.b": {"c": [[1], [], [2, 3]]}},
        }));
        for ending in ENDINGS {
            let rows = [row.clone(), row.clone()];
            assert_eq!(round_trip(&rows, ending), rows, "{ending}");
        }
    }

    #[test]
    fn parquet_fills_columns_that_a_row_lacks_with_null() {
        let rows = [
            object(json!({"a": 1, "of": {"x": 1}})),
            object(json!({"b": "two", "of": {"y": [null, "z"]}})),
            object(json!({"a": 2.5, "of": null})),
        ];
        let expected = [
            json!({"a": 1.0, "of": {"x": 1}, "b": null}),
            json!({"a": null, "of": {"y": [null, "z"]}, "b": "two"}),
            json!({"a": 2.5, "of": null, "b": null}),
        ]
        .map(object);
        assert_eq!(round_trip(&rows, "parquet"), expected);
    }

    #[test]
    fn parquet_keeps_more_rows_than_it_encodes_at_a_time_in_order() {
        let rows: Vec<Object> = (0..1000).map(|i| object(json!({"i": i}))).collect();
        assert_eq!(round_trip(&rows, "parquet"), rows);
    }

    #[test]
    fn values_that_share_no_type_are_refused_with_row_and_column() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let mut writer = RowWriter::create(&path).unwrap();
        let row = |value| object(value).into();
        writer.write(&row(json!({"of": {"answer": 4}}))).unwrap();
        let error = writer
            .write(&row(json!({"of": {"answer": "four"}})))
            .unwrap_err()
            .to_string();
        for part in [
            "a.parquet: row 2",
            "`of.answer`",
            "\"four\"",
            "integer",
            ".jsonl",
        ] {
            assert!(error.contains(part), "{part} in {error}");
        }
        drop(writer);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_without_rows_says_so_when_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        RowWriter::create(&path).unwrap().finish().unwrap();
        let error = read_objects(&path).unwrap().next().unwrap().unwrap_err();
        assert!(matches!(error, crate::DataError::NoRows { .. }), "{error}");
    }

    #[test]
    fn a_json_list_is_only_read() {
        let error = RowWriter::create(Path::new("a.json")).err().unwrap();
        assert!(error.to_string().contains(".parquet"), "{error}");
    }

    /// A value of a type that the seed decides, or null.
    fn value_of(kind: u32, depth: u32) -> BoxedStrategy<Value> {
        let value = match kind % if depth == 0 { 5 } else { 7 } {
            0 => any::<bool>().prop_map(Value::from).boxed(),
            1 => any::<i64>().prop_map(Value::from).boxed(),
            2 => (-1e300..1e300).prop_map(|x: f64| Value::from(x)).boxed(),
            3 => ".{0,12}".prop_map(Value::from).boxed(),
            4 => Just(Value::Null).boxed(),
            5 => prop::collection::vec(value_of(kind / 7, depth - 1), 0..4)
                .prop_map(Value::from)
                .boxed(),
            _ => object_of(kind / 7, depth - 1)
                .prop_map(Value::Object)
                .boxed(),
        };
        prop_oneof![3 => value, 1 => Just(Value::Null)].boxed()
    }

    /// An object that has some of three fields.
    fn object_of(kind: u32, depth: u32) -> BoxedStrategy<Object> {
        let field = move |i: u32| prop::option::of(value_of(kind.rotate_right(5 * i), depth));
        (field(0), field(1), field(2))
            .prop_map(|(a, b, c)| {
                let fields = [("a", a), ("b.c", b), ("", c)].into_iter();
                fields
                    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                    .collect()
            })
            .boxed()
    }

    fn rows() -> impl Strategy<Value = Vec<Object>> {
        any::<u32>().prop_flat_map(|kind| {
            let row = object_of(kind, 3).prop_map(|mut row| {
                row.insert("id".to_owned(), "x".into());
                row
            });
            prop::collection::vec(row, 1..8)
        })
    }

    proptest! {
        // Each one waits for the disk.
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn parquet_gives_the_rows_back_as_far_as_they_tell(rows in rows()) {
            // Maps are equal whatever the order of their keys.
            let told = |row: &Object| told(&Value::Object(row.clone()));
            let read: Vec<_> = round_trip(&rows, "parquet").iter().map(told).collect();
            let expected: Vec<_> = rows.iter().map(told).collect();
            prop_assert_eq!(read, expected);
        }
    }
}
