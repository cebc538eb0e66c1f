//! In which format a row has its text: one of the three usual ones, Alpaca's or
//! ShareGPT's.

use serde_json::{Map, Value};

use crate::DataError;
use crate::alpaca;
use crate::columns::{CONVERSATIONS, Columns, PREFERENCE};
use crate::message::{self, Message, Text, read_messages, read_text};
use crate::row::{Content, Location, look, names, take, wrong};

/// The format that a row was read from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Form {
    /// `messages`, `prompt` and `completion`, or `text`.
    #[default]
    Usual,
    /// Alpaca's: an instruction, perhaps with more to it.
    Alpaca {
        /// The column that stands below the instruction, where the row has one.
        input: Option<String>,
        /// Whether there are turns before it.
        history: bool,
    },
    /// ShareGPT's: messages with `from` and `value`.
    ShareGpt,
    /// Messages with `role` and `content` under ShareGPT's name.
    Conversation,
}

/// A row's text, and the format that it was in.
pub(crate) struct Found {
    pub(crate) content: Content,
    pub(crate) form: Form,
}

impl From<Content> for Found {
    fn from(content: Content) -> Self {
        let form = Form::Usual;
        Self { content, form }
    }
}

impl Found {
    /// Finds the row's text in the forms that `columns` name, or, where they name
    /// none, in the usual ones and then in those of other programs.
    pub(crate) fn in_row(
        at: &Location,
        object: &mut Map<String, Value>,
        columns: &Columns,
    ) -> Result<Self, DataError> {
        let is_there = |column| look(object, column).is_some();
        let is_pair = is_there(columns.prompt()) && is_there(columns.completion());
        if columns.names_a_form() || is_pair {
            return usual(at, object, columns);
        }
        if PREFERENCE.iter().all(|name| is_there(Some(name))) {
            return Err(DataError::Preference {
                at: at.clone(),
                remedy: name_the_better(object),
            });
        }
        if is_there(columns.messages()) {
            return usual(at, object, columns);
        }
        if let Some(answer) = alpaca::answer(object) {
            only_form(at, object, columns, alpaca::INSTRUCTION, answer)?;
            return read_alpaca(at, object, columns, answer);
        }
        let list = |name: &&str| matches!(object.get(*name), Some(Value::Array(_)));
        if columns.messages.is_none()
            && let Some(column) = CONVERSATIONS.into_iter().find(list)
        {
            only_form(at, object, columns, column, column)?;
            let value = object.shift_remove(column).unwrap_or_default();
            return conversation(at, column, value, Form::Conversation);
        }
        usual(at, object, columns)
    }
}

/// Refuses a row that has a text beside a form of another program, unless the text
/// is the same once more, written out: then it is taken out of the row.
fn only_form(
    at: &Location,
    object: &mut Map<String, Value>,
    columns: &Columns,
    first: &'static str,
    answer: &str,
) -> Result<(), DataError> {
    let answer = object
        .get(answer)
        .and_then(Value::as_str)
        .map(str::to_owned);
    let repeats = |text: &Value| match (text.as_str(), &answer) {
        (Some(text), Some(answer)) => text.contains(answer.trim()),
        _ => false,
    };
    if let Some((column, text)) = look(object, columns.text())
        && !repeats(text)
    {
        return Err(DataError::TwoForms {
            at: at.clone(),
            form: "text",
            first: column.to_owned(),
            second: first.to_owned(),
        });
    }
    for column in [columns.text(), columns.prompt()].into_iter().flatten() {
        if object.get(column).is_some_and(repeats) {
            object.shift_remove(column);
        }
    }
    Ok(())
}

fn read_alpaca(
    at: &Location,
    object: &mut Map<String, Value>,
    columns: &Columns,
    answer: &'static str,
) -> Result<Found, DataError> {
    let instruction = string(at, object, alpaca::INSTRUCTION)?;
    let answer = string(at, object, answer)?;
    let (question, input) = alpaca::question(at, instruction, object, columns)?;
    let mut messages = alpaca::history(at, object, columns)?;
    let form = Form::Alpaca {
        input,
        history: !messages.is_empty(),
    };
    messages.push(Message::new("user", &question));
    messages.push(Message::new("assistant", &answer));
    let content = Content::Messages(messages);
    Ok(Found { content, form })
}

/// A conversation, of ShareGPT's form or else of `form`.
fn conversation(at: &Location, column: &str, value: Value, form: Form) -> Result<Found, DataError> {
    let form = match message::is_share_gpt(&value) {
        true => Form::ShareGpt,
        false => form,
    };
    let content = Content::Messages(read_messages(at, column, value)?);
    Ok(Found { content, form })
}

fn string(
    at: &Location,
    object: &mut Map<String, Value>,
    column: &str,
) -> Result<String, DataError> {
    match object.shift_remove(column) {
        Some(Value::String(text)) => Ok(text),
        other => Err(wrong(at, column, &other.unwrap_or_default(), "a string")),
    }
}

/// Finds the row's text in one of the usual forms.
fn usual(
    at: &Location,
    object: &mut Map<String, Value>,
    columns: &Columns,
) -> Result<Found, DataError> {
    let filled = match &columns.template {
        Some(template) => Some(("template", Value::String(template.fill(at, object)?))),
        None => None,
    };
    let messages = take(object, columns.messages());
    let prompt = filled.or_else(|| take(object, columns.prompt()));
    let completion = take(object, columns.completion());
    let text = take(object, columns.text());

    let pair = match (&prompt, &completion) {
        (Some((column, _)), _) => Some(("prompt", *column)),
        (None, Some((column, _))) => Some(("completion", *column)),
        (None, None) => None,
    };
    let forms: Vec<(&'static str, &str)> = [
        messages.as_ref().map(|(column, _)| ("messages", *column)),
        pair,
        text.as_ref().map(|(column, _)| ("text", *column)),
    ]
    .into_iter()
    .flatten()
    .collect();
    if let [(form, first), (_, second), ..] = forms[..] {
        return Err(DataError::TwoForms {
            at: at.clone(),
            form,
            first: first.to_owned(),
            second: second.to_owned(),
        });
    }

    if let Some((column, value)) = messages {
        return conversation(at, column, value, Form::Usual);
    }
    if let Some((column, value)) = text {
        return match value {
            Value::String(text) => Ok(Content::Text(text).into()),
            other => Err(wrong(at, column, &other, "a string")),
        };
    }
    match (prompt, completion) {
        (Some(prompt), Some(completion)) => pair_of(at, object, columns, prompt, completion),
        (Some((found, _)), None) => {
            let answers = ("completion", &ANSWERS[..]);
            Err(half(at, object, found, answers, columns.completion()))
        }
        (None, Some((found, _))) => {
            let asks = ("prompt", &ASKS[..]);
            Err(half(at, object, found, asks, columns.prompt()))
        }
        (None, None) => Err(DataError::NoText {
            at: at.clone(),
            expected: columns.forms(),
            found: names(object),
            remedy: name_a_pair(object),
        }),
    }
}

fn pair_of(
    at: &Location,
    object: &mut Map<String, Value>,
    columns: &Columns,
    (prompt_column, prompt): (&str, Value),
    (column, completion): (&str, Value),
) -> Result<Found, DataError> {
    let prompt = read_text(at, prompt_column, prompt)?;
    // Both halves go through the template, or neither.
    let expected = match (&prompt, &completion) {
        (Text::Plain(_), Value::Array(_) | Value::Object(_)) => {
            Some("a string, as the prompt is one")
        }
        (Text::Messages(_), Value::String(_)) => Some("a list of messages, as the prompt is one"),
        _ => None,
    };
    if let Some(expected) = expected {
        return Err(wrong(at, column, &completion, expected));
    }
    let completion = read_text(at, column, completion)?;
    let mut form = Form::Usual;
    let prompt = match prompt {
        // Whoever names Alpaca's columns means Alpaca's rows.
        Text::Plain(text) if prompt_column == alpaca::INSTRUCTION || columns.input.is_some() => {
            let (question, input) = alpaca::question(at, text, object, columns)?;
            if input.is_some() {
                let history = false;
                form = Form::Alpaca { input, history };
            }
            Text::Plain(question)
        }
        other => other,
    };
    let content = Content::PromptCompletion { prompt, completion };
    Ok(Found { content, form })
}

fn half(
    at: &Location,
    object: &Map<String, Value>,
    found: &str,
    (key, names): (&str, &[&'static str]),
    missing: Option<&str>,
) -> DataError {
    DataError::HalfPair {
        at: at.clone(),
        found: found.to_owned(),
        missing: missing.unwrap_or("other half").to_owned(),
        remedy: match text_among(object, names) {
            Some(column) => {
                format!("perhaps it is another column: columns = {{ {key} = \"{column}\" }}")
            }
            None => "add it, or use `text` for text without a prompt".to_owned(),
        },
    }
}

/// Columns that often have what is asked.
const ASKS: [&str; 7] = [
    "prompt",
    "question",
    "problem",
    "query",
    "instruction",
    "input",
    "source",
];

/// Columns that often have the answer.
const ANSWERS: [&str; 8] = [
    "completion",
    "answer",
    "response",
    "solution",
    "output",
    "target",
    "label",
    "chosen",
];

/// The first of the columns that has text.
fn text_among(object: &Map<String, Value>, names: &[&'static str]) -> Option<&'static str> {
    let has = |name: &&&str| matches!(object.get(**name), Some(Value::String(_)));
    names.iter().find(has).copied()
}

/// Which columns to name, by what a row has.
pub(crate) fn name_a_pair(object: &Map<String, Value>) -> String {
    match (text_among(object, &ASKS), text_among(object, &ANSWERS)) {
        (Some(asks), Some(answers)) => format!(
            "name the columns, perhaps columns = {{ prompt = \"{asks}\", completion = \"{answers}\" }}"
        ),
        _ => "name the columns in `columns`".to_owned(),
    }
}

/// How to learn from the better of two answers.
fn name_the_better(object: &Map<String, Value>) -> String {
    const ASKS: [&str; 7] = [
        "prompt",
        "instruction",
        "question",
        "query",
        "messages",
        "conversations",
        "conversation",
    ];
    let asks = ASKS
        .into_iter()
        .find(|name| look(object, Some(name)).is_some());
    let whole = match object.get("chosen") {
        Some(Value::Array(list)) => list.len() > 1,
        Some(Value::String(_)) => asks.is_none(),
        _ => false,
    };
    let text = matches!(object.get("chosen"), Some(Value::String(_)));
    match asks {
        Some(asks) if !whole => format!("{{ prompt = \"{asks}\", completion = \"chosen\" }}"),
        _ if text => "{ text = \"chosen\" }".to_owned(),
        _ => "{ messages = \"chosen\" }".to_owned(),
    }
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;
