//! The answer: what a server sends back, as a completion.
//!
//! Servers agree on the text and differ in the rest. Log-probabilities come in
//! the chat form (`logprobs.content[].logprob`) or the older form
//! (`logprobs.token_logprobs`); token ids in one of several places or not at
//! all. A server that streams although it was asked not to is read as well.

use iwsft_lm::{Completion, Finish};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::events;
use crate::finish::{self, Reason};
use crate::http::{Failure, Reply};
use crate::lenient;
use crate::log_probs;
use crate::notice::Notice;
use crate::secrets::Secrets;
use crate::words::{quoted, spoken, status_inside, words};

/// Characters of a body that is no answer that a message repeats.
const BEGINNING: usize = 60;

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// What the assistant's message began with in the request.
    pub(crate) prefix: &'a str,
    pub(crate) max_tokens: usize,
    pub(crate) secrets: &'a Secrets,
}

/// A completion, what the server says that it cost, and what is odd about it.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) completion: Completion,
    /// Tokens of prompt and completion, if the server tells.
    pub(crate) used: Option<u64>,
    pub(crate) notices: Vec<Notice>,
}

#[derive(Deserialize)]
struct Body {
    choices: Option<Vec<Choice>>,
    usage: Option<Value>,
    error: Option<Value>,
    /// Log-probabilities or token ids were there and could not be read.
    #[serde(skip)]
    is_stripped: bool,
}

/// One choice, or all pieces of a streamed one together.
#[derive(Deserialize, Default)]
struct Choice {
    index: Option<Value>,
    text: Option<String>,
    message: Option<Message>,
    /// What a stream has in its place.
    delta: Option<Message>,
    finish_reason: Option<Value>,
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
    /// What the model says in the place of content when it will not answer.
    refusal: Option<String>,
    tool_calls: Option<Vec<IgnoredAny>>,
}

#[derive(Deserialize, Default)]
struct LogProbs {
    content: Option<Vec<TokenLogProb>>,
    token_logprobs: Option<Vec<Option<f64>>>,
    tokens: Option<Vec<IgnoredAny>>,
}

#[derive(Deserialize)]
struct TokenLogProb {
    token: Option<String>,
    logprob: Option<f64>,
    /// llama.cpp.
    id: Option<u32>,
}

/// Reads an answer with status 200.
pub(crate) fn read(asked: &Asked<'_>, reply: &Reply) -> Result<Answer, Failure> {
    let text = String::from_utf8_lossy(&reply.body);
    let text = text.trim_start_matches('\u{feff}').trim();
    let (choice, body) = match events::is_stream(text, &reply.content_type) {
        true => read_stream(asked, text)?,
        false => {
            let mut body = parse(asked, text)?;
            let choice = body.take_choice();
            (choice.ok_or_else(|| no_choice(asked, text))?, body)
        }
    };
    let usage = body.usage.unwrap_or_default();
    let number = |key: &str| usage.get(key).and_then(lenient::whole_number);
    let (count, used) = (number("completion_tokens"), number("total_tokens"));
    let mut notices = Vec::new();
    let echoes = choice.echoes(asked.prefix);
    let reason = finish::read(choice.finish_reason.as_ref());
    let told = choice.told(count, &mut notices);
    if body.is_stripped {
        notices.push(Notice::LogProbs("they are in no form that is known".into()));
    }
    let count = count.unwrap_or(told.count);
    let finish = ending(reason, count, asked.max_tokens, &mut notices)?;
    let mut text = choice.into_text()?;
    if let Some(rest) = text.strip_prefix(asked.prefix).filter(|_| echoes) {
        text = rest.into();
    }
    let mut completion = Completion {
        text,
        tokens: told.tokens,
        log_probs: told.log_probs,
        finish,
    };
    if let Some(reason) = keep_whole(&mut completion, count) {
        notices.push(Notice::LogProbs(reason));
    }
    Ok(Answer {
        completion,
        used: used.map(|used| used as u64),
        notices,
    })
}

/// Why the completion ended, if it is one. `count` is the number of its tokens, 0
/// where that is not known.
fn ending(
    reason: Reason,
    count: usize,
    max_tokens: usize,
    notices: &mut Vec<Notice>,
) -> Result<Finish, Failure> {
    match reason {
        Reason::Finish(finish) => Ok(finish),
        Reason::GivenUp(word) => Err(Failure::passing(format!(
            "the server gave up this completion (finish reason {word:?})"
        ))),
        Reason::HeldBack(word) => Err(Failure::hopeless(format!(
            "the server held this completion back for what it says (finish reason {word:?})"
        ))),
        Reason::Untold(_) if count >= max_tokens => Ok(Finish::Length),
        Reason::Untold(word) => {
            notices.push(Notice::Untold {
                word,
                is_counted: count > 0,
            });
            Ok(Finish::Stop)
        }
    }
}

/// Reads JSON, also where a program wrote it that keeps less strictly to its rules.
fn parse(asked: &Asked<'_>, json: &str) -> Result<Body, Failure> {
    let error = match serde_json::from_str::<Body>(json) {
        Ok(body) => return checked(asked, body, json),
        Err(error) => error,
    };
    if error.is_eof() {
        // The connection ended before the answer did.
        return Err(Failure::passing("the answer was cut off"));
    }
    let value = match lenient::read(json) {
        Ok(value) => value,
        Err(error) if error.is_eof() => return Err(Failure::passing("the answer was cut off")),
        Err(_) if json.starts_with('<') => {
            let page = words(json.as_bytes(), asked.secrets);
            return Err(unreadable(asked, json, &format!("it is {}", quoted(&page))));
        }
        Err(_) => return Err(unreadable(asked, json, &error.to_string())),
    };
    if let Ok(body) = Body::deserialize(&value) {
        return checked(asked, body, json);
    }
    let mut body = Body::deserialize(&lenient::without_log_probs(value))
        .map_err(|error| unreadable(asked, json, &error.to_string()))?;
    body.is_stripped = true;
    checked(asked, body, json)
}

/// Some servers and proxies say 200 and put the error inside, also beside the text
/// that was there before it.
fn checked(asked: &Asked<'_>, body: Body, json: &str) -> Result<Body, Failure> {
    let is_whole = |choice: &Choice| {
        let reason = finish::read(choice.finish_reason.as_ref());
        matches!(reason, Reason::Finish(_))
    };
    let answers = body.choices.iter().flatten().next().is_some_and(is_whole);
    match &body.error {
        Some(error) if !answers && !error.is_null() => Err(error_inside(asked, json)),
        _ => Ok(body),
    }
}

fn error_inside(asked: &Asked<'_>, json: &str) -> Failure {
    let value = lenient::read(json).unwrap_or_default();
    let words = spoken(&value).unwrap_or_else(|| json.trim().to_owned());
    Failure::inside(status_inside(&value), asked.secrets.hide(&words))
}

/// What becomes of a body without an answer.
fn no_choice(asked: &Asked<'_>, json: &str) -> Failure {
    let value = lenient::read(json).unwrap_or_default();
    // FastChat.
    if value["object"] == "error" {
        return error_inside(asked, json);
    }
    match spoken(&value) {
        Some(words) => Failure::hopeless(format!(
            "it has no choices. The server says: {}",
            quoted(&asked.secrets.hide(&words))
        )),
        None => unreadable(asked, json, "it has no choices"),
    }
}

fn unreadable(asked: &Asked<'_>, body: &str, what: &str) -> Failure {
    let begin: String = asked.secrets.hide(body).chars().take(BEGINNING).collect();
    Failure::unusable(format!(
        "{what}. It begins with {begin:?}. Check the address, which mostly ends in /v1"
    ))
}

/// A stream of pieces, put together.
fn read_stream(asked: &Asked<'_>, text: &str) -> Result<(Choice, Body), Failure> {
    let stream = events::read(text);
    let mut whole: Option<Choice> = None;
    let mut all = Body {
        choices: None,
        usage: None,
        error: None,
        is_stripped: false,
    };
    for event in &stream.events {
        // What is no object is there to keep the connection alive.
        for data in lenient::objects(&event.data) {
            if event.name == "error" {
                return Err(error_inside(asked, data));
            }
            let mut body = parse(asked, data)?;
            all.is_stripped |= body.is_stripped;
            if let Some(piece) = body.take_choice() {
                whole.get_or_insert_default().append(piece);
            } else if let Ok(value) = lenient::read(data)
                && value["object"] == "error"
            {
                return Err(error_inside(asked, data));
            }
            all.usage = body.usage.filter(|usage| !usage.is_null()).or(all.usage);
        }
    }
    match whole {
        Some(whole) if stream.is_done || whole.finish_reason.is_some() => Ok((whole, all)),
        None if stream.is_done => Err(unreadable(asked, text, "it is a stream without choices")),
        _ => Err(Failure::passing("the stream was cut off")),
    }
}

impl Body {
    /// The first choice; others were not asked for.
    fn take_choice(&mut self) -> Option<Choice> {
        let is_first = |choice: &Choice| match &choice.index {
            Some(index) => lenient::whole_number(index).is_none_or(|index| index == 0),
            None => true,
        };
        self.choices.take()?.into_iter().find(is_first)
    }
}

/// Tokens and log-probabilities that an answer tells; none where it does not.
struct Told {
    tokens: Vec<u32>,
    log_probs: Vec<f32>,
    /// Of tokens, of which it tells at least something.
    count: usize,
}

impl Choice {
    /// Adds the next piece of a stream.
    fn append(&mut self, piece: Self) {
        append_text(&mut self.text, piece.text);
        if let Some(piece) = Message::of(piece.message, piece.delta) {
            let message = self.message.get_or_insert_default();
            let content = piece.content.as_ref().map(content_text);
            let mut whole = message.content.as_ref().map(content_text);
            append_text(&mut whole, content);
            message.content = whole.map(Value::String);
            append_text(&mut message.reasoning_content, piece.reasoning_content);
            append_text(&mut message.reasoning, piece.reasoning);
            append_text(&mut message.refusal, piece.refusal);
            append_list(&mut message.tool_calls, piece.tool_calls);
        }
        if let Some(piece) = piece.logprobs {
            let log_probs = self.logprobs.get_or_insert_default();
            append_list(&mut log_probs.content, piece.content);
            append_list(&mut log_probs.token_logprobs, piece.token_logprobs);
            append_list(&mut log_probs.tokens, piece.tokens);
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

    /// Tokens and log-probabilities, each if all are told, and both only if they
    /// can be of the same tokens. `count` is how many the server says there are.
    fn told(&self, count: Option<usize>, notices: &mut Vec<Notice>) -> Told {
        let none = LogProbs::default();
        let logprobs = self.logprobs.as_ref().unwrap_or(&none);
        let (mut tokens, told): (Vec<u32>, Vec<Option<f64>>) =
            match (&logprobs.content, &logprobs.token_logprobs) {
                (Some(content), _) => (
                    content.iter().map_while(|token| token.id).collect(),
                    content.iter().map(|token| token.logprob).collect(),
                ),
                (None, Some(log_probs)) => (Vec::new(), log_probs.clone()),
                (None, None) => (Vec::new(), Vec::new()),
            };
        if tokens.len() != told.len() {
            tokens.clear();
        }
        if let Some(ids) = &self.token_ids {
            tokens.clone_from(ids);
        }
        let named = logprobs.tokens.as_ref().map_or(told.len(), Vec::len);
        let (told_count, token_count) = (told.len(), tokens.len());
        let mut log_probs = log_probs::checked(&told).unwrap_or_else(|reason| {
            notices.push(Notice::LogProbs(reason));
            Vec::new()
        });
        if told_count > 0 && (named != told_count || ![0, told_count].contains(&token_count)) {
            let other = if named == told_count {
                token_count
            } else {
                named
            };
            log_probs.clear();
            // The server's count may say that the tokens are right.
            if count != Some(token_count) {
                tokens.clear();
            }
            notices.push(Notice::LogProbs(format!(
                "there are {told_count} of them and {other} tokens"
            )));
        }
        Told {
            tokens,
            log_probs,
            count: token_count.max(told_count),
        }
    }

    /// What the model wrote.
    fn into_text(self) -> Result<String, Failure> {
        match (self.text, Message::of(self.message, self.delta)) {
            (Some(text), _) => Ok(text),
            (None, Some(message)) => message.into_text(),
            (None, None) => Err(Failure::unusable("its choice has neither text nor message")),
        }
    }
}

/// Keeps tokens and log-probabilities only if they are of the whole completion of
/// `count` tokens, and says why where they are not. llama.cpp leaves out tokens
/// that are no whole characters. Others leave out the end token: the
/// log-probabilities are of use without it, the tokens are not.
fn keep_whole(completion: &mut Completion, count: usize) -> Option<String> {
    let told = completion.tokens.len().max(completion.log_probs.len());
    if told == count || told == 0 {
        return None;
    }
    completion.tokens.clear();
    if completion.finish == Finish::Stop && completion.log_probs.len() + 1 == count {
        return None;
    }
    completion.log_probs.clear();
    Some(format!("they are of {told} tokens, and it has {count}"))
}

impl Message {
    /// The message of an answer, or the piece of it.
    fn of(message: Option<Self>, delta: Option<Self>) -> Option<Self> {
        let is_empty = |message: &Self| {
            let Self {
                content,
                reasoning_content,
                reasoning,
                refusal,
                tool_calls,
            } = message;
            content.is_none()
                && reasoning_content.is_none()
                && reasoning.is_none()
                && refusal.is_none()
                && tool_calls.is_none()
        };
        match (message, delta) {
            (Some(message), Some(delta)) if is_empty(&message) => Some(delta),
            (message, delta) => message.or(delta),
        }
    }

    /// What the model wrote: reasoning that the server took out goes back before
    /// the answer. The white space around the tags is what Qwen's and DeepSeek's
    /// models write, where the server did not keep it.
    fn into_text(self) -> Result<String, Failure> {
        let content = self.content.as_ref().map(content_text);
        let content = content.or(self.refusal).unwrap_or_default();
        if self.tool_calls.is_some_and(|calls| !calls.is_empty()) {
            return Err(Failure::hopeless(
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

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
