//! Arithmetic as Python does it.

use crate::ast::Operator;
use crate::error::{Fault, Result, fail};
use crate::interpreter::Interpreter;
use crate::text::escaped;
use crate::value::{Text, Value};

impl Interpreter<'_> {
    pub(crate) fn arithmetic(
        &mut self,
        operator: Operator,
        left: &Value,
        right: &Value,
    ) -> Result<Value> {
        self.budget.spend(1)?;
        match (operator, left, right) {
            (Operator::Remainder, Value::Text(format), _) => {
                let values = match right {
                    Value::Tuple(list) => list.items.clone(),
                    other => vec![other.clone()],
                };
                let mapping = matches!(
                    right,
                    Value::Dict(_) | Value::List(_) | Value::Range(_) | Value::Undefined(_)
                );
                let text = self.printf(&format.text, &values, mapping)?;
                Ok(Value::text(text))
            }
            (_, Value::Undefined(why), _) | (_, _, Value::Undefined(why)) => {
                Err(Fault::new(&**why))
            }
            (Operator::Add, Value::Text(left), Value::Text(right)) => self.join_texts(left, right),
            (Operator::Add, Value::List(left), Value::List(right)) => {
                self.budget.items(left.items.len() + right.items.len())?;
                Value::list([&left.items[..], &right.items[..]].concat())
            }
            (Operator::Add, Value::Tuple(left), Value::Tuple(right)) => {
                self.budget.items(left.items.len() + right.items.len())?;
                Value::tuple([&left.items[..], &right.items[..]].concat())
            }
            (Operator::Multiply, Value::Text(_) | Value::List(_) | Value::Tuple(_), _)
                if right.as_int().is_some() =>
            {
                self.repeated(left, right.as_int().unwrap_or(0))
            }
            (Operator::Multiply, _, Value::Text(_) | Value::List(_) | Value::Tuple(_))
                if left.as_int().is_some() =>
            {
                self.repeated(right, left.as_int().unwrap_or(0))
            }
            _ => numeric(operator, left, right),
        }
    }

    /// Two texts behind each other; what is not marked safe is escaped beside what is.
    fn join_texts(&mut self, left: &Text, right: &Text) -> Result<Value> {
        self.budget.allocate(left.text.len() + right.text.len())?;
        if !left.safe && !right.safe {
            return Ok(Value::text([&*left.text, &*right.text].concat()));
        }
        let part = |text: &Text| {
            if text.safe {
                text.text.to_string()
            } else {
                escaped(&text.text)
            }
        };
        Ok(Value::Text(Text {
            text: (part(left) + &part(right)).into(),
            safe: true,
        }))
    }

    fn repeated(&mut self, value: &Value, count: i128) -> Result<Value> {
        let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
        match value {
            Value::Text(text) => {
                self.budget
                    .allocate(text.text.len().saturating_mul(count))?;
                Ok(Value::text(text.text.repeat(count)))
            }
            Value::List(list) => {
                self.budget.items(list.items.len().saturating_mul(count))?;
                Value::list(repeat(&list.items, count))
            }
            Value::Tuple(list) => {
                self.budget.items(list.items.len().saturating_mul(count))?;
                Value::tuple(repeat(&list.items, count))
            }
            _ => Ok(Value::None),
        }
    }
}

fn repeat(items: &[Value], count: usize) -> Vec<Value> {
    let all = std::iter::repeat_n(items, count);
    all.flat_map(|items| items.iter().cloned()).collect()
}

fn numeric(operator: Operator, left: &Value, right: &Value) -> Result<Value> {
    let result = match (left.as_int(), right.as_int()) {
        (Some(left), Some(right)) => integers(operator, left, right)?,
        _ => match (as_float(left), as_float(right)) {
            (Some(left), Some(right)) => Some(floats(operator, left, right)?),
            _ => None,
        },
    };
    match result {
        Some(value) => Ok(value),
        None => fail!(
            "unsupported operand type(s) for {}: '{}' and '{}'",
            sign(operator),
            left.kind(),
            right.kind()
        ),
    }
}

fn sign(operator: Operator) -> &'static str {
    match operator {
        Operator::Add => "+",
        Operator::Subtract => "-",
        Operator::Multiply => "*",
        Operator::Divide => "/",
        Operator::FloorDivide => "//",
        Operator::Remainder => "%",
        Operator::Power => "**",
    }
}

pub(crate) fn as_float(value: &Value) -> Option<f64> {
    match value {
        Value::Float(number) => Some(*number),
        other => other.as_int().map(|number| number as f64),
    }
}

fn integers(operator: Operator, left: i128, right: i128) -> Result<Option<Value>> {
    let whole = match operator {
        Operator::Add => left.checked_add(right),
        Operator::Subtract => left.checked_sub(right),
        Operator::Multiply => left.checked_mul(right),
        Operator::Divide if right == 0 => fail!("division by zero"),
        Operator::Divide => return Ok(Some(Value::Float(left as f64 / right as f64))),
        Operator::FloorDivide | Operator::Remainder if right == 0 => {
            fail!("integer division or modulo by zero")
        }
        Operator::FloorDivide => left.checked_div(right).map(|quotient| {
            let exact = quotient * right == left;
            quotient - i128::from(!exact && (left < 0) != (right < 0))
        }),
        Operator::Remainder => left.checked_rem(right).map(|rest| {
            if rest != 0 && (rest < 0) != (right < 0) {
                rest + right
            } else {
                rest
            }
        }),
        Operator::Power if right < 0 && left == 0 => {
            fail!("0.0 cannot be raised to a negative power")
        }
        Operator::Power if right < 0 => {
            return Ok(Some(Value::Float((left as f64).powf(right as f64))));
        }
        Operator::Power => u32::try_from(right)
            .ok()
            .and_then(|exponent| left.checked_pow(exponent)),
    };
    match whole {
        Some(number) => Ok(Some(Value::Int(number))),
        None => Err(Fault::limit("a number takes more than 128 bits")),
    }
}

fn floats(operator: Operator, left: f64, right: f64) -> Result<Value> {
    Ok(Value::Float(match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide if right == 0.0 => fail!("float division by zero"),
        Operator::Divide => left / right,
        Operator::FloorDivide if right == 0.0 => fail!("float floor division by zero"),
        Operator::Remainder if right == 0.0 => fail!("float modulo"),
        Operator::FloorDivide => {
            let rest = remainder(left, right);
            let quotient = (left - rest) / right;
            let floor = quotient.floor();
            if quotient - floor > 0.5 {
                floor + 1.0
            } else {
                floor
            }
        }
        Operator::Remainder => remainder(left, right),
        Operator::Power if left == 0.0 && right < 0.0 => {
            fail!("0.0 cannot be raised to a negative power")
        }
        Operator::Power if left < 0.0 && right.fract() != 0.0 => {
            fail!("complex numbers are not supported in chat templates")
        }
        Operator::Power => match left.powf(right) {
            power if power.is_infinite() && left.is_finite() && right.is_finite() => {
                fail!("Numerical result out of range")
            }
            power => power,
        },
    }))
}

/// What a floor division leaves over; it has the sign of the divisor.
fn remainder(left: f64, right: f64) -> f64 {
    let rest = left % right;
    if rest == 0.0 {
        0.0_f64.copysign(right)
    } else if (rest < 0.0) != (right < 0.0) {
        rest + right
    } else {
        rest
    }
}
