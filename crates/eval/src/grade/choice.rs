//! The letter of the option that a text chooses.

use std::sync::LazyLock;

use regex::Regex;

use super::boxes;
use super::extract::by_rule;
use super::phrases::{ANSWER, FINAL_ANSWER, mentions};
use super::prose::{MOST_TEXT, ending, pattern};
use super::{Extraction, Kind};

/// The letter that a text begins with: `C`, `(C)`, `**C.**`, `C Cecile`.
static LEADING: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:[\s*_(\[$]|\\\()*(?:\\text\w*\{\(?)?([A-J])(?:$|[^A-Za-z0-9'’ ]|\s+[A-Z\n(]|\s*\n|\s*$)",
    )
});

/// A letter that stands alone.
static ALONE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?:^|[^A-Za-z0-9\\'’])([A-J])(?:[^A-Za-z0-9'’]|$)"));

/// The letter that `rule` finds.
pub(super) fn find(text: &str, rule: Extraction) -> Option<String> {
    let text = ending(text, MOST_TEXT);
    match rule {
        Extraction::FinalAnswer => stated(text, &FINAL_ANSWER),
        Extraction::AnswerPhrase => stated(text, &ANSWER),
        Extraction::Boxed => in_box(&boxes::last(text)?.answer),
        Extraction::Letter => leading(text).or_else(|| letters(text).pop()),
        Extraction::Hash | Extraction::LastLine | Extraction::Line | Extraction::Whole => {
            only(&by_rule(text, rule, Kind::Choice)?)
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

/// The letter of the last announcement that has one.
fn stated(text: &str, phrase: &Regex) -> Option<String> {
    let mut mentions = mentions(text, phrase);
    mentions.find_map(|mention| {
        let states = !AMONG.is_match(mention.sentence);
        states.then(|| first(mention.sentence)).flatten()
    })
}

/// The letter that a text states as its final answer in place of a box in front
/// of it.
pub(super) fn instead_of_box(text: &str) -> Option<String> {
    let mut mentions = mentions(text, &FINAL_ANSWER);
    mentions.find_map(|mention| leading(mention.sentence))
}

/// Words with which a sentence lists the letters that there are.
static AMONG: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:one of|between|among|either|from [A-J]\b|letter from|not (?:option |choice )?\(?[A-J]\b)",
    )
});

/// The letter that a box consists of or begins with, or the only one in it.
fn in_box(answer: &str) -> Option<String> {
    only(answer).or_else(|| match &letters(answer)[..] {
        [letter] => Some(letter.clone()),
        _ => None,
    })
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
