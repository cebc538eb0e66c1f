//! Values of Arrow's columns as the JSON that they stand for.

use std::fmt;

use arrow_array::cast::AsArray;
use arrow_array::temporal_conversions as temporal;
use arrow_array::types::{
    Date32Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Float16Type,
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Time32MillisecondType,
    Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrayRef, StructArray};
use arrow_schema::{DataType, Field, TimeUnit};
use serde_json::{Map, Number, Value};

use crate::DataError;
use crate::json_text::{Extent, MAX_ROW_BYTES, MAX_ROW_VALUES};
use crate::row::Location;

/// Marks fields whose texts are JSON, in their metadata.
pub(crate) const JSON_TEXT: &str = "iwsft.json";

/// Digits of a decimal that a 64-bit float gives back as they were.
const DIGITS: usize = 15;

/// Where in a row a value stands: `messages[2].content`.
pub(crate) enum Place<'a> {
    Column(&'a str),
    Element(&'a Place<'a>, usize),
    Field(&'a Place<'a>, &'a str),
}

impl Place<'_> {
    /// Whether messages of a conversation stand here.
    fn is_in_column(&self) -> bool {
        matches!(self, Self::Element(Self::Column(_), _))
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column(name) => f.write_str(name),
            Self::Element(list, index) => write!(f, "{list}[{index}]"),
            Self::Field(of, name) => write!(f, "{of}.{name}"),
        }
    }
}

/// Makes the values of one row, and counts them.
pub(crate) struct Cell<'a> {
    at: &'a Location,
    values: usize,
    bytes: usize,
}

impl<'a> Cell<'a> {
    pub(crate) fn new(at: &'a Location) -> Self {
        Self {
            at,
            values: 0,
            bytes: 0,
        }
    }

    /// Counts values, and bytes of text, before there are any.
    fn take(&mut self, values: usize, bytes: usize) -> Result<(), DataError> {
        self.values = self.values.saturating_add(values);
        self.bytes = self.bytes.saturating_add(bytes);
        let at = || self.at.clone();
        if self.values > MAX_ROW_VALUES {
            let limit = MAX_ROW_VALUES;
            return Err(DataError::TooManyValues { at: at(), limit });
        }
        if self.bytes > MAX_ROW_BYTES {
            let limit = MAX_ROW_BYTES;
            return Err(DataError::RowTooLong { at: at(), limit });
        }
        Ok(())
    }

    /// The value of row `index`.
    pub(crate) fn value(
        &mut self,
        field: &Field,
        array: &ArrayRef,
        index: usize,
        place: &Place<'_>,
    ) -> Result<Value, DataError> {
        self.take(1, 0)?;
        if array.is_null(index) {
            return Ok(Value::Null);
        }
        macro_rules! integer {
            ($type:ty) => {
                Ok(array.as_primitive::<$type>().value(index).into())
            };
        }
        macro_rules! decimal {
            ($type:ty) => {
                self.decimal(array.as_primitive::<$type>().value_as_string(index), place)
            };
        }
        macro_rules! time {
            ($type:ty, $convert:path) => {
                match $convert(array.as_primitive::<$type>().value(index).into()) {
                    Some(time) => Ok(time),
                    None => Err(self.unsupported("a time beyond the calendar", place)),
                }
            };
        }
        match field.data_type() {
            DataType::Null => Ok(Value::Null),
            DataType::Boolean => Ok(array.as_boolean().value(index).into()),
            DataType::Int8 => integer!(Int8Type),
            DataType::Int16 => integer!(Int16Type),
            DataType::Int32 => integer!(Int32Type),
            DataType::Int64 => integer!(Int64Type),
            DataType::UInt8 => integer!(UInt8Type),
            DataType::UInt16 => integer!(UInt16Type),
            DataType::UInt32 => integer!(UInt32Type),
            DataType::UInt64 => integer!(UInt64Type),
            DataType::Float16 => {
                let half = array.as_primitive::<Float16Type>().value(index);
                self.float(half.to_f64(), place)
            }
            DataType::Float32 => {
                let single = array.as_primitive::<Float32Type>().value(index);
                self.float(single.into(), place)
            }
            DataType::Float64 => {
                self.float(array.as_primitive::<Float64Type>().value(index), place)
            }
            DataType::Decimal32(..) => decimal!(Decimal32Type),
            DataType::Decimal64(..) => decimal!(Decimal64Type),
            DataType::Decimal128(..) => decimal!(Decimal128Type),
            DataType::Decimal256(..) => decimal!(Decimal256Type),
            DataType::Utf8View => {
                let text = array.as_string_view().value(index);
                self.take(0, text.len())?;
                match field.metadata().contains_key(JSON_TEXT) {
                    true => self.json(text, place),
                    false => Ok(text.into()),
                }
            }
            DataType::Date32 => {
                let day = time!(Date32Type, temporal::date32_to_datetime)?;
                Ok(day.date().to_string().into())
            }
            DataType::Time32(_) => {
                let time = time!(Time32MillisecondType, temporal::time32ms_to_time)?;
                Ok(time.to_string().into())
            }
            DataType::Time64(TimeUnit::Microsecond) => {
                let time = time!(Time64MicrosecondType, temporal::time64us_to_time)?;
                Ok(time.to_string().into())
            }
            DataType::Time64(_) => {
                let time = time!(Time64NanosecondType, temporal::time64ns_to_time)?;
                Ok(time.to_string().into())
            }
            DataType::Timestamp(unit, zone) => {
                let time = match unit {
                    TimeUnit::Millisecond => {
                        time!(TimestampMillisecondType, temporal::timestamp_ms_to_datetime)?
                    }
                    TimeUnit::Microsecond => {
                        time!(TimestampMicrosecondType, temporal::timestamp_us_to_datetime)?
                    }
                    _ => time!(TimestampNanosecondType, temporal::timestamp_ns_to_datetime)?,
                };
                // In Parquet times are UTC, or of no zone.
                let zone = if zone.is_some() { "Z" } else { "" };
                Ok(format!("{time:?}{zone}").into())
            }
            DataType::List(element) => {
                self.list(element, &array.as_list::<i32>().value(index), place)
            }
            DataType::LargeList(element) => {
                self.list(element, &array.as_list::<i64>().value(index), place)
            }
            DataType::FixedSizeList(element, _) => {
                self.list(element, &array.as_fixed_size_list().value(index), place)
            }
            DataType::Struct(_) => self.object(array.as_struct(), index, place),
            DataType::Map(..) => self.map(&array.as_map().value(index), place),
            DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                Err(self.unsupported("binary", place))
            }
            DataType::Interval(_) => Err(self.unsupported("an interval of time", place)),
            other => Err(self.unsupported(&other.to_string(), place)),
        }
    }

    fn list(
        &mut self,
        field: &Field,
        elements: &ArrayRef,
        place: &Place<'_>,
    ) -> Result<Value, DataError> {
        // Looked at before the list is made.
        self.take(elements.len(), 0)?;
        self.values -= elements.len();
        (0..elements.len())
            .map(|index| self.value(field, elements, index, &Place::Element(place, index)))
            .collect()
    }

    fn object(
        &mut self,
        fields: &StructArray,
        index: usize,
        place: &Place<'_>,
    ) -> Result<Value, DataError> {
        let mut object = Map::new();
        // A struct has all of its fields in every row: null is how a writer says that
        // a message has no `tool_calls`, or a call no such argument. A message's own
        // `content` is kept, as in JSON, where templates tell null from absent.
        let is_message = place.is_in_column() && fields.column_by_name("role").is_some();
        for (field, array) in fields.fields().iter().zip(fields.columns()) {
            let name = field.name();
            if array.is_null(index) && !(is_message && name == "content") {
                continue;
            }
            let value = self.value(field, array, index, &Place::Field(place, name))?;
            object.insert(name.clone(), value);
        }
        Ok(Value::Object(object))
    }

    fn map(&mut self, entries: &StructArray, place: &Place<'_>) -> Result<Value, DataError> {
        let ([key, field], [keys, values]) = (&entries.fields()[..], entries.columns()) else {
            return Err(self.unsupported("a map without values", place));
        };
        if *key.data_type() != DataType::Utf8View {
            return Err(self.unsupported("a map whose keys are no text", place));
        }
        self.take(entries.len(), 0)?;
        let keys = keys.as_string_view();
        let mut object = Map::new();
        for index in 0..entries.len() {
            let key = keys.value(index);
            self.take(0, key.len())?;
            let value = self.value(field, values, index, &Place::Field(place, key))?;
            object.insert(key.to_owned(), value);
        }
        Ok(Value::Object(object))
    }

    /// What a text of JSON says.
    fn json(&mut self, text: &str, place: &Place<'_>) -> Result<Value, DataError> {
        let mut extent = Extent::default();
        for byte in text.bytes() {
            extent.take(byte);
        }
        extent.check(self.at)?;
        self.take(extent.values(), 0)?;
        serde_json::from_str(text).map_err(|error| DataError::JsonColumn {
            at: self.at.clone(),
            column: place.to_string(),
            reason: error.to_string(),
        })
    }

    fn float(&self, wide: f64, place: &Place<'_>) -> Result<Value, DataError> {
        match Number::from_f64(wide) {
            Some(number) => Ok(Value::Number(number)),
            None => Err(DataError::NotFinite {
                at: self.at.clone(),
                column: place.to_string(),
                found: wide.to_string(),
            }),
        }
    }

    /// A decimal as a number, where one has all of its digits.
    fn decimal(&self, text: String, place: &Place<'_>) -> Result<Value, DataError> {
        if let Ok(integer) = text.parse::<i64>() {
            return Ok(integer.into());
        }
        let digits = text.trim_start_matches(['-', '0', '.']);
        let digits = digits.bytes().filter(u8::is_ascii_digit).count();
        match text.parse() {
            Ok(wide) if digits <= DIGITS => self.float(wide, place),
            _ => Err(self.unsupported(
                &format!("the decimal {text}, which has more digits than a 64-bit number"),
                place,
            )),
        }
    }

    fn unsupported(&self, found: &str, place: &Place<'_>) -> DataError {
        DataError::WrongType {
            at: self.at.clone(),
            column: place.to_string(),
            found: found.to_owned(),
            expected: "text, numbers, bools, dates, lists or structs of them",
        }
    }
}
