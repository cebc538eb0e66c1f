//! Messages in the form that a template reads.
//!
//! A message's content may be a text or a list of parts, and the arguments of a
//! tool call may be an object or a text of JSON. Templates read one form or the
//! other, and what they do with the wrong one is seldom an error: the words are
//! left out, or written as Python prints a list. So both forms are rendered, and
//! the one is taken that puts the words into the text.

use iwsft_jinja::{dumps, repr};
use serde_json::{Map, Value, json};

use super::{ChatTemplate, RenderOptions};
use crate::error::LmError;

/// Fields in which a tool call keeps what the tool is given.
const ARGUMENTS: [&str; 3] = ["arguments", "parameters", "input"];

impl ChatTemplate {
    /// `messages` in the form that the template reads: text parts joined where it
    /// takes a text only, arguments of tool calls as objects unless it needs text.
    ///
    /// # Errors
    /// When content has a part that is no text, or the template writes the texts of
    /// parts in neither form.
    pub(crate) fn fit(
        &self,
        messages: &[Value],
        add_generation_prompt: bool,
        options: &RenderOptions,
    ) -> Result<Vec<Value>, LmError> {
        let parts = messages.iter().any(|message| message["content"].is_array());
        if parts {
            check_parts(messages)?;
        }
        let render =
            |messages: &[Value]| self.render_as_is(messages, add_generation_prompt, options);
        let messages = fit_arguments(messages, parts, render);
        if !parts {
            return Ok(messages);
        }
        self.fit_parts(messages, render)
    }

    fn fit_parts(
        &self,
        messages: Vec<Value>,
        render: impl Fn(&[Value]) -> Result<String, LmError>,
    ) -> Result<Vec<Value>, LmError> {
        let writes_all = |text: &Result<String, LmError>| {
            text.as_ref().is_ok_and(|text| {
                let contents = messages.iter().filter_map(|m| m["content"].as_array());
                contents
                    .flatten()
                    .all(|part| part_text(part).is_none_or(|part| text.contains(part.trim())))
            })
        };
        let as_parts = render(&messages);
        let Some(joined) = joined(&messages) else {
            // Parts of other kinds than plain text have no other form.
            return as_parts.map(|_| messages);
        };
        let as_text = render(&joined);
        match (writes_all(&as_parts), writes_all(&as_text)) {
            (true, false) => Ok(messages),
            (false, true) => Ok(joined),
            (true, true) => {
                // A template that knows both writes one part as it writes a text; one
                // that does not may have printed the list itself.
                let knows_both = matches!(
                    (render(&one_part(&joined, &messages)), &as_text),
                    (Ok(part), Ok(text)) if part == *text
                );
                Ok(if knows_both { messages } else { joined })
            }
            (false, false) => {
                as_text?;
                Err(LmError::Messages {
                    reason: format!(
                        "chat template {} leaves out content that is given as a list of parts, \
                         and also as one text; use another template",
                        self.origin()
                    ),
                })
            }
        }
    }
}

/// The text of a part of a message's content, if it is plain text.
fn part_text(part: &Value) -> Option<&str> {
    match part {
        Value::String(text) => Some(text),
        _ => match part.get("type").and_then(Value::as_str) {
            None | Some("text" | "input_text" | "output_text") => part.get("text")?.as_str(),
            Some(_) => None,
        },
    }
}

/// Texts of a message's content, with the path of each below the message.
pub(crate) fn content_texts(content: &Value) -> Vec<(String, &str)> {
    match content {
        Value::String(text) => vec![("content".into(), text)],
        Value::Array(parts) => parts
            .iter()
            .enumerate()
            .flat_map(|(index, part)| {
                let path = format!("content[{index}]");
                match part_text(part) {
                    Some(text) => vec![(path, text)],
                    None => thought_texts(part)
                        .map(|text| (path.clone(), text))
                        .collect(),
                }
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// Texts of a part that holds reasoning or a refusal, under the part's own name.
fn thought_texts(part: &Value) -> impl Iterator<Item = &str> {
    const KINDS: [&str; 4] = ["thinking", "reasoning", "refusal", "redacted_thinking"];
    let kind = part.get("type").and_then(Value::as_str);
    let value = kind
        .filter(|kind| KINDS.contains(kind))
        .and_then(|kind| part.get(kind).or_else(|| part.get("text")));
    let texts: Vec<&str> = match value {
        Some(Value::Array(list)) => list.iter().filter_map(part_text).collect(),
        Some(value) => value.as_str().into_iter().collect(),
        None => Vec::new(),
    };
    texts.into_iter()
}

/// Refuses parts that are no text.
fn check_parts(messages: &[Value]) -> Result<(), LmError> {
    for (index, message) in messages.iter().enumerate() {
        for (number, part) in message["content"]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
        {
            if part_text(part).is_some() || thought_texts(part).next().is_some() {
                continue;
            }
            let what = match part.get("type").and_then(Value::as_str) {
                Some("text") => "of type \"text\" without a `text`".to_owned(),
                Some(kind) => format!("of type {kind:?}"),
                None => "without a `type` and a `text`".to_owned(),
            };
            return Err(LmError::Messages {
                reason: format!(
                    "part {number} of the content of message {index} is {what}, but only text can \
                     be read; remove the part or the row"
                ),
            });
        }
    }
    Ok(())
}

/// The messages with all content that is a list of plain texts as one text; `None`
/// where some part is of another kind.
fn joined(messages: &[Value]) -> Option<Vec<Value>> {
    with_content(messages, |parts| {
        let texts: Option<Vec<&str>> = parts.iter().map(part_text).collect();
        Some(json!(texts?.concat()))
    })
}

/// `joined`, with one part of text wherever `messages` have parts.
fn one_part(joined: &[Value], messages: &[Value]) -> Vec<Value> {
    let mut joined = joined.to_vec();
    for (message, original) in joined.iter_mut().zip(messages) {
        if original["content"].is_array() {
            let text = message["content"].take();
            message["content"] = json!([{ "type": "text", "text": text }]);
        }
    }
    joined
}

fn with_content(
    messages: &[Value],
    change: impl Fn(&[Value]) -> Option<Value>,
) -> Option<Vec<Value>> {
    let mut messages = messages.to_vec();
    for message in &mut messages {
        if let Some(Value::Array(parts)) = message.get("content") {
            message["content"] = change(parts)?;
        }
    }
    Some(messages)
}

/// The messages with the arguments of tool calls as objects, or as text where the
/// template needs that: it fails otherwise, or prints the object as Python does.
fn fit_arguments(
    messages: &[Value],
    parts: bool,
    render: impl Fn(&[Value]) -> Result<String, LmError>,
) -> Vec<Value> {
    let mut objects = messages.to_vec();
    let mut texts = messages.to_vec();
    let (mut decoded, mut encoded) = (Vec::new(), Vec::new());
    objects.iter_mut().for_each(|message| {
        for_each_argument(message, &mut |value| decoded.extend(decode(value)));
    });
    texts.iter_mut().for_each(|message| {
        for_each_argument(message, &mut |value| encoded.extend(encode(value)));
    });
    if decoded.is_empty() && encoded.is_empty() {
        return objects;
    }
    // Parts of content are not settled yet: the arguments are looked at without them.
    let render = |messages: &[Value]| match parts.then(|| joined(messages)).flatten() {
        Some(joined) => render(&joined).or_else(|_| render(messages)),
        None => render(messages),
    };
    match render(&objects) {
        Err(_) if render(&texts).is_ok() => texts,
        Ok(text) if decoded.iter().any(|value| prints(&text, value)) => {
            match render(&texts) {
                // As text they come out as text, not as a string within JSON.
                Ok(other) if encoded.iter().all(|text| other.contains(text.trim())) => texts,
                _ => objects,
            }
        }
        _ => objects,
    }
}

/// Whether `text` has a value as Python prints it and JSON does not.
fn prints(text: &str, value: &Value) -> bool {
    let printed = repr(value);
    printed != dumps(value, false) && text.contains(&printed)
}

/// Visits the arguments of every tool call of a message.
fn for_each_argument(message: &mut Value, visit: &mut impl FnMut(&mut Value)) {
    let Value::Object(message) = message else {
        return;
    };
    if let Some(calls) = message.get_mut("tool_calls") {
        match calls {
            Value::Array(calls) => calls.iter_mut().for_each(|call| in_call(call, visit)),
            call => in_call(call, visit),
        }
    }
    // How functions were called before there were tools.
    if let Some(call) = message.get_mut("function_call") {
        in_call(call, visit);
    }
}

fn in_call(call: &mut Value, visit: &mut impl FnMut(&mut Value)) {
    let Value::Object(call) = call else {
        return;
    };
    for key in ARGUMENTS {
        if let Some(value) = call.get_mut(key) {
            visit(value);
        }
    }
    if let Some(function @ Value::Object(_)) = call.get_mut("function") {
        in_call(function, visit);
    }
}

/// Makes an object of arguments that are its text; gives back the object.
fn decode(value: &mut Value) -> Option<Value> {
    if let Value::String(text) = value {
        let object = match text.trim() {
            "" => Map::new(),
            text => serde_json::from_str(text).ok()?,
        };
        *value = Value::Object(object);
    }
    value.is_object().then(|| value.clone())
}

/// Makes text of arguments that are an object; gives back the text.
fn encode(value: &mut Value) -> Option<String> {
    if value.is_object() {
        *value = Value::String(dumps(value, false));
    }
    value.as_str().map(str::to_owned)
}
