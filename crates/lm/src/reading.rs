//! What drawn tokens read as behind what they follow.
//!
//! Tokens do not read alone as they read in a text: some decoders leave out the
//! space that a text begins with, and a character may be spread over several
//! tokens. So tokens are read together with those before them, and what these read
//! as is taken away again.

use crate::error::LmError;
use crate::tokenizer::Tokenizer;

/// What an incomplete character reads as.
const INCOMPLETE: char = '\u{FFFD}';
/// Tokens of a prompt that are looked at first.
const CONTEXT: usize = 8;
/// No character takes more tokens: what does not read by then never will.
const LONGEST: usize = 64;

/// Reads tokens as they come.
#[derive(Debug)]
pub struct Reading<'a> {
    tokenizer: &'a Tokenizer,
    /// Tokens that are read already, as many as the next ones need.
    before: Vec<u32>,
    /// What those read as by themselves.
    before_text: String,
    /// Tokens behind them whose text may change with what follows.
    open: Vec<u32>,
    text: String,
    /// What the open ones read as so far.
    open_text: String,
}

impl<'a> Reading<'a> {
    /// Begins to read what follows the tokens of a prompt.
    ///
    /// # Errors
    /// When the tokenizer refuses a token.
    pub fn behind(tokenizer: &'a Tokenizer, prompt: &[u32]) -> Result<Self, LmError> {
        let (before, before_text) = context(tokenizer, prompt)?;
        Ok(Self {
            tokenizer,
            before,
            before_text,
            open: Vec::new(),
            text: String::new(),
            open_text: String::new(),
        })
    }

    /// Reads one more token.
    ///
    /// # Errors
    /// When the tokenizer refuses it.
    pub fn push(&mut self, token: u32) -> Result<(), LmError> {
        if !self.tokenizer.has_text(token) {
            return Ok(());
        }
        self.open.push(token);
        self.open_text = read(self.tokenizer, &self.before, &self.before_text, &self.open)?;
        let complete = !self.open_text.is_empty() && !self.open_text.ends_with(INCOMPLETE);
        if complete || self.open.len() >= LONGEST {
            self.text.push_str(&self.open_text);
            self.open_text.clear();
            self.before = std::mem::take(&mut self.open);
            self.before_text = self.tokenizer.decode(&self.before, false)?;
        }
        Ok(())
    }

    /// What the tokens read as, whatever follows them.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What stands behind [`Self::text`], if nothing follows: mostly nothing, or an
    /// incomplete character.
    pub fn open_text(&self) -> &str {
        &self.open_text
    }
}

/// What `tokens` read as behind the tokens of a prompt, without special tokens.
pub(crate) fn read_behind(
    tokenizer: &Tokenizer,
    prompt: &[u32],
    tokens: &[u32],
) -> Result<String, LmError> {
    let (before, before_text) = context(tokenizer, prompt)?;
    let all = tokenizer.decode(&[&before, tokens].concat(), false)?;
    if let Some(text) = all.strip_prefix(&before_text)
        && !text.contains(INCOMPLETE)
    {
        return Ok(text.to_owned());
    }
    // Some decoders give up a whole run of bytes for one that does not fit.
    let mut reading = Reading::behind(tokenizer, prompt)?;
    for token in tokens {
        reading.push(*token)?;
    }
    Ok(reading.text + &reading.open_text)
}

/// What `tokens` read as behind others.
fn read(
    tokenizer: &Tokenizer,
    before: &[u32],
    before_text: &str,
    tokens: &[u32],
) -> Result<String, LmError> {
    let mut all = tokenizer.decode(&[before, tokens].concat(), false)?;
    if all.starts_with(before_text) {
        all.drain(..before_text.len());
        return Ok(all);
    }
    tokenizer.decode(tokens, false)
}

/// The last tokens of a prompt, as many as what follows needs to be read rightly,
/// and what they read as by themselves.
fn context(tokenizer: &Tokenizer, prompt: &[u32]) -> Result<(Vec<u32>, String), LmError> {
    let mut length = CONTEXT;
    loop {
        let (tokens, all) = last_with_text(tokenizer, prompt, length);
        if tokens.is_empty() && !tokenizer.restarts() && prompt.len() > tokenizer.opening().len() {
            // Only special tokens, and yet no beginning of a text.
            let (_, tokens) = tokenizer.sample_text()?;
            let text = tokenizer.decode(&tokens, false)?;
            return Ok((tokens, text));
        }
        let text = tokenizer.decode(&tokens, false)?;
        // A character whose first tokens are missing would spoil what follows it.
        if all || !text.contains(INCOMPLETE) {
            return Ok((tokens, text));
        }
        length *= 2;
    }
}

/// At most so many tokens of the text that a prompt ends with, and whether that is
/// all of it.
fn last_with_text(tokenizer: &Tokenizer, prompt: &[u32], length: usize) -> (Vec<u32>, bool) {
    let mut tokens = Vec::new();
    let mut all = true;
    for token in prompt.iter().rev() {
        if !tokenizer.has_text(*token) {
            if tokenizer.restarts() {
                break;
            }
        } else if tokens.len() == length {
            all = false;
            break;
        } else {
            tokens.push(*token);
        }
    }
    tokens.reverse();
    (tokens, all)
}
