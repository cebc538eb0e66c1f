//! Everything of a model folder that is not weights.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::WeightType;
use crate::error::LmError;
use crate::file::{io_error, parse_json, write_atomically};

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
    let text = fs::read_to_string(&source).map_err(io_error(&source, "read"))?;
    let mut config: Map<String, Value> = parse_json(&text, &source)?;
    // transformers 5 says `dtype` and still reads the older name.
    let key = if config.contains_key("dtype") {
        config.remove("torch_dtype");
        "dtype"
    } else {
        "torch_dtype"
    };
    config.insert(key.into(), json!(kind.name()));
    let target = to.join("config.json");
    write_atomically(&target, |writer| {
        writeln!(writer, "{:#}", Value::Object(config)).map_err(io_error(&target, "write"))
    })?;

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
