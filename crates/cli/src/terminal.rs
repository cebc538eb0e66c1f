//! Text of the outside world on a terminal.
//!
//! Completions, rows, messages of servers, names of files and tensors may hold
//! characters that command a terminal: that set its title, move the cursor, hide
//! what stands before them. Whatever goes to a terminal passes through here, and has
//! such characters spelled out. Files and pipes get texts as they are.

use std::borrow::Cow;
use std::io::IsTerminal;

/// A text of several lines: line breaks and tabs stay.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    spelled(text, |c| commands(c) && c != '\n' && c != '\t')
}

/// A text that must stay within its line.
pub(crate) fn in_line(text: &str) -> Cow<'_, str> {
    spelled(text, commands)
}

/// A text for standard output: as [`plain`] has it on a terminal, else as it is.
pub(crate) fn for_output(text: &str) -> Cow<'_, str> {
    match std::io::stdout().is_terminal() {
        true => plain(text),
        false => Cow::Borrowed(text),
    }
}

/// JSON in which such characters are escapes of JSON's, and so mean the same.
pub(crate) fn json(text: &str) -> Cow<'_, str> {
    // Those below U+0020 are escaped already.
    if !text.chars().any(commands) {
        return Cow::Borrowed(text);
    }
    let escape = |c: char| match commands(c) {
        true => format!("\\u{:04x}", u32::from(c)),
        false => c.to_string(),
    };
    Cow::Owned(text.chars().map(escape).collect())
}

/// Control characters, and those that turn the direction of what is shown.
fn commands(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

fn spelled(text: &str, escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&escaped) {
        return Cow::Borrowed(text);
    }
    let mut spelled = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match escaped(c) {
            true => spelled.extend(c.escape_default()),
            false => spelled.push(c),
        }
    }
    Cow::Owned(spelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_commands_a_terminal_is_spelled_out_and_the_rest_stays() {
        let text = "a\x1b]0;X\x07b\u{9b}2J\u{202e}\r\n\tc é 数";
        let expected = "a\\u{1b}]0;X\\u{7}b\\u{9b}2J\\u{202e}\\r\n\tc é 数";
        assert_eq!(plain(text), expected);
        assert_eq!(in_line("a\nb\tc"), "a\\nb\\tc");
        assert!(matches!(plain("as it is\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_means_the_same() {
        let value = serde_json::json!({"text": "a\x1b\u{9b}\u{7f}\u{2066}b"});
        let text = value.to_string();
        let escaped = json(&text);
        assert!(!escaped.chars().any(commands), "{escaped}");
        let again: serde_json::Value = serde_json::from_str(&escaped).unwrap();
        assert_eq!(again, value);
    }
}
