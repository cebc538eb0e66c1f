//! Values at points that look random but are always the same, first in 53 bits
//! and then, where these show no difference, in 256.

mod ball;
mod evaluate;
mod functions;
mod points;
mod scalar;

use std::collections::BTreeSet;

use num_complex::Complex64;
use num_rational::BigRational;
use num_traits::Signed;

use self::ball::Distance;
use self::evaluate::evaluate;
use self::points::{Minus, Point, points};
use self::scalar::{Precise, Scalar};
use super::budget::{Budget, Spent};
use super::compare::Same;
use super::expression::Expression;

/// Points at which two expressions with unknowns must agree.
const FEWEST_POINTS: usize = 3;

/// Points at which an agreement is confirmed in 256 bits, and at most tried so.
const CONFIRMED: usize = 2;
const MOST_PRECISE: usize = 6;

/// What two expressions are compared as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum As {
    Values,
    /// Up to a constant factor, or a positive one.
    Multiples {
        positive: bool,
    },
}

/// Whether two expressions agree at all points: those at which both are real, of
/// unknowns of either sign. With `decimals`, nine digits are enough.
pub(super) fn compare(
    own: &Expression,
    other: &Expression,
    kind: As,
    decimals: bool,
    budget: &mut Budget,
) -> Result<Option<Same>, Spent> {
    if !is_value(own) || !is_value(other) {
        return Ok(None);
    }
    let unknowns = Unknowns::of(&[own, other]);
    let mut test = Test {
        own,
        other,
        kind,
        decimals,
        is_complex: unknowns.is_complex,
        unknowns: &unknowns,
        budget,
    };
    let found = test.run()?;
    if found == Found::NowhereReal && !test.is_complex {
        test.is_complex = true;
        return Ok(test.run()?.same());
    }
    Ok(found.same())
}

/// The value of a real expression without unknowns, to some 75 digits.
pub(super) fn constant(
    expression: &Expression,
    budget: &mut Budget,
) -> Result<Option<BigRational>, Spent> {
    if !is_value(expression) || !Unknowns::of(&[expression]).names.is_empty() {
        return Ok(None);
    }
    let value = evaluate::<Precise>(expression, &Point::usual(), budget)?;
    let real = value.filter(|value| value.is_almost_real());
    Ok(real.map(|value| value.value.to_rational()))
}

/// The real part of a value at one point; to sort by.
pub(super) fn approximation(
    expression: &Expression,
    budget: &mut Budget,
) -> Result<Option<f64>, Spent> {
    let value = evaluate::<Complex64>(expression, &Point::usual(), budget)?;
    Ok(value.map(|value| value.value.re))
}

/// Whether an expression is composed of nothing but numbers and unknowns.
fn is_value(expression: &Expression) -> bool {
    !expression.any(&mut |part| match part {
        Expression::Symbol(name) => name == "infinity",
        Expression::Ratio(members) => members.len() != 2,
        Expression::Number(_)
        | Expression::Sum(_)
        | Expression::Product(_)
        | Expression::Power(..)
        | Expression::Function(..)
        | Expression::Percent(_)
        | Expression::Quantity(..) => false,
        _ => true,
    })
}

/// The unknowns of two expressions.
struct Unknowns {
    names: Vec<String>,
    /// Those of exponents of negative numbers, which are whole: `(-1)^n`.
    integers: Vec<String>,
    /// Whether the imaginary unit is named.
    is_complex: bool,
}

impl Unknowns {
    fn of(expressions: &[&Expression]) -> Self {
        let mut exponents = Vec::new();
        let mut is_complex = false;
        for expression in expressions {
            expression.any(&mut |part| {
                match part {
                    Expression::Power(base, exponent) if is_negative(base) => {
                        exponents.push((**exponent).clone());
                    }
                    Expression::Symbol(name) => is_complex |= name == "i",
                    _ => {}
                }
                false
            });
        }
        Self {
            names: names(expressions.iter().copied()),
            integers: names(exponents.iter()),
            is_complex,
        }
    }
}

/// The variables of expressions, in order.
fn names<'a>(expressions: impl Iterator<Item = &'a Expression>) -> Vec<String> {
    let mut names = BTreeSet::new();
    for expression in expressions {
        expression.any(&mut |part| {
            if let (true, Expression::Symbol(name)) = (part.is_variable(), part) {
                names.insert(name.clone());
            }
            false
        });
    }
    names.into_iter().collect()
}

/// Whether an expression is a negative number, or the imaginary unit.
fn is_negative(expression: &Expression) -> bool {
    match expression {
        Expression::Number(number) => number.value.is_negative(),
        Expression::Symbol(name) => name == "i",
        Expression::Product(factors) => match &factors[..] {
            [Expression::Number(sign), Expression::Number(_)] => sign.value.is_negative(),
            _ => false,
        },
        _ => false,
    }
}

/// What a comparison at all points has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Same(Same),
    Different,
    /// No points enough at which both are real.
    NowhereReal,
}

impl Found {
    fn same(self) -> Option<Same> {
        match self {
            Self::Same(same) => Some(same),
            _ => None,
        }
    }
}

/// What a look at one point has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Same,
    Near,
    Different,
    /// More digits are needed.
    Doubtful,
    /// The point is outside of where both are real.
    Outside,
}

struct Test<'a> {
    own: &'a Expression,
    other: &'a Expression,
    kind: As,
    decimals: bool,
    unknowns: &'a Unknowns,
    /// Whether points count at which the expressions are not real.
    is_complex: bool,
    budget: &'a mut Budget,
}

impl Test<'_> {
    fn run(&mut self) -> Result<Found, Spent> {
        let (mut met, mut confirmed, mut precise) = (0, 0, 0);
        let mut loosest = Same::Numerically;
        let unknowns = self.unknowns;
        let points = points(&unknowns.names, &unknowns.integers);
        let Some(reference) = self.reference(&points)? else {
            return Ok(Found::NowhereReal);
        };
        for point in &points {
            let mut look = self.look::<Complex64>(point, reference)?;
            let agrees = matches!(look, Look::Same | Look::Near) && confirmed < CONFIRMED;
            if (look == Look::Doubtful || agrees) && precise < MOST_PRECISE {
                precise += 1;
                look = self.look::<Precise>(point, reference)?;
                confirmed += usize::from(look == Look::Same);
            }
            match look {
                Look::Different => return Ok(Found::Different),
                Look::Near if !self.decimals => return Ok(Found::Different),
                Look::Near => loosest = Same::Rounded,
                Look::Same | Look::Doubtful | Look::Outside => {}
            }
            met += usize::from(matches!(look, Look::Same | Look::Near));
        }
        let fewest = if unknowns.names.is_empty() {
            1
        } else {
            FEWEST_POINTS
        };
        let enough = met >= fewest && (confirmed > 0 || loosest == Same::Rounded);
        Ok(match enough {
            true => Found::Same(loosest),
            false => Found::NowhereReal,
        })
    }

    /// The point whose ratio all others must have; the first, for values.
    fn reference<'p>(&mut self, points: &[Point<'p>]) -> Result<Option<Point<'p>>, Spent> {
        let As::Multiples { positive } = self.kind else {
            return Ok(points.first().copied());
        };
        for &point in points {
            let own = evaluate::<Complex64>(self.own, &point, self.budget)?;
            let other = evaluate::<Complex64>(self.other, &point, self.budget)?;
            let (Some(own), Some(other)) = (own, other) else {
                continue;
            };
            let real = !(own.left_reals || other.left_reals) || self.is_complex;
            if !real || own.is_near_zero() || other.is_near_zero() {
                continue;
            }
            let ratio = own.value / other.value;
            let fits = ratio.im.abs() <= 1e-9 * ratio.norm() && !(positive && ratio.re < 0.0);
            return Ok(fits.then_some(point));
        }
        Ok(None)
    }

    fn look<S: Scalar>(&mut self, point: &Point, reference: Point) -> Result<Look, Spent> {
        let is_precise = S::BITS > Complex64::BITS;
        let mut own = evaluate::<S>(self.own, point, self.budget)?;
        let mut other = evaluate::<S>(self.other, point, self.budget)?;
        if self.kind != As::Values {
            let factor = evaluate::<S>(self.other, &reference, self.budget)?;
            let factor_of_other = evaluate::<S>(self.own, &reference, self.budget)?;
            own = own.and_then(|own| own.times(&factor?));
            other = other.and_then(|other| other.times(&factor_of_other?));
        }
        let (own, other) = match (own, other) {
            (Some(own), Some(other)) => (own, other),
            _ if !is_precise => return Ok(Look::Doubtful),
            (None, None) => return Ok(Look::Outside),
            // A pole of one of them, unless the numbers are just too large.
            _ if point.is_usual => return Ok(Look::Different),
            _ => return Ok(Look::Outside),
        };
        if !self.is_complex {
            let several = self.unknowns.names.len() > 1;
            match (own.left_reals, other.left_reals) {
                (true, true) => return Ok(Look::Outside),
                (true, _) | (_, true) if point.minus == Minus::All && several => {
                    return Ok(Look::Outside);
                }
                _ => {}
            }
        }
        Ok(match own.beside(&other) {
            Distance::None => Look::Same,
            Distance::Near => Look::Near,
            Distance::Apart => Look::Different,
            Distance::Doubtful if is_precise => Look::Outside,
            Distance::Doubtful => Look::Doubtful,
        })
    }
}
