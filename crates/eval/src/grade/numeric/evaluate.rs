//! The value of an expression at a point.

use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive};

use super::ball::Ball;
use super::functions;
use super::points::Point;
use super::scalar::Scalar;
use crate::grade::budget::{Budget, Spent};
use crate::grade::expression::Expression;
use crate::grade::polynomial::{Atoms, NoForm, normal_form};

/// Largest exponent that is a repeated product.
const LARGEST_POWER: u64 = 1024;

/// The value of an expression; `None` where it has none, or none that is finite.
pub(super) fn evaluate<S: Scalar>(
    expression: &Expression,
    point: &Point,
    budget: &mut Budget,
) -> Result<Option<Ball<S>>, Spent> {
    budget.spend(4 + S::PRODUCT)?;
    let mut of = |expression: &Expression| evaluate::<S>(expression, point, budget);
    Ok(match expression {
        Expression::Number(number) => S::rational(&number.value).map(Ball::new),
        Expression::Symbol(name) => symbol(name, point),
        Expression::Sum(terms) => {
            let mut sum: Option<Ball<S>> = None;
            for term in terms {
                let Some(term) = of(term)? else {
                    return Ok(None);
                };
                sum = match sum {
                    None => Some(term),
                    Some(sum) => match sum.plus(&term) {
                        None => return Ok(None),
                        sum => sum,
                    },
                };
            }
            sum
        }
        Expression::Product(factors) => {
            let mut product: Option<Ball<S>> = None;
            for factor in factors {
                let Some(factor) = of(factor)? else {
                    return Ok(None);
                };
                product = match product {
                    None => Some(factor),
                    Some(product) => match product.times(&factor) {
                        None => return Ok(None),
                        product => product,
                    },
                };
            }
            product
        }
        Expression::Power(base, exponent) => power(base, exponent, point, budget)?,
        Expression::Function(name, arguments) => {
            let mut values = Vec::with_capacity(arguments.len());
            for argument in arguments {
                let Some(argument) = of(argument)? else {
                    return Ok(None);
                };
                values.push(argument);
            }
            budget.spend(3 * S::FUNCTION)?;
            functions::value(name, &values, point)
        }
        Expression::Percent(inner) => {
            let hundredth = S::rational(&BigRational::new(1.into(), 100.into())).map(Ball::new);
            of(inner)?.and_then(|inner| inner.times(&hundredth?))
        }
        Expression::Quantity(inner, _) => of(inner)?,
        Expression::Ratio(members) => match &members[..] {
            [over, under] => match (of(over)?, of(under)?) {
                (Some(over), Some(under)) => over.over(&under),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    })
}

fn symbol<S: Scalar>(name: &str, point: &Point) -> Option<Ball<S>> {
    match name {
        "infinity" => None,
        "e" => Ball::real(1.0)?.exp(),
        "pi" => S::pi().map(Ball::new),
        "i" => Ball::i(),
        name => Ball::real(point.of(name)),
    }
}

/// The principal value, but the real root of a negative number where the
/// exponent is a fraction of odd denominator.
fn power<S: Scalar>(
    base: &Expression,
    exponent: &Expression,
    point: &Point,
    budget: &mut Budget,
) -> Result<Option<Ball<S>>, Spent> {
    let rational = match exponent.any(&mut |part| part.is_variable()) {
        true => None,
        false => match normal_form(exponent, &mut Atoms::default(), budget) {
            Ok(form) => form.as_rational(),
            Err(NoForm::Spent) => return Err(Spent),
            Err(NoForm::Unfit) => None,
        },
    };
    if let (None, Expression::Symbol(name)) = (&rational, base)
        && name == "e"
    {
        budget.spend(S::FUNCTION)?;
        let exponent = evaluate::<S>(exponent, point, budget)?;
        return Ok(exponent.and_then(|exponent| exponent.exp()));
    }
    let Some(base) = evaluate::<S>(base, point, budget)? else {
        return Ok(None);
    };
    if let Some(rational) = rational {
        budget.spend(S::FUNCTION)?;
        return Ok(rational_power(&base, &rational));
    }
    let Some(exponent) = evaluate::<S>(exponent, point, budget)? else {
        return Ok(None);
    };
    budget.spend(2 * S::FUNCTION)?;
    Ok(real_power(&base, &exponent))
}

fn rational_power<S: Scalar>(base: &Ball<S>, exponent: &BigRational) -> Option<Ball<S>> {
    let negative = base.is_real() && base.is_negative();
    if exponent.is_integer()
        && let Some(times) = exponent.numer().magnitude().to_u64()
        && times <= LARGEST_POWER
    {
        let power = base.power(times)?;
        return match exponent.is_negative() {
            true => power.inverse(),
            false => Some(power),
        };
    }
    let two = BigRational::from_integer(2.into());
    let doubled = exponent * &two;
    if doubled.is_integer()
        && let Some(times) = doubled.numer().magnitude().to_u64()
        && times <= LARGEST_POWER
    {
        let power = base.sqrt()?.power(times)?;
        return match exponent.is_negative() {
            true => power.inverse(),
            false => Some(power),
        };
    }
    if base.is_near_zero() {
        return (!exponent.is_negative()).then(|| Ball::real(0.0)).flatten();
    }
    let exponent_of = Ball::new(S::rational(exponent)?);
    let odd = |number: &num_bigint::BigInt| number.bit(0);
    if negative && odd(exponent.denom()) {
        let root = base.abs()?.ln()?.times(&exponent_of)?.exp()?;
        return match odd(exponent.numer()) {
            true => root.negative(),
            false => Some(root),
        };
    }
    base.ln()?.times(&exponent_of)?.exp()
}

fn real_power<S: Scalar>(base: &Ball<S>, exponent: &Ball<S>) -> Option<Ball<S>> {
    // A whole number that has come about by unknowns that are whole.
    let whole = exponent.value.floor();
    let is_whole = exponent.is_real() && whole.to_f64() == exponent.value.to_f64();
    if is_whole && whole.to_f64().abs() <= LARGEST_POWER as f64 {
        let power = base.power(whole.to_f64().abs() as u64)?;
        return match exponent.is_negative() {
            true => power.inverse(),
            false => Some(power),
        };
    }
    if base.is_near_zero() {
        return None;
    }
    base.ln()?.times(exponent)?.exp()
}
