//! Whether two values are equal: exactly, numerically, or once rounded.

use num_rational::BigRational;
use num_traits::{Signed, Zero};

use super::budget::Spent;
use super::compare::{Answer, Comparison, Same};
use super::expression::Expression;
use super::numeric::{self, As};
use super::polynomial::{Atoms, NoForm, normal_form};

/// Digits of a decimal that rather stands for a value it is near to.
const LONG_DECIMAL: u32 = 9;
const NINE_DIGITS: u64 = 1_000_000_000;

/// Digits of a floating-point number that is printed in full.
const FLOATING: usize = 15;

/// Significant digits of a gold answer with a point to which other values are
/// rounded.
const FEWEST_DIGITS: usize = 3;

pub(super) fn same(comparison: &mut Comparison, gold: &Expression, answer: &Expression) -> Answer {
    if let Some(same) = same_in_base(comparison, gold, answer) {
        return Ok(same);
    }
    let is_percent = |expression: &Expression| matches!(expression, Expression::Percent(_));
    if !comparison.is_lenient() {
        return match is_percent(gold) == is_percent(answer) {
            true => equal(comparison, gold, answer),
            false => Ok(None),
        };
    }
    if let Some(same) = equal(comparison, gold, answer)? {
        return Ok(Some(same));
    }
    // 28% is as right as 28, and 0.28 too.
    let bare = |expression: &Expression| match expression {
        Expression::Percent(inner) => Some((**inner).clone()),
        _ => None,
    };
    let percent = match (bare(gold), bare(answer)) {
        (Some(own), Some(other)) => return rounded(comparison, &own, &other),
        (Some(own), None) => Some((own, answer.clone())),
        (None, Some(other)) => Some((gold.clone(), other)),
        (None, None) => None,
    };
    if let Some((own, other)) = percent {
        let same = equal(comparison, &own, &other)?;
        return match same {
            None => rounded(comparison, &own, &other),
            same => Ok(same),
        };
    }
    rounded(comparison, gold, answer)
}

/// Where one is written in a base: the other must be in the same one, but for
/// lenient graders, to whom a base is a unit that may be left out.
fn same_in_base(
    comparison: &Comparison,
    gold: &Expression,
    answer: &Expression,
) -> Option<Option<Same>> {
    let based = |expression: &Expression| match expression {
        Expression::Based { digits, base } => {
            Some((digits.trim_start_matches('0').to_owned(), Some(*base)))
        }
        other => Some((other.as_integer()?.to_string(), None)),
    };
    let (own, other) = (based(gold)?, based(answer)?);
    let alike = match (own.1, other.1) {
        (None, None) => return None,
        (Some(own), Some(other)) => own == other,
        (Some(base), None) | (None, Some(base)) => base == 10 || comparison.is_lenient(),
    };
    Some((alike && own.0 == other.0).then_some(Same::Exactly))
}

/// Exactly or numerically equal.
fn equal(comparison: &mut Comparison, gold: &Expression, answer: &Expression) -> Answer {
    let budget = &mut *comparison.budget;
    let mut atoms = Atoms::default();
    let equal = normal_form(gold, &mut atoms, budget).and_then(|own| {
        let other = normal_form(answer, &mut atoms, budget)?;
        own.equals(&other, &atoms, budget)
    });
    match equal {
        Ok(true) => return Ok(Some(Same::Exactly)),
        Ok(false) if !atoms.bound => return Ok(None),
        Err(NoForm::Spent) => return Err(Spent),
        Ok(false) | Err(NoForm::Unfit) => {}
    }
    let has_decimals = |side: &Expression| side.any(&mut is_long_decimal);
    let decimals = comparison.is_lenient() && (has_decimals(gold) || has_decimals(answer));
    numeric::compare(gold, answer, As::Values, decimals, comparison.budget)
}

/// Whether a number is a decimal of nine digits or more behind the point, which
/// rather stands for what it is near to.
fn is_long_decimal(expression: &Expression) -> bool {
    let places = expression.number().and_then(|number| number.places);
    places.is_some_and(|places| places >= LONG_DECIMAL)
}

/// Whether one is what the other becomes by rounding: any value to the decimals
/// of a gold answer, or the gold answer to the decimals of an answer that has
/// enough of them (or to these without rounding, as calculators cut off; or off
/// by one in the last of nine digits, as they compute).
fn rounded(comparison: &mut Comparison, gold: &Expression, answer: &Expression) -> Answer {
    let places = |expression: &Expression| expression.number().and_then(|number| number.places);
    let (own_places, other_places) = (places(gold), places(answer));
    if own_places.is_none() && other_places.is_none() {
        return Ok(None);
    }
    let (Some(own), Some(other)) = (constant(comparison, gold)?, constant(comparison, answer)?)
    else {
        return Ok(None);
    };
    let unit = |places: u32| BigRational::from_integer(10.into()).pow(-(places.min(400) as i32));
    let half = BigRational::new(1.into(), 2.into());
    let difference = (&own - &other).abs();
    if let Some(places) = own_places {
        let digits = (own.abs() / unit(places)).to_integer();
        let significant = !digits.is_zero() && digits.to_string().len() >= FEWEST_DIGITS;
        if significant && difference <= unit(places) * &half {
            return Ok(Some(Same::Rounded));
        }
    }
    if let Some(places) = other_places
        && places >= comparison.decimals
    {
        let unit = unit(places);
        let near = difference <= &unit * &half;
        let sign = own.is_negative() == other.is_negative();
        let cut_off = sign && own.abs() >= other.abs() && difference < unit;
        let digits = (other.abs() / &unit).to_integer().to_string().len();
        let finer = own_places.is_none_or(|own| own < places);
        let small = difference <= own.abs() * BigRational::new(1.into(), NINE_DIGITS.into());
        let computed = digits >= LONG_DECIMAL as usize
            && finer
            && small
            && (difference <= unit || digits >= FLOATING);
        return Ok((near || cut_off || computed).then_some(Same::Rounded));
    }
    Ok(None)
}

/// The value of a real constant.
fn constant(
    comparison: &mut Comparison,
    expression: &Expression,
) -> Result<Option<BigRational>, Spent> {
    match expression.number() {
        Some(number) => Ok(Some(number.value.clone())),
        None => numeric::constant(expression, comparison.budget),
    }
}
