//! What a chat template writes around the assistant's words.

use serde_json::{Value, json};

use crate::chat::{CLOSE, ChatTemplate, OPEN, RenderOptions};
use crate::error::LmError;
use crate::tokenizer::Tokenizer;

/// How a template begins and ends the assistant's turns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TurnFrame {
    /// White space between the generation prompt and the words, which the model draws
    /// and the template writes again: no part of the words.
    pub lead: String,
    /// The token that ends a turn: an end token of the model where the template writes
    /// one there, otherwise the first added token, behind which a model that learns to
    /// end its turns so would go on. `None` where a turn ends with text, or not at all.
    pub end: Option<u32>,
}

impl TurnFrame {
    /// What `template` does.
    ///
    /// # Errors
    /// When the tokenizer refuses what the template writes.
    pub fn of(
        tokenizer: &Tokenizer,
        template: &ChatTemplate,
        options: &RenderOptions,
    ) -> Result<Self, LmError> {
        let Some((lead, tail)) = around_words(template, options) else {
            return Ok(Self::default());
        };
        let tokens = tokenizer.added_tokens_in(&tail)?;
        let ends = |token: &&u32| tokenizer.end_tokens().contains(token);
        let begins = |token: &u32| Some(*token) == tokenizer.bos_token();
        let end = tokens.iter().find(ends).copied();
        Ok(Self {
            lead,
            end: end.or(tokens.first().copied().filter(|token| !begins(token))),
        })
    }
}

/// The white space before the assistant's words and all that stands behind them at
/// the end of a conversation, in the first form of one that the template takes.
fn around_words(template: &ChatTemplate, options: &RenderOptions) -> Option<(String, String)> {
    let mark = format!("{OPEN}{CLOSE}");
    let text = |text: &str| json!(text);
    let parts = |text: &str| json!([{ "type": "text", "text": text }]);
    let forms: [&dyn Fn(&str) -> Value; 2] = [&text, &parts];
    for content in forms {
        let message = |role: &str, text: &str| json!({ "role": role, "content": content(text) });
        let turns = [message("user", "Hello"), message("assistant", &mark)];
        let system = message("system", "Hello");
        for messages in [turns.to_vec(), [&[system], &turns[..]].concat()] {
            let Ok(whole) = template.render(&messages, false, options) else {
                continue;
            };
            let Some((head, tail)) = whole.rsplit_once(&mark) else {
                continue;
            };
            let prompt = template.render(&messages[..messages.len() - 1], true, options);
            let lead = prompt.ok().and_then(|prompt| {
                let lead = head.strip_prefix(&prompt)?;
                lead.trim().is_empty().then(|| lead.to_owned())
            });
            return Some((lead.unwrap_or_default(), tail.to_owned()));
        }
    }
    None
}
