//! Arguments of calls, filters and tests.

use crate::ast::Name;
use crate::error::{Result, fail};
use crate::value::Value;

/// The values that a call gives.
#[derive(Debug, Default, Clone)]
pub(crate) struct Given {
    pub(crate) positional: Vec<Value>,
    pub(crate) named: Vec<(Name, Value)>,
}

impl Given {
    /// The values of parameters, in their order.
    pub(crate) fn bind<const N: usize>(
        self,
        function: &str,
        parameters: [&str; N],
    ) -> Result<[Option<Value>; N]> {
        if self.positional.len() > N {
            fail!(
                "{function} takes at most {N} arguments, but is given {}",
                self.positional.len()
            );
        }
        let mut values = [const { None }; N];
        for (slot, value) in values.iter_mut().zip(self.positional) {
            *slot = Some(value);
        }
        for (name, value) in self.named {
            let Some(at) = parameters.iter().position(|other| **other == *name) else {
                fail!("{function} got an unexpected keyword argument '{name}'");
            };
            if values[at].is_some() {
                fail!("{function} got multiple values for argument '{name}'");
            }
            values[at] = Some(value);
        }
        Ok(values)
    }

    /// Values that are given without names, of which `least` must be there.
    pub(crate) fn in_order<const N: usize>(
        self,
        function: &str,
        least: usize,
    ) -> Result<[Option<Value>; N]> {
        if let Some((name, _)) = self.named.first() {
            fail!("{function} takes no keyword arguments, but is given '{name}'");
        }
        let count = self.positional.len();
        if count < least || count > N {
            fail!("{function} takes {least} to {N} arguments, but is given {count}");
        }
        let mut values = [const { None }; N];
        for (slot, value) in values.iter_mut().zip(self.positional) {
            *slot = Some(value);
        }
        Ok(values)
    }
}

/// A parameter that must be given.
pub(crate) fn required(value: Option<Value>, function: &str, name: &str) -> Result<Value> {
    match value {
        Some(value) => Ok(value),
        None => fail!("{function} misses its argument '{name}'"),
    }
}

/// A whole number, or the default where nothing is given.
pub(crate) fn int(value: Option<Value>, default: i128, name: &str) -> Result<i128> {
    match value {
        None => Ok(default),
        Some(value) => match value.as_int() {
            Some(number) => Ok(number),
            None => fail!("{name} is of type {}, but must be an integer", value.kind()),
        },
    }
}

/// Whether a flag is set.
pub(crate) fn flag(value: Option<Value>) -> bool {
    value.is_some_and(|value| value.is_true())
}
