//! Prompts from the rows of a file.

use std::path::{Path, PathBuf};

use iwsft_data::{Location, read_objects};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::generator::Prompt;
use crate::mistake::Mistake;

/// How prompts are made, as options, or as keys of a recipe.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Prompts")]
pub(crate) struct PromptArgs {
    /// The column with the prompt: a text, or messages, of which a last answer is
    /// left out. [default: prompt, else messages]
    #[arg(long, value_name = "NAME", requires = "prompts")]
    pub(crate) prompt_column: Option<String>,
    /// The prompt's text, with columns of the row in braces: 'Q: {question}\nA:'.
    #[arg(
        long,
        value_name = "TEXT",
        requires = "prompts",
        conflicts_with = "prompt_column"
    )]
    pub(crate) template: Option<String>,
    /// Put a prompt of text into the model's chat template as a user's message.
    #[arg(long)]
    pub(crate) chat: bool,
    /// A system message to begin conversations with.
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,
    /// Take the first rows only.
    #[arg(long, value_name = "N", requires = "prompts",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
}

/// `[prompts]`: what is asked. The keys are the options of `iwsft sample`.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PromptsSection {
    /// A file whose rows have prompts, and what grading needs.
    pub(crate) file: PathBuf,
    /// The column with the prompt.
    pub(crate) prompt_column: Option<String>,
    /// The prompt's text, with columns of the row in braces.
    pub(crate) template: Option<String>,
    /// Put a prompt of text into the model's chat template.
    #[serde(default)]
    pub(crate) chat: bool,
    /// A system message to begin conversations with.
    pub(crate) system: Option<String>,
    /// Take the first rows only.
    pub(crate) limit: Option<u32>,
}

impl PromptsSection {
    pub(crate) fn args(&self) -> PromptArgs {
        PromptArgs {
            prompt_column: self.prompt_column.clone(),
            template: self.template.clone(),
            chat: self.chat,
            system: self.system.clone(),
            limit: self.limit,
        }
    }

    /// The options of `iwsft sample` that say the same, but for the file and its
    /// limit.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        let options = [
            ("--prompt-column", &self.prompt_column),
            ("--template", &self.template),
            ("--system", &self.system),
        ];
        for (option, value) in options {
            if let Some(value) = value {
                arguments.push(format!("{option}={value}"));
            }
        }
        if self.chat {
            arguments.push("--chat".to_owned());
        }
        arguments
    }
}

/// A row to draw completions for.
pub(crate) struct PromptRow {
    pub(crate) at: Location,
    pub(crate) prompt: Prompt,
    /// The row's name, or its number in the file, from 1.
    pub(crate) id: String,
    /// Columns that go along.
    pub(crate) kept: Map<String, Value>,
}

/// Columns that do not go along: other forms of text, and what speaks of another
/// completion than the one that is drawn.
const REPLACED: [&str; 13] = [
    "id",
    "prompt",
    "messages",
    "text",
    "completion",
    "completion_tokens",
    "ref_log_probs",
    "model_log_probs",
    "finish",
    "draw",
    "reward",
    "score",
    "weight",
];

impl PromptArgs {
    /// A prompt from the command line.
    pub(crate) fn single(&self, text: &str) -> anyhow::Result<Prompt> {
        Ok(self.prompt(Value::from(text), "--prompt")?)
    }

    /// The prompts of a file.
    pub(crate) fn read(&self, path: &Path) -> anyhow::Result<Vec<PromptRow>> {
        let template = self.template.as_deref().map(Template::parse).transpose()?;
        let limit = self.limit.map_or(usize::MAX, |limit| limit as usize);
        let mut rows = Vec::new();
        for object in read_objects(path)?.take(limit) {
            let (at, mut object) = object?;
            let prompt = match &template {
                Some(template) => Value::from(template.fill(&at, &object)?),
                None => self.column(&at, &object)?.clone(),
            };
            let id = match object.get("id") {
                Some(Value::String(id)) => id.clone(),
                Some(Value::Number(id)) => id.to_string(),
                _ => (rows.len() + 1).to_string(),
            };
            let prompt = self.prompt(prompt, &at)?;
            for column in REPLACED {
                object.shift_remove(column);
            }
            rows.push(PromptRow {
                at,
                prompt,
                id,
                kept: object,
            });
        }
        Ok(rows)
    }

    fn column<'r>(&self, at: &Location, row: &'r Map<String, Value>) -> Result<&'r Value, Mistake> {
        let wanted = match &self.prompt_column {
            Some(name) => vec![name.as_str()],
            None => vec!["prompt", "messages"],
        };
        let find = |name: &&str| row.get(*name).filter(|value| !value.is_null());
        wanted.iter().find_map(find).ok_or_else(|| {
            Mistake::new(format!(
                "{at}: no column `{}`; the row has {}; name the prompt's column with --prompt-column, \
                 or make a prompt of several with --template (in a recipe: prompt_column, template)",
                wanted.join("` or `"),
                names(row)
            ))
        })
    }

    /// `at` says where the prompt stands.
    fn prompt(&self, value: Value, at: impl std::fmt::Display) -> Result<Prompt, Mistake> {
        let message = |role: &str, text: &str| json!({"role": role, "content": text});
        let system = self.system.as_deref().map(|text| message("system", text));
        match value {
            Value::String(text) if self.chat => {
                let user = message("user", &text);
                Ok(Prompt::Messages(system.into_iter().chain([user]).collect()))
            }
            Value::String(_) if system.is_some() => Err(Mistake::new(format!(
                "{at}: the prompt is plain text, which has no place for --system; use --chat"
            ))),
            Value::String(text) => Ok(Prompt::Text(text)),
            Value::Array(mut messages) => {
                let role = |message: &Value| message["role"].as_str().map(str::to_owned);
                if let Some(wrong) = messages.iter().position(|each| role(each).is_none()) {
                    return Err(Mistake::new(format!(
                        "{at}: message {wrong} of the prompt has no role; expected role and content"
                    )));
                }
                if messages.last().and_then(role).as_deref() == Some("assistant") {
                    messages.pop();
                }
                if messages.is_empty() {
                    let message = format!("{at}: the prompt has no message but the answer");
                    return Err(Mistake::new(message));
                }
                if let Some(system) = system {
                    if role(&messages[0]).as_deref() == Some("system") {
                        return Err(Mistake::new(format!(
                            "{at}: the conversation has a system message already; leave out --system"
                        )));
                    }
                    messages.insert(0, system);
                }
                Ok(Prompt::Messages(messages))
            }
            other => Err(Mistake::new(format!(
                "{at}: the prompt is {other}; expected a text or a list of messages"
            ))),
        }
    }
}

fn names(row: &Map<String, Value>) -> String {
    let names: Vec<&str> = row.keys().map(String::as_str).collect();
    match names[..] {
        [] => "no columns".into(),
        _ => format!("`{}`", names.join("`, `")),
    }
}

/// A text with columns in braces; doubled braces stand for themselves.
struct Template(Vec<Part>);

enum Part {
    Text(String),
    Column(String),
}

impl Template {
    fn parse(text: &str) -> Result<Self, Mistake> {
        let wrong = |what: &str| {
            Mistake::new(format!(
                "--template: {what}; columns stand in braces, as in 'Q: {{question}}', \
                 and a brace itself is doubled"
            ))
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
        Ok(Self(parts))
    }

    fn fill(&self, at: &Location, row: &Map<String, Value>) -> Result<String, Mistake> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(plain) => text += plain,
                Part::Column(name) => match row.get(name) {
                    Some(Value::String(value)) => text += value,
                    Some(value @ (Value::Number(_) | Value::Bool(_))) => text += &value.to_string(),
                    Some(other) => {
                        return Err(Mistake::new(format!(
                            "{at}: --template: `{name}` is {other}; expected a text or a number"
                        )));
                    }
                    None => {
                        return Err(Mistake::new(format!(
                            "{at}: --template: no column `{name}`; the row has {}",
                            names(row)
                        )));
                    }
                },
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str) -> Result<String, String> {
        let row = serde_json::from_str(r#"{"q": "a {b}", "n": 3, "l": []}"#).unwrap();
        let at = Location {
            file: Path::new("f.jsonl").into(),
            line: 2,
        };
        Template::parse(template)
            .and_then(|template| template.fill(&at, &row))
            .map_err(|mistake| mistake.to_string())
    }

    #[test]
    fn columns_stand_in_braces_and_values_are_not_looked_into() {
        assert_eq!(filled("{n}. {q}\n").unwrap(), "3. a {b}\n");
        assert_eq!(filled("{{n}} {{{ n }}}").unwrap(), "{n} {3}");
        for (template, found) in [
            (
                "{x}",
                "f.jsonl:2: --template: no column `x`; the row has `q`, `n`, `l`",
            ),
            ("{l}", "`l` is []"),
            ("{q", "not closed"),
            ("q} {q}", "not opened"),
            ("{} {q}", "does not hold the name"),
            ("q", "names no column"),
        ] {
            let message = filled(template).unwrap_err();
            assert!(message.contains(found), "{template}: {message}");
        }
    }
}
