//! Equations and inequalities.

use num_traits::{Signed, Zero};

use super::budget::Spent;
use super::compare::{Answer, Comparison, Same};
use super::expression::{Expression, Relation};
use super::numeric::{self, As};
use super::polynomial::{Atoms, NoForm, normal_form};
use super::sets::pieces;

/// What an equation says a name is.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) name: Option<Expression>,
    pub(super) value: Expression,
}

/// The value that an equation gives: `x = 5`, `x = 2 + 3 = 5`, `x ≈ 5`,
/// `5 = x`, `2 + 3 = 5`, `1/3 ≈ 0.33`, or `x ∈ {5}`. `None` for anything else, like `x + y = 5`.
pub(super) fn value_of(expression: &Expression) -> Option<Value> {
    let Expression::Relation(members, relations) = expression else {
        return None;
    };
    if let ([name, set], [Relation::In]) = (&members[..], &relations[..]) {
        return is_name(name).then(|| Value {
            name: Some(name.clone()),
            value: set.clone(),
        });
    }
    let equation =
        |relation: &Relation| matches!(relation, Relation::Equal | Relation::Approximately);
    if !relations.iter().all(equation) {
        return None;
    }
    let names = members.iter().take_while(|member| is_name(member)).count();
    // What follows an approximation of a value is no better.
    let end = relations
        .iter()
        .enumerate()
        .find(|&(at, relation)| *relation == Relation::Approximately && at >= names)
        .map_or(members.len(), |(at, _)| at + 1);
    let (first, last) = (&members[0], &members[end - 1]);
    let name = (names > 0).then(|| first.clone());
    if names == members.len() {
        // `f(x) = x`: the last one is the value.
        return (relations.len() == 1).then(|| Value {
            name,
            value: last.clone(),
        });
    }
    let arithmetic = members.iter().all(is_constant);
    if names > 0 || end > 2 || end < members.len() || arithmetic {
        let value = last.clone();
        return Some(Value { name, value });
    }
    let symbol = matches!(last, Expression::Symbol(_)) && is_name(last);
    symbol.then(|| Value {
        name: Some(last.clone()),
        value: first.clone(),
    })
}

/// Whether an expression has no variables.
fn is_constant(expression: &Expression) -> bool {
    match expression {
        Expression::Number(_) => true,
        Expression::Symbol(name) => ["e", "pi"].contains(&name.as_str()),
        Expression::Sum(parts) | Expression::Product(parts) | Expression::Function(_, parts) => {
            parts.iter().all(is_constant)
        }
        Expression::Power(base, exponent) => is_constant(base) && is_constant(exponent),
        Expression::Percent(inner) | Expression::Quantity(inner, _) => is_constant(inner),
        _ => false,
    }
}

/// Whether an expression only names something: `x`, `f(2)`, `|AB|`, `a:b`.
pub(super) fn is_name(expression: &Expression) -> bool {
    match expression {
        Expression::Symbol(_) => expression.is_variable(),
        Expression::Text(_) => true,
        Expression::Product(parts) | Expression::Ratio(parts) | Expression::Tuple(parts) => {
            parts.iter().all(is_name)
        }
        Expression::Power(base, exponent) => is_name(base) && **exponent == Expression::integer(-1),
        Expression::Function(name, arguments) => {
            let is_letter = name.chars().count() == 1 || name.contains(['_', '\'']);
            is_letter || arguments.iter().all(is_name)
        }
        Expression::Quantity(inner, _) => is_name(inner),
        _ => false,
    }
}

/// Whether two relations say the same.
pub(super) fn same_relation(
    comparison: &mut Comparison,
    gold: &Expression,
    answer: &Expression,
) -> Answer {
    let renamed = renamed(gold, answer);
    let answer = renamed.as_ref().unwrap_or(answer);
    let (Some(own), Some(other)) = (Sides::of(gold), Sides::of(answer)) else {
        return same_chain(comparison, gold, answer);
    };
    let alike = own.relation == other.relation;
    if alike && let Some(same) = own.is_multiple(&other, comparison)? {
        return Ok(Some(same));
    }
    if let (Some(own), Some(other)) = (value_of(gold), value_of(answer)) {
        if own.name != other.name {
            return Ok(None);
        }
        return comparison.same(&own.value, &other.value);
    }
    same_set(comparison, gold, answer)
}

/// `f(n) = 3n` with the variable of `f(x) = 3x`, `a_k = 2k` with the index of
/// `a_n = 2n`, where both define the same name by an equation.
fn renamed(gold: &Expression, answer: &Expression) -> Option<Expression> {
    let defined = |side: &Expression| match side {
        Expression::Relation(members, relations) if relations.contains(&Relation::Equal) => {
            members.first().and_then(Defined::of)
        }
        _ => None,
    };
    let (own, other) = (defined(gold)?, defined(answer)?);
    let alike = own.name == other.name && own.variables.len() == other.variables.len();
    if !alike || own.variables == other.variables {
        return None;
    }
    // A variable of the gold answer that means something else in the answer.
    let mut is_taken = |part: &Expression| {
        own.variables.contains(part) && !other.variables.contains(part)
            || matches!(part, Expression::Symbol(name) if own.is_index_of(name) || other.is_index_of(name))
                && Defined::of(part).is_none_or(|part| part.name != own.name)
    };
    let mut used = |part: &Expression| other.variables.contains(part);
    if answer.any(&mut is_taken) || other.is_sequence && !answer.any(&mut used) {
        return None;
    }
    Some(answer.replaced(&|part| {
        if other.is_sequence && Defined::of(part).as_ref() == Some(&other) {
            return own.is_sequence.then(|| Expression::Symbol(own.written()));
        }
        let at = other
            .variables
            .iter()
            .position(|variable| variable == part)?;
        Some(own.variables[at].clone())
    }))
}

/// A name with its variables: `f(x, y)`, or `a_n` with its index.
#[derive(Debug, PartialEq)]
struct Defined {
    name: String,
    variables: Vec<Expression>,
    is_sequence: bool,
}

impl Defined {
    fn of(expression: &Expression) -> Option<Self> {
        match expression {
            Expression::Function(name, arguments) => {
                let variables = match &arguments[..] {
                    [Expression::List(variables)] => variables.clone(),
                    arguments => arguments.to_vec(),
                };
                let (name, is_sequence) = (name.clone(), false);
                let all = variables.iter().all(Expression::is_variable);
                all.then_some(Self {
                    name,
                    variables,
                    is_sequence,
                })
            }
            Expression::Symbol(written) => {
                let (name, index) = written.split_once('_')?;
                let mut letters = index.chars();
                let letter = letters.next().filter(|c| c.is_alphabetic())?;
                letters.next().is_none().then(|| Self {
                    name: name.to_owned(),
                    variables: vec![Expression::symbol(&letter.to_string())],
                    is_sequence: true,
                })
            }
            _ => None,
        }
    }

    /// A sequence with its index, as a symbol.
    fn written(&self) -> String {
        match self.variables.first() {
            Some(Expression::Symbol(index)) => format!("{}_{index}", self.name),
            _ => self.name.clone(),
        }
    }

    /// Whether a name with an index has this sequence's one in it: `a_{n-1}`.
    fn is_index_of(&self, name: &str) -> bool {
        let index = name.split_once('_').map_or("", |(_, index)| index);
        let variable = |variable: &Expression| match variable {
            Expression::Symbol(letter) => index.contains(letter.as_str()),
            _ => false,
        };
        self.variables.iter().any(variable)
    }
}

/// Relations of more than two, member by member, in either direction.
fn same_chain(comparison: &mut Comparison, gold: &Expression, answer: &Expression) -> Answer {
    if let (Expression::Relation(own, relations), Expression::Relation(other, others)) =
        (gold, answer)
        && relations.len() == others.len()
    {
        if relations == others
            && let Some(same) = comparison.same_in_order(own, other)?
        {
            return Ok(Some(same));
        }
        let flipped: Vec<Relation> = others.iter().rev().map(|other| other.flipped()).collect();
        let reversed: Vec<Expression> = other.iter().rev().cloned().collect();
        if *relations == flipped
            && let Some(same) = comparison.same_in_order(own, &reversed)?
        {
            return Ok(Some(same));
        }
    }
    same_set(comparison, gold, answer)
}

fn same_set(comparison: &mut Comparison, gold: &Expression, answer: &Expression) -> Answer {
    match (comparison.is_lenient(), pieces(gold), pieces(answer)) {
        (true, Some(own), Some(other)) => comparison.same_pieces(own, other),
        _ => Ok(None),
    }
}

/// A relation of two, with the lesser side on the left.
struct Sides {
    left: Expression,
    right: Expression,
    relation: Relation,
}

impl Sides {
    /// The first and last member of a chain of equations, or both members.
    fn of(expression: &Expression) -> Option<Self> {
        let Expression::Relation(members, relations) = expression else {
            return None;
        };
        if let Some(Value {
            name: Some(name),
            value,
        }) = value_of(expression)
        {
            return Some(Self {
                left: name,
                right: value,
                relation: Relation::Equal,
            });
        }
        let ([left, right], [relation]) = (&members[..], &relations[..]) else {
            return None;
        };
        let (left, right) = (left.clone(), right.clone());
        Some(match relation {
            Relation::Greater | Relation::GreaterOrEqual => Self {
                left: right,
                right: left,
                relation: relation.flipped(),
            },
            &relation => Self {
                left,
                right,
                relation,
            },
        })
    }

    /// Whether the differences of the sides are multiples of each other, for
    /// inequalities positive ones.
    fn is_multiple(&self, other: &Self, comparison: &mut Comparison) -> Answer {
        let own = self.left.clone().minus(self.right.clone());
        let others = other.left.clone().minus(other.right.clone());
        let positive = self.relation.is_inequality();
        let budget = &mut *comparison.budget;
        let mut atoms = Atoms::default();
        let forms = normal_form(&own, &mut atoms, budget)
            .and_then(|own| Ok((own, normal_form(&others, &mut atoms, budget)?)));
        let factor = forms.and_then(|(own, others)| {
            if own.is_zero() || others.is_zero() {
                return Ok(None);
            }
            own.factor_of(&others, &atoms, budget)
        });
        match factor {
            Err(NoForm::Spent) => return Err(Spent),
            Ok(Some(factor)) if !(factor.is_zero() || positive && factor.is_negative()) => {
                return Ok(Some(Same::Exactly));
            }
            Ok(Some(_)) => return Ok(None),
            Ok(None) if !atoms.bound => return Ok(None),
            Ok(None) | Err(NoForm::Unfit) => {}
        }
        let kind = As::Multiples { positive };
        numeric::compare(&own, &others, kind, false, budget)
    }
}
