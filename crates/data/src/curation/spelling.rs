//! Spellings of a text. What differs only in how characters are encoded, in
//! characters that nobody sees, or in white space is one text to every rule.

use std::borrow::Cow;

use caseless::Caseless;
use unicode_normalization::UnicodeNormalization;

/// The text in Unicode's normal form NFKC: accents are joined with their letters,
/// full-width letters, ligatures and letters of mathematical fonts are plain ones.
/// Superscripts, subscripts and fractions stay, since 2² is not 22. Characters
/// that show nothing are left out. The original where there is nothing to change.
pub(super) fn normal(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return text.into();
    }
    let seen = text.chars().filter(|&sign| !is_ignorable(sign));
    let seen: String = seen.collect();
    let mut normal = String::with_capacity(seen.len());
    for part in seen.split_inclusive(is_raised) {
        let end = part.char_indices().next_back();
        let (start, raised) = match end.filter(|&(_, sign)| is_raised(sign)) {
            Some((end, _)) => part.split_at(end),
            None => (part, ""),
        };
        normal.extend(start.nfkc());
        normal.push_str(raised);
    }
    normal.into()
}

/// The text in its normal form, with one space for all white space between two
/// words: equal for two texts that differ in spelling alone.
pub(super) fn spelling(text: &str) -> String {
    let normal = normal(text);
    let mut spelling = String::with_capacity(normal.len());
    for word in normal.split_whitespace() {
        if !spelling.is_empty() {
            spelling.push(' ');
        }
        spelling.push_str(word);
    }
    spelling
}

/// The text in its normal form, small and capital letters alike, in every
/// script that has them.
pub(super) fn caseless(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    normal(text).chars().default_case_fold().collect()
}

/// Characters without a shape or a width of their own, which Unicode lets
/// programs ignore: byte-order marks, zero-width spaces and joiners, soft
/// hyphens, variation selectors, marks of direction.
fn is_ignorable(sign: char) -> bool {
    matches!(
        u32::from(sign),
        0xAD | 0x34F | 0x61C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F
            | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F | 0x3164
            | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFF8
            | 0x1_BCA0..=0x1_BCA3 | 0x1_D173..=0x1_D17A | 0xE_0000..=0xE_0FFF
    )
}

/// Superscripts, subscripts and fractions, whose place has a meaning.
fn is_raised(sign: char) -> bool {
    matches!(
        u32::from(sign),
        0xB2..=0xB3 | 0xB9 | 0xBC..=0xBE | 0x2070..=0x209C | 0x2150..=0x215F | 0x2189
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forms_of_one_text_are_one_and_other_texts_are_not() {
        for (a, b) in [
            ("cafe\u{301}", "caf\u{e9}"),
            ("\u{FF21}\u{FF11}\u{FF0B}", "A1+"),
            ("o\u{FB03}ce", "office"),
            ("\u{1D453}(\u{1D465})", "f(x)"),
            ("\u{1112}\u{1161}\u{11AB}", "\u{D55C}"),
            ("\u{FF76}\u{FF9E}", "\u{30AC}"),
            ("\u{212B}", "A\u{30A}"),
            ("\u{FEFF}so\u{200B} far\u{AD}ther", "so farther"),
            ("a \u{A0}\n\u{3000} b\u{2028}", " a b"),
            ("", " \u{200B}"),
        ] {
            assert_eq!(spelling(a), spelling(b), "{a:?} and {b:?}");
        }
        for (a, b) in [
            ("2\u{B2}", "22"),
            ("x\u{2081}", "x1"),
            ("2\u{BD}", "21/2"),
            ("cafe", "caf\u{e9}"),
            ("A", "a"),
            ("ab", "a b"),
        ] {
            assert_ne!(spelling(a), spelling(b), "{a:?} and {b:?}");
        }
    }

    #[test]
    fn small_and_capital_letters_are_alike_in_every_script() {
        for (a, b) in [
            ("Stra\u{DF}e", "STRASSE"),
            ("STRA\u{1E9E}E", "strasse"),
            (
                "\u{39F}\u{394}\u{39F}\u{3A3}",
                "\u{3BF}\u{3B4}\u{3BF}\u{3C2}",
            ),
            ("\u{416}", "\u{436}"),
            ("E\u{301}", "\u{e9}"),
            ("\u{FF21}", "a"),
            ("X\u{B2}", "x\u{B2}"),
        ] {
            assert_eq!(caseless(a), caseless(b), "{a:?} and {b:?}");
        }
        assert_ne!(caseless("\u{e9}"), caseless("e"));
    }

    proptest! {
        #[test]
        fn every_normal_form_of_a_text_has_its_spelling(text in "\\PC{0,20}") {
            let forms = [text.nfc().collect::<String>(), text.nfd().collect()];
            for form in &forms {
                prop_assert_eq!(spelling(form), spelling(&text));
                prop_assert_eq!(caseless(form), caseless(&text));
            }
            prop_assert_eq!(spelling(&spelling(&text)), spelling(&text));
        }
    }
}
