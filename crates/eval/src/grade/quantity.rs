//! Values with units or other words beside them.

use super::budget::Spent;
use super::compare::{Answer, Comparison, Same};
use super::expression::Expression;
use super::units::Unit;

/// Units of work to read two units.
const WORK: usize = 200;

/// Where one has a unit. Lenient: a unit that the other lacks is dropped, units
/// of one kind are converted, those of different kinds differ. Strict: both have
/// the same, but for a sign of money. `None` where there is none.
pub(super) fn same(
    comparison: &mut Comparison,
    gold: &Expression,
    answer: &Expression,
) -> Result<Option<Option<Same>>, Spent> {
    if let (Expression::List(_), Expression::List(_)) = (gold, answer) {
        return Ok(None);
    }
    let (own, other) = (measured(gold), measured(answer));
    if own.is_none() && other.is_none() {
        return Ok(None);
    }
    comparison.budget.spend(WORK)?;
    let words = |side: &Option<(Expression, String)>| {
        side.as_ref()
            .map_or_else(String::new, |(_, words)| words.clone())
    };
    let (unit, unit_of_other) = Unit::read_both(&words(&own), &words(&other));
    let value = |side: Option<(Expression, String)>, whole: &Expression| {
        side.map_or_else(|| whole.clone(), |(value, _)| value)
    };
    let both = own.is_some() && other.is_some();
    let is_sign = unit.is_sign() || unit_of_other.is_sign();
    let own = value(own, gold);
    let other = value(other, answer);
    if !both {
        let percent = |side: &Expression| matches!(side, Expression::Percent(_));
        let percent_of_others =
            (percent(&own) || percent(&other)) && (unit.is_known || unit_of_other.is_known);
        if percent_of_others || !(comparison.is_lenient() || is_sign) {
            return Ok(Some(None));
        }
        return comparison.same(&own, &other).map(Some);
    }
    if unit.equals(&unit_of_other) {
        return comparison.same(&own, &other).map(Some);
    }
    if !comparison.is_lenient() || unit.contradicts(&unit_of_other) {
        return Ok(Some(None));
    }
    if unit.converts_to(&unit_of_other) {
        return converted(comparison, (&own, &unit), (&other, &unit_of_other)).map(Some);
    }
    comparison.same(&own, &other).map(Some)
}

/// Either value in the other's unit, so that a decimal of either may be rounded.
fn converted(
    comparison: &mut Comparison,
    (own, unit): (&Expression, &Unit),
    (other, unit_of_other): (&Expression, &Unit),
) -> Answer {
    match comparison.same(own, &unit_of_other.convert(other, unit))? {
        None => comparison.same(&unit.convert(own, unit_of_other), other),
        same => Ok(same),
    }
}

/// The value of an expression and the words beside it. `2 hours 30 minutes`, or
/// the same as a list from larger to smaller, is one value in the first unit.
fn measured(expression: &Expression) -> Option<(Expression, String)> {
    match expression {
        Expression::Quantity(value, words) => match &**value {
            // Percentage points are no percent.
            Expression::Percent(points)
                if words.split(' ').any(|word| word.starts_with("point")) =>
            {
                Some(((**points).clone(), "pp".to_owned()))
            }
            value => Some((value.clone(), words.clone())),
        },
        Expression::Sum(parts) => compound(parts, false),
        Expression::List(parts) => compound(parts, true),
        _ => None,
    }
}

/// Several quantities as one in the unit of the first.
fn compound(parts: &[Expression], descending: bool) -> Option<(Expression, String)> {
    let mut terms = Vec::with_capacity(parts.len());
    let mut first: Option<(Unit, &String)> = None;
    let mut last: Option<Unit> = None;
    for part in parts {
        let Expression::Quantity(value, words) = part else {
            return None;
        };
        let unit = Unit::read(words);
        if descending && last.is_some_and(|last| !last.is_larger(&unit)) {
            return None;
        }
        let (first, _) = first.get_or_insert_with(|| (unit.clone(), words));
        if !unit.converts_to(first) {
            return None;
        }
        terms.push(unit.convert(value, first));
        last = Some(unit);
    }
    let (_, words) = first?;
    Some((Expression::Sum(terms), words.clone()))
}
