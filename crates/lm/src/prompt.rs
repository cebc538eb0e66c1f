//! Prompts as at inference, and what follows them.

use crate::error::LmError;
use crate::tokenizer::Tokenizer;

/// A prompt's text and its tokens as at inference, where it stands alone.
#[derive(Debug, Clone)]
pub struct Prompt<'a> {
    tokenizer: &'a Tokenizer,
    text: String,
    /// Whether a chat template wrote it, with all that it begins with.
    rendered: bool,
    tokens: Vec<u32>,
}

/// The tokens of a text behind those of its prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Following {
    /// The tokens.
    pub tokens: Vec<u32>,
    /// Whether the tokenizer has a token for the end of the prompt and the beginning
    /// of the text together, which cannot follow the prompt.
    pub straddles: bool,
}

/// Texts behind which another one begins, and is not taken for the beginning of a
/// text or of a word.
const BEGINNINGS: [&str; 8] = ["\n", ".", "0", "a", "e", "z", "A", "_"];

impl<'a> Prompt<'a> {
    /// A plain text to be continued.
    ///
    /// # Errors
    /// When the tokenizer refuses the text.
    pub fn plain(tokenizer: &'a Tokenizer, text: &str) -> Result<Self, LmError> {
        Ok(Self {
            tokens: tokenizer.encode_opening(text)?,
            text: text.to_owned(),
            rendered: false,
            tokenizer,
        })
    }

    /// What a chat template made of a conversation. A template writes what a text
    /// begins with, so nothing is put before it.
    ///
    /// # Errors
    /// When the tokenizer refuses the text.
    pub fn rendered(tokenizer: &'a Tokenizer, text: String) -> Result<Self, LmError> {
        Ok(Self {
            tokens: tokenizer.encode(&text, false)?,
            text,
            rendered: true,
            tokenizer,
        })
    }

    /// Its tokens.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Its tokens alone.
    pub fn into_tokens(self) -> Vec<u32> {
        self.tokens
    }

    /// The tokens of `text` behind those of the prompt: what the prompt and the text
    /// in one piece have more than the prompt. Where a token straddles the border
    /// between them there is no such thing; then the text's own tokens, without a
    /// space that is not in it.
    ///
    /// # Errors
    /// When the tokenizer refuses the text.
    pub fn followed_by(&self, text: &str) -> Result<Following, LmError> {
        let tokenizer = self.tokenizer;
        let whole = format!("{}{text}", self.text);
        let whole = match self.rendered {
            true => tokenizer.encode(&whole, false)?,
            false => tokenizer.encode_opening(&whole)?,
        };
        if let Some(rest) = whole.strip_prefix(&self.tokens[..]) {
            return Ok(Following {
                tokens: rest.to_vec(),
                straddles: false,
            });
        }
        // Either is right: a tokenizer may change the text, and text on both sides may
        // spell a special token.
        let whole = tokenizer.decode(&whole, true)?;
        let both = tokenizer.decode(&self.tokens, true)? + text;
        let mut tokens = tokenizer.encode(text, false)?;
        for beginning in [""].into_iter().chain(BEGINNINGS) {
            let before = tokenizer.encode(beginning, false)?;
            let after = tokenizer.encode(&format!("{beginning}{text}"), false)?;
            let Some(behind) = after.strip_prefix(&before[..]) else {
                continue;
            };
            let read = tokenizer.decode(&[&self.tokens, behind].concat(), true)?;
            if !behind.is_empty() && (read == whole || read == both) {
                tokens = behind.to_vec();
                break;
            }
        }
        Ok(Following {
            tokens,
            straddles: true,
        })
    }
}
