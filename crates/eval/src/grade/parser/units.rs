//! Units behind values, degrees among them.

use num_bigint::BigInt;
use num_rational::BigRational;

use super::{Parser, one_product};
use crate::grade::expression::{Expression, Number};
use crate::grade::lexer::TokenKind;
use crate::grade::units;

impl Parser {
    /// The unit that stands here, with its exponents and what it is divided by.
    pub(super) fn unit(&mut self) -> Option<String> {
        let mut unit = match self.peek()? {
            TokenKind::Text(unit) => unit.clone(),
            TokenKind::Currency(sign) if !matches!(self.peek_at(1), Some(TokenKind::Number(_))) => {
                sign.to_string()
            }
            _ => return None,
        };
        self.at += 1;
        loop {
            let spaced = self.spaced();
            match self.peek() {
                Some(TokenKind::Mark('^')) => {
                    self.at += 1;
                    unit += &self.exponent_of_unit();
                }
                Some(TokenKind::Number(digits)) if !spaced && ["2", "3"].contains(&&**digits) => {
                    unit += &format!(" ^{digits}");
                    self.at += 1;
                }
                Some(TokenKind::Mark('/')) => match self.peek_at(1) {
                    Some(TokenKind::Text(name) | TokenKind::Name(name)) => {
                        unit += &format!(" / {name}");
                        self.at += 2;
                    }
                    _ => return Some(unit),
                },
                Some(TokenKind::Command(name)) if name == "cdot" => match self.peek_at(1) {
                    Some(TokenKind::Text(name) | TokenKind::Name(name))
                        if units::is_known(name) =>
                    {
                        unit += &format!(" {name}");
                        self.at += 2;
                    }
                    _ => return Some(unit),
                },
                Some(TokenKind::Name(name)) if spaced && units::is_short(name) => {
                    unit += &format!(" {name}");
                    self.at += 1;
                }
                _ => return Some(unit),
            }
        }
    }

    /// Behind `^` of a unit.
    fn exponent_of_unit(&mut self) -> String {
        let open = self.take_mark('{');
        let minus = if self.take_mark('-') { "-" } else { "" };
        let mut exponent = String::new();
        if let Some(TokenKind::Number(digits)) = self.peek() {
            exponent = format!(" ^{minus}{digits}");
            self.at += 1;
        }
        if open {
            self.take_mark('}');
        }
        exponent
    }

    /// A value in degrees: of an angle, or Celsius and Fahrenheit where a C or F
    /// stands alone behind it.
    pub(super) fn degrees(&mut self, value: Expression) -> Expression {
        let scale = match self.peek() {
            Some(TokenKind::Name(name)) if ["C", "F"].contains(&&**name) => name.clone(),
            _ => return with_unit(value, "degrees"),
        };
        if let Some(TokenKind::Mark('(' | '^' | '_' | '\'')) = self.peek_at(1) {
            return with_unit(value, "degrees");
        }
        self.at += 1;
        with_unit(value, &format!("degrees {scale}"))
    }

    /// `'` and `''` behind a number of minutes or seconds of an angle.
    pub(super) fn minutes(&mut self) -> Option<&'static str> {
        if !(self.take_mark('\'') || self.take_mark('’')) {
            return None;
        }
        Some(match self.take_mark('\'') || self.take_mark('’') {
            true => "arcsecond",
            false => "arcminute",
        })
    }

    /// The argument of a function, in degrees where their sign stands behind its
    /// brackets: `\sin(30)^\circ`.
    pub(super) fn degrees_behind(&mut self, argument: Expression) -> Expression {
        let is_degree = |token: Option<&TokenKind>| matches!(token, Some(TokenKind::Command(name)) if name == "circ" || name == "degree");
        let raised = usize::from(self.peek() == Some(&TokenKind::Mark('^')));
        let braced = usize::from(raised == 1 && self.peek_at(1) == Some(&TokenKind::Mark('{')));
        if !is_degree(self.peek_at(raised + braced)) {
            return argument;
        }
        self.at += raised + 2 * braced + 1;
        with_unit(argument, "degrees")
    }
}

/// The unit that an expression is: `\frac{\text{km}}{\text{h}}`.
pub(super) fn unit_of(expression: &Expression) -> Option<String> {
    match expression {
        Expression::Text(unit) => Some(unit.clone()),
        Expression::Power(base, exponent) => {
            let (base, exponent) = (unit_of(base)?, exponent.as_integer()?);
            Some(match base.rsplit_once(" ^") {
                Some((base, before)) => {
                    format!("{base} ^{}", exponent * before.parse::<i32>().ok()?)
                }
                None => format!("{base} ^{exponent}"),
            })
        }
        Expression::Product(factors) => {
            let units: Option<Vec<String>> = factors.iter().map(unit_of).collect();
            Some(units?.join(" "))
        }
        _ => None,
    }
}

/// A name with a prime, or an angle's minutes.
pub(super) fn primed(value: Expression) -> Expression {
    match value {
        Expression::Symbol(name) => Expression::Symbol(name + "'"),
        value => with_unit(value, "arcminute"),
    }
}

/// A value with its unit. Words like "million" are a factor.
pub(super) fn with_unit(mut value: Expression, unit: &str) -> Expression {
    let mut unit = unit.trim();
    while !matches!(value, Expression::Text(_))
        && let Some((factor, rest)) = units::multiplier(unit)
    {
        let factor = BigRational::from_integer(BigInt::from(factor));
        value = match value {
            Expression::Number(Number { value, .. }) => Expression::rational(value * factor),
            Expression::Quantity(value, before) => {
                let value = one_product(vec![*value, Expression::rational(factor)]);
                Expression::Quantity(Box::new(value), before)
            }
            value => one_product(vec![value, Expression::rational(factor)]),
        };
        unit = rest;
    }
    match value {
        value if unit.is_empty() => value,
        Expression::Quantity(value, before) => {
            Expression::Quantity(value, format!("{before} {unit}"))
        }
        Expression::Text(text) => Expression::Text(format!("{text} {unit}")),
        value => Expression::Quantity(Box::new(value), unit.to_owned()),
    }
}

/// An expression with its degrees as parts of pi.
pub(in crate::grade) fn in_radians(expression: &Expression) -> Expression {
    expression.replaced(&|part| match part {
        Expression::Quantity(value, unit) => {
            let part_of_pi = units::part_of_pi(unit)?;
            Some(Expression::Product(vec![
                (**value).clone(),
                Expression::rational(part_of_pi),
                Expression::symbol("pi"),
            ]))
        }
        _ => None,
    })
}
