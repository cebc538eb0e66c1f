//! One rule: what a row wants learnt is in the text that it is learnt from.
//!
//! Templates leave out what they do not know or do not like: reasoning of earlier
//! turns, fields of other names, words behind a tool call. The model would then
//! learn something else than the row says, so such a row is refused. White space
//! around a text and around tags like `</think>` is the template's business, and so
//! is how it writes the arguments of a tool.

use std::ops::Range;

use iwsft_jinja::{dumps, repr};
use serde_json::Value;

use super::{Conversation, Span};
use crate::chat::content_texts;
use crate::error::LmError;

/// Characters of missing words that a message shows.
const SHOWN: usize = 60;

/// Refuses a conversation if a message with weight says what is not in `text`.
pub(super) fn check(
    conversation: &Conversation<'_>,
    text: &str,
    spans: &[Span],
    weights: &[f32],
) -> Result<(), LmError> {
    for (message, weight) in weights.iter().enumerate() {
        if *weight == 0.0 {
            continue;
        }
        let wanted = Wanted::of(&conversation.messages[message]);
        if wanted.missing(&own_text(text, spans, message)).is_none() {
            continue;
        }
        // The generation prompt may say the beginning, and marks may leave some out.
        let region = region(conversation, text, spans, message);
        if let Some((field, words)) = wanted.missing(&text[region]) {
            return Err(LmError::Unlearnable {
                template: conversation.template.origin().into(),
                message,
                field,
                words: shown(&words),
            });
        }
    }
    Ok(())
}

fn shown(words: &str) -> String {
    let mut start: String = words.chars().take(SHOWN).collect();
    if start.len() < words.len() {
        start.push_str("...");
    }
    start
}

/// What carries loss for one message.
fn own_text(text: &str, spans: &[Span], message: usize) -> String {
    let own = spans.iter().filter(|span| span.message == Some(message));
    own.map(|span| &text[span.bytes.clone()]).collect()
}

/// Where a message stands in the text, its generation prompt included.
fn region(
    conversation: &Conversation<'_>,
    text: &str,
    spans: &[Span],
    message: usize,
) -> Range<usize> {
    if spans.iter().any(|span| span.message.is_none()) {
        return 0..text.len();
    }
    let others = |span: &&Span| span.message != Some(message);
    let own = |span: &&Span| span.message == Some(message);
    let first = spans.iter().find(own).map_or(0, |span| span.bytes.start);
    let before = spans.iter().filter(others).map(|span| span.bytes.end);
    let after = spans.iter().filter(others).map(|span| span.bytes.start);
    let least = before.filter(|end| *end <= first).max().unwrap_or(0);
    let most = after.filter(|start| *start > first).min();
    let messages = &conversation.messages[..message];
    let start = conversation.render(messages, false).map_or(0, |base| {
        let alike = base.chars().zip(text.chars()).take_while(|(b, t)| b == t);
        alike.map(|(character, _)| character.len_utf8()).sum()
    });
    start.clamp(least, first)..most.unwrap_or(text.len())
}

/// What a message wants learnt.
struct Wanted<'a> {
    /// Texts, each with its field.
    texts: Vec<(String, &'a str)>,
    /// Names and arguments of tool calls, each with its field.
    calls: Vec<(String, &'a Value)>,
}

impl<'a> Wanted<'a> {
    fn of(message: &'a Value) -> Self {
        let mut texts: Vec<(String, &str)> = Vec::new();
        for key in ["reasoning_content", "thinking", "reasoning"] {
            if let Some(text) = message.get(key).and_then(Value::as_str) {
                texts.push((key.into(), text));
            }
        }
        texts.extend(content_texts(&message["content"]));
        let mut calls = Vec::new();
        match message.get("tool_calls") {
            Some(Value::Array(list)) => {
                for (index, call) in list.iter().enumerate() {
                    of_call(call, &format!("tool_calls[{index}]"), &mut calls);
                }
            }
            Some(call) => of_call(call, "tool_calls", &mut calls),
            None => {}
        }
        if let Some(call) = message.get("function_call") {
            of_call(call, "function_call", &mut calls);
        }
        Self { texts, calls }
    }

    /// The first field and its words that are not in `region`.
    fn missing(&self, region: &str) -> Option<(String, String)> {
        for (field, text) in &self.texts {
            if let Some(words) = missing_words(region, text) {
                return Some((field.clone(), words.into()));
            }
        }
        for (field, value) in &self.calls {
            if let Some((path, words)) = missing_value(region, value) {
                return Some((format!("{field}{path}"), words));
            }
        }
        None
    }
}

fn of_call<'a>(call: &'a Value, path: &str, calls: &mut Vec<(String, &'a Value)>) {
    for key in ["name", "arguments", "parameters", "input"] {
        if let Some(value) = call.get(key) {
            calls.push((format!("{path}.{key}"), value));
        }
    }
    if let Some(function @ Value::Object(_)) = call.get("function") {
        of_call(function, &format!("{path}.function"), calls);
    }
}

/// The first words of `text` that are not in `region`, in the order of `text`.
///
/// Words between two tags must be there as they are; white space around a tag may be
/// another, and tags with nothing between them may be left out.
fn missing_words<'t>(region: &str, text: &'t str) -> Option<&'t str> {
    if region.contains(text.trim()) {
        return None;
    }
    let pieces = pieces(text);
    let is_tag = |piece: &&str| tag_length(piece) == Some(piece.len());
    let mut rest = region;
    let mut index = 0;
    while index < pieces.len() {
        let piece = pieces[index];
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None if is_empty_block(&pieces[index..]) => index += 1,
            // Where a whole block is left out, its words say more than its tag.
            None => {
                let words = pieces[index..].iter().take(2).find(|piece| !is_tag(piece));
                let gone = words.filter(|words| !rest.contains(**words));
                return Some(gone.copied().unwrap_or(piece));
            }
        }
        index += 1;
    }
    None
}

/// A text cut at its tags; pieces of white space alone are left out.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut at) = (0, 0);
    while let Some(found) = text[at..].find(['<', '[']) {
        let open = at + found;
        match tag_length(&text[open..]) {
            None => at = open + 1,
            Some(length) => {
                pieces.push(text[start..open].trim());
                pieces.push(&text[open..open + length]);
                at = open + length;
                start = at;
            }
        }
    }
    pieces.push(text[start..].trim());
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// The length of a tag at the beginning of `text`: `<think>`, `</seed:think>`,
/// `<|START_THINKING|>`, `[THINK]`.
fn tag_length(text: &str) -> Option<usize> {
    const LONGEST: usize = 40;
    let (close, square) = match text.chars().next()? {
        '<' => ('>', false),
        '[' => (']', true),
        _ => return None,
    };
    let end = text
        .get(1..)?
        .find(|c: char| c == close || c == '<' || c == '[' || c.is_whitespace())?;
    let name = &text[1..1 + end];
    let plain = |c: char| c.is_ascii_uppercase() || "/_".contains(c);
    let closed = text[1 + end..].starts_with(close);
    let is_tag = closed && !name.is_empty() && name.len() <= LONGEST;
    (is_tag && (!square || name.chars().all(plain))).then_some(end + 2)
}

/// Whether a tag and the one that closes it come first, with nothing between them.
fn is_empty_block(pieces: &[&str]) -> bool {
    let [open, close, ..] = pieces else {
        return false;
    };
    let name = |tag: &str| tag.replace(['/', '<', '>', '[', ']'], "");
    tag_length(open) == Some(open.len())
        && tag_length(close) == Some(close.len())
        && close.contains('/')
        && name(open) == name(close)
}

/// The first word of a tool's name or arguments that is not in `region` in any
/// spelling, with its path below the value.
fn missing_value(region: &str, value: &Value) -> Option<(String, String)> {
    match value {
        Value::Object(fields) => fields.iter().find_map(|(key, value)| {
            if !spelled(region, key) {
                return Some((format!(".{key}"), key.clone()));
            }
            missing_value(region, value).map(|(path, words)| (format!(".{key}{path}"), words))
        }),
        Value::Array(items) => items.iter().enumerate().find_map(|(index, item)| {
            missing_value(region, item).map(|(path, words)| (format!("[{index}]{path}"), words))
        }),
        Value::String(text) if !spelled(region, text) => Some((String::new(), text.clone())),
        Value::Number(number) => {
            let integer = number.as_f64().filter(|n| n.fract() == 0.0);
            let found = region.contains(&number.to_string())
                || region.contains(&repr(value))
                || integer.is_some_and(|n| region.contains(&format!("{n:.0}")));
            (!found).then(|| (String::new(), number.to_string()))
        }
        _ => None,
    }
}

/// Whether `region` has a string, as it is or as JSON or Python write it in quotes.
fn spelled(region: &str, text: &str) -> bool {
    let text = text.trim();
    let quoted = |written: String| region.contains(&written[1..written.len() - 1]);
    region.contains(text)
        || quoted(dumps(&Value::from(text), false))
        || quoted(dumps(&Value::from(text), true))
        || quoted(repr(&Value::from(text)))
}
