//! Chat templates: conversations to text, as Hugging Face renders them.
//!
//! The language is Jinja2 with Hugging Face's extensions; [`iwsft_jinja`] has it.

mod fit;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;

use iwsft_jinja::{JinjaError, Template};
use jiff::Zoned;
use jiff::civil::{Date, DateTime};
use serde_json::{Map, Value, json};

use crate::error::LmError;
pub(crate) use fit::content_texts;

/// Stands before the assistant's text in a marked rendering.
pub(crate) const OPEN: char = '\u{10FFFC}';
/// Stands behind the assistant's text in a marked rendering.
pub(crate) const CLOSE: char = '\u{10FFFD}';

/// A compiled chat template.
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    source: String,
    /// Where the source comes from, for messages.
    origin: String,
    template: Template,
    special: Map<String, Value>,
}

/// The present day, as [`RenderOptions::today`] takes it.
pub fn today() -> String {
    Zoned::now().date().to_string()
}

/// What a rendering depends on besides the messages.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RenderOptions {
    /// Definitions of the tools that the assistant may call, as a JSON list.
    pub tools: Option<Value>,
    /// Documents for retrieval, as a JSON list.
    pub documents: Option<Value>,
    /// Further variables of the template, such as `enable_thinking` or `date_string`.
    pub variables: Map<String, Value>,
    /// The day that `strftime_now` tells (`2024-07-26`), so that the text does
    /// not change from day to day; today where it is not set.
    pub today: Option<String>,
}

/// A rendered conversation with the assistant's text by `{% generation %}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marked {
    pub(crate) text: String,
    /// Bytes of `text`, in order, without overlap.
    pub(crate) spans: Vec<Range<usize>>,
}

impl ChatTemplate {
    /// Compiles a template. `origin` is what messages call it; `special` are the
    /// tokenizer's special tokens by role, which the template can name.
    ///
    /// # Errors
    /// When the source is not a valid template, or nests without end.
    pub fn new(
        source: &str,
        origin: &str,
        special: &BTreeMap<String, String>,
    ) -> Result<Self, LmError> {
        let template = Template::parse(source).map_err(|error| failure(origin, &error))?;
        Ok(Self {
            source: source.into(),
            origin: origin.into(),
            template,
            special: special
                .iter()
                .map(|(role, text)| (role.clone(), json!(text)))
                .collect(),
        })
    }

    /// The template as it was given.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Where the template comes from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether the template marks the assistant's text with `{% generation %}`.
    pub fn marks_generation(&self) -> bool {
        self.template.marks_generation()
    }

    /// The text of a conversation. With `add_generation_prompt` it ends with what
    /// precedes the assistant's next message. Content that is a list of text parts,
    /// and arguments of tool calls that are JSON in a string, are given to the
    /// template in the form that it reads.
    ///
    /// # Errors
    /// When the template refuses the conversation or needs what it does not have.
    pub fn render(
        &self,
        messages: &[Value],
        add_generation_prompt: bool,
        options: &RenderOptions,
    ) -> Result<String, LmError> {
        let messages = self.fit(messages, add_generation_prompt, options)?;
        self.render_as_is(&messages, add_generation_prompt, options)
    }

    /// As [`Self::render`], of messages that are in the form that the template reads.
    pub(crate) fn render_as_is(
        &self,
        messages: &[Value],
        add_generation_prompt: bool,
        options: &RenderOptions,
    ) -> Result<String, LmError> {
        let context = self.context(messages, add_generation_prompt, options);
        self.run(&context, None, options)
    }

    /// As [`Self::render_as_is`], with the places of the assistant's text. `None` when
    /// the template does not mark them.
    pub(crate) fn render_marked(
        &self,
        messages: &[Value],
        options: &RenderOptions,
    ) -> Result<Option<Marked>, LmError> {
        if !self.marks_generation() {
            return Ok(None);
        }
        let context = self.context(messages, false, options);
        if context.values().any(contains_marks) {
            return Err(LmError::Messages {
                reason: "they contain U+10FFFC or U+10FFFD, private characters that are \
                         used to mark the assistant's text; remove them"
                    .into(),
            });
        }
        let rendered = self.run(&context, Some((OPEN, CLOSE)), options)?;
        self.without_marks(&rendered).map(Some)
    }

    fn context(
        &self,
        messages: &[Value],
        add_generation_prompt: bool,
        options: &RenderOptions,
    ) -> Map<String, Value> {
        let mut context = self.special.clone();
        context.insert("documents".into(), json!(options.documents));
        context.insert("tools".into(), json!(options.tools));
        context.extend(options.variables.clone());
        context.insert(
            "messages".into(),
            messages.iter().map(with_reasoning).collect(),
        );
        context.insert("add_generation_prompt".into(), json!(add_generation_prompt));
        context
    }

    fn run(
        &self,
        context: &Map<String, Value>,
        marks: Option<(char, char)>,
        options: &RenderOptions,
    ) -> Result<String, LmError> {
        let options = iwsft_jinja::RenderOptions {
            now: options.today.as_deref().map(midnight).transpose()?,
            marks,
            limits: None,
        };
        self.template
            .render(context, &options)
            .map_err(|error| failure(&self.origin, &error))
    }

    /// Takes the marks out of a rendering and notes where they were.
    fn without_marks(&self, rendered: &str) -> Result<Marked, LmError> {
        let mut text = String::with_capacity(rendered.len());
        let mut spans: Vec<Range<usize>> = Vec::new();
        let mut depth = 0usize;
        let mut start = 0;
        let mut balanced = true;
        for character in rendered.chars() {
            match character {
                OPEN => {
                    if depth == 0 {
                        start = text.len();
                    }
                    depth += 1;
                }
                CLOSE if depth == 0 => balanced = false,
                CLOSE => {
                    depth -= 1;
                    if depth == 0 && start < text.len() {
                        spans.push(start..text.len());
                    }
                }
                other => text.push(other),
            }
        }
        if balanced && depth == 0 {
            Ok(Marked { text, spans })
        } else {
            Err(LmError::Template {
                template: self.origin.clone(),
                reason: "it cuts text apart that stands inside of {% generation %}".into(),
            })
        }
    }
}

/// A message in which the model's reasoning stands under every name that
/// templates read it by (`reasoning_content`, and `thinking`), as transformers
/// passes it.
fn with_reasoning(message: &Value) -> Value {
    let Value::Object(fields) = message else {
        return message.clone();
    };
    let reasoning = ["reasoning_content", "thinking", "reasoning"]
        .iter()
        .find_map(|key| fields.get(*key).filter(|value| !value.is_null()));
    let mut fields = fields.clone();
    if let Some(reasoning) = reasoning.cloned() {
        fields.insert("reasoning_content".into(), reasoning.clone());
        fields.entry("thinking").or_insert(reasoning);
    }
    Value::Object(fields)
}

fn contains_marks(value: &Value) -> bool {
    let marked = |text: &str| text.contains([OPEN, CLOSE]);
    match value {
        Value::String(text) => marked(text),
        Value::Array(values) => values.iter().any(contains_marks),
        Value::Object(map) => map
            .iter()
            .any(|(key, value)| marked(key) || contains_marks(value)),
        _ => false,
    }
}

/// The beginning of a day that is given as `2024-07-26`.
fn midnight(today: &str) -> Result<DateTime, LmError> {
    let day: Date = today.parse().map_err(|error| LmError::Messages {
        reason: format!("the day \"{today}\" must look like 2024-07-26: {error}"),
    })?;
    Ok(day.at(0, 0, 0, 0))
}

fn failure(origin: &str, error: &JinjaError) -> LmError {
    let reason = match error {
        JinjaError::Raised { message } => format!("it refuses the conversation: {message}"),
        other => other.to_string(),
    };
    LmError::Template {
        template: origin.into(),
        reason,
    }
}
