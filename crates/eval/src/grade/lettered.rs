//! Answers with the letter of a choice in front: `\textbf{(E)}\ 7`.

use std::sync::LazyLock;

use regex::Regex;

use super::prose::pattern;

/// An answer's letter and its value, either of which may be all there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lettered<'a> {
    pub(super) letter: Option<char>,
    pub(super) value: Option<&'a str>,
}

/// A letter in a group of text, then spaces.
static GROUPED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"^\\(?:text\w*|math(?:rm|bf|sf|tt)|mbox)\s*\{\s*(?P<open>\()?\s*(?P<letter>[A-J])\s*(?P<close>[).:]+)?\s*\}",
        r"(?P<space>(?:\\[ ,;:!]|\\q?quad\b|[~\s:.])*)",
    ))
});

/// `(E) 7`, `E. 7`, `E) 7`.
static PLAIN: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:\((?P<letter>[A-J])\)[.:]?|(?P<other>[A-J])[.):])(?P<space>(?:\\[ ,;:!]|\\q?quad\b|[~\s])+)",
    )
});

/// One group of text that is all of an answer.
static GROUP: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^\\(?:text\w*|math(?:rm|bf|sf|tt)|mbox)\s*\{([^{}]*)\}$"));

/// What a value begins with, and no operator does.
static VALUE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:[-−+]?[\d.$]|[\p{L}({\[]|[-−]?\\(?:[dtc]?frac|sqrt|pi|text\w*|math\w+|mbox|\$|left|\{|\(|\[|d?binom|log|ln|sin|cos|tan|infty|emptyset|varnothing|begin|pm|angle|overline|triangle))",
    )
});

/// The letter of a choice and the value behind it; neither where an answer has no
/// letter in front.
pub(super) fn split(answer: &str) -> Lettered<'_> {
    let answer = answer.trim().trim_matches('$').trim();
    let none = Lettered::default();
    if let Some(inner) = GROUP.captures(answer).and_then(|found| found.get(1)) {
        return in_text(inner.as_str().trim());
    }
    if let Some(found) = GROUPED.captures(answer) {
        let end = found.get(0).map_or(0, |whole| whole.end());
        let dressed = found.name("open").is_some() || found.name("close").is_some();
        let spaced = found.name("space").is_some_and(|space| !space.is_empty());
        let value = &answer[end..];
        return match (dressed || spaced) && VALUE.is_match(value) {
            true => Lettered {
                letter: letter_of(found.name("letter")),
                value: Some(value),
            },
            false => none,
        };
    }
    match in_text(answer) {
        Lettered {
            letter,
            value: None,
        } if !answer.starts_with('(') => Lettered {
            letter: letter.filter(|_| answer.len() == 1),
            value: None,
        },
        lettered => lettered,
    }
}

/// As [`split`], of plain text.
fn in_text(text: &str) -> Lettered<'_> {
    if let Some(found) = PLAIN.captures(text) {
        let end = found.get(0).map_or(0, |whole| whole.end());
        let value = &text[end..];
        if VALUE.is_match(value) {
            return Lettered {
                letter: letter_of(found.name("letter").or(found.name("other"))),
                value: Some(value),
            };
        }
    }
    let alone = text.trim_matches(|c: char| "().: ".contains(c));
    let mut letters = alone.chars();
    let letter = letters.next().filter(|letter| ('A'..='J').contains(letter));
    Lettered {
        letter: letter.filter(|_| letters.next().is_none()),
        value: None,
    }
}

fn letter_of(found: Option<regex::Match<'_>>) -> Option<char> {
    found?.as_str().chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_stands_in_front_of_its_value_or_alone() {
        for (answer, letter, value) in [
            (r"\textbf{(E)}\ 7", Some('E'), Some("7")),
            (r"$\textbf{(E) } 7$", Some('E'), Some("7")),
            (r"\textbf{(B)}~\frac{1}{2}", Some('B'), Some(r"\frac{1}{2}")),
            (r"\text{(E) 7}", Some('E'), Some("7")),
            (r"\text{E. 7}", Some('E'), Some("7")),
            (r"\mathrm{(C)}\quad -3", Some('C'), Some("-3")),
            ("(E) 7", Some('E'), Some("7")),
            ("E) 7", Some('E'), Some("7")),
            (r"\textbf{(E)}", Some('E'), None),
            (r"\text{E}", Some('E'), None),
            ("(E)", Some('E'), None),
            ("E", Some('E'), None),
            // Mathematics with letters of its own.
            (r"(A) + 7", None, None),
            (r"(A)(B)", None, None),
            (r"(A)^2", None, None),
            (r"\mathrm{C}_2", None, None),
            (r"\text{A} \cup B", None, None),
            ("A:B = 2:3", None, None),
            ("E=7", None, None),
            ("(K) 7", None, None),
            ("7", None, None),
        ] {
            assert_eq!(split(answer), Lettered { letter, value }, "{answer}");
        }
    }
}
