//! From source to tokens, by the rules of Jinja2 with `trim_blocks` and `lstrip_blocks`.

use crate::error::JinjaError;
use crate::text::is_space;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    /// Text between tags.
    Data(String),
    /// `{{` and `}}`
    PrintBegin,
    PrintEnd,
    /// `{%` and `%}`
    TagBegin,
    TagEnd,
    Name(String),
    Text(String),
    Int(i128),
    Float(f64),
    Sign(&'static str),
    End,
}

/// Signs, the longer ones first.
const SIGNS: [&str; 26] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}",
    ">", "<", "=", ".", ":", "|", ",", ";",
];

/// A token and its line.
pub(crate) type Located = (Token, u32);

/// All tokens of a template, with [`Token::End`] behind them.
pub(crate) fn tokens(source: &str) -> Result<Vec<Located>, JinjaError> {
    let mut source = source.replace("\r\n", "\n").replace('\r', "\n");
    if source.ends_with('\n') {
        source.pop();
    }
    let mut lexer = Lexer {
        rest: &source,
        line: 1,
        line_starts: true,
        tokens: Vec::new(),
    };
    while !lexer.rest.is_empty() {
        lexer.root()?;
    }
    lexer.push(Token::End);
    Ok(lexer.tokens)
}

struct Lexer<'s> {
    rest: &'s str,
    line: u32,
    /// Whether what was read last ended a line.
    line_starts: bool,
    tokens: Vec<Located>,
}

impl<'s> Lexer<'s> {
    fn push(&mut self, token: Token) {
        self.tokens.push((token, self.line));
    }

    fn error<T>(&self, reason: impl Into<String>) -> Result<T, JinjaError> {
        Err(JinjaError::Syntax {
            line: self.line,
            reason: reason.into(),
        })
    }

    /// Goes on behind `length` bytes.
    fn advance(&mut self, length: usize) -> &'s str {
        let (read, rest) = self.rest.split_at(length);
        self.rest = rest;
        self.line += read.matches('\n').count() as u32;
        self.line_starts = read.ends_with('\n');
        read
    }

    /// Text up to the next tag, and the tag.
    fn root(&mut self) -> Result<(), JinjaError> {
        let kinds = ["{{", "{%", "{#"];
        let found = kinds.iter().filter_map(|kind| self.rest.find(kind)).min();
        let Some(at) = found else {
            let text = self.rest.to_owned();
            self.push(Token::Data(text));
            self.advance(self.rest.len());
            return Ok(());
        };
        let (text, tag) = self.rest.split_at(at);
        let sign = tag.as_bytes().get(2).copied();
        let starts = self.line_starts;
        let kept = stripped(text, sign, !tag.starts_with("{{"), starts);
        if !kept.is_empty() {
            self.push(Token::Data(kept.to_owned()));
        }
        self.advance(at);
        let signed = usize::from(matches!(sign, Some(b'-' | b'+')));
        match &tag[..2] {
            "{#" => self.comment(2 + signed),
            "{%" if raw_begin(tag).is_some() => self.raw(raw_begin(tag).unwrap_or(0)),
            "{%" => {
                self.advance(2 + signed);
                self.push(Token::TagBegin);
                self.inside(Token::TagEnd, "%}")
            }
            _ => {
                self.advance(2 + signed);
                self.push(Token::PrintBegin);
                self.inside(Token::PrintEnd, "}}")
            }
        }
    }

    fn comment(&mut self, begin: usize) -> Result<(), JinjaError> {
        let Some(end) = self.rest[begin..].find("#}") else {
            return self.error("a comment does not end with `#}`");
        };
        let before = &self.rest[begin..begin + end];
        let sign = before.as_bytes().last().copied();
        self.advance(begin + end + 2);
        self.behind(sign);
        Ok(())
    }

    /// What a tag takes along of the text behind it.
    fn behind(&mut self, sign: Option<u8>) {
        match sign {
            Some(b'-') => {
                let length = self.rest.len() - self.rest.trim_start_matches(is_space).len();
                self.space(length);
            }
            Some(b'+') => {}
            _ => self.space(usize::from(self.rest.starts_with('\n'))),
        }
    }

    fn space(&mut self, length: usize) {
        if length > 0 {
            self.advance(length);
        }
    }

    fn raw(&mut self, begin: usize) -> Result<(), JinjaError> {
        self.advance(begin);
        for (at, _) in self.rest.match_indices("{%") {
            let Some((length, left, right)) = raw_end(&self.rest[at..]) else {
                continue;
            };
            let text = stripped(&self.rest[..at], left, true, self.line_starts).to_owned();
            if !text.is_empty() {
                self.push(Token::Data(text));
            }
            self.advance(at + length);
            self.behind(right);
            return Ok(());
        }
        self.error("`{% raw %}` does not end with `{% endraw %}`")
    }

    /// The inside of a tag, and its end.
    fn inside(&mut self, end: Token, close: &'static str) -> Result<(), JinjaError> {
        let mut open: Vec<char> = Vec::new();
        loop {
            let space = self.rest.len() - self.rest.trim_start_matches(is_space).len();
            self.space(space);
            if self.rest.is_empty() {
                return self.error(format!("a tag does not end with `{close}`"));
            }
            if open.is_empty() {
                let sign = self.rest.as_bytes().first().copied();
                let signed = match sign {
                    Some(b'-') => true,
                    Some(b'+') => close == "%}",
                    _ => false,
                };
                let signed = signed && self.rest[1..].starts_with(close);
                if signed || self.rest.starts_with(close) {
                    self.push(end);
                    self.advance(2 + usize::from(signed));
                    match sign.filter(|_| signed) {
                        None if close == "}}" => {}
                        sign => self.behind(sign),
                    }
                    return Ok(());
                }
            }
            self.token(&mut open)?;
        }
    }

    fn token(&mut self, open: &mut Vec<char>) -> Result<(), JinjaError> {
        let first = self.rest.chars().next().unwrap_or(' ');
        if first.is_ascii_digit() {
            return self.number();
        }
        if first.is_alphanumeric() || first == '_' {
            let name = |c: char| c.is_alphanumeric() || c == '_';
            let length = self.rest.len() - self.rest.trim_start_matches(name).len();
            let token = Token::Name(self.rest[..length].to_owned());
            self.push(token);
            self.advance(length);
            return Ok(());
        }
        if matches!(first, '"' | '\'') {
            return self.string(first);
        }
        let Some(sign) = SIGNS.iter().find(|sign| self.rest.starts_with(**sign)) else {
            return self.error(format!("unexpected character {first:?}"));
        };
        match *sign {
            "(" => open.push(')'),
            "[" => open.push(']'),
            "{" => open.push('}'),
            ")" | "]" | "}" => match open.pop() {
                Some(expected) if sign.starts_with(expected) => {}
                Some(expected) => {
                    return self.error(format!("unexpected `{sign}`, expected `{expected}`"));
                }
                None => return self.error(format!("unexpected `{sign}`")),
            },
            _ => {}
        }
        self.push(Token::Sign(sign));
        self.advance(sign.len());
        Ok(())
    }

    fn number(&mut self) -> Result<(), JinjaError> {
        let after_dot = matches!(self.tokens.last(), Some((Token::Sign("."), _)));
        if !after_dot && let Some(length) = float_length(self.rest) {
            let digits = self.rest[..length].replace('_', "");
            let Ok(number) = digits.parse() else {
                return self.error(format!("{digits} is no number"));
            };
            self.push(Token::Float(number));
            self.advance(length);
            return Ok(());
        }
        let bytes = self.rest.as_bytes();
        let radix = match bytes.get(..2).map(<[u8]>::to_ascii_lowercase).as_deref() {
            Some(b"0b") => 2,
            Some(b"0o") => 8,
            Some(b"0x") => 16,
            _ => 10,
        };
        let prefix = if radix == 10 { 0 } else { 2 };
        let mut length = prefix + digits(&self.rest[prefix..], radix);
        if length == prefix {
            // `0x` without digits is the number 0 and a name.
            length = 1;
        }
        let text = self.rest[..length].replace('_', "");
        let text = text
            .get(if length > prefix { prefix } else { 0 }..)
            .unwrap_or("0");
        let (text, length) = match text.find(|c| c != '0') {
            // `007` is three numbers in Jinja2, which no template means.
            Some(1..) if radix == 10 => return self.error("a number begins with 0"),
            _ => (text, length),
        };
        let Ok(number) = i128::from_str_radix(text, radix) else {
            return self.error(format!("the number {text} is too large"));
        };
        self.push(Token::Int(number));
        self.advance(length);
        Ok(())
    }

    fn string(&mut self, quote: char) -> Result<(), JinjaError> {
        let mut escaped = false;
        let end = self.rest[1..].find(|c| {
            let ends = c == quote && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let Some(end) = end else {
            return self.error("a string does not end");
        };
        match unescape(&self.rest[1..=end]) {
            Ok(text) => self.push(Token::Text(text)),
            Err(reason) => return self.error(reason),
        }
        self.advance(end + 2);
        Ok(())
    }
}

/// Text before a tag, without the white space that the tag takes away.
fn stripped(text: &str, sign: Option<u8>, block: bool, line_starts: bool) -> &str {
    match sign {
        Some(b'-') => text.trim_end_matches(is_space),
        Some(b'+') => text,
        _ if block => {
            let line = text.rfind('\n').map_or(0, |at| at + 1);
            let blank = text[line..].chars().all(is_space);
            if blank && (line > 0 || line_starts) {
                &text[..line]
            } else {
                text
            }
        }
        _ => text,
    }
}

/// The length of `{% raw %}` at the beginning of a text, with the space that it takes.
fn raw_begin(tag: &str) -> Option<usize> {
    let rest = tag.strip_prefix("{%")?.trim_start_matches(['-', '+']);
    let rest = rest.trim_start_matches(is_space).strip_prefix("raw")?;
    let rest = rest.trim_start_matches(is_space);
    let rest = match rest.strip_prefix("-%}") {
        Some(rest) => rest.trim_start_matches(is_space),
        None => rest.strip_prefix("%}")?,
    };
    Some(tag.len() - rest.len())
}

/// The length of `{% endraw %}` at the beginning of a text, and its signs.
fn raw_end(tag: &str) -> Option<(usize, Option<u8>, Option<u8>)> {
    let rest = tag.strip_prefix("{%")?;
    let left = rest.bytes().next().filter(|b| matches!(b, b'-' | b'+'));
    let rest = &rest[usize::from(left.is_some())..];
    let rest = rest.trim_start_matches(is_space).strip_prefix("endraw")?;
    let rest = rest.trim_start_matches(is_space);
    let right = rest.bytes().next().filter(|b| matches!(b, b'-' | b'+'));
    let rest = rest[usize::from(right.is_some())..].strip_prefix("%}")?;
    Some((tag.len() - rest.len(), left, right))
}

/// Digits with single underscores between them.
fn digits(text: &str, radix: u32) -> usize {
    let mut length = 0;
    let bytes = text.as_bytes();
    let digit = |at: usize| {
        bytes
            .get(at)
            .is_some_and(|b| char::from(*b).is_digit(radix))
    };
    loop {
        let next = length + usize::from(length > 0 && bytes.get(length) == Some(&b'_'));
        // A prefix such as `0x` may be followed by an underscore.
        let next = if length == 0 && radix != 10 && bytes.first() == Some(&b'_') {
            1
        } else {
            next
        };
        if !digit(next) {
            return length;
        }
        length = next + 1;
    }
}

/// The length of a number with a fraction or an exponent.
fn float_length(text: &str) -> Option<usize> {
    let whole = digits(text, 10);
    let mut length = whole;
    if text[length..].starts_with('.') {
        let fraction = digits(&text[length + 1..], 10);
        if fraction > 0 {
            length += 1 + fraction;
        }
    }
    if text[length..].starts_with(['e', 'E']) {
        let signed = usize::from(text[length + 1..].starts_with(['+', '-']));
        let exponent = digits(&text[length + 1 + signed..], 10);
        if exponent > 0 {
            length += 1 + signed + exponent;
        }
    }
    (length > whole).then_some(length)
}

/// A string as Python's `unicode-escape` reads it.
fn unescape(text: &str) -> Result<String, String> {
    if !text.contains('\\') {
        return Ok(text.to_owned());
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let Some(kind) = rest.next() else {
            return Err("a string ends in a backslash".into());
        };
        let length = match kind {
            '\n' => continue,
            '\\' | '\'' | '"' => {
                out.push(kind);
                continue;
            }
            'a' => {
                out.push('\x07');
                continue;
            }
            'b' => {
                out.push('\x08');
                continue;
            }
            'f' => {
                out.push('\x0c');
                continue;
            }
            'n' => {
                out.push('\n');
                continue;
            }
            'r' => {
                out.push('\r');
                continue;
            }
            't' => {
                out.push('\t');
                continue;
            }
            'v' => {
                out.push('\x0b');
                continue;
            }
            '0'..='7' => {
                let more = rest.as_str().chars().take(2);
                let more: String = more.take_while(|c| ('0'..='7').contains(c)).collect();
                more.chars().for_each(|_| {
                    rest.next();
                });
                let code = u32::from_str_radix(&format!("{kind}{more}"), 8).unwrap_or(0);
                out.extend(char::from_u32(code));
                continue;
            }
            'x' => 2,
            'u' => 4,
            'U' => 8,
            'N' => return Err("characters by name, `\\N{...}`, are not supported".into()),
            other => {
                out.push('\\');
                out.push(other);
                continue;
            }
        };
        let code: String = rest.by_ref().take(length).collect();
        let whole = code.len() == length && code.chars().all(|c| c.is_ascii_hexdigit());
        let character = u32::from_str_radix(&code, 16).ok().filter(|_| whole);
        match character.and_then(char::from_u32) {
            Some(character) => out.push(character),
            None => return Err(format!("\\{kind}{code} in a string is no character")),
        }
    }
    Ok(out)
}
