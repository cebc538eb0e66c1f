//! Alpaca's rows: an `instruction`, perhaps with an `input`, and the `output`.

use serde_json::{Map, Value};

use crate::DataError;
use crate::columns::Columns;
use crate::message::Message;
use crate::row::{Location, look, take, wrong};

/// What is asked.
pub(crate) const INSTRUCTION: &str = "instruction";
/// What answers it.
pub(crate) const ANSWERS: [&str; 2] = ["output", "response"];

/// The answer's column, if the row is one of Alpaca's.
pub(crate) fn answer(object: &Map<String, Value>) -> Option<&'static str> {
    look(object, Some(INSTRUCTION))?;
    ANSWERS
        .into_iter()
        .find(|name| look(object, Some(name)).is_some())
}

/// What the user says: the instruction, and below it the input where there is one.
/// Takes the input out of the row, and says in which column it was.
pub(crate) fn question(
    at: &Location,
    instruction: String,
    object: &mut Map<String, Value>,
    columns: &Columns,
) -> Result<(String, Option<String>), DataError> {
    let mut joined = (instruction, None);
    for name in columns.inputs() {
        match take(object, Some(name)) {
            None => {}
            Some((column, Value::String(input))) => {
                if !input.is_empty() {
                    let texts = [joined.0.as_str(), input.as_str()];
                    let texts: Vec<&str> =
                        texts.into_iter().filter(|text| !text.is_empty()).collect();
                    joined = (texts.join("\n"), Some(column.to_owned()));
                }
                break;
            }
            Some((column, other)) => return Err(wrong(at, column, &other, "a string")),
        }
    }
    Ok(joined)
}

/// The turns before the question: `[["Hi", "Hello."], ...]`.
pub(crate) fn history(
    at: &Location,
    object: &mut Map<String, Value>,
    columns: &Columns,
) -> Result<Vec<Message>, DataError> {
    const EXPECTED: &str = "a list of pairs of texts: a question and its answer";
    let turns = match take(object, columns.history()) {
        None => return Ok(Vec::new()),
        // Formats in which every value is text.
        Some((_, Value::String(text))) if text.trim().is_empty() => return Ok(Vec::new()),
        Some((column, Value::String(text))) => match serde_json::from_str(&text) {
            Ok(Value::Array(turns)) => (column, turns),
            _ => return Err(wrong(at, column, &Value::String(text), EXPECTED)),
        },
        Some((column, Value::Array(turns))) => (column, turns),
        Some((column, other)) => return Err(wrong(at, column, &other, EXPECTED)),
    };
    let (column, turns) = turns;
    let mut messages = Vec::with_capacity(2 * turns.len());
    for (i, turn) in turns.iter().enumerate() {
        let [Value::String(question), Value::String(answer)] =
            turn.as_array().map_or(&[][..], Vec::as_slice)
        else {
            return Err(wrong(at, &format!("{column}[{i}]"), turn, EXPECTED));
        };
        messages.push(Message::new("user", question));
        messages.push(Message::new("assistant", answer));
    }
    Ok(messages)
}
