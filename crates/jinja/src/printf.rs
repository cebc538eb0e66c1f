//! `'%s' % value`: formats of C, as Python has them.

use crate::error::{Fault, Result, fail};
use crate::interpreter::Interpreter;
use crate::numbers::int_of_float;
use crate::operators::as_float;
use crate::value::Value;

/// One conversion: `%-8.3f`.
#[derive(Default)]
struct Spec {
    left: bool,
    plus: bool,
    space: bool,
    zero: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
}

impl Interpreter<'_> {
    /// Puts values into a format; `named` where they are one dictionary.
    pub(crate) fn printf(&mut self, format: &str, values: &[Value], named: bool) -> Result<String> {
        let mut out = String::new();
        let mut rest = format.chars().peekable();
        let mut values_left = values.iter();
        let mut used_names = false;
        self.budget.allocate(format.len())?;
        while let Some(c) = rest.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            let mut by_name = None;
            if rest.next_if_eq(&'(').is_some() {
                let mut name = String::new();
                let mut depth = 1;
                for c in rest.by_ref() {
                    depth += i32::from(c == '(') - i32::from(c == ')');
                    if depth == 0 {
                        break;
                    }
                    name.push(c);
                }
                let Some(Value::Dict(dict)) = values.first() else {
                    fail!("format requires a mapping");
                };
                used_names = true;
                by_name = Some(match dict.get_text(&name) {
                    Some(value) => value.clone(),
                    None => fail!("'{name}'"),
                });
            }
            let mut spec = Spec::default();
            while let Some(flag) = rest.next_if(|c| "-+ #0".contains(*c)) {
                match flag {
                    '-' => spec.left = true,
                    '+' => spec.plus = true,
                    ' ' => spec.space = true,
                    '#' => spec.alternate = true,
                    _ => spec.zero = true,
                }
            }
            let star = |values: &mut std::slice::Iter<'_, Value>| match values.next() {
                Some(value) => match value.as_int() {
                    Some(number) => Ok(number),
                    None => Err(Fault::new("* wants int")),
                },
                None => Err(Fault::new("not enough arguments for format string")),
            };
            if rest.next_if_eq(&'*').is_some() {
                let width = star(&mut values_left)?;
                spec.left |= width < 0;
                spec.width = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX);
            } else {
                spec.width = digits(&mut rest).unwrap_or(0);
            }
            if rest.next_if_eq(&'.').is_some() {
                spec.precision = Some(if rest.next_if_eq(&'*').is_some() {
                    usize::try_from(star(&mut values_left)?).unwrap_or(0)
                } else {
                    digits(&mut rest).unwrap_or(0)
                });
            }
            while rest.next_if(|c| "hlL".contains(*c)).is_some() {}
            let Some(kind) = rest.next() else {
                fail!("incomplete format");
            };
            if kind == '%' {
                out.push('%');
                continue;
            }
            let value = match (by_name, named && used_names) {
                (Some(value), _) => value,
                (None, true) => fail!("not enough arguments for format string"),
                (None, false) => match values_left.next() {
                    Some(value) => value.clone(),
                    None => fail!("not enough arguments for format string"),
                },
            };
            let text = self.converted(kind, &value, &spec)?;
            out.push_str(&text);
        }
        if !named && values_left.next().is_some() {
            fail!("not all arguments converted during string formatting");
        }
        Ok(out)
    }

    fn converted(&mut self, kind: char, value: &Value, spec: &Spec) -> Result<String> {
        let digits = spec.precision.unwrap_or(6);
        self.budget.allocate(spec.width)?;
        let (sign, body) = match kind {
            's' | 'r' | 'a' => {
                let text = if kind == 's' {
                    self.text_of(value)?
                } else {
                    self.repr(value)?
                };
                let text = match spec.precision {
                    Some(most) => text.chars().take(most).collect(),
                    None => text,
                };
                return self.padded(&text, spec.width as i128, ' ', !spec.left, spec.left);
            }
            'c' => {
                let character = match value {
                    Value::Text(text) if text.text.chars().count() == 1 => text.text.to_string(),
                    other => match other.as_int().and_then(|n| u32::try_from(n).ok()) {
                        Some(code) => char::from_u32(code).map(String::from).unwrap_or_default(),
                        None => fail!("%c requires int or char"),
                    },
                };
                (String::new(), character)
            }
            'd' | 'i' | 'u' | 'x' | 'X' | 'o' => {
                let number = match value {
                    Value::Float(number) if "diu".contains(kind) => int_of_float(*number)?,
                    other => match other.as_int() {
                        Some(number) => number,
                        None => fail!(
                            "%{kind} format: a real number is required, not {}",
                            other.kind()
                        ),
                    },
                };
                let size = number.unsigned_abs();
                let (prefix, digits) = match kind {
                    'x' => ("0x", format!("{size:x}")),
                    'X' => ("0X", format!("{size:X}")),
                    'o' => ("0o", format!("{size:o}")),
                    _ => ("", size.to_string()),
                };
                let least = spec.precision.unwrap_or(0);
                self.budget.allocate(least)?;
                let digits = format!("{}{digits}", "0".repeat(least.saturating_sub(digits.len())));
                let prefix = if spec.alternate { prefix } else { "" };
                (signed(number < 0, spec) + prefix, digits)
            }
            'f' | 'F' | 'e' | 'E' | 'g' | 'G' => {
                let Some(number) = as_float(value) else {
                    fail!("must be real number, not {}", value.kind());
                };
                self.budget.allocate(digits)?;
                let text = float_text(number.abs(), kind, digits, spec.alternate);
                let negative = number.is_sign_negative() && !number.is_nan();
                (signed(negative, spec), text)
            }
            other => fail!("unsupported format character '{other}'"),
        };
        let missing = spec
            .width
            .saturating_sub(sign.chars().count() + body.chars().count());
        Ok(if spec.left {
            sign + &body + &" ".repeat(missing)
        } else if spec.zero && kind != 'c' {
            sign + &"0".repeat(missing) + &body
        } else {
            " ".repeat(missing) + &sign + &body
        })
    }
}

fn signed(negative: bool, spec: &Spec) -> String {
    match (negative, spec.plus, spec.space) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        _ => "",
    }
    .to_owned()
}

/// A width or precision, as far as it fits.
fn digits(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<usize> {
    let mut number = None;
    while let Some(digit) = rest.next_if(char::is_ascii_digit) {
        let digit = digit as usize - '0' as usize;
        number = Some(
            number
                .unwrap_or(0_usize)
                .saturating_mul(10)
                .saturating_add(digit),
        );
    }
    number
}

/// A number that is not negative, as `%f`, `%e` and `%g` write it.
pub(crate) fn float_text(number: f64, kind: char, digits: usize, alternate: bool) -> String {
    let text = if !number.is_finite() {
        if number.is_nan() { "nan" } else { "inf" }.to_owned()
    } else {
        match kind.to_ascii_lowercase() {
            'f' => {
                let dot = if alternate && digits == 0 { "." } else { "" };
                format!("{number:.digits$}{dot}")
            }
            'e' => exponent(number, digits),
            _ => general(number, digits.max(1), alternate),
        }
    };
    if kind.is_ascii_uppercase() {
        text.to_uppercase()
    } else {
        text
    }
}

/// `1.5e+03`
fn exponent(number: f64, digits: usize) -> String {
    let text = format!("{number:.digits$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{exponent:0>2}")
}

/// Whichever of both is shorter, without zeros behind.
fn general(number: f64, digits: usize, alternate: bool) -> String {
    let as_exponent = exponent(number, digits - 1);
    let power: i64 = as_exponent
        .rsplit_once('e')
        .and_then(|(_, power)| power.parse().ok())
        .unwrap_or(0);
    let trim = |text: &str| match text.contains('.') && !alternate {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if power < -4 || power >= digits as i64 {
        let (mantissa, power) = as_exponent.split_once('e').unwrap_or((&as_exponent, "+00"));
        return format!("{}e{power}", trim(mantissa));
    }
    let places = (digits as i64 - 1 - power).max(0) as usize;
    trim(&format!("{number:.places$}"))
}
