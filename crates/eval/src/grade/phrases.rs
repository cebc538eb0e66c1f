//! Answers that a sentence announces: "the final answer is 7".

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::Kind;
use super::boxes::{self, is_placeholder};
use super::prose::{MOST_LINE, formulas, has_digit, joined, numbers, pattern, sentence, words};

/// Announcements at the end of a text that are looked at.
const MOST_MENTIONS: usize = 64;

/// Bytes in front of an announcement, or of a value, that say how it is meant.
const MOST_BEFORE: usize = 64;

/// Words that may stand beside a value that is announced.
const FEW_WORDS: usize = 3;

/// "Final answer", and what is as final.
pub(super) static FINAL_ANSWER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"(?i)\b(?:final\s+(?:answer|result)|(?:correct|right)\s+answer)\b",
        r"(?:(?:[*_]*,?\s+(?:to|for|of|in|after|as|expressed|written|rounded)\b[^.:!?\n]{0,60}?)?",
        r#"[\s*_#"'”’)]*(?:(?P<link>\b(?:is|are|was|equals|(?:would|should|will|must|has\s+to)\s+be|comes\s+(?:out\s+)?to(?:\s+be)?)\b)"#,
        r"|(?P<colon>[:：=]|\n))|)[\s*_:：]*",
    ))
});

/// "Answer" in English, French, Spanish, Portuguese, Italian, German, Russian,
/// Chinese and Japanese.
pub(super) static ANSWER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"(?i)(?:\b(?:answers?|r[ée]ponse|respuesta|resposta|risposta|antwort|ответ)\b",
        r"(?:\s+(?:is|finale|final|definitiva|correcta|correcte|corretta|esatta)\b)?",
        r"[\s*_]*(?:(?P<link>(?:is|are|would be|should be|must be|est|es|é|è|ist|lautet)\b)|(?P<colon>:|=|：))",
        r"|(?:答案|答え)[*\s]*(?P<other>是|为|為|は|：|:))[\s*_:：]*",
    ))
});

/// Words without meaning in front of an answer.
static FILLER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r#"^(?:[\s*_:：,"“”'‘`]|\\"|(?:then|thus|therefore|hence|so|simply|just|indeed|clearly|obviously|"#,
        r"approximately|about|around|roughly|exactly|precisely|actually|really|still|also|now|again|only|",
        r"finally|probably|(?:most\s+)?likely|for\s+sure|definitely|in\s+fact|in\s+total|of\s+course|equal\s+to|given\s+by|",
        r"found\s+to\s+be|as\s+follows|that|a\s+total\s+of|(?:the\s+)?(?:option|choice|letter))\b)+",
    ))
});

/// In front of an announcement, what makes it none.
static SUPPOSED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:if|whether|unless|suppos(?:e|ing)|assum(?:e|ing)|guess|not)\s+(?:that\s+)?(?:(?:the|my|our|your|this|its|an?)\s+)?(?:final\s+|correct\s+|right\s+)?$",
    )
});

/// A value that is denied, and one that says of what form the answer is.
static DENIED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?i)^(?:not|neither|never)\s+(?:(?:simply|just|equal\s+to|necessarily|option|choice|the)\s+)*[-−+($\\"*]*\d|^(?:not|neither|never)\s+(?:\$|\\[(\[b])"#,
    )
});
static OF_A_FORM: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)^[\s-]*(?:or\s+\d+[\s-]*|to\s+\d+[\s-]*)?(?:\w+\s+)?(?:digits?|decimals?|significant|places?|characters?)\b",
    )
});

/// Words of a range or a condition.
static RANGE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:between|from\s+[-\d$]|at least|at most|less|more|greater|smaller|larger|multiple|divisible|digits?|decimals?|round(?:ed)?|nearest|form|format|within|inside)\b",
    )
});

/// In front of a value, what says that the sentence comes to it.
static COMES_TO: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"(?i)(?:\b(?:is|are|be|was|equals?|gives?|makes?|get)\b|[=≈:])\s*",
        r#"(?:(?:then|thus|therefore|hence|so|simply|just|approximately|about|around|exactly|equal\s+to|"#,
        r#"the\s+(?:number|integer|value|fraction|decimal|interval|set|(?:ordered\s+)?pair|point|expression))\b[\s,]*)*[$€£"*_(\s]*$"#,
    ))
});

/// "There are", which counts things on the way.
static THERE_ARE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)\bthere(?:['’]s|\s+(?:is|are|was|were))\s+\S{0,3}$"));

/// What is said of an answer rather than being one, unless there is no other.
static JUDGEMENT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)^(?:right|correct|wrong|incorrect|verified|confirmed|reasonable|consistent|obvious|clear|unique|valid|plausible)\b",
    )
});

/// In a text behind a box, what takes the box back.
static RETRACTED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"(?i)\b(?:(?:that|this|it|which|above|box)(?:'s|’s|\s+is|\s+was)\s+(?:wrong|incorrect|not\s+(?:right|correct)|a\s+mistake|an\s+error)",
        r"|made\s+an?\s+(?:\w+\s+)?(?:mistake|error)|scratch\s+that|correction:|i\s+was\s+wrong|let\s+me\s+(?:correct|fix))",
    ))
});

/// An answer that a sentence states.
pub(super) struct Statement {
    pub(super) answer: String,
    /// Whether a value follows at once, and little else.
    pub(super) explicit: bool,
}

/// An announcement, and the text from its answer on.
pub(super) struct Mention<'a> {
    pub(super) rest: &'a str,
    /// The first sentence of `rest`.
    pub(super) sentence: &'a str,
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Verb,
    Colon,
    /// Neither: "my final answer".
    Bare,
}

/// The answer of the last announcement that states one; a passing mention does
/// not.
pub(super) fn stated(text: &str, phrase: &Regex, kind: Kind) -> Option<Statement> {
    let mut judgement = None;
    for statement in mentions(text, phrase).filter_map(|mention| mention.statement(kind)) {
        if !JUDGEMENT.is_match(&statement.answer) {
            return Some(statement);
        }
        judgement.get_or_insert(statement);
    }
    judgement
}

/// The answer that a text states in place of a box in front of it: as its final
/// one, or where it takes the box back.
pub(super) fn instead_of_box(text: &str, kind: Kind) -> Option<Statement> {
    let explicit = |statement: &Statement| statement.explicit;
    let last = stated(text, &FINAL_ANSWER, kind).filter(explicit);
    last.or_else(|| {
        let retracted = RETRACTED.find_iter(text).last()?;
        stated(&text[retracted.end()..], &ANSWER, kind).filter(explicit)
    })
}

/// Announcements of a text, the last one first, without those that suppose, ask
/// or deny.
pub(super) fn mentions<'a>(
    text: &'a str,
    phrase: &Regex,
) -> impl Iterator<Item = Mention<'a>> + use<'a> {
    let mut found: Vec<(Range<usize>, Form)> = Vec::new();
    for captures in phrase.captures_iter(text) {
        let Some(whole) = captures.get(0) else { break };
        let form = match () {
            () if captures.name("link").is_some() => Form::Verb,
            () if captures.name("colon").is_some() => Form::Colon,
            () => match captures.name("other") {
                Some(_) => Form::Verb,
                None => Form::Bare,
            },
        };
        found.push((whole.range(), form));
    }
    let first = found.len().saturating_sub(MOST_MENTIONS);
    found.drain(..first);
    let mention = move |(range, form): (Range<usize>, Form)| {
        if SUPPOSED.is_match(before(text, range.start)) {
            return None;
        }
        let rest = &text[range.end..];
        let rest = &rest[FILLER.find(rest).map_or(0, |filler| filler.end())..];
        let sentence = sentence(rest);
        let asks = rest.trim_start()[sentence.len()..].starts_with('?');
        let mention = Mention {
            rest,
            sentence,
            form,
        };
        (!asks && !DENIED.is_match(sentence)).then_some(mention)
    };
    found.into_iter().rev().filter_map(mention)
}

impl Mention<'_> {
    fn statement(&self, kind: Kind) -> Option<Statement> {
        let sentence = self.sentence;
        if let Some(found) = boxes::last(sentence) {
            let answer = found.answer;
            let explicit = true;
            return Some(Statement { answer, explicit });
        }
        let formulas = formulas(sentence);
        if let Some(first) = formulas.first().filter(|first| first.whole.start == 0) {
            let last = &formulas[joined(sentence, &formulas)];
            let (answer, after) = (&sentence[..last.whole.end], &sentence[last.whole.end..]);
            let letters = sentence[first.content.clone()].trim().chars().count();
            let short = words(after) <= FEW_WORDS && (has_digit(answer) || letters > 1);
            return (!OF_A_FORM.is_match(after)).then(|| Statement {
                answer: answer.to_owned(),
                explicit: short,
            });
        }
        let numbers = numbers(sentence, &formulas);
        let plain = sentence.trim_end_matches(['*', '_', '"', '”', '`', '#']);
        let at_once = |number: &Range<usize>| {
            plain
                .get(..number.start)
                .is_some_and(|before| before.chars().all(|c| !c.is_alphanumeric()))
        };
        let first = numbers.first().filter(|number| at_once(number));
        if first.is_some_and(|number| OF_A_FORM.is_match(&sentence[number.end..])) {
            return None;
        }
        let most_words = match kind {
            Kind::Exact => 3 * FEW_WORDS,
            _ => FEW_WORDS,
        };
        let many = words(plain);
        let alone = match numbers.len() {
            _ if many == 0 => self.form != Form::Bare || first.is_some(),
            0 => many <= most_words && !has_digit(self.rest) && self.form != Form::Bare,
            1 => many <= FEW_WORDS && first.is_some(),
            _ => false,
        };
        if alone {
            let fits = plain.len() <= MOST_LINE && !is_placeholder(plain);
            return fits.then(|| Statement {
                answer: plain.to_owned(),
                explicit: first.is_some(),
            });
        }
        let chosen = match (first, self.form) {
            (Some(_), Form::Bare) if many > FEW_WORDS => return None,
            // What follows the last equals sign is the result, or else the first.
            (Some(_), _) => {
                let result = sentence.rfind('=').unwrap_or(0);
                let behind = |number: &&Range<usize>| number.start >= result;
                numbers.iter().find(behind).or(numbers.first())
            }
            (None, Form::Bare) => return None,
            (None, form) => {
                let comes_to = |number: &&Range<usize>| {
                    let before = before(sentence, number.start);
                    COMES_TO.is_match(before)
                        && !THERE_ARE.is_match(before)
                        && !OF_A_FORM.is_match(&sentence[number.end..])
                };
                let only = form == Form::Colon
                    && !RANGE.is_match(sentence)
                    && !has_digit(&self.rest.trim_start()[sentence.len()..]);
                let first = || numbers.first().filter(|_| only);
                numbers.iter().rev().find(comes_to).or_else(first)
            }
        }?;
        let at = formulas.iter().position(|formula| formula.whole == *chosen);
        let joined = at.map_or(0, |at| joined(sentence, &formulas[at..]));
        let end = at.map_or(chosen.end, |at| formulas[at + joined].whole.end);
        Some(Statement {
            answer: sentence[chosen.start..end].to_owned(),
            explicit: first.is_some() && many <= FEW_WORDS,
        })
    }
}

/// The stretch of a text in front of `at`.
fn before(text: &str, at: usize) -> &str {
    let mut start = at.saturating_sub(MOST_BEFORE);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..at]
}
