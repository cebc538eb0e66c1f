//! The assistant's text as a template marks it with `{% generation %}`.

use std::ops::Range;

use super::{Conversation, Span, is_assistant};
use crate::chat::Marked;
use crate::error::LmError;

/// The rendering and the assistant's spans in it that have weight.
pub(super) fn spans(
    conversation: &Conversation<'_>,
    weights: &[f32],
) -> Result<(String, Vec<Span>), LmError> {
    let messages = conversation.messages;
    let first = messages.iter().position(is_assistant).unwrap_or(0);
    let Marked { text, spans } = marked(conversation, messages.len())?;
    if text != conversation.render(messages, false)? {
        return Err(conversation.not_derivable(
            first,
            "marking the assistant's text changes what the template renders",
        ));
    }
    if spans.is_empty() {
        return Err(conversation.not_derivable(
            first,
            "the template puts nothing inside of {% generation %} for this conversation",
        ));
    }
    let owners = owners(conversation, weights, &spans)?;
    let closing = closing_token(conversation)?;
    let mut found = Vec::with_capacity(spans.len());
    for (bytes, message) in spans.into_iter().zip(owners) {
        if weights[message] > 0.0 {
            let bytes = conversation.with_closing(&text, bytes, closing.as_deref());
            found.push(Span { bytes, message });
        }
    }
    let silent = weights
        .iter()
        .enumerate()
        .find(|(message, weight)| **weight > 0.0 && found.iter().all(|s| s.message != *message));
    match silent {
        None => Ok((text, found)),
        Some((message, _)) => Err(conversation.not_derivable(
            message,
            "the template puts none of it inside of {% generation %}",
        )),
    }
}

/// The first `count` messages, with the assistant's text marked.
fn marked(conversation: &Conversation<'_>, count: usize) -> Result<Marked, LmError> {
    let messages = &conversation.messages[..count];
    conversation
        .template
        .render_marked(messages, conversation.options)?
        .ok_or_else(|| conversation.not_derivable(0, "the template has no {% generation %}"))
}

/// Which message each span belongs to. A template may make several spans of one
/// message; how many are there after each message tells.
fn owners(
    conversation: &Conversation<'_>,
    weights: &[f32],
    spans: &[Range<usize>],
) -> Result<Vec<usize>, LmError> {
    let assistant: Vec<usize> = (0..weights.len())
        .filter(|index| is_assistant(&conversation.messages[*index]))
        .collect();
    let same = |weight: &f32| assistant.iter().all(|index| weights[*index] == *weight);
    if assistant.len() == spans.len() && assistant.first().is_some_and(|i| same(&weights[*i])) {
        return Ok(assistant);
    }
    let mut owners = Vec::with_capacity(spans.len());
    for message in assistant {
        // A template that marks other messages as well is not to be trusted.
        let before = marked(conversation, message).map_or(owners.len(), |m| m.spans.len());
        if before != owners.len() {
            break;
        }
        let count = marked(conversation, message + 1)
            .map_err(|error| conversation.not_derivable(message, error.to_string()))?
            .spans
            .len();
        if count > spans.len() || count < owners.len() {
            break;
        }
        owners.resize(count, message);
    }
    if owners.len() == spans.len() {
        return Ok(owners);
    }
    Err(conversation.not_derivable(
        owners.last().copied().unwrap_or(0),
        format!(
            "the conversation has {} marked texts, and {} of them can be told to belong to a message",
            spans.len(),
            owners.len()
        ),
    ))
}

/// The token that ends the assistant's turn, if the template writes it behind
/// the tag: what follows the tag where nothing else can follow.
fn closing_token(conversation: &Conversation<'_>) -> Result<Option<String>, LmError> {
    let Some(last) = conversation.messages.iter().rposition(is_assistant) else {
        return Ok(None);
    };
    // Some templates refuse conversations that end here; then only the
    // tokenizer's own end tokens are known.
    let Ok(Marked { text, spans }) = marked(conversation, last + 1) else {
        return Ok(None);
    };
    let rest = spans.last().map_or("", |span| &text[span.end..]);
    let token = conversation.tokenizer.special_prefix(rest.trim_start());
    Ok(token.map(str::to_owned))
}
