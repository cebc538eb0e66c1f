//! Texts that end a completion.

use crate::error::LmError;
use crate::tokenizer::Tokenizer;

/// Looks for stop texts at the end of a growing completion, also where one is
/// spread over several tokens.
#[derive(Debug)]
pub(crate) struct StopTexts<'a> {
    texts: &'a [String],
    /// Bytes of the longest.
    longest: usize,
    /// Tokens before this one are not looked at any more.
    start: usize,
}

/// Bytes that are looked at beyond what a stop text needs: the first characters
/// of a piece may be decoded otherwise than within the whole.
const MARGIN: usize = 32;

impl<'a> StopTexts<'a> {
    pub(crate) fn new(texts: &'a [String]) -> Self {
        Self {
            texts,
            longest: texts.iter().map(String::len).max().unwrap_or(0),
            start: 0,
        }
    }

    /// Whether one is in the text of `tokens`, which have grown since the last call.
    pub(crate) fn are_in(
        &mut self,
        tokenizer: &Tokenizer,
        tokens: &[u32],
    ) -> Result<bool, LmError> {
        if self.texts.is_empty() {
            return Ok(false);
        }
        let text = tokenizer.decode(&tokens[self.start..], false)?;
        if self.first(&text).is_some() {
            return Ok(true);
        }
        // Half of what is more than enough still is enough.
        if text.len() > 4 * (self.longest + MARGIN) {
            let half = self.start + (tokens.len() - self.start) / 2;
            let kept = tokenizer.decode(&tokens[half..], false)?;
            if kept.len() >= self.longest + MARGIN {
                self.start = half;
            }
        }
        Ok(false)
    }

    /// `text` up to the first of them.
    pub(crate) fn cut(&self, mut text: String) -> String {
        if let Some(end) = self.first(&text) {
            text.truncate(end);
        }
        text
    }

    fn first(&self, text: &str) -> Option<usize> {
        self.texts.iter().filter_map(|stop| text.find(stop)).min()
    }
}
