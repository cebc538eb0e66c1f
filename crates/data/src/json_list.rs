//! A `.json` file: one list of objects, cut into its elements while reading.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use crate::DataError;
use crate::json_text::{Extent, Keep, MAX_ROW_BYTES, parse_object};
use crate::reader::ReadObject;
use crate::row::Location;

/// The elements of a list, found by counting brackets outside of strings;
/// whether an element is sound JSON is left to the parser.
pub(crate) struct JsonList<R> {
    from: R,
    file: Arc<Path>,
    keep: Keep,
    /// Line of the next byte, from 1.
    line: u64,
    /// Column of the next byte, in bytes from 1.
    column: usize,
    place: Place,
    element: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    First,
    Later,
    Over,
}

impl<R: BufRead> JsonList<R> {
    pub(crate) fn new(from: R, file: Arc<Path>, keep: Keep) -> Self {
        JsonList {
            from,
            file,
            keep,
            line: 1,
            column: 1,
            place: Place::Before,
            element: Vec::new(),
        }
    }

    fn here(&self) -> Location {
        Location {
            file: self.file.clone(),
            line: self.line,
        }
    }

    fn broken(&self, reason: &str) -> DataError {
        DataError::Json {
            at: self.here(),
            column: self.column,
            reason: reason.to_owned(),
        }
    }

    fn peek(&mut self) -> Result<Option<u8>, DataError> {
        match self.from.fill_buf() {
            Ok(bytes) => Ok(bytes.first().copied()),
            Err(reason) => Err(DataError::Read {
                at: self.here(),
                reason,
            }),
        }
    }

    fn advance(&mut self, byte: u8) {
        self.from.consume(1);
        self.column += 1;
        if byte == b'\n' {
            self.line += 1;
            self.column = 1;
        }
    }

    /// The next byte that is no white space, without consuming it.
    fn peek_solid(&mut self) -> Result<Option<u8>, DataError> {
        while let Some(byte) = self.peek()? {
            if !byte.is_ascii_whitespace() {
                return Ok(Some(byte));
            }
            self.advance(byte);
        }
        Ok(None)
    }

    /// Goes behind the opening bracket; false if the file has no content.
    fn enter(&mut self) -> Result<bool, DataError> {
        for mark in *b"\xef\xbb\xbf" {
            if self.peek()? == Some(mark) {
                self.advance(mark);
            }
        }
        match self.peek_solid()? {
            None => Ok(false),
            Some(b'[') => {
                self.advance(b'[');
                Ok(true)
            }
            Some(byte) => Err(DataError::NotAList {
                at: self.here(),
                found: format!("`{}`", byte.escape_ascii()),
            }),
        }
    }

    fn leave(&mut self) -> Result<(), DataError> {
        self.place = Place::Over;
        match self.peek_solid()? {
            None => Ok(()),
            Some(_) => Err(self.broken("text follows the list's closing bracket")),
        }
    }

    /// Collects the bytes up to the comma or bracket that ends the element.
    fn collect(&mut self) -> Result<(), DataError> {
        self.element.clear();
        let mut depth = 0_u64;
        let mut extent = Extent::default();
        loop {
            let here = self.here();
            let bytes = self.from.fill_buf().map_err(|reason| DataError::Read {
                at: here.clone(),
                reason,
            })?;
            if bytes.is_empty() {
                return Err(self.broken("the file ends inside the list"));
            }
            let mut end = None;
            for (index, &byte) in bytes.iter().enumerate() {
                if matches!(byte, b',' | b']') && depth == 0 && extent.is_outside() {
                    end = Some(index);
                    break;
                }
                if extent.take(byte) {
                    match byte {
                        b'[' | b'{' => depth += 1,
                        b']' | b'}' => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                }
                self.column += 1;
                if byte == b'\n' {
                    self.line += 1;
                    self.column = 1;
                }
            }
            let length = end.unwrap_or(bytes.len());
            self.element.extend_from_slice(&bytes[..length]);
            self.from.consume(length);
            extent.check(&here)?;
            if self.element.len() > MAX_ROW_BYTES {
                return Err(DataError::RowTooLong {
                    at: here,
                    limit: MAX_ROW_BYTES,
                });
            }
            if end.is_some() {
                return Ok(());
            }
        }
    }

    fn step(&mut self) -> Result<Option<ReadObject>, DataError> {
        if self.place == Place::Before {
            if !self.enter()? {
                self.place = Place::Over;
                return Ok(None);
            }
            self.place = Place::First;
        }
        if self.place == Place::Over {
            return Ok(None);
        }
        match (self.peek_solid()?, self.place) {
            (Some(b']'), _) => {
                self.advance(b']');
                return self.leave().map(|()| None);
            }
            (Some(b','), Place::Later) => {
                self.advance(b',');
                // An element must follow: `[1,]` is not JSON.
                if self.peek_solid()? == Some(b']') {
                    return Err(self.broken("a comma stands before the list's closing bracket"));
                }
            }
            _ => {}
        }
        let (at, column) = (self.here(), self.column);
        self.collect()?;
        self.place = Place::Later;
        Ok(Some(parse_object(&self.element, at, column, self.keep)))
    }
}

impl<R: BufRead> Iterator for JsonList<R> {
    type Item = ReadObject;

    fn next(&mut self) -> Option<ReadObject> {
        match self.step() {
            Ok(element) => element,
            Err(error) => {
                self.place = Place::Over;
                Some(Err(error))
            }
        }
    }
}
