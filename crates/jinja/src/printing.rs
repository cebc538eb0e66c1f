//! Values as `str()` and `repr()` write them.

use std::rc::Rc;

use crate::budget::VALUE_DEPTH;
use crate::error::{Fault, Result};
use crate::interpreter::Interpreter;
use crate::text::{float, quoted};
use crate::value::{Value, View};

impl Interpreter<'_> {
    /// A value as by `str()`; what is printed of it.
    pub(crate) fn text_of(&mut self, value: &Value) -> Result<String> {
        match value {
            Value::Undefined(_) => Ok(String::new()),
            Value::Text(text) => {
                self.budget.allocate(text.text.len())?;
                Ok(text.text.to_string())
            }
            other => self.repr(other),
        }
    }

    /// A value as by `repr()`.
    pub(crate) fn repr(&mut self, value: &Value) -> Result<String> {
        let mut out = String::new();
        self.write_repr(value, &mut out, 0, &mut Vec::new())?;
        Ok(out)
    }

    fn write_repr(
        &mut self,
        value: &Value,
        out: &mut String,
        depth: u32,
        open: &mut Vec<usize>,
    ) -> Result<()> {
        if depth > VALUE_DEPTH {
            return Err(Fault::limit("a value that is printed is nested too deeply"));
        }
        self.budget.spend(1)?;
        let written = match value {
            Value::Undefined(_) => "Undefined".to_owned(),
            Value::None => "None".to_owned(),
            Value::Bool(flag) => if *flag { "True" } else { "False" }.to_owned(),
            Value::Int(number) => number.to_string(),
            Value::Float(number) => float(*number),
            Value::Text(text) if text.safe => format!("Markup({})", quoted(&text.text)),
            Value::Text(text) => quoted(&text.text),
            Value::List(list) => {
                out.push('[');
                self.write_items(&list.items, out, depth, open)?;
                "]".to_owned()
            }
            Value::Tuple(list) => {
                out.push('(');
                self.write_items(&list.items, out, depth, open)?;
                if list.items.len() == 1 { ",)" } else { ")" }.to_owned()
            }
            Value::Dict(dict) => {
                self.write_entries(dict.entries(), out, depth, open)?;
                String::new()
            }
            Value::View(view, _) => {
                out.push_str(match view {
                    View::Keys => "dict_keys([",
                    View::Values => "dict_values([",
                    View::Items => "dict_items([",
                });
                let items = self.iterate(value)?;
                self.write_items(&items, out, depth, open)?;
                "])".to_owned()
            }
            Value::Range(range) if range.step == 1 => {
                format!("range({}, {})", range.start, range.stop)
            }
            Value::Range(range) => {
                format!("range({}, {}, {})", range.start, range.stop, range.step)
            }
            Value::Namespace(id) => {
                out.push_str("<Namespace ");
                if open.contains(id) {
                    out.push_str("{...}");
                } else {
                    open.push(*id);
                    let entries = Rc::from(&self.namespaces[*id][..]) as Rc<[_]>;
                    self.write_entries(&entries, out, depth, open)?;
                    open.pop();
                }
                ">".to_owned()
            }
            Value::Loop(state) => {
                format!(
                    "<LoopContext {}/{}>",
                    state.index.get() + 1,
                    state.items.len()
                )
            }
            Value::Macro(index) => match &self.macros[*index].definition.name {
                Some(name) => format!("<Macro {}>", quoted(name)),
                None => "<Macro anonymous>".to_owned(),
            },
            // Python writes addresses, which are not the same twice.
            other => format!("<{} object>", other.kind()),
        };
        self.budget.allocate(written.len())?;
        out.push_str(&written);
        Ok(())
    }

    fn write_items(
        &mut self,
        items: &[Value],
        out: &mut String,
        depth: u32,
        open: &mut Vec<usize>,
    ) -> Result<()> {
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                out.push_str(", ");
            }
            self.write_repr(item, out, depth + 1, open)?;
        }
        Ok(())
    }

    fn write_entries(
        &mut self,
        entries: &[(Value, Value)],
        out: &mut String,
        depth: u32,
        open: &mut Vec<usize>,
    ) -> Result<()> {
        out.push('{');
        for (index, (key, value)) in entries.iter().enumerate() {
            if index > 0 {
                out.push_str(", ");
            }
            self.write_repr(key, out, depth + 1, open)?;
            out.push_str(": ");
            self.write_repr(value, out, depth + 1, open)?;
        }
        out.push('}');
        Ok(())
    }
}
