//! One row of a data file: its text, and what is known about its quality.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::DataError;
use crate::columns::{Columns, DRAW};
use crate::findings::{refuse_labels, unread};
use crate::form::{Form, Found};
use crate::message::{Message, Text, write_messages};

/// Where a row stands, for messages and for finding it again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Location {
    /// The file.
    pub file: Arc<Path>,
    /// Line of the row's first byte, from 1; in a Parquet file, the row's
    /// number from 1. 0 is the file as a whole.
    pub line: u64,
}

impl fmt::Display for Location {
    /// `path:line`, or `path: row N` for a Parquet file, which has no lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return write!(f, "{}", self.file.display());
        }
        let rows = self
            .file
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("parquet"));
        let separator = if rows { ": row " } else { ":" };
        write!(f, "{}{separator}{}", self.file.display(), self.line)
    }
}

/// A row as read, before it becomes tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Where the row stands.
    pub at: Location,
    /// Its text.
    pub content: Content,
    /// The format that it was read from.
    pub form: Form,
    /// Beside a plain prompt: the message of the system, for whoever makes a
    /// conversation of it. Where the row is a conversation, it is in there.
    pub system: Option<String>,
    /// Functions the conversation may call, as the chat template wants them:
    /// always a list.
    pub tools: Option<Value>,
    /// How well the row did, of either sign; `true` and `false` read as 1 and 0.
    pub reward: Option<f32>,
    /// Quality in proportion to which the row is drawn or weighted, >= 0.
    pub score: Option<f32>,
    /// Factor on the row's loss, >= 0; 1 where the file says nothing.
    pub weight: f32,
    /// log pi_ref of each token that carries loss, in order.
    pub ref_log_probs: Option<Vec<f32>>,
    /// Tokens of the completion as a model drew them, which its text need not
    /// give again; only beside a prompt and a completion.
    pub completion_tokens: Option<Vec<u32>>,
    /// Which of several draws of its prompt the completion is, where `iwsft
    /// sample` has written the row.
    pub draw: Option<u64>,
    /// The row's name in its data set.
    pub id: Option<String>,
    /// Columns with text in them that are not read, of those that often have what
    /// is to be learnt.
    pub unread: Vec<&'static str>,
}

/// The text of a row, in one of three forms.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A conversation; the assistant's messages carry loss.
    Messages(Vec<Message>),
    /// A prompt without loss and a completion with loss. Both are plain text
    /// or both are messages.
    PromptCompletion {
        /// What the policy is given.
        prompt: Text,
        /// What the policy learns to answer.
        completion: Text,
    },
    /// Text that carries loss from start to end.
    Text(String),
}

impl Row {
    /// Reads one row from a JSON object. Nulls count as absent, and columns
    /// that are not asked for are ignored.
    ///
    /// # Errors
    /// Every variant of [`DataError`] that speaks of one row's columns.
    pub fn parse(
        at: Location,
        mut object: Map<String, Value>,
        columns: &Columns,
    ) -> Result<Row, DataError> {
        // Numbers are only looked at: two of them may share one column.
        let reward = reward(&at, &object, columns.reward())?;
        let score = at_least_zero(&at, &object, columns.score())?;
        let weight = at_least_zero(&at, &object, columns.weight())?.unwrap_or(1.0);
        let ref_log_probs = floats(&at, &object, columns.ref_log_probs())?;
        let id = id(&at, &object, columns.id())?;
        let draw = look(&object, Some(DRAW)).and_then(|(_, draw)| draw.as_u64());
        let Found { content, form } = Found::in_row(&at, &mut object, columns)?;
        let completion_tokens = match content {
            Content::PromptCompletion { .. } => tokens(&at, &object, columns.completion_tokens())?,
            Content::Messages(_) | Content::Text(_) => None,
        };
        let tools = tools(&at, &mut object, columns.tools(), &form)?;
        let mut row = Row {
            at,
            content,
            form,
            system: None,
            tools,
            reward,
            score,
            weight,
            ref_log_probs,
            completion_tokens,
            draw,
            id,
            unread: Vec::new(),
        };
        // What was drawn stands behind the prompt as it was, and what else a row
        // has went along to grade by.
        if !row.is_drawn() {
            row.begin_with_system(&mut object, columns)?;
            refuse_labels(&row, &object, columns)?;
            row.unread = unread(&object, columns);
        }
        Ok(row)
    }

    /// Whether a model has drawn the completion for just this prompt.
    pub fn is_drawn(&self) -> bool {
        self.completion_tokens.is_some() || self.draw.is_some()
    }

    /// A row of Alpaca's as plain prompt and completion, for a model without a chat
    /// template: all texts before the last answer, each with a line break behind it.
    /// `None` for rows of other formats.
    pub fn plain_pair(&self) -> Option<(String, String)> {
        let (Form::Alpaca { .. }, Content::Messages(messages)) = (&self.form, &self.content) else {
            return None;
        };
        let text = |message: &Message| message.value["content"].as_str().map(str::to_owned);
        let (answer, before) = messages.split_last()?;
        let prompt = before.iter().map(|each| Some(text(each)? + "\n"));
        Some((prompt.collect::<Option<String>>()?, text(answer)?))
    }

    /// Begins a conversation with the message of the system that the row has in a
    /// column of its own.
    fn begin_with_system(
        &mut self,
        object: &mut Map<String, Value>,
        columns: &Columns,
    ) -> Result<(), DataError> {
        if matches!(self.content, Content::Text(_)) {
            return Ok(());
        }
        let says = |name: &&str| matches!(object.get(*name), Some(Value::String(text)) if !text.is_empty());
        let systems = columns.systems();
        let Some(column) = systems.into_iter().find(says) else {
            return Ok(());
        };
        let Some((_, Value::String(system))) = take(object, Some(column)) else {
            return Ok(());
        };
        let messages = match &mut self.content {
            Content::Messages(messages) => messages,
            Content::PromptCompletion {
                prompt: Text::Messages(messages),
                ..
            } => messages,
            Content::PromptCompletion { .. } | Content::Text(_) => {
                self.system = Some(system);
                return Ok(());
            }
        };
        match messages.first().filter(|first| first.is_of("system")) {
            None => messages.insert(0, Message::new("system", &system)),
            Some(first) if first.value["content"] == system.as_str() => {}
            Some(_) => {
                return Err(DataError::TwoSystems {
                    at: self.at.clone(),
                    column: column.to_owned(),
                });
            }
        }
        Ok(())
    }

    /// The row as a JSON object with the default column names, such that
    /// [`Row::parse`] reads the same row from it.
    pub fn to_object(&self) -> Map<String, Value> {
        let mut object = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                object.insert(name.to_owned(), value);
            }
        };
        put("id", self.id.clone().map(Value::from));
        match &self.content {
            Content::Messages(messages) => put("messages", Some(write_messages(messages))),
            Content::PromptCompletion { prompt, completion } => {
                put("prompt", Some(prompt.to_value()));
                put("completion", Some(completion.to_value()));
            }
            Content::Text(text) => put("text", Some(json!(text))),
        }
        put("system", self.system.clone().map(Value::from));
        put("tools", self.tools.clone());
        put("reward", self.reward.map(Value::from));
        put("score", self.score.map(Value::from));
        put("weight", (self.weight != 1.0).then(|| self.weight.into()));
        put("ref_log_probs", self.ref_log_probs.clone().map(Value::from));
        put(
            "completion_tokens",
            self.completion_tokens.clone().map(Value::from),
        );
        put(DRAW, self.draw.map(Value::from));
        object
    }
}

/// Functions that a conversation may call: a list, or the same as JSON text.
fn tools(
    at: &Location,
    object: &mut Map<String, Value>,
    column: Option<&str>,
    form: &Form,
) -> Result<Option<Value>, DataError> {
    const EXPECTED: &str = "a list of functions";
    let (column, value) = match take(object, column) {
        None => return Ok(None),
        Some((_, Value::String(text))) if text.trim().is_empty() => return Ok(None),
        Some((column, Value::String(text))) => match serde_json::from_str(&text) {
            Ok(value @ Value::Array(_)) => (column, value),
            _ => return Err(wrong(at, column, &Value::String(text), EXPECTED)),
        },
        Some(other) => other,
    };
    let Value::Array(list) = value else {
        return Err(wrong(at, column, &value, EXPECTED));
    };
    // ShareGPT's functions stand alone; templates have them in OpenAI's frame.
    let bare = |tool: &Value| tool["name"].is_string() && tool.get("function").is_none();
    let frame = |tool: Value| match bare(&tool) && *form == Form::ShareGpt {
        true => json!({"type": "function", "function": tool}),
        false => tool,
    };
    let list: Vec<Value> = list.into_iter().map(frame).collect();
    let empty = list.is_empty() && *form == Form::ShareGpt;
    Ok((!empty).then_some(Value::Array(list)))
}

/// The column's name and its value, unless the column is off, absent or null.
pub(crate) fn take<'c>(
    object: &mut Map<String, Value>,
    column: Option<&'c str>,
) -> Option<(&'c str, Value)> {
    let column = column?;
    if object.get(column)?.is_null() {
        return None;
    }
    // Keeps the others in order, for messages that list them.
    object.shift_remove(column).map(|value| (column, value))
}

pub(crate) fn look<'a>(
    object: &'a Map<String, Value>,
    column: Option<&'a str>,
) -> Option<(&'a str, &'a Value)> {
    let column = column?;
    let value = object.get(column)?;
    (!value.is_null()).then_some((column, value))
}

fn reward(
    at: &Location,
    object: &Map<String, Value>,
    column: Option<&str>,
) -> Result<Option<f32>, DataError> {
    match look(object, column) {
        None => Ok(None),
        Some((_, Value::Bool(right))) => Ok(Some(f32::from(u8::from(*right)))),
        Some((column, value @ Value::Number(_))) => number(at, column, value).map(Some),
        Some((column, other)) => Err(wrong(at, column, other, "a number or a bool")),
    }
}

fn at_least_zero(
    at: &Location,
    object: &Map<String, Value>,
    column: Option<&str>,
) -> Result<Option<f32>, DataError> {
    look(object, column)
        .map(|(column, value)| not_negative(at, column, number(at, column, value)?))
        .transpose()
}

fn floats(
    at: &Location,
    object: &Map<String, Value>,
    column: Option<&str>,
) -> Result<Option<Vec<f32>>, DataError> {
    match look(object, column) {
        None => Ok(None),
        Some((column, Value::Array(list))) => list
            .iter()
            .enumerate()
            .map(|(i, value)| number(at, &format!("{column}[{i}]"), value))
            .collect::<Result<_, _>>()
            .map(Some),
        Some((column, other)) => Err(wrong(at, column, other, "a list of numbers")),
    }
}

fn tokens(
    at: &Location,
    object: &Map<String, Value>,
    column: Option<&str>,
) -> Result<Option<Vec<u32>>, DataError> {
    match look(object, column) {
        None => Ok(None),
        Some((column, Value::Array(list))) => list
            .iter()
            .enumerate()
            .map(|(i, value)| {
                let token = value.as_u64().and_then(|token| u32::try_from(token).ok());
                token.ok_or_else(|| wrong(at, &format!("{column}[{i}]"), value, "a token's number"))
            })
            .collect::<Result<_, _>>()
            .map(Some),
        Some((column, other)) => Err(wrong(at, column, other, "a list of tokens' numbers")),
    }
}

fn id(
    at: &Location,
    object: &Map<String, Value>,
    column: Option<&str>,
) -> Result<Option<String>, DataError> {
    match look(object, column) {
        None => Ok(None),
        Some((_, Value::String(id))) => Ok(Some(id.clone())),
        Some((_, Value::Number(id))) => Ok(Some(id.to_string())),
        Some((column, other)) => Err(wrong(at, column, other, "a string or a number")),
    }
}

/// Finite in 32 bits, in which everything downstream computes.
pub(crate) fn number(at: &Location, column: &str, value: &Value) -> Result<f32, DataError> {
    let Some(wide) = value.as_f64() else {
        return Err(wrong(at, column, value, "a number"));
    };
    let narrow = wide as f32;
    if !narrow.is_finite() {
        return Err(DataError::NotFinite {
            at: at.clone(),
            column: column.to_owned(),
            found: format!("{value} (too large for 32 bits)"),
        });
    }
    Ok(narrow)
}

pub(crate) fn not_negative(at: &Location, column: &str, number: f32) -> Result<f32, DataError> {
    if number < 0.0 {
        return Err(DataError::Negative {
            at: at.clone(),
            column: column.to_owned(),
            found: f64::from(number),
        });
    }
    Ok(number)
}

pub(crate) fn wrong(
    at: &Location,
    column: &str,
    found: &Value,
    expected: &'static str,
) -> DataError {
    DataError::WrongType {
        at: at.clone(),
        column: column.to_owned(),
        found: describe(found),
        expected,
    }
}

/// "role, content (null)", or "none".
pub(crate) fn names(object: &Map<String, Value>) -> String {
    if object.is_empty() {
        return "none".to_owned();
    }
    let names: Vec<String> = object
        .iter()
        .map(|(name, value)| match value {
            Value::Null => format!("{name} (null)"),
            _ => name.clone(),
        })
        .collect();
    names.join(", ")
}

/// A value's type in words, with the value itself where it is short.
pub(crate) fn describe(value: &Value) -> String {
    const SHOWN: usize = 40;
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => format!("the bool {flag}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => {
            let mut start: String = text.chars().take(SHOWN).collect();
            if start.len() < text.len() {
                start.push_str("...");
            }
            format!("the string {start:?}")
        }
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Object(_) => "an object".to_owned(),
    }
}

#[cfg(test)]
#[path = "row_tests.rs"]
mod tests;
