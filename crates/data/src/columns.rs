//! Which column of a file holds what.

use serde::{Deserialize, Serialize};

use crate::template::Template;

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
    /// Beside Alpaca's `instruction`: what it is about, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Beside Alpaca's `instruction`: the turns before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<String>,
    /// The message of the system that a conversation begins with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
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
    /// A prompt made of several columns, in place of `prompt`. Recipes have it as
    /// a key of its own.
    #[serde(skip)]
    pub template: Option<Template>,
}

/// Other names that conversations go by, where `messages` is not named.
pub(crate) const CONVERSATIONS: [&str; 2] = ["conversations", "conversation"];

/// Two answers of which one is better: data for preference training.
pub(crate) const PREFERENCE: [&str; 2] = ["chosen", "rejected"];

/// Whether an answer is a good one, as data for KTO have it.
pub(crate) const LABELS: [&str; 2] = ["label", "kto_tag"];

/// Which of several draws of one prompt a completion is.
pub(crate) const DRAW: &str = "draw";

/// Columns that hold text to learn from wherever they occur, so that it is worth
/// a word when they are not read.
pub(crate) const CONTENT: [&str; 36] = [
    "instruction",
    "input",
    "output",
    "history",
    "system",
    "system_prompt",
    "context",
    "question",
    "query",
    "problem",
    "prompt",
    "answer",
    "response",
    "completion",
    "solution",
    "messages",
    "conversations",
    "conversation",
    "text",
    "passage",
    "document",
    "documents",
    "reasoning",
    "reasoning_content",
    "thinking",
    "thought",
    "rationale",
    "cot",
    "chosen",
    "rejected",
    "image",
    "images",
    "audio",
    "audios",
    "video",
    "videos",
];

/// The column to read: the name given, else the default, else (`""`) none.
fn chosen<'a>(given: &'a Option<String>, default: &'a str) -> Option<&'a str> {
    match given.as_deref() {
        None => Some(default),
        Some("") => None,
        name => name,
    }
}

/// The column named, else the usual ones, else (`""`) none.
fn either<'a>(given: &'a Option<String>, usual: [&'a str; 2]) -> Vec<&'a str> {
    match given.as_deref() {
        None => usual.to_vec(),
        Some("") => Vec::new(),
        Some(name) => vec![name],
    }
}

fn named(given: &Option<String>) -> bool {
    given.as_deref().is_some_and(|name| !name.is_empty())
}

impl Columns {
    /// Whether a column of another form was named, so that this one rests.
    fn rests(&self, this: &[&Option<String>]) -> bool {
        self.names_a_form() && !this.iter().any(|given| named(given))
    }

    /// Whether a form of text was chosen, by naming a column of it.
    pub(crate) fn names_a_form(&self) -> bool {
        let forms = [&self.messages, &self.prompt, &self.completion, &self.text];
        self.template.is_some() || forms.into_iter().any(named)
    }

    fn pair_rests(&self) -> bool {
        self.template.is_none() && self.rests(&[&self.prompt, &self.completion])
    }

    /// Column of the conversation.
    pub fn messages(&self) -> Option<&str> {
        (!self.rests(&[&self.messages])).then(|| chosen(&self.messages, "messages"))?
    }

    /// Column of the prompt.
    pub fn prompt(&self) -> Option<&str> {
        (!self.pair_rests()).then(|| chosen(&self.prompt, "prompt"))?
    }

    /// Column of the completion.
    pub fn completion(&self) -> Option<&str> {
        (!self.pair_rests()).then(|| chosen(&self.completion, "completion"))?
    }

    /// Column of the text without a prompt.
    pub fn text(&self) -> Option<&str> {
        (!self.rests(&[&self.text])).then(|| chosen(&self.text, "text"))?
    }

    /// Columns that may have what Alpaca's instruction is about, the first first.
    pub fn inputs(&self) -> Vec<&str> {
        either(&self.input, ["input", "context"])
    }

    /// Column of the turns before Alpaca's instruction.
    pub fn history(&self) -> Option<&str> {
        chosen(&self.history, "history")
    }

    /// Columns that may have the system's message, the first first.
    pub fn systems(&self) -> Vec<&str> {
        either(&self.system, ["system", "system_prompt"])
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

    /// Every column that is asked for: the others need not be decoded at all.
    pub fn all(&self) -> Vec<&str> {
        let mut all: Vec<&str> = [
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
        .collect();
        all.extend(self.template.iter().flat_map(Template::columns));
        all
    }

    /// Columns that nobody has asked for and that are looked at where they are
    /// there and can be decoded.
    pub(crate) fn perhaps(&self) -> Vec<&str> {
        let mut perhaps = self.inputs();
        perhaps.extend(self.systems());
        perhaps.extend(self.history());
        perhaps.push(DRAW);
        perhaps.extend(LABELS);
        perhaps.extend(CONTENT);
        // Large, and no text.
        let media = ["image", "audio", "video"];
        perhaps.retain(|name| !media.iter().any(|kind| name.starts_with(kind)));
        perhaps
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
        for column in ["input", "conversations", "chosen", "label"] {
            assert!(columns.perhaps().contains(&column), "{column}");
        }
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
    fn a_template_chooses_prompts_and_reads_its_columns() {
        let columns = Columns {
            template: Some(Template::parse("{a} {b}").unwrap()),
            ..Columns::default()
        };
        assert_eq!((columns.messages(), columns.text()), (None, None));
        assert_eq!(columns.completion(), Some("completion"));
        assert!(columns.all().contains(&"b"));
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let error = serde_json::from_str::<Columns>(r#"{"promt": "x"}"#).unwrap_err();
        assert!(error.to_string().contains("promt"), "{error}");
    }
}
