//! The one type that all values of a Parquet column share.

use serde_json::{Map, Number, Value};

use crate::row::describe;

/// Integers up to this are exact as 64-bit floats.
const EXACT: u64 = 1 << 53;

/// What a column holds, as far as its values have told. Every value may also
/// be null.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum ColumnType {
    /// Only nulls, or objects without fields, so far.
    #[default]
    Unknown,
    Bool,
    /// 64 bits with a sign. A column with fractions too becomes `Float`, if
    /// its integers are all `exact` as such.
    Integer {
        exact: bool,
    },
    Float,
    Text,
    List(Box<ColumnType>),
    Struct(Fields),
}

/// Columns by name, in the order in which they first came.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Fields(Vec<(String, ColumnType)>);

/// A value that does not fit the ones before it.
#[derive(Debug)]
pub(crate) struct Mismatch {
    /// Names on the way to the value, the innermost first.
    path: Vec<String>,
    pub(crate) found: String,
    pub(crate) expected: String,
}

impl Mismatch {
    /// `messages[].content`
    pub(crate) fn column(&self) -> String {
        let mut column = String::new();
        for name in self.path.iter().rev() {
            if !column.is_empty() && name != "[]" {
                column.push('.');
            }
            column.push_str(name);
        }
        column
    }

    fn inside(mut self, name: &str) -> Self {
        self.path.push(name.to_owned());
        self
    }
}

impl Fields {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &ColumnType)> {
        self.0.iter().map(|(name, of)| (name.as_str(), of))
    }

    /// Makes room for an object. On a mismatch some of its fields may have
    /// been taken in.
    pub(crate) fn widen(&mut self, object: &Map<String, Value>) -> Result<(), Mismatch> {
        for (i, (name, value)) in object.iter().enumerate() {
            // Objects mostly have the same fields in the same order.
            let likely = self.0.get(i).is_some_and(|(known, _)| known == name);
            let index = if likely {
                i
            } else if let Some(known) = self.0.iter().position(|(known, _)| known == name) {
                known
            } else {
                self.0.push((name.clone(), ColumnType::Unknown));
                self.0.len() - 1
            };
            let (_, column) = &mut self.0[index];
            column.widen(value).map_err(|error| error.inside(name))?;
        }
        Ok(())
    }
}

impl ColumnType {
    /// Makes room for a value.
    fn widen(&mut self, value: &Value) -> Result<(), Mismatch> {
        match (&mut *self, value) {
            (_, Value::Null) => {}
            (Self::Unknown, Value::Object(object)) if object.is_empty() => {}
            (Self::Unknown, value) => {
                *self = match value {
                    Value::Null => Self::Unknown,
                    Value::Bool(_) => Self::Bool,
                    Value::Number(number) if number.is_f64() => Self::Float,
                    Value::Number(_) => Self::Integer { exact: true },
                    Value::String(_) => Self::Text,
                    Value::Array(_) => Self::List(Box::default()),
                    Value::Object(_) => Self::Struct(Fields::default()),
                };
                self.widen(value)?;
            }
            (Self::Bool, Value::Bool(_)) | (Self::Text, Value::String(_)) => {}
            (Self::Integer { exact }, Value::Number(number)) if !number.is_f64() => {
                if number.as_i64().is_none() {
                    return Err(self.mismatch(value));
                }
                *exact &= is_exact(number);
            }
            (Self::Integer { exact: true }, Value::Number(_)) => *self = Self::Float,
            (Self::Float, Value::Number(number)) if is_exact(number) => {}
            (Self::List(element), Value::Array(list)) => {
                for value in list {
                    element.widen(value).map_err(|error| error.inside("[]"))?;
                }
            }
            (Self::Struct(fields), Value::Object(object)) => fields.widen(object)?,
            _ => return Err(self.mismatch(value)),
        }
        Ok(())
    }

    fn mismatch(&self, value: &Value) -> Mismatch {
        let expected = match self {
            Self::Unknown => "null",
            Self::Bool => "a bool, as in the rows before",
            Self::Integer { .. } => "an integer below 2^63, as in the rows before",
            Self::Float if value.is_number() => {
                "a number that a 64-bit float holds exactly, as the column has fractions"
            }
            Self::Float => "a number, as in the rows before",
            Self::Text => "a string, as in the rows before",
            Self::List(_) => "a list, as in the rows before",
            Self::Struct(_) => "an object, as in the rows before",
        };
        Mismatch {
            path: Vec::new(),
            found: describe(value),
            expected: expected.to_owned(),
        }
    }
}

/// Whether a 64-bit float holds the number as it is.
fn is_exact(number: &Number) -> bool {
    match number.as_i64() {
        Some(integer) => integer.unsigned_abs() <= EXACT,
        None => number.is_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn widened(rows: &[Value]) -> Result<Fields, Mismatch> {
        let mut fields = Fields::default();
        for row in rows {
            fields.widen(row.as_object().unwrap())?;
        }
        Ok(fields)
    }

    #[test]
    fn columns_keep_the_order_in_which_they_came_and_nulls_tell_nothing() {
        let fields = widened(&[
            json!({"b": null, "a": []}),
            json!({"c": true, "b": 1, "a": [{"x": "y"}]}),
        ])
        .unwrap();
        let names: Vec<&str> = fields.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["b", "a", "c"]);
        let types: Vec<&ColumnType> = fields.iter().map(|(_, of)| of).collect();
        assert_eq!(*types[0], ColumnType::Integer { exact: true });
        let element = Fields(vec![("x".to_owned(), ColumnType::Text)]);
        let list = ColumnType::List(Box::new(ColumnType::Struct(element)));
        assert_eq!(*types[1], list);
    }

    #[test]
    fn integers_and_fractions_become_floats_in_either_order() {
        for rows in [
            [json!({"a": 1}), json!({"a": 0.5})],
            [json!({"a": 0.5}), json!({"a": 1})],
        ] {
            assert_eq!(widened(&rows).unwrap().0[0].1, ColumnType::Float);
        }
    }

    #[test]
    fn a_number_that_would_change_in_the_column_is_refused() {
        let large = (1_i64 << 53) + 1;
        for rows in [
            vec![json!({"a": large}), json!({"a": 0.5})],
            vec![json!({"a": 0.5}), json!({"a": large})],
            vec![json!({"a": u64::MAX})],
        ] {
            assert_eq!(widened(&rows).unwrap_err().column(), "a");
        }
        widened(&[json!({"a": large}), json!({"a": -1})]).unwrap();
    }

    #[test]
    fn a_mismatch_tells_the_way_to_the_value() {
        let rows = [
            json!({"messages": [{"calls": [[{"x": "text"}]]}]}),
            json!({"messages": [{"calls": [[{"x": 7}]]}]}),
        ];
        let mismatch = widened(&rows).unwrap_err();
        assert_eq!(mismatch.column(), "messages[].calls[][].x");
        assert_eq!(mismatch.found, "the number 7");
        assert!(mismatch.expected.contains("string"));
    }
}
