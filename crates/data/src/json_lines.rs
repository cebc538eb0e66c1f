//! JSONL: one JSON object a line.

use std::io::{BufRead, Read};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use crate::DataError;
use crate::reader::{MAX_ROW_BYTES, Object};
use crate::row::{Location, describe};

/// The objects of a JSONL file. Blank lines are passed over, and so is the
/// byte order mark that some editors put at the start.
pub(crate) struct JsonLines<R> {
    from: R,
    file: Arc<Path>,
    line: u64,
    buffer: Vec<u8>,
    over: bool,
}

impl<R: BufRead> JsonLines<R> {
    pub(crate) fn new(from: R, file: Arc<Path>) -> Self {
        JsonLines {
            from,
            file,
            line: 0,
            buffer: Vec::new(),
            over: false,
        }
    }
}

impl<R: BufRead> Iterator for JsonLines<R> {
    type Item = Object;

    fn next(&mut self) -> Option<Object> {
        while !self.over {
            self.line += 1;
            let at = Location {
                file: self.file.clone(),
                line: self.line,
            };
            self.buffer.clear();
            let limit = MAX_ROW_BYTES as u64 + 1;
            match self
                .from
                .by_ref()
                .take(limit)
                .read_until(b'\n', &mut self.buffer)
            {
                Ok(0) => self.over = true,
                Ok(length) if length > MAX_ROW_BYTES => {
                    self.over = true;
                    return Some(Err(DataError::RowTooLong {
                        at,
                        limit: MAX_ROW_BYTES,
                    }));
                }
                Ok(_) => {
                    let mut line = self.buffer.as_slice();
                    if self.line == 1 {
                        line = without_byte_order_mark(line);
                    }
                    // Its end would count as a line of its own in messages.
                    line = line.trim_ascii_end();
                    if !line.is_empty() {
                        return Some(parse_object(line, at, 1));
                    }
                }
                Err(reason) => {
                    self.over = true;
                    return Some(Err(DataError::Read { at, reason }));
                }
            }
        }
        None
    }
}

pub(crate) fn without_byte_order_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Parses one row, which starts at line `at` and the given column, from 1.
pub(crate) fn parse_object(bytes: &[u8], at: Location, column: usize) -> Object {
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
        Ok(Value::Object(object)) => Ok((at, object)),
        Ok(other) => Err(DataError::NotAnObject {
            at,
            found: describe(&other),
        }),
        Err(error) => Err(explain(text, at, column, &error)),
    }
}

/// Python writes NaN and Infinity, which JSON does not have: such a row is not
/// so much broken as wrong in one number, and the message should say so.
fn explain(text: &str, at: Location, column: usize, error: &serde_json::Error) -> DataError {
    let at = Location {
        line: at.line + (error.line() as u64).saturating_sub(1),
        ..at
    };
    // Only the line of the fault: a row of a list may span several.
    let line = text.lines().nth(error.line().saturating_sub(1));
    if let Some((column, found)) = line.and_then(|line| not_finite(line, error.column())) {
        return DataError::NotFinite { at, column, found };
    }
    let whole = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    DataError::Json {
        at,
        column: match error.line() {
            0 | 1 => column - 1 + error.column(),
            _ => error.column(),
        },
        reason: whole.strip_suffix(&position).unwrap_or(&whole).to_owned(),
    }
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
