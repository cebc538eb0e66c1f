//! Sets of real numbers as intervals and points.

use std::cmp::Ordering;

use super::budget::{Budget, Spent};
use super::expression::{Expression, Interval, Relation};
use super::numeric;
use super::relation::is_name;

/// Intervals, of which points are closed ones, in any order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pieces {
    /// Of what the values are, where the text says so.
    pub(super) variable: Option<Expression>,
    pub(super) pieces: Vec<Interval>,
}

impl Pieces {
    fn of(pieces: Vec<Interval>) -> Self {
        Self {
            variable: None,
            pieces,
        }
    }

    /// The intervals by their lower ends.
    pub(super) fn sorted(self, budget: &mut Budget) -> Result<Vec<Interval>, Spent> {
        let mut keyed = Vec::with_capacity(self.pieces.len());
        for piece in self.pieces {
            let key = (end(&piece.low, budget)?, end(&piece.high, budget)?);
            keyed.push((key, piece));
        }
        keyed.sort_by(|(a, _), (b, _)| a.partial_cmp(b).unwrap_or(Ordering::Equal));
        Ok(keyed.into_iter().map(|(_, piece)| piece).collect())
    }
}

/// An end of an interval as a number; not a number where it has no value.
fn end(expression: &Expression, budget: &mut Budget) -> Result<f64, Spent> {
    if let Some(sign) = expression.infinite() {
        return Ok(f64::INFINITY * f64::from(sign));
    }
    let value = numeric::approximation(expression, budget)?;
    Ok(value.unwrap_or(f64::NAN))
}

/// The set that an answer is, where it is one: intervals, unions, inequalities
/// in one unknown, numbers without some points.
pub(super) fn pieces(expression: &Expression) -> Option<Pieces> {
    match expression {
        Expression::Interval(interval) => Some(Pieces::of(vec![(**interval).clone()])),
        Expression::Tuple(ends) => match &ends[..] {
            [low, high] => Some(Pieces::of(vec![interval(low, false, high, false)])),
            _ => None,
        },
        Expression::Set(items) => {
            let point = |item: &Expression| interval(item, true, item, true);
            Some(Pieces::of(items.iter().map(point).collect()))
        }
        Expression::Symbol(name) if name == "mathbb R" => Some(Pieces::of(vec![all_numbers()])),
        Expression::Union(parts) => {
            let parts: Vec<Pieces> = parts.iter().map(pieces).collect::<Option<_>>()?;
            let variable = parts.iter().find_map(|part| part.variable.clone());
            let pieces = parts.into_iter().flat_map(|part| part.pieces).collect();
            Some(Pieces { variable, pieces })
        }
        Expression::Without(from, points) => without(from, points),
        Expression::Relation(members, relations) => condition(members, relations),
        _ => None,
    }
}

fn interval(low: &Expression, low_closed: bool, high: &Expression, high_closed: bool) -> Interval {
    Interval {
        low: low.clone(),
        high: high.clone(),
        low_closed,
        high_closed,
    }
}

fn all_numbers() -> Interval {
    let infinity = Expression::symbol("infinity");
    interval(&infinity.clone().negative(), false, &infinity, false)
}

/// All numbers but some.
fn without(from: &Expression, points: &Expression) -> Option<Pieces> {
    let Expression::Set(points) = points else {
        return None;
    };
    let [whole] = &pieces(from)?.pieces[..] else {
        return None;
    };
    let mut points: Vec<(f64, &Expression)> = points
        .iter()
        .map(|point| Some((number(point)?, point)))
        .collect::<Option<_>>()?;
    points.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let mut rest = vec![whole.clone()];
    for (_, point) in points {
        let last = rest.pop()?;
        rest.push(interval(&last.low, last.low_closed, point, false));
        rest.push(interval(point, false, &last.high, last.high_closed));
    }
    Some(Pieces::of(rest))
}

/// The value of a plain number.
fn number(expression: &Expression) -> Option<f64> {
    let mut budget = Budget::new(std::time::Duration::MAX);
    numeric::approximation(expression, &mut budget).ok()?
}

/// The values for which a relation holds.
fn condition(members: &[Expression], relations: &[Relation]) -> Option<Pieces> {
    let infinity = Expression::symbol("infinity");
    let minus_infinity = infinity.clone().negative();
    let closed =
        |relation: Relation| matches!(relation, Relation::LessOrEqual | Relation::GreaterOrEqual);
    let (variable, found) = match (members, relations) {
        ([variable, set], [Relation::In]) => (variable, pieces(set)?.pieces),
        ([variable, value], [Relation::NotEqual]) if is_name(variable) => (
            variable,
            vec![
                interval(&minus_infinity, false, value, false),
                interval(value, false, &infinity, false),
            ],
        ),
        ([left, right], [relation]) if relation.is_inequality() => {
            let (variable, bound, relation) = match (is_name(left), is_name(right)) {
                (true, false) => (left, right, *relation),
                (false, true) => (right, left, relation.flipped()),
                _ => return None,
            };
            let found = match relation {
                Relation::Less | Relation::LessOrEqual => {
                    interval(&minus_infinity, false, bound, closed(relation))
                }
                _ => interval(bound, closed(relation), &infinity, false),
            };
            (variable, vec![found])
        }
        ([low, variable, high], [first, second])
            if first.is_inequality() && second.is_inequality() =>
        {
            let found = match (first, second) {
                (
                    Relation::Less | Relation::LessOrEqual,
                    Relation::Less | Relation::LessOrEqual,
                ) => interval(low, closed(*first), high, closed(*second)),
                (
                    Relation::Greater | Relation::GreaterOrEqual,
                    Relation::Greater | Relation::GreaterOrEqual,
                ) => interval(high, closed(*second), low, closed(*first)),
                _ => return None,
            };
            (variable, vec![found])
        }
        _ => return None,
    };
    let Expression::Function(name, arguments) = variable else {
        return Some(Pieces {
            variable: Some(variable.clone()).filter(|_| !relations.contains(&Relation::In)),
            pieces: found,
        });
    };
    if name != "abs" || relations == [Relation::In] {
        return Some(Pieces::of(found));
    }
    // |x| in a range of positive numbers: x there or at their opposites.
    let mut both = Vec::new();
    for piece in &found {
        let opposite = |end: &Expression| match end.infinite() {
            Some(_) => minus_infinity.clone(),
            None => end.clone().negative(),
        };
        if piece.low.infinite() == Some(-1) {
            let low = opposite(&piece.high);
            both.push(interval(
                &low,
                piece.high_closed,
                &piece.high,
                piece.high_closed,
            ));
        } else {
            let (low, high) = (opposite(&piece.high), opposite(&piece.low));
            both.push(interval(&low, piece.high_closed, &high, piece.low_closed));
            both.push(piece.clone());
        }
    }
    Some(Pieces {
        variable: arguments.first().cloned(),
        pieces: both,
    })
}
