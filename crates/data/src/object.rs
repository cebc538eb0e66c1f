//! A row that is handed on as it came.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

/// The columns of a row in order: to look at, they are a map of values.
///
/// A value holds numbers as 64-bit integers and floats. A column with numbers that
/// these would write otherwise, such as `12345678901234567890123`, `1e-05` or
/// `1.10`, keeps its text too, and is written as it stood until it is replaced.
#[derive(Debug, Clone, Default)]
pub struct Object {
    values: Map<String, Value>,
    texts: BTreeMap<String, Box<RawValue>>,
}

impl Object {
    /// The values that were parsed of `text`, with what they do not say.
    pub(crate) fn with_texts(values: Map<String, Value>, text: &str) -> Self {
        let mut object = Self::from(values);
        if !says_more(text) {
            return object;
        }
        // Sound JSON, as it was parsed before.
        let Ok(columns) = serde_json::from_str::<Columns<'_>>(text) else {
            return object;
        };
        for (name, text) in columns.0 {
            // Of a name that comes twice the last counts, as in the values.
            match says_more(text.get()) {
                true => object.texts.insert(name, text.to_owned()),
                false => object.texts.remove(&name),
            };
        }
        object
    }

    /// A column's JSON text, where its value does not say everything.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(|text| text.get())
    }

    /// A column's JSON text: of a number, just as it was written.
    pub fn written(&self, name: &str) -> Option<Cow<'_, str>> {
        let value = self.values.get(name)?;
        Some(match self.text(name) {
            Some(text) => text.into(),
            None => value.to_string().into(),
        })
    }

    /// The columns as values, where a number that no value holds is a text.
    pub fn spelt(&self) -> Cow<'_, Map<String, Value>> {
        let mut spelt = Cow::Borrowed(&self.values);
        for (name, text) in &self.texts {
            if spelt.get(name).is_some_and(Value::is_number) {
                spelt.to_mut().insert(name.clone(), text.get().into());
            }
        }
        spelt
    }

    /// Sets a column, in its place where there is one, or behind the others.
    pub fn insert(&mut self, name: impl Into<String>, value: Value) {
        let name = name.into();
        self.texts.remove(&name);
        self.values.insert(name, value);
    }

    /// Takes a column out; the others keep their order.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        self.texts.remove(name);
        self.values.shift_remove(name)
    }

    /// Sets all columns of `other`.
    pub fn extend(&mut self, other: Object) {
        for name in other.values.keys() {
            self.texts.remove(name);
        }
        self.values.extend(other.values);
        self.texts.extend(other.texts);
    }

    /// The columns as values.
    pub fn into_values(self) -> Map<String, Value> {
        self.values
    }
}

impl Deref for Object {
    type Target = Map<String, Value>;

    fn deref(&self) -> &Self::Target {
        &self.values
    }
}

impl From<Map<String, Value>> for Object {
    fn from(values: Map<String, Value>) -> Self {
        Self {
            values,
            texts: BTreeMap::new(),
        }
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.values.len()))?;
        for (name, value) in &self.values {
            match self.texts.get(name) {
                Some(text) => map.serialize_entry(name, text)?,
                None => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    }
}

/// Of JSON text only, as [`RawValue`].
impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let values = serde_json::from_str(text.get()).map_err(serde::de::Error::custom)?;
        Ok(Self::with_texts(values, text.get()))
    }
}

/// The columns of a row by their text, in order.
struct Columns<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Columns<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Columns<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut columns = Vec::new();
                while let Some(column) = map.next_entry()? {
                    columns.push(column);
                }
                Ok(Columns(columns))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// The numbers of a JSON text, as they are written.
pub(crate) fn numbers(json: &str) -> impl Iterator<Item = &str> {
    let is_number = |byte: u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    let mut rest = json;
    std::iter::from_fn(move || {
        loop {
            let start = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit())?;
            rest = &rest[start..];
            if let Some(text) = rest.strip_prefix('"') {
                rest = behind_string(text);
                continue;
            }
            let length = rest.bytes().take_while(|&byte| is_number(byte)).count();
            let (number, behind) = rest.split_at(length);
            rest = behind;
            return Some(number);
        }
    })
}

/// What follows a string, of which the opening quote is gone.
fn behind_string(text: &str) -> &str {
    let mut escaped = false;
    let end = text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map_or("", |end| &text[end + 1..])
}

/// Whether a number is an integer that 64 bits do not hold.
pub(crate) fn is_huge_integer(number: &str) -> bool {
    // Up to 18 digits are below 2^63.
    number.len() > 18
        && number
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'-')
        && number.parse::<i64>().is_err()
        && number.parse::<u64>().is_err()
}

/// Whether a value of this text would be written with other numbers.
fn says_more(json: &str) -> bool {
    numbers(json).any(|number| {
        let is_integer = number
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'-');
        if is_integer {
            return number == "-0" || is_huge_integer(number);
        }
        let wide = number.parse().ok().and_then(Number::from_f64);
        wide.is_none_or(|wide| wide.to_string() != number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn object(text: &str) -> Object {
        Object::with_texts(serde_json::from_str(text).unwrap(), text)
    }

    fn written(object: &Object) -> String {
        serde_json::to_string(object).unwrap()
    }

    #[test]
    fn numbers_are_written_as_they_stood() {
        for text in [
            r#"{"n":12345678901234567890123,"x":10928588.983213553}"#,
            r#"{"a":[1e-05,1.10,-0],"b":{"c":1E400e},"d":"1.10"}"#
                .replace("1E400e", "1E40")
                .as_str(),
            r#"{"a":18446744073709551615,"b":18446744073709551616}"#,
            r#"{"a\"1.10":0.1,"é":-1.0e+3}"#,
        ] {
            assert_eq!(written(&object(text)), text);
        }
    }

    #[test]
    fn only_columns_that_need_it_keep_their_text() {
        let object = object(r#"{"a": 1.5, "b": 1.50, "c": "1.50", "d": [1, 2]}"#);
        let kept: Vec<&str> = object.keys().map(String::as_str).collect();
        let texts: Vec<_> = kept.iter().map(|name| object.text(name)).collect();
        assert_eq!(texts, [None, Some("1.50"), None, None]);
        assert_eq!(object.written("b").unwrap(), "1.50");
        assert_eq!(object.written("d").unwrap(), "[1,2]");
    }

    #[test]
    fn a_column_that_is_replaced_or_taken_out_forgets_its_text() {
        let mut row = object(r#"{"a":1.10,"b":1.10,"c":1.10}"#);
        row.insert("a", 2.into());
        row.remove("b");
        row.extend(object(r#"{"c":3}"#));
        assert_eq!(written(&row), r#"{"a":2,"c":3}"#);
        row.extend(object(r#"{"a":4.0e1}"#));
        assert_eq!(written(&row), r#"{"a":4.0e1,"c":3}"#);
    }

    #[test]
    fn of_a_name_that_comes_twice_the_last_counts() {
        assert_eq!(written(&object(r#"{"a":1.10,"a":2}"#)), r#"{"a":2}"#);
        assert_eq!(written(&object(r#"{"a":2,"a":1.10}"#)), r#"{"a":1.10}"#);
    }

    proptest! {
        #[test]
        fn every_double_and_every_integer_passes_unchanged(
            doubles in proptest::collection::vec(proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL, 1..20),
            integers in proptest::collection::vec("-?[1-9][0-9]{0,60}", 1..20),
        ) {
            let doubles: Vec<String> = doubles.iter().map(|&wide| serde_json::to_string(&wide).unwrap()).collect();
            let text = format!("{{\"x\":[{}],\"n\":[{}]}}", doubles.join(","), integers.join(","));
            prop_assert_eq!(written(&object(&text)), text);
        }
    }
}
