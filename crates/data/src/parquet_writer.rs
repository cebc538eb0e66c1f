//! Rows as a Parquet file, whose schema is what the rows hold.

use std::io;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, LargeStringArray, ListArray, NullArray,
    RecordBatch, StructArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, Schema};
use iwsft_files::AtomicFile;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use serde_json::{Map, Value};

use crate::DataError;
use crate::column_type::{ColumnType, Fields};
use crate::object::{Object, is_huge_integer, numbers};
use crate::row::Location;

/// Rows that are turned into arrays at a time.
const BATCH: usize = 256;

/// Encoded rows that are held before they go to the file.
const ROW_GROUP_BYTES: usize = 128 << 20;

/// Collects rows, because only the last one settles the types of the columns,
/// and writes them at the end.
pub(crate) struct ParquetWriter {
    file: AtomicFile,
    name: Arc<Path>,
    rows: Vec<Map<String, Value>>,
    fields: Fields,
}

impl ParquetWriter {
    pub(crate) fn new(file: AtomicFile, path: &Path) -> Self {
        Self {
            file,
            name: Arc::from(path),
            rows: Vec::new(),
            fields: Fields::default(),
        }
    }

    pub(crate) fn push(&mut self, row: &Object) -> Result<(), DataError> {
        let at = || Location {
            file: self.name.clone(),
            line: self.rows.len() as u64 + 1,
        };
        // As values they are floats, which would go into the column as others.
        for name in row.keys() {
            let huge = row
                .text(name)
                .and_then(|text| numbers(text).find(|n| is_huge_integer(n)));
            if let Some(number) = huge {
                return Err(DataError::MixedColumn {
                    at: at(),
                    column: name.clone(),
                    found: format!("the number {number}"),
                    expected: "an integer below 2^63".to_owned(),
                });
            }
        }
        self.fields
            .widen(row)
            .map_err(|mismatch| DataError::MixedColumn {
                at: at(),
                column: mismatch.column(),
                found: mismatch.found,
                expected: mismatch.expected,
            })?;
        self.rows.push((**row).clone());
        Ok(())
    }

    /// Encodes the rows, and returns the file to put in place.
    pub(crate) fn finish(self) -> io::Result<AtomicFile> {
        let Self {
            file,
            mut rows,
            fields,
            ..
        } = self;
        let of_arrow = |error: arrow_schema::ArrowError| io::Error::other(error);
        let of_parquet = |error: ParquetError| match error {
            ParquetError::External(error) => match error.downcast::<io::Error>() {
                Ok(error) => *error,
                Err(error) => io::Error::other(error),
            },
            error => io::Error::other(error),
        };
        let schema = Arc::new(Schema::new(arrow_fields(&fields)));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
            .build();
        // The types of Parquet say everything; how wide our offsets are in
        // memory is nobody's business.
        let options = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_skip_arrow_metadata(true);
        let mut writer =
            ArrowWriter::try_new_with_options(file, schema.clone(), options).map_err(of_parquet)?;
        // Taken from the end, so that written rows do not stay in memory.
        rows.reverse();
        while !rows.is_empty() {
            let batch = rows.split_off(rows.len().saturating_sub(BATCH));
            let values: Vec<_> = batch.iter().rev().map(Some).collect();
            let batch = RecordBatch::try_new(schema.clone(), arrays(&fields, &values));
            writer
                .write(&batch.map_err(of_arrow)?)
                .map_err(of_parquet)?;
        }
        writer.into_inner().map_err(of_parquet)
    }
}

fn arrow_fields(fields: &Fields) -> Vec<Field> {
    fields
        .iter()
        .map(|(name, of)| Field::new(name, arrow_type(of), true))
        .collect()
}

fn arrow_type(of: &ColumnType) -> DataType {
    match of {
        ColumnType::Unknown => DataType::Null,
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Integer { .. } => DataType::Int64,
        ColumnType::Float => DataType::Float64,
        ColumnType::Text => DataType::LargeUtf8,
        ColumnType::List(element) => DataType::List(Arc::new(element_field(element))),
        ColumnType::Struct(fields) => DataType::Struct(arrow_fields(fields).into()),
    }
}

/// The name is the one that the Parquet format gives elements of lists.
fn element_field(element: &ColumnType) -> Field {
    Field::new("element", arrow_type(element), true)
}

/// One array a field, each as long as `objects`.
fn arrays(fields: &Fields, objects: &[Option<&Map<String, Value>>]) -> Vec<ArrayRef> {
    fields
        .iter()
        .map(|(name, of)| {
            let values: Vec<_> = objects
                .iter()
                .map(|object| object.and_then(|object| object.get(name)))
                .collect();
            array(of, &values)
        })
        .collect()
}

/// Values as an array of the type that they share; what is not there is null.
fn array(of: &ColumnType, values: &[Option<&Value>]) -> ArrayRef {
    let each = || values.iter().copied();
    match of {
        ColumnType::Unknown => Arc::new(NullArray::new(values.len())),
        ColumnType::Bool => {
            let bools = each().map(|value| value.and_then(Value::as_bool));
            Arc::new(bools.collect::<BooleanArray>())
        }
        ColumnType::Integer { .. } => {
            let integers = each().map(|value| value.and_then(Value::as_i64));
            Arc::new(integers.collect::<Int64Array>())
        }
        ColumnType::Float => {
            let floats = each().map(|value| value.and_then(Value::as_f64));
            Arc::new(floats.collect::<Float64Array>())
        }
        ColumnType::Text => {
            let texts = each().map(|value| value.and_then(Value::as_str));
            Arc::new(texts.collect::<LargeStringArray>())
        }
        ColumnType::List(element) => {
            let lists: Vec<_> = each()
                .map(|value| value.and_then(Value::as_array))
                .collect();
            let lengths = lists.iter().map(|list| list.map_or(0, Vec::len));
            let elements: Vec<_> = lists
                .iter()
                .copied()
                .flatten()
                .flatten()
                .map(Some)
                .collect();
            Arc::new(ListArray::new(
                Arc::new(element_field(element)),
                OffsetBuffer::from_lengths(lengths),
                array(element, &elements),
                Some(lists.iter().map(Option::is_some).collect::<NullBuffer>()),
            ))
        }
        ColumnType::Struct(fields) => {
            let objects: Vec<_> = each()
                .map(|value| value.and_then(Value::as_object))
                .collect();
            Arc::new(StructArray::new(
                arrow_fields(fields).into(),
                arrays(fields, &objects),
                Some(objects.iter().map(Option::is_some).collect::<NullBuffer>()),
            ))
        }
    }
}
