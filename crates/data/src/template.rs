//! A text made of a row's columns: `Q: {question}\nA:`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::DataError;
use crate::row::{Location, describe, names};

/// A text with columns in braces; doubled braces stand for themselves.
///
/// ```
/// use iwsft_data::Template;
///
/// let template = Template::parse("Q: {question}\nA:")?;
/// assert_eq!(template.columns().collect::<Vec<_>>(), ["question"]);
/// # Ok::<(), iwsft_data::TemplateError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Column(String),
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the template {text:?}: {reason}; columns stand in braces, as in 'Q: {{question}}', and a \
     brace itself is doubled"
)]
pub struct TemplateError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// If a brace has no partner or does not hold a name, or no column is named.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let wrong = |reason| TemplateError {
            text: text.to_owned(),
            reason,
        };
        let (mut parts, mut plain) = (Vec::new(), String::new());
        let mut rest = text;
        while let Some(brace) = rest.find(['{', '}']) {
            plain += &rest[..brace];
            let open = rest[brace..].starts_with('{');
            rest = &rest[brace + 1..];
            if let Some(doubled) = rest.strip_prefix(if open { '{' } else { '}' }) {
                plain.push(if open { '{' } else { '}' });
                rest = doubled;
                continue;
            }
            if !open {
                return Err(wrong("a brace is closed that was not opened"));
            }
            let end = rest
                .find('}')
                .ok_or_else(|| wrong("a brace is not closed"))?;
            let name = rest[..end].trim();
            if name.is_empty() || name.contains('{') {
                return Err(wrong("a brace does not hold the name of a column"));
            }
            parts.push(Part::Text(std::mem::take(&mut plain)));
            parts.push(Part::Column(name.to_owned()));
            rest = &rest[end + 1..];
        }
        plain += rest;
        parts.push(Part::Text(plain));
        if !parts.iter().any(|part| matches!(part, Part::Column(_))) {
            return Err(wrong(
                "it names no column, so that all prompts are the same",
            ));
        }
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// The columns it names, in order.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Column(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The text for a row, which stands `at`. What the values hold is not looked
    /// into.
    ///
    /// # Errors
    /// If a column is missing, or holds something other than a text, a number or
    /// a bool.
    pub fn fill(&self, at: &Location, row: &Map<String, Value>) -> Result<String, DataError> {
        let mut text = String::new();
        for part in &self.parts {
            let name = match part {
                Part::Text(plain) => {
                    text += plain;
                    continue;
                }
                Part::Column(name) => name,
            };
            let wrong = |reason| DataError::Template {
                at: at.clone(),
                reason,
            };
            match row.get(name) {
                Some(Value::String(value)) => text += value,
                Some(value @ (Value::Number(_) | Value::Bool(_))) => text += &value.to_string(),
                Some(other) => {
                    let found = describe(other);
                    return Err(wrong(format!(
                        "`{name}` is {found}; expected a text or a number"
                    )));
                }
                None => {
                    let found = names(row);
                    return Err(wrong(format!("no column `{name}`; the row has {found}")));
                }
            }
        }
        Ok(text)
    }
}

impl std::str::FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Template {
    type Error = TemplateError;

    fn try_from(text: String) -> Result<Self, TemplateError> {
        Self::parse(&text)
    }
}

impl From<Template> for String {
    fn from(template: Template) -> Self {
        template.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str) -> Result<String, String> {
        let row = serde_json::from_str(r#"{"q": "a {b}", "n": 3, "l": []}"#).unwrap();
        let at = Location {
            file: std::path::Path::new("f.jsonl").into(),
            line: 2,
        };
        let template = Template::parse(template).map_err(|error| error.to_string())?;
        template.fill(&at, &row).map_err(|error| error.to_string())
    }

    #[test]
    fn columns_stand_in_braces_and_values_are_not_looked_into() {
        assert_eq!(filled("{n}. {q}\n").unwrap(), "3. a {b}\n");
        assert_eq!(filled("{{n}} {{{ n }}}").unwrap(), "{n} {3}");
        for (template, found) in [
            (
                "{x}",
                "f.jsonl:2: the template: no column `x`; the row has q, n, l",
            ),
            ("{l}", "the template: `l` is a list of 0"),
            ("{q", "not closed"),
            ("q} {q}", "not opened"),
            ("{} {q}", "does not hold the name"),
            ("q", "names no column"),
        ] {
            let message = filled(template).unwrap_err();
            assert!(message.contains(found), "{template}: {message}");
        }
    }

    #[test]
    fn a_template_is_written_as_it_was_read() {
        let template: Template = serde_json::from_str("\"{a}\\n{{b}}\"").unwrap();
        assert_eq!(serde_json::to_string(&template).unwrap(), "\"{a}\\n{{b}}\"");
        let error = serde_json::from_str::<Template>("\"{a\"").unwrap_err();
        assert!(error.to_string().contains("not closed"), "{error}");
    }
}
