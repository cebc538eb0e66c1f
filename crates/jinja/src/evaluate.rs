//! Expressions, as Jinja2 and Python evaluate them.

use crate::arguments::Given;
use crate::ast::{Arguments, Expr, Operator, Postfix};
use crate::error::{Fault, Result, fail};
use crate::interpreter::Interpreter;
use crate::value::{Dict, Function, Value};

impl<'t> Interpreter<'t> {
    pub(crate) fn eval(&mut self, expr: &'t Expr) -> Result<Value> {
        match expr {
            Expr::None => Ok(Value::None),
            Expr::Bool(flag) => Ok(Value::Bool(*flag)),
            Expr::Int(number) => Ok(Value::Int(*number)),
            Expr::Float(number) => Ok(Value::Float(*number)),
            Expr::Text(text) => Ok(Value::text(text.clone())),
            Expr::Name(name) => Ok(self.name(name)),
            other => {
                self.budget.enter()?;
                let value = self.compound(other)?;
                self.budget.leave();
                Ok(value)
            }
        }
    }

    fn name(&self, name: &str) -> Value {
        if let Some(value) = self.variable(name) {
            return value;
        }
        match name {
            "raise_exception" => Value::Function(Function::RaiseException),
            "strftime_now" => Value::Function(Function::StrftimeNow),
            "range" => Value::Function(Function::Range),
            "dict" => Value::Function(Function::Dict),
            "namespace" => Value::Function(Function::Namespace),
            "cycler" => Value::Function(Function::Cycler),
            "joiner" => Value::Function(Function::Joiner),
            _ => Value::undefined(format!("'{name}' is undefined")),
        }
    }

    fn compound(&mut self, expr: &'t Expr) -> Result<Value> {
        match expr {
            Expr::Postfix(base, postfixes) => {
                let mut value = self.eval(base)?;
                for postfix in postfixes {
                    value = self.postfix(value, postfix)?;
                }
                Ok(value)
            }
            Expr::Or(items) => self.first(items, true),
            Expr::And(items) => self.first(items, false),
            Expr::Not(operand) => Ok(Value::Bool(!self.eval(operand)?.is_true())),
            Expr::Compare(first, more) => {
                let mut left = self.eval(first)?;
                for (comparison, right) in more {
                    let right = self.eval(right)?;
                    if !self.compare(*comparison, &left, &right)? {
                        return Ok(Value::Bool(false));
                    }
                    left = right;
                }
                Ok(Value::Bool(true))
            }
            Expr::Arithmetic(first, more) => {
                let mut left = self.eval(first)?;
                for (operator, right) in more {
                    let right = self.eval(right)?;
                    left = self.arithmetic(*operator, &left, &right)?;
                }
                Ok(left)
            }
            Expr::If(choice) => {
                if self.eval(&choice.test)?.is_true() {
                    return self.eval(&choice.then);
                }
                match &choice.otherwise {
                    Some(otherwise) => self.eval(otherwise),
                    None => Ok(Value::undefined(
                        "the inline if-expression evaluated to false and no else section was defined.",
                    )),
                }
            }
            other => self.built(other),
        }
    }

    /// Expressions that make a new value of others.
    fn built(&mut self, expr: &'t Expr) -> Result<Value> {
        match expr {
            Expr::Concat(items) => {
                let mut text = String::new();
                for item in items {
                    let value = self.eval(item)?;
                    match value.as_text() {
                        Some(part) => {
                            self.budget.allocate(part.len())?;
                            text.push_str(part);
                        }
                        None => text.push_str(&self.text_of(&value)?),
                    }
                }
                Ok(Value::text(text))
            }
            Expr::List(items) => {
                let items = self.all(items)?;
                Value::list(items)
            }
            Expr::Tuple(items) => {
                let items = self.all(items)?;
                Value::tuple(items)
            }
            Expr::Dict(entries) => {
                self.budget.items(2 * entries.len())?;
                let mut dict = Dict::new();
                for (key, value) in entries {
                    let key = self.eval(key)?;
                    dict.insert(key, self.eval(value)?)?;
                }
                Ok(Value::dict(dict))
            }
            Expr::Negative(operand) => {
                let operand = self.eval(operand)?;
                self.arithmetic_sign(&operand, true)
            }
            Expr::Positive(operand) => {
                let operand = self.eval(operand)?;
                self.arithmetic_sign(&operand, false)
            }
            _ => Ok(Value::None),
        }
    }

    fn arithmetic_sign(&mut self, operand: &Value, negative: bool) -> Result<Value> {
        match operand {
            Value::Undefined(why) => Err(Fault::new(&**why)),
            Value::Float(number) => Ok(Value::Float(if negative { -number } else { *number })),
            Value::Int(_) | Value::Bool(_) if negative => {
                self.arithmetic(Operator::Subtract, &Value::Int(0), operand)
            }
            Value::Int(_) | Value::Bool(_) => {
                self.arithmetic(Operator::Add, &Value::Int(0), operand)
            }
            other => fail!(
                "bad operand type for unary {}: '{}'",
                if negative { '-' } else { '+' },
                other.kind()
            ),
        }
    }

    fn all(&mut self, items: &'t [Expr]) -> Result<Vec<Value>> {
        self.budget.items(items.len())?;
        items.iter().map(|item| self.eval(item)).collect()
    }

    /// The first value whose truth is `truth`, or the last one.
    fn first(&mut self, items: &'t [Expr], truth: bool) -> Result<Value> {
        let mut value = Value::None;
        for item in items {
            value = self.eval(item)?;
            if value.is_true() == truth {
                break;
            }
        }
        Ok(value)
    }

    /// What stands behind an expression, done to its value.
    pub(crate) fn postfix(&mut self, value: Value, postfix: &'t Postfix) -> Result<Value> {
        self.budget.spend(1)?;
        match postfix {
            Postfix::Attribute(name) => self.attribute(&value, name),
            Postfix::Item(key) => {
                let key = self.eval(key)?;
                self.item(&value, &key)
            }
            Postfix::Slice(parts) => {
                let mut bounds = [Value::None, Value::None, Value::None];
                for (bound, part) in bounds.iter_mut().zip(parts.iter()) {
                    if let Some(part) = part {
                        *bound = self.eval(part)?;
                    }
                }
                self.slice(&value, &bounds)
            }
            Postfix::Call(arguments) => {
                let given = self.given(arguments)?;
                self.call(&value, given)
            }
            Postfix::Filter(name, arguments) => {
                let given = self.given(arguments)?;
                self.filter(name, &value, given)
            }
            Postfix::Test {
                name,
                arguments,
                negated,
            } => {
                let given = self.given(arguments)?;
                let holds = self.test(name, &value, given)?;
                Ok(Value::Bool(holds != *negated))
            }
        }
    }

    /// The values of a call's arguments.
    fn given(&mut self, arguments: &'t Arguments) -> Result<Given> {
        let mut given = Given::default();
        for value in &arguments.positional {
            given.positional.push(self.eval(value)?);
        }
        for (name, value) in &arguments.named {
            given.named.push((name.clone(), self.eval(value)?));
        }
        if let Some(more) = &arguments.more_positional {
            let more = self.eval(more)?;
            given.positional.extend(self.iterate(&more)?);
        }
        if let Some(more) = &arguments.more_named {
            let Value::Dict(dict) = self.eval(more)? else {
                fail!("what stands behind ** must be a dictionary");
            };
            self.budget.items(dict.len())?;
            for (key, value) in dict.entries() {
                match key {
                    Value::Text(name) => given.named.push((name.text.clone(), value.clone())),
                    _ => fail!("keywords must be strings"),
                }
            }
        }
        Ok(given)
    }

    /// The call of a call block, with what its `caller` is.
    pub(crate) fn call_with(&mut self, call: &'t Expr, caller: Value) -> Result<Value> {
        let Expr::Postfix(base, postfixes) = call else {
            fail!("a call block needs the call of a macro");
        };
        let mut value = self.eval(base)?;
        for (index, postfix) in postfixes.iter().enumerate() {
            value = match postfix {
                Postfix::Call(arguments) if index + 1 == postfixes.len() => {
                    let mut given = self.given(arguments)?;
                    given.named.push(("caller".into(), caller.clone()));
                    self.call(&value, given)?
                }
                _ => self.postfix(value, postfix)?,
            };
        }
        Ok(value)
    }
}
