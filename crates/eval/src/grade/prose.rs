//! Numbers, formulas and sentences of prose.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::fold::TEXT;
use super::lexer::NAMES;

/// Bytes of a text that are looked at, from its end: answers stand there.
pub(super) const MOST_TEXT: usize = 1 << 16;

/// Bytes from its end in which numbers and formulas are looked for.
pub(super) const MOST_PROSE: usize = 1 << 14;

/// Longest answer, in bytes.
pub(super) const MOST_ANSWER: usize = 1 << 12;

/// Longest single line that may be an answer as a whole, in bytes.
pub(super) const MOST_LINE: usize = 200;

/// Letters between two answers that make one list of them.
const MOST_BETWEEN: usize = 16;

/// The last bytes of a text.
pub(super) fn ending(text: &str, most: usize) -> &str {
    let mut start = text.len().saturating_sub(most);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// A pattern of this program.
pub(super) fn pattern(pattern: &str) -> Regex {
    #[allow(clippy::expect_used)] // Each is compiled by the tests.
    Regex::new(pattern).expect("a pattern of this program")
}

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

/// The text, where it is one short line.
pub(super) fn line(text: &str) -> Option<&str> {
    let line = text.trim();
    (line.len() <= MOST_LINE && !line.contains('\n')).then_some(line)
}

/// Two numbers with nothing but a space between them, which are neither one number
/// with groups of three digits nor a mixed fraction.
static APART: LazyLock<Regex> = LazyLock::new(|| pattern(r"\d\s+(?:\d{1,2}|\d{4,})(?:[^\d/]|$)"));

/// Whether a line is one bare formula: without words, and not several equations
/// one after the other, as in `7+8=15 3+5+1=9 95`.
pub(super) fn reads_as_formula(line: &str) -> bool {
    let several = line.contains('=') && APART.is_match(line);
    words(line) == 0 && !line.contains(": ") && !several
}

/// Short words of English that are not taken for products of unknowns.
const SHORT_WORDS: [&str; 15] = [
    "an", "as", "at", "be", "by", "he", "if", "is", "it", "my", "of", "on", "so", "to", "we",
];

/// Words of a text that belong to no formula.
pub(super) fn words(text: &str) -> usize {
    let known = |word: &str| {
        ["and", "percent", "array"].contains(&word)
            || word.ends_with("matrix")
            || NAMES.iter().any(|name| word.starts_with(name))
    };
    let text = TEXT.replace_all(text, " ");
    let (mut count, mut behind_command) = (0, false);
    for part in text.split_inclusive(|c: char| !c.is_alphabetic()) {
        let word = part.trim_end_matches(|c: char| !c.is_alphabetic());
        let is_word = word.chars().count() >= 3
            || word.len() >= 3 && !word.is_ascii()
            || SHORT_WORDS
                .iter()
                .any(|short| word.eq_ignore_ascii_case(short));
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

pub(super) fn has_digit(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_digit())
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
pub(super) fn joined(text: &str, formulas: &[Formula]) -> usize {
    let between = |pair: &[Formula]| &text[pair[0].whole.end..pair[1].whole.start];
    let pairs = formulas.windows(2);
    pairs.take_while(|pair| joins(between(pair))).count()
}

/// Whether the text between two answers makes them one list.
pub(super) fn joins(between: &str) -> bool {
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
pub(super) struct Formula {
    /// With its delimiters.
    pub(super) whole: Range<usize>,
    pub(super) content: Range<usize>,
}

/// Formulas of a text, in order.
pub(super) fn formulas(text: &str) -> Vec<Formula> {
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
pub(super) fn last_number(text: &str) -> Option<String> {
    if SPACED_NUMBER.is_match(text.trim()) {
        return Some(text.to_owned());
    }
    let last = numbers(text, &formulas(text)).pop()?;
    Some(text[last].to_owned())
}

/// Numbers of the prose and formulas that have digits, in order.
pub(super) fn numbers(text: &str, formulas: &[Formula]) -> Vec<Range<usize>> {
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
pub(super) fn last_math(text: &str) -> Option<String> {
    let formulas = formulas(text);
    let last = formulas.len().checked_sub(1)?;
    let first = last - joined_back(text, &formulas, |formula| formula.whole.clone());
    let (start, end) = (formulas[first].whole.start, formulas[last].whole.end);
    if first == last {
        return Some(text[formulas[last].content.clone()].to_owned());
    }
    Some(text[start..end].to_owned())
}
