//! JSONL: one JSON object a line.

use std::io::{BufRead, Read};
use std::path::Path;
use std::sync::Arc;

use crate::DataError;
use crate::json_text::{Extent, Keep, MAX_ROW_BYTES, parse_object};
use crate::reader::ReadObject;
use crate::row::Location;

/// Bytes that are read before they are looked at.
const PIECE: usize = 1 << 20;

/// The objects of a JSONL file. Blank lines are passed over, and so is the
/// byte order mark that some editors put at the start.
pub(crate) struct JsonLines<R> {
    from: R,
    file: Arc<Path>,
    keep: Keep,
    line: u64,
    buffer: Vec<u8>,
    over: bool,
}

impl<R: BufRead> JsonLines<R> {
    pub(crate) fn new(from: R, file: Arc<Path>, keep: Keep) -> Self {
        JsonLines {
            from,
            file,
            keep,
            line: 0,
            buffer: Vec::new(),
            over: false,
        }
    }

    /// Reads the next line; false at the end. A line that is too much is found
    /// before it is in memory as a whole.
    fn read_line(&mut self, at: &Location) -> Result<bool, DataError> {
        self.buffer.clear();
        let mut extent = Extent::default();
        loop {
            let before = self.buffer.len();
            let read = self
                .from
                .by_ref()
                .take(PIECE as u64)
                .read_until(b'\n', &mut self.buffer)
                .map_err(|reason| DataError::Read {
                    at: at.clone(),
                    reason,
                })?;
            if read < PIECE || self.buffer.ends_with(b"\n") {
                // A short line has few values.
                if before > 0 {
                    self.look_at(before, &mut extent, at)?;
                }
                return Ok(!self.buffer.is_empty());
            }
            self.look_at(before, &mut extent, at)?;
        }
    }

    fn look_at(&self, from: usize, extent: &mut Extent, at: &Location) -> Result<(), DataError> {
        for &byte in &self.buffer[from..] {
            extent.take(byte);
        }
        extent.check(at)?;
        if self.buffer.len() > MAX_ROW_BYTES {
            return Err(DataError::RowTooLong {
                at: at.clone(),
                limit: MAX_ROW_BYTES,
            });
        }
        Ok(())
    }
}

impl<R: BufRead> Iterator for JsonLines<R> {
    type Item = ReadObject;

    fn next(&mut self) -> Option<ReadObject> {
        while !self.over {
            self.line += 1;
            let at = Location {
                file: self.file.clone(),
                line: self.line,
            };
            match self.read_line(&at) {
                Ok(true) => {
                    let mut line = self.buffer.as_slice();
                    if self.line == 1 {
                        line = without_byte_order_mark(line);
                    }
                    // Its end would count as a line of its own in messages.
                    line = line.trim_ascii_end();
                    if !line.is_empty() {
                        return Some(parse_object(line, at, 1, self.keep));
                    }
                }
                Ok(false) => self.over = true,
                Err(error) => {
                    self.over = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

pub(crate) fn without_byte_order_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}
