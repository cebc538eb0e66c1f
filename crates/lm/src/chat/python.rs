//! Values as Python reads and writes them: `json.loads()`, `json.dumps()`,
//! `str()` and `repr()`.

use std::fmt::{self, Display, Formatter, Write};

use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{Error, ErrorKind};

/// What `json.loads` makes of a JSON value.
pub(super) fn from_json(json: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::from(()),
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), _, _) => Value::from(number),
            (_, Some(number), _) => Value::from(number),
            (_, _, number) => Value::from(number.unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => items.iter().map(from_json).collect(),
        Json::Object(map) => Value::from_pairs(
            map.iter()
                .map(|(key, item)| (key.as_str(), from_json(item))),
        ),
    }
}

/// Whether Python could iterate over a value, which it cannot over `None`.
pub(super) fn is_iterable(value: &Value) -> bool {
    !value.is_none() && value.try_iter().is_ok()
}

/// Whether a value has a length and items by number or key: texts and dictionaries are
/// sequences, too.
pub(super) fn is_sequence(value: &Value) -> bool {
    let kind = value.kind();
    matches!(
        kind,
        ValueKind::Undefined | ValueKind::String | ValueKind::Seq | ValueKind::Map
    ) || (kind == ValueKind::Iterable && value.len().is_some())
}

/// Whether a value can be called; Jinja2's undefined values can, and fail.
pub(super) fn is_callable(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Undefined | ValueKind::Plain)
}

/// A JSON value as by Python's `repr()`.
pub(crate) fn repr(json: &serde_json::Value) -> String {
    Repr(&from_json(json), 0).to_string()
}

/// A JSON value as by `json.dumps(ensure_ascii=False)`.
pub(crate) fn json(json: &serde_json::Value) -> String {
    dumps(json, false)
}

/// A JSON value as by `json.dumps()`.
pub(crate) fn ascii_json(json: &serde_json::Value) -> String {
    dumps(json, true)
}

fn dumps(json: &serde_json::Value, ascii: bool) -> String {
    let mut dump = Dump {
        out: String::new(),
        ascii,
        indent: None,
        separators: (", ".into(), ": ".into()),
        sort_keys: false,
        depth: 0,
    };
    // JSON values have nothing that cannot be written.
    let _ = dump.value(&from_json(json));
    dump.out
}

/// A value as by Python's `str()`.
pub(super) struct Str<'a>(pub(super) &'a Value);

impl Display for Str<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.kind() {
            ValueKind::Number | ValueKind::Seq | ValueKind::Map => Repr(self.0, 0).fmt(f),
            _ => self.0.fmt(f),
        }
    }
}

/// Containers within each other that can be written; Python stops there as well.
const DEEPEST: usize = 1000;

/// A value as by Python's `repr()`, and how many containers it stands in.
struct Repr<'a>(&'a Value, usize);

impl Display for Repr<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Repr(value, depth) = *self;
        if depth > DEEPEST {
            return Err(fmt::Error);
        }
        match value.kind() {
            ValueKind::String => repr_string(f, value.as_str().unwrap_or_default()),
            ValueKind::Number => number(f, value),
            ValueKind::Seq => {
                let (open, close) = if value.is_tuple() {
                    ('(', ')')
                } else {
                    ('[', ']')
                };
                f.write_char(open)?;
                let mut count = 0;
                for item in value.try_iter().into_iter().flatten() {
                    if count > 0 {
                        f.write_str(", ")?;
                    }
                    Repr(&item, depth + 1).fmt(f)?;
                    count += 1;
                }
                if value.is_tuple() && count == 1 {
                    f.write_char(',')?;
                }
                f.write_char(close)
            }
            ValueKind::Map => {
                f.write_char('{')?;
                for (index, key) in value.try_iter().into_iter().flatten().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    let item = value.get_item(&key).unwrap_or_default();
                    write!(f, "{}: {}", Repr(&key, depth + 1), Repr(&item, depth + 1))?;
                }
                f.write_char('}')
            }
            _ => value.fmt(f),
        }
    }
}

fn repr_string(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    f.write_char(quote)?;
    for character in text.chars() {
        match character {
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            '\\' => f.write_str("\\\\")?,
            c if c == quote => write!(f, "\\{c}")?,
            c if c.is_control() || c == '\u{a0}' => write!(f, "\\x{:02x}", c as u32)?,
            c => f.write_char(c)?,
        }
    }
    f.write_char(quote)
}

/// Integers as they are, floats with the fewest digits that give them back.
fn number(out: &mut dyn Write, value: &Value) -> fmt::Result {
    if value.is_integer() {
        return write!(out, "{value}");
    }
    let Ok(number) = f64::try_from(value.clone()) else {
        return write!(out, "{value}");
    };
    // Rust switches to exponents where Python does, but spells them 1e16, not 1e+16.
    let text = format!("{number:?}");
    match text.split_once('e') {
        None => out.write_str(&text),
        Some((mantissa, exponent)) => {
            let (sign, digits) = match exponent.strip_prefix('-') {
                Some(digits) => ('-', digits),
                None => ('+', exponent),
            };
            write!(out, "{mantissa}e{sign}{digits:0>2}")
        }
    }
}

/// The filter `tojson(ensure_ascii=False, indent=None, separators=None,
/// sort_keys=False)`: `json.dumps`, and unlike Jinja2's own without escaping HTML.
pub(super) fn tojson(value: &Value, args: Rest<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let argument = |index: usize, name: &str| -> Result<Option<Value>, Error> {
        let named: Option<Value> = kwargs.get(name)?;
        let found = named.or_else(|| args.get(index).cloned());
        Ok(found.filter(|value| !value.is_none()))
    };
    let ascii = argument(0, "ensure_ascii")?.is_some_and(|value| value.is_true());
    let indent = match argument(1, "indent")? {
        None => None,
        Some(value) => Some(match value.as_str() {
            Some(text) => text.to_owned(),
            None => spaces(value)?,
        }),
    };
    let separators = match argument(2, "separators")? {
        None if indent.is_some() => (",".to_owned(), ": ".to_owned()),
        None => (", ".to_owned(), ": ".to_owned()),
        Some(pair) => {
            let part = |index: usize| pair.get_item_by_index(index).map(|part| part.to_string());
            (part(0)?, part(1)?)
        }
    };
    let sort_keys = argument(3, "sort_keys")?.is_some_and(|value| value.is_true());
    kwargs.assert_all_used()?;
    let mut dump = Dump {
        out: String::new(),
        ascii,
        indent,
        separators,
        sort_keys,
        depth: 0,
    };
    dump.value(value)?;
    Ok(dump.out)
}

/// The filter `indent(width=4, first=False, blank=False)` of Jinja2, which unlike
/// the engine's own keeps a line break at the end.
pub(super) fn indent(
    text: &str,
    width: Option<Value>,
    first: Option<bool>,
    blank: Option<bool>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    let width = width.map_or_else(|| kwargs.get("width"), |width| Ok(Some(width)))?;
    let first = first.map_or_else(|| kwargs.get("first"), |first| Ok(Some(first)))?;
    let blank = blank.map_or_else(|| kwargs.get("blank"), |blank| Ok(Some(blank)))?;
    kwargs.assert_all_used()?;
    let indent = match width {
        None => " ".repeat(4),
        Some(width) => match width.as_str() {
            Some(text) => text.to_owned(),
            None => spaces(width)?,
        },
    };
    let mut out = String::new();
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let wanted = if index == 0 {
            first.unwrap_or(false)
        } else {
            blank.unwrap_or(false) || !line.is_empty()
        };
        if wanted {
            out.push_str(&indent);
        }
        out.push_str(line.strip_suffix('\r').unwrap_or(line));
    }
    Ok(out)
}

/// Spaces to indent by; a width beyond all sense would take all memory.
fn spaces(width: Value) -> Result<String, Error> {
    const WIDEST: i64 = 10_000;
    let width = i64::try_from(width)?;
    if width > WIDEST {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("it indents by {width}, but at most {WIDEST} can be"),
        ));
    }
    Ok(" ".repeat(usize::try_from(width).unwrap_or(0)))
}

/// `json.dumps` under way.
struct Dump {
    out: String,
    ascii: bool,
    indent: Option<String>,
    /// Between items, and between a key and its value.
    separators: (String, String),
    sort_keys: bool,
    depth: usize,
}

impl Dump {
    fn value(&mut self, value: &Value) -> Result<(), Error> {
        if self.depth > DEEPEST {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                "tojson cannot write a value that is nested so deeply",
            ));
        }
        match value.kind() {
            ValueKind::None => self.out.push_str("null"),
            ValueKind::Bool => self
                .out
                .push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => number(&mut self.out, value)?,
            ValueKind::String => self.string(value.as_str().unwrap_or_default())?,
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.container('[', ']', &items, Self::value)?;
            }
            ValueKind::Map => {
                let mut pairs = Vec::new();
                for key in value.try_iter()? {
                    let item = value.get_item(&key)?;
                    pairs.push((key_text(&key)?, item));
                }
                if self.sort_keys {
                    pairs.sort_by(|left, right| left.0.cmp(&right.0));
                }
                self.container('{', '}', &pairs, |dump, (key, item)| {
                    dump.string(key)?;
                    dump.out.push_str(&dump.separators.1.clone());
                    dump.value(item)
                })?;
            }
            kind => {
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    format!("tojson cannot write a value of type {kind}"),
                ));
            }
        }
        Ok(())
    }

    fn container<T>(
        &mut self,
        open: char,
        close: char,
        items: &[T],
        mut write: impl FnMut(&mut Self, &T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.out.push(open);
        self.depth += 1;
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push_str(&self.separators.0.clone());
            }
            self.new_line();
            write(self, item)?;
        }
        self.depth -= 1;
        if !items.is_empty() {
            self.new_line();
        }
        self.out.push(close);
        Ok(())
    }

    fn new_line(&mut self) {
        if let Some(indent) = &self.indent {
            self.out.push('\n');
            self.out.push_str(&indent.repeat(self.depth));
        }
    }

    fn string(&mut self, text: &str) -> fmt::Result {
        self.out.push('"');
        for character in text.chars() {
            match character {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                c if (c as u32) < 0x20 || (self.ascii && !(' '..='~').contains(&c)) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        write!(self.out, "\\u{unit:04x}")?;
                    }
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
        Ok(())
    }
}

/// A key as `json.dumps` writes it, which makes strings of other scalars.
fn key_text(key: &Value) -> Result<String, Error> {
    match key.kind() {
        ValueKind::String => Ok(key.as_str().unwrap_or_default().to_owned()),
        ValueKind::None => Ok("null".into()),
        ValueKind::Bool => Ok(if key.is_true() { "true" } else { "false" }.into()),
        ValueKind::Number => Ok(Str(key).to_string()),
        kind => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("tojson cannot write a key of type {kind}"),
        )),
    }
}
