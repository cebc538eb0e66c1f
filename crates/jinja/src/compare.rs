//! Equality, order and membership as Python has them.

use std::cmp::Ordering;
use std::rc::Rc;

use crate::ast::Comparison;
use crate::error::{Fault, Result, fail};
use crate::interpreter::Interpreter;
use crate::value::{Dict, Value, View};

impl Interpreter<'_> {
    pub(crate) fn compare(
        &mut self,
        comparison: Comparison,
        left: &Value,
        right: &Value,
    ) -> Result<bool> {
        self.budget.spend(1)?;
        match comparison {
            Comparison::Equal => self.equal(left, right),
            Comparison::NotEqual => Ok(!self.equal(left, right)?),
            Comparison::In => self.contains(right, left),
            Comparison::NotIn => Ok(!self.contains(right, left)?),
            Comparison::Less => Ok(self.order(left, right, "<")? == Some(Ordering::Less)),
            Comparison::Greater => Ok(self.order(left, right, ">")? == Some(Ordering::Greater)),
            Comparison::LessOrEqual => Ok(matches!(
                self.order(left, right, "<=")?,
                Some(Ordering::Less | Ordering::Equal)
            )),
            Comparison::GreaterOrEqual => Ok(matches!(
                self.order(left, right, ">=")?,
                Some(Ordering::Greater | Ordering::Equal)
            )),
        }
    }

    pub(crate) fn equal(&mut self, left: &Value, right: &Value) -> Result<bool> {
        self.budget.spend(1)?;
        Ok(match (left, right) {
            (Value::Undefined(_), Value::Undefined(_)) | (Value::None, Value::None) => true,
            (Value::Text(left), Value::Text(right)) => {
                self.budget.read(left.text.len())?;
                left.text == right.text
            }
            (Value::List(left), Value::List(right)) | (Value::Tuple(left), Value::Tuple(right)) => {
                if Rc::ptr_eq(left, right) {
                    return Ok(true);
                }
                if left.items.len() != right.items.len() {
                    return Ok(false);
                }
                for (left, right) in left.items.iter().zip(&right.items) {
                    if !self.equal(left, right)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Value::Dict(left), Value::Dict(right)) => {
                Rc::ptr_eq(left, right) || self.equal_dicts(left, right)?
            }
            (Value::Range(left), Value::Range(right)) => {
                let (left_len, right_len) = (left.len(), right.len());
                left_len == right_len
                    && (left_len == 0
                        || left.start == right.start && (left_len == 1 || left.step == right.step))
            }
            (Value::View(View::Keys, left), Value::View(View::Keys, right)) => {
                left.len() == right.len()
                    && left
                        .entries()
                        .iter()
                        .all(|(key, _)| matches!(right.get(key), Ok(Some(_))))
            }
            (Value::Namespace(left), Value::Namespace(right)) => left == right,
            (Value::Macro(left), Value::Macro(right)) => left == right,
            (Value::Function(left), Value::Function(right)) => left == right,
            (Value::Generator(left), Value::Generator(right)) => Rc::ptr_eq(left, right),
            (Value::Loop(left), Value::Loop(right)) => Rc::ptr_eq(left, right),
            (Value::Method(left), Value::Method(right)) => Rc::ptr_eq(left, right),
            _ => numbers(left, right) == Some(Ordering::Equal),
        })
    }

    fn equal_dicts(&mut self, left: &Dict, right: &Dict) -> Result<bool> {
        if left.len() != right.len() {
            return Ok(false);
        }
        for (key, value) in left.entries() {
            match right.get(key)? {
                Some(other) if self.equal(value, other)? => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    /// The order of two values; `None` where there is none between numbers.
    pub(crate) fn order(
        &mut self,
        left: &Value,
        right: &Value,
        sign: &str,
    ) -> Result<Option<Ordering>> {
        self.budget.spend(1)?;
        match (left, right) {
            (Value::Undefined(why), _) | (_, Value::Undefined(why)) => Err(Fault::new(&**why)),
            (Value::Text(left), Value::Text(right)) => {
                self.budget.read(left.text.len().min(right.text.len()))?;
                Ok(Some(left.text.cmp(&right.text)))
            }
            (Value::List(left), Value::List(right)) | (Value::Tuple(left), Value::Tuple(right)) => {
                for (left, right) in left.items.iter().zip(&right.items) {
                    if !self.equal(left, right)? {
                        return self.order(left, right, sign);
                    }
                }
                Ok(Some(left.items.len().cmp(&right.items.len())))
            }
            _ if is_number(left) && is_number(right) => Ok(numbers(left, right)),
            _ => fail!(
                "'{sign}' not supported between instances of '{}' and '{}'",
                left.kind(),
                right.kind()
            ),
        }
    }

    /// `item in value`
    pub(crate) fn contains(&mut self, value: &Value, item: &Value) -> Result<bool> {
        match value {
            Value::Text(text) => match item {
                Value::Text(part) => {
                    self.budget.read(text.text.len() + part.text.len())?;
                    Ok(text.text.contains(&*part.text))
                }
                other => fail!(
                    "'in <string>' requires string as left operand, not {}",
                    other.kind()
                ),
            },
            Value::Dict(dict) | Value::View(View::Keys, dict) => Ok(dict.get(item)?.is_some()),
            other => {
                for each in self.iterate(other)? {
                    if self.equal(&each, item)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    /// Sorts, keeping the order of what is equal.
    pub(crate) fn sort(&mut self, keyed: &mut [(Value, Value)], reverse: bool) -> Result<()> {
        let mut failure = None;
        keyed.sort_by(|(left, _), (right, _)| {
            if failure.is_some() {
                return Ordering::Equal;
            }
            match self.order(left, right, "<") {
                Ok(order) => {
                    let order = order.unwrap_or(Ordering::Equal);
                    if reverse { order.reverse() } else { order }
                }
                Err(fault) => {
                    failure = Some(fault);
                    Ordering::Equal
                }
            }
        });
        failure.map_or(Ok(()), Err)
    }
}

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Bool(_) | Value::Int(_) | Value::Float(_))
}

/// The order of two numbers, exactly.
fn numbers(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Float(left), Value::Float(right)) => left.partial_cmp(right),
        (Value::Float(left), right) => float_and_int(*left, right.as_int()?),
        (left, Value::Float(right)) => float_and_int(*right, left.as_int()?).map(Ordering::reverse),
        (left, right) => Some(left.as_int()?.cmp(&right.as_int()?)),
    }
}

fn float_and_int(float: f64, int: i128) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    if float.abs() >= 1e38 {
        return Some(if float > 0.0 {
            Ordering::Greater
        } else {
            Ordering::Less
        });
    }
    let whole = float.floor();
    let order = (whole as i128).cmp(&int);
    Some(if order == Ordering::Equal && float > whole {
        Ordering::Greater
    } else {
        order
    })
}
