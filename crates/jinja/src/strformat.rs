//! `str.format`.

use crate::arguments::Given;
use crate::error::{Result, fail};
use crate::interpreter::Interpreter;
use crate::operators::as_float;
use crate::printf::float_text;
use crate::value::Value;

/// `[[fill]align][sign][#][0][width][grouping][.precision][type]`
#[derive(Debug, Default)]
struct Spec {
    fill: Option<char>,
    align: Option<char>,
    sign: Option<char>,
    alternate: bool,
    width: usize,
    grouping: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

/// Fields within the specifications of fields.
const NESTED: u32 = 2;

impl Interpreter<'_> {
    pub(crate) fn format_text(&mut self, text: &str, given: Given) -> Result<String> {
        let mut automatic = Some(0);
        self.format_part(text, &given, &mut automatic, 0)
    }

    fn format_part(
        &mut self,
        text: &str,
        given: &Given,
        automatic: &mut Option<usize>,
        depth: u32,
    ) -> Result<String> {
        if depth >= NESTED {
            fail!("Max string recursion exceeded");
        }
        self.budget.allocate(text.len())?;
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            out.push_str(&rest[..at]);
            let sign = &rest[at..at + 1];
            rest = &rest[at + 1..];
            if let Some(more) = rest.strip_prefix(sign) {
                out.push_str(sign);
                rest = more;
                continue;
            }
            if sign == "}" {
                fail!("Single '}}' encountered in format string");
            }
            let Some(end) = closing(rest) else {
                fail!("expected '}}' before end of string");
            };
            let field = self.field(&rest[..end], given, automatic, depth)?;
            self.budget.allocate(field.len())?;
            out.push_str(&field);
            rest = &rest[end + 1..];
        }
        out.push_str(rest);
        Ok(out)
    }

    /// `name!r:spec`
    fn field(
        &mut self,
        field: &str,
        given: &Given,
        automatic: &mut Option<usize>,
        depth: u32,
    ) -> Result<String> {
        let colon = spec_start(field);
        let (head, spec) = match colon {
            Some(at) => (&field[..at], &field[at + 1..]),
            None => (field, ""),
        };
        let (name, conversion) = match head.split_once('!') {
            Some((name, conversion)) => (name, Some(conversion)),
            None => (head, None),
        };
        let mut value = self.named_value(name, given, automatic)?;
        match conversion {
            None => {}
            Some("s") => value = Value::text(self.text_of(&value)?),
            Some("r" | "a") => value = Value::text(self.repr(&value)?),
            Some(other) => fail!("Unknown conversion specifier {other:?}"),
        }
        let spec = self.format_part(spec, given, automatic, depth + 1)?;
        self.formatted(&value, &spec)
    }

    /// `0.attribute[key]`
    fn named_value(
        &mut self,
        name: &str,
        given: &Given,
        automatic: &mut Option<usize>,
    ) -> Result<Value> {
        let end = name.find(['.', '[']).unwrap_or(name.len());
        let (first, mut rest) = name.split_at(end);
        let mut value = if first.is_empty() {
            let Some(index) = *automatic else {
                fail!("cannot switch from manual field specification to automatic field numbering");
            };
            *automatic = Some(index + 1);
            positional(given, index)?
        } else if first.bytes().all(|b| b.is_ascii_digit()) {
            if automatic.is_some_and(|next| next > 0) {
                fail!("cannot switch from automatic field numbering to manual field specification");
            }
            *automatic = None;
            positional(given, first.parse().unwrap_or(usize::MAX))?
        } else {
            match given.named.iter().find(|(other, _)| **other == *first) {
                Some((_, value)) => value.clone(),
                None => fail!("'{first}'"),
            }
        };
        while !rest.is_empty() {
            if let Some(more) = rest.strip_prefix('.') {
                let end = more.find(['.', '[']).unwrap_or(more.len());
                value = self.attribute(&value, &more[..end].into())?;
                rest = &more[end..];
            } else {
                let Some((key, more)) = rest[1..].split_once(']') else {
                    fail!("Missing ']' in format string");
                };
                let key = match key.parse::<i128>() {
                    Ok(index) if !key.starts_with(['-', '+']) => Value::Int(index),
                    _ => Value::text(key),
                };
                value = self.item(&value, &key)?;
                rest = more;
            }
        }
        Ok(value)
    }

    fn formatted(&mut self, value: &Value, spec: &str) -> Result<String> {
        if spec.is_empty() {
            return self.text_of(value);
        }
        let spec = parse(spec)?;
        self.budget
            .allocate(spec.width.saturating_add(spec.precision.unwrap_or(0)))?;
        match value {
            Value::Int(_) | Value::Float(_) | Value::Bool(_) => self.format_number(value, &spec),
            Value::Text(text) => {
                if spec.kind.is_some_and(|kind| kind != 's') {
                    fail!("Unknown format code for object of type 'str'");
                }
                if spec.sign.is_some() || spec.align == Some('=') {
                    fail!("Sign not allowed in string format specifier");
                }
                let text: String = match spec.precision {
                    Some(most) => text.text.chars().take(most).collect(),
                    None => text.text.to_string(),
                };
                Ok(aligned("", &text, &spec, '<'))
            }
            Value::Undefined(_) => {
                fail!("unsupported format string passed to Undefined.__format__")
            }
            other => fail!(
                "unsupported format string passed to {}.__format__",
                other.kind()
            ),
        }
    }

    fn format_number(&mut self, value: &Value, spec: &Spec) -> Result<String> {
        let whole = value.as_int();
        let kind = spec.kind;
        if whole.is_some() && spec.precision.is_some() && matches!(kind, None | Some('d' | 'n')) {
            fail!("Precision not allowed in integer format specifier");
        }
        let (negative, mut body) = match (kind, whole) {
            (None, None) if spec.precision.is_none() => {
                let number = as_float(value).unwrap_or(0.0);
                (number.is_sign_negative(), crate::text::float(number.abs()))
            }
            (None | Some('d' | 'n'), Some(number)) if spec.precision.is_none() => {
                (number < 0, number.unsigned_abs().to_string())
            }
            (Some('x' | 'X' | 'o' | 'b'), Some(number)) => {
                let size = number.unsigned_abs();
                let (prefix, digits) = match kind {
                    Some('x') => ("0x", format!("{size:x}")),
                    Some('X') => ("0X", format!("{size:X}")),
                    Some('o') => ("0o", format!("{size:o}")),
                    _ => ("0b", format!("{size:b}")),
                };
                let prefix = if spec.alternate { prefix } else { "" };
                let sign = sign_of(number < 0, spec);
                return Ok(aligned(&format!("{sign}{prefix}"), &digits, spec, '>'));
            }
            (Some('c'), Some(number)) => {
                let character = u32::try_from(number).ok().and_then(char::from_u32);
                let Some(character) = character else {
                    fail!("%c arg not in range");
                };
                return Ok(aligned("", &character.to_string(), spec, '<'));
            }
            (None | Some('f' | 'F' | 'e' | 'E' | 'g' | 'G' | '%'), _) => {
                let number = as_float(value).unwrap_or(0.0);
                let digits = spec.precision.unwrap_or(6);
                let text = match kind {
                    Some('%') => float_text(number.abs() * 100.0, 'f', digits, false) + "%",
                    Some(kind) => float_text(number.abs(), kind, digits, spec.alternate),
                    None => shortest(number.abs(), digits),
                };
                (number.is_sign_negative() && !number.is_nan(), text)
            }
            (Some(kind), _) => fail!(
                "Unknown format code '{kind}' for object of type '{}'",
                value.kind()
            ),
        };
        if let Some(separator) = spec.grouping {
            body = grouped(&body, separator);
        }
        Ok(aligned(&sign_of(negative, spec), &body, spec, '>'))
    }
}

fn positional(given: &Given, index: usize) -> Result<Value> {
    match given.positional.get(index) {
        Some(value) => Ok(value.clone()),
        None => fail!("Replacement index {index} out of range for positional args tuple"),
    }
}

/// Where the brace that closes a field stands.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Where the specification of a field begins; a colon in brackets is part of a key.
fn spec_start(field: &str) -> Option<usize> {
    let mut inside = false;
    field.char_indices().find_map(|(at, c)| {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            ':' if !inside => return Some(at),
            _ => {}
        }
        None
    })
}

fn parse(text: &str) -> Result<Spec> {
    let mut spec = Spec::default();
    let mut chars: Vec<char> = text.chars().collect();
    chars.reverse();
    let is_align = |c: char| "<>=^".contains(c);
    let second = chars.len().checked_sub(2).map(|at| chars[at]);
    if second.is_some_and(is_align) {
        spec.fill = chars.pop();
        spec.align = chars.pop();
    } else if chars.last().copied().is_some_and(is_align) {
        spec.align = chars.pop();
    }
    let mut take = |wanted: &str| match chars.last() {
        Some(c) if wanted.contains(*c) => chars.pop(),
        _ => None,
    };
    spec.sign = take("+- ");
    spec.alternate = take("#").is_some();
    if take("0").is_some() && spec.align.is_none() {
        spec.fill = spec.fill.or(Some('0'));
        spec.align = Some('=');
    }
    let mut number = || {
        let mut number = None;
        while let Some(digit) = take("0123456789") {
            let digit = digit as usize - '0' as usize;
            let so_far: usize = number.unwrap_or(0);
            number = Some(so_far.saturating_mul(10).saturating_add(digit));
        }
        number
    };
    spec.width = number().unwrap_or(0);
    spec.grouping = take(",_");
    if take(".").is_some() {
        let mut precision = None;
        while let Some(digit) = take("0123456789") {
            let digit = digit as usize - '0' as usize;
            let so_far: usize = precision.unwrap_or(0);
            precision = Some(so_far.saturating_mul(10).saturating_add(digit));
        }
        if precision.is_none() {
            fail!("Format specifier missing precision");
        }
        spec.precision = precision;
    }
    spec.kind = chars.pop();
    if !chars.is_empty() {
        fail!("Invalid format specifier");
    }
    Ok(spec)
}

fn sign_of(negative: bool, spec: &Spec) -> String {
    match (negative, spec.sign) {
        (true, _) => "-".into(),
        (false, Some(sign @ ('+' | ' '))) => sign.into(),
        _ => String::new(),
    }
}

fn aligned(sign: &str, body: &str, spec: &Spec, default: char) -> String {
    let missing = spec
        .width
        .saturating_sub(sign.chars().count() + body.chars().count());
    let fill =
        |count: usize| -> String { std::iter::repeat_n(spec.fill.unwrap_or(' '), count).collect() };
    match spec.align.unwrap_or(default) {
        '<' => format!("{sign}{body}{}", fill(missing)),
        '^' => format!(
            "{}{sign}{body}{}",
            fill(missing / 2),
            fill(missing - missing / 2)
        ),
        '=' => format!("{sign}{}{body}", fill(missing)),
        _ => format!("{}{sign}{body}", fill(missing)),
    }
}

/// Thousands apart in the digits before a dot.
fn grouped(text: &str, separator: char) -> String {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (whole, rest) = text.split_at(end);
    let mut out = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            out.push(separator);
        }
        out.push(digit);
    }
    out + rest
}

/// A number with some digits as `format` writes it without a type: with a fraction.
fn shortest(number: f64, digits: usize) -> String {
    let text = float_text(number, 'g', digits, false);
    if text.contains(['.', 'e', 'n', 'i']) {
        text
    } else {
        text + ".0"
    }
}
