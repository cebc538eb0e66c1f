//! From tokens to expressions.

use crate::ast::{Arguments, Choice, Comparison, Expr, Name, Operator, Postfix};
use crate::lexer::Token;
use crate::parser::{Parsed, Parser};

impl Parser {
    /// An expression, or several with commas between them, which are a tuple. `ends`
    /// are names that stand behind it; without `choices` there is no `a if b else c`.
    pub(crate) fn tuple(&mut self, choices: bool, ends: &[&str]) -> Parsed<Expr> {
        match self.items(choices, ends)? {
            (mut items, false) if items.len() == 1 => Ok(items.remove(0)),
            (items, _) if items.is_empty() => self.unexpected("an expression"),
            (items, _) => Ok(Expr::Tuple(items)),
        }
    }

    /// Expressions, and whether there was a comma.
    fn items(&mut self, choices: bool, ends: &[&str]) -> Parsed<(Vec<Expr>, bool)> {
        let mut items = Vec::new();
        let mut commas = false;
        loop {
            let ended = matches!(self.peek(), Token::TagEnd | Token::PrintEnd)
                || self.is_sign(")")
                || ends.iter().any(|end| self.is_name(end));
            if ended {
                break;
            }
            items.push(if choices {
                self.expression()?
            } else {
                self.nested(Self::or)?
            });
            if !self.skip_sign(",") {
                break;
            }
            commas = true;
        }
        Ok((items, commas))
    }

    pub(crate) fn expression(&mut self) -> Parsed<Expr> {
        self.nested(|parser| {
            let mut then = parser.or()?;
            let mut choices = 0;
            while parser.skip_name("if") {
                choices += 1;
                if choices > 50 {
                    return parser.error("too many conditions stand behind each other");
                }
                let test = parser.or()?;
                let otherwise = if parser.skip_name("else") {
                    Some(parser.expression()?)
                } else {
                    None
                };
                then = Expr::If(Box::new(Choice {
                    test,
                    then,
                    otherwise,
                }));
            }
            Ok(then)
        })
    }

    fn or(&mut self) -> Parsed<Expr> {
        let mut items = vec![self.and()?];
        while self.skip_name("or") {
            items.push(self.and()?);
        }
        Ok(one_or(items, Expr::Or))
    }

    fn and(&mut self) -> Parsed<Expr> {
        let mut items = vec![self.not()?];
        while self.skip_name("and") {
            items.push(self.not()?);
        }
        Ok(one_or(items, Expr::And))
    }

    fn not(&mut self) -> Parsed<Expr> {
        if self.skip_name("not") {
            return Ok(Expr::Not(Box::new(self.nested(Self::not)?)));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Parsed<Expr> {
        let first = self.sum()?;
        let mut more = Vec::new();
        loop {
            let comparison = match self.peek() {
                Token::Sign("==") => Comparison::Equal,
                Token::Sign("!=") => Comparison::NotEqual,
                Token::Sign("<") => Comparison::Less,
                Token::Sign("<=") => Comparison::LessOrEqual,
                Token::Sign(">") => Comparison::Greater,
                Token::Sign(">=") => Comparison::GreaterOrEqual,
                Token::Name(name) if name == "in" => Comparison::In,
                Token::Name(name)
                    if name == "not"
                        && matches!(self.peek_second(), Token::Name(n) if n == "in") =>
                {
                    self.next();
                    Comparison::NotIn
                }
                _ => break,
            };
            self.next();
            more.push((comparison, self.sum()?));
        }
        Ok(if more.is_empty() {
            first
        } else {
            Expr::Compare(Box::new(first), more)
        })
    }

    /// Operators of one precedence.
    fn operators(
        &mut self,
        operand: fn(&mut Self) -> Parsed<Expr>,
        signs: &[(&str, Operator)],
    ) -> Parsed<Expr> {
        let first = operand(self)?;
        let mut more = Vec::new();
        'operators: loop {
            for (sign, operator) in signs {
                if self.skip_sign(sign) {
                    more.push((*operator, operand(self)?));
                    continue 'operators;
                }
            }
            return Ok(if more.is_empty() {
                first
            } else {
                Expr::Arithmetic(Box::new(first), more)
            });
        }
    }

    fn sum(&mut self) -> Parsed<Expr> {
        let signs = [("+", Operator::Add), ("-", Operator::Subtract)];
        self.operators(Self::concatenation, &signs)
    }

    fn concatenation(&mut self) -> Parsed<Expr> {
        let mut items = vec![self.product()?];
        while self.skip_sign("~") {
            items.push(self.product()?);
        }
        Ok(one_or(items, Expr::Concat))
    }

    fn product(&mut self) -> Parsed<Expr> {
        let signs = [
            ("*", Operator::Multiply),
            ("/", Operator::Divide),
            ("//", Operator::FloorDivide),
            ("%", Operator::Remainder),
        ];
        self.operators(Self::power, &signs)
    }

    fn power(&mut self) -> Parsed<Expr> {
        self.operators(|parser| parser.unary(true), &[("**", Operator::Power)])
    }

    fn unary(&mut self, filtered: bool) -> Parsed<Expr> {
        let operand = if self.skip_sign("-") {
            Expr::Negative(Box::new(self.nested(|parser| parser.unary(false))?))
        } else if self.skip_sign("+") {
            Expr::Positive(Box::new(self.nested(|parser| parser.unary(false))?))
        } else {
            self.primary()?
        };
        let mut postfixes = Vec::new();
        self.subscripts(&mut postfixes)?;
        if filtered {
            self.filters_and_tests(&mut postfixes)?;
        }
        Ok(if postfixes.is_empty() {
            operand
        } else {
            Expr::Postfix(Box::new(operand), postfixes)
        })
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let expr = match self.peek() {
            Token::Name(name) => match name.as_str() {
                "true" | "True" => Expr::Bool(true),
                "false" | "False" => Expr::Bool(false),
                "none" | "None" => Expr::None,
                _ => {
                    let name = Name::from(name.as_str());
                    self.uses(&name);
                    Expr::Name(name)
                }
            },
            Token::Text(_) => return Ok(self.strings()),
            Token::Int(number) => Expr::Int(*number),
            Token::Float(number) => Expr::Float(*number),
            Token::Sign("(") => {
                self.next();
                let (mut items, commas) = self.items(true, &[])?;
                self.expect_sign(")")?;
                return Ok(if items.len() == 1 && !commas {
                    items.remove(0)
                } else {
                    Expr::Tuple(items)
                });
            }
            Token::Sign("[") => return self.list(),
            Token::Sign("{") => return self.dict(),
            _ => return self.unexpected("an expression"),
        };
        self.next();
        Ok(expr)
    }

    /// Strings that stand beside each other are one.
    fn strings(&mut self) -> Expr {
        let mut text = String::new();
        while let Token::Text(part) = self.peek() {
            text.push_str(part);
            self.next();
        }
        Expr::Text(text.into())
    }

    fn list(&mut self) -> Parsed<Expr> {
        self.next();
        let mut items = Vec::new();
        while !self.is_sign("]") {
            if !items.is_empty() {
                self.expect_sign(",")?;
            }
            if self.is_sign("]") {
                break;
            }
            items.push(self.expression()?);
        }
        self.expect_sign("]")?;
        Ok(Expr::List(items))
    }

    fn dict(&mut self) -> Parsed<Expr> {
        self.next();
        let mut items = Vec::new();
        while !self.is_sign("}") {
            if !items.is_empty() {
                self.expect_sign(",")?;
            }
            if self.is_sign("}") {
                break;
            }
            let key = self.expression()?;
            self.expect_sign(":")?;
            items.push((key, self.expression()?));
        }
        self.expect_sign("}")?;
        Ok(Expr::Dict(items))
    }

    /// Attributes, items and calls.
    fn subscripts(&mut self, postfixes: &mut Vec<Postfix>) -> Parsed<()> {
        loop {
            if self.skip_sign(".") {
                postfixes.push(match self.next() {
                    Token::Name(name) => Postfix::Attribute(name.into()),
                    Token::Int(index) => Postfix::Item(Expr::Int(index)),
                    _ => return self.error("a dot needs a name or a number behind it"),
                });
            } else if self.skip_sign("[") {
                postfixes.push(self.subscript()?);
            } else if self.is_sign("(") {
                postfixes.push(Postfix::Call(self.arguments()?));
            } else {
                return Ok(());
            }
        }
    }

    fn subscript(&mut self) -> Parsed<Postfix> {
        let mut items = Vec::new();
        let mut comma = false;
        while !self.is_sign("]") {
            if comma {
                self.expect_sign(",")?;
            }
            let start = if self.is_sign(":") {
                None
            } else {
                Some(self.expression()?)
            };
            if start.is_some() && !self.is_sign(":") {
                items.extend(start);
                comma = true;
                continue;
            }
            // A slice; several of them have no meaning for a value of JSON.
            let mut parts = [start, None, None];
            for part in &mut parts[1..] {
                if self.skip_sign(":") && !self.is_sign(":") && !self.is_sign("]") {
                    *part = Some(self.expression()?);
                }
            }
            self.expect_sign("]")?;
            if comma {
                return self.error("a slice stands alone in its brackets");
            }
            return Ok(Postfix::Slice(Box::new(parts)));
        }
        self.expect_sign("]")?;
        Ok(Postfix::Item(if items.len() == 1 {
            items.remove(0)
        } else {
            Expr::Tuple(items)
        }))
    }

    fn filters_and_tests(&mut self, postfixes: &mut Vec<Postfix>) -> Parsed<()> {
        loop {
            if self.is_sign("|") {
                postfixes.extend(self.filters(false)?);
            } else if self.skip_name("is") {
                postfixes.push(self.test()?);
            } else if self.is_sign("(") {
                postfixes.push(Postfix::Call(self.arguments()?));
            } else {
                return Ok(());
            }
        }
    }

    /// `| a | b(1)`; `inline` where the first has no bar.
    pub(crate) fn filters(&mut self, mut inline: bool) -> Parsed<Vec<Postfix>> {
        let mut filters = Vec::new();
        while inline || self.skip_sign("|") {
            inline = false;
            let name = self.dotted_name()?;
            let arguments = if self.is_sign("(") {
                self.arguments()?
            } else {
                Arguments::default()
            };
            filters.push(Postfix::Filter(name, arguments));
        }
        Ok(filters)
    }

    fn dotted_name(&mut self) -> Parsed<Name> {
        let mut name = self.expect_name()?.to_string();
        while self.skip_sign(".") {
            name = format!("{name}.{}", self.expect_name()?);
        }
        Ok(name.into())
    }

    fn test(&mut self) -> Parsed<Postfix> {
        let negated = self.skip_name("not");
        let name = self.dotted_name()?;
        let argument_follows = match self.peek() {
            Token::Name(name) if name == "is" => {
                return self.error("a test stands behind a test; put parentheses around the first");
            }
            Token::Name(name) => !matches!(name.as_str(), "else" | "or" | "and"),
            Token::Text(_) | Token::Int(_) | Token::Float(_) => true,
            Token::Sign(sign) => matches!(*sign, "[" | "{"),
            _ => false,
        };
        let arguments = if self.is_sign("(") {
            self.arguments()?
        } else if argument_follows {
            let operand = self.nested(Self::primary)?;
            let mut postfixes = Vec::new();
            self.subscripts(&mut postfixes)?;
            let argument = if postfixes.is_empty() {
                operand
            } else {
                Expr::Postfix(Box::new(operand), postfixes)
            };
            Arguments {
                positional: vec![argument],
                ..Arguments::default()
            }
        } else {
            Arguments::default()
        };
        Ok(Postfix::Test {
            name,
            arguments,
            negated,
        })
    }

    fn arguments(&mut self) -> Parsed<Arguments> {
        self.expect_sign("(")?;
        let mut arguments = Arguments::default();
        let mut comma = false;
        while !self.is_sign(")") {
            if comma {
                self.expect_sign(",")?;
            }
            comma = true;
            if self.is_sign(")") {
                break;
            }
            let spread = arguments.more_positional.is_some() || arguments.more_named.is_some();
            if self.skip_sign("*") {
                if spread {
                    return self.error("only one `*` may stand in a call, before `**`");
                }
                arguments.more_positional = Some(self.expression()?);
            } else if self.skip_sign("**") {
                if arguments.more_named.is_some() {
                    return self.error("only one `**` may stand in a call");
                }
                arguments.more_named = Some(self.expression()?);
            } else if matches!(
                (self.peek(), self.peek_second()),
                (Token::Name(_), Token::Sign("="))
            ) {
                let name = self.expect_name()?;
                self.next();
                if arguments.more_named.is_some() {
                    return self.error("a named argument stands behind `**`");
                }
                arguments.named.push((name, self.expression()?));
            } else {
                if spread || !arguments.named.is_empty() {
                    return self.error("an argument without a name stands behind one with a name");
                }
                arguments.positional.push(self.expression()?);
            }
        }
        self.expect_sign(")")?;
        Ok(arguments)
    }
}

/// The only item, or what is made of several.
fn one_or(mut items: Vec<Expr>, several: fn(Vec<Expr>) -> Expr) -> Expr {
    if items.len() == 1 {
        items.remove(0)
    } else {
        several(items)
    }
}
