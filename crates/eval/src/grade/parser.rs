//! Reads tokens as an answer.
//!
//! From loosest to tightest: lists, relations, unions, ratios, sums, products
//! (also by juxtaposition), powers. What is read is bounded in length by the
//! answer's and in depth by [`DEEPEST`].

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Zero};

use super::expression::{Expression, Interval, Number, Relation};
use super::lexer::{Commas, NAMES, Token, TokenKind, tokens};

/// Most brackets, fractions and other groups within each other.
const DEEPEST: usize = 40;

/// Largest power of ten of a literal.
const LARGEST_EXPONENT: i32 = 400;

/// The text is no formula that is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable;

type Read = Result<Expression, Unreadable>;

/// Reads an answer.
pub(super) fn parse(text: &str, commas: Commas) -> Read {
    let mut parser = Parser {
        tokens: tokens(text, commas),
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
        let mut members = vec![self.union()?];
        let mut relations = Vec::new();
        while let Some(&TokenKind::Relation(relation)) = self.peek() {
            self.at += 1;
            relations.push(relation);
            members.push(self.union()?);
        }
        Ok(match relations.is_empty() {
            true => members.remove(0),
            false => Expression::Relation(members, relations),
        })
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
            } else if let Some(TokenKind::Text(unit)) = self.peek() {
                let unit = unit.clone();
                self.at += 1;
                let value = one_product(std::mem::take(&mut factors));
                factors.push(with_unit(value, unit));
                self.skip_rest_of_unit();
            } else if self.begins_operand() {
                // A number is no factor behind another one: `2 3`.
                let number = matches!(self.peek(), Some(TokenKind::Number(_)));
                if number && factors.last().is_some_and(|last| last.number().is_some()) {
                    return Err(Unreadable);
                }
                factors.push(self.power()?);
            } else {
                return Ok(one_product(factors));
            }
        }
    }

    /// `^2`, or `/s^2`, behind a unit.
    fn skip_rest_of_unit(&mut self) {
        loop {
            if self.take_mark('^') {
                let open = self.take_mark('{');
                self.take_mark('-');
                if matches!(self.peek(), Some(TokenKind::Number(_))) {
                    self.at += 1;
                }
                if open {
                    self.take_mark('}');
                }
            } else if self.peek() == Some(&TokenKind::Mark('/'))
                && matches!(
                    self.peek_at(1),
                    Some(TokenKind::Text(_) | TokenKind::Name(_))
                )
            {
                self.at += 2;
            } else {
                return;
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
            if self.take_mark('^') {
                read = self.exponent(read)?;
            } else if self.take_mark('!') {
                read = Expression::function("factorial", vec![read]);
            } else if self.take(&TokenKind::Percent) {
                read = match read {
                    Expression::Percent(inner) => Expression::Percent(inner),
                    other => Expression::Percent(Box::new(other)),
                };
            } else if self.take_command(&["circ", "degree", "prime"]) {
                read = with_unit(read, "degrees".to_owned());
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
        if let Some(TokenKind::Command(name)) = self.peek_at(inside)
            && matches!(name.as_str(), "circ" | "degree" | "prime")
        {
            self.at += 1 + inside;
            if braced {
                self.expect('}')?;
            }
            return Ok(with_unit(base, "degrees".to_owned()));
        }
        if let Some(TokenKind::Text(unit)) = self.peek_at(inside) {
            let unit = unit.clone(); // `5^{th}`
            self.at += 1 + inside;
            if braced {
                self.expect('}')?;
            }
            return Ok(with_unit(base, unit));
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

    fn operand(&mut self) -> Read {
        let Some(kind) = self.peek().cloned() else {
            return Err(Unreadable);
        };
        self.at += 1;
        match kind {
            TokenKind::Number(digits) => self.number(&digits),
            TokenKind::Name(name) => self.name(name),
            TokenKind::Command(name) => self.command(&name),
            TokenKind::Text(text) => Ok(self.text(text)),
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
            let ten =
                |power: usize| BigInt::from(10).pow(power.min(LARGEST_EXPONENT as usize) as u32);
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
        let argument = if name == "sqrt" || name == "cbrt" {
            self.argument(true)?
        } else if self.peek() == Some(&TokenKind::Mark('(')) {
            self.within(Self::operand)?
        } else {
            self.within(Self::bare_argument)?
        };
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
        Ok(one_product(factors))
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Plus,
    Minus,
    Both,
}

/// Commands between operands.
const OPERATORS: [&str; 20] = [
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

fn with_unit(value: Expression, unit: String) -> Expression {
    match value {
        Expression::Quantity(value, before) => {
            Expression::Quantity(value, format!("{before} {unit}"))
        }
        Expression::Text(text) => Expression::Text(format!("{text} {unit}")),
        value => Expression::Quantity(Box::new(value), unit),
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
