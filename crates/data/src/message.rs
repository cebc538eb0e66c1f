//! Messages of a conversation, by the names that files have for their fields.

use serde_json::{Map, Value, json};

use crate::DataError;
use crate::row::{Location, describe, names, not_negative, number, wrong};

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

impl Message {
    /// A message of a role with plain text.
    pub fn new(role: &str, content: &str) -> Self {
        Self {
            value: json!({"role": role, "content": content}),
            weight: None,
        }
    }

    /// Whether the message has this role.
    pub fn is_of(&self, role: &str) -> bool {
        self.value["role"] == role
    }
}

/// One half of a prompt and completion.
#[derive(Debug, Clone, PartialEq)]
pub enum Text {
    /// Text to be used as it is.
    Plain(String),
    /// Messages to be rendered by the chat template; at least one.
    Messages(Vec<Message>),
}

impl Text {
    pub(crate) fn to_value(&self) -> Value {
        match self {
            Text::Plain(text) => json!(text),
            Text::Messages(messages) => write_messages(messages),
        }
    }
}

pub(crate) fn write_messages(messages: &[Message]) -> Value {
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

/// A text, a list of messages, or one message.
pub(crate) fn read_text(at: &Location, column: &str, value: Value) -> Result<Text, DataError> {
    match value {
        Value::String(text) => Ok(Text::Plain(text)),
        list @ Value::Array(_) => Ok(Text::Messages(read_messages(at, column, list)?)),
        one @ Value::Object(_) => Ok(Text::Messages(vec![read_message(at, column, one)?])),
        other => Err(wrong(at, column, &other, "a string or a list of messages")),
    }
}

pub(crate) fn read_messages(
    at: &Location,
    column: &str,
    value: Value,
) -> Result<Vec<Message>, DataError> {
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
    name_as_usual(at, path, &mut object)?;
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

/// Whether a list of messages has ShareGPT's names for their fields.
pub(crate) fn is_share_gpt(list: &Value) -> bool {
    let first = list.as_array().and_then(|list| list.first());
    first.is_some_and(|message| {
        message.get("role").is_none_or(Value::is_null) && message.get("from").is_some()
    })
}

/// What a speaker's name means.
enum Speaker {
    /// Somebody with this role.
    Role(&'static str),
    /// The assistant, calling functions: the text is the calls as JSON.
    Caller,
}

/// What ShareGPT's names for speakers mean, in small letters.
fn speaker(name: &str) -> Option<Speaker> {
    Some(Speaker::Role(match name {
        "human" | "user" | "prompter" => "user",
        "gpt" | "assistant" | "chatgpt" | "gpt4" | "gpt-4" | "bing" | "bard" | "claude"
        | "model" | "bot" | "chatbot" | "ai" => "assistant",
        "system" => "system",
        "tool" | "observation" | "function" | "function_response" | "function-response"
        | "tool_response" | "tool_result" | "ipython" => "tool",
        "function_call" | "function-call" | "tool_call" => return Some(Speaker::Caller),
        _ => return None,
    }))
}

/// Gives ShareGPT's `from` and `value` the names that templates know, and a role
/// that only files write (`human`) its usual name.
fn name_as_usual(
    at: &Location,
    path: &str,
    object: &mut Map<String, Value>,
) -> Result<(), DataError> {
    let is_there = |object: &Map<String, Value>, key: &str| {
        object.get(key).is_some_and(|value| !value.is_null())
    };
    if !is_there(object, "content") && is_there(object, "value") && !is_there(object, "tool_calls")
    {
        rename(object, "value", "content");
    }
    if is_there(object, "role") || !is_there(object, "from") {
        let role = object
            .get("role")
            .and_then(Value::as_str)
            .map(str::to_lowercase);
        let usual = match role.as_deref() {
            Some("human" | "prompter") => "user",
            Some("gpt" | "chatgpt" | "bot" | "chatbot") => "assistant",
            _ => return Ok(()),
        };
        object.insert("role".to_owned(), json!(usual));
        return Ok(());
    }
    rename(object, "from", "role");
    let Some(Value::String(name)) = object.get("role") else {
        let found = object.get("role").unwrap_or(&Value::Null);
        return Err(wrong(at, &format!("{path}.from"), found, "a string"));
    };
    match speaker(&name.to_lowercase()) {
        Some(Speaker::Role(role)) => {
            object.insert("role".to_owned(), json!(role));
        }
        Some(Speaker::Caller) => {
            let calls = calls(object.get("content")).map_err(|reason| DataError::Calls {
                at: at.clone(),
                message: path.to_owned(),
                reason,
            })?;
            object.insert("role".to_owned(), json!("assistant"));
            object.insert("content".to_owned(), json!(""));
            object.insert("tool_calls".to_owned(), calls);
        }
        None => {
            return Err(DataError::Speaker {
                at: at.clone(),
                message: path.to_owned(),
                found: name.clone(),
            });
        }
    }
    Ok(())
}

/// Puts a field under another name, at its place.
fn rename(object: &mut Map<String, Value>, from: &str, to: &str) {
    *object = std::mem::take(object)
        .into_iter()
        .filter(|(key, _)| key != to)
        .map(|(key, value)| (if key == from { to.to_owned() } else { key }, value))
        .collect();
}

/// Calls of functions as `tool_calls` has them, from JSON such as
/// `{"name": "add", "arguments": {"x": 1}}` or a list of these.
fn calls(written: Option<&Value>) -> Result<Value, String> {
    let parsed = match written {
        Some(Value::String(text)) => {
            serde_json::from_str(text).map_err(|error| format!("is not JSON ({error})"))?
        }
        Some(other) => other.clone(),
        None => return Err("is missing".to_owned()),
    };
    let list = match parsed {
        Value::Array(list) if !list.is_empty() => list,
        other => vec![other],
    };
    let call = |call: Value| match call.get("function").unwrap_or(&call) {
        function if function["name"].is_string() => {
            Ok(json!({"type": "function", "function": function}))
        }
        other => Err(format!("is {} without a `name`", describe(other))),
    };
    list.into_iter().map(call).collect()
}
