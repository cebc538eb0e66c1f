//! Texts that end a completion.

use crate::error::LmError;
use crate::reading::Reading;
use crate::tokenizer::Tokenizer;

/// Looks for stop texts in a growing completion, also where one is spread over
/// several tokens.
#[derive(Debug)]
pub(crate) struct StopTexts<'a> {
    texts: &'a [String],
    /// The completion so far; none where there is nothing to look for.
    reading: Option<Reading<'a>>,
    /// Bytes of its text in which none begins.
    clear: usize,
}

impl<'a> StopTexts<'a> {
    /// `texts` in what follows the tokens of a prompt.
    pub(crate) fn new(
        texts: &'a [String],
        tokenizer: &'a Tokenizer,
        prompt: &[u32],
    ) -> Result<Self, LmError> {
        let reading = match texts {
            [] => None,
            _ => Some(Reading::behind(tokenizer, prompt)?),
        };
        Ok(Self {
            texts,
            reading,
            clear: 0,
        })
    }

    /// Whether one is in the text with one more token.
    pub(crate) fn end_with(&mut self, token: u32) -> Result<bool, LmError> {
        let Some(reading) = &mut self.reading else {
            return Ok(false);
        };
        reading.push(token)?;
        let (text, open) = (reading.text(), reading.open_text());
        if first(self.texts, &[&text[self.clear..], open].concat()).is_some() {
            return Ok(true);
        }
        let longest = self.texts.iter().map(String::len).max().unwrap_or(0);
        self.clear = text.floor_char_boundary(text.len().saturating_sub(longest));
        Ok(false)
    }

    /// `text` up to the first of them.
    pub(crate) fn cut(&self, mut text: String) -> String {
        if let Some(end) = first(self.texts, &text) {
            text.truncate(end);
        }
        text
    }
}

fn first(texts: &[String], text: &str) -> Option<usize> {
    texts.iter().filter_map(|stop| text.find(stop)).min()
}
