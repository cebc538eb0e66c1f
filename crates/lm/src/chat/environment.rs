//! The template engine, set up as transformers sets up Jinja2.

use jiff::Zoned;
use jiff::civil::{Date, DateTime};
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::{generation_tag, python};
use crate::error::LmError;

/// Stands before the assistant's text in a marked rendering.
pub(crate) const OPEN: char = '\u{10FFFC}';
/// Stands behind the assistant's text in a marked rendering.
pub(crate) const CLOSE: char = '\u{10FFFD}';
/// Begins the message of an error that the template itself raised.
pub(super) const RAISED: &str = "raised by the template: ";

/// An environment without templates. With `marking`, what stands inside of
/// `{% generation %}` comes out between [`OPEN`] and [`CLOSE`].
pub(super) fn hugging_face(marking: bool) -> Environment<'static> {
    let mut environment = Environment::new();
    // Names of templates must not switch HTML escaping on.
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true);
    if let Ok(syntax) = syntax.build() {
        environment.set_syntax(syntax);
    }
    environment.set_unknown_method_callback(unknown_method_callback);
    environment
        .set_formatter(|out, _, value| write!(out, "{}", python::Str(value)).map_err(Error::from));
    environment.add_test("iterable", python::is_iterable);
    environment.add_test("sequence", python::is_sequence);
    environment.add_test("callable", python::is_callable);
    environment.add_filter("string", |value: &Value| python::Str(value).to_string());
    environment.add_filter("tojson", python::tojson);
    environment.add_filter("indent", python::indent);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", |format: &str| {
        strftime(Zoned::now().datetime(), format)
    });
    environment.add_filter(generation_tag::FILTER, move |text: String| {
        if marking {
            format!("{OPEN}{text}{CLOSE}")
        } else {
            text
        }
    });
    environment
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(
        ErrorKind::InvalidOperation,
        format!("{RAISED}{message}"),
    ))
}

/// The environment in which `strftime_now` tells midnight of `today` (`2024-07-26`).
pub(super) fn on_day(
    environment: &Environment<'static>,
    today: &str,
) -> Result<Environment<'static>, LmError> {
    let day: Date = today.parse().map_err(|error| LmError::Messages {
        reason: format!("the day \"{today}\" must look like 2024-07-26: {error}"),
    })?;
    let mut environment = environment.clone();
    environment.add_function("strftime_now", move |format: &str| {
        strftime(day.at(0, 0, 0, 0), format)
    });
    Ok(environment)
}

/// The present day, as [`crate::RenderOptions::today`] takes it.
pub fn today() -> String {
    Zoned::now().date().to_string()
}

fn strftime(time: DateTime, format: &str) -> Result<String, Error> {
    jiff::fmt::strtime::format(format, time).map_err(|error| {
        Error::new(
            ErrorKind::InvalidOperation,
            format!("strftime_now(\"{format}\"): {error}"),
        )
    })
}
