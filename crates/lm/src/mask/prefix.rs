//! The assistant's text for templates that do not mark it.
//!
//! Two renderings of the beginning of a conversation enclose message `i`: the
//! messages before it with the generation prompt, and the messages up to it.
//! Where both are beginnings of the whole rendering, the text between them is
//! what the model has to write. Where they are not, because the template writes
//! earlier turns differently, the message is replaced by a mark and the whole
//! rendering is compared with that one. Whatever remains ambiguous is an error.

use std::ops::Range;

use serde_json::{Value, json};

use super::{Conversation, Span};
use crate::chat::{CLOSE, OPEN};
use crate::error::LmError;

/// The rendering and the assistant's spans in it that have weight.
pub(super) fn spans(
    conversation: &Conversation<'_>,
    weights: &[f32],
) -> Result<(String, Vec<Span>), LmError> {
    let whole = conversation.render(conversation.messages, false)?;
    let mut found: Vec<Span> = Vec::new();
    for (message, weight) in weights.iter().enumerate() {
        if *weight == 0.0 {
            continue;
        }
        let bytes = Turn::new(conversation, &whole, message)?.span()?;
        // Some templates leave the end token out where nothing follows.
        let bytes = conversation.with_closing(&whole, bytes, None);
        let after = found.last().map_or(0, |span| span.bytes.end);
        if bytes.is_empty() || bytes.start < after {
            return Err(conversation.not_derivable(
                message,
                "its text is empty or overlaps the message before it",
            ));
        }
        found.push(Span {
            bytes,
            message: Some(message),
        });
    }
    Ok((whole, found))
}

/// One of the assistant's messages within a conversation.
struct Turn<'a> {
    conversation: &'a Conversation<'a>,
    /// The whole conversation as text.
    whole: &'a str,
    message: usize,
    /// The messages before, with the generation prompt.
    before: String,
}

/// The whole conversation with a mark in place of one message.
struct Probed {
    /// What stands before the mark.
    head: String,
    /// What stands behind it.
    tail: String,
}

impl<'a> Turn<'a> {
    fn new(
        conversation: &'a Conversation<'a>,
        whole: &'a str,
        message: usize,
    ) -> Result<Self, LmError> {
        let before = conversation
            .render(&conversation.messages[..message], true)
            .map_err(|error| {
                conversation.not_derivable(
                    message,
                    format!("the template does not render the messages before it alone ({error})"),
                )
            })?;
        Ok(Self {
            conversation,
            whole,
            message,
            before,
        })
    }

    fn span(&self) -> Result<Range<usize>, LmError> {
        let messages = self.conversation.messages;
        let through = if self.message + 1 == messages.len() {
            Ok(self.whole.to_owned())
        } else {
            self.conversation.render(&messages[..=self.message], false)
        };
        match through {
            Ok(through)
                if self.whole.starts_with(&through) && through.starts_with(&self.before) =>
            {
                let added = &through[self.before.len()..];
                Ok(self.before.len()..self.before.len() + self.closed(added))
            }
            _ => self.probed_span(),
        }
    }

    /// The length of `text` without what follows its end-of-turn token.
    fn closed(&self, text: &str) -> usize {
        let end = self.conversation.tokenizer.special_end(text);
        end.unwrap_or(text.len())
    }

    fn probed_span(&self) -> Result<Range<usize>, LmError> {
        let messages = self.conversation.messages;
        let probed = self.probe(messages, self.message)?;
        if !self.whole.ends_with(&probed.tail) {
            return Err(self.fail("what follows it in the text depends on what it says"));
        }
        let content_end = self.whole.len() - probed.tail.len();

        let alone = self.probe(&messages[..=self.message], self.message)?.tail;
        let closing = self.closing(&alone, &probed.tail).ok_or_else(|| {
            self.fail(format!(
                "its turn ends with {alone:?} at the end of a conversation, and with other text here"
            ))
        })?;

        let start = self.start(&probed)?;
        if start > content_end {
            return Err(self.fail("its turn cannot be found in the whole text"));
        }
        Ok(start..content_end + closing)
    }

    /// How much of `tail`, which follows the words of the message, belongs to its
    /// turn, given what follows them where the conversation ends: all of that, or
    /// as much as ends with a special token.
    fn closing(&self, alone: &str, tail: &str) -> Option<usize> {
        let whole = self.closed(alone);
        if tail.starts_with(&alone[..whole]) {
            return Some(whole);
        }
        let common = &alone[..common_prefix(alone, tail)];
        let tokenizer = self.conversation.tokenizer;
        let ends = common.char_indices().filter_map(|(at, _)| {
            let token = tokenizer.special_prefix(&alone[at..])?;
            Some(at + token.len())
        });
        ends.filter(|end| *end <= common.len()).max()
    }

    /// Where the turn's text begins: behind the generation prompt, or behind as
    /// much of it as the template writes in this place.
    fn start(&self, probed: &Probed) -> Result<usize, LmError> {
        let (whole, before) = (self.whole, self.before.as_str());
        if whole.starts_with(before) {
            return Ok(before.len());
        }
        let messages = self.conversation.messages;
        let base = self.conversation.render(&messages[..self.message], false)?;
        let prompt = match before.strip_prefix(base.as_str()) {
            Some(prompt) if !prompt.is_empty() => prompt,
            _ => {
                return Err(
                    self.fail("the generation prompt does not follow the messages before it")
                );
            }
        };
        if let Some(opening) = probed.head.strip_prefix(base.as_str()) {
            // The same history, and a prompt that says more than this turn does.
            let start = base.len() + common_prefix(opening, prompt);
            if start > base.len() && whole.get(..start) == probed.head.get(..start) {
                return Ok(start);
            }
            return Err(self.fail(format!(
                "the generation prompt is {prompt:?}, but its turn begins differently; a variable \
                 of the template may say how the prompt ends"
            )));
        }
        // Another history: the prompt must stand between the message before and the mark.
        let Some(at) = probed.head.rfind(prompt) else {
            return Err(
                self.fail("the generation prompt does not stand before it in the whole text")
            );
        };
        let start = at + prompt.len();
        let earlier = self.probe(messages, self.message.saturating_sub(1))?;
        let earlier_end = whole.len().checked_sub(earlier.tail.len());
        let found = whole.ends_with(&earlier.tail)
            && earlier_end.is_some_and(|end| end <= at)
            && whole.get(..start) == probed.head.get(..start);
        if found {
            Ok(start)
        } else {
            Err(self.fail("its turn cannot be told from the message before it"))
        }
    }

    /// Renders `messages` with a mark as the text of message `index`.
    fn probe(&self, messages: &[Value], index: usize) -> Result<Probed, LmError> {
        let mut messages = messages.to_vec();
        if let Some(Value::Object(message)) = messages.get_mut(index) {
            let mark = format!("{OPEN}{CLOSE}");
            let content = match message.get("content") {
                Some(Value::Array(_)) => json!([{ "type": "text", "text": mark }]),
                _ => json!(mark),
            };
            message.insert("content".into(), content);
            for key in ["reasoning_content", "thinking", "reasoning", "tool_calls"] {
                message.shift_remove(key);
            }
        }
        let text = self
            .conversation
            .render(&messages, false)
            .map_err(|error| {
                self.fail(format!(
                    "the template refuses a mark in the place of message {index} ({error})"
                ))
            })?;
        let parts = (text.split_once(OPEN)).and_then(|(head, rest)| {
            let tail = rest.strip_prefix(CLOSE)?;
            let once = !head.contains(CLOSE) && !tail.contains([OPEN, CLOSE]);
            once.then(|| Probed {
                head: head.into(),
                tail: tail.into(),
            })
        });
        parts.ok_or_else(|| {
            self.fail(format!(
                "the template does not write the text of message {index} exactly once"
            ))
        })
    }

    fn fail(&self, reason: impl Into<String>) -> LmError {
        self.conversation.not_derivable(self.message, reason)
    }
}

/// Bytes, up to a border between characters, in which two texts begin alike.
fn common_prefix(left: &str, right: &str) -> usize {
    let alike = left.chars().zip(right.chars()).take_while(|(l, r)| l == r);
    alike.map(|(character, _)| character.len_utf8()).sum()
}
