//! Where the answer stands in a text.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::fold::without_text_groups;
use super::phrases::{ANSWER, FINAL_ANSWER, instead_of_box, stated};
use super::prose::{
    MOST_ANSWER, MOST_LINE, MOST_PROSE, MOST_TEXT, ending, last_math, last_number, line,
    reads_as_formula, words,
};
use super::{Kind, boxes, choice, thoughts};

/// A rule that finds the answer in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extraction {
    /// What the last "final answer is" or "Final answer:" states. A passing
    /// mention, "the final answer has 3 digits", states nothing.
    FinalAnswer,
    /// The last `\boxed{}`; boxes joined to it, by "and", a comma or the name of
    /// the next unknown, are one list.
    Boxed,
    /// What follows the last `####` on its line, as in GSM8K.
    Hash,
    /// What the last "the answer is", "Answer:" or the same in some other
    /// languages states.
    AnswerPhrase,
    /// The last number of the text. A number within a formula counts as that
    /// formula.
    LastNumber,
    /// The last formula between `$ $`, `$$ $$`, `\( \)` or `\[ \]`.
    LastMath,
    /// The last line that is not empty.
    LastLine,
    /// Of [`Kind::Choice`]: the letter that the text begins with, or else the
    /// last letter that stands alone.
    Letter,
    /// The text, where it is one line of at most 200 bytes without words: a
    /// bare formula.
    Formula,
    /// The text, where it is one line of at most 200 bytes.
    Line,
    /// The whole text.
    Whole,
}

impl Extraction {
    /// The rules that suit a kind of answer, in order.
    pub fn of(kind: Kind) -> &'static [Self] {
        match kind {
            Kind::Math => &[
                Self::Boxed,
                Self::FinalAnswer,
                Self::Hash,
                Self::AnswerPhrase,
                Self::Formula,
                Self::LastNumber,
                Self::LastMath,
                Self::Line,
            ],
            Kind::Choice => &[
                Self::Boxed,
                Self::FinalAnswer,
                Self::AnswerPhrase,
                Self::Letter,
            ],
            Kind::Exact => &[
                Self::Boxed,
                Self::FinalAnswer,
                Self::Hash,
                Self::AnswerPhrase,
                Self::Whole,
            ],
        }
    }
}

/// An answer, and the rule that found it.
pub(super) type Found = (String, Extraction);

/// The answer in what a text says, by the first of `rules` that finds one; by
/// those that suit the kind where there are none. What stands between answer
/// tags comes before what does not.
pub(super) fn find(said: &str, kind: Kind, rules: &[Extraction]) -> Option<Found> {
    let find = |text: &str| match rules {
        [] => suited(text, kind),
        rules => first(text, kind, rules),
    };
    thoughts::tagged(said).and_then(find).or_else(|| find(said))
}

/// The last box, unless the text behind it states another final answer; else what
/// the other rules find.
fn suited(text: &str, kind: Kind) -> Option<Found> {
    let text = ending(text, MOST_TEXT);
    if let Some(boxed) = boxes::last(text) {
        let behind = &text[boxed.end..];
        let instead = match kind {
            Kind::Choice => choice::instead_of_box(behind),
            _ => instead_of_box(behind, kind).map(|statement| statement.answer),
        };
        if let Some(answer) = instead {
            return Some((answer, Extraction::FinalAnswer));
        }
    }
    first(text, kind, Extraction::of(kind))
}

fn first(text: &str, kind: Kind, rules: &[Extraction]) -> Option<Found> {
    rules.iter().find_map(|&rule| {
        let answer = match kind {
            Kind::Choice => choice::find(text, rule),
            _ => by_rule(text, rule, kind),
        };
        Some((answer?, rule))
    })
}

/// The answer that `rule` finds, without surrounding space; never empty.
pub(super) fn by_rule(text: &str, rule: Extraction, kind: Kind) -> Option<String> {
    let text = ending(text, MOST_TEXT);
    let owned = |found: &str| found.to_owned();
    let found = match rule {
        Extraction::FinalAnswer => stated(text, &FINAL_ANSWER, kind)?.answer,
        Extraction::AnswerPhrase => stated(text, &ANSWER, kind)?.answer,
        Extraction::Boxed => match (boxes::last(text)?.answer, kind) {
            (answer, Kind::Exact) => without_text_groups(&answer),
            (answer, _) => answer,
        },
        Extraction::Hash => hash(text).map(owned)?,
        Extraction::LastNumber => last_number(ending(text, MOST_PROSE))?,
        Extraction::LastMath => last_math(ending(text, MOST_PROSE))?,
        Extraction::LastLine => text.trim().lines().next_back().map(owned)?,
        Extraction::Letter => return None,
        Extraction::Formula => line(text)
            .filter(|line| reads_as_formula(line))
            .map(owned)?,
        Extraction::Line => line(text).map(owned)?,
        Extraction::Whole => text.to_owned(),
    };
    let found = found.trim();
    let fits = !found.is_empty() && found.len() <= MOST_ANSWER;
    fits.then(|| found.to_owned())
}

/// What follows the last `####` on its line, where that is no heading: on the last
/// line, or without words.
fn hash(text: &str) -> Option<&str> {
    let mut before = text;
    let mut is_last = true;
    while let Some((rest, behind)) = before.rsplit_once("####") {
        let line = behind.lines().next().unwrap_or_default();
        let ends = is_last && behind.trim_start().lines().count() == 1;
        if !line.trim().is_empty() && (ends || words(line) == 0) {
            return Some(line);
        }
        (before, is_last) = (rest, false);
    }
    None
}

/// The answer in a gold answer: behind `####`, in a box, at the end of a worked
/// solution, or all of it.
pub(super) fn gold(gold: &str, kind: Kind) -> String {
    let said = match thoughts::said(gold) {
        said if said.trim().is_empty() => Cow::Borrowed(gold),
        said => said,
    };
    let rules = [Extraction::Hash, Extraction::Boxed];
    if let Some((found, _)) = first(&said, Kind::Math, &rules) {
        return found;
    }
    if kind == Kind::Math && (said.len() > MOST_LINE || said.trim().contains('\n')) {
        let rules = [Extraction::FinalAnswer, Extraction::AnswerPhrase];
        if let Some((found, _)) = first(&said, Kind::Math, &rules) {
            return found;
        }
    }
    said.trim().to_owned()
}
