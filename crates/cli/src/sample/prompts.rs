//! Prompts from the rows of a file.

use std::path::{Path, PathBuf};

use iwsft_data::{Location, Object, Template, read_objects};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::escapes::{escape, escaped};
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
    /// `\n` is a line break, `\t` a tab, `\\` a backslash.
    #[arg(
        long,
        value_name = "TEXT",
        value_parser = escaped(),
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
        // A recipe's text has its line breaks already.
        let template = self.template.as_deref().map(escape);
        let options = [
            ("--prompt-column", &self.prompt_column),
            ("--template", &template),
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
    pub(crate) kept: Object,
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
        let template = self.template.as_deref().map(Template::parse).transpose();
        let template = template.map_err(|error| Mistake::new(format!("--template: {error}")))?;
        let limit = self.limit.map_or(usize::MAX, |limit| limit as usize);
        let mut rows = Vec::new();
        for object in read_objects(path)?.take(limit) {
            let (at, mut object) = object?;
            let prompt = match &template {
                Some(template) => Value::from(template.fill(&at, &object.spelt())?),
                None => self.column(&at, &object)?.clone(),
            };
            let id = match object.get("id") {
                Some(Value::String(id)) => id.clone(),
                Some(Value::Number(_)) => object.written("id").unwrap_or_default().into_owned(),
                _ => (rows.len() + 1).to_string(),
            };
            let prompt = self.prompt(prompt, &at)?;
            for column in REPLACED {
                object.remove(column);
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
