//! Small tokenizers of the kinds that models have.

#![allow(dead_code)] // Each test program uses a part of it.
#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use std::fs;
use std::path::Path;

use iwsft_lm::Tokenizer;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// How a tokenizer treats spaces, and what a text begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// SentencePiece as tokenizer.json has it for Llama 2: every piece of text
    /// between special tokens gets a space in front.
    Prepend,
    /// The text gets one, and what stands behind a special token does not.
    First,
    /// Every piece gets one, unless it has one.
    Always,
    /// GPT-2: bytes, and no space in front.
    Bytes,
    /// GPT-2 with `add_prefix_space`.
    SpacedBytes,
    /// BERT: words, and pieces that go on with one.
    Words,
    /// SentencePiece's likeliest pieces, with the decoder that belongs to `Always`.
    Pieces,
}

pub(crate) const KINDS: [Kind; 7] = [
    Kind::Prepend,
    Kind::First,
    Kind::Always,
    Kind::Bytes,
    Kind::SpacedBytes,
    Kind::Words,
    Kind::Pieces,
];

const SPECIAL: [&str; 4] = ["<unk>", "<s>", "</s>", "<turn>"];
const CHARACTERS: &str = "abcdeghz04:. ";
const MERGES: [(&str, &str); 8] = [
    ("a", "b"),
    (" ", "a"),
    (" a", "b"),
    ("c", "d"),
    (" ", "cd"),
    (" ", " "),
    (":", "."),
    ("b", "c"),
];

impl Kind {
    /// The tokenizer. Token 1 stands before every text, token 2 ends one. With
    /// `bytes`, every text can be written.
    pub(crate) fn tokenizer(self, bytes: bool) -> Tokenizer {
        Tokenizer::from_folder(self.folder(bytes).path()).unwrap()
    }

    /// Its folder.
    pub(crate) fn folder(self, bytes: bool) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "tokenizer.json", &self.json(bytes));
        let config = json!({ "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>" });
        write(folder.path(), "tokenizer_config.json", &config);
        folder
    }

    /// What the tokenizer calls a space.
    fn space(self) -> &'static str {
        match self {
            Self::Bytes | Self::SpacedBytes => "Ġ",
            _ => "▁",
        }
    }

    pub(crate) fn json(self, bytes: bool) -> Value {
        let replace = json!({ "type": "Replace", "pattern": { "String": " " }, "content": "▁" });
        let prepend = json!({ "type": "Prepend", "prepend": "▁" });
        let metaspace = |scheme| json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": false });
        let byte_level = |spaced: bool| json!({ "type": "ByteLevel", "add_prefix_space": spaced, "trim_offsets": true, "use_regex": true });
        let back = json!({ "type": "Replace", "pattern": { "String": "▁" }, "content": " " });
        let sentence = json!({ "type": "Sequence", "decoders": [back, { "type": "ByteFallback" },
            { "type": "Fuse" }, { "type": "Strip", "content": " ", "start": 1, "stop": 0 }] });
        let (normalizer, pre_tokenizer, decoder) = match self {
            Self::Prepend => {
                let both = json!({ "type": "Sequence", "normalizers": [prepend, replace] });
                (both, Value::Null, sentence)
            }
            Self::First => (Value::Null, metaspace("first"), sentence),
            Self::Always => (Value::Null, metaspace("always"), sentence),
            Self::Bytes => (Value::Null, byte_level(false), byte_level(true)),
            Self::SpacedBytes => (Value::Null, byte_level(true), byte_level(true)),
            Self::Pieces => (Value::Null, metaspace("always"), metaspace("always")),
            Self::Words => (
                Value::Null,
                json!({ "type": "BertPreTokenizer" }),
                json!({ "type": "WordPiece", "prefix": "##", "cleanup": false }),
            ),
        };
        let special = |(id, text): (usize, &&str)| {
            json!({ "id": id, "content": text, "special": true, "normalized": false,
                "single_word": false, "lstrip": false, "rstrip": false })
        };
        let added: Vec<Value> = SPECIAL.iter().enumerate().map(special).collect();
        let single = json!([{ "SpecialToken": { "id": "<s>", "type_id": 0 } },
            { "Sequence": { "id": "A", "type_id": 0 } }]);
        json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
            "normalizer": normalizer, "pre_tokenizer": pre_tokenizer,
            "post_processor": { "type": "TemplateProcessing", "single": single, "pair": [],
                "special_tokens": { "<s>": { "id": "<s>", "ids": [1], "tokens": ["<s>"] } } },
            "decoder": decoder, "model": self.model(bytes),
        })
    }

    fn model(self, bytes: bool) -> Value {
        let mut vocabulary: Vec<String> = SPECIAL.map(str::to_owned).to_vec();
        if self == Self::Words {
            let pieces = CHARACTERS.chars().filter(|c| *c != ' ').map(String::from);
            let pieces: Vec<String> = pieces.chain(["ab".into(), "cd".into()]).collect();
            vocabulary.extend(pieces.iter().map(|piece| format!("##{piece}")));
            vocabulary.extend(pieces);
            return json!({ "type": "WordPiece", "unk_token": "<unk>", "vocab": numbered(vocabulary),
                "continuing_subword_prefix": "##", "max_input_chars_per_word": 100 });
        }
        if self == Self::Pieces {
            vocabulary.extend(CHARACTERS.chars().map(|c| c.to_string().replace(' ', "▁")));
            vocabulary.extend(["ab", "▁a", "cd", "▁cd", "bc"].map(str::to_owned));
            // Longer pieces are likelier than what they are made of.
            let score = |piece: String| json!([piece, piece.chars().count() as f64 - 10.0]);
            let pieces: Vec<Value> = vocabulary.into_iter().map(score).collect();
            return json!({ "type": "Unigram", "unk_id": 0, "vocab": pieces, "byte_fallback": false });
        }
        let some = [0xC3, 0xA9, 0x0A, 0xF0, 0x9F, 0x98, 0x80];
        let fallback = !matches!(self, Self::Bytes | Self::SpacedBytes);
        for byte in (0..=255).filter(|byte| bytes || some.contains(byte)) {
            let text = if fallback {
                format!("<0x{byte:02X}>")
            } else {
                byte_letter(byte).into()
            };
            vocabulary.push(text);
        }
        let spelled = |text: &str| text.replace(' ', self.space());
        vocabulary.extend(CHARACTERS.chars().map(|c| spelled(&c.to_string())));
        let merges = MERGES.map(|(left, right)| [spelled(left), spelled(right)]);
        vocabulary.extend(merges.iter().map(|pair| pair.concat()));
        json!({
            "type": "BPE", "dropout": null, "unk_token": if fallback { json!("<unk>") } else { Value::Null },
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true,
            "byte_fallback": fallback, "ignore_merges": false,
            "vocab": numbered(vocabulary), "merges": merges,
        })
    }
}

/// Tokens with their numbers; one that comes twice keeps its first.
fn numbered(tokens: Vec<String>) -> Map<String, Value> {
    let mut vocabulary = Map::new();
    for token in tokens {
        let next = vocabulary.len();
        vocabulary.entry(token).or_insert(json!(next));
    }
    vocabulary
}

/// The letter that stands for a byte in tokenizers of bytes.
fn byte_letter(byte: u8) -> char {
    let plain = |byte: &u8| matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    if plain(&byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|byte| !plain(byte)).count() as u32;
    char::from_u32(256 + before).unwrap()
}

pub(crate) fn write(folder: &Path, name: &str, value: &Value) {
    fs::write(folder.join(name), value.to_string()).unwrap();
}
