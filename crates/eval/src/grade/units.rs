//! Units and other words beside a value: what they measure, how one converts to
//! another, and which words say something else.

mod table;

use std::collections::BTreeMap;

use num_rational::BigRational;
use num_traits::{One, Zero};

use super::expression::Expression;
use table::{ANGLE, TEMPERATURE, unit};

/// Units and other words of a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Unit {
    /// What one is in base units: `(value + offset) * scale * pi^pi`.
    scale: BigRational,
    pi: i32,
    offset: BigRational,
    /// Base units with their exponents, not zero.
    dimension: BTreeMap<&'static str, i32>,
    /// Whether any of its words is a unit that is known.
    pub(super) is_known: bool,
    /// Words that say something else than their opposites, by number.
    marks: Vec<(usize, &'static str)>,
    is_negated: bool,
    /// All words.
    words: String,
}

/// Groups of words of which a value has at most one.
const OPPOSITES: [&[&str]; 21] = [
    &["am", "pm"],
    &["left", "right"],
    &["north", "south", "east", "west"],
    &["up", "down"],
    &["upward", "downward"],
    &["upwards", "downwards"],
    &["above", "below"],
    &["over", "under"],
    &["before", "after"],
    &["ago", "hence"],
    &["clockwise", "counterclockwise", "anticlockwise"],
    &["increase", "decrease"],
    &["more", "less", "fewer"],
    &["profit", "loss"],
    &["gain", "loss"],
    &["bc", "ad"],
    &["bce", "ce"],
    &["older", "younger"],
    &["faster", "slower"],
    &["longer", "shorter"],
    &["inside", "outside"],
];

/// Words that say that something is not.
const NEGATIONS: [&str; 6] = ["not", "no", "non", "never", "without", "neither"];

/// Most words beside a value of which units are read.
const MOST_WORDS: usize = 24;

/// Words that are a factor.
const MULTIPLIERS: [(&str, u64); 10] = [
    ("hundred", 100),
    ("thousand", 1000),
    ("million", 1_000_000),
    ("billion", 1_000_000_000),
    ("trillion", 1_000_000_000_000),
    ("mln", 1_000_000),
    ("bn", 1_000_000_000),
    ("lakh", 100_000),
    ("crore", 10_000_000),
    ("dozen", 12),
];

/// Units of one or two letters that are units behind a number with space
/// between. Others, like `A` and `C`, are rather variables.
const SHORT: [&str; 44] = [
    "m", "g", "s", "h", "L", "N", "J", "W", "V", "mm", "cm", "dm", "km", "nm", "in", "ft", "yd",
    "mi", "mg", "kg", "lb", "lbs", "oz", "ml", "mL", "cl", "dl", "hr", "hrs", "ms", "ha", "kW",
    "MW", "kJ", "MJ", "kN", "Pa", "Hz", "kV", "mA", "GB", "MB", "am", "pm",
];

/// Whether a word is a unit.
pub(super) fn is_known(word: &str) -> bool {
    unit(word).is_some() || ["am", "pm"].contains(&word)
}

/// Whether a few letters behind a number and a space are a unit.
pub(super) fn is_short(word: &str) -> bool {
    SHORT.contains(&word)
}

/// The part of pi that an angle of one of this unit is, where it is one.
pub(super) fn part_of_pi(words: &str) -> Option<BigRational> {
    let unit = Unit::read(words);
    let angle = unit.is_known && unit.pi == 1 && unit.measures(ANGLE);
    angle.then_some(unit.scale)
}

/// The factor that words begin with, and the words behind it: `million dollars`.
pub(super) fn multiplier(words: &str) -> Option<(u64, &str)> {
    let words = words.trim_start();
    let end = words
        .find(|c: char| !c.is_alphabetic())
        .unwrap_or(words.len());
    let (first, rest) = words.split_at(end);
    let lower = first.to_lowercase();
    let singular = lower.strip_suffix('s').unwrap_or(&lower);
    let found = MULTIPLIERS.iter().find(|(word, _)| *word == singular)?;
    let rest = rest.trim_start();
    Some((found.1, rest.strip_prefix("of ").unwrap_or(rest)))
}

impl Unit {
    /// What the words of each of two values say. Pounds beside a value in £ are
    /// money, cents beside one in € are euros'.
    pub(super) fn read_both(own: &str, other: &str) -> (Self, Self) {
        let reread = |text: &str, other: &str| {
            let other = Self::read(other);
            let replaced: Vec<&str> = text
                .split_whitespace()
                .map(|word| match word.to_lowercase().as_str() {
                    "pound" | "pounds" if other.dimension.contains_key("£") => "sterling",
                    "cent" | "cents" if other.dimension.contains_key("€") => "eurocent",
                    _ => word,
                })
                .collect();
            Self::read(&replaced.join(" "))
        };
        (reread(own, other), reread(other, own))
    }

    /// What words say, with `/` and `^`: `square metres`, `m / s ^2`, `euros per
    /// hour`, `apples`.
    pub(super) fn read(text: &str) -> Self {
        let mut read = Self {
            scale: BigRational::one(),
            pi: 0,
            offset: BigRational::zero(),
            dimension: BTreeMap::new(),
            is_known: false,
            marks: Vec::new(),
            is_negated: false,
            words: text.split_whitespace().collect::<Vec<_>>().join(" "),
        };
        let mut words = split(text);
        if words.len() > MOST_WORDS {
            words.clear();
        }
        // The last unit with its exponent, for an exponent that follows.
        let mut last = None;
        let (mut power, mut divided) = (1, false);
        for (at, word) in words.iter().enumerate() {
            let lower = word.to_lowercase();
            let next_is_unit = words.get(at + 1).is_some_and(|next| unit(next).is_some());
            match lower.as_str() {
                "per" | "/" => divided = true,
                "a" | "an" | "each" | "every" if last.is_some() && next_is_unit => divided = true,
                "square" | "sq" => power = 2,
                "cubic" | "cu" => power = 3,
                "squared" | "cubed" => {
                    if let Some((unit, exponent)) = last.take() {
                        let times = if lower == "squared" { 1 } else { 2 };
                        read.multiply(unit, exponent * times);
                    }
                }
                exponent if exponent.starts_with('^') => {
                    let exponent: Option<i32> = exponent[1..].parse().ok();
                    let exponent = exponent.filter(|exponent| (-9..=9).contains(exponent));
                    if let (Some((unit, before)), Some(exponent)) = (last.take(), exponent) {
                        read.multiply(unit, before * (exponent - 1));
                    }
                }
                "c" | "celsius" | "centigrade" | "f" | "fahrenheit" | "k" | "kelvin"
                    if read.measures(ANGLE) || lower.len() > 1 =>
                {
                    let name = match &lower[..1] {
                        "c" => "celsius",
                        "f" => "fahrenheit",
                        _ => "kelvin",
                    };
                    if let Some(known) = unit(name) {
                        read.dimension.clear();
                        (read.scale, read.pi) = (known.scale.clone(), 0);
                        read.offset = known.offset.clone();
                        read.dimension.extend(known.dimension.iter().copied());
                        read.is_known = true;
                    }
                }
                // `5 in total` is no length.
                "in" if words
                    .get(at + 1)
                    .is_some_and(|next| !next.starts_with(['/', '^'])) => {}
                _ => {
                    if let Some(unit) = unit(word) {
                        let exponent = if divided { -power } else { power };
                        read.multiply(unit, exponent);
                        last = Some((unit, exponent));
                    } else {
                        let marks = OPPOSITES.iter().enumerate().flat_map(|(group, words)| {
                            words.iter().map(move |word| (group, *word))
                        });
                        read.marks.extend(marks.filter(|(_, mark)| *mark == lower));
                        read.is_negated |= NEGATIONS.contains(&lower.as_str());
                        last = None;
                    }
                    (power, divided) = (1, false);
                }
            }
        }
        read.dimension.retain(|_, exponent| *exponent != 0);
        read
    }

    fn multiply(&mut self, unit: &'static table::Known, exponent: i32) {
        self.is_known = true;
        self.scale *= unit.scale.pow(exponent);
        self.pi += unit.pi * exponent;
        for (base, power) in unit.dimension {
            *self.dimension.entry(base).or_insert(0) += power * exponent;
        }
    }

    fn measures(&self, dimension: table::Dimension) -> bool {
        self.dimension
            .iter()
            .map(|(base, power)| (*base, *power))
            .eq(dimension.iter().copied())
    }

    /// Whether it is a sign of money.
    pub(super) fn is_sign(&self) -> bool {
        self.words.chars().count() == 1 && self.words.chars().all(|c| !c.is_alphabetic())
    }

    /// Whether both measure the same, so that values convert.
    pub(super) fn converts_to(&self, other: &Self) -> bool {
        self.is_known && other.is_known && self.dimension == other.dimension
    }

    /// Whether values of one are no values of the other: they measure different
    /// things, or their words are opposites.
    pub(super) fn contradicts(&self, other: &Self) -> bool {
        let opposed = self.marks.iter().any(|(group, word)| {
            let mut same = other.marks.iter().filter(|(of, _)| of == group).peekable();
            same.peek().is_some() && same.all(|(_, other)| other != word)
        });
        // "Degrees" may be those of a temperature.
        let degrees = self.measures(ANGLE) && other.measures(TEMPERATURE)
            || self.measures(TEMPERATURE) && other.measures(ANGLE);
        let measure_others =
            self.is_known && other.is_known && self.dimension != other.dimension && !degrees;
        opposed || self.is_negated != other.is_negated || measure_others
    }

    /// Whether values of both are the same without converting.
    pub(super) fn equals(&self, other: &Self) -> bool {
        let converts = self.converts_to(other)
            && (&self.scale, self.pi, &self.offset) == (&other.scale, other.pi, &other.offset);
        (&self.marks, self.is_negated) == (&other.marks, other.is_negated)
            && (converts || self.words.to_lowercase() == other.words.to_lowercase())
    }

    /// A value of this unit in another one.
    pub(super) fn convert(&self, value: &Expression, other: &Self) -> Expression {
        let factor = Expression::Product(vec![
            Expression::rational(&self.scale / &other.scale),
            Expression::symbol("pi").power(Expression::integer(i64::from(self.pi - other.pi))),
        ]);
        let zero = Expression::rational(self.offset.clone());
        let zero_of_other = Expression::rational(-other.offset.clone());
        let base = Expression::Sum(vec![value.clone(), zero]);
        Expression::Sum(vec![Expression::Product(vec![base, factor]), zero_of_other])
    }

    /// Whether one of this is more than one of the other.
    pub(super) fn is_larger(&self, other: &Self) -> bool {
        self.converts_to(other) && self.pi == other.pi && self.scale > other.scale
    }
}

/// Words, and the marks between them that matter.
fn split(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for part in text.split_whitespace() {
        let mut word = String::new();
        let mut characters = part.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '/' => {
                    words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
                    words.push("/".to_owned());
                }
                '^' | '²' | '³' => {
                    words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
                    word.push('^');
                    match character {
                        '²' => word.push('2'),
                        '³' => word.push('3'),
                        _ => {
                            let digit = |c: &char| c.is_ascii_digit() || *c == '-';
                            while let Some(digit) = characters.next_if(digit) {
                                word.push(digit);
                            }
                        }
                    }
                    words.push(std::mem::take(&mut word));
                }
                '*' | '·' | '⋅' | '-' => {
                    words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
                }
                // `a.m.`
                '.' | ',' | '(' | ')' => {}
                other => word.push(other),
            }
        }
        words.extend(Some(word).filter(|word| !word.is_empty()));
    }
    words
}
