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
    let owners = owners(conversation, weights, &text, &spans)?;
    let closing = closing_token(conversation)?;
    let mut found = Vec::with_capacity(spans.len());
    for (bytes, message) in spans.into_iter().zip(owners) {
        if message.is_none_or(|message| weights[message] > 0.0) {
            let bytes = conversation.with_closing(&text, bytes, closing.as_deref());
            found.push(Span { bytes, message });
        }
    }
    let shared = found.iter().any(|span| span.message.is_none());
    let silent = weights.iter().enumerate().find(|(message, weight)| {
        **weight > 0.0 && found.iter().all(|span| span.message != Some(*message))
    });
    match silent {
        Some((message, _)) if !shared => Err(conversation.not_derivable(
            message,
            "the template puts none of it inside of {% generation %}",
        )),
        _ => Ok((text, found)),
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

/// Which message each span belongs to, where it can be told and matters: `None` is a
/// span of the assistant's, all of whose messages count alike.
fn owners(
    conversation: &Conversation<'_>,
    weights: &[f32],
    text: &str,
    spans: &[Range<usize>],
) -> Result<Vec<Option<usize>>, LmError> {
    let assistant: Vec<usize> = (0..weights.len())
        .filter(|index| is_assistant(&conversation.messages[*index]))
        .collect();
    let alike = assistant
        .windows(2)
        .all(|pair| weights[pair[0]] == weights[pair[1]]);
    if alike && assistant.len() == spans.len() {
        return Ok(assistant.into_iter().map(Some).collect());
    }
    if let Some(owners) = by_count(conversation, &assistant, spans.len())? {
        return Ok(owners);
    }
    let owners = by_place(conversation, &assistant, text, spans);
    let told = owners.iter().flatten().count();
    let reason = match owners
        .iter()
        .flatten()
        .find(|owner| !assistant.contains(owner))
    {
        Some(other) => format!(
            "the template also marks what message {other} says, which is not the assistant's"
        ),
        None if alike || told == spans.len() => return Ok(owners),
        None => format!(
            "the conversation has {} marked texts, and {told} of them can be told to belong to a \
             message, but the assistant's messages have different weights",
            spans.len()
        ),
    };
    Err(conversation.not_derivable(assistant.first().copied().unwrap_or(0), reason))
}

/// Owners by how many spans there are after each message: a template may make
/// several of one.
fn by_count(
    conversation: &Conversation<'_>,
    assistant: &[usize],
    spans: usize,
) -> Result<Option<Vec<Option<usize>>>, LmError> {
    let mut owners = Vec::with_capacity(spans);
    for &message in assistant {
        // A template that marks other messages as well is not to be trusted.
        let before = marked(conversation, message).map_or(owners.len(), |m| m.spans.len());
        if before != owners.len() {
            break;
        }
        let count = marked(conversation, message + 1)
            .map_err(|error| conversation.not_derivable(message, error.to_string()))?
            .spans
            .len();
        if count > spans || count < owners.len() {
            break;
        }
        owners.resize(count, Some(message));
    }
    Ok((owners.len() == spans).then_some(owners))
}

/// Owners by where the spans stand: one that is there in the same place once a
/// message has been said belongs to that message. What stands behind all messages,
/// or is written differently where the conversation goes on, belongs to none.
fn by_place(
    conversation: &Conversation<'_>,
    assistant: &[usize],
    text: &str,
    spans: &[Range<usize>],
) -> Vec<Option<usize>> {
    let mut owners = vec![None; spans.len()];
    let (mut known, mut complete) = (0, true);
    let places = assistant.iter().flat_map(|&message| [message, message + 1]);
    for count in places.filter(|count| *count > 0) {
        // Some templates refuse a conversation that ends here; what the next one has
        // more is then not this message's alone.
        let Ok(part) = marked(conversation, count) else {
            complete = false;
            continue;
        };
        let same = |(span, other): &(&Range<usize>, &Range<usize>)| {
            span == other && text[..span.end] == part.text[..span.end]
        };
        let alike = spans.iter().zip(&part.spans).take_while(same).count();
        for owner in owners.iter_mut().take(alike).skip(known) {
            *owner = complete.then_some(count - 1);
        }
        known = known.max(alike);
        complete = true;
    }
    owners
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
