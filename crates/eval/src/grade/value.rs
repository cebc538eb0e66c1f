//! Whether two values are equal: exactly, numerically, or once rounded.

use num_complex::Complex64;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::budget::Spent;
use super::compare::{Answer, Comparison, Same};
use super::expression::{Expression, Number};
use super::numeric::{self, Point};
use super::polynomial::{Atoms, NoForm, normal_form};

/// Points at which values are compared, and how many must have a value.
const POINTS: u64 = 8;
const FEWEST_POINTS: usize = 3;

/// Relative difference below which two values are equal. A formula of an
/// answer's size loses far less.
const TOLERANCE: f64 = 1e-9;

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
    let mut met = 0;
    for point in 0..POINTS {
        let own = numeric::value(gold, Point(point), budget)?;
        let other = numeric::value(answer, Point(point), budget)?;
        match (own, other) {
            (Some(own), Some(other)) if is_close(own, other) => met += 1,
            (None, None) => {}
            _ => return Ok(None),
        }
    }
    Ok((met >= FEWEST_POINTS).then_some(Same::Numerically))
}

fn is_close(a: Complex64, b: Complex64) -> bool {
    (a - b).norm() <= TOLERANCE * (a.norm() + b.norm()) / 2.0 + 1e-14
}

/// Whether one is what the other becomes by rounding: any value to the decimals
/// of a gold answer, or the gold answer to the decimals of an answer that has
/// enough of them (or to these without rounding, as calculators cut off).
fn rounded(comparison: &mut Comparison, gold: &Expression, answer: &Expression) -> Answer {
    let places = |expression: &Expression| {
        let Number { value, places } = expression.number()?;
        places.map(|places| (places, value.clone()))
    };
    let (own_places, other_places) = (places(gold), places(answer));
    if own_places.is_none() && other_places.is_none() {
        return Ok(None);
    }
    let (Some(own), Some(other)) = (constant(comparison, gold)?, constant(comparison, answer)?)
    else {
        return Ok(None);
    };
    if (own - other).abs() <= TOLERANCE * own.abs() {
        return Ok(Some(Same::Numerically));
    }
    let unit = |places: u32| 10_f64.powi(-(places.min(300) as i32));
    let slack = 1e-6;
    if let Some((places, value)) = own_places {
        let digits = value.abs()
            * num_rational::BigRational::from_integer(
                num_bigint::BigInt::from(10).pow(places.min(400)),
            );
        let significant =
            !digits.is_zero() && digits.to_integer().to_string().len() >= FEWEST_DIGITS;
        if significant && (own - other).abs() <= unit(places) * (0.5 + slack) {
            return Ok(Some(Same::Rounded));
        }
    }
    if let Some((places, _)) = other_places
        && places >= comparison.decimals
    {
        let (difference, unit) = (own.abs() - other.abs(), unit(places));
        let sign = own.is_sign_negative() == other.is_sign_negative();
        let near = difference.abs() <= unit * (0.5 + slack);
        let cut_off = difference >= 0.0 && difference < unit * (1.0 - slack);
        return Ok((sign && (near || cut_off)).then_some(Same::Rounded));
    }
    Ok(None)
}

/// The value of a real constant.
fn constant(comparison: &mut Comparison, expression: &Expression) -> Result<Option<f64>, Spent> {
    if let Some(number) = expression.number() {
        return Ok(number.value.to_f64());
    }
    let first = numeric::value(expression, Point(0), comparison.budget)?;
    let second = numeric::value(expression, Point(1), comparison.budget)?;
    let real = first.filter(|value| value.im.abs() <= TOLERANCE * value.norm().max(f64::one()));
    Ok(real.filter(|_| first == second).map(|value| value.re))
}
