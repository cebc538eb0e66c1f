//! The answer: what a server sends back, as a completion.
//!
//! Servers agree on the text and differ in the rest. Log-probabilities come in
//! the chat form (`logprobs.content[].logprob`) or the older form
//! (`logprobs.token_logprobs`); token ids in one of several places or not at
//! all. A server that streams although it was asked not to is read as well.

use iwsft_lm::{Completion, Finish};
use serde::Deserialize;
use serde_json::Value;

use crate::error::EndpointError;
use crate::http::{Failure, spoken};

/// A completion, and what the server says that it cost.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) completion: Completion,
    /// Tokens of prompt and completion, if the server tells.
    pub(crate) used: Option<u64>,
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Usage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Usage {
    total_tokens: Option<u64>,
    completion_tokens: Option<usize>,
}

/// One choice, or all pieces of a streamed one together.
#[derive(Deserialize, Default)]
struct Choice {
    text: Option<String>,
    #[serde(alias = "delta")]
    message: Option<Message>,
    finish_reason: Option<String>,
    logprobs: Option<LogProbs>,
    /// vLLM.
    token_ids: Option<Vec<u32>>,
}

#[derive(Deserialize, Default)]
struct Message {
    content: Option<Value>,
    /// What a server's reasoning parser took out of the content. Later vLLM
    /// says `reasoning`, and for a while it said both.
    reasoning_content: Option<String>,
    reasoning: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<Value>>,
}

#[derive(Deserialize, Default)]
struct LogProbs {
    content: Option<Vec<TokenLogProb>>,
    token_logprobs: Option<Vec<Option<f32>>>,
}

#[derive(Deserialize)]
struct TokenLogProb {
    token: Option<String>,
    logprob: Option<f32>,
    /// llama.cpp.
    id: Option<u32>,
}

/// Reads the body of an answer with status 200. `prefix` is what the assistant's
/// message began with in the request.
pub(crate) fn read(url: &str, body: &[u8], prefix: &str) -> Result<Answer, Failure> {
    let text = String::from_utf8_lossy(body);
    let streamed =
        text.trim_start().starts_with("data:") || text.trim_start().starts_with("event:");
    let (choice, usage) = if streamed {
        read_stream(url, &text)?
    } else {
        let mut body = parse(url, text.trim())?;
        match body.choices.is_empty() {
            true => return Err(unusable(url, "it has no choices")),
            false => (body.choices.swap_remove(0), body.usage),
        }
    };
    let echoes = choice.echoes(prefix);
    let mut completion = choice.into_completion(url)?;
    if let Some(rest) = completion.text.strip_prefix(prefix).filter(|_| echoes) {
        completion.text = rest.into();
    }
    if let Some(count) = usage.as_ref().and_then(|usage| usage.completion_tokens) {
        check_count(&mut completion, count);
    }
    let used = usage.and_then(|usage| usage.total_tokens);
    Ok(Answer { completion, used })
}

fn parse(url: &str, json: &str) -> Result<Body, Failure> {
    let body: Body = serde_json::from_str(json).map_err(|error| {
        if error.is_eof() {
            // The connection ended before the answer did.
            return Failure::passing("the answer was cut off");
        }
        let begin: String = json.chars().take(60).collect();
        unusable(
            url,
            &format!(
                "{error}. It begins with {begin:?}. Check the address, which mostly ends in /v1"
            ),
        )
    })?;
    match &body.error {
        // Some servers and proxies say 200 and put the error inside.
        Some(error) if body.choices.is_empty() && !error.is_null() => Err(Failure::passing(
            format!("the server answered: {}", spoken(error)),
        )),
        _ => Ok(body),
    }
}

/// Keeps tokens and log-probabilities only if they are of the whole completion of
/// `count` tokens. llama.cpp leaves out tokens that are no whole characters.
/// Others leave out the end token: the log-probabilities are of use without it,
/// the tokens are not.
fn check_count(completion: &mut Completion, count: usize) {
    let told = completion.tokens.len().max(completion.log_probs.len());
    if told == count {
        return;
    }
    completion.tokens.clear();
    if completion.finish != Finish::Stop || completion.log_probs.len() + 1 != count {
        completion.log_probs.clear();
    }
}

/// Server-sent events: lines `data: {...}`, the last one `data: [DONE]`.
fn read_stream(url: &str, text: &str) -> Result<(Choice, Option<Usage>), Failure> {
    let (mut whole, mut usage, mut done) = (Choice::default(), None, false);
    for line in text.lines() {
        let Some(data) = line.strip_prefix("data:").map(str::trim) else {
            continue;
        };
        if data == "[DONE]" {
            done = true;
            break;
        }
        let body = parse(url, data)?;
        usage = body.usage.or(usage);
        if let Some(piece) = body.choices.into_iter().next() {
            whole.append(piece);
        }
    }
    if !done && whole.finish_reason.is_none() {
        return Err(Failure::passing("the stream was cut off"));
    }
    Ok((whole, usage))
}

impl Choice {
    /// Adds the next piece of a stream.
    fn append(&mut self, piece: Self) {
        append_text(&mut self.text, piece.text);
        if let Some(piece) = piece.message {
            let message = self.message.get_or_insert_default();
            let content = piece.content.as_ref().map(content_text);
            let mut whole = message.content.as_ref().map(content_text);
            append_text(&mut whole, content);
            message.content = whole.map(Value::String);
            append_text(&mut message.reasoning_content, piece.reasoning_content);
            append_text(&mut message.reasoning, piece.reasoning);
            append_list(&mut message.tool_calls, piece.tool_calls);
        }
        if let Some(piece) = piece.logprobs {
            let log_probs = self.logprobs.get_or_insert_default();
            append_list(&mut log_probs.content, piece.content);
            append_list(&mut log_probs.token_logprobs, piece.token_logprobs);
        }
        append_list(&mut self.token_ids, piece.token_ids);
        self.finish_reason = piece.finish_reason.or(self.finish_reason.take());
    }

    /// Whether the text begins with what was given, as llama.cpp's does with some
    /// templates: it does, and what the model wrote by itself does not.
    fn echoes(&self, prefix: &str) -> bool {
        let Some(tokens) = self
            .logprobs
            .as_ref()
            .and_then(|told| told.content.as_ref())
        else {
            return false;
        };
        let written: String = tokens
            .iter()
            .filter_map(|told| told.token.as_deref())
            .collect();
        !prefix.is_empty() && !written.starts_with(prefix)
    }

    fn into_completion(self, url: &str) -> Result<Completion, Failure> {
        let finish = match self.finish_reason.as_deref() {
            Some("length") => Finish::Length,
            // Cut off by the service; the model was not at its end.
            Some("content_filter") => Finish::Length,
            Some("abort" | "error") => {
                return Err(Failure::passing("the server gave up this completion"));
            }
            _ => Finish::Stop,
        };
        let text = match (self.text, self.message) {
            (Some(text), _) => text,
            (None, Some(message)) => message.into_text(url)?,
            (None, None) => return Err(unusable(url, "its choice has neither text nor message")),
        };
        let (mut tokens, log_probs) = self.logprobs.map_or_else(Default::default, LogProbs::read);
        tokens = self.token_ids.unwrap_or(tokens);
        if !log_probs.is_empty() && tokens.len() != log_probs.len() {
            // They do not describe the same tokens.
            tokens.clear();
        }
        Ok(Completion {
            text,
            tokens,
            log_probs,
            finish,
        })
    }
}

impl Message {
    /// What the model wrote: reasoning that the server took out goes back before
    /// the answer. The white space around the tags is what Qwen's and DeepSeek's
    /// models write, where the server did not keep it.
    fn into_text(self, url: &str) -> Result<String, Failure> {
        let content = self.content.as_ref().map(content_text).unwrap_or_default();
        let called = self.tool_calls.is_some_and(|calls| !calls.is_empty());
        if called {
            return Err(unusable(
                url,
                "the server made tool calls of the model's text; start it without a tool parser",
            ));
        }
        let reasoning = self.reasoning_content.or(self.reasoning);
        let Some(reasoning) = reasoning.filter(|text| !text.is_empty()) else {
            return Ok(content);
        };
        let before = ["\n", ""][usize::from(reasoning.starts_with('\n'))];
        let after = ["\n", ""][usize::from(reasoning.ends_with('\n'))];
        let between = ["\n\n", ""][usize::from(content.is_empty() || content.starts_with('\n'))];
        Ok(format!(
            "<think>{before}{reasoning}{after}</think>{between}{content}"
        ))
    }
}

impl LogProbs {
    /// Tokens, if told here, and their log-probabilities, if all of them are.
    fn read(self) -> (Vec<u32>, Vec<f32>) {
        let (tokens, log_probs): (Option<Vec<_>>, Option<Vec<_>>) =
            match (self.content, self.token_logprobs) {
                (Some(content), _) => (
                    content.iter().map(|token| token.id).collect(),
                    content.iter().map(|token| token.logprob).collect(),
                ),
                (None, Some(log_probs)) => (None, log_probs.into_iter().collect()),
                (None, None) => (None, None),
            };
        (tokens.unwrap_or_default(), log_probs.unwrap_or_default())
    }
}

/// Content is a text, or a list of parts with texts.
fn content_text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => String::new(),
    }
}

fn append_text(whole: &mut Option<String>, piece: Option<String>) {
    if let Some(piece) = piece {
        whole.get_or_insert_default().push_str(&piece);
    }
}

fn append_list<T>(whole: &mut Option<Vec<T>>, piece: Option<Vec<T>>) {
    if let Some(piece) = piece {
        whole.get_or_insert_default().extend(piece);
    }
}

fn unusable(url: &str, reason: &str) -> Failure {
    Failure::Lasting(EndpointError::Answer {
        url: url.into(),
        reason: reason.into(),
    })
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
