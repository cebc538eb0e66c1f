//! Attributes, items and slices of values, and iteration over them.

use std::rc::Rc;

use crate::ast::Name;
use crate::error::{Fault, Result, fail};
use crate::interpreter::Interpreter;
use crate::methods::{METHODS_OF_DICT, METHODS_OF_LIST, METHODS_OF_TEXT, METHODS_OF_TUPLE};
use crate::value::{Loop, Range, Value, View};

/// Methods that change a dictionary or a list, which the sandbox forbids.
const CHANGES_DICT: [&str; 5] = ["clear", "pop", "popitem", "setdefault", "update"];
const CHANGES_LIST: [&str; 8] = [
    "append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove",
];

impl Interpreter<'_> {
    /// `value.name`: an attribute, or else the item of that name.
    pub(crate) fn attribute(&mut self, value: &Value, name: &Name) -> Result<Value> {
        if let Value::Undefined(why) = value {
            return Err(Fault::new(&**why));
        }
        if let Some(found) = self.own_attribute(value, name) {
            return Ok(found);
        }
        if let Value::Dict(dict) = value
            && let Some(found) = dict.get_text(name)
        {
            return Ok(found.clone());
        }
        Ok(missing(value, name))
    }

    /// `value[key]`: an item, or else the attribute of that name.
    pub(crate) fn item(&mut self, value: &Value, key: &Value) -> Result<Value> {
        let found = match value {
            Value::Undefined(why) => return Err(Fault::new(&**why)),
            // What can be no key is in no dictionary.
            Value::Dict(dict) => dict.get(key).unwrap_or(None).cloned(),
            Value::Text(_) | Value::List(_) | Value::Tuple(_) | Value::Range(_) => {
                self.indexed(value, key)?
            }
            _ => None,
        };
        match (found, key) {
            (Some(found), _) => Ok(found),
            (None, Value::Text(name)) => Ok(self
                .own_attribute(value, &name.text)
                .unwrap_or_else(|| missing(value, &name.text))),
            (None, key) => {
                let key = self.repr(key)?;
                Ok(Value::undefined(format!(
                    "{} object has no element {key}",
                    value.kind()
                )))
            }
        }
    }

    fn indexed(&mut self, value: &Value, key: &Value) -> Result<Option<Value>> {
        let Some(index) = key.as_int() else {
            return Ok(None);
        };
        let len = match value {
            Value::Text(text) => {
                self.budget.read(text.text.len())?;
                text.text.chars().count()
            }
            other => other.len().unwrap_or(0),
        };
        let index = if index < 0 {
            index + len as i128
        } else {
            index
        };
        let Some(index) = usize::try_from(index).ok().filter(|index| *index < len) else {
            return Ok(None);
        };
        Ok(match value {
            Value::Text(text) => text
                .text
                .chars()
                .nth(index)
                .map(|c| Value::text(c.to_string())),
            Value::List(list) | Value::Tuple(list) => list.items.get(index).cloned(),
            Value::Range(range) => Some(range.get(index)),
            _ => None,
        })
    }

    /// What Python's `getattr` finds, without what is forbidden.
    fn own_attribute(&self, value: &Value, name: &Name) -> Option<Value> {
        let unsafe_attribute = || {
            Some(Value::undefined(format!(
                "access to attribute '{name}' of '{}' object is unsafe.",
                value.kind()
            )))
        };
        if name.starts_with("__") {
            return unsafe_attribute();
        }
        let method = || Some(Value::Method(Rc::new((value.clone(), name.clone()))));
        match value {
            Value::Text(_) if METHODS_OF_TEXT.contains(&&**name) => method(),
            Value::Dict(_) if CHANGES_DICT.contains(&&**name) => unsafe_attribute(),
            Value::Dict(_) if METHODS_OF_DICT.contains(&&**name) => method(),
            Value::List(_) if CHANGES_LIST.contains(&&**name) => unsafe_attribute(),
            Value::List(_) if METHODS_OF_LIST.contains(&&**name) => method(),
            Value::Tuple(_) if METHODS_OF_TUPLE.contains(&&**name) => method(),
            Value::Namespace(id) => {
                let mut attributes = self.namespaces[*id].iter();
                attributes
                    .find(|(other, _)| other.as_text() == Some(name))
                    .map(|(_, value)| value.clone())
            }
            Value::Loop(state) => loop_attribute(value, state, name),
            Value::Int(_) | Value::Bool(_) => match &**name {
                "real" | "numerator" => Some(Value::Int(value.as_int()?)),
                "imag" => Some(Value::Int(0)),
                "denominator" => Some(Value::Int(1)),
                "bit_length" | "conjugate" => method(),
                _ => None,
            },
            Value::Float(number) => match &**name {
                "real" => Some(Value::Float(*number)),
                "imag" => Some(Value::Float(0.0)),
                "is_integer" | "conjugate" => method(),
                _ => None,
            },
            Value::Range(range) => match &**name {
                "start" => Some(Value::Int(range.start)),
                "stop" => Some(Value::Int(range.stop)),
                "step" => Some(Value::Int(range.step)),
                "count" | "index" => method(),
                _ => None,
            },
            Value::Macro(index) => match &**name {
                "name" => Some(match &self.macros[*index].definition.name {
                    Some(name) => Value::text(name.clone()),
                    None => Value::None,
                }),
                _ => None,
            },
            Value::Cycler(cycler) => match &**name {
                "current" => cycler.0.get(cycler.1.get()).cloned(),
                "next" | "reset" => method(),
                _ => None,
            },
            _ => None,
        }
    }

    /// `value[start:stop:step]`
    pub(crate) fn slice(&mut self, value: &Value, bounds: &[Value; 3]) -> Result<Value> {
        let mut numbers = [None; 3];
        for (number, bound) in numbers.iter_mut().zip(bounds) {
            *number = match bound {
                Value::None => None,
                other => match other.as_int() {
                    Some(number) => Some(number),
                    None => fail!("slice indices must be integers or None"),
                },
            };
        }
        let sliced = |len: usize| Ok(Part::of(len, numbers)?.indices());
        match value {
            Value::Undefined(why) => Err(Fault::new(&**why)),
            Value::Text(text) => {
                self.budget.allocate(text.text.len())?;
                let chars: Vec<char> = text.text.chars().collect();
                let cut: String = sliced(chars.len())?.map(|index| chars[index]).collect();
                Ok(Value::text(cut))
            }
            Value::List(list) | Value::Tuple(list) => {
                let indices = sliced(list.items.len())?;
                self.budget.items(indices.len())?;
                let items = indices.map(|index| list.items[index].clone()).collect();
                match value {
                    Value::List(_) => Value::list(items),
                    _ => Value::tuple(items),
                }
            }
            Value::Range(range) => {
                let Part { start, stop, step } = Part::of(range.len(), numbers)?;
                Ok(Value::Range(Range {
                    start: range.start + range.step * start,
                    stop: range.start + range.step * stop,
                    step: range.step * step,
                }))
            }
            Value::Dict(_) => fail!("unhashable type: 'slice'"),
            other => fail!("'{}' object is not subscriptable", other.kind()),
        }
    }

    /// The items of what can be iterated over.
    pub(crate) fn iterate(&mut self, value: &Value) -> Result<Vec<Value>> {
        let len = match value {
            Value::Text(text) => text.text.len(),
            other => other.len().unwrap_or(0),
        };
        // The list goes as soon as it was walked over, so only the steps count.
        self.budget.spend(len)?;
        Ok(match value {
            Value::Undefined(_) => Vec::new(),
            Value::Text(text) => {
                let chars = text.text.chars();
                chars.map(|c| Value::text(c.to_string())).collect()
            }
            Value::List(list) | Value::Tuple(list) => list.items.clone(),
            Value::Dict(dict) | Value::View(View::Keys, dict) => {
                dict.entries().iter().map(|(key, _)| key.clone()).collect()
            }
            Value::View(View::Values, dict) => dict
                .entries()
                .iter()
                .map(|(_, value)| value.clone())
                .collect(),
            Value::View(View::Items, dict) => {
                let entries = dict.entries().iter();
                let pairs =
                    entries.map(|(key, value)| Value::tuple(vec![key.clone(), value.clone()]));
                pairs.collect::<Result<_>>()?
            }
            Value::Range(range) => (0..range.len()).map(|index| range.get(index)).collect(),
            Value::Generator(items) => {
                let items: Vec<Value> = items.borrow_mut().drain(..).collect();
                self.budget.spend(items.len())?;
                items
            }
            other => fail!("'{}' object is not iterable", other.kind()),
        })
    }
}

/// What is not there.
fn missing(value: &Value, name: &str) -> Value {
    let kind = match value {
        Value::None => "None".to_owned(),
        other => format!("{} object", other.kind()),
    };
    Value::undefined(format!("'{kind}' has no attribute '{name}'"))
}

fn loop_attribute(value: &Value, state: &Loop, name: &Name) -> Option<Value> {
    let index = state.index.get();
    let len = state.items.len();
    let number = |number: usize| Some(Value::Int(number as i128));
    match &**name {
        "index" => number(index + 1),
        "index0" => number(index),
        "revindex" => number(len - index),
        "revindex0" => number(len - index - 1),
        "first" => Some(Value::Bool(index == 0)),
        "last" => Some(Value::Bool(index + 1 == len)),
        "length" => number(len),
        "depth" => number(state.depth + 1),
        "depth0" => number(state.depth),
        "previtem" => Some(match index.checked_sub(1) {
            Some(before) => state.items[before].clone(),
            None => Value::undefined("there is no previous item"),
        }),
        "nextitem" => Some(match state.items.get(index + 1) {
            Some(next) => next.clone(),
            None => Value::undefined("there is no next item"),
        }),
        "cycle" | "changed" => Some(Value::Method(Rc::new((value.clone(), name.clone())))),
        _ => None,
    }
}

/// Which indices a slice takes of a sequence, as Python counts them.
struct Part {
    start: i128,
    stop: i128,
    step: i128,
}

impl Part {
    fn of(len: usize, [start, stop, step]: [Option<i128>; 3]) -> Result<Self> {
        let len = len as i128;
        let step = step.unwrap_or(1);
        if step == 0 {
            fail!("slice step cannot be zero");
        }
        let (lowest, highest) = if step > 0 { (0, len) } else { (-1, len - 1) };
        let bound = |bound: Option<i128>, default: i128| match bound {
            None => default,
            Some(number) if number < 0 => number.saturating_add(len).max(lowest),
            Some(number) => number.min(highest),
        };
        let (first, last) = if step > 0 { (0, len) } else { (len - 1, -1) };
        Ok(Self {
            start: bound(start, first),
            stop: bound(stop, last),
            step,
        })
    }

    fn indices(self) -> impl ExactSizeIterator<Item = usize> {
        let Self { start, stop, step } = self;
        let span = if step > 0 { stop - start } else { start - stop };
        let stride = i128::try_from(step.unsigned_abs()).unwrap_or(i128::MAX);
        let count = if span > 0 { (span - 1) / stride + 1 } else { 0 };
        let count = usize::try_from(count).unwrap_or(0);
        (0..count).map(move |index| (start + step * index as i128) as usize)
    }
}
