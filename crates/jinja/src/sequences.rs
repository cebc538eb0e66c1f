//! Filters of lists and dictionaries.

use crate::arguments::{Given, flag, int, required};
use crate::ast::Operator;
use crate::error::{Result, fail};
use crate::interpreter::Interpreter;
use crate::value::{Dict, Value};

impl Interpreter<'_> {
    pub(crate) fn sequence_filter(
        &mut self,
        name: &str,
        value: &Value,
        given: Given,
    ) -> Result<Value> {
        match name {
            "list" | "first" | "last" | "reverse" | "items" => {
                let [] = given.in_order(name, 0)?;
                self.plain_sequence_filter(name, value)
            }
            "join" => self.join(value, given),
            "map" => self.map(value, given),
            "select" => self.select(value, given, true, false),
            "reject" => self.select(value, given, false, false),
            "selectattr" => self.select(value, given, true, true),
            "rejectattr" => self.select(value, given, false, true),
            "sort" => self.sort_filter(value, given),
            "dictsort" => self.dictsort(value, given),
            "unique" => self.unique(value, given),
            "min" | "max" => self.extreme(name, value, given),
            "sum" => self.sum(value, given),
            "groupby" => self.groupby(value, given),
            "batch" | "slice" => self.batch(name, value, given),
            _ => fail!("No filter named '{name}'."),
        }
    }

    fn plain_sequence_filter(&mut self, name: &str, value: &Value) -> Result<Value> {
        match (name, value) {
            ("items", Value::Undefined(_)) => Ok(Value::generator(Vec::new())),
            ("items", Value::Dict(dict)) => {
                let view = Value::View(crate::value::View::Items, dict.clone());
                Ok(Value::generator(self.iterate(&view)?))
            }
            ("items", _) => fail!("Can only get item pairs from a mapping."),
            ("first", Value::Generator(items)) => {
                let first = items.borrow_mut().pop_front();
                Ok(first.unwrap_or_else(|| Value::undefined("No first item, sequence was empty.")))
            }
            ("first", _) => {
                let first = self.iterate(value)?.into_iter().next();
                Ok(first.unwrap_or_else(|| Value::undefined("No first item, sequence was empty.")))
            }
            ("last", Value::Generator(_)) => fail!("'generator' object is not reversible"),
            ("last", _) => {
                let last = self.iterate(value)?.pop();
                Ok(last.unwrap_or_else(|| Value::undefined("No last item, sequence was empty.")))
            }
            ("reverse", Value::Text(text)) => {
                self.budget.allocate(text.text.len())?;
                Ok(Value::text(text.text.chars().rev().collect::<String>()))
            }
            ("reverse", _) => {
                let mut items = self.iterate(value)?;
                items.reverse();
                match value {
                    Value::Generator(_) => Value::list(items),
                    _ => Ok(Value::generator(items)),
                }
            }
            _ => {
                let items = self.iterate(value)?;
                self.budget.items(items.len())?;
                Value::list(items)
            }
        }
    }

    /// The attribute of an item that a path names: `a.b.0`, or a number.
    fn at_path(&mut self, item: &Value, path: &Value, default: Option<&Value>) -> Result<Value> {
        let parts: Vec<Value> = match path {
            Value::Text(text) => text
                .text
                .split('.')
                .map(|part| match part.parse() {
                    Ok(index) if part.bytes().all(|b| b.is_ascii_digit()) => Value::Int(index),
                    _ => Value::text(part),
                })
                .collect(),
            Value::None => Vec::new(),
            other => vec![other.clone()],
        };
        let mut value = item.clone();
        for part in &parts {
            value = self.item(&value, part)?;
            if let (Value::Undefined(_), Some(default)) = (&value, default) {
                value = default.clone();
            }
        }
        Ok(value)
    }

    /// What an item is sorted or compared by.
    fn key(&mut self, item: &Value, path: Option<&Value>, case: bool) -> Result<Value> {
        let value = match path {
            Some(path) => self.at_path(item, path, None)?,
            None => item.clone(),
        };
        Ok(ignoring_case(value, case))
    }

    fn join(&mut self, value: &Value, given: Given) -> Result<Value> {
        let [separator, attribute] = given.bind("join", ["d", "attribute"])?;
        let separator = match separator {
            Some(separator) => self.text_of(&separator)?,
            None => String::new(),
        };
        let attribute = attribute.filter(|value| !matches!(value, Value::None));
        let mut text = String::new();
        for (index, item) in self.iterate(value)?.into_iter().enumerate() {
            let item = match &attribute {
                Some(path) => self.at_path(&item, path, None)?,
                None => item,
            };
            if index > 0 {
                self.budget.allocate(separator.len())?;
                text.push_str(&separator);
            }
            text.push_str(&self.text_of(&item)?);
        }
        Ok(Value::text(text))
    }

    fn map(&mut self, value: &Value, mut given: Given) -> Result<Value> {
        if !value.is_true() {
            return Ok(Value::generator(Vec::new()));
        }
        let mut mapped = Vec::new();
        let by_attribute = given.positional.is_empty()
            && given.named.iter().any(|(name, _)| &**name == "attribute");
        if by_attribute {
            let [attribute, default] = given.bind("map", ["attribute", "default"])?;
            let attribute = attribute.unwrap_or(Value::None);
            let default = default.filter(|value| !matches!(value, Value::None));
            for item in self.iterate(value)? {
                self.budget.items(1)?;
                mapped.push(self.at_path(&item, &attribute, default.as_ref())?);
            }
            return Ok(Value::generator(mapped));
        }
        if given.positional.is_empty() {
            fail!("map requires a filter argument");
        }
        let Value::Text(name) = given.positional.remove(0) else {
            fail!("map takes the name of a filter");
        };
        for item in self.iterate(value)? {
            self.budget.items(1)?;
            mapped.push(self.filter(&name.text, &item, given.clone())?);
        }
        Ok(Value::generator(mapped))
    }

    fn select(
        &mut self,
        value: &Value,
        mut given: Given,
        wanted: bool,
        by_attribute: bool,
    ) -> Result<Value> {
        if !value.is_true() {
            return Ok(Value::generator(Vec::new()));
        }
        let attribute = match by_attribute {
            false => None,
            true if given.positional.is_empty() => {
                fail!("Missing parameter for attribute name")
            }
            true => Some(given.positional.remove(0)),
        };
        let test = match given.positional.is_empty() {
            true => None,
            false => match given.positional.remove(0) {
                Value::Text(name) => Some(name.text),
                other => fail!("a test is named by a text, not by '{}'", other.kind()),
            },
        };
        let mut selected = Vec::new();
        for item in self.iterate(value)? {
            self.budget.items(1)?;
            let subject = match &attribute {
                Some(path) => self.at_path(&item, path, None)?,
                None => item.clone(),
            };
            let holds = match &test {
                Some(name) => self.test(name, &subject, given.clone())?,
                None => subject.is_true(),
            };
            if holds == wanted {
                selected.push(item);
            }
        }
        Ok(Value::generator(selected))
    }

    fn sort_filter(&mut self, value: &Value, given: Given) -> Result<Value> {
        let names = ["reverse", "case_sensitive", "attribute"];
        let [reverse, case, attribute] = given.bind("sort", names)?;
        let case = flag(case);
        let paths: Vec<Value> = match attribute {
            Some(Value::Text(paths)) => paths.text.split(',').map(Value::text).collect(),
            Some(path) => vec![path],
            None => vec![Value::None],
        };
        let mut keyed = Vec::new();
        for item in self.iterate(value)? {
            let mut key = Vec::new();
            for path in &paths {
                key.push(self.key(&item, Some(path), case)?);
            }
            keyed.push((Value::list(key)?, item));
        }
        self.sort(&mut keyed, flag(reverse))?;
        Value::list(keyed.into_iter().map(|(_, item)| item).collect())
    }

    fn dictsort(&mut self, value: &Value, given: Given) -> Result<Value> {
        let names = ["case_sensitive", "by", "reverse"];
        let [case, by, reverse] = given.bind("dictsort", names)?;
        let by_value = match by.as_ref().map(Value::as_text) {
            None | Some(Some("key")) => false,
            Some(Some("value")) => true,
            _ => fail!("You can only sort by either \"key\" or \"value\""),
        };
        let Value::Dict(dict) = value else {
            fail!("'{}' object has no attribute 'items'", value.kind());
        };
        let case = flag(case);
        let mut keyed = Vec::new();
        self.budget.items(3 * dict.len())?;
        for (key, item) in dict.entries() {
            let by = if by_value { item } else { key };
            let pair = Value::tuple(vec![key.clone(), item.clone()])?;
            keyed.push((ignoring_case(by.clone(), case), pair));
        }
        self.sort(&mut keyed, flag(reverse))?;
        Value::list(keyed.into_iter().map(|(_, pair)| pair).collect())
    }

    fn unique(&mut self, value: &Value, given: Given) -> Result<Value> {
        let [case, attribute] = given.bind("unique", ["case_sensitive", "attribute"])?;
        let case = flag(case);
        let mut seen = Dict::new();
        let mut unique = Vec::new();
        for item in self.iterate(value)? {
            let key = self.key(&item, attribute.as_ref(), case)?;
            if seen.get(&key)?.is_none() {
                seen.insert(key, Value::None)?;
                unique.push(item);
            }
        }
        Ok(Value::generator(unique))
    }

    fn extreme(&mut self, name: &str, value: &Value, given: Given) -> Result<Value> {
        let [case, attribute] = given.bind(name, ["case_sensitive", "attribute"])?;
        let case = flag(case);
        let mut best: Option<(Value, Value)> = None;
        for item in self.iterate(value)? {
            let key = self.key(&item, attribute.as_ref(), case)?;
            let better = match &best {
                None => true,
                Some((other, _)) => {
                    let wanted = if name == "min" {
                        std::cmp::Ordering::Less
                    } else {
                        std::cmp::Ordering::Greater
                    };
                    self.order(&key, other, "<")? == Some(wanted)
                }
            };
            if better {
                best = Some((key, item));
            }
        }
        Ok(best.map_or_else(
            || Value::undefined("No aggregated item, sequence was empty."),
            |(_, item)| item,
        ))
    }

    fn sum(&mut self, value: &Value, given: Given) -> Result<Value> {
        let [attribute, start] = given.bind("sum", ["attribute", "start"])?;
        let attribute = attribute.filter(|value| !matches!(value, Value::None));
        let mut sum = start.unwrap_or(Value::Int(0));
        if matches!(sum, Value::Text(_)) {
            fail!("sum() can't sum strings [use ''.join(seq) instead]");
        }
        for item in self.iterate(value)? {
            let item = match &attribute {
                Some(path) => self.at_path(&item, path, None)?,
                None => item,
            };
            sum = self.arithmetic(Operator::Add, &sum, &item)?;
        }
        Ok(sum)
    }

    fn groupby(&mut self, value: &Value, given: Given) -> Result<Value> {
        let names = ["attribute", "default", "case_sensitive"];
        let [attribute, default, case] = given.bind("groupby", names)?;
        let attribute = required(attribute, "groupby", "attribute")?;
        let default = default.filter(|value| !matches!(value, Value::None));
        let case = flag(case);
        let mut keyed = Vec::new();
        for item in self.iterate(value)? {
            let key = self.at_path(&item, &attribute, default.as_ref())?;
            keyed.push((ignoring_case(key, case), item));
        }
        self.sort(&mut keyed, false)?;
        let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
        for (key, item) in keyed {
            match groups.last_mut() {
                Some((other, items)) if self.equal(other, &key)? => items.push(item),
                _ => groups.push((key, vec![item])),
            }
        }
        let mut out = Vec::new();
        for (_, items) in groups {
            let key = self.at_path(&items[0], &attribute, default.as_ref())?;
            out.push(Value::tuple(vec![key, Value::list(items)?])?);
        }
        Value::list(out)
    }

    fn batch(&mut self, name: &str, value: &Value, given: Given) -> Result<Value> {
        let parameter = if name == "batch" {
            "linecount"
        } else {
            "slices"
        };
        let [count, fill] = given.bind(name, [parameter, "fill_with"])?;
        let count = required(count, name, parameter)?;
        let count = int(Some(count), 1, parameter)?;
        let Ok(count) = usize::try_from(count) else {
            fail!("{parameter} must be at least 1");
        };
        let fill = fill.filter(|value| !matches!(value, Value::None));
        let items = self.iterate(value)?;
        self.budget.items(count)?;
        if count == 0 {
            fail!("integer division or modulo by zero");
        }
        let mut out = Vec::new();
        if name == "batch" {
            for chunk in items.chunks(count) {
                let mut chunk = chunk.to_vec();
                if let Some(fill) = &fill {
                    chunk.resize(count, fill.clone());
                }
                out.push(Value::list(chunk)?);
            }
            return Ok(Value::generator(out));
        }
        let (each, longer) = (items.len() / count, items.len() % count);
        let mut rest = &items[..];
        for index in 0..count {
            let (part, more) = rest.split_at(each + usize::from(index < longer));
            rest = more;
            let mut part = part.to_vec();
            if index >= longer {
                part.extend(fill.clone());
            }
            out.push(Value::list(part)?);
        }
        Ok(Value::generator(out))
    }
}

/// A key in small letters, unless case counts.
fn ignoring_case(value: Value, case: bool) -> Value {
    match value {
        Value::Text(text) if !case => Value::text(text.text.to_lowercase()),
        other => other,
    }
}
