//! Text as words, and runs of words as numbers.

use crate::curation::spelling::caseless;

/// What counts as a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Words {
    /// Letters and digits only: `f(x) = 2` is `f`, `x`, `2`.
    Alphanumeric,
    /// Signs are words too, since `2+2` is not `2-2`.
    WithSigns,
}

impl Words {
    /// A hash of each word, in order, whatever the spelling, small and capital
    /// letters alike. In scripts without spaces every character is a word.
    pub(super) fn of(self, text: &str) -> Vec<u64> {
        let mut words = Vec::new();
        let mut current = None;
        for sign in caseless(text).chars() {
            let alone = is_word_alone(sign);
            if sign.is_alphanumeric() && !alone {
                let word = current.get_or_insert(OFFSET);
                *word = add(*word, sign);
                continue;
            }
            words.extend(current.take());
            if alone || (self == Self::WithSigns && !sign.is_whitespace()) {
                words.push(add(OFFSET, sign));
            }
        }
        words.extend(current);
        words
    }
}

/// A hash of each run of `n` words; of a shorter text one, of all its words.
pub(super) fn runs(words: &[u64], n: usize) -> impl Iterator<Item = u64> {
    words
        .windows(n.clamp(1, words.len().max(1)))
        .map(|run| run.iter().fold(OFFSET, |hash, &word| mix(hash ^ word)))
}

const OFFSET: u64 = 0xCBF2_9CE4_8422_2325;

/// FNV-1a, a character at a time.
fn add(hash: u64, sign: char) -> u64 {
    (hash ^ u64::from(u32::from(sign))).wrapping_mul(0x0000_0100_0000_01B3)
}

/// SplitMix64: every bit of the input moves every bit of the output.
pub(super) fn mix(hash: u64) -> u64 {
    let mut hash = hash.wrapping_add(0x9E37_79B9_7F4A_7C15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    hash ^ (hash >> 31)
}

/// Kana and the ideographs of Chinese, Japanese and Korean.
fn is_word_alone(sign: char) -> bool {
    matches!(u32::from(sign), 0x3040..=0x30FF | 0x3400..=0x9FFF | 0xF900..=0xFAFF | 0x2_0000..=0x3_FFFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_spacing_do_not_matter_and_signs_only_where_they_are_words() {
        let plain = |text| Words::Alphanumeric.of(text);
        assert_eq!(plain("F(x) =\n 12"), plain("f X 12"));
        assert_ne!(plain("1 2"), plain("12"));
        let signed = |text| Words::WithSigns.of(text);
        assert_eq!(signed("2+ 2").len(), 3);
        assert_ne!(signed("2 + 2"), signed("2 - 2"));
        assert_eq!(plain("漢字 kana"), plain("漢 字 Kana"));
        assert!(plain(" .,").is_empty());
    }

    #[test]
    fn spellings_of_a_word_are_one_word() {
        let plain = |text| Words::Alphanumeric.of(text);
        assert_eq!(
            plain("caf\u{e9} o\u{FB03}ce"),
            plain("CAFE\u{301} OFF\u{200B}ICE")
        );
        assert_eq!(plain("caf\u{e9}").len(), 1);
        assert_ne!(plain("caf\u{e9}"), plain("cafe"));
        assert_ne!(plain("2\u{B2}"), plain("22"));
    }

    #[test]
    fn runs_overlap_and_a_short_text_is_one_run() {
        let words = Words::Alphanumeric.of("a b c d");
        assert_eq!(runs(&words, 3).count(), 2);
        assert_eq!(runs(&words, 9).count(), 1);
        assert_eq!(runs(&[], 9).count(), 0);
        let turned = Words::Alphanumeric.of("b a");
        assert_ne!(runs(&words[..2], 2).next(), runs(&turned, 2).next());
    }
}
