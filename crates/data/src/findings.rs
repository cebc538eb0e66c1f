//! What is to be said of a file's rows: the format they were read from, and text
//! in them that is not read.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::DataError;
use crate::columns::{CONTENT, Columns, LABELS};
use crate::form::Form;
use crate::row::{Content, Row};
use crate::template::Template;

/// What was found in rows, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    rows: usize,
    alpaca: usize,
    /// Columns that stand below an instruction.
    inputs: BTreeSet<String>,
    has_history: bool,
    share_gpt: usize,
    conversations: usize,
    /// Rows by column.
    unread: BTreeMap<&'static str, usize>,
}

impl Findings {
    /// Counts a row.
    pub fn add(&mut self, row: &Row) {
        self.rows += 1;
        match &row.form {
            Form::Usual => {}
            Form::Alpaca { input, history } => {
                self.alpaca += 1;
                self.has_history |= history;
                if let Some(input) = input
                    && !self.inputs.contains(input)
                {
                    self.inputs.insert(input.clone());
                }
            }
            Form::ShareGpt => self.share_gpt += 1,
            Form::Conversation => self.conversations += 1,
        }
        for column in &row.unread {
            *self.unread.entry(column).or_default() += 1;
        }
    }

    /// What is to be said, a sentence a line; mostly nothing.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.alpaca > 0 {
            let mut line = "read as Alpaca: the user says `instruction`".to_owned();
            for input in &self.inputs {
                line += &format!(", and below it `{input}` where there is one");
            }
            if self.has_history {
                line += "; the turns of `history` come before";
            }
            lines.push(line);
        }
        if self.share_gpt > 0 {
            lines.push("read as ShareGPT: messages with `from` and `value`".to_owned());
        }
        if self.conversations > 0 {
            lines.push("`conversations` is read as `messages`".to_owned());
        }
        if !self.unread.is_empty() {
            let columns: Vec<String> = self
                .unread
                .iter()
                .map(|(column, rows)| format!("`{column}` ({rows} of {} rows)", self.rows))
                .collect();
            lines.push(format!(
                "not read, though there is text in it: {}; what belongs to the prompt goes into \
                 it by `template`, and `columns` names the columns of prompt and completion",
                columns.join(", ")
            ));
        }
        lines
    }
}

/// Refuses answers of which the row says that they may be bad ones, while nobody
/// has said what that is to mean.
pub(crate) fn refuse_labels(
    row: &Row,
    object: &Map<String, Value>,
    columns: &Columns,
) -> Result<(), DataError> {
    if matches!(row.content, Content::Text(_)) || columns.reward.is_some() || row.reward.is_some() {
        return Ok(());
    }
    let is_bool = |name: &&str| matches!(object.get(*name), Some(Value::Bool(_)));
    match LABELS.into_iter().find(|name| is_bool(name)) {
        None => Ok(()),
        Some(column) => Err(DataError::Label {
            at: row.at.clone(),
            column: column.to_owned(),
        }),
    }
}

/// Columns with text in them that are left when all others have been read.
pub(crate) fn unread(object: &Map<String, Value>, columns: &Columns) -> Vec<&'static str> {
    let holds = |value: &Value| match value {
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    };
    let numbers = [
        columns.reward(),
        columns.score(),
        columns.weight(),
        columns.id(),
    ];
    let is_read = |name: &str| {
        let of_template = columns.template.iter().flat_map(Template::columns);
        // Of two answers the better one was chosen.
        let is_worse = name == "rejected" && !object.contains_key("chosen");
        is_worse
            || numbers.contains(&Some(name))
            || of_template.into_iter().any(|each| each == name)
    };
    CONTENT
        .into_iter()
        .filter(|name| object.get(*name).is_some_and(holds) && !is_read(name))
        .collect()
}
