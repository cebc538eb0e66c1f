//! Why a completion ended, in the words of all servers.

use iwsft_lm::Finish;
use serde_json::Value;

/// What a server's finish reason means.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reason {
    /// It is a completion.
    Finish(Finish),
    /// Whoever works there gave it up; asking again may help.
    GivenUp(String),
    /// Its text was held back or cut for what it says; asking again will not help.
    HeldBack(String),
    /// Nothing, or a word that is not known.
    Untold(Option<String>),
}

/// Words for an end that the model made.
const STOP: [&str; 22] = [
    "stop",
    "stopped",
    "stop_sequence",
    "stop_string",
    "stop_string_found",
    "stop_word",
    "stop_words",
    "stop_token",
    "eos",
    "eos_token",
    "eos_found",
    "end",
    "end_turn",
    "end_of_turn",
    "end_of_text",
    "end_of_sequence",
    "complete",
    "completed",
    "done",
    "finished",
    "normal",
    "success",
];

/// Words for a message that calls tools; where it has text only, that is whole.
const TOOLS: [&str; 4] = ["tool_calls", "tool_call", "tool_use", "function_call"];

/// Parts of words for a completion that was given up.
const GIVEN_UP: [&str; 13] = [
    "error",
    "abort",
    "cancel",
    "timeout",
    "time_out",
    "time_limit",
    "rate_limit",
    "fail",
    "preempt",
    "interrupt",
    "disconnect",
    "insufficient",
    "unload",
];

/// Parts of words for a text that a filter did not let through.
const HELD_BACK: [&str; 13] = [
    "filter",
    "safety",
    "recitation",
    "blocklist",
    "blocked",
    "prohibited",
    "spii",
    "sensitive",
    "refusal",
    "guardrail",
    "moderation",
    "toxic",
    "malformed",
];

/// Parts of words for a limit of tokens.
const LENGTH: [&str; 7] = [
    "length",
    "limit",
    "max",
    "context",
    "truncat",
    "incomplete",
    "repetition",
];

/// Reads a finish reason: a word in any spelling, or an object with one in `type`.
pub(crate) fn read(told: Option<&Value>) -> Reason {
    let word = match told {
        Some(Value::Object(object)) => object.get("type").and_then(Value::as_str),
        Some(value) => value.as_str(),
        None => None,
    };
    let Some(word) = word else {
        return Reason::Untold(told.filter(|told| !told.is_null()).map(Value::to_string));
    };
    let plain = snake_case(word);
    let plain = plain.strip_prefix("finish_reason_").unwrap_or(&plain);
    let has = |parts: &[&str]| parts.iter().any(|part| plain.contains(part));
    if STOP.contains(&plain) || TOOLS.contains(&plain) {
        Reason::Finish(Finish::Stop)
    } else if has(&HELD_BACK) {
        Reason::HeldBack(word.to_owned())
    } else if plain == "error_limit" {
        // Cohere's word for a context that is full.
        Reason::Finish(Finish::Length)
    } else if has(&GIVEN_UP) {
        Reason::GivenUp(word.to_owned())
    } else if has(&LENGTH) {
        Reason::Finish(Finish::Length)
    } else {
        Reason::Untold(Some(word.to_owned()))
    }
}

/// `maxTokens`, `MAX_TOKENS` and `max-tokens` as `max_tokens`.
fn snake_case(word: &str) -> String {
    let mut plain = String::new();
    let mut before = '_';
    for c in word.trim().chars() {
        if c.is_uppercase() && before.is_lowercase() {
            plain.push('_');
        }
        match c {
            '-' | ' ' | '.' => plain.push('_'),
            c => plain.extend(c.to_lowercase()),
        }
        before = c;
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_words_of_all_servers_are_understood() {
        let stop = "stop eos eos_token EOS_TOKEN end_turn stop_sequence STOP COMPLETE complete \
                    eosFound stopStringFound tool_calls FINISH_REASON_STOP";
        let length = "length max_tokens MAX_TOKENS maxTokens model_length max_length token_limit \
                      TOKEN_LIMIT model_context_window_exceeded contextLengthReached \
                      maxPredictedTokensReached max_output_tokens ERROR_LIMIT repetition";
        let given_up = "timeout TIMEOUT time_limit abort aborted cancelled canceled USER_CANCEL \
                        error ERROR network_error insufficient_system_resource failed preempted";
        let held_back = "content_filter SAFETY RECITATION refusal sensitive content-filter \
                         guardrail_intervened ERROR_TOXIC PROHIBITED_CONTENT";
        for word in stop.split_whitespace() {
            let reason = read(Some(&json!(word)));
            assert_eq!(reason, Reason::Finish(Finish::Stop), "{word}");
        }
        for word in length.split_whitespace() {
            let reason = read(Some(&json!(word)));
            assert_eq!(reason, Reason::Finish(Finish::Length), "{word}");
        }
        for word in given_up.split_whitespace() {
            let reason = read(Some(&json!(word)));
            assert_eq!(reason, Reason::GivenUp(word.into()));
        }
        for word in held_back.split_whitespace() {
            let reason = read(Some(&json!(word)));
            assert_eq!(reason, Reason::HeldBack(word.into()));
        }
    }

    #[test]
    fn an_object_tells_its_type_and_what_is_unknown_stays_so() {
        let length = json!({"type": "length", "length": 5});
        assert_eq!(read(Some(&length)), Reason::Finish(Finish::Length));
        assert_eq!(read(None), Reason::Untold(None));
        assert_eq!(read(Some(&Value::Null)), Reason::Untold(None));
        for unknown in [json!("null"), json!("magic"), json!("")] {
            let word = unknown.as_str().map(str::to_owned);
            assert_eq!(read(Some(&unknown)), Reason::Untold(word));
        }
        assert_eq!(read(Some(&json!(3))), Reason::Untold(Some("3".into())));
    }
}
