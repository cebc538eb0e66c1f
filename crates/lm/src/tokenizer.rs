//! Text to tokens and back, as the model's own files say.

mod declared;
mod guard;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::chat::ChatTemplate;
use crate::error::LmError;
use crate::file::{json_if_present, parse_json, read_if_present};
use crate::reading;
use declared::Declarations;
use guard::guarded;

/// A model's tokenizer with its special tokens and chat templates.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    path: PathBuf,
    inner: tokenizers::Tokenizer,
    /// How many times longer the normaliser can make a text.
    growth: f64,
    /// `bos_token`, `eos_token`, ... to their text.
    special: BTreeMap<String, String>,
    end_tokens: Vec<u32>,
    /// Those that `generation_config.json` names, or else `config.json`.
    generation_end_tokens: Vec<u32>,
    /// Tokens that have no text where special tokens are left out.
    silent: BTreeSet<u32>,
    /// What is put before a text: mostly the first token, or nothing.
    opening: Vec<u32>,
    /// Whether a text behind a special token is tokenised as at the very beginning,
    /// with the space that the tokenizer may put there.
    restarts: bool,
    /// Texts of the added tokens that are marked as special, and of the end tokens.
    special_texts: BTreeSet<String>,
    /// Chat templates by name, each with the file that it comes from.
    templates: BTreeMap<String, (String, String)>,
}

/// Tokens of a text with the bytes of the text that each one stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located {
    pub(crate) tokens: Vec<u32>,
    /// Empty ranges belong to tokens that the tokenizer put in by itself.
    pub(crate) bytes: Vec<Range<usize>>,
}

impl Tokenizer {
    /// Reads `tokenizer.json`, `tokenizer_config.json`, `special_tokens_map.json`,
    /// `added_tokens.json`, the chat templates and the end tokens of
    /// `generation_config.json` and `config.json`. Only the first must exist.
    ///
    /// # Errors
    /// When a file is missing, cannot be read or parsed, declares a token that
    /// contradicts `tokenizer.json`, or names an end token that there is not.
    pub fn from_folder(folder: &Path) -> Result<Self, LmError> {
        let path = folder.join("tokenizer.json");
        let Some(text) = read_if_present(&path)? else {
            return Err(LmError::Tokenizer {
                path,
                reason: "the file is missing; save the tokenizer with transformers' `save_pretrained` to get it".into(),
            });
        };
        let (mut inner, growth) = parse(&text, &path)?;
        let config_path = folder.join("tokenizer_config.json");
        let config: Map<String, Value> = json_if_present(&config_path)?.unwrap_or_default();
        let map: Map<String, Value> =
            json_if_present(&folder.join("special_tokens_map.json"))?.unwrap_or_default();

        let declarations = Declarations {
            folder,
            config: &config,
            map: &map,
        };
        declarations.add_to(&mut inner)?;
        let added = inner.get_added_tokens_decoder().into_iter();
        let (silent, special_texts) = added
            .filter(|(_, token)| token.special)
            .map(|(id, token)| (id, token.content))
            .unzip();
        let mut tokenizer = Self {
            path,
            inner,
            growth,
            special: special_tokens(&map, &config),
            end_tokens: Vec::new(),
            generation_end_tokens: Vec::new(),
            silent,
            opening: Vec::new(),
            restarts: false,
            special_texts,
            templates: templates(folder, &config, &config_path)?,
        };
        tokenizer.read_end_tokens(folder, &config_path)?;
        tokenizer.opening = tokenizer.find_opening()?;
        tokenizer.restarts = tokenizer.find_restarts()?;
        Ok(tokenizer)
    }

    /// The tokens of `text`. With `add_special`, what the tokenizer puts around
    /// every sequence (often a first token) is put around it.
    ///
    /// # Errors
    /// When the tokenizer refuses the text.
    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>, LmError> {
        guard::require_room(text, self.growth)?;
        let encoding = guarded("encode", || self.inner.encode_fast(text, add_special))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of `tokens`, with or without special tokens.
    ///
    /// # Errors
    /// When the tokenizer refuses a token.
    pub fn decode(&self, tokens: &[u32], keep_special: bool) -> Result<String, LmError> {
        guarded("decode", || self.inner.decode(tokens, !keep_special))
    }

    /// What `tokens` read as behind the tokens of a prompt, without special tokens,
    /// so that the prompt's text and this one together read as all the tokens do.
    ///
    /// # Errors
    /// When the tokenizer refuses a token.
    pub fn decode_behind(&self, prompt: &[u32], tokens: &[u32]) -> Result<String, LmError> {
        reading::read_behind(self, prompt, tokens)
    }

    /// As [`Self::encode`] without special tokens, with each token's place.
    pub(crate) fn locate(&self, text: &str) -> Result<Located, LmError> {
        guard::require_room(text, self.growth)?;
        let encoding = guarded("encode", || self.inner.encode(text, false))?;
        Ok(Located {
            tokens: encoding.get_ids().to_vec(),
            bytes: encoding
                .get_offsets()
                .iter()
                .map(|&(start, end)| start..end)
                .collect(),
        })
    }

    /// Tokens that end a turn or a text: `eos_token` of the tokenizer first, then
    /// those of `generation_config.json` and `config.json`, each once.
    pub fn end_tokens(&self) -> &[u32] {
        &self.end_tokens
    }

    /// The end tokens that programs stop at which read no tokenizer for it, such as
    /// transformers' `generate`: those of `generation_config.json`, or else of
    /// `config.json`.
    pub fn generation_end_tokens(&self) -> &[u32] {
        &self.generation_end_tokens
    }

    /// Makes `token` an end token, beside those that the files name.
    pub fn add_end_token(&mut self, token: u32) {
        if !self.end_tokens.contains(&token) {
            self.end_tokens.push(token);
            // Some fine-tuned models end turns with a token that is not marked as special.
            self.special_texts.extend(self.inner.id_to_token(token));
        }
    }

    /// The tokens of a text as inference begins with it: behind what the tokenizer
    /// puts before a text, unless the text begins with that already, and without
    /// what it may put behind.
    ///
    /// # Errors
    /// When the tokenizer refuses the text.
    pub fn encode_opening(&self, text: &str) -> Result<Vec<u32>, LmError> {
        let tokens = self.encode(text, false)?;
        if tokens.starts_with(&self.opening) {
            return Ok(tokens);
        }
        Ok([&self.opening[..], &tokens].concat())
    }

    /// What is put before every text.
    pub(crate) fn opening(&self) -> &[u32] {
        &self.opening
    }

    /// Whether a text behind a special token is tokenised as at the beginning.
    pub(crate) fn restarts(&self) -> bool {
        self.restarts
    }

    /// Whether a token has a text where special tokens are left out.
    pub(crate) fn has_text(&self, token: u32) -> bool {
        !self.silent.contains(&token) && self.inner.id_to_token(token).is_some()
    }

    /// A short text of one or a few tokens, with them.
    pub(crate) fn sample_text(&self) -> Result<(&'static str, Vec<u32>), LmError> {
        for text in ["a", "0", "A", "."] {
            let tokens = self.encode(text, false)?;
            if !tokens.is_empty() {
                return Ok((text, tokens));
            }
        }
        Ok(("", Vec::new()))
    }

    /// The added tokens in `text`, special or not, in order.
    pub(crate) fn added_tokens_in(&self, text: &str) -> Result<Vec<u32>, LmError> {
        let added = self.inner.get_added_vocabulary().get_added_tokens_decoder();
        let mut tokens = self.encode(text, false)?;
        tokens.retain(|token| added.contains_key(token));
        Ok(tokens)
    }

    /// The token of `bos_token`, where the model has one.
    pub fn bos_token(&self) -> Option<u32> {
        self.named("bos_token")
    }

    /// The token of `eos_token`, where the model has one.
    pub fn eos_token(&self) -> Option<u32> {
        self.named("eos_token")
    }

    /// The token of `pad_token`, where the model has one.
    pub fn pad_token(&self) -> Option<u32> {
        self.named("pad_token")
    }

    /// Special tokens by role (`bos_token`, `eos_token`, ...); chat templates see them.
    pub fn special_tokens(&self) -> &BTreeMap<String, String> {
        &self.special
    }

    /// The token whose text is `text`, if it is one.
    pub fn token(&self, text: &str) -> Option<u32> {
        self.inner.token_to_id(text)
    }

    /// The vocabulary's spelling of a token, which need not be readable text.
    pub fn spelling(&self, token: u32) -> Option<String> {
        self.inner.id_to_token(token)
    }

    /// One more than the largest token.
    pub fn vocabulary_len(&self) -> usize {
        let last = self.inner.get_vocab(true).into_values().max();
        last.map_or(0, |last| last as usize + 1)
    }

    /// Checks that every token has a row in an embedding of `vocab_size` rows.
    ///
    /// # Errors
    /// When the tokenizer can produce a token beyond the embedding.
    pub fn check_vocab_size(&self, vocab_size: usize) -> Result<(), LmError> {
        let found = self.vocabulary_len();
        if found <= vocab_size {
            return self.check_added(vocab_size);
        }
        Err(LmError::Tokenizer {
            path: self.path.clone(),
            reason: format!(
                "it has tokens up to {} (\"{}\"), but the model's vocab_size is {vocab_size}; \
                 use the tokenizer that belongs to the model, and remove tokens that the model does \
                 not have from tokenizer.json, tokenizer_config.json and added_tokens.json",
                found - 1,
                self.spelling(found as u32 - 1).unwrap_or_default(),
            ),
        })
    }

    /// The tokens that are put around a text or end one, which need not be in the
    /// vocabulary: a post-processor names them by number.
    fn check_added(&self, vocab_size: usize) -> Result<(), LmError> {
        let around = self.encode("", true)?;
        let wrong = around
            .iter()
            .map(|token| (token, "its post-processor adds"))
            .chain(
                self.end_tokens
                    .iter()
                    .map(|token| (token, "`eos_token_id` names")),
            )
            .find(|(token, _)| **token as usize >= vocab_size);
        match wrong {
            None => Ok(()),
            Some((token, who)) => Err(LmError::Tokenizer {
                path: self.path.clone(),
                reason: format!(
                    "{who} token {token}, but the model's vocab_size is {vocab_size}; \
                     use the tokenizer that belongs to the model"
                ),
            }),
        }
    }

    /// The model's chat template: the one named `tool_use` for conversations with
    /// tools where there is such a one, otherwise the default. `None` for a model
    /// without a chat template.
    ///
    /// # Errors
    /// When the template does not parse, or there are only named ones and none
    /// of them is `default`.
    pub fn chat_template(&self, with_tools: bool) -> Result<Option<ChatTemplate>, LmError> {
        let name = if with_tools && self.templates.contains_key("tool_use") {
            "tool_use"
        } else {
            "default"
        };
        match self.templates.get(name) {
            Some((file, source)) => ChatTemplate::new(source, file, &self.special).map(Some),
            None if self.templates.is_empty() => Ok(None),
            None => Err(LmError::Tokenizer {
                path: self.path.with_file_name("tokenizer_config.json"),
                reason: format!(
                    "none of its chat templates ({}) is called `default`; name the template to use",
                    self.templates
                        .keys()
                        .cloned()
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            }),
        }
    }

    /// Texts of the special tokens, those that end turns among them.
    pub fn special_texts(&self) -> impl Iterator<Item = &str> {
        self.special_texts.iter().map(String::as_str)
    }

    /// The special token that `text` starts with, the longest if there are several.
    pub(crate) fn special_prefix(&self, text: &str) -> Option<&str> {
        self.special_texts
            .iter()
            .filter(|special| text.starts_with(special.as_str()))
            .max_by_key(|special| special.len())
            .map(String::as_str)
    }

    /// The length of `text` up to a special token that only white space follows.
    pub(crate) fn special_end(&self, text: &str) -> Option<usize> {
        let text = text.trim_end();
        let ends = |special: &String| text.ends_with(special.as_str());
        self.special_texts.iter().any(ends).then_some(text.len())
    }

    fn find_opening(&self) -> Result<Vec<u32>, LmError> {
        let (text, plain) = self.sample_text()?;
        let mut around = self.encode(text, true)?;
        if plain.is_empty() {
            // Nothing to hold on to: only a first token is known to come before.
            around.retain(|token| Some(*token) == self.bos_token());
            return Ok(around);
        }
        let before = around.windows(plain.len()).position(|part| part == plain);
        around.truncate(before.unwrap_or(0));
        Ok(around)
    }

    fn find_restarts(&self) -> Result<bool, LmError> {
        let (text, plain) = self.sample_text()?;
        for special in &self.special_texts {
            let behind = self.encode(&format!("{special}{text}"), false)?;
            if behind.first().copied() == self.token(special) {
                return Ok(behind[1..] == plain);
            }
        }
        Ok(false)
    }

    fn named(&self, role: &str) -> Option<u32> {
        self.token(self.special.get(role)?)
    }

    fn read_end_tokens(&mut self, folder: &Path, config_path: &Path) -> Result<(), LmError> {
        if let Some(text) = self.special.get("eos_token") {
            let token = self.token(text).ok_or_else(|| LmError::Tokenizer {
                path: config_path.to_path_buf(),
                reason: format!("eos_token is \"{text}\", which is no token of tokenizer.json"),
            })?;
            self.add_end_token(token);
        }
        for file in ["generation_config.json", "config.json"] {
            let path = folder.join(file);
            let config: Map<String, Value> = json_if_present(&path)?.unwrap_or_default();
            let found =
                token_list(config.get("eos_token_id")).ok_or_else(|| LmError::Tokenizer {
                    path,
                    reason: "`eos_token_id` must be a token id or a list of token ids".into(),
                })?;
            found.iter().for_each(|token| self.add_end_token(*token));
            if self.generation_end_tokens.is_empty() {
                self.generation_end_tokens = found;
            }
        }
        Ok(())
    }
}

/// Parses `tokenizer.json` without what would falsify lengths and places:
/// truncation and padding, and offsets that leave out spaces. Beside it, how many
/// times longer its normaliser can make a text.
fn parse(text: &str, path: &Path) -> Result<(tokenizers::Tokenizer, f64), LmError> {
    let mut json: Map<String, Value> = parse_json(text, path)?;
    json.insert("truncation".into(), Value::Null);
    json.insert("padding".into(), Value::Null);
    if let Some(processor) = json.get_mut("post_processor") {
        keep_offsets(processor);
    }
    let refused = |reason: String| LmError::Tokenizer {
        path: path.to_path_buf(),
        reason: format!("not a tokenizer that can be used: {reason}"),
    };
    let growth = |name| guard::modest_growth(name, json.get(name)).map_err(refused);
    growth("decoder")?;
    let growth = growth("normalizer")? * growth("pre_tokenizer")?;
    let json = Value::Object(json).to_string();
    match guarded("read", || tokenizers::Tokenizer::from_bytes(json)) {
        Ok(tokenizer) => Ok((tokenizer, growth)),
        Err(LmError::Tokenization { reason, .. }) => Err(refused(reason)),
        Err(error) => Err(error),
    }
}

fn keep_offsets(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(trim) = map.get_mut("trim_offsets") {
                *trim = Value::Bool(false);
            }
            map.values_mut().for_each(keep_offsets);
        }
        Value::Array(values) => values.iter_mut().for_each(keep_offsets),
        _ => {}
    }
}

/// Texts of the special tokens, those of `tokenizer_config.json` first.
fn special_tokens(
    map: &Map<String, Value>,
    config: &Map<String, Value>,
) -> BTreeMap<String, String> {
    let mut special = BTreeMap::new();
    for (role, value) in map.iter().chain(config) {
        let text = match value {
            Value::Object(token) => token.get("content").and_then(Value::as_str),
            value => value.as_str(),
        };
        if let (true, Some(text)) = (role.ends_with("_token"), text) {
            special.insert(role.clone(), text.to_owned());
        }
    }
    special
}

/// Chat templates by name: `chat_template.jinja` and the files beside it first,
/// then `tokenizer_config.json`, where it is one string or a list with names.
fn templates(
    folder: &Path,
    config: &Map<String, Value>,
    config_path: &Path,
) -> Result<BTreeMap<String, (String, String)>, LmError> {
    let mut found = BTreeMap::new();
    let malformed = || LmError::Tokenizer {
        path: config_path.to_path_buf(),
        reason: "`chat_template` must be a string or a list of objects with `name` and `template`"
            .into(),
    };
    let place = config_path.display().to_string();
    match config.get("chat_template") {
        None | Some(Value::Null) => {}
        Some(Value::String(source)) => {
            found.insert("default".into(), (place, source.clone()));
        }
        Some(Value::Array(entries)) => {
            for entry in entries {
                let text = |key| entry.get(key).and_then(Value::as_str);
                let (Some(name), Some(source)) = (text("name"), text("template")) else {
                    return Err(malformed());
                };
                found.insert(name.into(), (format!("{place} ({name})"), source.into()));
            }
        }
        Some(_) => return Err(malformed()),
    }
    for (name, file) in [
        ("default", "chat_template.jinja"),
        ("tool_use", "additional_chat_templates/tool_use.jinja"),
    ] {
        let path = folder.join(file);
        if let Some(source) = read_if_present(&path)? {
            found.insert(name.into(), (path.display().to_string(), source));
        }
    }
    Ok(found)
}

/// `eos_token_id`: absent, one or several.
fn token_list(value: Option<&Value>) -> Option<Vec<u32>> {
    let one = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match value {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(values)) => values.iter().map(one).collect(),
        Some(value) => one(value).map(|id| vec![id]),
    }
}
