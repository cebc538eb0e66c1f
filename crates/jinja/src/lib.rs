//! Jinja2 as Hugging Face's chat templates use it.
//!
//! A chat template is written for one engine: Jinja2 in transformers' sandbox, with
//! Python's values beneath. What differs from it, a test, the spelling of a number, a
//! method of a string, gives other tokens without a word. So this crate follows
//! Jinja2 3.1 and Python to the letter: `scripts/fixtures/jinja.py` renders thousands
//! of snippets with transformers, and the crate's tests compare.
//!
//! A chat template also comes with a model that was downloaded. What a rendering may
//! do is bounded ([`Limits`]): steps, bytes, nesting. Values never change and never
//! contain themselves, so nothing recurses without end.
//!
//! Left out is what no chat template can mean: other files (`include`, `extends`,
//! `import`), `autoescape`, and the filters `pprint`, `random`, `urlize`, `wordwrap` and
//! `xmlattr`.
//!
//! ```
//! use iwsft_jinja::{RenderOptions, Template};
//! let template = Template::parse("{% for m in messages %}{{ m.role ~ ': ' ~ m.content }}\n{% endfor %}")?;
//! let context = serde_json::json!({ "messages": [{ "role": "user", "content": "Hi" }] });
//! let context = context.as_object().unwrap();
//! assert_eq!(template.render(context, &RenderOptions::default())?, "user: Hi\n");
//! # Ok::<(), iwsft_jinja::JinjaError>(())
//! ```

mod arguments;
mod ast;
mod attributes;
mod budget;
mod calls;
mod compare;
mod error;
mod evaluate;
mod expression;
mod filters;
mod interpreter;
mod json;
mod lexer;
mod methods;
mod numbers;
mod operators;
mod parser;
mod predicates;
mod printf;
mod printing;
mod sequences;
mod strformat;
mod text;
mod value;

use std::sync::Arc;

use jiff::civil::DateTime;
use serde_json::{Map, Value as Json};

pub use budget::Limits;
pub use error::JinjaError;

use crate::budget::Budget;
use crate::interpreter::Interpreter;
use crate::value::Value;

/// A parsed template.
#[derive(Debug, Clone)]
pub struct Template {
    block: Arc<ast::Block>,
    marks_generation: bool,
}

/// What a rendering depends on besides its variables.
#[derive(Debug, Clone, Default)]
pub struct RenderOptions {
    /// The time that `strftime_now` tells; the present one where it is not set.
    pub now: Option<DateTime>,
    /// Characters to put before and behind what stands inside of `{% generation %}`.
    pub marks: Option<(char, char)>,
    /// What the rendering may use; [`Limits::for_input`] where nothing is set.
    pub limits: Option<Limits>,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// When the source is no template, or is nested too deeply.
    pub fn parse(source: &str) -> Result<Self, JinjaError> {
        let (block, marks_generation) = parser::parse(source)?;
        Ok(Self {
            block: Arc::new(block),
            marks_generation,
        })
    }

    /// Whether the template has `{% generation %}`.
    pub fn marks_generation(&self) -> bool {
        self.marks_generation
    }

    /// The template's text for some variables.
    ///
    /// # Errors
    /// Where Jinja2 fails as well, when the template raises an exception, or needs more
    /// than the limits allow.
    pub fn render(
        &self,
        context: &Map<String, Json>,
        options: &RenderOptions,
    ) -> Result<String, JinjaError> {
        let limits = options
            .limits
            .unwrap_or_else(|| Limits::for_input(context.iter().map(size_of_field).sum()));
        let mut budget = Budget::new(limits);
        let context = json::loads_dict(context, &mut budget).map_err(|fault| fault.at(1))?;
        let mut interpreter = Interpreter::new(context, budget, options);
        let rendered = interpreter.run(&self.block);
        rendered.map_err(|fault| fault.at(interpreter.line))
    }
}

/// Roughly the bytes of a field as JSON.
fn size_of_field((key, value): (&String, &Json)) -> usize {
    let value = match value {
        Json::String(text) => text.len(),
        Json::Array(items) => items
            .iter()
            .map(|item| size_of_field((&String::new(), item)))
            .sum(),
        Json::Object(map) => map.iter().map(size_of_field).sum(),
        _ => 4,
    };
    key.len() + value + 4
}

/// A JSON value as by Python's `repr()`, which is what templates print of it.
pub fn repr(value: &Json) -> String {
    written(value, |interpreter, value| interpreter.repr(value))
}

/// A JSON value as by `json.dumps`; with `ascii`, other characters are escaped.
pub fn dumps(value: &Json, ascii: bool) -> String {
    let style = json::Style {
        ascii,
        ..json::Style::default()
    };
    written(value, |interpreter, value| {
        json::dumps(value, &style, &mut interpreter.budget)
    })
}

/// A JSON value written in some way; nothing where it is nested beyond all sense.
fn written(
    value: &Json,
    write: impl FnOnce(&mut Interpreter<'_>, &Value) -> error::Result<String>,
) -> String {
    let options = RenderOptions::default();
    let limits = Limits {
        steps: u64::MAX,
        bytes: u64::MAX,
        depth: u32::MAX,
    };
    let mut interpreter = Interpreter::new(value::Dict::new(), Budget::new(limits), &options);
    let value = json::loads(value, &mut interpreter.budget);
    value
        .and_then(|value| write(&mut interpreter, &value))
        .unwrap_or_default()
}
