//! Tests: `value is name`.

use crate::arguments::{Given, required};
use crate::ast::{Comparison, Operator};
use crate::error::{Result, fail};
use crate::filters::FILTERS;
use crate::interpreter::Interpreter;
use crate::text::is_cased;
use crate::value::Value;

/// The names of all tests.
const TESTS: [&str; 38] = [
    "odd",
    "even",
    "divisibleby",
    "defined",
    "undefined",
    "filter",
    "test",
    "none",
    "boolean",
    "false",
    "true",
    "integer",
    "float",
    "lower",
    "upper",
    "string",
    "mapping",
    "number",
    "sequence",
    "iterable",
    "callable",
    "sameas",
    "escaped",
    "in",
    "eq",
    "equalto",
    "ne",
    "gt",
    "greaterthan",
    "ge",
    "lt",
    "lessthan",
    "le",
    "==",
    "!=",
    ">",
    ">=",
    "<",
];

impl Interpreter<'_> {
    pub(crate) fn test(&mut self, name: &str, value: &Value, given: Given) -> Result<bool> {
        self.budget.spend(1)?;
        let comparison = match name {
            "eq" | "equalto" | "==" => Some(Comparison::Equal),
            "ne" | "!=" => Some(Comparison::NotEqual),
            "gt" | "greaterthan" | ">" => Some(Comparison::Greater),
            "ge" | ">=" => Some(Comparison::GreaterOrEqual),
            "lt" | "lessthan" | "<" => Some(Comparison::Less),
            "le" | "<=" => Some(Comparison::LessOrEqual),
            "in" => Some(Comparison::In),
            _ => None,
        };
        if let Some(comparison) = comparison {
            let [other] = given.bind(name, [if name == "in" { "seq" } else { "other" }])?;
            let other = required(other, name, "other")?;
            return self.compare(comparison, value, &other);
        }
        match name {
            "divisibleby" => {
                let [number] = given.bind(name, ["num"])?;
                let number = required(number, name, "num")?;
                return self.leaves(value, &number, 0);
            }
            "sameas" => {
                let [other] = given.bind(name, ["other"])?;
                let other = required(other, name, "other")?;
                return self.same(value, &other);
            }
            _ => {}
        }
        let [] = given.in_order(name, 0)?;
        self.property(name, value)
    }

    /// Tests that look at one value only.
    fn property(&mut self, name: &str, value: &Value) -> Result<bool> {
        Ok(match name {
            "defined" => !matches!(value, Value::Undefined(_)),
            "undefined" => matches!(value, Value::Undefined(_)),
            "none" => matches!(value, Value::None),
            "boolean" => matches!(value, Value::Bool(_)),
            "true" => matches!(value, Value::Bool(true)),
            "false" => matches!(value, Value::Bool(false)),
            "integer" => matches!(value, Value::Int(_)),
            "float" => matches!(value, Value::Float(_)),
            "number" => matches!(value, Value::Int(_) | Value::Float(_) | Value::Bool(_)),
            "string" => matches!(value, Value::Text(_)),
            "mapping" => matches!(value, Value::Dict(_)),
            "sequence" => matches!(
                value,
                Value::Undefined(_)
                    | Value::Text(_)
                    | Value::List(_)
                    | Value::Tuple(_)
                    | Value::Dict(_)
                    | Value::Range(_)
            ),
            "iterable" => is_iterable(value),
            "callable" => matches!(
                value,
                Value::Undefined(_)
                    | Value::Function(_)
                    | Value::Method(_)
                    | Value::Macro(_)
                    | Value::Joiner(_)
                    | Value::Loop(_)
            ),
            "escaped" => matches!(value, Value::Text(text) if text.safe),
            "odd" => self.leaves(value, &Value::Int(2), 1)?,
            "even" => self.leaves(value, &Value::Int(2), 0)?,
            "lower" => {
                let text = self.text_of(value)?;
                text.chars().any(is_cased) && !text.chars().any(char::is_uppercase)
            }
            "upper" => {
                let text = self.text_of(value)?;
                text.chars().any(is_cased) && !text.chars().any(char::is_lowercase)
            }
            "filter" => value.as_text().is_some_and(|name| FILTERS.contains(&name)),
            "test" => value
                .as_text()
                .is_some_and(|name| name == "<=" || TESTS.contains(&name)),
            _ => fail!("No test named '{name}'."),
        })
    }

    /// Whether a division leaves a rest.
    fn leaves(&mut self, value: &Value, divisor: &Value, rest: i128) -> Result<bool> {
        let found = self.arithmetic(Operator::Remainder, value, divisor)?;
        self.equal(&found, &Value::Int(rest))
    }

    /// `is` of Python, as far as it can be told of values that never change.
    fn same(&mut self, value: &Value, other: &Value) -> Result<bool> {
        use std::rc::Rc;
        Ok(match (value, other) {
            (Value::List(left), Value::List(right)) | (Value::Tuple(left), Value::Tuple(right)) => {
                Rc::ptr_eq(left, right)
            }
            (Value::Dict(left), Value::Dict(right)) => Rc::ptr_eq(left, right),
            _ => value.kind() == other.kind() && self.equal(value, other)?,
        })
    }
}

fn is_iterable(value: &Value) -> bool {
    matches!(
        value,
        Value::Undefined(_)
            | Value::Text(_)
            | Value::List(_)
            | Value::Tuple(_)
            | Value::Dict(_)
            | Value::Range(_)
            | Value::View(..)
            | Value::Generator(_)
            | Value::Loop(_)
    )
}
