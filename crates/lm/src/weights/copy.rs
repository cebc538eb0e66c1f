//! Everything of a model folder that is not weights.

use std::fs;
use std::path::Path;

use iwsft_files::read_text;
use serde_json::{Map, Value, json};

use super::WeightType;
use crate::error::LmError;
use crate::file::{io_error, json_if_present, parse_json, write_atomically};

/// Files that go along as they are, where they exist.
const UNCHANGED: &[&str] = &[
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "chat_template.json",
];

/// Copies a model's configuration, tokenizer and chat template from folder
/// `from` to folder `to`, which must exist. `config.json` is as in `from`,
/// except that its element type becomes `kind`.
///
/// # Errors
/// When `config.json` is missing or no JSON, or a file cannot be read or written.
pub fn copy_model_files(from: &Path, to: &Path, kind: WeightType) -> Result<(), LmError> {
    let source = from.join("config.json");
    let text = read_text(&source).map_err(io_error(&source, "read"))?;
    let mut config: Map<String, Value> = parse_json(&text, &source)?;
    // transformers 5 says `dtype` and still reads the older name.
    let key = if config.contains_key("dtype") {
        config.remove("torch_dtype");
        "dtype"
    } else {
        "torch_dtype"
    };
    config.insert(key.into(), json!(kind.name()));
    write_json(&to.join("config.json"), config)?;

    for name in UNCHANGED {
        let source = from.join(name);
        if !source.is_file() {
            continue;
        }
        let content = fs::read(&source).map_err(io_error(&source, "read"))?;
        let target = to.join(name);
        write_atomically(&target, |writer| {
            writer
                .write_all(&content)
                .map_err(io_error(&target, "write"))
        })?;
    }
    Ok(())
}

/// Writes the end tokens of a model to `folder`'s `generation_config.json`, so that
/// generation stops at them wherever the model is loaded. Where the file is missing,
/// it is made, with what programs without it take from `config.json`.
///
/// # Errors
/// When a file is no JSON, or cannot be read or written.
pub fn save_end_tokens(folder: &Path, end_tokens: &[u32]) -> Result<(), LmError> {
    let path = folder.join("generation_config.json");
    let mut generation: Map<String, Value> = match json_if_present(&path)? {
        Some(generation) => generation,
        None => {
            let config: Map<String, Value> =
                json_if_present(&folder.join("config.json"))?.unwrap_or_default();
            let of = |key: &str| Some((key.to_owned(), config.get(key)?.clone()));
            let keys = ["bos_token_id", "pad_token_id"];
            keys.into_iter().filter_map(of).collect()
        }
    };
    generation.insert("eos_token_id".into(), json!(end_tokens));
    write_json(&path, generation)
}

fn write_json(path: &Path, value: Map<String, Value>) -> Result<(), LmError> {
    write_atomically(path, |writer| {
        writeln!(writer, "{:#}", Value::Object(value)).map_err(io_error(path, "write"))
    })
}
