//! Parquet files, row by row, as the same JSON objects that JSONL holds.

use std::collections::HashMap;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Fields, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{ConvertedType, LogicalType};
use parquet::errors::ParquetError;
use parquet::schema::types::ColumnDescriptor;

use crate::DataError;
use crate::arrow_value::{Cell, JSON_TEXT, Place};
use crate::columns::Columns;
use crate::json_text::MAX_DEPTH;
use crate::object::Object;
use crate::parquet_pages::{GroupSize, group_size};
use crate::reader::ReadObject;
use crate::row::Location;

/// Rows that are decoded at a time, where they are small.
const BATCH_ROWS: u64 = 1024;

/// Unpacked bytes, and values, that are decoded at a time, unless one row has more.
const BATCH_BYTES: u64 = 32 << 20;
const BATCH_VALUES: u64 = 1 << 20;

/// The rows of a Parquet file, with only the columns that are asked for, or all.
pub(crate) struct ParquetRows {
    from: File,
    metadata: ArrowReaderMetadata,
    /// Which columns are read.
    columns: ProjectionMask,
    /// Columns that are left out where they hold what cannot be decoded.
    perhaps: Vec<String>,
    file: Arc<Path>,
    /// The row group to read next.
    group: usize,
    reader: Option<ParquetRecordBatchReader>,
    batch: Option<RecordBatch>,
    /// The row to hand out next, of the batch, and of the file from 1.
    next: usize,
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
        let metadata = guarded(&at, || metadata(&from))?;
        let names: Vec<_> = metadata
            .schema()
            .fields()
            .iter()
            .map(|f| f.name())
            .collect();
        let wanted: Vec<usize> = match columns {
            None => (0..names.len()).collect(),
            Some(columns) => {
                let mut wanted = columns.all();
                wanted.extend(columns.perhaps());
                let is_wanted = |index: &usize| wanted.contains(&names[*index].as_str());
                (0..names.len()).filter(is_wanted).collect()
            }
        };
        if let (true, Some(columns)) = (wanted.is_empty(), columns) {
            let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            return Err(DataError::NoText {
                at,
                expected: columns.forms(),
                found: names.join(", "),
                remedy: "name the columns in `columns`".to_owned(),
            });
        }
        let perhaps = match columns {
            None => Vec::new(),
            Some(columns) => {
                let asked = columns.all();
                let perhaps = columns.perhaps().into_iter();
                let perhaps = perhaps.filter(|name| !asked.contains(name));
                perhaps.map(str::to_owned).collect()
            }
        };
        for &index in &wanted {
            check_depth(&at, &metadata.schema().fields()[index])?;
        }
        Ok(ParquetRows {
            columns: ProjectionMask::roots(metadata.parquet_schema(), wanted),
            perhaps,
            from,
            metadata,
            file,
            group: 0,
            reader: None,
            batch: None,
            next: 0,
            row: 0,
            over: false,
        })
    }

    /// Sees to it that there is a row to hand out; false at the end.
    fn fill(&mut self) -> Result<bool, DataError> {
        let at = self.here();
        loop {
            if let Some(batch) = &self.batch
                && self.next < batch.num_rows()
            {
                return Ok(true);
            }
            self.batch = None;
            self.next = 0;
            if let Some(reader) = &mut self.reader {
                self.batch = guarded(&at, || Ok(reader.next().transpose()?))?;
                if self.batch.is_none() {
                    self.reader = None;
                }
                continue;
            }
            if self.group == self.metadata.metadata().num_row_groups() {
                return Ok(false);
            }
            let size = group_size(&at, &self.from, &self.metadata, self.group, &self.columns)?;
            self.reader = Some(guarded(&at, || self.open_group(&size))?);
            self.group += 1;
        }
    }

    fn open_group(&self, size: &GroupSize) -> parquet::errors::Result<ParquetRecordBatchReader> {
        let from = self.from.try_clone()?;
        ParquetRecordBatchReaderBuilder::new_with_metadata(from, self.metadata.clone())
            .with_projection(self.columns.clone())
            .with_row_groups(vec![self.group])
            .with_batch_size(batch_rows(size))
            .build()
    }

    fn here(&self) -> Location {
        Location {
            file: self.file.clone(),
            line: self.row,
        }
    }

    /// The next row.
    fn object(&self) -> Result<Object, DataError> {
        let at = self.here();
        let mut object = serde_json::Map::new();
        let Some(batch) = &self.batch else {
            return Ok(object.into());
        };
        let mut cell = Cell::new(&at);
        let schema = batch.schema_ref();
        for (field, column) in schema.fields().iter().zip(batch.columns()) {
            let name = field.name();
            match cell.value(field, column, self.next, &Place::Column(name)) {
                Ok(value) => {
                    object.insert(name.clone(), value);
                }
                Err(_) if self.perhaps.contains(name) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(object.into())
    }
}

impl Iterator for ParquetRows {
    type Item = ReadObject;

    fn next(&mut self) -> Option<ReadObject> {
        if self.over {
            return None;
        }
        self.row += 1;
        match self.fill() {
            Ok(true) => {
                let object = self.object();
                self.next += 1;
                Some(object.map(|object| (self.here(), object)))
            }
            Ok(false) => {
                self.over = true;
                None
            }
            Err(error) => {
                self.over = true;
                Some(Err(error))
            }
        }
    }
}

/// What the file's footer says, with types that are read as they are meant: texts as
/// views of what the file has, so that a text that comes a million times is there
/// once, and texts of JSON marked. What Arrow noted of its own types in memory has
/// no say, as the types of Parquet say everything.
fn metadata(from: &File) -> parquet::errors::Result<ArrowReaderMetadata> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let plain = ArrowReaderMetadata::load(from, options)?;
    let mut leaves = plain
        .parquet_schema()
        .columns()
        .iter()
        .map(|leaf| is_json(leaf));
    let fields: Fields = plain
        .schema()
        .fields()
        .iter()
        .map(|field| readable(field, &mut leaves))
        .collect();
    let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)));
    ArrowReaderMetadata::try_new(plain.metadata().clone(), options)
}

fn is_json(leaf: &ColumnDescriptor) -> bool {
    matches!(leaf.logical_type_ref(), Some(LogicalType::Json))
        || leaf.converted_type() == ConvertedType::JSON
}

fn readable(field: &Field, leaves: &mut dyn Iterator<Item = bool>) -> Field {
    let mut inner = |field: &Field| Arc::new(readable(field, leaves));
    let (of, is_json) = match field.data_type() {
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|field| inner(field)).collect();
            (DataType::Struct(fields), false)
        }
        DataType::List(element) => (DataType::List(inner(element)), false),
        DataType::LargeList(element) => (DataType::LargeList(inner(element)), false),
        DataType::FixedSizeList(element, size) => {
            (DataType::FixedSizeList(inner(element), *size), false)
        }
        DataType::Map(entries, sorted) => (DataType::Map(inner(entries), *sorted), false),
        leaf => {
            let is_json = leaves.next().unwrap_or(false);
            let of = match leaf {
                DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
                DataType::Binary | DataType::LargeBinary if is_json => DataType::Utf8View,
                DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
                other => other.clone(),
            };
            (of, is_json)
        }
    };
    let metadata = match is_json {
        true => HashMap::from([(JSON_TEXT.to_owned(), String::new())]),
        false => HashMap::new(),
    };
    Field::new(field.name(), of, field.is_nullable()).with_metadata(metadata)
}

/// Refuses columns that go deeper than rows of JSON may.
fn check_depth(at: &Location, field: &Field) -> Result<(), DataError> {
    fn depth(of: &DataType) -> usize {
        match of {
            DataType::Struct(fields) => {
                1 + fields
                    .iter()
                    .map(|f| depth(f.data_type()))
                    .max()
                    .unwrap_or(0)
            }
            DataType::List(inner)
            | DataType::LargeList(inner)
            | DataType::FixedSizeList(inner, _) => 1 + depth(inner.data_type()),
            // An object: its entries are no list of their own.
            DataType::Map(entries, _) => depth(entries.data_type()),
            _ => 0,
        }
    }
    let depth = 1 + depth(field.data_type());
    if depth <= MAX_DEPTH {
        return Ok(());
    }
    Err(DataError::TooDeep {
        at: at.clone(),
        column: field.name().clone(),
        depth,
        limit: MAX_DEPTH,
    })
}

/// So many rows of a row group that they fit into memory together.
fn batch_rows(size: &GroupSize) -> usize {
    let share = |limit: u64, of: u64| {
        let rows = u128::from(limit) * u128::from(size.rows) / u128::from(of.max(1));
        u64::try_from(rows).unwrap_or(u64::MAX)
    };
    BATCH_ROWS
        .min(share(BATCH_BYTES, size.bytes))
        .min(share(BATCH_VALUES, size.values))
        // Large pages may be few rows, whatever the mean of all.
        .min(2 * BATCH_BYTES / size.largest_page.max(1))
        .min(BATCH_VALUES / size.longest_row.max(1))
        .max(1) as usize
}

/// Runs the decoder, which returns errors for most damaged files and panics
/// on some: to the user both are a file that cannot be read.
pub(crate) fn guarded<T>(
    at: &Location,
    decode: impl FnOnce() -> parquet::errors::Result<T>,
) -> Result<T, DataError> {
    let reason = match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(Ok(decoded)) => return Ok(decoded),
        Ok(Err(ParquetError::ArrowError(reason))) => reason,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the decoder gave up on damaged content".to_owned(),
    };
    Err(DataError::Parquet {
        at: at.clone(),
        reason: reason
            .replace("Parquet error: ", "")
            .replace("Parquet argument error: ", ""),
    })
}
