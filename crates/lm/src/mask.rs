//! Rows of data to tokens, each with the weight of its loss.
//!
//! Whatever the row looks like, it becomes one text and is tokenised in one
//! piece; which tokens carry loss follows from where they stand in that text.
//! So training sees the tokens that inference sees.

mod generation;
mod prefix;
mod wanted;

use std::ops::Range;

use serde_json::Value;

use crate::chat::{ChatTemplate, RenderOptions};
use crate::error::LmError;
use crate::prompt::Prompt;
use crate::tokenizer::{Located, Tokenizer};

/// A row as tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Masked {
    /// The tokens, `[n]`.
    pub tokens: Vec<u32>,
    /// What the loss of predicting each token is multiplied with, `[n]`; 0 for
    /// tokens without loss, and always for the first, which nothing predicts.
    pub step_weight: Vec<f32>,
    /// Whether a token straddles the border between a prompt and what is learnt
    /// behind it: in a conversation it carries no loss, and a plain prompt keeps the
    /// tokens that it has alone.
    pub straddles: bool,
}

/// A text that the assistant wrote.
#[derive(Debug, Clone, PartialEq)]
struct Span {
    bytes: Range<usize>,
    /// The message that it belongs to; `None` where that cannot be told and all of
    /// the assistant's messages have the same weight.
    message: Option<usize>,
}

/// Encodes a conversation with loss on the assistant's text, its end-of-turn
/// tokens included.
///
/// The assistant's text is what the template puts inside of `{% generation %}`.
/// For a template without that tag it is what the conversation up to and with
/// the message adds to the generation prompt before it; where a template writes
/// earlier turns differently from the last one (leaving reasoning out), it is
/// found by putting a mark in place of the message.
///
/// `weights` has an entry for each message, or none at all. `None` is 1 for the
/// assistant's messages and 0 for others, which cannot have another weight.
///
/// # Errors
/// When the messages are malformed, the template refuses them, it leaves out what a
/// message with weight says ([`LmError::Unlearnable`]), the assistant's text cannot
/// be told apart ([`LmError::MaskNotDerivable`]) or no token would carry loss
/// ([`LmError::MaskEmpty`]).
pub fn encode_messages(
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
    messages: &[Value],
    weights: &[Option<f32>],
    options: &RenderOptions,
) -> Result<Masked, LmError> {
    let weights = message_weights(messages, weights)?;
    if weights.iter().all(|weight| *weight == 0.0) {
        return Err(LmError::MaskEmpty {
            reason: if messages.iter().any(is_assistant) {
                "every assistant message has weight 0".into()
            } else {
                "no message has the role `assistant`".into()
            },
        });
    }
    let messages = template.fit(messages, false, options)?;
    let conversation = Conversation {
        tokenizer,
        template,
        messages: &messages,
        options,
    };
    let (text, spans) = if template.marks_generation() {
        generation::spans(&conversation, &weights)?
    } else {
        prefix::spans(&conversation, &weights)?
    };
    wanted::check(&conversation, &text, &spans, &weights)?;
    let located = tokenizer.locate(&text)?;
    let alike = weights.iter().copied().fold(0.0, f32::max);
    let weighted: Vec<(Range<usize>, f32)> = spans
        .into_iter()
        .map(|span| (span.bytes, span.message.map_or(alike, |m| weights[m])))
        .collect();
    let straddles = weighted.iter().any(|(span, _)| {
        let across = |bytes: &Range<usize>| bytes.start < span.start && span.start < bytes.end;
        located.bytes.iter().any(across)
    });
    finish(weigh(&located, &weighted), located.tokens, straddles)
}

/// Encodes the messages of a prompt and those of its completion, with loss on
/// the assistant's messages of the completion only.
///
/// # Errors
/// As [`encode_messages`].
pub fn encode_prompt_completion_messages(
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
    prompt: &[Value],
    completion: &[Value],
    options: &RenderOptions,
) -> Result<Masked, LmError> {
    let messages = [prompt, completion].concat();
    let mut weights = vec![Some(0.0); prompt.len()];
    weights.resize(messages.len(), None);
    encode_messages(tokenizer, template, &messages, &weights, options)
}

/// Encodes a plain prompt and its completion, with loss on the completion.
///
/// The prompt has the tokens that it has at inference, where it stands alone, and the
/// completion those that follow them in the whole text ([`Prompt::followed_by`]).
/// What the tokenizer puts before a text stands before the prompt, unless the prompt
/// begins with it. With `append_end` the tokenizer's `eos_token` follows the
/// completion unless an end token stands there already.
///
/// # Errors
/// When the tokenizer refuses a text, an end token is wanted and there is none,
/// or the completion is empty ([`LmError::MaskEmpty`]).
pub fn encode_prompt_completion(
    tokenizer: &Tokenizer,
    prompt: &str,
    completion: &str,
    append_end: bool,
) -> Result<Masked, LmError> {
    let prompt = Prompt::plain(tokenizer, prompt)?;
    let following = prompt.followed_by(completion)?;
    if following.tokens.is_empty() {
        return Err(LmError::MaskEmpty {
            reason: "the completion is empty".into(),
        });
    }
    let start = prompt.tokens().len();
    let mut tokens = prompt.into_tokens();
    tokens.extend(following.tokens);
    if append_end {
        push_end(tokenizer, &mut tokens)?;
    }
    let weights = (0..tokens.len())
        .map(|index| if index < start { 0.0 } else { 1.0 })
        .collect();
    finish(weights, tokens, following.straddles)
}

/// A prompt's tokens and behind them the very tokens that a model drew, which
/// carry loss; nothing is appended. `text` is what the row says that they are.
///
/// # Errors
/// When `text` is not how the tokens' text begins ([`LmError::DrawnTokens`]), or
/// there are none ([`LmError::MaskEmpty`]).
pub fn encode_drawn(
    tokenizer: &Tokenizer,
    prompt: Vec<u32>,
    drawn: &[u32],
    text: &str,
    weight: f32,
) -> Result<Masked, LmError> {
    // A character that the last tokens only begin reads otherwise with what follows.
    let text = text.trim_end_matches('\u{FFFD}');
    let found = tokenizer.decode_behind(&prompt, drawn)?;
    // The words of a message lack the white space that a template writes before them,
    // and by themselves the tokens read as older versions and some servers wrote them.
    let reads = found.starts_with(text) || found.trim_start().starts_with(text);
    if !reads && !tokenizer.decode(drawn, false)?.starts_with(text) {
        return Err(LmError::DrawnTokens {
            reason: format!("read {found:?}, but the completion is {text:?}"),
        });
    }
    let mut weights = vec![0.0; prompt.len()];
    weights.resize(prompt.len() + drawn.len(), weight);
    finish(weights, [&prompt, drawn].concat(), false)
}

/// Encodes a plain text, with loss on all of its tokens but the first.
///
/// # Errors
/// As [`encode_prompt_completion`]; a text of fewer than two tokens has no loss.
pub fn encode_text(tokenizer: &Tokenizer, text: &str, append_end: bool) -> Result<Masked, LmError> {
    let mut tokens = tokenizer.encode_opening(text)?;
    if append_end {
        push_end(tokenizer, &mut tokens)?;
    }
    finish(vec![1.0; tokens.len()], tokens, false)
}

/// What deriving the assistant's text needs.
struct Conversation<'a> {
    tokenizer: &'a Tokenizer,
    template: &'a ChatTemplate,
    messages: &'a [Value],
    options: &'a RenderOptions,
}

impl Conversation<'_> {
    fn render(&self, messages: &[Value], prompt: bool) -> Result<String, LmError> {
        self.template.render_as_is(messages, prompt, self.options)
    }

    /// A span of `text` with the end-of-turn token that follows it: `closing`, or
    /// one of the tokenizer's own.
    fn with_closing(&self, text: &str, span: Range<usize>, closing: Option<&str>) -> Range<usize> {
        let tokenizer = self.tokenizer;
        if tokenizer.special_end(&text[span.clone()]).is_some() {
            return span;
        }
        let rest = &text[span.end..];
        let space = rest.len() - rest.trim_start().len();
        let Some(token) = tokenizer.special_prefix(rest.trim_start()) else {
            return span;
        };
        let ends = Some(token) == closing
            || tokenizer
                .token(token)
                .is_some_and(|id| tokenizer.end_tokens().contains(&id));
        if ends {
            span.start..span.end + space + token.len()
        } else {
            span
        }
    }

    fn not_derivable(&self, message: usize, reason: impl Into<String>) -> LmError {
        let remedy = if self.template.marks_generation() {
            "Use a template with {% generation %} around what each message of the assistant says, \
             inside of the loop over the messages, or give these messages the same weight"
        } else {
            "Use a template that marks the assistant's text with {% generation %}"
        };
        LmError::MaskNotDerivable {
            template: self.template.origin().into(),
            message,
            reason: reason.into(),
            remedy,
        }
    }
}

fn is_assistant(message: &Value) -> bool {
    message.get("role").and_then(Value::as_str) == Some("assistant")
}

/// The weight of every message, with defaults filled in.
fn message_weights(messages: &[Value], weights: &[Option<f32>]) -> Result<Vec<f32>, LmError> {
    let malformed = |reason: String| Err(LmError::Messages { reason });
    if !weights.is_empty() && weights.len() != messages.len() {
        return malformed(format!(
            "there are {} messages and {} weights",
            messages.len(),
            weights.len()
        ));
    }
    let mut all = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        if message.get("role").and_then(Value::as_str).is_none() {
            return malformed(format!(
                "message {index} must be an object with a `role`, not {message}"
            ));
        }
        let assistant = is_assistant(message);
        let weight = weights.get(index).copied().flatten();
        let weight = weight.unwrap_or(if assistant { 1.0 } else { 0.0 });
        if !weight.is_finite() || weight < 0.0 {
            return malformed(format!(
                "the weight of message {index} is {weight}, but it must be 0 or more"
            ));
        }
        if weight > 0.0 && !assistant {
            return malformed(format!(
                "message {index} has weight {weight} and role {}, but only the assistant's messages can carry loss",
                message["role"]
            ));
        }
        all.push(weight);
    }
    Ok(all)
}

/// The weight of each token: a span's for the tokens that begin inside of it.
/// A token that begins before a span is part of the prompt's tokens there.
fn weigh(located: &Located, spans: &[(Range<usize>, f32)]) -> Vec<f32> {
    let mut weights = vec![0.0; located.tokens.len()];
    for (span, weight) in spans {
        let inside = |bytes: &Range<usize>| !bytes.is_empty() && span.contains(&bytes.start);
        let first = located.bytes.iter().position(inside);
        let last = located.bytes.iter().rposition(inside);
        // All between, so that tokens without a text of their own are not left out.
        if let (Some(first), Some(last)) = (first, last) {
            weights[first..=last].fill(*weight);
        }
    }
    weights
}

fn finish(mut step_weight: Vec<f32>, tokens: Vec<u32>, straddles: bool) -> Result<Masked, LmError> {
    if let Some(first) = step_weight.first_mut() {
        *first = 0.0;
    }
    if step_weight.iter().all(|weight| *weight == 0.0) {
        return Err(LmError::MaskEmpty {
            reason: "no token stands entirely in the text that carries loss".into(),
        });
    }
    Ok(Masked {
        tokens,
        step_weight,
        straddles,
    })
}

fn push_end(tokenizer: &Tokenizer, tokens: &mut Vec<u32>) -> Result<(), LmError> {
    let ended = tokens
        .last()
        .is_some_and(|last| tokenizer.end_tokens().contains(last));
    if !ended {
        let end = tokenizer
            .eos_token()
            .or(tokenizer.end_tokens().first().copied());
        tokens.push(end.ok_or_else(|| LmError::Tokenization {
            action: "append an end token",
            reason: "neither tokenizer_config.json nor generation_config.json nor config.json names one".into(),
        })?);
    }
    Ok(())
}
