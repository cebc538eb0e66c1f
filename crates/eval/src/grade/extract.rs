//! Where the answer stands in a text.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::Kind;
use super::fold::TEXT;
use super::lexer::NAMES;

/// Bytes of a text that are looked at, from its end: answers stand there.
pub(super) const MOST_TEXT: usize = 1 << 16;

/// Bytes from its end in which numbers and formulas are looked for.
const MOST_PROSE: usize = 1 << 14;

/// Longest answer, in bytes.
pub(super) const MOST_ANSWER: usize = 1 << 12;

/// Longest single line that may be an answer as a whole, in bytes.
const MOST_LINE: usize = 200;

/// Letters between two boxes, or two formulas, that make one list of them.
const MOST_BETWEEN: usize = 16;

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
                Self::FinalAnswer,
                Self::Boxed,
                Self::Hash,
                Self::AnswerPhrase,
                Self::Formula,
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
    let text = ending(text, MOST_TEXT);
    let found = match rule {
        Extraction::FinalAnswer => behind(text, &FINAL_ANSWER)?,
        Extraction::AnswerPhrase => behind(text, &ANSWER)?,
        Extraction::Boxed => boxed(text)?,
        Extraction::Hash => {
            let (_, behind) = text.rsplit_once("####")?;
            behind.lines().next()?.to_owned()
        }
        Extraction::LastNumber => last_number(ending(text, MOST_PROSE))?,
        Extraction::LastMath => last_math(ending(text, MOST_PROSE))?,
        Extraction::LastLine => text.trim().lines().next_back()?.to_owned(),
        Extraction::Letter => return None,
        Extraction::Formula => {
            let line = line(text).filter(|line| words(line) == 0 && !line.contains(": "))?;
            line.to_owned()
        }
        Extraction::Line => line(text)?.to_owned(),
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

/// The last bytes of a text.
pub(super) fn ending(text: &str, most: usize) -> &str {
    let mut start = text.len().saturating_sub(most);
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
        r"(?:[-+−]\s?)?(?:\d*\\[dtc]?frac\s*\{[^{}]*\}\s*\{[^{}]*\}|\d*\\sqrt\{[^{}]*\}",
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
        let last = &formulas[joined(sentence, &formulas)];
        return Some(sentence[first.whole.start..last.whole.end].to_owned());
    }
    let numbers = numbers(sentence, &formulas);
    let plain = sentence.trim_end_matches(['*', '_']);
    let alone = match (words(plain), &numbers[..]) {
        (0, _) => true,
        (1..=3, []) => !has_digit(rest),
        (1..=3, [number]) => plain[..number.start].chars().all(|c| !c.is_alphanumeric()),
        _ => false,
    };
    if alone && plain.len() <= MOST_LINE {
        return Some(plain.to_owned());
    }
    // What follows the last equals sign is the result, or else the first number.
    let result = sentence.rfind('=').unwrap_or(0);
    let behind = |number: &&Range<usize>| number.start >= result;
    let first = numbers.iter().find(behind).or(numbers.first())?.clone();
    let at = formulas.iter().position(|formula| formula.whole == first);
    let joined = at.map_or(0, |at| joined(sentence, &formulas[at..]));
    let end = at.map_or(first.end, |at| formulas[at + joined].whole.end);
    Some(sentence[first.start..end].to_owned())
}

/// The text, where it is one short line.
fn line(text: &str) -> Option<&str> {
    let line = text.trim();
    (line.len() <= MOST_LINE && !line.contains('\n')).then_some(line)
}

/// Words of a text that belong to no formula.
fn words(text: &str) -> usize {
    let known = |word: &str| {
        ["and", "percent", "array"].contains(&word)
            || word.ends_with("matrix")
            || NAMES.iter().any(|name| word.starts_with(name))
    };
    let text = TEXT.replace_all(text, " ");
    let (mut count, mut behind_command) = (0, false);
    for part in text.split_inclusive(|c: char| !c.is_alphabetic()) {
        let word = part.trim_end_matches(|c: char| !c.is_alphabetic());
        let is_word = word.chars().count() >= 3 || word.len() >= 3 && !word.is_ascii();
        count += usize::from(is_word && !behind_command && !known(word));
        behind_command = part.ends_with('\\');
    }
    count
}

/// The text up to the end of its first sentence or line, or of the room for an
/// answer.
pub(super) fn sentence(text: &str) -> &str {
    let text = text.trim_start();
    let mut most = MOST_ANSWER.min(text.len());
    while !text.is_char_boundary(most) {
        most -= 1;
    }
    let text = &text[..most];
    let (mut depth, mut inline, mut display) = (0_usize, false, false);
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some((_, '[')) => display = true,
                Some((_, ']')) => display = false,
                _ => {}
            },
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            '$' if text[at..].starts_with("$$") => {
                characters.next();
                display = !display;
            }
            '$' => inline = !inline,
            '\n' if depth == 0 && !display => return &text[..at],
            '。' | '।' => return &text[..at],
            '.' | '!' | '?' if depth == 0 && !inline && !display => {
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

/// How many formulas behind the first one are joined to it.
fn joined(text: &str, formulas: &[Formula]) -> usize {
    let between = |pair: &[Formula]| &text[pair[0].whole.end..pair[1].whole.start];
    let pairs = formulas.windows(2);
    pairs.take_while(|pair| joins(between(pair))).count()
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
        // A sign behind a value is an operator, unless it clings to its number.
        let before = prose[..range.start].trim_end().chars().next_back();
        let glued = prose[..range.start].chars().next_back();
        let signed = number.as_str().starts_with(['-', '+', '−']);
        let apart = glued.is_some_and(char::is_whitespace);
        let clings = apart && !number.as_str().contains(char::is_whitespace);
        let value = before.is_some_and(|c| c.is_alphanumeric() || c == ')' || c == '}');
        let operator = value && !clings;
        if signed && operator {
            let sign = number.as_str().chars().next().map_or(0, char::len_utf8);
            range.start += sign;
        } else if glued.is_some_and(|c| c.is_ascii_alphanumeric() || "_^".contains(c)) {
            continue; // part of a name or an exponent: `x2`, `x^2`
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
