//! Statements, as Jinja2 runs them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::RenderOptions;
use crate::ast::{Block, Expr, For, Macro, Node, Postfix, Stmt, Target};
use crate::budget::Budget;
use crate::error::{Result, fail};
use crate::value::{Dict, Loop, Value};

/// A template while it is rendered.
pub(crate) struct Interpreter<'t> {
    pub(crate) budget: Budget,
    /// The line of the statement that runs, for messages.
    pub(crate) line: u32,
    pub(crate) options: &'t RenderOptions,
    pub(crate) namespaces: Vec<Vec<(Value, Value)>>,
    pub(crate) macros: Vec<Defined<'t>>,
    context: Dict,
    out: String,
    scopes: Vec<Scope<'t>>,
    /// The scope in which names are set.
    scope: usize,
    /// Scopes below this are kept, as a macro may still see them.
    kept: usize,
    /// Loops that run, from the outermost.
    loops: Vec<Running<'t>>,
    loops_begun: usize,
}

/// Variables that are set together, and where others are looked for.
#[derive(Default)]
struct Scope<'t> {
    parent: Option<usize>,
    variables: Vec<(&'t str, Value)>,
}

/// A macro and where it was defined.
#[derive(Clone, Copy)]
pub(crate) struct Defined<'t> {
    pub(crate) definition: &'t Macro,
    scope: usize,
}

#[derive(Clone, Copy)]
struct Running<'t> {
    id: usize,
    statement: &'t For,
    /// Where the loop stands.
    scope: usize,
}

/// How a block ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

impl<'t> Interpreter<'t> {
    pub(crate) fn new(context: Dict, budget: Budget, options: &'t RenderOptions) -> Self {
        Self {
            budget,
            line: 1,
            options,
            namespaces: Vec::new(),
            macros: Vec::new(),
            context,
            out: String::new(),
            scopes: vec![Scope::default()],
            scope: 0,
            kept: 0,
            loops: Vec::new(),
            loops_begun: 0,
        }
    }

    /// Runs the statements of a template.
    pub(crate) fn run(&mut self, block: &'t Block) -> Result<String> {
        self.block(block)?;
        Ok(std::mem::take(&mut self.out))
    }

    /// A variable: the innermost one, or what the template was given.
    pub(crate) fn variable(&self, name: &str) -> Option<Value> {
        let mut scope = Some(self.scope);
        while let Some(index) = scope {
            let Scope { parent, variables } = &self.scopes[index];
            if let Some((_, value)) = variables.iter().rev().find(|(other, _)| *other == name) {
                return Some(value.clone());
            }
            scope = *parent;
        }
        self.context.get_text(name).cloned()
    }

    fn set(&mut self, name: &'t str, value: Value) {
        let variables = &mut self.scopes[self.scope].variables;
        match variables.iter_mut().find(|(other, _)| *other == name) {
            Some(variable) => variable.1 = value,
            None => variables.push((name, value)),
        }
    }

    /// Does something in a scope of its own, which sees those of `parent`.
    fn scoped<T>(&mut self, parent: usize, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let before = (self.scope, self.scopes.len());
        self.budget.items(1)?;
        self.scopes.push(Scope {
            parent: Some(parent),
            variables: Vec::new(),
        });
        self.scope = before.1;
        let done = work(self);
        self.scope = before.0;
        self.scopes.truncate(before.1.max(self.kept));
        done
    }

    /// What is written while something is done.
    fn captured(&mut self, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<String> {
        let outer = std::mem::take(&mut self.out);
        let done = work(self);
        let captured = std::mem::replace(&mut self.out, outer);
        done.map(|()| captured)
    }

    fn write(&mut self, text: &str) -> Result<()> {
        self.budget.allocate(text.len())?;
        self.out.push_str(text);
        Ok(())
    }

    fn block(&mut self, block: &'t Block) -> Result<Flow> {
        self.budget.enter()?;
        for node in block {
            let flow = self.statement(node)?;
            if flow != Flow::On {
                self.budget.leave();
                return Ok(flow);
            }
        }
        self.budget.leave();
        Ok(Flow::On)
    }

    fn statement(&mut self, node: &'t Node) -> Result<Flow> {
        self.line = node.line;
        self.budget.spend(1)?;
        match &node.stmt {
            Stmt::Text(text) => self.write(text)?,
            Stmt::Print(value) => self.print(value)?,
            Stmt::Set(target, value) => {
                let value = self.eval(value)?;
                self.assign(target, value)?;
            }
            Stmt::If(branches, otherwise) => {
                for (test, block) in branches {
                    if self.eval(test)?.is_true() {
                        return self.block(block);
                    }
                }
                return self.block(otherwise);
            }
            Stmt::For(statement) => self.for_loop(statement)?,
            Stmt::Break => return Ok(Flow::Break),
            Stmt::Continue => return Ok(Flow::Continue),
            other => return self.scoping(other),
        }
        Ok(Flow::On)
    }

    fn print(&mut self, value: &'t Expr) -> Result<()> {
        let value = self.eval(value)?;
        if let Some(text) = value.as_text() {
            return self.write(text);
        }
        let text = self.text_of(&value)?;
        self.out.push_str(&text);
        Ok(())
    }

    /// Statements that have scopes of their own.
    fn scoping(&mut self, stmt: &'t Stmt) -> Result<Flow> {
        match stmt {
            Stmt::SetBlock(target, filters, block) => {
                let text = self.scope_text(block)?;
                let value = self.filtered(text, filters)?;
                self.assign(target, value)?;
            }
            Stmt::Filter(filters, block) => {
                let text = self.scope_text(block)?;
                let value = self.filtered(text, filters)?;
                let text = self.text_of(&value)?;
                self.out.push_str(&text);
            }
            Stmt::With(variables, block) => {
                // The values do not see each other.
                let values = variables.iter().map(|(_, value)| self.eval(value));
                let values: Vec<Value> = values.collect::<Result<_>>()?;
                return self.scoped(self.scope, |this| {
                    for ((target, _), value) in variables.iter().zip(values) {
                        this.assign(target, value)?;
                    }
                    this.block(block)
                });
            }
            Stmt::Macro(definition) => {
                let value = self.define(definition)?;
                if let Some(name) = &definition.name {
                    self.set(name, value);
                }
            }
            Stmt::Call(call, caller) => {
                let caller = self.define(caller)?;
                let value = self.call_with(call, caller)?;
                let text = self.text_of(&value)?;
                self.out.push_str(&text);
            }
            Stmt::Generation(block) => {
                let text = self.scope_text(block)?;
                match self.options.marks {
                    Some((open, close)) => {
                        self.out.push(open);
                        self.write(&text)?;
                        self.out.push(close);
                    }
                    None => self.write(&text)?,
                }
            }
            Stmt::Inset(block) => {
                self.scoped(0, |this| this.block(block))?;
            }
            _ => {}
        }
        Ok(Flow::On)
    }

    fn scope_text(&mut self, block: &'t Block) -> Result<String> {
        self.captured(|this| {
            this.scoped(this.scope, |this| this.block(block))?;
            Ok(())
        })
    }

    fn filtered(&mut self, text: String, filters: &'t [Postfix]) -> Result<Value> {
        let mut value = Value::text(text);
        for filter in filters {
            value = self.postfix(value, filter)?;
        }
        Ok(value)
    }

    fn assign(&mut self, target: &'t Target, value: Value) -> Result<()> {
        match target {
            Target::Name(name) => self.set(name, value),
            Target::Attribute(name, attribute) => match self.variable(name) {
                Some(Value::Namespace(id)) => {
                    self.set_attribute(id, Value::text(attribute.clone()), value)?;
                }
                _ => fail!("cannot assign attribute on non-namespace object"),
            },
            Target::Tuple(targets) => {
                let values = self.iterate(&value)?;
                if values.len() != targets.len() {
                    fail!(
                        "{} values cannot be unpacked into {} names",
                        values.len(),
                        targets.len()
                    );
                }
                for (target, value) in targets.iter().zip(values) {
                    self.assign(target, value)?;
                }
            }
        }
        Ok(())
    }

    /// Sets an attribute of a namespace.
    pub(crate) fn set_attribute(&mut self, id: usize, name: Value, value: Value) -> Result<()> {
        if name.as_text().is_some_and(|name| name.starts_with('_')) {
            fail!("namespaces have no attributes that begin with an underscore");
        }
        let known = self.namespaces[id]
            .iter()
            .position(|(other, _)| other.as_text() == name.as_text());
        match known {
            Some(at) => self.namespaces[id][at].1 = value,
            None => {
                self.budget.items(2)?;
                self.namespaces[id].push((name, value));
            }
        }
        Ok(())
    }

    fn for_loop(&mut self, statement: &'t For) -> Result<()> {
        let items = self.eval(&statement.items)?;
        let items = self.iterate(&items)?;
        let scope = self.scope;
        self.repeat(statement, items, scope, 0)
    }

    /// Runs a loop over some items, where it stands in `scope`.
    fn repeat(
        &mut self,
        statement: &'t For,
        items: Vec<Value>,
        scope: usize,
        depth: usize,
    ) -> Result<()> {
        let items = self.chosen(statement, items, scope)?;
        self.loops_begun += 1;
        let id = self.loops_begun;
        let state = Rc::new(Loop {
            id,
            items,
            index: Cell::new(0),
            depth,
            changed: RefCell::new(None),
        });
        self.loops.push(Running {
            id,
            statement,
            scope,
        });
        for index in 0..state.items.len() {
            state.index.set(index);
            let flow = self.scoped(scope, |this| {
                this.set("loop", Value::Loop(state.clone()));
                this.assign(&statement.target, state.items[index].clone())?;
                this.block(&statement.body)
            })?;
            if flow == Flow::Break {
                break;
            }
        }
        self.loops.pop();
        if state.items.is_empty() {
            self.scoped(scope, |this| this.block(&statement.otherwise))?;
        }
        Ok(())
    }

    /// The items for which the loop's test holds.
    fn chosen(
        &mut self,
        statement: &'t For,
        items: Vec<Value>,
        scope: usize,
    ) -> Result<Vec<Value>> {
        let Some(test) = &statement.test else {
            return Ok(items);
        };
        let mut chosen = Vec::new();
        for item in items {
            let holds = self.scoped(scope, |this| {
                this.assign(&statement.target, item.clone())?;
                Ok(this.eval(test)?.is_true())
            })?;
            if holds {
                chosen.push(item);
            }
        }
        Ok(chosen)
    }

    /// `loop(items)`: the text of a recursive loop over other items.
    pub(crate) fn recurse(&mut self, state: &Loop, items: &Value) -> Result<Value> {
        let running = self.loops.iter().find(|running| running.id == state.id);
        let Some(running) = running.copied() else {
            fail!("a loop can be called only while it runs");
        };
        if !running.statement.recursive {
            fail!("The loop must have the 'recursive' marker to be called recursively.");
        }
        let items = self.iterate(items)?;
        let line = self.line;
        self.budget.enter()?;
        let text = self.captured(|this| {
            this.repeat(running.statement, items, running.scope, state.depth + 1)
        })?;
        self.budget.leave();
        self.line = line;
        Ok(Value::text(text))
    }

    fn define(&mut self, definition: &'t Macro) -> Result<Value> {
        self.budget.items(1)?;
        self.macros.push(Defined {
            definition,
            scope: self.scope,
        });
        self.kept = self.kept.max(self.scope + 1);
        Ok(Value::Macro(self.macros.len() - 1))
    }

    /// Calls a macro with values for its parameters, in order; `None` takes the default.
    pub(crate) fn call_macro(
        &mut self,
        defined: Defined<'t>,
        values: Vec<Option<Value>>,
        special: Vec<(&'static str, Value)>,
    ) -> Result<Value> {
        let line = self.line;
        self.budget.enter()?;
        let text = self.captured(|this| {
            this.scoped(defined.scope, |this| {
                let parameters = &defined.definition.parameters;
                for ((name, default), value) in parameters.iter().zip(values) {
                    let value = match (value, default) {
                        (Some(value), _) => value,
                        (None, Some(default)) => this.eval(default)?,
                        (None, None) => {
                            Value::undefined(format!("parameter '{name}' was not provided"))
                        }
                    };
                    this.set(name, value);
                }
                for (name, value) in special {
                    this.set(name, value);
                }
                this.block(&defined.definition.body)?;
                Ok(())
            })
        })?;
        self.budget.leave();
        self.line = line;
        Ok(Value::text(text))
    }
}
