//! Parquet files, row by row, as the same JSON objects that JSONL holds.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, reader::RowIter};
use parquet::schema::types::Type;
use serde_json::{Map, Number, Value};

use crate::DataError;
use crate::columns::Columns;
use crate::reader::Object;
use crate::row::Location;

/// The rows of a Parquet file, with only the columns that are asked for, or all.
pub(crate) struct ParquetRows {
    rows: RowIter<'static>,
    /// Columns that are left out where they hold what cannot be decoded.
    perhaps: Vec<String>,
    file: Arc<Path>,
    row: u64,
    over: bool,
}

impl ParquetRows {
    pub(crate) fn open(
        from: File,
        file: Arc<Path>,
        columns: Option<&Columns>,
    ) -> Result<ParquetRows, DataError> {
        let at = Location {
            file: file.clone(),
            line: 0,
        };
        let (rows, missing) = guarded(&at, || {
            let reader = SerializedFileReader::new(from)?;
            let schema = reader.metadata().file_metadata().schema();
            let Some(columns) = columns else {
                return Ok((
                    Some(RowIter::from_file_into(Box::new(reader))),
                    String::new(),
                ));
            };
            let mut wanted = columns.all();
            wanted.extend(columns.perhaps());
            let fields: Vec<_> = schema
                .get_fields()
                .iter()
                .filter(|field| wanted.contains(&field.name()))
                .cloned()
                .collect();
            if fields.is_empty() {
                let names: Vec<_> = schema.get_fields().iter().map(|f| f.name()).collect();
                return Ok((None, names.join(", ")));
            }
            let projection = Type::group_type_builder(schema.name())
                .with_fields(fields)
                .build()?;
            let rows = RowIter::from_file_into(Box::new(reader)).project(Some(projection))?;
            Ok((Some(rows), String::new()))
        })?;
        let Some(rows) = rows else {
            return Err(DataError::NoText {
                at,
                expected: columns.map(Columns::forms).unwrap_or_default(),
                found: missing,
                remedy: "name the columns in `columns`".to_owned(),
            });
        };
        let perhaps = match columns {
            None => Vec::new(),
            Some(columns) => {
                let asked = columns.all();
                let perhaps = columns.perhaps().into_iter();
                let perhaps = perhaps.filter(|name| !asked.contains(name));
                perhaps.map(str::to_owned).collect()
            }
        };
        Ok(ParquetRows {
            rows,
            perhaps,
            file,
            row: 0,
            over: false,
        })
    }
}

impl Iterator for ParquetRows {
    type Item = Object;

    fn next(&mut self) -> Option<Object> {
        if self.over {
            return None;
        }
        self.row += 1;
        let at = Location {
            file: self.file.clone(),
            line: self.row,
        };
        match guarded(&at, || self.rows.next().transpose()) {
            Ok(None) => {
                self.over = true;
                None
            }
            Ok(Some(row)) => Some(object(&at, row, &self.perhaps).map(|object| (at, object))),
            Err(error) => {
                self.over = true;
                Some(Err(error))
            }
        }
    }
}

/// Runs the decoder, which returns errors for most damaged files and panics
/// on some: to the user both are a file that cannot be read.
fn guarded<T>(
    at: &Location,
    decode: impl FnOnce() -> parquet::errors::Result<T>,
) -> Result<T, DataError> {
    let reason = match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(Ok(decoded)) => return Ok(decoded),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the decoder gave up on damaged content".to_owned(),
    };
    Err(DataError::Parquet {
        at: at.clone(),
        reason: reason.replace("Parquet error: ", ""),
    })
}

fn object(
    at: &Location,
    row: parquet::record::Row,
    perhaps: &[String],
) -> Result<Map<String, Value>, DataError> {
    let mut object = Map::new();
    for (name, field) in row.into_columns() {
        match value(at, &name, &field) {
            Ok(value) => {
                object.insert(name, value);
            }
            Err(_) if perhaps.contains(&name) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(object)
}

/// A field as JSON. `path` names it in messages: `messages[2].content`.
fn value(at: &Location, path: &str, field: &Field) -> Result<Value, DataError> {
    let float = |wide: f64| match Number::from_f64(wide) {
        Some(number) => Ok(Value::Number(number)),
        None => Err(DataError::NotFinite {
            at: at.clone(),
            column: path.to_owned(),
            found: wide.to_string(),
        }),
    };
    let unsupported = |found: &str| {
        Err(DataError::WrongType {
            at: at.clone(),
            column: path.to_owned(),
            found: found.to_owned(),
            expected: "text, numbers, bools, lists or structs of them",
        })
    };
    match field {
        Field::Null => Ok(Value::Null),
        Field::Bool(flag) => Ok((*flag).into()),
        Field::Byte(number) => Ok((*number).into()),
        Field::Short(number) => Ok((*number).into()),
        Field::Int(number) => Ok((*number).into()),
        Field::Long(number) => Ok((*number).into()),
        Field::UByte(number) => Ok((*number).into()),
        Field::UShort(number) => Ok((*number).into()),
        Field::UInt(number) => Ok((*number).into()),
        Field::ULong(number) => Ok((*number).into()),
        Field::Float16(number) => float(f64::from(*number)),
        Field::Float(number) => float(f64::from(*number)),
        Field::Double(number) => float(*number),
        Field::Str(text) => Ok(text.as_str().into()),
        Field::ListInternal(list) => list
            .elements()
            .iter()
            .enumerate()
            .map(|(i, field)| value(at, &format!("{path}[{i}]"), field))
            .collect(),
        Field::Group(group) => {
            let mut object = Map::new();
            for (name, field) in group.get_column_iter() {
                // A struct has all of its fields in every row: null is how a
                // writer says that a message has no `tool_calls`. A null
                // `content` is kept, as in JSON.
                if matches!(field, Field::Null) && name != "content" {
                    continue;
                }
                let value = value(at, &format!("{path}.{name}"), field)?;
                object.insert(name.clone(), value);
            }
            Ok(Value::Object(object))
        }
        Field::MapInternal(map) => {
            let mut object = Map::new();
            for (key, field) in map.entries() {
                let Field::Str(key) = key else {
                    return unsupported("a map whose keys are no text");
                };
                let value = value(at, &format!("{path}.{key}"), field)?;
                object.insert(key.clone(), value);
            }
            Ok(Value::Object(object))
        }
        Field::Bytes(_) => unsupported("binary"),
        Field::Decimal(_) => unsupported("a decimal"),
        Field::Date(_) => unsupported("a date"),
        Field::TimeMillis(_)
        | Field::TimeMicros(_)
        | Field::TimestampMillis(_)
        | Field::TimestampMicros(_) => unsupported("a time"),
    }
}
