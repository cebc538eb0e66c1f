//! Right answers: one, or several.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Grader, Kind};

/// What several right answers of a problem mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Several {
    /// Each is right alone.
    Any,
    /// All are asked for.
    All,
}

/// The right answer of a problem, or the right answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gold {
    /// The answer.
    One(String),
    /// Answers, and what is asked of them.
    Several(Vec<String>, Several),
}

/// As it stands in data: text, or a list of texts.
impl Serialize for Gold {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::One(answer) => answer.serialize(serializer),
            Self::Several(answers, _) => answers.serialize(serializer),
        }
    }
}

/// Why a value is no right answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GoldError {
    /// It is something else.
    #[error("{0}; expected text, a number, or a list of these")]
    NoAnswer(&'static str),
    /// It is a list, and nobody said of what.
    #[error(
        "a list of {0} answers; say `gold = \"any\"` (--gold any) where each is right alone, \
         or `gold = \"all\"` (--gold all) where all are asked for"
    )]
    Undecided(usize),
    /// All of several letters.
    #[error(
        "a list of {0} letters, and an answer of kind `choice` is one; use `gold = \"any\"`, or kind `exact`"
    )]
    Letters(usize),
}

impl Default for Gold {
    fn default() -> Self {
        Self::One(String::new())
    }
}

impl From<&str> for Gold {
    fn from(answer: &str) -> Self {
        Self::One(answer.to_owned())
    }
}

impl Gold {
    /// The right answer in a value of a row: text, a number, or a list of these,
    /// also one that is written as text (`["a", "b"]`, `['a', 'b']`). A list of
    /// one is that one.
    ///
    /// # Errors
    /// If it is something else, or a list of several and the grader does not say
    /// what that means.
    pub fn read(value: &Value, grader: &Grader) -> Result<Self, GoldError> {
        if let Value::String(text) = value {
            return match listed(text) {
                Some(answers) => Self::of(answers, grader),
                None => single(value).map(Self::One),
            };
        }
        if let Value::Array(values) = value {
            let answers: Result<Vec<String>, GoldError> = values.iter().map(single).collect();
            return Self::of(answers?, grader);
        }
        single(value).map(Self::One)
    }

    fn of(mut answers: Vec<String>, grader: &Grader) -> Result<Self, GoldError> {
        match (answers.len(), grader.gold) {
            (0, _) => Err(GoldError::NoAnswer("an empty list")),
            (1, _) => Ok(Self::One(answers.remove(0))),
            (count, Some(Several::All)) if grader.kind == Kind::Choice => {
                Err(GoldError::Letters(count))
            }
            (_, Some(several)) => Ok(Self::Several(answers, several)),
            (count, None) => Err(GoldError::Undecided(count)),
        }
    }

    /// The same answers without space around them.
    pub(crate) fn trimmed(self) -> Self {
        let trim = |answer: String| answer.trim().to_owned();
        match self {
            Self::One(answer) => Self::One(trim(answer)),
            Self::Several(answers, several) => {
                Self::Several(answers.into_iter().map(trim).collect(), several)
            }
        }
    }

    /// The answers.
    pub fn answers(&self) -> &[String] {
        match self {
            Self::One(answer) => std::slice::from_ref(answer),
            Self::Several(answers, _) => answers,
        }
    }
}

impl std::fmt::Display for Gold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let joint = match self {
            Self::Several(_, Several::Any) => " | ",
            _ => ", ",
        };
        f.write_str(&self.answers().join(joint))
    }
}

/// An answer that is no list.
fn single(value: &Value) -> Result<String, GoldError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(plain(number)),
        Value::Null => Err(GoldError::NoAnswer("null")),
        Value::Bool(_) => Err(GoldError::NoAnswer("true or false")),
        Value::Array(_) => Err(GoldError::NoAnswer("a list")),
        Value::Object(_) => Err(GoldError::NoAnswer("an object")),
    }
}

/// A number as people write it: `27.0` is 27.
pub(crate) fn plain(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(value) if number.is_f64() && value.fract() == 0.0 && value.abs() < 1e15 => {
            format!("{value:.0}")
        }
        _ => number.to_string(),
    }
}

/// The elements of a list of texts that is itself written as text, in JSON or as
/// Python prints it. `[1, 2]` is an interval or a vector.
fn listed(text: &str) -> Option<Vec<String>> {
    let text = text.trim();
    if let Ok(answers) = serde_json::from_str::<Vec<String>>(text) {
        return (!answers.is_empty()).then_some(answers);
    }
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    let mut answers = Vec::new();
    let mut rest = inner.trim();
    loop {
        let quote = rest.chars().next().filter(|c| "'\"".contains(*c))?;
        let (answer, behind) = quoted(&rest[1..], quote)?;
        answers.push(answer);
        rest = behind.trim_start();
        if rest.is_empty() {
            return Some(answers);
        }
        rest = rest.strip_prefix(',')?.trim_start();
        if rest.is_empty() {
            return Some(answers);
        }
    }
}

/// A text of Python up to its closing quote, and what is behind.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut content = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => match characters.next()?.1 {
                'n' => content.push('\n'),
                't' => content.push('\t'),
                escaped @ ('\\' | '\'' | '"') => content.push(escaped),
                other => content.extend(['\\', other]),
            },
            _ if character == quote => return Some((content, &text[at + 1..])),
            _ => content.push(character),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Gold {
        let gold = Some(Several::All);
        let grader = Grader {
            gold,
            ..Grader::default()
        };
        Gold::read(&value, &grader).unwrap()
    }

    fn several(answers: &[&str]) -> Gold {
        let answers = answers.iter().map(|&answer| answer.to_owned()).collect();
        Gold::Several(answers, Several::All)
    }

    #[test]
    fn a_right_answer_is_a_text_a_number_or_a_list_however_it_is_written() {
        assert_eq!(read(json!("7")), Gold::from("7"));
        assert_eq!(read(json!(7)), Gold::from("7"));
        assert_eq!(read(json!(27.0)), Gold::from("27"));
        assert_eq!(read(json!(["7"])), Gold::from("7"));
        assert_eq!(read(json!([7, "8"])), several(&["7", "8"]));
        assert_eq!(read(json!(r#"["7", "\\pi"]"#)), several(&["7", r"\pi"]));
        assert_eq!(
            read(json!(r"['7', '\\frac{1}{2}']")),
            several(&["7", r"\frac{1}{2}"])
        );
        assert_eq!(read(json!(r#"['it\'s', "x",]"#)), several(&["it's", "x"]));
        for mathematics in ["[1, 2]", "['", "[]", "['a' 'b']", "[x]"] {
            assert_eq!(read(json!(mathematics)), Gold::from(mathematics));
        }
    }

    #[test]
    fn what_is_no_answer_is_refused_with_what_it_is() {
        let refused = |value: Value| {
            Gold::read(&value, &Grader::default())
                .unwrap_err()
                .to_string()
        };
        assert!(refused(json!(null)).starts_with("null; expected"));
        assert!(refused(json!([])).starts_with("an empty list"));
        assert!(refused(json!([["7"]])).starts_with("a list; expected"));
        let undecided = refused(json!(["7", "8"]));
        assert!(undecided.contains("2 answers") && undecided.contains("--gold any"));
    }
}
