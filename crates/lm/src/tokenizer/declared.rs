//! Tokens that the files beside tokenizer.json declare: `tokenizer_config.json`,
//! `special_tokens_map.json` and `added_tokens.json`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use crate::error::LmError;
use crate::file::json_if_present;

/// Roles of special tokens, in the order in which transformers adds the tokens
/// that have no number of their own.
const ROLES: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

/// Keys with further special tokens: a list, or an object of names to tokens.
const LISTS: [&str; 2] = ["additional_special_tokens", "extra_special_tokens"];

/// A token with the number that a file gives it.
struct Numbered {
    token: AddedToken,
    id: u32,
    file: PathBuf,
}

/// The files beside tokenizer.json, as far as they declare tokens.
pub(super) struct Declarations<'a> {
    pub(super) folder: &'a Path,
    /// `tokenizer_config.json`
    pub(super) config: &'a Map<String, Value>,
    /// `special_tokens_map.json`
    pub(super) map: &'a Map<String, Value>,
}

impl Declarations<'_> {
    /// Adds what tokenizer.json lacks, so that the text of such a token becomes
    /// this one token, as it does in transformers.
    pub(super) fn add_to(&self, inner: &mut tokenizers::Tokenizer) -> Result<(), LmError> {
        self.add_numbered(inner)?;
        self.add_unnumbered(inner)
    }

    /// Those with a number, which the tokenizer must give them.
    fn add_numbered(&self, inner: &mut tokenizers::Tokenizer) -> Result<(), LmError> {
        let mut missing = Vec::new();
        for each in self.numbered()? {
            let Numbered { token, id, file } = &each;
            let text = &token.content;
            let (id, known) = (*id, inner.token_to_id(text));
            let clash = match (known, inner.id_to_token(id)) {
                (Some(known), _) if known == id => None,
                (Some(known), _) => Some(format!("it has \"{text}\" as token {known}")),
                (None, Some(other)) => Some(format!("its token {id} is \"{other}\"")),
                (None, None) => None,
            };
            if let Some(clash) = clash {
                return Err(mismatch(file, text, id, &clash));
            }
            if !is_added(inner, text) {
                missing.push(each);
            }
        }
        missing.sort_by_key(|each| each.id);
        let tokens: Vec<AddedToken> = missing.iter().map(|each| each.token.clone()).collect();
        inner.add_tokens(&tokens);
        for Numbered { token, id, file } in missing {
            let found = inner.token_to_id(&token.content);
            if found != Some(id) {
                let next = found.unwrap_or_default();
                let clash = format!("the next token that it can take up is {next}");
                return Err(mismatch(&file, &token.content, id, &clash));
            }
        }
        Ok(())
    }

    fn numbered(&self) -> Result<Vec<Numbered>, LmError> {
        let file = self.folder.join("tokenizer_config.json");
        let malformed = |file: &Path, expected: &str| LmError::Tokenizer {
            path: file.to_path_buf(),
            reason: format!("expected {expected}"),
        };
        let mut found = Vec::new();
        if let Some(value) = self.config.get("added_tokens_decoder") {
            let expected = "`added_tokens_decoder` to hold objects with `content` by token id";
            for (id, value) in value.as_object().into_iter().flatten() {
                let (Ok(id), Some(token)) = (id.parse(), token_of(value)) else {
                    return Err(malformed(&file, expected));
                };
                let file = file.clone();
                found.push(Numbered { token, id, file });
            }
        }
        let file = self.folder.join("added_tokens.json");
        let special = self.special_texts();
        for (text, id) in json_if_present::<Map<String, Value>>(&file)?
            .into_iter()
            .flatten()
        {
            let Some(id) = id.as_u64().and_then(|id| u32::try_from(id).ok()) else {
                return Err(malformed(&file, "tokens with their ids"));
            };
            if found.iter().all(|each| each.token.content != text) {
                let token = AddedToken::from(text.as_str(), special.contains(&text));
                let file = file.clone();
                found.push(Numbered { token, id, file });
            }
        }
        Ok(found)
    }

    /// Special tokens without a number; new ones come behind all others. Of those with
    /// a role only, a plain word or sign of the vocabulary stays what it is, one that
    /// the model has no row for (a padding token, say) is none, and an end token must
    /// be there: nothing has been trained to draw a new one.
    fn add_unnumbered(&self, inner: &mut tokenizers::Tokenizer) -> Result<(), LmError> {
        let config: Map<String, Value> =
            json_if_present(&self.folder.join("config.json"))?.unwrap_or_default();
        let rows = config.get("vocab_size").and_then(Value::as_u64);
        for (role, text) in self.roles() {
            let becomes_one = match inner.token_to_id(&text) {
                Some(_) => is_marked(&text),
                None => {
                    let room = rows.is_none_or(|rows| u64::from(next_id(inner)) < rows);
                    room && role != "eos_token"
                }
            };
            if !is_added(inner, &text) && becomes_one {
                inner.add_tokens(&[AddedToken::from(text, true)]);
            }
        }
        for text in self.listed() {
            if !is_added(inner, &text) {
                inner.add_tokens(&[AddedToken::from(text, true)]);
            }
        }
        Ok(())
    }

    fn special_texts(&self) -> BTreeSet<String> {
        let roles = self.roles().into_iter().map(|(_, text)| text);
        roles.chain(self.listed()).collect()
    }

    fn roles(&self) -> Vec<(&'static str, String)> {
        let of = |role: &&'static str| {
            let value = self.config.get(*role).or_else(|| self.map.get(*role));
            let text = value.and_then(text_of)?;
            Some((*role, text.to_owned()))
        };
        ROLES.iter().filter_map(of).collect()
    }

    fn listed(&self) -> Vec<String> {
        let mut found = Vec::new();
        for key in LISTS {
            let value = self.config.get(key).or_else(|| self.map.get(key));
            let values: Vec<&Value> = match value {
                Some(Value::Array(values)) => values.iter().collect(),
                Some(Value::Object(map)) => map.values().collect(),
                _ => Vec::new(),
            };
            found.extend(values.into_iter().filter_map(text_of).map(str::to_owned));
        }
        found
    }
}

fn mismatch(file: &Path, text: &str, id: u32, clash: &str) -> LmError {
    LmError::Tokenizer {
        path: file.to_path_buf(),
        reason: format!(
            "it declares \"{text}\" as token {id}, which tokenizer.json does not allow: {clash}. \
             Make the files agree, or save the tokenizer anew with transformers' `save_pretrained`"
        ),
    }
}

fn is_added(inner: &tokenizers::Tokenizer, text: &str) -> bool {
    let added = inner.get_added_vocabulary().get_vocab();
    added.contains_key(text)
}

/// Whether a text is written as a special token.
fn is_marked(text: &str) -> bool {
    text.len() > 2 && (text.starts_with('<') || text.starts_with('['))
}

/// The number of the next token that is added and not in the vocabulary.
fn next_id(inner: &tokenizers::Tokenizer) -> u32 {
    let size = inner.get_vocab_size(false) as u32;
    let added = inner.get_added_vocabulary().get_vocab().values();
    added.max().map_or(size, |last| size.max(last + 1))
}

/// The text of a token that is a string or an object with `content`.
fn text_of(value: &Value) -> Option<&str> {
    match value {
        Value::Object(token) => token.get("content").and_then(Value::as_str),
        value => value.as_str(),
    }
}

fn token_of(value: &Value) -> Option<AddedToken> {
    let flag = |key| value.get(key).and_then(Value::as_bool);
    let special = flag("special").unwrap_or(false);
    let token = AddedToken::from(text_of(value)?, special);
    Some(AddedToken {
        single_word: flag("single_word").unwrap_or(false),
        lstrip: flag("lstrip").unwrap_or(false),
        rstrip: flag("rstrip").unwrap_or(false),
        normalized: flag("normalized").unwrap_or(!special),
        ..token
    })
}
