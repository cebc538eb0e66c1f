//! JSON as Python's `json` module reads and writes it.

use serde_json::{Map, Value as Json};

use crate::budget::{Budget, VALUE_DEPTH};
use crate::error::{Fault, Result, fail};
use crate::text;
use crate::value::{Dict, Value};

/// What `json.loads` makes of a JSON value.
pub(crate) fn loads(json: &Json, budget: &mut Budget) -> Result<Value> {
    budget.spend(1)?;
    Ok(match json {
        Json::Null => Value::None,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => {
            let text = number.to_string();
            match text.parse::<i128>() {
                Ok(number) => Value::Int(number),
                Err(_) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            }
        }
        Json::String(text) => Value::text(text.as_str()),
        Json::Array(items) => {
            let items = items.iter().map(|item| loads(item, budget));
            Value::list(items.collect::<Result<_>>()?)?
        }
        Json::Object(map) => Value::dict(loads_dict(map, budget)?),
    })
}

/// What `json.loads` makes of a JSON object.
pub(crate) fn loads_dict(map: &Map<String, Json>, budget: &mut Budget) -> Result<Dict> {
    let mut dict = Dict::new();
    for (key, item) in map {
        dict.insert(Value::text(key.as_str()), loads(item, budget)?)?;
    }
    Ok(dict)
}

/// How `json.dumps` writes.
#[derive(Debug, Clone)]
pub(crate) struct Style {
    pub(crate) ascii: bool,
    pub(crate) indent: Option<String>,
    /// Between items, and between a key and its value.
    pub(crate) separators: (String, String),
    pub(crate) sort_keys: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            ascii: false,
            indent: None,
            separators: (", ".into(), ": ".into()),
            sort_keys: false,
        }
    }
}

/// `json.dumps`
pub(crate) fn dumps(value: &Value, style: &Style, budget: &mut Budget) -> Result<String> {
    let mut dump = Dump {
        out: String::new(),
        style,
        budget,
        paid: 0,
    };
    dump.value(value, 0)?;
    Ok(dump.out)
}

/// `json.dumps` under way.
struct Dump<'d> {
    out: String,
    style: &'d Style,
    budget: &'d mut Budget,
    /// Bytes of `out` that are paid for.
    paid: usize,
}

impl Dump<'_> {
    fn value(&mut self, value: &Value, depth: u32) -> Result<()> {
        if depth > VALUE_DEPTH {
            return Err(Fault::limit(
                "tojson is given a value that is nested too deeply",
            ));
        }
        self.budget.spend(1)?;
        self.budget.allocate(self.out.len() - self.paid)?;
        self.paid = self.out.len();
        match value {
            Value::None => self.out.push_str("null"),
            Value::Bool(flag) => self.out.push_str(if *flag { "true" } else { "false" }),
            Value::Int(number) => self.out.push_str(&number.to_string()),
            Value::Float(number) => self.out.push_str(&json_float(*number)),
            Value::Text(text) => self.string(&text.text),
            Value::List(list) | Value::Tuple(list) => {
                self.container('[', ']', &list.items, depth, |dump, item| {
                    dump.value(item, depth + 1)
                })?;
            }
            Value::Dict(dict) => {
                let mut entries = Vec::with_capacity(dict.len());
                for (key, item) in dict.entries() {
                    entries.push((key_text(key)?, item));
                }
                if self.style.sort_keys {
                    entries.sort_by(|left, right| left.0.cmp(&right.0));
                }
                self.container('{', '}', &entries, depth, |dump, (key, item)| {
                    dump.string(key);
                    dump.out.push_str(&dump.style.separators.1);
                    dump.value(item, depth + 1)
                })?;
            }
            other => fail!("Object of type {} is not JSON serializable", other.kind()),
        }
        Ok(())
    }

    fn container<T>(
        &mut self,
        open: char,
        close: char,
        items: &[T],
        depth: u32,
        mut write: impl FnMut(&mut Self, &T) -> Result<()>,
    ) -> Result<()> {
        self.out.push(open);
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push_str(&self.style.separators.0);
            }
            self.new_line(depth + 1)?;
            write(self, item)?;
        }
        if !items.is_empty() {
            self.new_line(depth)?;
        }
        self.out.push(close);
        Ok(())
    }

    fn new_line(&mut self, depth: u32) -> Result<()> {
        if let Some(indent) = &self.style.indent {
            self.budget.allocate(indent.len() * depth as usize)?;
            self.out.push('\n');
            self.out.push_str(&indent.repeat(depth as usize));
        }
        Ok(())
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                c if (c as u32) < 0x20 || (self.style.ascii && !(' '..='~').contains(&c)) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        self.out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }
}

fn json_float(number: f64) -> String {
    match text::float(number).as_str() {
        "nan" => "NaN".into(),
        "inf" => "Infinity".into(),
        "-inf" => "-Infinity".into(),
        text => text.into(),
    }
}

/// A key as `json.dumps` writes it, which makes strings of other scalars.
fn key_text(key: &Value) -> Result<String> {
    Ok(match key {
        Value::Text(text) => text.text.to_string(),
        Value::None => "null".into(),
        Value::Bool(flag) => if *flag { "true" } else { "false" }.into(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => json_float(*number),
        other => fail!(
            "keys must be str, int, float, bool or None, not {}",
            other.kind()
        ),
    })
}
