//! From tokens to statements.

use crate::ast::{Block, Expr, For, Macro, Name, Node, Postfix, Stmt, Target, Uses};
use crate::error::JinjaError;
use crate::lexer::{Located, Token, tokens};

/// Statements and expressions within each other; Jinja2's own limit is below.
const NESTING: u32 = 100;
/// Bytes of a template.
const SOURCE: usize = 1 << 20;

pub(crate) type Parsed<T> = Result<T, JinjaError>;

/// Parses a template; also says whether it has `{% generation %}`.
pub(crate) fn parse(source: &str) -> Parsed<(Block, bool)> {
    if source.len() > SOURCE {
        return Err(JinjaError::Limit {
            line: 1,
            reason: format!(
                "the template has {} bytes, but {SOURCE} are the most that it may have",
                source.len()
            ),
        });
    }
    let mut parser = Parser {
        tokens: tokens(source)?,
        at: 0,
        depth: 0,
        loops: 0,
        macros: Vec::new(),
        generation: false,
    };
    let block = parser.block(&[])?;
    Ok((block, parser.generation))
}

pub(crate) struct Parser {
    tokens: Vec<Located>,
    at: usize,
    depth: u32,
    /// Loops around the statement, within its macro.
    loops: u32,
    /// What the macros around the statement use.
    macros: Vec<Uses>,
    generation: bool,
}

impl Parser {
    pub(crate) fn peek(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)].0
    }

    pub(crate) fn peek_second(&self) -> &Token {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)].0
    }

    pub(crate) fn line(&self) -> u32 {
        self.tokens[self.at.min(self.tokens.len() - 1)].1
    }

    pub(crate) fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    pub(crate) fn error<T>(&self, reason: impl Into<String>) -> Parsed<T> {
        Err(JinjaError::Syntax {
            line: self.line(),
            reason: reason.into(),
        })
    }

    pub(crate) fn unexpected<T>(&self, expected: &str) -> Parsed<T> {
        let found = describe(self.peek());
        self.error(format!("found {found}, expected {expected}"))
    }

    pub(crate) fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(found) if *found == sign)
    }

    pub(crate) fn is_name(&self, name: &str) -> bool {
        matches!(self.peek(), Token::Name(found) if found == name)
    }

    pub(crate) fn skip_sign(&mut self, sign: &str) -> bool {
        let found = self.is_sign(sign);
        self.at += usize::from(found);
        found
    }

    pub(crate) fn skip_name(&mut self, name: &str) -> bool {
        let found = self.is_name(name);
        self.at += usize::from(found);
        found
    }

    pub(crate) fn expect_sign(&mut self, sign: &str) -> Parsed<()> {
        if self.skip_sign(sign) {
            Ok(())
        } else {
            self.unexpected(&format!("`{sign}`"))
        }
    }

    pub(crate) fn expect_name(&mut self) -> Parsed<Name> {
        match self.peek() {
            Token::Name(name) => {
                let name = Name::from(name.as_str());
                self.at += 1;
                Ok(name)
            }
            _ => self.unexpected("a name"),
        }
    }

    fn expect(&mut self, token: &Token) -> Parsed<()> {
        if self.peek() == token {
            self.at += 1;
            Ok(())
        } else {
            self.unexpected(&describe(token))
        }
    }

    /// Parses something that may contain itself.
    pub(crate) fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth > NESTING {
            return Err(JinjaError::Limit {
                line: self.line(),
                reason: format!("the template is nested more than {NESTING} deep"),
            });
        }
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// Notes that an expression names something that macros get on request.
    pub(crate) fn uses(&mut self, name: &str) {
        for uses in &mut self.macros {
            match name {
                "varargs" => uses.varargs = true,
                "kwargs" => uses.kwargs = true,
                "caller" => uses.caller = true,
                _ => {}
            }
        }
    }

    /// Statements up to a tag with one of the names, which is next then.
    fn block(&mut self, ends: &[&str]) -> Parsed<Block> {
        let mut block = Block::new();
        loop {
            let line = self.line();
            let stmt = match self.next() {
                Token::Data(text) => Stmt::Text(text),
                Token::PrintBegin => {
                    let value = self.tuple(true, &[])?;
                    self.expect(&Token::PrintEnd)?;
                    Stmt::Print(value)
                }
                Token::TagBegin => {
                    if ends.iter().any(|end| self.is_name(end)) {
                        return Ok(block);
                    }
                    let stmt = self.nested(Self::statement)?;
                    self.expect(&Token::TagEnd)?;
                    stmt
                }
                _ if ends.is_empty() => return Ok(block),
                _ => {
                    return self.error(format!(
                        "the template ends before `{}`",
                        ends.join("` or `")
                    ));
                }
            };
            block.push(Node { line, stmt });
        }
    }

    /// The body of a statement whose tag ends here, up to a tag with one of the names.
    fn body(&mut self, ends: &[&str]) -> Parsed<Block> {
        self.skip_sign(":");
        self.expect(&Token::TagEnd)?;
        self.block(ends)
    }

    /// As [`Self::body`], and the name of the tag behind it.
    fn whole_body(&mut self, end: &str) -> Parsed<Block> {
        let body = self.body(&[end])?;
        self.at += 1;
        Ok(body)
    }

    fn statement(&mut self) -> Parsed<Stmt> {
        let name = self.expect_name()?;
        match &*name {
            "if" => self.conditions(),
            "for" => self.for_loop(),
            "set" => self.set(),
            "with" => self.with(),
            "macro" => {
                let name = self.expect_name()?;
                let parameters = self.parameters()?;
                Ok(Stmt::Macro(self.macro_body(
                    Some(name),
                    parameters,
                    "endmacro",
                )?))
            }
            "call" => {
                let parameters = if self.is_sign("(") {
                    self.parameters()?
                } else {
                    Vec::new()
                };
                let call = self.expression()?;
                let is_call = matches!(&call, Expr::Postfix(_, list)
                    if matches!(list.last(), Some(Postfix::Call(_))));
                if !is_call {
                    return self.error("`call` needs the call of a macro");
                }
                Ok(Stmt::Call(
                    call,
                    self.macro_body(None, parameters, "endcall")?,
                ))
            }
            "filter" => {
                let filters = self.filters(true)?;
                Ok(Stmt::Filter(filters, self.whole_body("endfilter")?))
            }
            "generation" => {
                self.generation = true;
                Ok(Stmt::Generation(self.whole_body("endgeneration")?))
            }
            "block" => {
                let name = self.expect_name()?;
                self.skip_name("scoped");
                self.skip_name("required");
                let body = self.whole_body("endblock")?;
                self.skip_name(&name);
                Ok(Stmt::Inset(body))
            }
            "print" => {
                let mut items = vec![self.expression()?];
                while self.skip_sign(",") {
                    items.push(self.expression()?);
                }
                Ok(Stmt::Print(Expr::Concat(items)))
            }
            "break" | "continue" if self.loops == 0 => {
                self.error(format!("`{name}` stands outside of a loop"))
            }
            "break" => Ok(Stmt::Break),
            "continue" => Ok(Stmt::Continue),
            "include" | "import" | "from" | "extends" => self.error(format!(
                "`{name}` needs other files, but a chat template is one file"
            )),
            "autoescape" => self.error("`autoescape` is not supported in chat templates"),
            _ => self.error(format!("unknown tag `{name}`")),
        }
    }

    fn conditions(&mut self) -> Parsed<Stmt> {
        let mut branches = Vec::new();
        loop {
            let test = self.tuple(false, &[])?;
            branches.push((test, self.body(&["elif", "else", "endif"])?));
            if self.skip_name("elif") {
                continue;
            }
            let otherwise = if self.skip_name("else") {
                self.body(&["endif"])?
            } else {
                Block::new()
            };
            self.at += 1;
            return Ok(Stmt::If(branches, otherwise));
        }
    }

    fn for_loop(&mut self) -> Parsed<Stmt> {
        let target = self.target(false, &["in"])?;
        if !self.skip_name("in") {
            return self.unexpected("`in`");
        }
        let items = self.tuple(false, &["recursive"])?;
        let test = if self.skip_name("if") {
            Some(self.expression()?)
        } else {
            None
        };
        let recursive = self.skip_name("recursive");
        self.loops += 1;
        let body = self.body(&["endfor", "else"])?;
        self.loops -= 1;
        let otherwise = if self.skip_name("else") {
            self.body(&["endfor"])?
        } else {
            Block::new()
        };
        self.at += 1;
        Ok(Stmt::For(Box::new(For {
            target,
            items,
            test,
            recursive,
            body,
            otherwise,
        })))
    }

    fn set(&mut self) -> Parsed<Stmt> {
        let target = self.target(true, &[])?;
        if self.skip_sign("=") {
            return Ok(Stmt::Set(target, self.tuple(true, &[])?));
        }
        let filters = self.filters(false)?;
        Ok(Stmt::SetBlock(target, filters, self.whole_body("endset")?))
    }

    fn with(&mut self) -> Parsed<Stmt> {
        let mut variables = Vec::new();
        while *self.peek() != Token::TagEnd {
            if !variables.is_empty() {
                self.expect_sign(",")?;
            }
            let target = self.target(false, &[])?;
            self.expect_sign("=")?;
            variables.push((target, self.expression()?));
        }
        Ok(Stmt::With(variables, self.whole_body("endwith")?))
    }

    fn parameters(&mut self) -> Parsed<Vec<(Name, Option<Expr>)>> {
        let mut parameters: Vec<(Name, Option<Expr>)> = Vec::new();
        self.expect_sign("(")?;
        while !self.is_sign(")") {
            if !parameters.is_empty() {
                self.expect_sign(",")?;
            }
            let name = self.expect_name()?;
            let default = if self.skip_sign("=") {
                Some(self.expression()?)
            } else {
                None
            };
            if default.is_none() && parameters.last().is_some_and(|(_, d)| d.is_some()) {
                return self.error(format!(
                    "the parameter `{name}` has no default, but the one before it has"
                ));
            }
            parameters.push((name, default));
        }
        self.expect_sign(")")?;
        Ok(parameters)
    }

    fn macro_body(
        &mut self,
        name: Option<Name>,
        parameters: Vec<(Name, Option<Expr>)>,
        end: &str,
    ) -> Parsed<Macro> {
        self.macros.push(Uses::default());
        let loops = std::mem::take(&mut self.loops);
        let body = self.whole_body(end)?;
        self.loops = loops;
        let uses = self.macros.pop().unwrap_or_default();
        Ok(Macro {
            name,
            parameters,
            uses,
            body,
        })
    }

    /// What is assigned to: a name, several, or an attribute of a namespace.
    fn target(&mut self, attributes: bool, ends: &[&str]) -> Parsed<Target> {
        let mut targets = Vec::new();
        let mut several = false;
        loop {
            let ended = matches!(self.peek(), Token::TagEnd | Token::PrintEnd)
                || self.is_sign(")")
                || ends.iter().any(|end| self.is_name(end));
            if ended {
                break;
            }
            targets.push(self.nested(|parser| parser.single_target(attributes))?);
            if !self.skip_sign(",") {
                break;
            }
            several = true;
        }
        match targets.pop() {
            None => self.unexpected("a name to assign to"),
            Some(target) if !several => Ok(target),
            Some(last) => {
                targets.push(last);
                Ok(Target::Tuple(targets))
            }
        }
    }

    fn single_target(&mut self, attributes: bool) -> Parsed<Target> {
        if self.skip_sign("(") {
            let target = self.target(attributes, &[])?;
            self.expect_sign(")")?;
            return Ok(target);
        }
        const CONSTANTS: [&str; 6] = ["true", "false", "none", "True", "False", "None"];
        let name = self.expect_name()?;
        if CONSTANTS.contains(&&*name) || &*name == "loop" && !attributes {
            return self.error(format!("`{name}` cannot be assigned to"));
        }
        if attributes && self.skip_sign(".") {
            return Ok(Target::Attribute(name, self.expect_name()?));
        }
        Ok(Target::Name(name))
    }
}

/// A token in a message.
fn describe(token: &Token) -> String {
    match token {
        Token::Data(_) => "text".into(),
        Token::PrintBegin => "`{{`".into(),
        Token::PrintEnd => "`}}`".into(),
        Token::TagBegin => "`{%`".into(),
        Token::TagEnd => "`%}`".into(),
        Token::Name(name) => format!("`{name}`"),
        Token::Text(_) => "a string".into(),
        Token::Int(number) => number.to_string(),
        Token::Float(number) => number.to_string(),
        Token::Sign(sign) => format!("`{sign}`"),
        Token::End => "the end".into(),
    }
}
