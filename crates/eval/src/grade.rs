//! Whether an answer is right.
//!
//! A [`Grader`] finds the answer in what a model wrote ([`Extraction`]) and
//! compares it with the gold answer ([`Kind`], [`Mode`]). The same texts always
//! have the same [`Verdict`] (but for a time limit that cuts in); no text can
//! make a grader panic, and none can hold it up: length, nesting, exponents,
//! terms and points of evaluation are all bounded.
//!
//! ```
//! use iwsft_eval::grade::Grader;
//!
//! let grader = Grader::default();
//! let verdict = grader.grade(r"\frac{3}{4}", r"Half of it and half again: $\boxed{0.75}$.");
//! assert!(verdict.right);
//! assert_eq!(verdict.extracted.as_deref(), Some("0.75"));
//! assert!(!grader.grade("42", "The answer is 24.").right);
//! ```

mod boxes;
mod budget;
mod choice;
mod clock;
mod compare;
mod expression;
mod extract;
mod fold;
mod gold;
mod lettered;
mod lexer;
mod matrix;
mod numeric;
mod parser;
mod phrases;
mod polynomial;
mod prose;
mod quantity;
mod relation;
mod sets;
mod thoughts;
mod units;
mod value;
mod words;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use extract::Extraction;
pub use gold::{Gold, GoldError, Several};
pub use thoughts::leaves_open;

pub(crate) use gold::plain;

use budget::Budget;

/// What an answer is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Mathematics: numbers, formulas, intervals, sets, tuples, matrices,
    /// equations, or a word.
    #[default]
    Math,
    /// The letter of an option, A to J.
    Choice,
    /// Text, letter by letter.
    Exact,
}

/// How much may differ between an answer and the gold answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Whatever a reader would let pass: units, percent signs, `x =` in front,
    /// the order of a list, rounding. Of [`Kind::Exact`]: case and spacing.
    #[default]
    Lenient,
    /// The same value in the same form.
    Strict,
}

/// Grades answers. All fields have defaults, in TOML as in Rust:
/// `grader = { kind = "math", mode = "lenient", extract = ["boxed", "last-number"] }`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grader {
    /// What an answer is.
    pub kind: Kind,
    /// How much may differ.
    pub mode: Mode,
    /// Where answers stand; the first of these rules that finds something
    /// counts. Empty for the rules that suit the kind: [`Extraction::of`].
    pub extract: Vec<Extraction>,
    /// What several right answers of a problem mean; a problem with several is
    /// refused where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gold: Option<Several>,
    /// In lenient mode, decimals that an answer must have to count as the
    /// rounded value of an exact one: with 4, `0.3333` is right for `1/3` and
    /// `0.333` is not.
    pub decimals: u32,
    /// Most milliseconds for one answer. Work is bounded without it, so this
    /// seldom cuts in.
    pub time_limit_ms: u64,
}

impl Default for Grader {
    fn default() -> Self {
        Self {
            kind: Kind::default(),
            mode: Mode::default(),
            extract: Vec::new(),
            gold: None,
            decimals: 4,
            time_limit_ms: 1000,
        }
    }
}

/// What a grader says of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether the answer is right.
    pub right: bool,
    /// The answer as it stands in the text; `None` where none was found.
    pub extracted: Option<String>,
    /// The rule that found it.
    pub found_by: Option<Extraction>,
    /// How the verdict came about.
    pub reason: Reason,
}

/// How a verdict came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Right: the same text, but for spacing and other outward things.
    SameText,
    /// Right: equal by exact arithmetic.
    Exact,
    /// Right: equal at random points, to some seventy digits.
    Numeric,
    /// Right: equal once one is rounded as the other is.
    Rounded,
    /// Wrong: both were understood and they differ.
    Different,
    /// Wrong: the texts differ, and one could not be read as a formula.
    Unreadable,
    /// Wrong: the text has no answer.
    NoAnswer,
    /// Wrong: the text ends within its thoughts, or has nothing else.
    ThoughtsOnly,
    /// Wrong: the time limit or a limit on work was reached before the answer
    /// was found equal.
    Limit,
}

impl Reason {
    /// Whether an answer with this reason is right.
    pub fn is_right(self) -> bool {
        matches!(
            self,
            Self::SameText | Self::Exact | Self::Numeric | Self::Rounded
        )
    }

    /// Whether no answer could be read: nothing was found, or what was found makes
    /// no sense as what the grader compares.
    pub fn is_unread(self) -> bool {
        matches!(
            self,
            Self::NoAnswer | Self::ThoughtsOnly | Self::Unreadable | Self::Limit
        )
    }
}

impl Grader {
    /// Finds the answer in `text` and compares it with `gold`. The gold answer
    /// may stand in dollars or a box, behind GSM8K's `####`, or at the end of a
    /// worked solution. Thoughts (`<think>` and its like) are no answer.
    pub fn grade(&self, gold: &str, text: &str) -> Verdict {
        self.grade_against(&Gold::from(gold), text)
    }

    /// As [`Self::grade`], where there may be several right answers.
    pub fn grade_against(&self, gold: &Gold, text: &str) -> Verdict {
        let said = thoughts::said(text);
        let Some((answer, rule)) = extract::find(&said, self.kind, &self.extract) else {
            let thoughts = said.trim().is_empty() && !text.trim().is_empty();
            return Verdict {
                right: false,
                extracted: None,
                found_by: None,
                reason: match thoughts {
                    true => Reason::ThoughtsOnly,
                    false => Reason::NoAnswer,
                },
            };
        };
        let reason = self.compare_with(gold, &answer);
        Verdict {
            right: reason.is_right(),
            extracted: Some(answer),
            found_by: Some(rule),
            reason,
        }
    }

    /// Compares an answer with what is right.
    fn compare_with(&self, gold: &Gold, answer: &str) -> Reason {
        let answers: Vec<String> = gold
            .answers()
            .iter()
            .map(|gold| match self.kind {
                Kind::Choice => choice::gold(gold),
                kind => extract::gold(gold, kind),
            })
            .collect();
        match (gold, self.kind) {
            (Gold::Several(_, Several::All), Kind::Exact) => {
                match fold::same_items(&answers, answer, self.mode) {
                    true => Reason::SameText,
                    false => Reason::Different,
                }
            }
            (Gold::Several(_, Several::All), _) => self.compare(&answers.join(", "), answer),
            _ => {
                let mut reasons = answers.iter().map(|gold| self.compare(gold, answer));
                let first = reasons.next().unwrap_or(Reason::NoAnswer);
                match first.is_right() {
                    true => first,
                    false => reasons.find(|reason| reason.is_right()).unwrap_or(first),
                }
            }
        }
    }

    /// Compares an answer with the gold answer, both as they are. The letter of a
    /// choice in front of a value is no part of it: `(E) 7` is 7, and it is E.
    pub fn compare(&self, gold: &str, answer: &str) -> Reason {
        let same = match (self.kind, self.mode) {
            (Kind::Math, _) => return self.compare_mathematics(gold, answer),
            (Kind::Choice, _) => gold.eq_ignore_ascii_case(answer),
            (Kind::Exact, Mode::Strict) => gold.trim() == answer.trim(),
            (Kind::Exact, Mode::Lenient) => fold::words(gold) == fold::words(answer),
        };
        match same {
            true => Reason::SameText,
            false => Reason::Different,
        }
    }

    fn compare_mathematics(&self, gold: &str, answer: &str) -> Reason {
        let compare = |gold: &str, answer: &str| {
            let mut budget = Budget::new(Duration::from_millis(self.time_limit_ms));
            compare::compare(gold, answer, self.mode, self.decimals, &mut budget)
        };
        let reason = compare(gold, answer);
        if reason.is_right() {
            return reason;
        }
        let (of_gold, of_answer) = (lettered::split(gold), lettered::split(answer));
        match (of_gold.value, of_answer.value) {
            (None, None) => reason,
            // One of them is its letter alone, or has none.
            (Some(_), None) if of_answer.letter.is_some() => same_letter(of_gold, of_answer),
            (None, Some(_)) if of_gold.letter.is_some() => same_letter(of_gold, of_answer),
            (of_gold, of_answer) => compare(of_gold.unwrap_or(gold), of_answer.unwrap_or(answer)),
        }
    }
}

fn same_letter(gold: lettered::Lettered<'_>, answer: lettered::Lettered<'_>) -> Reason {
    match gold.letter == answer.letter {
        true => Reason::SameText,
        false => Reason::Different,
    }
}
