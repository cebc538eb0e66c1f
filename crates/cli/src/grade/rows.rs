//! Rows to grade: where their completion and gold answer stand.

use std::path::PathBuf;

use iwsft_data::{Location, read_objects};
use serde_json::{Map, Value};

use crate::mistake::Mistake;

/// A file of rows to grade.
pub(super) struct Rows {
    pub(super) path: PathBuf,
    /// Column of the completion; `completion` or `messages` where nothing is said.
    pub(super) completion: Option<String>,
    /// Column of the gold answer, where one is needed.
    pub(super) answer: Option<String>,
}

/// A row with its texts.
pub(super) struct Row {
    pub(super) at: Location,
    pub(super) object: Map<String, Value>,
    /// Empty where a program grades, which sees the whole row.
    pub(super) completion: String,
    pub(super) gold: String,
}

impl Rows {
    /// Counts the rows, all of which can be graded.
    pub(super) fn check(&self, added: &[&str], replace: bool) -> anyhow::Result<u64> {
        let mut count = 0;
        for row in self.open()? {
            let row = row?;
            let taken = added.iter().find(|name| row.object.contains_key(**name));
            if let (Some(name), false) = (taken, replace) {
                return Err(has_column(&row.at, name).into());
            }
            count += 1;
        }
        Ok(count)
    }

    pub(super) fn open(&self) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Row>> + '_> {
        let objects = read_objects(&self.path)?;
        Ok(objects.map(|object| {
            let (at, object) = object?;
            self.row(at, object)
        }))
    }

    fn row(&self, at: Location, object: Map<String, Value>) -> anyhow::Result<Row> {
        let Some(answer) = &self.answer else {
            return Ok(Row {
                at,
                object,
                completion: String::new(),
                gold: String::new(),
            });
        };
        let completion = self.completion(&at, &object)?;
        let gold = gold(&at, &object, answer)?;
        Ok(Row {
            at,
            object,
            completion,
            gold,
        })
    }

    fn completion(&self, at: &Location, object: &Map<String, Value>) -> anyhow::Result<String> {
        let column = match &self.completion {
            Some(column) => column,
            None if object
                .get("completion")
                .is_some_and(|found| !found.is_null()) =>
            {
                "completion"
            }
            None if object.contains_key("messages") => "messages",
            None => "completion",
        };
        let found = object.get(column);
        let text = match found {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Array(messages)) => messages.last().and_then(content),
            _ => None,
        };
        text.ok_or_else(|| {
            let message = format!(
                "{at}: `{column}`, the completion, is {}; expected text, or messages of which \
                 the last has text as its `content`. --completion-column names another column; \
                 this row has {}",
                describe(found),
                names(object),
            );
            Mistake::new(message).into()
        })
    }
}

/// The gold answer of a row, in column `answer`.
pub(super) fn gold(
    at: &Location,
    object: &Map<String, Value>,
    answer: &str,
) -> Result<String, Mistake> {
    match object.get(answer) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        found => Err(Mistake::new(format!(
            "{at}: `{answer}`, the gold answer, is {}; expected text or a number. \
             --answer-column (in a recipe: answer_column) names another column; this row has {}",
            describe(found),
            names(object),
        ))),
    }
}

/// The text of a message, whose content may come in parts.
fn content(message: &Value) -> Option<String> {
    match message.get("content")? {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => parts
            .iter()
            .map(|part| part.get("text")?.as_str())
            .collect(),
        _ => None,
    }
}

/// The mistake of a row that has a column which is to be added.
pub(super) fn has_column(at: &Location, name: &str) -> Mistake {
    Mistake::new(format!(
        "{at}: the row has a column `{name}` already; --replace replaces it, and \
         --reward-column and --extracted-column choose other names"
    ))
}

fn names(object: &Map<String, Value>) -> String {
    let names: Vec<String> = object.keys().map(|name| format!("`{name}`")).collect();
    match names.is_empty() {
        true => "no columns".to_owned(),
        false => names.join(", "),
    }
}

fn describe(value: Option<&Value>) -> &'static str {
    match value {
        None => "missing",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "a bool",
        Some(Value::Number(_)) => "a number",
        Some(Value::String(_)) => "text",
        Some(Value::Array(_)) => "a list",
        Some(Value::Object(_)) => "an object",
    }
}
