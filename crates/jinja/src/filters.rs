//! Filters of texts, numbers and single values.

use crate::arguments::{Given, flag, int, required};
use crate::ast::Operator;
use crate::error::{Fault, Result, fail};
use crate::interpreter::Interpreter;
use crate::json::{Style, dumps};
use crate::methods::stripped;
use crate::numbers::{float_of_text, int_of_float, int_of_text, rounded};
use crate::operators::as_float;
use crate::text::{capitalized, escaped, is_space, lines};
use crate::value::{Text, Value};

/// The names of all filters.
pub(crate) const FILTERS: [&str; 51] = [
    "abs",
    "attr",
    "batch",
    "capitalize",
    "center",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "filesizeformat",
    "first",
    "float",
    "forceescape",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "string",
    "striptags",
    "sum",
    "title",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
    "urlencode",
    "wordcount",
    "pprint",
    "random",
];

impl Interpreter<'_> {
    pub(crate) fn filter(&mut self, name: &str, value: &Value, given: Given) -> Result<Value> {
        self.budget.spend(1)?;
        match name {
            "default" | "d" => {
                let [default, boolean] = given.bind(name, ["default_value", "boolean"])?;
                let missing = matches!(value, Value::Undefined(_));
                Ok(if missing || flag(boolean) && !value.is_true() {
                    default.unwrap_or_else(|| Value::text(""))
                } else {
                    value.clone()
                })
            }
            "tojson" => self.json_of(value, given),
            "length" | "count" => {
                let [] = given.in_order(name, 0)?;
                if let Value::Text(text) = value {
                    self.budget.read(text.text.len())?;
                }
                match value.len() {
                    Some(len) => Ok(Value::Int(len as i128)),
                    None => fail!("object of type '{}' has no len()", value.kind()),
                }
            }
            "abs" | "int" | "float" | "round" | "filesizeformat" => {
                self.number_filter(name, value, given)
            }
            "attr" => {
                let [attribute] = given.bind(name, ["name"])?;
                let attribute = required(attribute, name, "name")?;
                let Value::Text(attribute) = attribute else {
                    fail!("attribute name must be string");
                };
                if matches!(value, Value::Dict(_)) {
                    // Only attributes, no items.
                    let empty = Value::dict(crate::value::Dict::new());
                    return self.attribute(&empty, &attribute.text);
                }
                self.attribute(value, &attribute.text)
            }
            "capitalize" | "center" | "e" | "escape" | "forceescape" | "format" | "indent"
            | "lower" | "replace" | "safe" | "string" | "striptags" | "title" | "trim"
            | "truncate" | "upper" | "urlencode" | "wordcount" => {
                self.text_filter(name, value, given)
            }
            "pprint" | "random" | "urlize" | "wordwrap" | "xmlattr" => {
                fail!("the filter '{name}' is not supported in chat templates")
            }
            _ => self.sequence_filter(name, value, given),
        }
    }

    /// A value as text that keeps its mark.
    fn soft_text(&mut self, value: &Value) -> Result<Text> {
        Ok(match value {
            Value::Text(text) => text.clone(),
            other => Text {
                text: self.text_of(other)?.into(),
                safe: false,
            },
        })
    }

    fn text_filter(&mut self, name: &str, value: &Value, given: Given) -> Result<Value> {
        let Text { text, safe } = self.soft_text(value)?;
        self.budget.allocate(text.len())?;
        let marked = |text: String, safe| {
            Ok(Value::Text(Text {
                text: text.into(),
                safe,
            }))
        };
        match name {
            "trim" => {
                let [chars] = given.bind(name, ["chars"])?;
                marked(
                    stripped(&text, chars.as_ref(), true, true)?.to_owned(),
                    safe,
                )
            }
            "replace" => self.replace_filter(&text, given),
            "indent" => {
                if !matches!(value, Value::Text(_)) {
                    fail!(
                        "unsupported operand type(s) for +=: '{}' and 'str'",
                        value.kind()
                    );
                }
                marked(self.indented(&text, given)?, safe)
            }
            "center" => {
                let [width] = given.bind(name, ["width"])?;
                let width = int(width, 80, "width")?;
                marked(self.padded(&text, width, ' ', true, true)?, safe)
            }
            "format" => {
                let given_names = !given.named.is_empty();
                if given_names && !given.positional.is_empty() {
                    fail!("can't handle positional and keyword arguments at the same time");
                }
                let values = if given_names {
                    let mut dict = crate::value::Dict::new();
                    for (name, value) in given.named {
                        dict.insert(Value::text(name), value)?;
                    }
                    vec![Value::dict(dict)]
                } else {
                    given.positional
                };
                marked(self.printf(&text, &values, given_names)?, safe)
            }
            "truncate" => match value {
                Value::Text(_) => marked(self.truncated(&text, given)?, safe),
                other if other.len().is_some_and(|len| len <= 255) => Ok(other.clone()),
                other => fail!("truncate takes a text, not '{}'", other.kind()),
            },
            _ => {
                let [] = given.in_order(name, 0)?;
                match name {
                    "upper" => marked(text.to_uppercase(), safe),
                    "lower" => marked(text.to_lowercase(), safe),
                    "capitalize" => marked(capitalized(&text), safe),
                    "title" => marked(title(&text), safe),
                    "string" => Ok(Value::Text(Text { text, safe })),
                    "safe" => Ok(Value::Text(Text { text, safe: true })),
                    "e" | "escape" if safe => Ok(Value::Text(Text { text, safe })),
                    "e" | "escape" | "forceescape" => marked(escaped(&text), true),
                    "striptags" => marked(without_tags(&text), false),
                    "urlencode" => self.url_encoded(value, &text),
                    _ => {
                        let in_word = |c: char| c.is_alphanumeric() || c == '_';
                        let words = text.split(|c| !in_word(c)).filter(|word| !word.is_empty());
                        Ok(Value::Int(words.count() as i128))
                    }
                }
            }
        }
    }

    fn replace_filter(&mut self, text: &str, given: Given) -> Result<Value> {
        let [old, new, count] = given.bind("replace", ["old", "new", "count"])?;
        let old = self.text_of(&required(old, "replace", "old")?)?;
        let new = self.text_of(&required(new, "replace", "new")?)?;
        let count = match count {
            Some(Value::None) | None => -1,
            count => int(count, -1, "count")?,
        };
        self.replaced(text, &old, &new, count).map(Value::text)
    }

    /// `str.replace`; a negative count replaces all.
    pub(crate) fn replaced(
        &mut self,
        text: &str,
        old: &str,
        new: &str,
        count: i128,
    ) -> Result<String> {
        let found = if old.is_empty() {
            text.chars().count() + 1
        } else {
            text.matches(old).count()
        };
        let count = usize::try_from(count).map_or(found, |count| count.min(found));
        self.budget
            .allocate(text.len().saturating_add(count.saturating_mul(new.len())))?;
        Ok(text.replacen(old, new, count))
    }

    fn indented(&mut self, text: &str, given: Given) -> Result<String> {
        let [width, first, blank] = given.bind("indent", ["width", "first", "blank"])?;
        let indent = match width {
            Some(Value::Text(text)) => text.text.to_string(),
            width => {
                let width = int(width, 4, "width")?.max(0);
                let width = usize::try_from(width).unwrap_or(usize::MAX);
                self.budget.allocate(width)?;
                " ".repeat(width)
            }
        };
        let (first, blank) = (flag(first), flag(blank));
        let text = format!("{text}\n");
        let lines = lines(&text, false);
        let size = lines.len().saturating_mul(indent.len());
        self.budget.allocate(size.saturating_add(text.len()))?;
        let mut out = String::new();
        for (index, line) in lines.iter().enumerate() {
            if index > 0 {
                out.push('\n');
            }
            let wanted = if index == 0 {
                first
            } else {
                blank || !line.is_empty()
            };
            if wanted {
                out.push_str(&indent);
            }
            out.push_str(line);
        }
        Ok(out)
    }

    /// A text in a field of some characters.
    pub(crate) fn padded(
        &mut self,
        text: &str,
        width: i128,
        fill: char,
        left: bool,
        right: bool,
    ) -> Result<String> {
        let missing = width - text.chars().count() as i128;
        let missing = usize::try_from(missing.max(0)).unwrap_or(usize::MAX);
        self.budget.allocate(
            missing
                .saturating_mul(fill.len_utf8())
                .saturating_add(text.len()),
        )?;
        let before = match (left, right) {
            // Python puts the odd one to the left where the width is odd.
            (true, true) => missing / 2 + (missing & width as usize & 1),
            (true, false) => missing,
            _ => 0,
        };
        let fill = |count| std::iter::repeat_n(fill, count);
        Ok(fill(before)
            .chain(text.chars())
            .chain(fill(missing - before))
            .collect())
    }

    fn truncated(&mut self, text: &str, given: Given) -> Result<String> {
        let names = ["length", "killwords", "end", "leeway"];
        let [length, killwords, end, leeway] = given.bind("truncate", names)?;
        let length = int(length, 255, "length")?;
        let leeway = match leeway {
            Some(Value::None) | None => 5,
            leeway => int(leeway, 5, "leeway")?,
        };
        let end = match end {
            None => "...".to_owned(),
            Some(end) => self.text_of(&end)?,
        };
        let end_length = end.chars().count() as i128;
        if length < end_length || leeway < 0 {
            fail!("expected length >= {end_length}, got {length}");
        }
        if text.chars().count() as i128 <= length + leeway {
            return Ok(text.to_owned());
        }
        let cut: String = text.chars().take((length - end_length) as usize).collect();
        if flag(killwords) {
            return Ok(cut + &end);
        }
        let words = cut
            .rsplit_once(' ')
            .map_or(cut.as_str(), |(words, _)| words);
        Ok(words.to_owned() + &end)
    }

    fn url_encoded(&mut self, value: &Value, text: &str) -> Result<Value> {
        let quote = |text: &str, query: bool| {
            let mut out = String::new();
            for byte in text.bytes() {
                let plain = byte.is_ascii_alphanumeric() || b"_.-~".contains(&byte);
                match byte {
                    b' ' if query => out.push('+'),
                    b'/' if !query => out.push('/'),
                    byte if plain => out.push(char::from(byte)),
                    byte => out.push_str(&format!("%{byte:02X}")),
                }
            }
            out
        };
        let pairs = match value {
            Value::Dict(dict) => dict.entries().to_vec(),
            Value::List(_)
            | Value::Tuple(_)
            | Value::Range(_)
            | Value::View(..)
            | Value::Generator(_)
            | Value::Undefined(_) => {
                let mut pairs = Vec::new();
                for pair in self.iterate(value)? {
                    match &self.iterate(&pair)?[..] {
                        [key, value] => pairs.push((key.clone(), value.clone())),
                        _ => fail!("urlencode takes pairs"),
                    }
                }
                pairs
            }
            _ => return Ok(Value::text(quote(text, false))),
        };
        let mut parts = Vec::new();
        for (key, value) in pairs {
            let (key, value) = (self.text_of(&key)?, self.text_of(&value)?);
            parts.push(format!("{}={}", quote(&key, true), quote(&value, true)));
        }
        Ok(Value::text(parts.join("&")))
    }

    fn number_filter(&mut self, name: &str, value: &Value, given: Given) -> Result<Value> {
        match name {
            "abs" => match value {
                Value::Float(number) => Ok(Value::Float(number.abs())),
                Value::Undefined(why) => Err(Fault::new(&**why)),
                other => match other.as_int().and_then(i128::checked_abs) {
                    Some(number) => Ok(Value::Int(number)),
                    None => fail!("bad operand type for abs(): '{}'", other.kind()),
                },
            },
            "int" => {
                let [default, base] = given.bind(name, ["default", "base"])?;
                let base = int(base, 10, "base")?;
                let number = match value {
                    Value::Undefined(why) => return Err(Fault::new(&**why)),
                    Value::Text(text) => match int_of_text(&text.text, base) {
                        Some(number) => Ok(number),
                        None => match float_of_text(&text.text) {
                            Some(number) => int_of_float(number),
                            None => Err(Fault::new("no number")),
                        },
                    },
                    Value::Float(number) if number.is_infinite() => {
                        return int_of_float(*number).map(Value::Int);
                    }
                    Value::Float(number) => int_of_float(*number),
                    other => other.as_int().ok_or_else(|| Fault::new("no number")),
                };
                match number {
                    Ok(number) => Ok(Value::Int(number)),
                    Err(fault) if fault.is_limit() => Err(fault),
                    Err(_) => Ok(default.unwrap_or(Value::Int(0))),
                }
            }
            "float" => {
                let [default] = given.bind(name, ["default"])?;
                let number = match value {
                    Value::Undefined(why) => return Err(Fault::new(&**why)),
                    Value::Text(text) => float_of_text(&text.text),
                    other => as_float(other),
                };
                let default = default.unwrap_or(Value::Float(0.0));
                Ok(number.map_or(default, Value::Float))
            }
            "round" => self.round_filter(value, given),
            _ => {
                let [binary] = given.bind(name, ["binary"])?;
                let number = match value {
                    Value::Text(text) => float_of_text(&text.text),
                    other => as_float(other),
                };
                let Some(number) = number else {
                    fail!("filesizeformat takes a number");
                };
                Ok(Value::text(file_size(number, flag(binary))))
            }
        }
    }

    fn round_filter(&mut self, value: &Value, given: Given) -> Result<Value> {
        let [precision, method] = given.bind("round", ["precision", "method"])?;
        let precision = int(precision, 0, "precision")?;
        let method = match &method {
            None => "common",
            Some(method) => method.as_text().unwrap_or(""),
        };
        if method == "common" {
            return rounded(value, Some(precision));
        }
        let up = match method {
            "ceil" => true,
            "floor" => false,
            _ => fail!("method must be common, ceil or floor"),
        };
        let unit = self.arithmetic(Operator::Power, &Value::Int(10), &Value::Int(precision))?;
        let scaled = self.arithmetic(Operator::Multiply, value, &unit)?;
        let whole = match scaled {
            Value::Float(number) => {
                int_of_float(if up { number.ceil() } else { number.floor() }).map(Value::Int)?
            }
            whole => whole,
        };
        self.arithmetic(Operator::Divide, &whole, &unit)
    }

    /// Hugging Face's `tojson`: `json.dumps`, without escapes for HTML.
    fn json_of(&mut self, value: &Value, given: Given) -> Result<Value> {
        let names = ["ensure_ascii", "indent", "separators", "sort_keys"];
        let [ascii, indent, separators, sort_keys] = given.bind("tojson", names)?;
        let indent = match indent {
            None | Some(Value::None) => None,
            Some(Value::Text(text)) => Some(text.text.to_string()),
            indent => {
                let width = usize::try_from(int(indent, 0, "indent")?.max(0)).unwrap_or(usize::MAX);
                self.budget.allocate(width)?;
                Some(" ".repeat(width))
            }
        };
        let comma = if indent.is_some() { "," } else { ", " };
        let separators = match separators {
            None | Some(Value::None) => (comma.to_owned(), ": ".to_owned()),
            Some(pair) => match &self.iterate(&pair)?[..] {
                [Value::Text(item), Value::Text(key)] => {
                    (item.text.to_string(), key.text.to_string())
                }
                _ => fail!("separators must be a pair of texts"),
            },
        };
        let style = Style {
            ascii: flag(ascii),
            indent,
            separators,
            sort_keys: flag(sort_keys),
        };
        dumps(value, &style, &mut self.budget).map(Value::text)
    }
}

/// The filter `title`: words begin behind white space and some signs.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut word = String::new();
    let flush = |word: &mut String, out: &mut String| {
        let mut chars = word.chars();
        if let Some(first) = chars.next() {
            out.extend(first.to_uppercase());
            out.push_str(&chars.as_str().to_lowercase());
        }
        word.clear();
    };
    for c in text.chars() {
        if is_space(c) || "-({[<".contains(c) {
            flush(&mut word, &mut out);
            out.push(c);
        } else {
            word.push(c);
        }
    }
    flush(&mut word, &mut out);
    out
}

/// A text without HTML's comments and tags, with single spaces, and entities resolved.
fn without_tags(text: &str) -> String {
    let mut text = text.to_owned();
    for (open, close) in [("<!--", "-->"), ("<", ">")] {
        let mut from = 0;
        while let Some(start) = text[from..].find(open).map(|at| from + at) {
            let Some(end) = text[start..].find(close) else {
                break;
            };
            text.replace_range(start..start + end + close.len(), "");
            from = start;
        }
    }
    let words: Vec<&str> = text
        .split(is_space)
        .filter(|word| !word.is_empty())
        .collect();
    let text = words.join(" ");
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&#39;", "'"),
        ("&#34;", "\""),
        ("&quot;", "\""),
    ];
    let text = entities
        .iter()
        .fold(text, |text, (entity, sign)| text.replace(entity, sign));
    text.replace("&amp;", "&")
}

fn file_size(bytes: f64, binary: bool) -> String {
    let base: f64 = if binary { 1024.0 } else { 1000.0 };
    let prefixes = if binary {
        ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"]
    } else {
        ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"]
    };
    if bytes == 1.0 {
        return "1 Byte".into();
    }
    if bytes < base {
        return format!("{} Bytes", bytes.trunc());
    }
    let last = prefixes.len() - 1;
    for (index, prefix) in prefixes.iter().enumerate() {
        let unit = base.powi(index as i32 + 2);
        if bytes < unit || index == last {
            return format!("{:.1} {prefix}", base * bytes / unit);
        }
    }
    String::new()
}
