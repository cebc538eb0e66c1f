//! Which column of a file holds what.

use serde::{Deserialize, Serialize};

/// Names of the columns to read, where they differ from the defaults (which
/// are the field names). `columns = { prompt = "problem", reward = "correct" }`
/// in a recipe; `""` turns a column off.
///
/// Naming a column of one form of text (`messages`; `prompt` and `completion`;
/// `text`) chooses this form: columns of the other forms are then ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Columns {
    /// The conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<String>,
    /// What the policy is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// What the policy answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion: Option<String>,
    /// Text without a prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Functions the conversation may call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<String>,
    /// How well the row did: a number or a bool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reward: Option<String>,
    /// Quality, at least 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<String>,
    /// Factor on the row's loss, at least 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
    /// Reference log-probabilities of the tokens that carry loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ref_log_probs: Option<String>,
    /// Tokens of the completion, as they were drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_tokens: Option<String>,
    /// The row's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// The column to read: the name given, else the default, else (`""`) none.
fn chosen<'a>(given: &'a Option<String>, default: &'a str) -> Option<&'a str> {
    match given.as_deref() {
        None => Some(default),
        Some("") => None,
        name => name,
    }
}

fn named(given: &Option<String>) -> bool {
    given.as_deref().is_some_and(|name| !name.is_empty())
}

impl Columns {
    /// Whether a column of another form was named, so that this one rests.
    fn rests(&self, this: &[&Option<String>]) -> bool {
        let any = [&self.messages, &self.prompt, &self.completion, &self.text]
            .into_iter()
            .any(named);
        any && !this.iter().any(|given| named(given))
    }

    /// Column of the conversation.
    pub fn messages(&self) -> Option<&str> {
        (!self.rests(&[&self.messages])).then(|| chosen(&self.messages, "messages"))?
    }

    /// Column of the prompt.
    pub fn prompt(&self) -> Option<&str> {
        (!self.rests(&[&self.prompt, &self.completion])).then(|| chosen(&self.prompt, "prompt"))?
    }

    /// Column of the completion.
    pub fn completion(&self) -> Option<&str> {
        (!self.rests(&[&self.prompt, &self.completion]))
            .then(|| chosen(&self.completion, "completion"))?
    }

    /// Column of the text without a prompt.
    pub fn text(&self) -> Option<&str> {
        (!self.rests(&[&self.text])).then(|| chosen(&self.text, "text"))?
    }

    /// Column of the functions.
    pub fn tools(&self) -> Option<&str> {
        chosen(&self.tools, "tools")
    }

    /// Column of the reward.
    pub fn reward(&self) -> Option<&str> {
        chosen(&self.reward, "reward")
    }

    /// Column of the score.
    pub fn score(&self) -> Option<&str> {
        chosen(&self.score, "score")
    }

    /// Column of the weight.
    pub fn weight(&self) -> Option<&str> {
        chosen(&self.weight, "weight")
    }

    /// Column of the reference log-probabilities.
    pub fn ref_log_probs(&self) -> Option<&str> {
        chosen(&self.ref_log_probs, "ref_log_probs")
    }

    /// Column of the completion's tokens.
    pub fn completion_tokens(&self) -> Option<&str> {
        chosen(&self.completion_tokens, "completion_tokens")
    }

    /// Column of the row's name.
    pub fn id(&self) -> Option<&str> {
        chosen(&self.id, "id")
    }

    /// Every column that is read: the others need not be decoded at all.
    pub fn all(&self) -> Vec<&str> {
        [
            self.messages(),
            self.prompt(),
            self.completion(),
            self.text(),
            self.tools(),
            self.reward(),
            self.score(),
            self.weight(),
            self.ref_log_probs(),
            self.completion_tokens(),
            self.id(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The forms of text that are looked for, in words.
    pub(crate) fn forms(&self) -> String {
        let mut forms = Vec::new();
        if let Some(messages) = self.messages() {
            forms.push(format!("`{messages}`"));
        }
        if let (Some(prompt), Some(completion)) = (self.prompt(), self.completion()) {
            forms.push(format!("`{prompt}` with `{completion}`"));
        }
        if let Some(text) = self.text() {
            forms.push(format!("`{text}`"));
        }
        if forms.is_empty() {
            return "the columns of text, as `columns` turns all of them off".to_owned();
        }
        forms.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_the_field_names_and_every_form_is_looked_for() {
        let columns = Columns::default();
        assert_eq!(columns.messages(), Some("messages"));
        assert_eq!(columns.reward(), Some("reward"));
        assert_eq!(
            columns.forms(),
            "`messages`, `prompt` with `completion`, `text`"
        );
        assert_eq!(columns.all().len(), 11);
    }

    #[test]
    fn naming_one_form_puts_the_others_to_rest() {
        let columns: Columns = serde_json::from_str(r#"{"prompt": "problem"}"#).unwrap();
        assert_eq!(columns.prompt(), Some("problem"));
        assert_eq!(columns.completion(), Some("completion"));
        assert_eq!(columns.messages(), None);
        assert_eq!(columns.text(), None);
    }

    #[test]
    fn an_empty_name_turns_a_column_off_and_chooses_no_form() {
        let columns: Columns = serde_json::from_str(r#"{"score": "", "messages": ""}"#).unwrap();
        assert_eq!(columns.score(), None);
        assert_eq!(columns.messages(), None);
        assert_eq!(columns.text(), Some("text"));
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let error = serde_json::from_str::<Columns>(r#"{"promt": "x"}"#).unwrap_err();
        assert!(error.to_string().contains("promt"), "{error}");
    }
}
