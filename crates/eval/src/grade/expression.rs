//! What an answer says, as a tree.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Signed;

/// A formula, a set, a relation, or some other kind of answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    /// A literal.
    Number(Number),
    /// A variable with its index or accent, or one of the constants `e`, `i`,
    /// `pi` and `infinity`.
    Symbol(String),
    /// Digits in a base: `204_5`.
    Based {
        digits: String,
        base: u32,
    },
    Sum(Vec<Expression>),
    /// Factors; a divisor is a power with exponent -1.
    Product(Vec<Expression>),
    Power(Box<Expression>, Box<Expression>),
    /// A known function (`sin`, `abs`, `factorial`, ...) or any other.
    Function(String, Vec<Expression>),
    /// Both signs of a term.
    PlusMinus(Box<Expression>),
    Percent(Box<Expression>),
    /// A value with its unit or some other words.
    Quantity(Box<Expression>, String),
    /// Words.
    Text(String),
    /// Several answers.
    List(Vec<Expression>),
    /// In round brackets (two: also an open interval), or in square ones.
    Tuple(Vec<Expression>),
    Set(Vec<Expression>),
    Interval(Box<Interval>),
    Union(Vec<Expression>),
    Intersection(Vec<Expression>),
    /// What is in the first and not in the second.
    Without(Box<Expression>, Box<Expression>),
    /// Rows of equal length.
    Matrix(Vec<Vec<Expression>>),
    /// Expressions with a relation between each and the next.
    Relation(Vec<Expression>, Vec<Relation>),
    Ratio(Vec<Expression>),
}

/// A literal number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) value: BigRational,
    /// Digits behind the point, where it has one.
    pub(super) places: Option<u32>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Interval {
    pub(super) low: Expression,
    pub(super) high: Expression,
    pub(super) low_closed: bool,
    pub(super) high_closed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Approximately,
    In,
}

impl Relation {
    /// The relation between the same two the other way round.
    pub(super) fn flipped(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            other => other,
        }
    }

    pub(super) fn is_inequality(self) -> bool {
        self != self.flipped()
    }
}

impl Expression {
    pub(super) fn integer(value: i64) -> Self {
        Self::rational(BigRational::from_integer(BigInt::from(value)))
    }

    pub(super) fn rational(value: BigRational) -> Self {
        Self::Number(Number {
            value,
            places: None,
        })
    }

    pub(super) fn symbol(name: &str) -> Self {
        Self::Symbol(name.to_owned())
    }

    pub(super) fn function(name: &str, arguments: Vec<Self>) -> Self {
        Self::Function(name.to_owned(), arguments)
    }

    pub(super) fn power(self, exponent: Self) -> Self {
        Self::Power(Box::new(self), Box::new(exponent))
    }

    /// One divided by this.
    pub(super) fn inverse(self) -> Self {
        self.power(Self::integer(-1))
    }

    pub(super) fn quotient(self, divisor: Self) -> Self {
        Self::Product(vec![self, divisor.inverse()])
    }

    /// The value with the other sign; a literal stays one.
    pub(super) fn negative(self) -> Self {
        match self {
            Self::Number(Number { value, places }) => Self::Number(Number {
                value: -value,
                places,
            }),
            Self::Percent(inner) => Self::Percent(Box::new(inner.negative())),
            Self::Quantity(inner, unit) => Self::Quantity(Box::new(inner.negative()), unit),
            other => Self::Product(vec![Self::integer(-1), other]),
        }
    }

    /// The expression with parts replaced, from the outside: `by` says what a
    /// part becomes; `None` keeps it and looks within.
    pub(super) fn replaced(&self, by: &impl Fn(&Self) -> Option<Self>) -> Self {
        if let Some(replacement) = by(self) {
            return replacement;
        }
        let all = |parts: &[Self]| parts.iter().map(|part| part.replaced(by)).collect();
        let one = |part: &Self| Box::new(part.replaced(by));
        match self {
            Self::Number(_) | Self::Symbol(_) | Self::Based { .. } | Self::Text(_) => self.clone(),
            Self::Sum(parts) => Self::Sum(all(parts)),
            Self::Product(parts) => Self::Product(all(parts)),
            Self::Power(base, exponent) => Self::Power(one(base), one(exponent)),
            Self::Function(name, parts) => Self::Function(name.clone(), all(parts)),
            Self::PlusMinus(inner) => Self::PlusMinus(one(inner)),
            Self::Percent(inner) => Self::Percent(one(inner)),
            Self::Quantity(inner, unit) => Self::Quantity(one(inner), unit.clone()),
            Self::List(parts) => Self::List(all(parts)),
            Self::Tuple(parts) => Self::Tuple(all(parts)),
            Self::Set(parts) => Self::Set(all(parts)),
            Self::Interval(interval) => Self::Interval(Box::new(Interval {
                low: interval.low.replaced(by),
                high: interval.high.replaced(by),
                ..**interval
            })),
            Self::Union(parts) => Self::Union(all(parts)),
            Self::Intersection(parts) => Self::Intersection(all(parts)),
            Self::Without(from, points) => Self::Without(one(from), one(points)),
            Self::Matrix(rows) => Self::Matrix(rows.iter().map(|row| all(row)).collect()),
            Self::Relation(parts, relations) => Self::Relation(all(parts), relations.clone()),
            Self::Ratio(parts) => Self::Ratio(all(parts)),
        }
    }

    /// Whether this or a part of it passes.
    pub(super) fn any(&self, passes: &mut impl FnMut(&Self) -> bool) -> bool {
        if passes(self) {
            return true;
        }
        let mut any = |parts: &[Self]| parts.iter().any(|part| part.any(passes));
        match self {
            Self::Number(_) | Self::Symbol(_) | Self::Based { .. } | Self::Text(_) => false,
            Self::Sum(parts)
            | Self::Product(parts)
            | Self::Function(_, parts)
            | Self::List(parts)
            | Self::Tuple(parts)
            | Self::Set(parts)
            | Self::Union(parts)
            | Self::Intersection(parts)
            | Self::Relation(parts, _)
            | Self::Ratio(parts) => any(parts),
            Self::Power(a, b) | Self::Without(a, b) => a.any(passes) || b.any(passes),
            Self::PlusMinus(inner) | Self::Percent(inner) | Self::Quantity(inner, _) => {
                inner.any(passes)
            }
            Self::Interval(interval) => interval.low.any(passes) || interval.high.any(passes),
            Self::Matrix(rows) => rows.iter().any(|row| any(row)),
        }
    }

    /// Whether this is a variable: neither a constant nor composed.
    pub(super) fn is_variable(&self) -> bool {
        match self {
            Self::Symbol(name) => !["e", "i", "pi", "infinity"].contains(&name.as_str()),
            _ => false,
        }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self::Sum(vec![self, other.negative()])
    }

    pub(super) fn number(&self) -> Option<&Number> {
        match self {
            Self::Number(number) => Some(number),
            _ => None,
        }
    }

    /// A whole number that is written as one.
    pub(super) fn as_integer(&self) -> Option<&BigInt> {
        let number = self.number().filter(|number| number.places.is_none())?;
        number.value.is_integer().then(|| number.value.numer())
    }

    /// -1 or +1 where this is an infinity.
    pub(super) fn infinite(&self) -> Option<i8> {
        match self {
            Self::Symbol(name) if name == "infinity" => Some(1),
            Self::Product(factors) => match &factors[..] {
                [factor, infinity] => {
                    let sign = if factor.number()?.value.is_negative() {
                        -1
                    } else {
                        1
                    };
                    Some(sign * infinity.infinite()?)
                }
                _ => None,
            },
            _ => None,
        }
    }
}
