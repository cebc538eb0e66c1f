//! Values as Python has them.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use crate::ast::Name;
use crate::budget::Budget;
use crate::error::{Result, fail};

/// A value of a template. Containers never change once they are made, as the sandbox
/// of Jinja2 has it, so values cannot contain themselves; namespaces, which change,
/// are numbers of what the interpreter keeps.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// With why, for messages.
    Undefined(Arc<str>),
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(Text),
    List(Rc<List>),
    Tuple(Rc<List>),
    Dict(Rc<Dict>),
    Range(Range),
    /// `keys()`, `values()` and `items()` of a dictionary.
    View(View, Rc<Dict>),
    /// Gives its items once.
    Generator(Rc<RefCell<VecDeque<Value>>>),
    Namespace(usize),
    Loop(Rc<Loop>),
    Function(Function),
    /// A method of a value, not called yet.
    Method(Rc<(Value, Name)>),
    Macro(usize),
    Cycler(Rc<(Vec<Value>, Cell<usize>)>),
    Joiner(Rc<(Value, Cell<bool>)>),
}

/// A string; `safe` where the template has marked it so, which matters where it is
/// added to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) text: Arc<str>,
    pub(crate) safe: bool,
}

#[derive(Debug)]
pub(crate) struct List {
    pub(crate) items: Vec<Value>,
    /// Containers within each other, this one included.
    depth: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: i128,
    pub(crate) stop: i128,
    pub(crate) step: i128,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    Keys,
    Values,
    Items,
}

/// Functions that every template has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    RaiseException,
    StrftimeNow,
    Range,
    Dict,
    Namespace,
    Cycler,
    Joiner,
}

/// The variable `loop`.
#[derive(Debug)]
pub(crate) struct Loop {
    /// Which of the interpreter's loops it is.
    pub(crate) id: usize,
    pub(crate) items: Vec<Value>,
    pub(crate) index: Cell<usize>,
    pub(crate) depth: usize,
    pub(crate) changed: RefCell<Option<Vec<Value>>>,
}

/// A dictionary in the order in which it was made.
#[derive(Debug, Default)]
pub(crate) struct Dict {
    entries: Vec<(Value, Value)>,
    texts: HashMap<Arc<str>, usize>,
    others: HashMap<Key, usize>,
    depth: u32,
}

/// A key that is no string, in the form by which Python compares keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Undefined,
    None,
    Int(i128),
    /// The bits of a number that is no integer.
    Float(u64),
    Text(Arc<str>),
    Tuple(Vec<Key>),
}

impl Value {
    pub(crate) fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(Text {
            text: text.into(),
            safe: false,
        })
    }

    pub(crate) fn undefined(why: impl Into<Arc<str>>) -> Self {
        Self::Undefined(why.into())
    }

    pub(crate) fn list(items: Vec<Value>) -> Result<Self> {
        Ok(Self::List(Rc::new(List::new(items)?)))
    }

    pub(crate) fn tuple(items: Vec<Value>) -> Result<Self> {
        Ok(Self::Tuple(Rc::new(List::new(items)?)))
    }

    pub(crate) fn generator(items: Vec<Value>) -> Self {
        Self::Generator(Rc::new(RefCell::new(items.into())))
    }

    pub(crate) fn dict(dict: Dict) -> Self {
        Self::Dict(Rc::new(dict))
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(&text.text),
            _ => None,
        }
    }

    /// The number that a value is as an index; `True` is 1.
    pub(crate) fn as_int(&self) -> Option<i128> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Bool(flag) => Some(i128::from(*flag)),
            _ => None,
        }
    }

    /// The type as Python calls it in messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Undefined(_) => "Undefined",
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Text(text) if text.safe => "Markup",
            Self::Text(_) => "str",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Dict(_) => "dict",
            Self::Range(_) => "range",
            Self::View(View::Keys, _) => "dict_keys",
            Self::View(View::Values, _) => "dict_values",
            Self::View(View::Items, _) => "dict_items",
            Self::Generator(_) => "generator",
            Self::Namespace(_) => "Namespace",
            Self::Loop(_) => "LoopContext",
            Self::Function(_) => "function",
            Self::Method(_) => "method",
            Self::Macro(_) => "Macro",
            Self::Cycler(_) => "Cycler",
            Self::Joiner(_) => "Joiner",
        }
    }

    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Undefined(_) | Self::None => false,
            Self::Bool(flag) => *flag,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.text.is_empty(),
            _ => self.len().is_none_or(|len| len > 0),
        }
    }

    /// The length of what has one.
    pub(crate) fn len(&self) -> Option<usize> {
        match self {
            Self::Undefined(_) => Some(0),
            Self::Text(text) => Some(text.text.chars().count()),
            Self::List(list) | Self::Tuple(list) => Some(list.items.len()),
            Self::Dict(dict) | Self::View(_, dict) => Some(dict.len()),
            Self::Range(range) => Some(range.len()),
            Self::Loop(state) => Some(state.items.len()),
            _ => None,
        }
    }

    /// Containers within each other.
    fn depth(&self) -> u32 {
        match self {
            Self::List(list) | Self::Tuple(list) => list.depth,
            Self::Dict(dict) => dict.depth,
            Self::View(_, dict) => dict.depth + 1,
            Self::Generator(items) => deepest(items.borrow().iter()),
            Self::Loop(state) => deepest(state.items.iter()),
            Self::Method(method) => method.0.depth() + 1,
            Self::Cycler(cycler) => deepest(cycler.0.iter()),
            Self::Joiner(joiner) => joiner.0.depth() + 1,
            _ => 0,
        }
    }
}

/// The depth of a container of some values.
fn deepest<'v>(values: impl Iterator<Item = &'v Value>) -> u32 {
    values.map(Value::depth).max().unwrap_or(0) + 1
}

impl List {
    fn new(items: Vec<Value>) -> Result<Self> {
        let depth = deepest(items.iter());
        Budget::check_depth(depth)?;
        Ok(Self { items, depth })
    }
}

impl Range {
    pub(crate) fn len(self) -> usize {
        let (from, to, step) = if self.step > 0 {
            (self.start, self.stop, self.step)
        } else {
            (self.stop, self.start, -self.step)
        };
        let span = to.saturating_sub(from).max(0);
        let count = span / step + i128::from(span % step != 0);
        usize::try_from(count).unwrap_or(usize::MAX)
    }

    pub(crate) fn get(self, index: usize) -> Value {
        Value::Int(self.start + self.step * index as i128)
    }
}

impl Key {
    fn of(value: &Value) -> Result<Self> {
        Ok(match value {
            Value::Undefined(_) => Self::Undefined,
            Value::None => Self::None,
            Value::Bool(flag) => Self::Int(i128::from(*flag)),
            Value::Int(number) => Self::Int(*number),
            Value::Float(number) if number.fract() == 0.0 && number.abs() < 1e38 => {
                Self::Int(*number as i128)
            }
            Value::Float(number) => Self::Float(number.to_bits()),
            Value::Text(text) => Self::Text(text.text.clone()),
            Value::Tuple(list) => {
                Self::Tuple(list.items.iter().map(Self::of).collect::<Result<_>>()?)
            }
            other => fail!("unhashable type: '{}'", other.kind()),
        })
    }
}

impl Dict {
    pub(crate) fn new() -> Self {
        Self {
            depth: 1,
            ..Self::default()
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn entries(&self) -> &[(Value, Value)] {
        &self.entries
    }

    /// Sets an entry; one that is there keeps its place and its key.
    pub(crate) fn insert(&mut self, key: Value, value: Value) -> Result<()> {
        self.depth = self.depth.max(1 + value.depth().max(key.depth()));
        Budget::check_depth(self.depth)?;
        let next = self.entries.len();
        let at = match &key {
            Value::Text(text) => *self.texts.entry(text.text.clone()).or_insert(next),
            other => *self.others.entry(Key::of(other)?).or_insert(next),
        };
        match self.entries.get_mut(at) {
            Some(entry) => entry.1 = value,
            None => self.entries.push((key, value)),
        }
        Ok(())
    }

    pub(crate) fn get_text(&self, key: &str) -> Option<&Value> {
        self.texts.get(key).map(|at| &self.entries[*at].1)
    }

    /// The value of a key, or an error where a value can be no key.
    pub(crate) fn get(&self, key: &Value) -> Result<Option<&Value>> {
        let at = match key {
            Value::Text(text) => self.texts.get(&*text.text),
            other => self.others.get(&Key::of(other)?),
        };
        Ok(at.map(|at| &self.entries[*at].1))
    }
}
