//! Operands: literals, names, functions, commands, brackets, matrices.

use num_bigint::BigInt;
use num_traits::One;

use super::units::{in_radians, with_unit};
use super::{
    CLOSING, OPERATORS, Parser, Read, Unreadable, is_fraction, literal, number, one_product,
};
use crate::grade::expression::{Expression, Interval, Number};
use crate::grade::lexer::{NAMES, TokenKind};
use crate::grade::units;

/// Largest power of ten in the period of a decimal.
const LONGEST_PERIOD: usize = 400;

impl Parser {
    pub(super) fn operand(&mut self) -> Read {
        let Some(kind) = self.peek().cloned() else {
            return Err(Unreadable);
        };
        self.at += 1;
        match kind {
            TokenKind::Number(digits) => self.number(&digits),
            TokenKind::Name(name) => self.name(name),
            TokenKind::Command(name) => self.command(&name),
            TokenKind::Text(text) => Ok(self.text(text)),
            TokenKind::Currency(sign) => {
                let minus = self.take_mark('-');
                let value = self.within(Self::power)?;
                let value = if minus { value.negative() } else { value };
                Ok(with_unit(value, &sign.to_string()))
            }
            TokenKind::Begin(environment) => self.environment(&environment),
            TokenKind::OpenSet => self.bracketed(Self::set),
            TokenKind::Mark('(' | '[') => {
                let square = kind == TokenKind::Mark('[');
                self.bracketed(|parser| parser.brackets(square))
            }
            TokenKind::Mark('{') => {
                self.at -= 1;
                self.group()
            }
            TokenKind::Mark('|') => {
                self.bars += 1;
                let read = self.within(Self::sum);
                self.bars -= 1;
                let read = read?;
                self.expect('|')?;
                Ok(Expression::function("abs", vec![read]))
            }
            _ => Err(Unreadable),
        }
    }

    fn number(&mut self, digits: &str) -> Read {
        if self.peek() == Some(&TokenKind::Mark('_')) {
            self.at += 1;
            let base = match self.argument(true)? {
                Expression::Text(base) if base == "ten" => BigInt::from(10),
                base => base.as_integer().cloned().ok_or(Unreadable)?,
            };
            let base = u32::try_from(base).map_err(|_| Unreadable)?;
            let digits = digits.to_owned();
            return Ok(Expression::Based { digits, base });
        }
        // 0.1\overline{6}
        if digits.contains('.') && self.take_command(&["overline", "bar", "dot"]) {
            let repeated = match self.argument(true)? {
                Expression::Number(Number { value, .. }) if value.is_integer() => value,
                _ => return Err(Unreadable),
            };
            let period = match self.tokens.get(self.at - 2).map(|token| &token.kind) {
                Some(TokenKind::Number(digits)) => digits.len(),
                _ => return Err(Unreadable),
            };
            let start = literal(digits).ok_or(Unreadable)?;
            let places = start.places.unwrap_or(0) as usize;
            let ten = |power: usize| BigInt::from(10).pow(power.min(LONGEST_PERIOD) as u32);
            let tail = repeated / ((ten(period) - BigInt::one()) * ten(places));
            return Ok(Expression::rational(start.value + tail));
        }
        number(digits)
    }

    fn text(&mut self, mut text: String) -> Expression {
        while let Some(TokenKind::Text(more)) = self.peek() {
            text = format!("{text} {more}");
            self.at += 1;
        }
        Expression::Text(text)
    }

    /// A variable, constant or function.
    fn name(&mut self, name: String) -> Read {
        if NAMES.contains(&name.as_str()) && name != "pi" && name != "infinity" {
            return self.function(name);
        }
        self.symbol(name)
    }

    /// A symbol with index and primes, and its argument where it is a function.
    fn symbol(&mut self, mut name: String) -> Read {
        loop {
            if self.take_mark('\'') || self.take_mark('’') {
                name.push('\'');
            } else if self.take_mark('_') {
                name.push('_');
                name += &self.script();
            } else {
                break;
            }
        }
        let single = matches!(
            (self.peek(), self.peek_at(1), self.peek_at(2)),
            (
                Some(TokenKind::Mark('(')),
                Some(TokenKind::Name(inner)),
                Some(TokenKind::Mark(')'))
            ) if inner.chars().count() == 1
        );
        let opens = self.peek() == Some(&TokenKind::Mark('('));
        let is_function = opens && (single || ["f", "g", "h"].iter().any(|f| name.starts_with(f)));
        if is_function && name.chars().next().is_some_and(char::is_alphabetic) {
            self.at += 1;
            let arguments = self.bracketed(Self::list)?;
            self.expect(')')?;
            return Ok(Expression::Function(name, vec![arguments]));
        }
        Ok(Expression::Symbol(name))
    }

    /// What an index or a bound says, letter by letter.
    fn script(&mut self) -> String {
        let mut script = String::new();
        let mut depth = 0;
        while let Some(token) = self.tokens.get(self.at) {
            self.at += 1;
            match &token.kind {
                TokenKind::Mark('{') => depth += 1,
                TokenKind::Mark('}') => depth -= 1,
                TokenKind::Number(text)
                | TokenKind::Name(text)
                | TokenKind::Command(text)
                | TokenKind::Text(text) => script += text,
                TokenKind::Mark(mark) => script.push(*mark),
                other => script += &format!("{other:?}"),
            }
            if depth <= 0 {
                break;
            }
        }
        script
    }

    /// A known function, whose argument may stand in brackets or not.
    fn function(&mut self, name: String) -> Read {
        let mut degree = None;
        if name == "sqrt" && self.take_mark('[') {
            degree = Some(self.bracketed(Self::sum)?);
            self.expect(']')?;
        }
        let base = match self.take_mark('_') {
            true => Some(self.argument(true)?),
            false => None,
        };
        let exponent = match self.take_mark('^') {
            true => Some(self.argument(true)?),
            false => None,
        };
        let mut argument = if name == "sqrt" || name == "cbrt" {
            self.argument(true)?
        } else if self.peek() == Some(&TokenKind::Mark('(')) {
            self.within(Self::operand)?
        } else {
            self.within(Self::bare_argument)?
        };
        let takes_angle = ["sin", "cos", "tan", "cot", "sec", "csc", "cis"].contains(&&*name);
        if takes_angle {
            argument = in_radians(&self.degrees_behind(argument));
        }
        let (name, exponent) = match (exponent, name.as_str()) {
            (Some(minus_one), "sin" | "cos" | "tan" | "cot" | "sec" | "csc")
                if minus_one == Expression::integer(-1) =>
            {
                (format!("arc{name}"), None)
            }
            (exponent, _) => (name, exponent),
        };
        let read = match name.as_str() {
            "sqrt" => {
                let degree = degree.unwrap_or_else(|| Expression::integer(2));
                argument.power(degree.inverse())
            }
            "cbrt" => argument.power(Expression::integer(3).inverse()),
            "exp" => Expression::symbol("e").power(argument),
            "lg" => Expression::function("log", vec![argument, Expression::integer(10)]),
            "log" => {
                let mut arguments = vec![argument];
                arguments.extend(base);
                Expression::Function(name, arguments)
            }
            "max" | "min" | "gcd" | "lcm" => match argument {
                Expression::Tuple(of) | Expression::Set(of) | Expression::List(of) => {
                    Expression::Function(name, of)
                }
                of => Expression::Function(name, vec![of]),
            },
            _ => Expression::Function(name, vec![argument]),
        };
        Ok(match exponent {
            Some(exponent) => read.power(exponent),
            None => read,
        })
    }

    /// `\sin 2x`: factors up to the next function or operator.
    fn bare_argument(&mut self) -> Read {
        let mut factors = vec![self.power()?];
        while self.begins_operand() {
            let is_function = match self.peek() {
                Some(TokenKind::Name(name)) => {
                    NAMES.contains(&name.as_str()) && name != "pi" && name != "infinity"
                }
                Some(TokenKind::Command(name)) => NAMES.contains(&name.as_str()) && name != "pi",
                Some(TokenKind::Mark(_)) => true,
                _ => false,
            };
            if is_function {
                break;
            }
            factors.push(self.power()?);
        }
        let argument = one_product(factors);
        if let Some(TokenKind::Text(unit)) = self.peek()
            && units::part_of_pi(unit).is_some()
        {
            let unit = unit.clone();
            self.at += 1;
            return Ok(with_unit(argument, &unit));
        }
        Ok(argument)
    }

    fn command(&mut self, name: &str) -> Read {
        match name {
            name if is_fraction(name) => {
                let over = self.argument(false)?;
                Ok(over.quotient(self.argument(false)?))
            }
            "binom" | "dbinom" | "tbinom" => {
                let of = self.argument(false)?;
                let choose = self.argument(false)?;
                Ok(Expression::function("binomial", vec![of, choose]))
            }
            "infty" | "infin" => Ok(Expression::symbol("infinity")),
            "emptyset" | "varnothing" => Ok(Expression::Set(Vec::new())),
            "Gamma" if self.peek() == Some(&TokenKind::Mark('(')) => {
                let argument = self.within(Self::operand)?;
                let less = argument.minus(Expression::integer(1));
                Ok(Expression::function("factorial", vec![less]))
            }
            "lfloor" | "lceil" | "lvert" | "lVert" | "langle" => self.delimited(name),
            "overline" | "bar" | "hat" | "vec" | "widehat" | "overrightarrow" | "tilde" | "dot"
            | "mathbb" | "mathfrak" | "mathscr" | "underline" | "angle" | "triangle" => {
                let mut decorated = name.to_owned();
                decorated.push(' ');
                decorated += &self.script();
                self.symbol(decorated)
            }
            "sum" | "prod" | "int" | "lim" | "iint" | "oint" => self.big_operator(name),
            "bmod" | "mod" | "pmod" => Err(Unreadable),
            name if NAMES.contains(&name) => self.name(name.to_owned()),
            name if CLOSING.contains(&name) || OPERATORS.contains(&name) => Err(Unreadable),
            name => self.symbol(name.to_owned()),
        }
    }

    /// Floors, ceilings, absolute values and vectors.
    fn delimited(&mut self, open: &str) -> Read {
        let (close, name) = match open {
            "lfloor" => ("rfloor", "floor"),
            "lceil" => ("rceil", "ceil"),
            "lVert" => ("rVert", "abs"),
            "langle" => ("rangle", "tuple"),
            _ => ("rvert", "abs"),
        };
        let read = self.bracketed(Self::list)?;
        if !self.take_command(&[close]) {
            return Err(Unreadable);
        }
        Ok(match (name, read) {
            ("tuple", Expression::List(items)) => Expression::Tuple(items),
            ("tuple", other) => Expression::Tuple(vec![other]),
            (name, inner) => Expression::function(name, vec![inner]),
        })
    }

    /// A sum, product, integral or limit: its bounds letter by letter, and what
    /// stands behind it.
    fn big_operator(&mut self, name: &str) -> Read {
        let mut bounds = [String::new(), String::new()];
        for _ in 0..2 {
            if self.take_mark('_') {
                bounds[0] = self.script();
            } else if self.take_mark('^') {
                bounds[1] = self.script();
            }
        }
        let body = self.within(Self::product)?;
        let [from, to] = bounds.map(|bound| Expression::symbol(&format!("{name} {bound}")));
        Ok(Expression::function(name, vec![from, to, body]))
    }

    /// Behind `\{`.
    fn set(&mut self) -> Read {
        if self.take(&TokenKind::CloseSet) {
            return Ok(Expression::Set(Vec::new()));
        }
        // { x | x > 5 } says the same as x > 5.
        if matches!(self.peek(), Some(TokenKind::Name(_))) {
            let bar = matches!(self.peek_at(1), Some(TokenKind::Mark('|' | ':')))
                || matches!(self.peek_at(1), Some(TokenKind::Command(name)) if name == "mid");
            if bar {
                self.at += 2;
                let condition = self.list()?;
                return match self.take(&TokenKind::CloseSet) {
                    true => Ok(condition),
                    false => Err(Unreadable),
                };
            }
        }
        let read = self.list()?;
        if !self.take(&TokenKind::CloseSet) {
            return Err(Unreadable);
        }
        Ok(Expression::Set(match read {
            Expression::List(items) => items,
            other => vec![other],
        }))
    }

    /// Behind `(` or `[`.
    fn brackets(&mut self, low_closed: bool) -> Read {
        let read = self.list()?;
        let high_closed = match self.peek() {
            Some(TokenKind::Mark(')')) => false,
            Some(TokenKind::Mark(']')) => true,
            _ => return Err(Unreadable),
        };
        self.at += 1;
        match read {
            Expression::List(mut items) => {
                if !low_closed && !high_closed || low_closed && high_closed && items.len() != 2 {
                    return Ok(Expression::Tuple(items));
                }
                let (Some(high), Some(low), None) = (items.pop(), items.pop(), items.pop()) else {
                    return Err(Unreadable);
                };
                Ok(Expression::Interval(Box::new(Interval {
                    low,
                    high,
                    low_closed,
                    high_closed,
                })))
            }
            single if low_closed == high_closed => Ok(single),
            _ => Err(Unreadable),
        }
    }

    /// A matrix or vector.
    fn environment(&mut self, environment: &str) -> Read {
        let is_array = environment == "array";
        if !is_array && !environment.ends_with("matrix") {
            return Err(Unreadable);
        }
        if is_array && self.peek() == Some(&TokenKind::Mark('{')) {
            self.script();
        }
        let mut rows = vec![Vec::new()];
        let close = TokenKind::End(environment.to_owned());
        while !self.take(&close) {
            if self.take(&TokenKind::RowBreak) {
                rows.push(Vec::new());
                continue;
            }
            self.take_mark('&');
            let entry = self.bracketed(Self::sum)?;
            rows.last_mut().ok_or(Unreadable)?.push(entry);
            let next = self.peek();
            if next != Some(&TokenKind::Mark('&'))
                && next != Some(&TokenKind::RowBreak)
                && next != Some(&close)
            {
                return Err(Unreadable);
            }
        }
        rows.retain(|row| !row.is_empty());
        let width = rows.first().map(Vec::len).ok_or(Unreadable)?;
        if rows.iter().any(|row| row.len() != width) {
            return Err(Unreadable);
        }
        let matrix = Expression::Matrix(rows);
        Ok(match environment {
            "vmatrix" => Expression::function("determinant", vec![matrix]),
            _ => matrix,
        })
    }
}
