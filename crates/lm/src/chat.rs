//! Chat templates: conversations to text, as Hugging Face renders them.
//!
//! The language is Jinja2 with Hugging Face's extensions: `{% generation %}`
//! around the assistant's text, `raise_exception`, `strftime_now`, a `tojson`
//! that writes plain JSON, loop controls and Python's string methods.

mod bounds;
mod environment;
pub use environment::today;
mod fit;
pub(crate) use fit::content_texts;
mod generation_tag;
pub(crate) mod python;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;

use minijinja::{Environment, ErrorKind};
use serde_json::{Map, Value, json};

use crate::error::LmError;
pub(crate) use environment::{CLOSE, OPEN};

/// The name under which an environment holds its only template.
const NAME: &str = "chat";

/// A compiled chat template.
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    source: String,
    /// Where the source comes from, for messages.
    origin: String,
    plain: Environment<'static>,
    /// Marks what stands inside of `{% generation %}`, where the template has that.
    marked: Option<Environment<'static>>,
    special: Map<String, Value>,
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
        let compile = |source: String, marking| {
            let mut environment = environment::hugging_face(marking);
            environment
                .add_template_owned(NAME, source)
                .map_err(|error| failure(origin, &error))?;
            Ok(environment)
        };
        let bounded = |reason| LmError::Template {
            template: origin.into(),
            reason,
        };
        // Jinja2 knows one kind of line ending.
        let lines = source.replace("\r\n", "\n").replace('\r', "\n");
        bounds::check_source(&lines).map_err(bounded)?;
        let (rewritten, tagged) = generation_tag::replace(&lines);
        let compile = |source: String, marking| {
            bounds::on_own_stack(|| compile(source, marking)).map_err(bounded)?
        };
        Ok(Self {
            source: source.into(),
            origin: origin.into(),
            plain: compile(rewritten.clone(), false)?,
            marked: tagged.then(|| compile(rewritten, true)).transpose()?,
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
        self.marked.is_some()
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
        self.run(&self.plain, &context, options)
    }

    /// As [`Self::render_as_is`], with the places of the assistant's text. `None` when
    /// the template does not mark them.
    pub(crate) fn render_marked(
        &self,
        messages: &[Value],
        options: &RenderOptions,
    ) -> Result<Option<Marked>, LmError> {
        let Some(environment) = &self.marked else {
            return Ok(None);
        };
        let context = self.context(messages, false, options);
        if contains_marks(&context) {
            return Err(LmError::Messages {
                reason: "they contain U+10FFFC or U+10FFFD, private characters that are \
                         used to mark the assistant's text; remove them"
                    .into(),
            });
        }
        let rendered = self.run(environment, &context, options)?;
        self.without_marks(&rendered).map(Some)
    }

    fn context(
        &self,
        messages: &[Value],
        add_generation_prompt: bool,
        options: &RenderOptions,
    ) -> Value {
        let mut context = self.special.clone();
        context.insert("documents".into(), json!(options.documents));
        context.insert("tools".into(), json!(options.tools));
        context.extend(options.variables.clone());
        context.insert(
            "messages".into(),
            messages.iter().map(with_reasoning).collect(),
        );
        context.insert("add_generation_prompt".into(), json!(add_generation_prompt));
        Value::Object(context)
    }

    fn run(
        &self,
        environment: &Environment<'static>,
        context: &Value,
        options: &RenderOptions,
    ) -> Result<String, LmError> {
        let mut environment = match &options.today {
            None => environment.clone(),
            Some(today) => environment::on_day(environment, today)?,
        };
        environment.set_fuel(Some(bounds::fuel(context)));
        let render = || {
            let template = environment.get_template(NAME)?;
            template.render(python::from_json(context))
        };
        bounds::on_own_stack(|| render().map_err(|error| failure(&self.origin, &error))).map_err(
            |reason| LmError::Template {
                template: self.origin.clone(),
                reason,
            },
        )?
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

fn failure(origin: &str, error: &minijinja::Error) -> LmError {
    // The template's own message stands alone; anything else needs the line.
    let line = error
        .line()
        .map_or_else(String::new, |line| format!(" (line {line})"));
    let reason = match (error.kind(), error.detail()) {
        (ErrorKind::InvalidOperation, Some(detail)) if detail.starts_with(environment::RAISED) => {
            format!(
                "it refuses the conversation: {}",
                &detail[environment::RAISED.len()..]
            )
        }
        (ErrorKind::OutOfFuel, _) => format!(
            "it takes more steps or memory than a template may take for this conversation{line}"
        ),
        (kind, Some(detail)) => format!("{kind}: {detail}{line}"),
        (kind, None) => format!("{kind}{line}"),
    };
    LmError::Template {
        template: origin.into(),
        reason,
    }
}
