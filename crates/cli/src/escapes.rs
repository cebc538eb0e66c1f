//! Line breaks and tabs in options: shells leave `\n` in quotes as it is.

use clap::builder::{StringValueParser, TypedValueParser};

/// A parser of options in which `\n` is a line break, `\t` a tab and `\\` a
/// backslash.
pub(crate) fn escaped() -> impl TypedValueParser<Value = String> {
    StringValueParser::new().map(|text| unescape(&text))
}

/// A backslash before anything else is itself, as in `\boxed`.
fn unescape(text: &str) -> String {
    let mut meant = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let escaped = match (c, characters.peek()) {
            ('\\', Some('n')) => '\n',
            ('\\', Some('t')) => '\t',
            ('\\', Some('\\')) => '\\',
            _ => {
                meant.push(c);
                continue;
            }
        };
        meant.push(escaped);
        characters.next();
    }
    meant
}

/// A text as an option that means it.
pub(crate) fn escape(text: &str) -> String {
    text.replace('\\', r"\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_tabs_and_backslashes_are_meant_and_all_else_is_itself() {
        for (given, meant) in [
            (r"Q: {question}\nA:", "Q: {question}\nA:"),
            (r"a\tb\\nc", "a\tb\\nc"),
            (r"\boxed{{}} \", "\\boxed{{}} \\"),
            ("already\nbroken", "already\nbroken"),
            ("", ""),
        ] {
            assert_eq!(unescape(given), meant);
        }
    }

    #[test]
    fn what_is_escaped_is_meant() {
        for text in [r"\n", r"\\t\", "a\nb", r"\\\\n", r"\boxed"] {
            assert_eq!(unescape(&escape(text)), text);
        }
    }
}
