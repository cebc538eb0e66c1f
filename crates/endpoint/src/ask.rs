//! The question: a completion as a request body.
//!
//! Servers differ in what they take. What is not in the protocol's core is left
//! out once a server has refused it, for all requests that follow.

use std::sync::atomic::{AtomicU32, Ordering};

use iwsft_lm::Sampling;
use serde_json::{Map, Value, json};

use crate::query::{Prompt, Query, seed};

/// What a server may refuse without changing what is asked for. Those of sampling
/// are sent even where they say "nothing": servers have defaults of their own,
/// from the model's `generation_config.json` (vLLM, SGLang) or built in
/// (llama.cpp draws from the likeliest 40), which would truncate in silence.
const OPTIONAL: [&str; 10] = [
    "logprobs",
    "return_token_ids",
    "seed",
    "top_k",
    "min_p",
    "repetition_penalty",
    "top_p",
    "temperature",
    "n",
    "stream",
];

/// What a server says of a field that it does not know, where its status does not
/// tell that the request is at fault.
const UNKNOWN: [&str; 6] = [
    "unexpected keyword",
    "unrecognized",
    "unsupported",
    "not supported",
    "unknown",
    "not permitted",
];

/// Refused by OpenAI's newer models, which want `max_completion_tokens`.
const MAX_TOKENS: &str = "max_tokens";

/// What this server does not take, as far as it is known.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    refused: AtomicU32,
}

impl Fields {
    /// The body of a request, and the path below the endpoint that it goes to.
    pub(crate) fn body(
        &self,
        model: &str,
        query: &Query,
        sampling: &Sampling,
    ) -> (&'static str, Map<String, Value>) {
        let mut body = Map::new();
        let mut set = |key: &str, value: Value| body.insert(key.into(), value);
        set("model", json!(model));
        let (path, max_tokens) = match &query.prompt {
            Prompt::Text(text) => {
                set("prompt", json!(format!("{text}{}", query.prefix)));
                // A number of alternatives; some servers read 0 as "none at all".
                set("logprobs", json!(1));
                ("completions", MAX_TOKENS)
            }
            Prompt::Messages(messages) => {
                let mut messages = messages.clone();
                if !query.prefix.is_empty() {
                    messages.push(json!({"role": "assistant", "content": query.prefix}));
                    set("continue_final_message", json!(true));
                    set("add_generation_prompt", json!(false));
                }
                set("messages", Value::Array(messages));
                set("logprobs", json!(true));
                set("top_logprobs", json!(1));
                let renamed = self.has_refused(MAX_TOKENS);
                let name = ["max_tokens", "max_completion_tokens"][usize::from(renamed)];
                ("chat/completions", name)
            }
        };
        set(max_tokens, json!(sampling.max_tokens));
        set("n", json!(1));
        set("stream", json!(false));
        set("temperature", json!(sampling.temperature));
        set("top_p", json!(sampling.top_p));
        set("seed", json!(seed(sampling.seed, query)));
        set("return_token_ids", json!(true));
        set("top_k", sampling.top_k.map_or(json!(-1), |k| json!(k)));
        set("min_p", json!(sampling.min_p));
        set("repetition_penalty", json!(1.0));
        if !sampling.stop.is_empty() {
            set("stop", json!(sampling.stop));
        }
        if !sampling.stop_tokens.is_empty() {
            set("stop_token_ids", json!(sampling.stop_tokens));
        }
        for field in OPTIONAL {
            if self.has_refused(field) && !is_asked_for(field, sampling) {
                body.remove(field);
                if field == "logprobs" {
                    body.remove("top_logprobs");
                }
            }
        }
        (path, body)
    }

    /// Reads a refusal of `sent`. Whether it is worth asking again without what
    /// the server complained about, and those of it that are news.
    pub(crate) fn learn(
        &self,
        status: u16,
        message: &str,
        sent: &Map<String, Value>,
        sampling: &Sampling,
    ) -> (bool, Vec<&'static str>) {
        let message = &spelled_alike(message);
        let is_unknown = || UNKNOWN.iter().any(|words| message.contains(words));
        if ![400, 422].contains(&status) && !is_unknown() {
            return (false, Vec::new());
        }
        let named = |field: &&str| {
            sent.contains_key(*field) && !is_asked_for(field, sampling) && mentions(message, field)
        };
        let mut fields: Vec<&'static str> =
            OPTIONAL.into_iter().filter(|field| named(field)).collect();
        if sent.contains_key("logprobs") && mentions(message, "top_logprobs") {
            fields.push("logprobs");
        }
        if sent.contains_key(MAX_TOKENS)
            && sent.contains_key("messages")
            && message.contains("unsupported")
            && mentions(message, "max_completion_tokens")
        {
            fields.push(MAX_TOKENS);
        }
        let again = !fields.is_empty();
        fields.retain(|field| {
            let bit = bit(field);
            self.refused.fetch_or(bit, Ordering::Relaxed) & bit == 0
        });
        (again, fields)
    }

    pub(crate) fn has_refused(&self, field: &str) -> bool {
        self.refused.load(Ordering::Relaxed) & bit(field) != 0
    }
}

fn bit(field: &str) -> u32 {
    let position = OPTIONAL.iter().position(|known| *known == field);
    1 << position.unwrap_or(OPTIONAL.len())
}

/// Whether the user wants what the field says, so that it cannot be left out.
fn is_asked_for(field: &str, sampling: &Sampling) -> bool {
    match field {
        "top_k" => sampling.top_k.is_some(),
        "min_p" => sampling.min_p > 0.0,
        "top_p" => sampling.top_p < 1.0,
        "temperature" => sampling.temperature != 1.0,
        _ => false,
    }
}

/// A message in small letters, with `topK` as `top_k`.
fn spelled_alike(message: &str) -> String {
    let mut alike = String::with_capacity(message.len());
    let mut before = ' ';
    for c in message.chars() {
        if c.is_uppercase() && before.is_lowercase() {
            alike.push('_');
        }
        alike.extend(c.to_lowercase());
        before = c;
    }
    alike
}

/// Whether `message` has `field` as a word of its own. A single letter is one only
/// where it is quoted, behind a dot, or the last word.
fn mentions(message: &str, field: &str) -> bool {
    message.match_indices(field).any(|(start, _)| {
        let is_outside = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
        let before = message[..start].chars().next_back();
        let after = message[start + field.len()..].chars().next();
        let is_name = field.len() > 1
            || before.is_some_and(|c| "'\"`.".contains(c))
            || before == Some(' ') && after.is_none();
        is_name && is_outside(before) && is_outside(after)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(prefix: &str) -> Query {
        Query {
            prompt: Prompt::Text("2 + 2 =".into()),
            prefix: prefix.into(),
            draw: 3,
        }
    }

    fn chat(prefix: &str) -> Query {
        Query {
            prompt: Prompt::Messages(vec![json!({"role": "user", "content": "2 + 2?"})]),
            ..text(prefix)
        }
    }

    #[test]
    fn a_text_is_continued_and_a_conversation_answered() {
        let sampling = Sampling {
            max_tokens: 9,
            stop: vec!["\n".into()],
            ..Sampling::default()
        };
        let fields = Fields::default();
        let (path, body) = fields.body("m", &text(" 4"), &sampling);
        assert_eq!(path, "completions");
        assert_eq!(body["prompt"], "2 + 2 = 4");
        assert_eq!(body["stop"], json!(["\n"]));
        assert_eq!(body["max_tokens"], 9);
        assert_eq!(body["stream"], false);

        let (path, body) = fields.body("m", &chat(""), &sampling);
        assert_eq!(path, "chat/completions");
        assert_eq!(body["messages"].as_array().unwrap().len(), 1);
        assert!(!body.contains_key("continue_final_message"));
        let (_, body) = fields.body("m", &chat("The"), &sampling);
        assert_eq!(
            body["messages"][1],
            json!({"role": "assistant", "content": "The"})
        );
        assert_eq!(body["continue_final_message"], true);
        assert_eq!(body["add_generation_prompt"], false);
    }

    #[test]
    fn servers_are_told_not_to_truncate_unless_asked() {
        let fields = Fields::default();
        let (_, body) = fields.body("m", &text(""), &Sampling::default());
        assert_eq!((&body["top_k"], &body["min_p"]), (&json!(-1), &json!(0.0)));
        let sampling = Sampling {
            top_k: Some(20),
            min_p: 0.1,
            ..Sampling::default()
        };
        let (_, body) = fields.body("m", &text(""), &sampling);
        assert_eq!((&body["top_k"], &body["min_p"]), (&json!(20), &json!(0.1)));
    }

    #[test]
    fn what_a_server_refuses_is_left_out_from_then_on() {
        let (fields, sampling) = (Fields::default(), Sampling::default());
        let (_, sent) = fields.body("m", &chat(""), &sampling);
        let refusal = "Unexpected fields in the request: {'top_k', 'min_p'}";
        assert_eq!(
            fields.learn(400, refusal, &sent, &sampling),
            (true, vec!["top_k", "min_p"])
        );
        // Another request that was on its way: no news, but asked again all the same.
        assert_eq!(fields.learn(400, refusal, &sent, &sampling), (true, vec![]));
        let (_, sent) = fields.body("m", &chat(""), &sampling);
        assert!(!sent.contains_key("top_k") && !sent.contains_key("min_p"));
        assert_eq!(
            fields.learn(400, refusal, &sent, &sampling),
            (false, vec![])
        );

        let refusal = "top_logprobs is not supported";
        assert_eq!(
            fields.learn(400, refusal, &sent, &sampling),
            (true, vec!["logprobs"])
        );
        let (_, sent) = fields.body("m", &chat(""), &sampling);
        assert!(!sent.contains_key("logprobs") && !sent.contains_key("top_logprobs"));
    }

    #[test]
    fn what_the_user_asked_for_is_not_left_out() {
        let fields = Fields::default();
        let sampling = Sampling {
            top_k: Some(5),
            ..Sampling::default()
        };
        let (_, sent) = fields.body("m", &chat(""), &sampling);
        let learned = fields.learn(400, "Unrecognized argument: top_k", &sent, &sampling);
        assert_eq!(learned, (false, vec![]));
    }

    #[test]
    fn what_is_neutral_is_left_out_and_what_was_set_is_not() {
        let refusals = [
            (
                "top_p",
                "Input validation error: `top_p` must be > 0.0 and < 1.0",
            ),
            ("top_p", "property 'topP' is unsupported"),
            ("temperature", "Unsupported parameter: 'temperature'"),
            ("n", "body.n: Extra inputs are not permitted"),
            ("n", "Unrecognized request argument supplied: n"),
            ("stream", "unknown field `stream`"),
            ("repetition_penalty", "unexpected field: repetition_penalty"),
        ];
        let set = Sampling {
            top_p: 0.9,
            temperature: 0.6,
            ..Sampling::default()
        };
        for (field, refusal) in refusals {
            let (fields, sampling) = (Fields::default(), Sampling::default());
            let (_, sent) = fields.body("m", &chat(""), &sampling);
            let learned = fields.learn(422, refusal, &sent, &sampling);
            assert_eq!(learned, (true, vec![field]), "{refusal}");
            let (_, sent) = fields.body("m", &chat(""), &sampling);
            assert!(!sent.contains_key(field), "{refusal}");
            // Without the user's setting it would be another request.
            let (_, sent) = fields.body("m", &chat(""), &set);
            let is_set = ["top_p", "temperature"].contains(&field);
            assert_eq!(sent.contains_key(field), is_set, "{refusal}");
        }
    }

    #[test]
    fn a_server_that_fails_at_a_field_is_asked_without_it_only_if_it_says_so() {
        let (fields, sampling) = (Fields::default(), Sampling::default());
        let (_, sent) = fields.body("m", &chat(""), &sampling);
        let learned = |words| fields.learn(500, words, &sent, &sampling);
        assert_eq!(learned("out of memory with top_k"), (false, vec![]));
        let error = "generate() got an unexpected keyword argument 'min_p'";
        assert_eq!(learned(error), (true, vec!["min_p"]));
    }

    #[test]
    fn max_tokens_gets_its_newer_name_only_where_the_older_is_unsupported() {
        let (fields, sampling) = (Fields::default(), Sampling::default());
        let (_, sent) = fields.body("m", &chat(""), &sampling);
        let long = "'max_tokens' or 'max_completion_tokens' is too large: 9000";
        assert_eq!(fields.learn(400, long, &sent, &sampling), (false, vec![]));
        let renamed = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.";
        assert_eq!(
            fields.learn(400, renamed, &sent, &sampling),
            (true, vec![MAX_TOKENS])
        );
        let (_, sent) = fields.body("m", &chat(""), &sampling);
        assert!(!sent.contains_key("max_tokens"));
        assert_eq!(sent["max_completion_tokens"], 256);
    }

    #[test]
    fn a_field_is_mentioned_only_as_a_word() {
        assert!(mentions("Extra inputs: ('body', 'seed')", "seed"));
        assert!(mentions("logprobs", "logprobs"));
        assert!(!mentions("top_logprobs", "logprobs"));
        assert!(!mentions("unseeded", "seed"));
        assert!(!mentions("one of n tokens", "n") && mentions("the 'n' is", "n"));
    }
}
