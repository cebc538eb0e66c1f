//! One row of JSON text: how much there may be of it, and what is wrong with it.

use serde_json::Value;

use crate::DataError;
use crate::object::Object;
use crate::row::{Location, describe};

/// Longest row accepted, in bytes. A file without line breaks would otherwise
/// be read into memory as a whole before anybody learns that it is no JSONL.
pub const MAX_ROW_BYTES: usize = 256 << 20;

/// Most values accepted in a row, each list and object counted too. A few bytes
/// of a compressed file can promise a hundred million of them.
pub const MAX_ROW_VALUES: usize = 4 << 20;

/// Lists and objects inside of each other, the row itself counted: what the JSON
/// parser follows.
pub const MAX_DEPTH: usize = 127;

/// What a reader is to bring of each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Its values.
    Values,
    /// Its values, and the text of what is to be handed on unchanged.
    Texts,
}

/// Counts the values of a text while it is read.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Extent {
    in_string: bool,
    escaped: bool,
    values: usize,
}

impl Extent {
    /// Takes the next byte; whether it stands outside of strings.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b',' | b'[' | b'{' => self.values += 1,
            _ => {}
        }
        true
    }

    /// Whether the next byte stands outside of strings.
    pub(crate) fn is_outside(&self) -> bool {
        !self.in_string
    }

    /// The values so far.
    pub(crate) fn values(&self) -> usize {
        self.values
    }

    /// Refuses a row with too many values so far.
    pub(crate) fn check(&self, at: &Location) -> Result<(), DataError> {
        if self.values > MAX_ROW_VALUES {
            return Err(DataError::TooManyValues {
                at: at.clone(),
                limit: MAX_ROW_VALUES,
            });
        }
        Ok(())
    }
}

/// Parses one row, which starts at line `at` and the given column, from 1.
pub(crate) fn parse_object(
    bytes: &[u8],
    at: Location,
    column: usize,
    keep: Keep,
) -> Result<(Location, Object), DataError> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            return Err(DataError::NotUtf8 {
                at,
                byte: error.valid_up_to() + 1,
            });
        }
    };
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(object)) => {
            let object = match keep {
                Keep::Values => object.into(),
                Keep::Texts => Object::with_texts(object, text),
            };
            Ok((at, object))
        }
        Ok(other) => Err(DataError::NotAnObject {
            at,
            found: describe(&other),
        }),
        Err(error) => Err(explain(text, at, column, &error)),
    }
}

/// Python writes NaN and Infinity, which JSON does not have, and halves of
/// characters: such a row is not so much broken as wrong in one place, and the
/// message should say so.
fn explain(text: &str, at: Location, column: usize, error: &serde_json::Error) -> DataError {
    let at = Location {
        line: at.line + (error.line() as u64).saturating_sub(1),
        ..at
    };
    let in_file = |in_line: usize| match error.line() {
        0 | 1 => column - 1 + in_line,
        _ => in_line,
    };
    // Only the line of the fault: a row of a list may span several.
    let line = text.lines().nth(error.line().saturating_sub(1));
    if let Some((column, found)) = line.and_then(|line| not_finite(line, error.column())) {
        return DataError::NotFinite { at, column, found };
    }
    let whole = error.to_string();
    if whole.contains("hex escape") || whole.contains("surrogate") {
        let half = line.and_then(|line| half_character(line, error.column()));
        if let Some((start, found)) = half {
            return DataError::HalfCharacter {
                at,
                column: in_file(start + 1),
                found: found.to_owned(),
            };
        }
    }
    let position = format!(" at line {} column {}", error.line(), error.column());
    DataError::Json {
        at,
        column: in_file(error.column()),
        reason: whole.strip_suffix(&position).unwrap_or(&whole).to_owned(),
    }
}

/// The last escape of half a character that begins before `until` and whose other
/// half is not there: `\ud83d`.
fn half_character(line: &str, until: usize) -> Option<(usize, &str)> {
    let escape = |at: usize| {
        let text = line.get(at..at + 6)?;
        let code = u16::from_str_radix(text.strip_prefix("\\u")?, 16).ok()?;
        (0xd800..0xe000).contains(&code).then_some((text, code))
    };
    let (mut at, mut found) = (0, None);
    while let Some(next) = line.get(at..).and_then(|rest| rest.find('\\')) {
        at += next;
        if at >= until {
            break;
        }
        match (escape(at), escape(at + 6)) {
            (Some((_, ..0xdc00)), Some((_, 0xdc00..))) => at += 12,
            (Some((text, _)), _) => {
                found = Some((at, text));
                at += 6;
            }
            // The escaped character may be another backslash.
            (None, _) => at += 2,
        }
    }
    found
}

/// The NaN or infinity outside of strings that starts within the first
/// `until` bytes of a line, and the key before it.
fn not_finite(line: &str, until: usize) -> Option<(String, String)> {
    let mut in_string = false;
    let mut escaped = false;
    let mut string_start = 0;
    let mut key = "";
    for (i, byte) in line.bytes().enumerate().take(until) {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    in_string = false;
                    key = &line[string_start..i];
                }
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => {
                in_string = true;
                string_start = i + 1;
            }
            b'-' | b'N' | b'I' => {
                let found = ["NaN", "Infinity", "-Infinity"]
                    .into_iter()
                    .find(|name| line[i..].starts_with(name));
                if let Some(found) = found {
                    return Some((key.to_owned(), found.to_owned()));
                }
            }
            _ => {}
        }
    }
    None
}
