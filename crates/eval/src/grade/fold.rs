//! Texts without what does not matter.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::Mode;
use super::prose::pattern;

/// Words in lower case with single spaces, without a full stop.
pub(super) fn words(text: &str) -> String {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    words.join(" ").trim_end_matches(['.', '!', ' ']).to_owned()
}

/// What stands between the items of a list in prose.
static BETWEEN: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\s*(?:[,;\n]\s*(?:and|or)\b|[,;\n]|\b(?:and|or)\b)\s*"));

/// Whether an answer lists these items and no other, in any order.
pub(super) fn same_items(items: &[String], answer: &str, mode: Mode) -> bool {
    let fold = |text: &str| match mode {
        Mode::Strict => text.trim().to_owned(),
        Mode::Lenient => words(text),
    };
    let sorted = |mut items: Vec<String>| {
        items.retain(|item| !item.is_empty());
        items.sort_unstable();
        items
    };
    let given = BETWEEN.split(answer).map(fold).collect();
    // An item may have a comma of its own.
    let expected = items.iter().flat_map(|item| BETWEEN.split(item)).map(fold);
    sorted(given) == sorted(expected.collect())
}

/// LaTeX that changes nothing: delimiters, sizes of brackets, spaces.
static OUTWARD: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"\\(?:left|right|[bB]igg?[lr]?|displaystyle|quad|qquad|boxed)(?-u:\b)",
        r"|\\[()\[\]!,;:$ ]|\$|\s+|\*+",
    ))
});

/// Groups of text, whose content stands for itself.
pub(super) static TEXT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"\\(?:text|textbf|textit|textrm|textsf|texttt|textsc|textup|textnormal|emph|mbox|hbox",
        r"|mathrm|mathbf|mathit|mathsf|mathtt|operatorname)\s*\{([^{}\\]*)\}",
    ))
});

/// The text with the content of groups of text, also of those within each other.
pub(super) fn without_text_groups(text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..4 {
        match TEXT.replace_all(&text, "$1") {
            std::borrow::Cow::Borrowed(_) => break,
            std::borrow::Cow::Owned(inner) => text = inner,
        }
    }
    text
}

/// A formula without what does not change it. Between digits a space does, and
/// between any two characters an asterisk.
pub(super) fn formula(text: &str) -> String {
    let text = without_text_groups(text)
        .replace("\\dfrac", "\\frac")
        .replace("\\tfrac", "\\frac");
    let text = text.trim();
    let plain = OUTWARD.replace_all(text, |found: &Captures| {
        let Some(found) = found.get(0) else {
            return "";
        };
        let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        let (before, behind) = (&text[..found.start()], &text[found.end()..]);
        match found.as_str() {
            star if star.starts_with('*') && !before.is_empty() && !behind.is_empty() => "*",
            space if space.trim().is_empty() => {
                let digits = digit(before.chars().next_back()) && digit(behind.chars().next());
                if digits { " " } else { "" }
            }
            _ => "",
        }
    });
    plain.trim_end_matches(['.', ',', ';', '\\']).to_owned()
}
