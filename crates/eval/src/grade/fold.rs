//! Texts without what does not matter.

/// Words in lower case with single spaces, without a full stop.
pub(super) fn words(text: &str) -> String {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    words.join(" ").trim_end_matches(['.', '!', ' ']).to_owned()
}
