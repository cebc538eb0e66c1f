//! What `scripts/fixtures/chat.py` wrote, and the shared data where it is present.

#![allow(dead_code)] // Each test program uses a part of it.
#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use std::fs;
use std::path::{Path, PathBuf};

use iwsft_lm::{ChatTemplate, LmError, Masked, RenderOptions, Tokenizer, encode_messages};
use serde_json::Value;

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/chat")
}

pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")).join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: shared data {} is absent", path.display());
    None
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// The fixtures' tokenizer, templates and cases.
pub(crate) struct Fixtures {
    pub(crate) tokenizer: Tokenizer,
    pub(crate) templates: Value,
    pub(crate) cases: Vec<Value>,
}

impl Fixtures {
    pub(crate) fn load() -> Self {
        let file: Value = serde_json::from_str(&read(&fixtures().join("cases.json"))).unwrap();
        Self {
            tokenizer: Tokenizer::from_folder(&fixtures()).unwrap(),
            templates: file["templates"].clone(),
            cases: file["cases"].as_array().unwrap().clone(),
        }
    }

    pub(crate) fn source(&self, name: &str) -> &str {
        self.templates[name].as_str().unwrap()
    }

    pub(crate) fn template(&self, name: &str) -> ChatTemplate {
        ChatTemplate::new(self.source(name), name, self.tokenizer.special_tokens()).unwrap()
    }

    /// The cases without generation prompt of one template.
    pub(crate) fn of<'a>(&'a self, template: &'a str) -> impl Iterator<Item = &'a Value> {
        self.cases
            .iter()
            .filter(move |case| case["template"] == template)
            .filter(|case| case["add_generation_prompt"] == false)
    }

    pub(crate) fn encode(&self, template: &str, messages: &Value) -> Result<Masked, LmError> {
        let options = RenderOptions::default();
        let template = self.template(template);
        encode_messages(&self.tokenizer, &template, list(messages), &[], &options)
    }

    /// The texts of the unbroken runs of tokens that carry loss.
    pub(crate) fn loss_texts(&self, encoded: &Masked) -> Vec<String> {
        let mut runs = Vec::new();
        let mut run = Vec::new();
        for (token, weight) in encoded.tokens.iter().zip(&encoded.step_weight) {
            if *weight > 0.0 {
                run.push(*token);
            } else if !run.is_empty() {
                runs.push(std::mem::take(&mut run));
            }
        }
        runs.extend((!run.is_empty()).then_some(run));
        runs.iter()
            .map(|run| self.tokenizer.decode(run, true).unwrap())
            .collect()
    }
}

pub(crate) fn list(messages: &Value) -> &[Value] {
    messages.as_array().unwrap()
}

pub(crate) fn options(case: &Value) -> RenderOptions {
    RenderOptions {
        tools: (!case["tools"].is_null()).then(|| case["tools"].clone()),
        variables: case["variables"].as_object().unwrap().clone(),
        ..RenderOptions::default()
    }
}
