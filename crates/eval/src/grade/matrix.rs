//! Sums and products of matrices.

use super::budget::{Budget, Spent};
use super::expression::Expression;

/// Most rows and columns of a matrix that is multiplied.
const LARGEST: usize = 16;

type Rows = Vec<Vec<Expression>>;

/// The matrix that an expression is, with sums and products carried out;
/// `None` where it is none.
pub(super) fn of(expression: &Expression, budget: &mut Budget) -> Result<Option<Rows>, Spent> {
    budget.spend(8)?;
    match expression {
        Expression::Matrix(rows) => Ok(Some(rows.clone())),
        Expression::Sum(terms) => {
            let mut sum: Option<Rows> = None;
            for term in terms {
                let Some(term) = of(term, budget)? else {
                    return Ok(None);
                };
                sum = match sum {
                    None => Some(term),
                    Some(sum) => plus(sum, term),
                };
                if sum.is_none() {
                    return Ok(None);
                }
            }
            Ok(sum)
        }
        Expression::Product(factors) => {
            let mut product: Option<Rows> = None;
            let mut scalars = Vec::new();
            for factor in factors {
                match (of(factor, budget)?, product.take()) {
                    (None, before) => {
                        scalars.push(factor.clone());
                        product = before;
                    }
                    (Some(factor), None) => product = Some(factor),
                    (Some(factor), Some(before)) => {
                        let Some(result) = times(&before, &factor, budget)? else {
                            return Ok(None);
                        };
                        product = Some(result);
                    }
                }
            }
            if let Some(rows) = &mut product {
                for entry in rows.iter_mut().flatten() {
                    budget.spend(scalars.len())?;
                    let mut factors = scalars.clone();
                    factors.push(entry.clone());
                    *entry = Expression::Product(factors);
                }
            }
            Ok(product)
        }
        _ => Ok(None),
    }
}

fn plus(left: Rows, right: Rows) -> Option<Rows> {
    if left.len() != right.len() || left[0].len() != right[0].len() {
        return None;
    }
    let row = |(left, right): (Vec<Expression>, Vec<Expression>)| {
        left.into_iter()
            .zip(right)
            .map(|(left, right)| Expression::Sum(vec![left, right]))
            .collect()
    };
    Some(left.into_iter().zip(right).map(row).collect())
}

fn times(left: &Rows, right: &Rows, budget: &mut Budget) -> Result<Option<Rows>, Spent> {
    let (inner, width) = (right.len(), right[0].len());
    if left[0].len() != inner || left.len().max(inner).max(width) > LARGEST {
        return Ok(None);
    }
    // Entries are not simplified and grow with each product: their copies are
    // paid for.
    budget.spend(16 * (size(left) * width + size(right) * left.len()))?;
    let entry = |row: &Vec<Expression>, column: usize| {
        let terms =
            (0..inner).map(|k| Expression::Product(vec![row[k].clone(), right[k][column].clone()]));
        Expression::Sum(terms.collect())
    };
    let rows = left
        .iter()
        .map(|row| (0..width).map(|column| entry(row, column)).collect());
    Ok(Some(rows.collect()))
}

/// Nodes of all entries.
fn size(rows: &Rows) -> usize {
    fn of(expression: &Expression) -> usize {
        1 + match expression {
            Expression::Sum(parts)
            | Expression::Product(parts)
            | Expression::Function(_, parts)
            | Expression::List(parts)
            | Expression::Tuple(parts) => parts.iter().map(of).sum(),
            Expression::Power(base, exponent) => of(base) + of(exponent),
            Expression::Matrix(rows) => size(rows),
            _ => 1,
        }
    }
    rows.iter().flatten().map(of).sum()
}
