//! Where the answer stands in a text.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::Kind;

/// Bytes of a text that are looked at, from its end: answers stand there.
const MOST_TEXT: usize = 1 << 16;

/// Longest answer, in bytes.
pub(super) const MOST_ANSWER: usize = 1 << 12;

/// Longest single line that may be an answer as a whole, in bytes.
const MOST_LINE: usize = 200;

/// Letters between two boxes, or two formulas, that make one list of them.
const MOST_BETWEEN: usize = 20;

/// A rule that finds the answer in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extraction {
    /// What follows the last "final answer is" or "Final answer:".
    FinalAnswer,
    /// The last `\boxed{}`; neighbouring boxes, joined by "and" or a comma, are
    /// one list.
    Boxed,
    /// What follows the last `####` on its line, as in GSM8K.
    Hash,
    /// What follows the last "the answer is", "Answer:" or the same in some
    /// other languages.
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
                Self::FinalAnswer,
                Self::Boxed,
                Self::Hash,
                Self::AnswerPhrase,
                Self::LastNumber,
                Self::LastMath,
                Self::Line,
            ],
            Kind::Choice => &[
                Self::FinalAnswer,
                Self::Boxed,
                Self::AnswerPhrase,
                Self::Letter,
            ],
            Kind::Exact => &[
                Self::FinalAnswer,
                Self::Boxed,
                Self::Hash,
                Self::AnswerPhrase,
                Self::Whole,
            ],
        }
    }
}

/// The answer that `rule` finds, without surrounding space; never empty.
pub(super) fn find(text: &str, rule: Extraction) -> Option<String> {
    let text = ending(text);
    let found = match rule {
        Extraction::FinalAnswer => behind(text, &FINAL_ANSWER)?,
        Extraction::AnswerPhrase => behind(text, &ANSWER)?,
        Extraction::Boxed => boxed(text)?,
        Extraction::Hash => {
            let (_, behind) = text.rsplit_once("####")?;
            behind.lines().next()?.to_owned()
        }
        Extraction::LastNumber => last_number(text)?,
        Extraction::LastMath => last_math(text)?,
        Extraction::LastLine => text.trim().lines().next_back()?.to_owned(),
        Extraction::Letter => return None,
        Extraction::Line => {
            let line = text.trim();
            let is_one = line.len() <= MOST_LINE && !line.contains('\n');
            is_one.then(|| line.to_owned())?
        }
        Extraction::Whole => text.to_owned(),
    };
    let found = found.trim();
    let fits = !found.is_empty() && found.len() <= MOST_ANSWER;
    fits.then(|| found.to_owned())
}

/// The answer in a gold answer: behind `####`, in a box, at the end of a worked
/// solution, or all of it.
pub(super) fn gold(gold: &str, kind: Kind) -> String {
    let rules = [Extraction::Hash, Extraction::Boxed];
    if let Some(found) = rules.iter().find_map(|&rule| find(gold, rule)) {
        return found;
    }
    if kind == Kind::Math && (gold.len() > MOST_LINE || gold.trim().contains('\n')) {
        let rules = [Extraction::FinalAnswer, Extraction::AnswerPhrase];
        if let Some(found) = rules.iter().find_map(|&rule| find(gold, rule)) {
            return found;
        }
    }
    gold.trim().to_owned()
}

/// The last [`MOST_TEXT`] bytes.
pub(super) fn ending(text: &str) -> &str {
    let mut start = text.len().saturating_sub(MOST_TEXT);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// A pattern of this file.
pub(super) fn pattern(pattern: &str) -> Regex {
    #[allow(clippy::expect_used)] // Each is compiled by the tests.
    Regex::new(pattern).expect("a pattern of this program")
}

pub(super) static FINAL_ANSWER: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)\bfinal\s+answer\b[\s*_:#]*(?:(?:is|are|would be)\b)?[\s*_:]*"));

/// "Answer" in English, French, Spanish, Portuguese, Italian, German, Russian,
/// Chinese and Japanese.
pub(super) static ANSWER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"(?i)(?:\b(?:answers?|r[ée]ponse|respuesta|resposta|risposta|antwort|ответ)\b(?:\s+is\b)?",
        r"[\s*_]*(?:(?:is|are|would be|must be|est|es|é|è|ist|lautet)\b|:|=|：)",
        r"|(?:答案|答え)[*\s]*(?:是|为|為|は|：|:))[\s*_:：]*",
    ))
});

static BOX: LazyLock<Regex> = LazyLock::new(|| pattern(r"\\(?:boxed|fbox|framebox)\s*(\{)?"));

/// A formula: `$$ $$`, `\[ \]`, or within a line `$ $` and `\( \)`.
static MATH: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"(?s)\$\$(?P<a>.+?)\$\$|\\\[(?P<b>.+?)\\\]|\\\((?P<c>[^\n]+?)\\\)",
        r"|\$(?P<d>(?:[^$\n\\]|\\[^\n])+)\$",
    ))
});

/// A number of prose, a quotient of two, or a bare LaTeX fraction or root.
static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"[-+−]?\s?(?:\d*\\[dtc]?frac\s*\{[^{}]*\}\s*\{[^{}]*\}|\d*\\sqrt\{[^{}]*\}",
        r"|(?:\d{1,3}(?:[,\u{a0}\u{202f}]\d{3})+(?:\.\d+)?|\d+(?:[.,]\d+)?|\.\d+)",
        r"(?:[eE][-+]?\d+\b)?(?:\s?/\s?\d+(?:\.\d+)?)?)(?:\s?\\?%)?",
    ))
});

static SPACED_NUMBER: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^[-+−]?\d{1,3}(?: \d{3})+(?:[.,]\d+)?$"));

/// The answer in the sentence behind the last match of `phrase`.
fn behind(text: &str, phrase: &Regex) -> Option<String> {
    let end = phrase.find_iter(text).last()?.end();
    let rest = &text[end..];
    let sentence = sentence(rest);
    if let Some(found) = boxed(sentence) {
        return Some(found);
    }
    let formulas = formulas(sentence);
    if let Some(first) = formulas.first().filter(|first| first.whole.start == 0) {
        let joined = 1 + joined(sentence, &formulas, |formula| formula.whole.clone());
        let last = &formulas[joined - 1];
        return Some(sentence[first.whole.start..last.whole.end].to_owned());
    }
    let prose = sentence
        .split(|c: char| !c.is_alphabetic())
        .filter(|word| word.len() > 1)
        .count();
    let short = prose <= 3 && sentence.len() <= MOST_LINE;
    if short && (has_digit(sentence) || !has_digit(rest)) {
        return Some(sentence.trim_end_matches(['*', '_']).to_owned());
    }
    let first = numbers(sentence, &formulas).into_iter().next()?;
    Some(sentence[first].to_owned())
}

/// The text up to the end of its first sentence or line.
pub(super) fn sentence(text: &str) -> &str {
    let text = text.trim_start();
    let (mut depth, mut math) = (0_usize, false);
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => {
                characters.next();
            }
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            '$' => math = !math,
            '\n' if depth == 0 => return &text[..at],
            '。' | '।' => return &text[..at],
            '.' | '!' | '?' if depth == 0 && !math => {
                let next = characters.peek().map(|&(_, next)| next);
                if next.is_none_or(|next| next.is_whitespace() || "*\"'”)".contains(next)) {
                    return &text[..at];
                }
            }
            _ => {}
        }
    }
    text
}

fn has_digit(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_digit())
}

/// The content of the last box, and of those joined to it.
pub(super) fn boxed(text: &str) -> Option<String> {
    let mut boxes: Vec<(Range<usize>, &str)> = Vec::new();
    let mut from = 0;
    while let Some(found) = BOX.captures_at(text, from) {
        let whole = found.get(0)?;
        let content = match found.get(1) {
            Some(_) => braced(&text[whole.end()..]),
            None => {
                let rest = &text[whole.end()..];
                let end = rest.find([' ', '$', '\n', '.']).unwrap_or(rest.len());
                &rest[..end]
            }
        };
        let closed = usize::from(text[whole.end() + content.len()..].starts_with('}'));
        from = whole.end() + content.len() + closed;
        boxes.push((whole.start()..from, content.trim()));
    }
    boxes.retain(|(_, content)| !content.is_empty());
    let last = boxes.len().checked_sub(1)?;
    let first = last - joined_back(text, &boxes, |(range, _)| range.clone());
    let mut contents: Vec<&str> = boxes[first..].iter().map(|&(_, content)| content).collect();
    contents.dedup();
    Some(contents.join(", "))
}

/// The text up to the brace that closes it; up to the end of the line where
/// none does.
fn braced(text: &str) -> &str {
    let mut depth = 0_usize;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().take(MOST_ANSWER) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'{' => depth += 1,
            b'}' if depth == 0 => return &text[..at],
            b'}' => depth -= 1,
            _ => {}
        }
    }
    text.lines().next().unwrap_or_default()
}

/// How many items at the end of `items` are joined to the last one.
fn joined_back<T>(text: &str, items: &[T], range: impl Fn(&T) -> Range<usize>) -> usize {
    items
        .windows(2)
        .rev()
        .take_while(|pair| joins(&text[range(&pair[0]).end..range(&pair[1]).start]))
        .count()
}

/// How many items at the start of `items` are joined to the first one.
fn joined<T>(text: &str, items: &[T], range: impl Fn(&T) -> Range<usize>) -> usize {
    items
        .windows(2)
        .take_while(|pair| joins(&text[range(&pair[0]).end..range(&pair[1]).start]))
        .count()
}

/// Whether the text between two answers makes them one list.
fn joins(between: &str) -> bool {
    if between.len() > 4 * MOST_BETWEEN || between.contains("\n\n") {
        return false;
    }
    let mut plain = between.to_owned();
    for markup in ["\\text", "\\quad", "\\qquad", "\\(", "\\)", "\\[", "\\]"] {
        plain = plain.replace(markup, " ");
    }
    let words: Vec<&str> = plain
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let letters: usize = words.iter().map(|word| word.len()).sum();
    let joint = words.is_empty() || words.iter().any(|word| ["and", "or"].contains(word));
    joint && letters <= MOST_BETWEEN && !plain.contains('.')
}

/// A formula in a text.
struct Formula {
    /// With its delimiters.
    whole: Range<usize>,
    content: Range<usize>,
}

/// Formulas of a text, in order.
fn formulas(text: &str) -> Vec<Formula> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(captures) = MATH.captures_at(text, from) {
        let (Some(whole), Some(content)) = (
            captures.get(0),
            ["a", "b", "c", "d"]
                .iter()
                .find_map(|name| captures.name(name)),
        ) else {
            break;
        };
        let single = text[whole.start()..].starts_with('$') && content.start() == whole.start() + 1;
        if single && !is_formula(text, &whole.range(), content.as_str()) {
            // A price, perhaps: the next dollar may open a formula.
            from = whole.start() + 1;
            continue;
        }
        from = whole.end();
        found.push(Formula {
            whole: whole.range(),
            content: content.range(),
        });
    }
    found
}

/// Whether what stands between two dollars is a formula rather than the prose
/// between two prices.
fn is_formula(text: &str, whole: &Range<usize>, content: &str) -> bool {
    let escaped = text[..whole.start].ends_with('\\');
    let digit_follows = text[whole.end..].starts_with(|c: char| c.is_ascii_digit());
    let mut depth = 0_usize;
    let mut outside = String::new();
    for character in content.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ if depth == 0 => outside.push(character),
            _ => {}
        }
    }
    let words = outside
        .split_whitespace()
        .filter(|word| word.len() >= 3 && word.chars().all(char::is_alphabetic))
        .filter(|word| !["and", "mod", "odd", "even"].contains(word))
        .count();
    let alone = content.split_whitespace().count() == 1;
    !escaped && !digit_follows && (words == 0 || alone)
}

/// The last number or formula with a number.
fn last_number(text: &str) -> Option<String> {
    if SPACED_NUMBER.is_match(text.trim()) {
        return Some(text.to_owned());
    }
    let last = numbers(text, &formulas(text)).pop()?;
    Some(text[last].to_owned())
}

/// Numbers of the prose and formulas that have digits, in order.
fn numbers(text: &str, formulas: &[Formula]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut from = 0;
    let ends = formulas.iter().map(|formula| &formula.whole);
    for whole in ends.chain([&(text.len()..text.len())]) {
        prose_numbers(text, from..whole.start, &mut found);
        from = whole.end;
        if has_digit(&text[whole.clone()]) {
            found.push(whole.clone());
        }
    }
    found
}

fn prose_numbers(text: &str, within: Range<usize>, found: &mut Vec<Range<usize>>) {
    let prose = &text[..within.end];
    let mut from = within.start;
    while let Some(number) = NUMBER.find_at(prose, from) {
        let mut range = number.range();
        from = range.end;
        // A minus behind a value is an operator.
        let before = prose[..range.start].trim_end().chars().next_back();
        let glued = prose[..range.start].chars().next_back();
        let signed = number.as_str().starts_with(['-', '+', '−']);
        let operator = before.is_some_and(|c| c.is_alphanumeric() || c == ')' || c == '}');
        if signed && operator {
            let sign = number.as_str().chars().next().map_or(0, char::len_utf8);
            range.start += sign;
        } else if glued.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
            continue; // part of a name, like the 2 of `x2`
        }
        found.push(range);
    }
}

/// The last formula and those joined to it.
fn last_math(text: &str) -> Option<String> {
    let formulas = formulas(text);
    let last = formulas.len().checked_sub(1)?;
    let first = last - joined_back(text, &formulas, |formula| formula.whole.clone());
    let (start, end) = (formulas[first].whole.start, formulas[last].whole.end);
    if first == last {
        return Some(text[formulas[last].content.clone()].to_owned());
    }
    Some(text[start..end].to_owned())
}
