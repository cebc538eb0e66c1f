//! One row of a data file: its text, and what is known about its quality.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::DataError;
use crate::columns::Columns;

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
    /// The row's name in its data set.
    pub id: Option<String>,
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

/// One half of a prompt and completion.
#[derive(Debug, Clone, PartialEq)]
pub enum Text {
    /// Text to be used as it is.
    Plain(String),
    /// Messages to be rendered by the chat template; at least one.
    Messages(Vec<Message>),
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The object that the chat template sees: `role`, `content`, and whatever
    /// else the row has (`tool_calls`, `reasoning_content`, ...), without the
    /// `weight`. Fields that are null are left out, except `content`, which
    /// templates tell apart from a missing one.
    pub value: Value,
    /// Factor on the loss of this message's tokens, >= 0.
    pub weight: Option<f32>,
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
        let content = content(&at, &mut object, columns)?;
        let completion_tokens = match content {
            Content::PromptCompletion { .. } => tokens(&at, &object, columns.completion_tokens())?,
            Content::Messages(_) | Content::Text(_) => None,
        };
        let tools = match take(&mut object, columns.tools()) {
            None => None,
            Some((_, list @ Value::Array(_))) => Some(list),
            Some((column, other)) => return Err(wrong(&at, column, &other, "a list")),
        };
        Ok(Row {
            at,
            content,
            tools,
            reward,
            score,
            weight,
            ref_log_probs,
            completion_tokens,
            id,
        })
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
        put("tools", self.tools.clone());
        put("reward", self.reward.map(Value::from));
        put("score", self.score.map(Value::from));
        put("weight", (self.weight != 1.0).then(|| self.weight.into()));
        put("ref_log_probs", self.ref_log_probs.clone().map(Value::from));
        put(
            "completion_tokens",
            self.completion_tokens.clone().map(Value::from),
        );
        object
    }
}

impl Text {
    fn to_value(&self) -> Value {
        match self {
            Text::Plain(text) => json!(text),
            Text::Messages(messages) => write_messages(messages),
        }
    }
}

fn write_messages(messages: &[Message]) -> Value {
    messages
        .iter()
        .map(|message| {
            let mut value = message.value.clone();
            if let (Some(weight), Some(object)) = (message.weight, value.as_object_mut()) {
                object.insert("weight".to_owned(), weight.into());
            }
            value
        })
        .collect()
}

fn content(
    at: &Location,
    object: &mut Map<String, Value>,
    columns: &Columns,
) -> Result<Content, DataError> {
    let messages = take(object, columns.messages());
    let prompt = take(object, columns.prompt());
    let completion = take(object, columns.completion());
    let text = take(object, columns.text());

    let pair = match (&prompt, &completion) {
        (Some((column, _)), _) => Some(("prompt", *column)),
        (None, Some((column, _))) => Some(("completion", *column)),
        (None, None) => None,
    };
    let forms: Vec<(&'static str, &str)> = [
        messages.as_ref().map(|(column, _)| ("messages", *column)),
        pair,
        text.as_ref().map(|(column, _)| ("text", *column)),
    ]
    .into_iter()
    .flatten()
    .collect();
    if let [(form, first), (_, second), ..] = forms[..] {
        return Err(DataError::TwoForms {
            at: at.clone(),
            form,
            first: first.to_owned(),
            second: second.to_owned(),
        });
    }

    if let Some((column, value)) = messages {
        return Ok(Content::Messages(read_messages(at, column, value)?));
    }
    if let Some((column, value)) = text {
        return match value {
            Value::String(text) => Ok(Content::Text(text)),
            other => Err(wrong(at, column, &other, "a string")),
        };
    }
    match (prompt, completion) {
        (Some((prompt_column, prompt)), Some((column, completion))) => {
            let prompt = read_text(at, prompt_column, prompt)?;
            // Both halves go through the template, or neither.
            let expected = match (&prompt, &completion) {
                (Text::Plain(_), Value::Array(_)) => Some("a string, as the prompt is one"),
                (Text::Messages(_), Value::String(_)) => {
                    Some("a list of messages, as the prompt is one")
                }
                _ => None,
            };
            if let Some(expected) = expected {
                return Err(wrong(at, column, &completion, expected));
            }
            let completion = read_text(at, column, completion)?;
            Ok(Content::PromptCompletion { prompt, completion })
        }
        (Some((found, _)), None) => Err(half(at, found, columns.completion())),
        (None, Some((found, _))) => Err(half(at, found, columns.prompt())),
        (None, None) => Err(DataError::NoText {
            at: at.clone(),
            expected: columns.forms(),
            found: names(object),
        }),
    }
}

fn half(at: &Location, found: &str, missing: Option<&str>) -> DataError {
    DataError::HalfPair {
        at: at.clone(),
        found: found.to_owned(),
        missing: missing.unwrap_or("other half").to_owned(),
    }
}

fn read_text(at: &Location, column: &str, value: Value) -> Result<Text, DataError> {
    match value {
        Value::String(text) => Ok(Text::Plain(text)),
        list @ Value::Array(_) => Ok(Text::Messages(read_messages(at, column, list)?)),
        other => Err(wrong(at, column, &other, "a string or a list of messages")),
    }
}

fn read_messages(at: &Location, column: &str, value: Value) -> Result<Vec<Message>, DataError> {
    let list = match value {
        Value::Array(list) => list,
        other => return Err(wrong(at, column, &other, "a list of messages")),
    };
    if list.is_empty() {
        return Err(DataError::NoMessages {
            at: at.clone(),
            column: column.to_owned(),
        });
    }
    list.into_iter()
        .enumerate()
        .map(|(i, value)| read_message(at, &format!("{column}[{i}]"), value))
        .collect()
}

fn read_message(at: &Location, path: &str, value: Value) -> Result<Message, DataError> {
    let mut object = match value {
        Value::Object(object) => object,
        other => return Err(wrong(at, path, &other, "an object with role and content")),
    };
    let missing = |missing, object: &Map<String, Value>| DataError::MessageField {
        at: at.clone(),
        message: path.to_owned(),
        missing,
        found: names(object),
    };
    match object.get("role") {
        Some(Value::String(_)) => {}
        None | Some(Value::Null) => return Err(missing("role", &object)),
        Some(other) => return Err(wrong(at, &format!("{path}.role"), other, "a string")),
    }
    let calls = object
        .get("tool_calls")
        .is_some_and(|calls| calls.as_array().is_some_and(|list| !list.is_empty()));
    match object.get("content") {
        Some(Value::String(_) | Value::Array(_)) => {}
        None | Some(Value::Null) if calls => {}
        None | Some(Value::Null) => return Err(missing("content and no tool_calls", &object)),
        Some(other) => {
            let column = format!("{path}.content");
            return Err(wrong(at, &column, other, "a string or a list of parts"));
        }
    }
    let weight = match object.get("weight") {
        None | Some(Value::Null) => None,
        Some(value) => {
            let column = format!("{path}.weight");
            Some(not_negative(at, &column, number(at, &column, value)?)?)
        }
    };
    object.retain(|key, value| key != "weight" && (key == "content" || !value.is_null()));
    Ok(Message {
        value: Value::Object(object),
        weight,
    })
}

/// The column's name and its value, unless the column is off, absent or null.
fn take<'c>(object: &mut Map<String, Value>, column: Option<&'c str>) -> Option<(&'c str, Value)> {
    let column = column?;
    if object.get(column)?.is_null() {
        return None;
    }
    // Keeps the others in order, for messages that list them.
    object.shift_remove(column).map(|value| (column, value))
}

fn look<'a>(
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
fn number(at: &Location, column: &str, value: &Value) -> Result<f32, DataError> {
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

fn not_negative(at: &Location, column: &str, number: f32) -> Result<f32, DataError> {
    if number < 0.0 {
        return Err(DataError::Negative {
            at: at.clone(),
            column: column.to_owned(),
            found: f64::from(number),
        });
    }
    Ok(number)
}

fn wrong(at: &Location, column: &str, found: &Value, expected: &'static str) -> DataError {
    DataError::WrongType {
        at: at.clone(),
        column: column.to_owned(),
        found: describe(found),
        expected,
    }
}

/// "role, content (null)", or "none".
fn names(object: &Map<String, Value>) -> String {
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
