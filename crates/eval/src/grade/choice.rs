//! The letter of the option that a text chooses.

use std::sync::LazyLock;

use regex::Regex;

use super::Extraction;
use super::extract::{ANSWER, FINAL_ANSWER, MOST_TEXT, boxed, ending, pattern, sentence};

/// The letter that a text begins with: `C`, `(C)`, `**C.**`, `C Cecile`.
static LEADING: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^[\s*_(\[]*(?:\\text\w*\{\(?)?([A-J])(?:$|[^A-Za-z0-9'’ ]|\s+[A-Z\n(]|\s*\n|\s*$)")
});

/// A letter that stands alone.
static ALONE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?:^|[^A-Za-z0-9\\'’])([A-J])(?:[^A-Za-z0-9'’]|$)"));

/// The letter that `rule` finds.
pub(super) fn find(text: &str, rule: Extraction) -> Option<String> {
    let text = ending(text, MOST_TEXT);
    match rule {
        Extraction::FinalAnswer => first(behind(text, &FINAL_ANSWER)?),
        Extraction::AnswerPhrase => first(behind(text, &ANSWER)?),
        Extraction::Boxed => only(&boxed(text)?),
        Extraction::Letter => leading(text).or_else(|| letters(text).pop()),
        Extraction::Hash | Extraction::LastLine | Extraction::Line | Extraction::Whole => {
            only(&super::extract::find(text, rule)?)
        }
        Extraction::LastNumber | Extraction::LastMath | Extraction::Formula => None,
    }
}

/// The letter of a gold answer, which may have the option's text beside it.
pub(super) fn gold(gold: &str) -> String {
    let letter = only(gold)
        .or_else(|| find(gold, Extraction::Boxed))
        .or_else(|| find(gold, Extraction::AnswerPhrase))
        .or_else(|| leading(gold.trim_start()));
    letter.unwrap_or_else(|| gold.trim().to_owned())
}

fn behind<'a>(text: &'a str, phrase: &Regex) -> Option<&'a str> {
    let end = phrase.find_iter(text).last()?.end();
    Some(sentence(&text[end..]))
}

fn first(sentence: &str) -> Option<String> {
    leading(sentence)
        .or_else(|| only(sentence))
        .or_else(|| letters(sentence).into_iter().next())
}

/// The letter that an answer consists of, whatever surrounds it.
fn only(answer: &str) -> Option<String> {
    let mut plain = answer.trim();
    for command in ["\\text", "\\textbf", "\\mathrm", "\\mathbf"] {
        if let Some(rest) = plain.strip_prefix(command)
            && rest.starts_with('{')
        {
            plain = rest;
        }
    }
    let plain = plain.trim_matches(|c: char| !c.is_alphanumeric());
    let letter = plain.to_ascii_uppercase();
    let is_option = letter.len() == 1 && ("A"..="J").contains(&letter.as_str());
    is_option.then_some(letter).or_else(|| leading(answer))
}

fn leading(text: &str) -> Option<String> {
    Some(LEADING.captures(text)?.get(1)?.as_str().to_owned())
}

/// Letters that stand alone and are no words: neither the article "A" nor the
/// pronoun "I".
fn letters(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(letter) = ALONE.captures_at(text, from).and_then(|found| found.get(1)) {
        from = letter.end();
        let rest = &text[letter.end()..];
        let word_follows = rest
            .strip_prefix(' ')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_lowercase()));
        let is_word = letter.as_str() == "I"
            || letter.as_str() == "A" && word_follows && !CONNECTIVE.is_match(rest);
        if !is_word {
            found.push(letter.as_str().to_owned());
        }
    }
    found
}

/// A word that follows an option's letter rather than the article.
static CONNECTIVE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^ (?:or|and|is|was|are|because|since|as|but|by|for|from|in|with|seems|looks|cannot|can)\b",
    )
});
