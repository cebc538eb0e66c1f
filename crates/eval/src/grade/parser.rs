//! Reads tokens as an answer.
//!
//! From loosest to tightest: lists, relations, unions, ratios, sums, products
//! (also by juxtaposition), powers. What is read is bounded in length by the
//! answer's and in depth by [`DEEPEST`].

mod operand;
mod units;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Zero;

pub(super) use self::units::in_radians;
use self::units::{primed, unit_of, with_unit};
use super::expression::{Expression, Number, Relation};
use super::lexer::{Token, TokenKind, Way, tokens};

/// Most brackets, fractions and other groups within each other.
const DEEPEST: usize = 40;

/// Largest power of ten of a literal.
const LARGEST_EXPONENT: i32 = 400;

/// The text is no formula that is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable;

type Read = Result<Expression, Unreadable>;

/// Reads an answer.
pub(super) fn parse(text: &str, way: Way) -> Read {
    let mut parser = Parser {
        tokens: tokens(text, way),
        at: 0,
        depth: 0,
        bars: 0,
    };
    parser.skip_trailing_marks();
    let read = parser.list()?;
    match parser.peek() {
        None => Ok(read),
        Some(_) => Err(Unreadable),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    /// Absolute values that are open.
    bars: usize,
}

impl Parser {
    fn peek(&self) -> Option<&TokenKind> {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> Option<&TokenKind> {
        self.tokens.get(self.at + ahead).map(|token| &token.kind)
    }

    fn spaced(&self) -> bool {
        self.tokens.get(self.at).is_some_and(|token| token.spaced)
    }

    fn take(&mut self, kind: &TokenKind) -> bool {
        let found = self.peek() == Some(kind);
        self.at += usize::from(found);
        found
    }

    fn take_mark(&mut self, mark: char) -> bool {
        self.take(&TokenKind::Mark(mark))
    }

    fn take_command(&mut self, names: &[&str]) -> bool {
        let found =
            matches!(self.peek(), Some(TokenKind::Command(name)) if names.contains(&name.as_str()));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, mark: char) -> Result<(), Unreadable> {
        self.take_mark(mark).then_some(()).ok_or(Unreadable)
    }

    fn skip_trailing_marks(&mut self) {
        while let Some(Token {
            kind: TokenKind::Mark('.' | ',' | ';' | ':' | '"' | '*' | '`'),
            ..
        }) = self.tokens.last()
        {
            self.tokens.pop();
        }
        while matches!(
            self.peek(),
            Some(TokenKind::Mark('"' | '*' | '`' | ':' | '^'))
        ) {
            self.at += 1;
        }
    }

    /// Goes one level down for `read`.
    fn within(&mut self, read: impl FnOnce(&mut Self) -> Read) -> Read {
        if self.depth == DEEPEST {
            return Err(Unreadable);
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Within brackets, where bars of an absolute value outside do not close.
    fn bracketed(&mut self, read: impl FnOnce(&mut Self) -> Read) -> Read {
        let bars = std::mem::take(&mut self.bars);
        let result = self.within(read);
        self.bars = bars;
        result
    }

    /// Relations, separated by commas, semicolons or conjunctions.
    fn list(&mut self) -> Read {
        let mut items = vec![self.relation()?];
        // Where semicolons or conjunctions part lists of commas, each is a group.
        let mut groups: Vec<Vec<Expression>> = Vec::new();
        loop {
            let comma = self.take_mark(',');
            let semicolon = !comma && self.take_mark(';');
            let mut conjunction = false;
            while self.take(&TokenKind::Conjunction) {
                conjunction = true;
                self.take_mark(',');
            }
            if !(comma || semicolon || conjunction) {
                break;
            }
            if matches!(self.peek(), None | Some(TokenKind::Mark(')' | ']' | '}'))) {
                break; // a comma at the end
            }
            if semicolon || conjunction && !comma {
                groups.push(std::mem::take(&mut items));
            }
            items.push(self.relation()?);
        }
        groups.push(items);
        Ok(joined(groups))
    }

    fn relation(&mut self) -> Read {
        let mut members = vec![self.stacked()?];
        let mut relations = Vec::new();
        while let Some(&TokenKind::Relation(relation)) = self.peek() {
            self.at += 1;
            relations.push(relation);
            members.push(self.stacked()?);
        }
        Ok(match relations.is_empty() {
            true => members.remove(0),
            false => Expression::Relation(members, relations),
        })
    }

    /// `n \choose k`, `a \over b`: all before over all behind.
    fn stacked(&mut self) -> Read {
        let above = self.union()?;
        if self.take_command(&["choose"]) {
            let below = self.union()?;
            return Ok(Expression::function("binomial", vec![above, below]));
        }
        if self.take_command(&["over"]) {
            return Ok(above.quotient(self.union()?));
        }
        Ok(above)
    }

    fn union(&mut self) -> Read {
        let mut read = self.ratio()?;
        loop {
            if self.take_command(&["cup", "bigcup"]) {
                let right = self.ratio()?;
                read = match read {
                    Expression::Union(mut sets) => {
                        sets.push(right);
                        Expression::Union(sets)
                    }
                    left => Expression::Union(vec![left, right]),
                };
            } else if self.take_command(&["cap", "bigcap"]) {
                let right = self.ratio()?;
                read = match read {
                    Expression::Intersection(mut sets) => {
                        sets.push(right);
                        Expression::Intersection(sets)
                    }
                    left => Expression::Intersection(vec![left, right]),
                };
            } else if self.take_command(&["setminus", "backslash"]) {
                if matches!(read, Expression::Without(..)) {
                    return Err(Unreadable);
                }
                let right = self.ratio()?;
                read = Expression::Without(Box::new(read), Box::new(right));
            } else {
                return Ok(read);
            }
        }
    }

    fn ratio(&mut self) -> Read {
        let mut members = vec![self.sum()?];
        while self.take_mark(':') || self.take_command(&["colon"]) {
            members.push(self.sum()?);
        }
        Ok(match members.len() {
            1 => members.remove(0),
            _ => Expression::Ratio(members),
        })
    }

    fn sum(&mut self) -> Read {
        let mut terms = Vec::new();
        while let Some(sign) = self.sign(terms.is_empty()) {
            let term = self.product()?;
            terms.push(match sign {
                Sign::Plus => term,
                Sign::Minus => term.negative(),
                Sign::Both => Expression::PlusMinus(Box::new(term)),
            });
        }
        Ok(match terms.len() {
            1 => terms.remove(0),
            _ => Expression::Sum(terms),
        })
    }

    /// The sign of the next term; `None` where there is none.
    fn sign(&mut self, first: bool) -> Option<Sign> {
        let mut sign = first.then_some(Sign::Plus);
        loop {
            let both = self.take_command(&["pm", "mp"]);
            let minus = !both && self.take_mark('-');
            if !both && !minus && !self.take_mark('+') {
                return sign;
            }
            sign = Some(match (sign, both, minus) {
                (_, true, _) | (Some(Sign::Both), ..) => Sign::Both,
                (Some(Sign::Minus), _, true) => Sign::Plus,
                (Some(Sign::Minus), ..) | (_, _, true) => Sign::Minus,
                _ => Sign::Plus,
            });
        }
    }

    fn product(&mut self) -> Read {
        let mut factors = vec![self.mixed_number()?];
        loop {
            if self.take_mark('*')
                || self.take_command(&["cdot", "times", "ast", "cdotp", "bullet"])
            {
                let sign = self.sign(true);
                let factor = self.power()?;
                factors.push(match sign {
                    Some(Sign::Minus) => factor.negative(),
                    _ => factor,
                });
            } else if self.take_mark('/') || self.take_command(&["div"]) {
                let sign = self.sign(true);
                let divisor = self.power()?;
                let divisor = match sign {
                    Some(Sign::Minus) => divisor.negative(),
                    _ => divisor,
                };
                factors.push(divisor.inverse());
            } else if let Some(unit) = self.unit() {
                let value = one_product(std::mem::take(&mut factors));
                factors.push(with_unit(value, &unit));
            } else if self.begins_operand() {
                let number = matches!(self.peek(), Some(TokenKind::Number(_)));
                if number && let Some(Expression::Quantity(..)) = factors.last() {
                    // `2 hours 30 minutes`
                    let first = one_product(factors);
                    let rest = self.within(Self::product)?;
                    return match rest {
                        Expression::Quantity(..) | Expression::Sum(_) => {
                            Ok(Expression::Sum(vec![first, rest]))
                        }
                        _ => Err(Unreadable),
                    };
                }
                // A number is no factor behind another one: `2 3`.
                if number && factors.last().is_some_and(|last| last.number().is_some()) {
                    return Err(Unreadable);
                }
                let factor = self.power()?;
                match unit_of(&factor) {
                    Some(unit) => {
                        let value = one_product(std::mem::take(&mut factors));
                        factors.push(with_unit(value, &unit));
                    }
                    None => factors.push(factor),
                }
            } else {
                return Ok(one_product(factors));
            }
        }
    }

    /// A whole number with a fraction behind it, or the first factor.
    fn mixed_number(&mut self) -> Read {
        if let Some(TokenKind::Number(whole)) = self.peek()
            && whole.bytes().all(|byte| byte.is_ascii_digit())
        {
            let whole = whole.clone();
            let start = self.at;
            self.at += 1;
            let plain = self.spaced()
                && matches!(self.peek(), Some(TokenKind::Number(_)))
                && self.peek_at(1) == Some(&TokenKind::Mark('/'))
                && matches!(self.peek_at(2), Some(TokenKind::Number(_)));
            let fraction = if plain {
                let over = self.power()?;
                self.at += 1;
                Some(over.quotient(self.power()?))
            } else if matches!(self.peek(), Some(TokenKind::Command(name)) if is_fraction(name)) {
                Some(self.power()?)
            } else {
                None
            };
            if let Some(Expression::Product(parts)) = &fraction
                && let [over, Expression::Power(under, _)] = &parts[..]
                && let (Some(over), Some(under)) = (over.as_integer(), under.as_integer())
                && !under.is_zero()
            {
                let whole = literal(&whole).ok_or(Unreadable)?;
                let part = BigRational::new(over.clone(), under.clone());
                return Ok(Expression::rational(whole.value + part));
            }
            self.at = start;
        }
        self.power()
    }

    /// Whether a factor begins here without any operator.
    fn begins_operand(&self) -> bool {
        match self.peek() {
            Some(TokenKind::Number(_) | TokenKind::Name(_) | TokenKind::Begin(_)) => true,
            Some(TokenKind::OpenSet) => true,
            Some(TokenKind::Mark(mark)) => {
                matches!(mark, '(' | '[' | '{') || *mark == '|' && self.bars == 0
            }
            Some(TokenKind::Command(name)) => {
                !OPERATORS.contains(&name.as_str()) && !CLOSING.contains(&name.as_str())
            }
            _ => false,
        }
    }

    /// An operand with what stands behind it: exponents, factorials, percent.
    fn power(&mut self) -> Read {
        let mut read = self.operand()?;
        for _ in 0..DEEPEST {
            if self.take_empty_group() {
                continue;
            } else if self.take_mark('^') {
                read = self.exponent(read)?;
            } else if self.take_mark('!') {
                let name = match self.take_mark('!') {
                    true => "double factorial",
                    false => "factorial",
                };
                read = Expression::function(name, vec![read]);
            } else if self.take(&TokenKind::Percent) {
                read = match read {
                    Expression::Percent(inner) => Expression::Percent(inner),
                    other => Expression::Percent(Box::new(other)),
                };
            } else if self.take_command(&["circ", "degree"])
                || read.number().is_some() && self.take_command(&["deg"])
            {
                read = self.degrees(read);
            } else if read.number().is_some()
                && let Some(unit) = self.minutes()
            {
                read = with_unit(read, unit);
            } else if self.take_command(&["prime"]) {
                read = primed(read);
            } else {
                return Ok(read);
            }
        }
        Err(Unreadable)
    }

    /// What stands behind `^`.
    fn exponent(&mut self, base: Expression) -> Read {
        let braced = self.peek() == Some(&TokenKind::Mark('{'));
        let inside = usize::from(braced);
        let sign = match self.peek_at(inside) {
            Some(TokenKind::Command(name)) => Some(name.as_str()),
            Some(TokenKind::Name(name)) if name == "o" && base.number().is_some() => Some("circ"),
            _ => None,
        };
        if let Some(sign @ ("circ" | "degree" | "prime")) = sign {
            let is_prime = sign == "prime";
            self.at += 1 + inside;
            if braced {
                self.expect('}')?;
            }
            return Ok(match is_prime {
                true => primed(base),
                false => self.degrees(base),
            });
        }
        if let Some(TokenKind::Text(unit)) = self.peek_at(inside) {
            let unit = unit.clone(); // `5^{th}`
            self.at += 1 + inside;
            if braced {
                self.expect('}')?;
            }
            return Ok(with_unit(base, &unit));
        }
        let exponent = if braced {
            self.group()?
        } else {
            let sign = self.sign(true);
            let exponent = self.within(Self::power)?;
            match sign {
                Some(Sign::Minus) => exponent.negative(),
                _ => exponent,
            }
        };
        Ok(base.power(exponent))
    }

    /// `{}`, which says nothing.
    fn take_empty_group(&mut self) -> bool {
        let found = self.peek() == Some(&TokenKind::Mark('{'))
            && self.peek_at(1) == Some(&TokenKind::Mark('}'));
        self.at += if found { 2 } else { 0 };
        found
    }

    /// A group in braces.
    fn group(&mut self) -> Read {
        self.expect('{')?;
        let read = self.bracketed(Self::list)?;
        self.expect('}')?;
        Ok(read)
    }

    /// The argument of a command: a group or one token. Of digits, the first one
    /// alone (`\frac12`), unless `whole`.
    fn argument(&mut self, whole: bool) -> Read {
        match self.peek() {
            Some(TokenKind::Mark('{')) => self.group(),
            Some(TokenKind::Number(digits)) if !whole && digits.len() > 1 => {
                let rest = digits.chars().skip(1).collect();
                let first: String = digits.chars().take(1).collect();
                self.tokens[self.at] = Token {
                    kind: TokenKind::Number(rest),
                    spaced: false,
                };
                number(&first)
            }
            _ => self.within(Self::operand),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Plus,
    Minus,
    Both,
}

/// Commands between operands.
const OPERATORS: [&str; 22] = [
    "choose",
    "over",
    "cdot",
    "times",
    "div",
    "pm",
    "mp",
    "cup",
    "cap",
    "setminus",
    "backslash",
    "colon",
    "mid",
    "to",
    "ast",
    "cdotp",
    "bullet",
    "bigcup",
    "bigcap",
    "circ",
    "degree",
    "prime",
];

/// Commands that close what others open.
const CLOSING: [&str; 5] = ["rfloor", "rceil", "rvert", "rVert", "rangle"];

fn is_fraction(name: &str) -> bool {
    matches!(name, "frac" | "dfrac" | "tfrac" | "cfrac")
}

/// Groups as one list; lists of equations of the same names stay apart, as
/// tuples: `p=5, q=2; p=7, q=2`.
fn joined(mut groups: Vec<Vec<Expression>>) -> Expression {
    let equation = |item: &Expression| match item {
        Expression::Relation(members, relations) if relations[..] == [Relation::Equal] => {
            members.first().cloned()
        }
        _ => None,
    };
    let names = |group: &Vec<Expression>| -> Option<Vec<Expression>> {
        group.iter().map(equation).collect()
    };
    let first = groups.first().and_then(names);
    let alike = groups.len() > 1
        && groups[0].len() > 1
        && first.is_some()
        && groups.iter().all(|group| names(group) == first);
    if alike {
        let tuple = |group: Vec<Expression>| {
            let values = group.into_iter().filter_map(|item| match item {
                Expression::Relation(mut members, _) => members.pop(),
                _ => None,
            });
            Expression::Tuple(values.collect())
        };
        return Expression::List(groups.into_iter().map(tuple).collect());
    }
    if groups.len() == 1 && groups[0].len() == 1 {
        return groups.remove(0).remove(0);
    }
    Expression::List(groups.into_iter().flatten().collect())
}

fn one_product(mut factors: Vec<Expression>) -> Expression {
    match factors.len() {
        1 => factors.remove(0),
        _ => Expression::Product(factors),
    }
}

fn number(digits: &str) -> Read {
    literal(digits).map(Expression::Number).ok_or(Unreadable)
}

/// The value of digits with at most one point and perhaps an exponent.
fn literal(text: &str) -> Option<Number> {
    let (mantissa, exponent) = match text.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: BigInt = format!("{whole}{decimals}").parse().ok()?;
    let shift = exponent.checked_sub(i32::try_from(decimals.len()).ok()?)?;
    if shift.abs() > LARGEST_EXPONENT + i32::try_from(text.len()).ok()? {
        return None;
    }
    let power = BigInt::from(10).pow(shift.unsigned_abs());
    let value = match shift >= 0 {
        true => BigRational::from_integer(digits * power),
        false => BigRational::new(digits, power),
    };
    let places = mantissa
        .contains('.')
        .then(|| (-shift).max(0).unsigned_abs());
    Some(Number { value, places })
}
