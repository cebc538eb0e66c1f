//! What a model is asked: templates with `{question}` and `{choices}`.

use serde::{Deserialize, Serialize};

use super::Benchmark;

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions before the conversation.
    System,
    /// Who asks.
    User,
    /// The model.
    Assistant,
}

/// A message of the conversation that a model is to continue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said; in a benchmark, a template.
    pub content: String,
}

const QUESTION: &str = "{question}";
const CHOICES: &str = "{choices}";

impl Benchmark {
    pub(super) fn check_prompt(&self) -> Result<(), String> {
        match (&self.prompt, self.messages.last()) {
            (None, None) => {
                return Err(format!(
                    "there is no `prompt`; give one with {QUESTION} in it"
                ));
            }
            (Some(_), Some(_)) => {
                return Err("`prompt` and `messages` say the same twice; keep one".to_owned());
            }
            (None, Some(last)) if last.role != Role::User => {
                return Err("the last of `messages` must be the user's".to_owned());
            }
            (None, Some(_)) if self.system.is_some() => {
                return Err(
                    "`system` goes with `prompt`; put it into `messages` as the first".to_owned(),
                );
            }
            _ => {}
        }
        let has = |what| self.templates().any(|template| template.contains(what));
        if !has(QUESTION) {
            return Err(format!("nothing that is asked has {QUESTION} in it"));
        }
        let (choices, most) = (self.columns.wrong.len() + 1, letters().count());
        if choices > most {
            return Err(format!(
                "`columns.wrong` makes {choices} choices, there are letters for {most}"
            ));
        }
        match (has(CHOICES), self.columns.wrong.is_empty()) {
            (true, true) => Err(format!(
                "the prompt has {CHOICES} in it, and `columns.wrong` does not say where they are"
            )),
            (false, false) => Err(format!(
                "`columns.wrong` makes this multiple choice, and the prompt has no {CHOICES} in it"
            )),
            _ => Ok(()),
        }
    }

    fn templates(&self) -> impl Iterator<Item = &str> {
        let messages = self.messages.iter().map(|message| message.content.as_str());
        self.prompt.as_deref().into_iter().chain(messages)
    }

    /// The conversation that asks `question`.
    pub(super) fn ask(&self, question: &str, choices: &[String]) -> Vec<Message> {
        let said = |role, content: String| Message { role, content };
        let mut messages: Vec<_> = self
            .messages
            .iter()
            .map(|message| said(message.role, fill(&message.content, question, choices)))
            .collect();
        if let Some(system) = &self.system {
            messages.push(said(Role::System, system.clone()));
        }
        if let Some(prompt) = &self.prompt {
            messages.push(said(Role::User, fill(prompt, question, choices)));
        }
        messages
    }
}

/// Fills a template in one pass: what is put in is not looked at again, and
/// other braces stay as they are.
fn fill(template: &str, question: &str, choices: &[String]) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        let (before, from) = rest.split_at(start);
        filled += before;
        if let Some(behind) = from.strip_prefix(QUESTION) {
            filled += question;
            rest = behind;
        } else if let Some(behind) = from.strip_prefix(CHOICES) {
            filled += &listed(choices);
            rest = behind;
        } else {
            filled.push('{');
            rest = &from[1..];
        }
    }
    filled + rest
}

/// `A. ...`, a line each.
fn listed(choices: &[String]) -> String {
    let lines: Vec<String> = letters()
        .zip(choices)
        .map(|(letter, choice)| format!("{letter}. {choice}"))
        .collect();
    lines.join("\n")
}

/// Names of choices, in order.
pub(super) fn letters() -> impl Iterator<Item = char> {
    'A'..='J'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled_once_and_keeps_other_braces() {
        let choices = ["up".to_owned(), "down".to_owned()];
        let filled = fill(
            r"{question} {choices} \boxed{} {x",
            "Which {choices}?",
            &choices,
        );
        assert_eq!(filled, "Which {choices}? A. up\nB. down \\boxed{} {x");
    }
}
