//! `int()`, `float()` and `round()` of Python.

use crate::error::{Fault, Result, fail};
use crate::text::is_space;
use crate::value::Value;

/// `int(text, base)`; `None` where that is no number.
pub(crate) fn int_of_text(text: &str, base: i128) -> Option<i128> {
    let text = text.trim_matches(is_space);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let prefixed = |prefix: &str| {
        lower
            .starts_with(prefix)
            .then(|| digits[2..].trim_start_matches('_'))
    };
    let (radix, digits) = match base {
        16 => (16, prefixed("0x").unwrap_or(digits)),
        8 => (8, prefixed("0o").unwrap_or(digits)),
        2 => (2, prefixed("0b").unwrap_or(digits)),
        0 => match (prefixed("0x"), prefixed("0o"), prefixed("0b")) {
            (Some(digits), _, _) => (16, digits),
            (_, Some(digits), _) => (8, digits),
            (_, _, Some(digits)) => (2, digits),
            _ => (10, digits),
        },
        base => (
            u32::try_from(base)
                .ok()
                .filter(|base| (2..=36).contains(base))?,
            digits,
        ),
    };
    let plain = !digits.starts_with('_') && !digits.ends_with('_') && !digits.contains("__");
    let digits: String = digits.chars().filter(|c| *c != '_').collect();
    let signed = digits.starts_with(['+', '-']);
    let number = i128::from_str_radix(&digits, radix)
        .ok()
        .filter(|_| plain && !signed)?;
    Some(if negative { -number } else { number })
}

/// `float(text)`; `None` where that is no number.
pub(crate) fn float_of_text(text: &str) -> Option<f64> {
    let text = text.trim_matches(is_space);
    let lower = text.to_ascii_lowercase();
    let unsigned = lower.trim_start_matches(['+', '-']);
    let word = matches!(unsigned, "inf" | "infinity" | "nan");
    let numeric = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let plain = !lower.contains("__") && !lower.starts_with('_') && !lower.ends_with('_');
    let number = lower.replace('_', "").parse().ok()?;
    ((word || numeric) && plain).then_some(number)
}

/// `int(number)` of a float, towards zero.
pub(crate) fn int_of_float(number: f64) -> Result<i128> {
    if number.is_nan() {
        fail!("cannot convert float NaN to integer");
    }
    if number.is_infinite() {
        fail!("cannot convert float infinity to integer");
    }
    if number.abs() >= 1e38 {
        return Err(Fault::limit("a number takes more than 128 bits"));
    }
    Ok(number as i128)
}

/// `round(number, digits)`: half to even, of the number as it is in binary.
pub(crate) fn rounded(value: &Value, digits: Option<i128>) -> Result<Value> {
    let places = digits.unwrap_or(0);
    match value {
        Value::Int(_) | Value::Bool(_) => {
            let number = value.as_int().unwrap_or(0);
            if places >= 0 {
                return Ok(Value::Int(number));
            }
            let unit = u32::try_from(-places)
                .ok()
                .and_then(|p| 10_i128.checked_pow(p));
            let Some(unit) = unit else {
                return Ok(Value::Int(0));
            };
            let (floor, rest) = (number.div_euclid(unit), number.rem_euclid(unit));
            let up = rest * 2 > unit || (rest * 2 == unit && floor % 2 != 0);
            Ok(Value::Int((floor + i128::from(up)) * unit))
        }
        Value::Float(number) if !number.is_finite() => Ok(value.clone()),
        Value::Float(number) => {
            const MOST: i128 = 330;
            if places >= MOST {
                return Ok(value.clone());
            }
            if places >= 0 {
                let text = format!("{:.*}", places as usize, number);
                return Ok(Value::Float(text.parse().unwrap_or(*number)));
            }
            if places <= -MOST {
                return Ok(Value::Float(0.0_f64.copysign(*number)));
            }
            let unit = 10_f64.powi(-places as i32);
            let scaled = number / unit;
            let near = scaled.round_ties_even();
            Ok(Value::Float(near * unit))
        }
        Value::Undefined(why) => Err(Fault::new(&**why)),
        other => fail!("type {} doesn't define __round__ method", other.kind()),
    }
}
