//! Calls of functions, methods and macros.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use jiff::Zoned;

use crate::arguments::{Given, int, required};
use crate::error::{Fault, Result, fail};
use crate::interpreter::{Defined, Interpreter};
use crate::value::{Dict, Function, Loop, Range, Value};

/// Items of the longest range, as Jinja2's sandbox has it.
const LONGEST_RANGE: usize = 100_000;

impl<'t> Interpreter<'t> {
    pub(crate) fn call(&mut self, callee: &Value, given: Given) -> Result<Value> {
        match callee {
            Value::Function(function) => self.function(*function, given),
            Value::Method(method) => self.method(&method.0, &method.1, given),
            Value::Macro(index) => self.bind_macro(self.macros[*index], given),
            Value::Loop(state) => {
                let [items] = given.bind("loop", ["iterable"])?;
                let items = required(items, "loop", "iterable")?;
                self.recurse(state, &items)
            }
            Value::Cycler(cycler) => {
                let at = cycler.1.get();
                cycler.1.set((at + 1) % cycler.0.len());
                Ok(cycler.0[at].clone())
            }
            Value::Joiner(joiner) => Ok(match joiner.1.replace(true) {
                true => joiner.0.clone(),
                false => Value::text(""),
            }),
            Value::Undefined(why) => Err(Fault::new(&**why)),
            other => fail!("'{}' object is not callable", other.kind()),
        }
    }

    fn function(&mut self, function: Function, given: Given) -> Result<Value> {
        match function {
            Function::RaiseException => {
                let [message] = given.bind("raise_exception", ["message"])?;
                let message = required(message, "raise_exception", "message")?;
                Err(Fault::raised(self.text_of(&message)?))
            }
            Function::StrftimeNow => {
                let [format] = given.bind("strftime_now", ["format"])?;
                let format = required(format, "strftime_now", "format")?;
                let format = self.text_of(&format)?;
                let now = self.options.now.unwrap_or_else(|| Zoned::now().datetime());
                match jiff::fmt::strtime::format(&format, now) {
                    Ok(text) => Ok(Value::text(text)),
                    Err(error) => fail!("strftime_now(\"{format}\"): {error}"),
                }
            }
            Function::Range => range(given),
            Function::Dict => self.dict(given),
            Function::Namespace => {
                let Value::Dict(dict) = self.dict(given)? else {
                    fail!("namespace() takes a dictionary");
                };
                let id = self.namespaces.len();
                self.budget.items(1)?;
                self.namespaces.push(Vec::new());
                for (name, value) in dict.entries() {
                    self.set_attribute(id, name.clone(), value.clone())?;
                }
                Ok(Value::Namespace(id))
            }
            Function::Cycler if given.positional.is_empty() => {
                fail!("at least one item has to be provided")
            }
            Function::Cycler => Ok(Value::Cycler(Rc::new((given.positional, Cell::new(0))))),
            Function::Joiner => {
                let [separator] = given.bind("joiner", ["sep"])?;
                let separator = separator.unwrap_or_else(|| Value::text(", "));
                Ok(Value::Joiner(Rc::new((separator, Cell::new(false)))))
            }
        }
    }

    /// `dict(...)`: of another one, of pairs, of names.
    fn dict(&mut self, given: Given) -> Result<Value> {
        let mut dict = Dict::new();
        if given.positional.len() > 1 {
            fail!(
                "dict expected at most 1 argument, got {}",
                given.positional.len()
            );
        }
        match given.positional.first() {
            None => {}
            Some(Value::Dict(other)) => {
                self.budget.items(2 * other.len())?;
                for (key, value) in other.entries() {
                    dict.insert(key.clone(), value.clone())?;
                }
            }
            Some(other) => {
                for pair in self.iterate(other)? {
                    let pair = self.iterate(&pair)?;
                    let [key, value] = &pair[..] else {
                        fail!("dict() takes pairs, but is given {} values", pair.len());
                    };
                    dict.insert(key.clone(), value.clone())?;
                }
            }
        }
        self.budget.items(2 * given.named.len())?;
        for (name, value) in given.named {
            dict.insert(Value::text(name), value)?;
        }
        Ok(Value::dict(dict))
    }

    /// Fits what a call gives to what a macro takes.
    fn bind_macro(&mut self, defined: Defined<'t>, mut given: Given) -> Result<Value> {
        let definition = defined.definition;
        let name = definition.name.as_deref().unwrap_or("caller");
        let uses = definition.uses;
        let count = definition.parameters.len();
        let more = given
            .positional
            .split_off(count.min(given.positional.len()));
        let mut values: Vec<Option<Value>> = given.positional.into_iter().map(Some).collect();
        let mut named = given.named;
        let mut take = |name: &str| {
            let at = named.iter().position(|(other, _)| &**other == name)?;
            Some(named.remove(at).1)
        };
        for (parameter, _) in &definition.parameters[values.len()..] {
            values.push(take(parameter));
        }
        let mut special = Vec::new();
        let explicit = definition.parameters.iter().any(|(p, _)| &**p == "caller");
        if uses.caller && !explicit {
            let caller = take("caller").filter(|value| !matches!(value, Value::None));
            let caller = caller.unwrap_or_else(|| Value::undefined("No caller defined"));
            special.push(("caller", caller));
        }
        if uses.kwargs {
            let mut dict = Dict::new();
            for (name, value) in named {
                dict.insert(Value::text(name), value)?;
            }
            special.push(("kwargs", Value::dict(dict)));
        } else if let Some((argument, _)) = named.first() {
            fail!("macro '{name}' takes no keyword argument '{argument}'");
        }
        if uses.varargs {
            special.push(("varargs", Value::tuple(more)?));
        } else if !more.is_empty() {
            fail!("macro '{name}' takes not more than {count} argument(s)");
        }
        self.call_macro(defined, values, special)
    }

    /// Methods of `loop`, which know where it stands.
    pub(crate) fn loop_method(&mut self, state: &Loop, name: &str, given: Given) -> Result<Value> {
        let values = given.positional;
        match name {
            "cycle" if values.is_empty() => fail!("no items for cycling given"),
            "cycle" => Ok(values[state.index.get() % values.len()].clone()),
            _ => {
                let before = RefCell::replace(&state.changed, Some(values.clone()));
                let same = match before {
                    Some(before) => self.equal(&Value::tuple(before)?, &Value::tuple(values)?)?,
                    None => false,
                };
                Ok(Value::Bool(!same))
            }
        }
    }
}

fn range(given: Given) -> Result<Value> {
    let [first, second, step] = given.in_order("range", 1)?;
    let (start, stop) = match (first, second) {
        (stop, None) => (0, int(stop, 0, "the end of a range")?),
        (start, stop) => (
            int(start, 0, "the start of a range")?,
            int(stop, 0, "the end of a range")?,
        ),
    };
    let step = int(step, 1, "the step of a range")?;
    if step == 0 {
        fail!("range() arg 3 must not be zero");
    }
    let range = Range { start, stop, step };
    if range.len() > LONGEST_RANGE {
        return Err(Fault::limit(format!(
            "a range of {} items is longer than {LONGEST_RANGE}, the most that Jinja2's sandbox allows",
            range.len()
        )));
    }
    Ok(Value::Range(range))
}
