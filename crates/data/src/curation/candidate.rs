//! Rows as the rules of curation see them.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use serde_json::Value;

use crate::curation::spelling::spelling;
use crate::message::{Message, Text};
use crate::row::{Content, Location, Row};

/// What is known of a row that may be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Where the row stands.
    pub at: Location,
    /// What the policy was given: of a conversation, everything before the
    /// assistant's first message. Empty for a row that is one text.
    pub prompt: String,
    /// Of a conversation, what users wrote, each message by itself: those of the
    /// prompt, where it has other messages too, and those behind the first answer.
    pub questions: Vec<String>,
    /// What it answered: of a conversation, the rest of it.
    pub completion: String,
    /// How well it did.
    pub reward: Option<f32>,
    /// Its quality.
    pub score: Option<f32>,
    /// Tokens of the completion, where somebody counted them.
    pub tokens: Option<usize>,
}

impl Default for Candidate {
    fn default() -> Self {
        Self {
            at: Location {
                file: Arc::from(Path::new("")),
                line: 0,
            },
            prompt: String::new(),
            questions: Vec::new(),
            completion: String::new(),
            reward: None,
            score: None,
            tokens: None,
        }
    }
}

impl Candidate {
    /// What curation goes by in a row.
    pub fn of(row: &Row) -> Self {
        let (prompt, completion) = match &row.content {
            Content::Text(text) => (Said::default(), Said::plain(text)),
            Content::PromptCompletion { prompt, completion } => {
                (Said::of(prompt), Said::of(completion))
            }
            Content::Messages(messages) => {
                let first = messages
                    .iter()
                    .position(|message| message.value["role"] == "assistant")
                    .unwrap_or(messages.len());
                let (prompt, completion) = messages.split_at(first);
                (Said::by(prompt), Said::by(completion))
            }
        };
        let mut questions = prompt.questions;
        questions.retain(|question| *question != prompt.text);
        questions.extend(completion.questions);
        Self {
            at: row.at.clone(),
            prompt: prompt.text,
            questions,
            completion: completion.text,
            reward: row.reward,
            score: row.score,
            tokens: None,
        }
    }

    /// What was asked: the prompt, or where there is none the completion, as
    /// every text is its own.
    pub(crate) fn asked(&self) -> &str {
        if self.prompt.is_empty() {
            &self.completion
        } else {
            &self.prompt
        }
    }

    /// The text by which rows belong together: what was asked, the same for all
    /// of its spellings.
    pub fn prompt_key(&self) -> String {
        spelling(self.asked())
    }

    /// Orders by score, then by reward; what is not known comes before what is.
    pub(crate) fn by_quality(&self, other: &Self) -> Ordering {
        let known = |value: Option<f32>| value.unwrap_or(f32::NEG_INFINITY);
        known(self.score)
            .total_cmp(&known(other.score))
            .then(known(self.reward).total_cmp(&known(other.reward)))
    }
}

/// What one side of a row says.
#[derive(Default)]
struct Said {
    /// All of it.
    text: String,
    /// The user's messages.
    questions: Vec<String>,
}

impl Said {
    fn of(text: &Text) -> Self {
        match text {
            Text::Plain(text) => Self::plain(text),
            Text::Messages(messages) => Self::by(messages),
        }
    }

    fn plain(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            questions: Vec::new(),
        }
    }

    fn by(messages: &[Message]) -> Self {
        let mut texts = Vec::new();
        let mut questions = Vec::new();
        for message in messages {
            let said = spoken(&message.value);
            if message.value["role"] == "user" && !said.is_empty() {
                questions.push(said.join("\n\n"));
            }
            texts.extend(said);
        }
        Self {
            text: texts.join("\n\n"),
            questions,
        }
    }
}

/// The texts of a message: its reasoning where it has any, its content, and its
/// calls of tools as JSON.
fn spoken(message: &Value) -> Vec<String> {
    let reasoning = ["reasoning_content", "reasoning", "thinking"];
    let reasoning = reasoning.iter().find_map(|key| message[*key].as_str());
    let mut texts: Vec<String> = reasoning.map(str::to_owned).into_iter().collect();
    match &message["content"] {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(parts) => {
            let parts = parts.iter().filter_map(|part| part["text"].as_str());
            texts.extend(parts.map(str::to_owned));
        }
        _ => {}
    }
    if let calls @ Value::Array(_) = &message["tool_calls"] {
        texts.push(calls.to_string());
    }
    texts
}

/// Rows in the order of their files, and which of them share a prompt.
#[derive(Debug, Clone, Default)]
pub struct Candidates {
    rows: Vec<Candidate>,
    /// `[rows]`: number of the row's prompt, in the order in which they come.
    prompts: Vec<usize>,
    prompt_count: usize,
}

impl Candidates {
    /// Rows share a prompt if their prompts are the same text: white space,
    /// Unicode's forms and characters that nobody sees make no difference.
    pub fn new(rows: Vec<Candidate>) -> Self {
        let keys: Vec<blake3::Hash> = rows
            .par_iter()
            .map(|row| blake3::hash(row.prompt_key().as_bytes()))
            .collect();
        let mut numbers = HashMap::new();
        let prompts = keys
            .into_iter()
            .map(|key| {
                let next = numbers.len();
                *numbers.entry(key).or_insert(next)
            })
            .collect();
        let prompt_count = numbers.len();
        Self {
            rows,
            prompts,
            prompt_count,
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// All rows.
    pub fn rows(&self) -> &[Candidate] {
        &self.rows
    }

    /// A row.
    pub fn row(&self, index: usize) -> &Candidate {
        &self.rows[index]
    }

    /// The number of a row's prompt, below [`Self::prompt_count`].
    pub fn prompt(&self, index: usize) -> usize {
        self.prompts[index]
    }

    /// Number of different prompts.
    pub fn prompt_count(&self) -> usize {
        self.prompt_count
    }

    /// Number of different prompts of some of the rows.
    pub fn prompts_of(&self, rows: &[usize]) -> usize {
        let mut seen = vec![false; self.prompt_count];
        rows.iter()
            .filter(|&&row| !std::mem::replace(&mut seen[self.prompts[row]], true))
            .count()
    }

    /// `kept` by prompt: positions in `kept`, in order. Prompts without any of
    /// the rows have an empty list.
    pub(crate) fn by_prompt(&self, kept: &[usize]) -> Vec<Vec<usize>> {
        let mut by_prompt = vec![Vec::new(); self.prompt_count];
        for (position, &row) in kept.iter().enumerate() {
            by_prompt[self.prompts[row]].push(position);
        }
        by_prompt
    }
}

/// A hash of texts that is the same everywhere and in every version; equal
/// seeds give independent draws for different purposes.
pub(crate) fn draw(purpose: &str, seed: u64, texts: &[&str]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(purpose.as_bytes())
        .update(&seed.to_le_bytes());
    for text in texts {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    u64::from_le_bytes(first)
}

/// Those of `kept` whose position is marked, in order.
pub(crate) fn marked(kept: &[usize], marks: &[bool]) -> Vec<usize> {
    kept.iter()
        .zip(marks)
        .filter_map(|(&row, &mark)| mark.then_some(row))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Columns;
    use serde_json::json;

    fn candidate(row: Value) -> Candidate {
        let object = row.as_object().unwrap().clone();
        let at = Candidate::default().at;
        Candidate::of(&Row::parse(at, object, &Columns::default()).unwrap())
    }

    #[test]
    fn a_conversation_is_split_before_the_first_answer() {
        let chat = candidate(json!({"messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "2 + 2?"}]},
            {"role": "assistant", "content": null, "tool_calls": [{"name": "add"}]},
            {"role": "tool", "content": "4"},
            {"role": "assistant", "content": "4."},
        ]}));
        assert_eq!(chat.prompt, "Be brief.\n\n2 + 2?");
        assert_eq!(chat.completion, "[{\"name\":\"add\"}]\n\n4\n\n4.");
    }

    #[test]
    fn a_prompt_is_the_same_as_text_or_as_a_message() {
        let text = candidate(json!({"prompt": "2 + 2?", "completion": "4"}));
        let messages = candidate(json!({
            "prompt": [{"role": "user", "content": "2 + 2?"}],
            "completion": [{"role": "assistant", "content": "5"}],
        }));
        let rows = Candidates::new(vec![text, messages]);
        assert_eq!(rows.prompt_count(), 1);
    }

    #[test]
    fn what_users_asked_later_is_kept_beside_the_prompt() {
        let one = candidate(json!({"messages": [
            {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": [{"type": "text", "text": "2 + 2?"}]},
            {"role": "assistant", "content": "4"},
        ]}));
        assert_eq!(
            (one.prompt.as_str(), &one.questions[..]),
            ("Hi", &["2 + 2?".to_owned()][..])
        );
        let list = candidate(json!({
            "prompt": [{"role": "system", "content": "Be brief."},
                       {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"},
                       {"role": "user", "content": "2 + 2?"}],
            "completion": [{"role": "assistant", "content": "4"}, {"role": "user", "content": "Why?"}],
        }));
        assert_eq!(list.questions, ["Hi", "2 + 2?", "Why?"]);
    }

    #[test]
    fn answers_that_differ_in_reasoning_alone_are_not_the_same() {
        let row = |reasoning: &str| {
            candidate(json!({"messages": [
                {"role": "user", "content": "2 + 2?"},
                {"role": "assistant", "reasoning_content": reasoning, "content": "4"},
            ]}))
        };
        assert_ne!(
            row("Two and two.").completion,
            row("Four fingers.").completion
        );
    }

    #[test]
    fn spellings_of_a_prompt_are_one_prompt() {
        let prompts = [
            "caf\u{e9}  ?",
            "cafe\u{301} ?\n",
            "\u{FEFF}caf\u{e9}\u{A0}?",
            "CAF\u{c9} ?",
            "cafe ?",
        ];
        let rows = prompts.map(|prompt| candidate(json!({"prompt": prompt, "completion": "a"})));
        let rows = Candidates::new(rows.to_vec());
        let numbers: Vec<usize> = (0..5).map(|row| rows.prompt(row)).collect();
        assert_eq!(numbers, [0, 0, 0, 1, 2]);
    }

    #[test]
    fn texts_without_a_prompt_do_not_belong_together() {
        let rows = ["a", "b", "a"].map(|text| candidate(json!({"text": text})));
        let rows = Candidates::new(rows.to_vec());
        assert_eq!(rows.prompt_count(), 2);
        assert_eq!(rows.by_prompt(&[0, 1, 2]), [vec![0, 2], vec![1]]);
        assert_eq!(rows.prompts_of(&[1, 1]), 1);
    }

    #[test]
    fn draws_stay_the_same_from_version_to_version() {
        assert_eq!(draw("test", 7, &["a", "b"]), 10_973_731_408_221_562_571);
        assert_ne!(draw("test", 7, &["a", "b"]), draw("test", 7, &["ab", ""]));
        assert_ne!(draw("test", 7, &["a"]), draw("test", 8, &["a"]));
    }
}
