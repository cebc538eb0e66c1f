//! The token with which a chat template ends the assistant's turns.

use serde_json::{Value, json};

use crate::chat::{CLOSE, ChatTemplate, OPEN, RenderOptions};
use crate::error::LmError;
use crate::tokenizer::Tokenizer;

/// The token with which `template` ends the assistant's turns, where it is none of
/// the model's end tokens: a model that learns to end its turns so would go on behind
/// it. `None` where a turn ends with an end token, with text, or not at all.
///
/// # Errors
/// When the tokenizer refuses what the template writes.
pub fn turn_end(
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
    options: &RenderOptions,
) -> Result<Option<u32>, LmError> {
    let Some(tail) = behind_last_turn(template, options) else {
        return Ok(None);
    };
    let tokens = tokenizer.added_tokens_in(&tail)?;
    let ends = |token: &u32| tokenizer.end_tokens().contains(token);
    if tokens.iter().any(ends) {
        return Ok(None);
    }
    let first = tokens.first().copied();
    Ok(first.filter(|token| Some(*token) != tokenizer.bos_token()))
}

/// What stands behind the assistant's words at the end of a conversation, in the
/// first form of one that the template takes.
fn behind_last_turn(template: &ChatTemplate, options: &RenderOptions) -> Option<String> {
    let mark = format!("{OPEN}{CLOSE}");
    let text = |text: &str| json!(text);
    let parts = |text: &str| json!([{ "type": "text", "text": text }]);
    let forms: [&dyn Fn(&str) -> Value; 2] = [&text, &parts];
    for content in forms {
        let message = |role: &str, text: &str| json!({ "role": role, "content": content(text) });
        let turns = [message("user", "Hello"), message("assistant", &mark)];
        let system = message("system", "Hello");
        for messages in [turns.to_vec(), [&[system], &turns[..]].concat()] {
            let rendered = template.render(&messages, false, options).ok();
            if let Some((_, tail)) = rendered.as_deref().and_then(|all| all.rsplit_once(&mark)) {
                return Some(tail.to_owned());
            }
        }
    }
    None
}
