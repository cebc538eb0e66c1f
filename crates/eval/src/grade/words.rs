//! Answers in words: whole sentences, and those that say that there is no answer.

use std::sync::LazyLock;

use regex::Regex;

use super::fold;
use super::lexer::NAMES;
use super::prose::pattern;

/// What an answer says of its own kind, however it is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// Nothing solves it: "no solution", the empty set.
    Nothing,
    /// What is asked for is not there: a limit, an inverse.
    NotThere,
    Undefined,
    InfinitelyMany,
    /// All real numbers.
    Everything,
}

/// Whether two answers are the same words, in upper or lower case and however
/// they are dressed. `None` where one of them is a formula.
pub(super) fn same(gold: &str, answer: &str) -> Option<bool> {
    if let (Some(own), Some(other)) = (said(gold), said(answer)) {
        return Some(own == other);
    }
    let (own, other) = (sentence(gold)?, sentence(answer)?);
    (own == other).then_some(true)
}

/// Layout, quotes and emphasis between words.
static DRESS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"\\(?:left|right|displaystyle|quad|qquad|boxed|rm|bf|it|em|sf|tt)(?-u:\b)",
        r#"|\\[()\[\]!,;:$ ]|[$~*`"“”„{}\s]"#,
    ))
});

/// The text in lower case with single spaces, where it is nothing but words,
/// numbers and punctuation.
pub(super) fn prose(text: &str) -> Option<String> {
    let text = fold::without_text_groups(text);
    let plain = DRESS.replace_all(&text, " ");
    let is_prose =
        |c: char| c.is_alphanumeric() || c.is_whitespace() || ".,;:!?'’()-–/&".contains(c);
    if !plain.chars().all(is_prose) {
        return None;
    }
    let words: Vec<String> = plain.split_whitespace().map(str::to_lowercase).collect();
    let words = words.join(" ").replace('’', "'");
    Some(
        words
            .trim_end_matches(['.', ',', ';', ':', '!', ' '])
            .to_owned(),
    )
}

/// The letters of an answer that is a sentence or a word; with numbers in it,
/// also its marks.
fn sentence(text: &str) -> Option<String> {
    let prose = prose(text)?;
    let dressed = text.contains("\\text") || text.contains("\\mathrm") || text.contains("\\mbox");
    let letters = |word: &str| word.chars().filter(|c| c.is_alphabetic()).count();
    let any_word = prose
        .split(|c: char| !c.is_alphabetic())
        .any(|word| is_word(word) || dressed && letters(word) >= 2);
    if !any_word {
        return None;
    }
    let has_digit = prose.contains(|c: char| c.is_numeric());
    let kept = prose
        .chars()
        .filter(|&c| c.is_alphanumeric() || has_digit && !c.is_whitespace());
    Some(kept.collect())
}

/// Whether letters that stand together are a word rather than a product of
/// variables: these mostly have no vowel or stand in the order of the alphabet.
pub(super) fn is_word(letters: &str) -> bool {
    let lower = letters.to_lowercase();
    let vowel = lower.contains(|c: char| "aeiouy".contains(c) || !c.is_ascii());
    let ascending = lower.chars().zip(lower.chars().skip(1)).all(|(a, b)| a < b);
    let long = lower.chars().count() >= 3 || lower.len() >= 3 && !lower.is_ascii();
    long && vowel && !ascending && !NAMES.contains(&lower.as_str())
}

/// No solution, in words.
static NOTHING: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"^(?:there (?:are|is|exists?) |(?:it|this|the (?:equation|system|inequality)) has )?",
        r"(?:no|not any|zero) (?:such |valid |possible |real |integer |positive |common )*",
        r"(?:solutions?|roots?|values?|numbers?|integers?|pairs?|triples?|functions?|answers?|x)",
        r"(?: (?:is|are) (?:possible|valid)| (?:of|for) x| exists?| (?:in|over) (?:the )?reals)?$",
        r"|^(?:there (?:is|are) )?none(?: exists?)?$|^(?:the )?(?:empty|null) set$",
        r"|^(?:the |a )?(?:real )?solutions? (?:does not|doesn't|do not|don't) exist$",
        r"|^(?:it |this |the (?:equation|system|inequality) )?(?:is )?(?:unsolvable|has no solutions?)$",
    ))
});

static NOT_THERE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"^(?:(?:it|this|the (?:limit|inverse|value|integral|derivative)|limit) )?",
        r"(?:does not|doesn't|do not|don't) exist$|^d\.?n\.?e$",
    ))
});

static UNDEFINED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^(?:(?:it|this|the (?:value|expression)) )?(?:is )?(?:undefined|not defined)$")
});

static INFINITELY_MANY: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"^(?:there (?:are|is) )?(?:infinitely many|infinite|an infinite number of)",
        r"(?: solutions?| values?| roots?)?(?: exist)?$",
    ))
});

static EVERYTHING: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:the set of )?(?:all|any|every)(?: the)? reals?(?: numbers?| values?)?(?: (?:of|for) x)?$",
    )
});

/// What an answer says, where it says one of these.
pub(super) fn said(text: &str) -> Option<Said> {
    let formula = fold::formula(text);
    if ["\\emptyset", "\\varnothing", "∅", "{}", "\\{\\}"].contains(&formula.as_str()) {
        return Some(Said::Nothing);
    }
    let prose = prose(text)?;
    let said = [
        (&NOTHING, Said::Nothing),
        (&NOT_THERE, Said::NotThere),
        (&UNDEFINED, Said::Undefined),
        (&INFINITELY_MANY, Said::InfinitelyMany),
        (&EVERYTHING, Said::Everything),
    ];
    let found = said.into_iter().find(|(words, _)| words.is_match(&prose));
    found.map(|(_, said)| said)
}
