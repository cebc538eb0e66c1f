//! Whether two answers are the same.

use super::budget::{Budget, Spent};
use super::expression::Expression;
use super::lexer::{Commas, Letters, Way};
use super::parser::{in_radians, parse};
use super::relation::{Value, same_relation, value_of};
use super::sets::{Pieces, pieces};
use super::words::{self, Said};
use super::{Mode, Reason, clock, fold, matrix, quantity, value};

/// Most elements of a list that are compared.
const MOST_ITEMS: usize = 100;

/// How two answers were found to be the same, from the firmest to the loosest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Same {
    Exactly,
    Numerically,
    Rounded,
}

/// Equal and how, or not; or the work was too much.
pub(super) type Answer = Result<Option<Same>, Spent>;

/// What one comparison goes by.
pub(super) struct Comparison<'a> {
    pub(super) mode: Mode,
    /// Decimals of an answer that count as a rounded value.
    pub(super) decimals: u32,
    pub(super) budget: &'a mut Budget,
}

/// Compares an answer with the gold answer.
pub(super) fn compare(
    gold: &str,
    answer: &str,
    mode: Mode,
    decimals: u32,
    budget: &mut Budget,
) -> Reason {
    let fits = |text: &str| text.len() <= super::prose::MOST_ANSWER;
    if !fits(gold) || !fits(answer) {
        return Reason::Limit;
    }
    let (own, other) = (fold::formula(gold), fold::formula(answer));
    if own == other && !own.is_empty() {
        return Reason::SameText;
    }
    let is_lenient = mode == Mode::Lenient;
    let in_words = match is_lenient {
        true => words::same(gold, answer),
        false => None,
    };
    match in_words.or_else(|| clock::same(gold, answer, is_lenient)) {
        Some(true) => return Reason::SameText,
        Some(false) => return Reason::Different,
        None => {}
    }
    let golds = readings(gold, mode, Letters::Words);
    let mut is_variable = |part: &Expression| part.is_variable();
    let any_variable = golds
        .iter()
        .any(|reading| reading.expression.any(&mut is_variable));
    let letters = match any_variable {
        true => Letters::Words,
        false => Letters::Units,
    };
    let answers = readings(answer, mode, letters);
    let mut comparison = Comparison {
        mode,
        decimals,
        budget,
    };
    let Ok(best) = comparison.best(&golds, &answers) else {
        return Reason::Limit;
    };
    match best {
        Some(Same::Exactly) => Reason::Exact,
        Some(Same::Numerically) => Reason::Numeric,
        Some(Same::Rounded) => Reason::Rounded,
        None if golds.is_empty() || answers.is_empty() => {
            match mode == Mode::Lenient && fold::words(&own) == fold::words(&other) {
                true => Reason::SameText,
                false => Reason::Unreadable,
            }
        }
        None => Reason::Different,
    }
}

/// A text as it was read.
struct Reading {
    expression: Expression,
    commas: Commas,
    /// Whether its comma is read as a decimal one though one digit follows: the
    /// text is rather two numbers.
    is_doubtful: bool,
}

/// The ways in which a text can be read.
fn readings(text: &str, mode: Mode, letters: Letters) -> Vec<Reading> {
    let mut readings: Vec<Reading> = Vec::new();
    let commas = text.matches(',').count();
    let behind = text.split(',').nth(1).unwrap_or_default();
    let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
    let mut add = |expression: Expression, commas: Commas| {
        if readings
            .iter()
            .all(|before| before.expression != expression)
        {
            readings.push(Reading {
                expression,
                commas,
                is_doubtful: commas == Commas::Decimal && digits < 2,
            });
        }
    };
    let ways: &[Commas] = match (mode, commas) {
        (Mode::Strict, _) | (_, 0) => &[Commas::Thousands],
        (_, 1) => &[Commas::Thousands, Commas::Separate, Commas::Decimal],
        _ => &[Commas::Thousands, Commas::Separate],
    };
    let lenient = [Letters::Variables, letters];
    let ways_of_letters = match mode {
        Mode::Strict => &lenient[..1],
        Mode::Lenient => &lenient[..],
    };
    for &commas in ways {
        for &letters in ways_of_letters {
            if let Ok(expression) = parse(text, Way { commas, letters }) {
                add(expression, commas);
            }
        }
    }
    if mode == Mode::Lenient {
        match words::said(text) {
            Some(Said::Nothing) => add(Expression::Set(Vec::new()), Commas::Thousands),
            Some(Said::Everything) => add(Expression::symbol("mathbb R"), Commas::Thousands),
            _ => {}
        }
    }
    readings
}

impl Comparison<'_> {
    pub(super) fn is_lenient(&self) -> bool {
        self.mode == Mode::Lenient
    }

    /// The firmest way in which any reading of the gold answer is the same as one
    /// of the answer. A gold answer like `7,5` is a list unless the answer's comma
    /// is a decimal one too. An angle in degrees is as right in radians.
    fn best(&mut self, golds: &[Reading], answers: &[Reading]) -> Answer {
        let mut best: Option<Same> = None;
        for gold in golds {
            for answer in answers {
                if gold.is_doubtful && answer.commas != Commas::Decimal {
                    continue;
                }
                let (gold, answer) = (&gold.expression, &answer.expression);
                let mut same = self.same(gold, answer)?;
                if same.is_none() && self.is_lenient() {
                    let radians = [gold, answer].map(in_radians);
                    if radians[0] != *gold || radians[1] != *answer {
                        same = self.same(&radians[0], &radians[1])?;
                    }
                }
                best = best.into_iter().chain(same).min();
            }
        }
        Ok(best)
    }

    /// Whether two expressions are the same answer.
    pub(super) fn same(&mut self, gold: &Expression, answer: &Expression) -> Answer {
        self.budget.spend(16)?;
        if gold == answer {
            return Ok(Some(Same::Exactly));
        }
        if let Some(same) = quantity::same(self, gold, answer)? {
            return Ok(same);
        }
        if let Some(same) = self.same_as_several(gold, answer)? {
            return Ok(same);
        }
        if let Some(same) = self.same_list(gold, answer)? {
            return Ok(same);
        }
        match (gold, answer) {
            (Expression::Relation(..), Expression::Relation(..)) => {
                return same_relation(self, gold, answer);
            }
            (Expression::Relation(..), _) | (_, Expression::Relation(..)) => {
                return self.same_as_relation(gold, answer);
            }
            (Expression::Tuple(own), Expression::Tuple(other)) => {
                return self.same_in_order(own, other);
            }
            _ => {}
        }
        if let (Some(own), Some(other)) = (
            matrix::of(gold, self.budget)?,
            matrix::of(answer, self.budget)?,
        ) {
            let alike = own.len() == other.len() && own[0].len() == other[0].len();
            return match alike {
                true => self.same_in_order(&own.concat(), &other.concat()),
                false => Ok(None),
            };
        }
        if let (true, Some(own), Some(other)) = (self.is_lenient(), vector(gold), vector(answer)) {
            return self.same_in_order(&own, &other);
        }
        if let (Some(own), Some(other)) = (pieces(gold), pieces(answer)) {
            return self.same_pieces(own, other);
        }
        if let (Expression::Ratio(own), Expression::Ratio(other)) = (gold, answer)
            && own.len() != 2
        {
            return self.same_in_order(own, other);
        }
        if let Some(same) = value::same(self, gold, answer)? {
            return Ok(Some(same));
        }
        Ok(self.same_words(gold, answer).then_some(Same::Exactly))
    }

    /// `x = {1, 2}` or `x ∈ {1, 2}` beside the values; `None` for anything else.
    fn same_as_several(
        &mut self,
        gold: &Expression,
        answer: &Expression,
    ) -> Result<Option<Option<Same>>, Spent> {
        let several = |expression: &Expression| {
            let value = value_of(expression).map(|named| named.value);
            value.filter(|value| matches!(value, Expression::List(_) | Expression::Set(_)))
        };
        match (several(gold), several(answer)) {
            (Some(own), None) if self.is_lenient() => self.same(&own, answer).map(Some),
            (None, Some(other)) if self.is_lenient() => self.same(gold, &other).map(Some),
            _ => Ok(None),
        }
    }

    /// Where one is several answers; `None` where both are single ones.
    fn same_list(
        &mut self,
        gold: &Expression,
        answer: &Expression,
    ) -> Result<Option<Option<Same>>, Spent> {
        let is_plural = |expression: &Expression| {
            matches!(expression, Expression::List(_) | Expression::Set(_))
                || has_both_signs(expression)
        };
        if !is_plural(gold) && !is_plural(answer) {
            return Ok(None);
        }
        let sets = [gold, answer].map(|side| matches!(side, Expression::Set(_)));
        if sets == [true, false] || sets == [false, true] {
            // Strict: { 1 } is not 1, but it may be part of a set of numbers.
            let is_relation = |side: &Expression| matches!(side, Expression::Relation(..));
            if !self.is_lenient() && (is_relation(gold) || is_relation(answer)) {
                return Ok(Some(None));
            }
            if let (Some(own), Some(other)) = (pieces(gold), pieces(answer)) {
                return self.same_pieces(own, other).map(Some);
            }
            if !self.is_lenient() {
                return Ok(Some(None));
            }
        }
        // A tuple beside a list: in order.
        match (gold, answer) {
            (Expression::Tuple(own), Expression::List(other) | Expression::Set(other))
            | (Expression::List(own) | Expression::Set(own), Expression::Tuple(other)) => {
                return match self.is_lenient() && other.len() == own.len() {
                    true => self.same_in_order(own, other).map(Some),
                    false => Ok(Some(None)),
                };
            }
            _ => {}
        }
        if let (true, Some(own), Some(other)) = (self.is_lenient(), regions(gold), regions(answer))
            && let Some(same) = self.same_pieces(own, other)?
        {
            return Ok(Some(Some(same)));
        }
        let (own, other) = (items(gold), items(answer));
        if own.len() > MOST_ITEMS || other.len() > MOST_ITEMS {
            return Err(Spent);
        }
        if own.len() == 1 && other.len() == 1 {
            return self.same(&own[0], &other[0]).map(Some);
        }
        let lists = matches!((gold, answer), (Expression::List(_), Expression::List(_)));
        let in_order = match self.mode {
            Mode::Strict => lists,
            Mode::Lenient => is_named(&own) != is_named(&other),
        };
        // Tuples are solutions or points: those of a list are a set, too.
        let is_tuple = |item: &Expression| matches!(item, Expression::Tuple(_));
        let tuples = own.iter().chain(&other).all(is_tuple);
        let sets = sets[0] || sets[1] || tuples && self.is_lenient();
        match in_order {
            true => self.same_in_order(&own, &other).map(Some),
            false if sets => self.same_elements(&own, &other).map(Some),
            false => self.same_in_any_order(&own, &other).map(Some),
        }
    }

    /// One is a relation and the other is not.
    fn same_as_relation(&mut self, gold: &Expression, answer: &Expression) -> Answer {
        if !self.is_lenient() {
            return Ok(None);
        }
        if let (Some(own), Some(other)) = (pieces(gold), pieces(answer)) {
            return self.same_pieces(own, other);
        }
        match (value_of(gold), value_of(answer)) {
            (Some(Value { value, .. }), None) => self.same(&value, answer),
            (None, Some(Value { value, .. })) => self.same(gold, &value),
            _ => Ok(None),
        }
    }

    pub(super) fn same_in_order(&mut self, own: &[Expression], other: &[Expression]) -> Answer {
        if own.len() != other.len() {
            return Ok(None);
        }
        let mut loosest = Same::Exactly;
        for (gold, answer) in own.iter().zip(other) {
            match self.same(gold, answer)? {
                Some(same) => loosest = loosest.max(same),
                None => return Ok(None),
            }
        }
        Ok(Some(loosest))
    }

    /// Whether two lists have the same elements, each as often.
    fn same_in_any_order(&mut self, own: &[Expression], other: &[Expression]) -> Answer {
        if own.len() != other.len() {
            return Ok(None);
        }
        let mut pairs = Vec::with_capacity(own.len());
        for gold in own {
            let alike: Result<Vec<Option<Same>>, Spent> =
                other.iter().map(|answer| self.same(gold, answer)).collect();
            pairs.push(alike?);
        }
        let ways = [Same::Exactly, Same::Numerically, Same::Rounded];
        Ok(ways
            .into_iter()
            .find(|&loosest| is_matched(&pairs, loosest)))
    }

    /// Whether each element of either set is in the other one.
    fn same_elements(&mut self, own: &[Expression], other: &[Expression]) -> Answer {
        let mut loosest = Same::Exactly;
        let mut met = vec![false; other.len()];
        for gold in own {
            let mut found: Option<Same> = None;
            for (answer, met) in other.iter().zip(&mut met) {
                if let Some(same) = self.same(gold, answer)? {
                    *met = true;
                    found = found.into_iter().chain([same]).min();
                }
            }
            match found {
                Some(same) => loosest = loosest.max(same),
                None => return Ok(None),
            }
        }
        Ok(met.into_iter().all(|met| met).then_some(loosest))
    }

    pub(super) fn same_pieces(&mut self, own: Pieces, other: Pieces) -> Answer {
        if own.pieces.len() != other.pieces.len() {
            return Ok(None);
        }
        if let (Some(own), Some(other)) = (&own.variable, &other.variable)
            && own != other
        {
            return Ok(None);
        }
        let (own, other) = (own.sorted(self.budget)?, other.sorted(self.budget)?);
        let mut loosest = Same::Exactly;
        for (gold, answer) in own.iter().zip(&other) {
            let ends = [
                (&gold.low, &answer.low, gold.low_closed == answer.low_closed),
                (
                    &gold.high,
                    &answer.high,
                    gold.high_closed == answer.high_closed,
                ),
            ];
            for (gold, answer, alike) in ends {
                if let (Some(own), Some(other)) = (gold.infinite(), answer.infinite()) {
                    if own != other {
                        return Ok(None);
                    }
                    continue; // an infinity is never within
                }
                match self.same(gold, answer)? {
                    Some(same) if alike => loosest = loosest.max(same),
                    _ => return Ok(None),
                }
            }
        }
        Ok(Some(loosest))
    }

    fn same_words(&self, gold: &Expression, answer: &Expression) -> bool {
        match (words_of(gold), words_of(answer)) {
            (Some(own), Some(other)) => {
                let is_text = |side: &Expression| matches!(side, Expression::Text(_));
                let any_case =
                    self.is_lenient() && own.len() > 1 && (is_text(gold) || is_text(answer));
                own == other || any_case && own.to_lowercase() == other.to_lowercase()
            }
            _ => false,
        }
    }
}

/// Whether each row can have a column of its own that is the same, at most as
/// loosely.
fn is_matched(pairs: &[Vec<Option<Same>>], loosest: Same) -> bool {
    /// Finds a column for a row; those of other rows move where they can.
    fn find(
        row: usize,
        fits: &impl Fn(usize, usize) -> bool,
        tried: &mut [bool],
        row_of: &mut [Option<usize>],
    ) -> bool {
        for column in 0..row_of.len() {
            if !fits(row, column) || std::mem::replace(&mut tried[column], true) {
                continue;
            }
            if row_of[column].is_none_or(|other| find(other, fits, tried, row_of)) {
                row_of[column] = Some(row);
                return true;
            }
        }
        false
    }
    let fits = |row: usize, column: usize| pairs[row][column].is_some_and(|same| same <= loosest);
    let mut row_of = vec![None; pairs.len()];
    (0..pairs.len()).all(|row| find(row, &fits, &mut vec![false; pairs.len()], &mut row_of))
}

/// The word that an answer is: `\text{even}`, `even`, `(C)`.
fn words_of(expression: &Expression) -> Option<String> {
    match expression {
        Expression::Symbol(name) => Some(name.clone()),
        Expression::Text(text) => {
            let word = text.trim_matches(|c: char| "()[].,:;\"' ".contains(c));
            Some(word.split_whitespace().collect())
        }
        Expression::Product(factors) => {
            let names: Option<Vec<String>> = factors
                .iter()
                .map(|factor| match factor {
                    Expression::Symbol(name) => Some(name.clone()),
                    _ => None,
                })
                .collect();
            names.map(|names| names.concat())
        }
        _ => None,
    }
}

/// A tuple, or a matrix of one row or column, as its entries.
fn vector(expression: &Expression) -> Option<Vec<Expression>> {
    match expression {
        Expression::Tuple(items) => Some(items.clone()),
        Expression::Matrix(rows) if rows.len() == 1 || rows.iter().all(|row| row.len() == 1) => {
            Some(rows.concat())
        }
        _ => None,
    }
}

/// Inequalities or intervals that a list parts, as one set.
fn regions(expression: &Expression) -> Option<Pieces> {
    let is_region = |item: &Expression| match item {
        Expression::Interval(_) | Expression::Union(_) => true,
        Expression::Relation(_, relations) => {
            relations.iter().all(|relation| relation.is_inequality())
        }
        _ => false,
    };
    match expression {
        Expression::List(items) if items.iter().all(is_region) => {
            pieces(&Expression::Union(items.clone()))
        }
        Expression::List(_) | Expression::Set(_) => None,
        other => pieces(other).filter(|_| !matches!(other, Expression::Tuple(_))),
    }
}

/// Whether all are equations for variables of different letters, whose order
/// says which value is whose. `x_1` and `x_2` have one letter.
fn is_named(items: &[Expression]) -> bool {
    let mut letters = Vec::new();
    for item in items {
        match value_of(item) {
            Some(Value {
                name: Some(Expression::Symbol(name)),
                ..
            }) => letters.push(name.split('_').next().unwrap_or_default().to_owned()),
            Some(Value {
                name: Some(name), ..
            }) => letters.push(format!("{name:?}")),
            _ => return false,
        }
    }
    let count = letters.len();
    letters.sort_unstable();
    letters.dedup();
    count > 1 && letters.len() == count
}

/// The single answers of a list or a set, with both signs where one has them.
fn items(expression: &Expression) -> Vec<Expression> {
    match expression {
        Expression::List(items_of) | Expression::Set(items_of) => {
            items_of.iter().flat_map(items).collect()
        }
        other if has_both_signs(other) => {
            vec![with_sign(other, false), with_sign(other, true)]
        }
        other => vec![other.clone()],
    }
}

fn has_both_signs(expression: &Expression) -> bool {
    match expression {
        Expression::PlusMinus(_) => true,
        Expression::Sum(parts)
        | Expression::Product(parts)
        | Expression::Function(_, parts)
        | Expression::Tuple(parts)
        | Expression::Relation(parts, _) => parts.iter().any(has_both_signs),
        Expression::Power(base, exponent) => has_both_signs(base) || has_both_signs(exponent),
        Expression::Percent(inner) | Expression::Quantity(inner, _) => has_both_signs(inner),
        _ => false,
    }
}

/// The expression with one of its signs.
fn with_sign(expression: &Expression, minus: bool) -> Expression {
    let all = |parts: &[Expression]| parts.iter().map(|part| with_sign(part, minus)).collect();
    let one = |part: &Expression| Box::new(with_sign(part, minus));
    match expression {
        Expression::PlusMinus(inner) => match minus {
            true => with_sign(inner, minus).negative(),
            false => with_sign(inner, minus),
        },
        Expression::Sum(parts) => Expression::Sum(all(parts)),
        Expression::Product(parts) => Expression::Product(all(parts)),
        Expression::Function(name, parts) => Expression::Function(name.clone(), all(parts)),
        Expression::Tuple(parts) => Expression::Tuple(all(parts)),
        Expression::Relation(parts, relations) => {
            Expression::Relation(all(parts), relations.clone())
        }
        Expression::Power(base, exponent) => Expression::Power(one(base), one(exponent)),
        Expression::Percent(inner) => Expression::Percent(one(inner)),
        Expression::Quantity(inner, unit) => Expression::Quantity(one(inner), unit.clone()),
        other => other.clone(),
    }
}
