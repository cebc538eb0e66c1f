//! Rows to grade: where their completion and gold answer stand.

use std::borrow::Cow;
use std::path::PathBuf;

use iwsft_data::{Location, Object, read_objects};
use iwsft_eval::grade::{Gold, Grader, leaves_open};
use serde_json::{Map, Value};

use crate::mistake::Mistake;

/// A file of rows to grade.
pub(super) struct Rows {
    pub(super) path: PathBuf,
    /// Column of the completion; `completion` or `messages` where nothing is said.
    pub(super) completion: Option<String>,
    /// The gold answer, where one is needed.
    pub(super) answer: Option<Answer>,
}

/// Where the gold answer stands, and how it is compared.
pub(super) struct Answer {
    pub(super) column: String,
    pub(super) grader: Grader,
}

/// A row with its texts.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) at: Location,
    pub(super) object: Object,
    /// Empty where a program grades, which sees the whole row.
    pub(super) completion: String,
    pub(super) gold: Gold,
}

impl Row {
    /// A row for a program, which sees all of it.
    pub(super) fn whole(at: Location, object: Object) -> Self {
        Self {
            at,
            object,
            completion: String::new(),
            gold: Gold::default(),
        }
    }

    /// The completion as it is graded.
    pub(super) fn said(&self) -> Cow<'_, str> {
        let prompt = self.object.get("prompt").unwrap_or(&Value::Null);
        said(prompt, &self.completion)
    }
}

/// A completion as it is graded: where its prompt opens thoughts, it begins with
/// them.
pub(super) fn said<'a>(prompt: &Value, completion: &'a str) -> Cow<'a, str> {
    match prompt {
        Value::String(prompt) if leaves_open(prompt) => Cow::Owned(format!("<think>{completion}")),
        _ => Cow::Borrowed(completion),
    }
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

    fn row(&self, at: Location, object: Object) -> anyhow::Result<Row> {
        let Some(answer) = &self.answer else {
            return Ok(Row::whole(at, object));
        };
        let completion = self.completion(&at, &object)?;
        let gold = gold(&at, &object, &answer.column, &answer.grader)?;
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
    object: &Object,
    answer: &str,
    grader: &Grader,
) -> Result<Gold, Mistake> {
    let wrong = |reason: String| {
        Mistake::new(format!(
            "{at}: `{answer}`, the gold answer, is {reason}. \
             --answer-column (in a recipe: answer_column) names another column; this row has {}",
            names(object),
        ))
    };
    match object.spelt().get(answer) {
        None => Err(wrong(
            "missing; expected text, a number, or a list of these".to_owned(),
        )),
        Some(value) => Gold::read(value, grader).map_err(|error| wrong(error.to_string())),
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
