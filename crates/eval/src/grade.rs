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

mod budget;
mod choice;
mod clock;
mod compare;
mod expression;
mod extract;
mod fold;
mod lexer;
mod matrix;
mod numeric;
mod parser;
mod polynomial;
mod quantity;
mod relation;
mod sets;
mod units;
mod value;
mod words;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use extract::Extraction;

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
}

impl Grader {
    /// Finds the answer in `text` and compares it with `gold`. The gold answer
    /// may stand in dollars or a box, behind GSM8K's `####`, or at the end of a
    /// worked solution.
    pub fn grade(&self, gold: &str, text: &str) -> Verdict {
        let rules = match &self.extract[..] {
            [] => Extraction::of(self.kind),
            rules => rules,
        };
        let letters = self.kind == Kind::Choice;
        let found = rules.iter().find_map(|&rule| {
            let answer = match letters {
                true => choice::find(text, rule),
                false => extract::find(text, rule),
            };
            answer.map(|answer| (answer, rule))
        });
        let Some((answer, rule)) = found else {
            return Verdict {
                right: false,
                extracted: None,
                found_by: None,
                reason: Reason::NoAnswer,
            };
        };
        let gold = match letters {
            true => choice::gold(gold),
            false => extract::gold(gold, self.kind),
        };
        let reason = self.compare(&gold, &answer);
        Verdict {
            right: reason.is_right(),
            extracted: Some(answer),
            found_by: Some(rule),
            reason,
        }
    }

    /// Compares an answer with the gold answer, both as they are.
    pub fn compare(&self, gold: &str, answer: &str) -> Reason {
        let same = match (self.kind, self.mode) {
            (Kind::Math, _) => {
                let mut budget = Budget::new(Duration::from_millis(self.time_limit_ms));
                return compare::compare(gold, answer, self.mode, self.decimals, &mut budget);
            }
            (Kind::Choice, _) => gold.eq_ignore_ascii_case(answer),
            (Kind::Exact, Mode::Strict) => gold.trim() == answer.trim(),
            (Kind::Exact, Mode::Lenient) => fold::words(gold) == fold::words(answer),
        };
        match same {
            true => Reason::SameText,
            false => Reason::Different,
        }
    }
}
