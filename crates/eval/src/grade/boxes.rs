//! Answers in boxes.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::fold::TEXT;
use super::prose::{MOST_ANSWER, joins, pattern};

/// Boxes at the end of a text that are looked at.
const MOST_BOXES: usize = 256;

/// Bytes between two boxes that are one answer.
const MOST_BETWEEN: usize = 96;

static BOX: LazyLock<Regex> = LazyLock::new(|| pattern(r"\\(?:boxed|fbox|framebox)\s*(\{)?"));

/// What a box holds that stands for an answer and is none: nothing, dots, "your
/// answer".
static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"(?i)^(?:[\s~.…?_$<>\[\]{}*]|\\(?:[ ,;:!]|q?quad|[lc]?dots|square|Box|(?:phantom|hspace|underline)\{[^{}]*\}))*$",
        r"|^[\s<\[{(*_]*(?:(?:put|insert|write)\s+)?(?:the\s+|your\s+|final\s+|my\s+)*answer(?:\s+here)?[\s>\]})*_.]*$",
    ))
});

/// An assignment in front of a box: `x =`, `f(2) =`, `y_{1} is`.
static NAME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"(?P<name>(?:\\?[A-Za-zα-ωΑ-Ω]{1,12})'*(?:_(?:\w|\{[^{}]{1,12}\}))?'*(?:\([^()=]{1,8}\))?)",
        r"\s*&?=\s*&?[\s{}]*$|\b(?P<letter>[A-Za-z](?:_\w)?)\s*(?::|is\b)[\s{}]*$",
    ))
});

/// The label of a part in front of a box: `(b)`, `2.`, a bullet.
static LABEL: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?:^|[\s,;])(?:\((?:[a-z]|\d|[ivx]{1,4})\)|(?:[a-z]|\d|[ivx]{1,4})[.):])\s*$|\n\s*[-*•]\s*$",
    )
});

/// What stands between the items of a list.
static SEPARATOR: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)[,;，；、&]|\b(?:and|or|und|oder|et|ou|y|e|o|и|или)\b|[和或与及]")
});

/// The answer in boxes, and where the last of them ends.
pub(super) struct Boxed {
    pub(super) answer: String,
    pub(super) end: usize,
}

struct Found<'a> {
    whole: Range<usize>,
    content: &'a str,
    closed: bool,
}

/// The content of the last box, and of those joined to it. A box that is not
/// closed counts where there is no other, one without an answer never.
pub(super) fn last(text: &str) -> Option<Boxed> {
    let mut boxes = boxes(text);
    boxes.retain(|found| !is_placeholder(found.content));
    if boxes.iter().any(|found| found.closed) {
        boxes.retain(|found| found.closed);
    }
    let end = boxes.last()?.whole.end;
    let mut contents = vec![boxes.last()?.content];
    for pair in boxes.windows(2).rev() {
        let Some(joint) = joint(text, &pair[0].whole, &pair[1].whole) else {
            break;
        };
        let repeated = joint == Joint::Beside && contents.last() == Some(&pair[0].content);
        if !repeated {
            contents.push(pair[0].content);
        }
    }
    contents.reverse();
    let answer = contents.join(", ");
    Some(Boxed { answer, end })
}

/// Whether what stands in place of an answer is none.
pub(super) fn is_placeholder(content: &str) -> bool {
    PLACEHOLDER.is_match(&TEXT.replace_all(content, "$1"))
}

fn boxes(text: &str) -> Vec<Found<'_>> {
    let opened: Vec<_> = BOX.captures_iter(text).collect();
    let first = opened.len().saturating_sub(MOST_BOXES);
    let mut boxes = Vec::new();
    let mut from = 0;
    for found in &opened[first..] {
        let Some(whole) = found.get(0).filter(|whole| whole.start() >= from) else {
            continue; // inside of the one before
        };
        let rest = &text[whole.end()..];
        let (content, closed) = match found.get(1) {
            Some(_) => match braced(rest) {
                Some(content) => (content, true),
                None => (rest.lines().next().unwrap_or_default(), false),
            },
            None => {
                let end = rest.find([' ', '$', '\n', '.']).unwrap_or(rest.len());
                (&rest[..end], true)
            }
        };
        let brace = usize::from(closed && found.get(1).is_some());
        let end = whole.end() + content.len() + brace;
        // There may be boxes behind a brace that is missing.
        from = if closed { end } else { whole.end() };
        boxes.push(Found {
            whole: whole.start()..end,
            content: content.trim(),
            closed,
        });
    }
    boxes
}

/// The text up to the brace that closes it.
fn braced(text: &str) -> Option<&str> {
    let mut depth = 0_usize;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().take(MOST_ANSWER) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(&text[..at]),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// How two boxes are one list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joint {
    /// By a comma, "and", or the label of the next part.
    Listed,
    /// One beside the other.
    Beside,
}

fn joint(text: &str, first: &Range<usize>, second: &Range<usize>) -> Option<Joint> {
    let between = text.get(first.end..second.start)?;
    if between.len() > MOST_BETWEEN || between.contains("\n\n") {
        return None;
    }
    let plain = without_markup(between);
    let (rest, name) = named(&plain);
    let label = LABEL.find(rest);
    let rest = label.map_or(rest, |label| &rest[..label.start()]);
    let separated = SEPARATOR.is_match(rest);
    let else_nothing = {
        let other = SEPARATOR.replace_all(rest, "");
        !other.contains(|c: char| !c.is_whitespace() && !"{}*_".contains(c))
    };
    match (else_nothing, separated || label.is_some()) {
        (true, true) => Some(Joint::Listed),
        (true, false) => match name {
            None => Some(Joint::Beside),
            // `x = 2` and `y = 3` are two unknowns; twice the same is a step.
            Some(name) => {
                let before = without_markup(&text[..first.start]);
                let other = named(&before).1?;
                (other != name).then_some(Joint::Listed)
            }
        },
        (false, _) if rest.contains(['=', '≈', '<', '>']) => None,
        (false, _) => joins(between).then_some(Joint::Listed),
    }
}

/// A text without the name that it ends with, and that name.
fn named(text: &str) -> (&str, Option<&str>) {
    let Some(found) = NAME.captures(text) else {
        return (text, None);
    };
    let start = found.get(0).map_or(text.len(), |whole| whole.start());
    let name = found.name("name").or(found.name("letter"));
    (&text[..start], name.map(|name| name.as_str()))
}

/// A stretch of text without delimiters of formulas, sizes and spaces.
fn without_markup(text: &str) -> String {
    let start = text.len().saturating_sub(MOST_BETWEEN);
    let start = (start..text.len()).find(|&at| text.is_char_boundary(at));
    let text = &text[start.unwrap_or(text.len())..];
    let mut plain = text.replace("\\\\", ";").replace("**", " ");
    for markup in [
        "\\text", "\\mathrm", "\\qquad", "\\quad", "\\(", "\\)", "\\[", "\\]", "\\,", "\\;", "\\ ",
        "$",
    ] {
        plain = plain.replace(markup, " ");
    }
    plain
}
