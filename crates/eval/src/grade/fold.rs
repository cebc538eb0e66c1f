//! Texts without what does not matter.

use std::sync::LazyLock;

use regex::Regex;

use super::extract::pattern;

/// Words in lower case with single spaces, without a full stop.
pub(super) fn words(text: &str) -> String {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    words.join(" ").trim_end_matches(['.', '!', ' ']).to_owned()
}

/// LaTeX that changes nothing: delimiters, sizes of brackets, spaces.
static OUTWARD: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"\\(?:left|right|[bB]igg?[lr]?|displaystyle|quad|qquad|boxed)(?-u:\b)",
        r"|\\[()\[\]!,;:$ ]|[$\s*]",
    ))
});

/// Groups of text, whose content stands for itself.
pub(super) static TEXT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\\(?:text|textbf|textit|textrm|textnormal|mbox|mathrm|mathbf|mathit)\s*\{([^{}\\]*)\}",
    )
});

/// A formula without what does not change it.
pub(super) fn formula(text: &str) -> String {
    let text = TEXT.replace_all(text, "$1");
    let text = text
        .replace("\\dfrac", "\\frac")
        .replace("\\tfrac", "\\frac");
    let plain = OUTWARD.replace_all(&text, "");
    plain.trim_end_matches(['.', ',', ';', '\\']).to_owned()
}
