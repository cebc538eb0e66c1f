//! Splits a formula, LaTeX or plain, into tokens.

mod commands;

use super::expression::Relation;
use super::{units, words};

/// In which of several ways a text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) commas: Commas,
    pub(super) letters: Letters,
}

/// What letters behind a number are that cling to it, or that are a function's
/// name by chance: `40euros`, `5 tanks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(super) enum Letters {
    /// Variables and functions.
    Variables,
    /// A word, where they can be one.
    Words,
    /// The same, and one letter is a unit: `5m`.
    Units,
}

/// How commas between digits are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Commas {
    /// `1,234` is one number; other commas separate.
    Thousands,
    /// All commas separate.
    Separate,
    /// `1,5` is one and a half.
    Decimal,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    /// Whether space stands before it.
    pub(super) spaced: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenKind {
    /// Digits with at most one point, and perhaps an exponent: `2.50`, `1e-5`.
    Number(String),
    /// One letter, or a name of several that is known.
    Name(String),
    /// A LaTeX command without its backslash.
    Command(String),
    /// Words.
    Text(String),
    /// `and`, `or`.
    Conjunction,
    Percent,
    /// A sign of money.
    Currency(char),
    Relation(Relation),
    /// `\begin{...}` and `\end{...}`.
    Begin(String),
    End(String),
    /// `\\`.
    RowBreak,
    /// `\{` and `\}`.
    OpenSet,
    CloseSet,
    /// Any other character.
    Mark(char),
}

/// Functions and constants that are known by their names, longest first where
/// one begins another.
pub(super) const NAMES: [&str; 39] = [
    "arcsinh", "arccosh", "arctanh", "arcsin", "arccos", "arctan", "arccot", "arcsec", "arccsc",
    "asin", "acos", "atan", "sinh", "cosh", "tanh", "coth", "sin", "cos", "tan", "cot", "sec",
    "csc", "cis", "sgn", "log", "ln", "lg", "exp", "sqrt", "cbrt", "abs", "max", "min", "gcd",
    "lcm", "floor", "ceil", "pi", "infinity",
];

/// Signs of money.
const CURRENCIES: &str = "€£¥￥₹₩₽₺₪₫₱₦₴฿¢";

/// Splits `text`. Nothing is refused here.
pub(super) fn tokens(text: &str, way: Way) -> Vec<Token> {
    let mut lexer = Lexer {
        characters: text.chars().collect(),
        at: 0,
        depth: 0,
        matrices: 0,
        way,
        in_text: false,
        single_dollar: text.matches('$').count() == 1,
        spaced: false,
        tokens: Vec::new(),
    };
    while lexer.step() {}
    lexer.tokens
}

struct Lexer {
    characters: Vec<char>,
    at: usize,
    /// Brackets that are open.
    depth: usize,
    /// Environments that are open.
    matrices: usize,
    way: Way,
    /// Within a group of text, where letters are words.
    in_text: bool,
    /// Whether a dollar opens no formula, as it has no partner.
    single_dollar: bool,
    spaced: bool,
    tokens: Vec<Token>,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.characters.get(self.at + ahead).copied()
    }

    fn push(&mut self, kind: TokenKind) {
        let spaced = std::mem::take(&mut self.spaced);
        self.tokens.push(Token { kind, spaced });
    }

    fn step(&mut self) -> bool {
        let Some(character) = self.peek(0) else {
            return false;
        };
        if character.is_ascii_digit()
            || character == '.' && self.peek(1).is_some_and(|c| c.is_ascii_digit())
        {
            self.number();
            return true;
        }
        if character.is_alphabetic() {
            self.word();
            return true;
        }
        self.at += 1;
        match character {
            c if c.is_whitespace() || c == '~' => self.spaced = true,
            '$' if self.single_dollar && self.number_follows() => {
                self.push(TokenKind::Currency('$'));
            }
            '$' | '\u{200b}' => {}
            c if CURRENCIES.contains(c) => self.push(TokenKind::Currency(c)),
            '\\' => self.command(),
            '*' if self.peek(0) == Some('*') => {
                self.at += 1;
                self.push(TokenKind::Mark('^'));
            }
            '×' | '·' | '⋅' | '∗' => self.push(TokenKind::Mark('*')),
            '÷' => self.push(TokenKind::Mark('/')),
            '−' | '–' => self.push(TokenKind::Mark('-')),
            '%' => self.push(TokenKind::Percent),
            '<' | '>' | '=' | '!' | '≤' | '≥' | '≠' | '≈' | '∈' => {
                self.relation(character)
            }
            '∞' => self.push(TokenKind::Name("infinity".to_owned())),
            'π' => self.push(TokenKind::Name("pi".to_owned())),
            '√' => self.push(TokenKind::Name("sqrt".to_owned())),
            '∪' => self.push(TokenKind::Command("cup".to_owned())),
            '∩' => self.push(TokenKind::Command("cap".to_owned())),
            '∅' => self.push(TokenKind::Command("emptyset".to_owned())),
            'ℝ' => self.push(TokenKind::Name("mathbb R".to_owned())),
            '°' | 'º' => self.push(TokenKind::Command("degree".to_owned())),
            '′' => self.push(TokenKind::Mark('\'')),
            '.' | ':' | '"' if self.in_text && !self.number_follows() => self.spaced = true,
            '²' | '³' => {
                self.push(TokenKind::Mark('^'));
                let digit = if character == '²' { "2" } else { "3" };
                self.push(TokenKind::Number(digit.to_owned()));
            }
            '±' => self.push(TokenKind::Command("pm".to_owned())),
            '(' | '[' | '{' => {
                self.depth += 1;
                self.push(TokenKind::Mark(character));
            }
            ')' | ']' | '}' => {
                self.depth = self.depth.saturating_sub(1);
                self.push(TokenKind::Mark(character));
            }
            _ => self.push(TokenKind::Mark(character)),
        }
        true
    }

    fn relation(&mut self, character: char) {
        let equals = self.peek(0) == Some('=');
        let relation = match character {
            '<' if equals => Relation::LessOrEqual,
            '>' if equals => Relation::GreaterOrEqual,
            '!' if equals => Relation::NotEqual,
            '!' => return self.push(TokenKind::Mark('!')),
            '=' if equals => Relation::Equal,
            '<' => Relation::Less,
            '>' => Relation::Greater,
            '≤' => Relation::LessOrEqual,
            '≥' => Relation::GreaterOrEqual,
            '≠' => Relation::NotEqual,
            '≈' => Relation::Approximately,
            '∈' => Relation::In,
            _ => Relation::Equal,
        };
        if equals {
            self.at += 1;
        }
        self.push(TokenKind::Relation(relation));
    }

    /// Digits from `from` on.
    fn digits(&self, from: usize) -> String {
        let rest = &self.characters[from.min(self.characters.len())..];
        rest.iter().take_while(|c| c.is_ascii_digit()).collect()
    }

    fn number(&mut self) {
        let mut number = self.digits(self.at);
        self.at += number.len();
        let mut grouped = (1..=3).contains(&number.len()) && !number.starts_with('0');
        while grouped {
            let Some(width) = self.group_separator() else {
                break;
            };
            let group = self.digits(self.at + width);
            grouped = group.len() == 3;
            if grouped {
                self.at += width + 3;
                number += &group;
            }
        }
        let point = match self.peek(0) {
            Some('.') => true,
            Some(',') => self.way.commas == Commas::Decimal && self.depth == 0,
            _ => false,
        };
        let decimals = self.digits(self.at + 1);
        let next = self.peek(1);
        if point && (!decimals.is_empty() || next.is_none_or(|next| " \\".contains(next))) {
            self.at += 1 + decimals.len();
            // `0.\overline{3}` keeps its point.
            if !decimals.is_empty() || next == Some('\\') {
                number += ".";
                number += &decimals;
            }
        }
        if matches!(self.peek(0), Some('e' | 'E')) {
            let sign = usize::from(matches!(self.peek(1), Some('-' | '+')));
            let exponent = self.digits(self.at + 1 + sign);
            if (1..=3).contains(&exponent.len()) {
                number.push('e');
                number.extend(self.peek(1).filter(|_| sign == 1));
                number += &exponent;
                self.at += 1 + sign + exponent.len();
            }
        }
        self.push(TokenKind::Number(number));
    }

    /// Whether what stands here begins a number, or a command like `\frac`.
    fn number_follows(&self) -> bool {
        let mut rest = self.characters[self.at..].iter().skip_while(|c| **c == ' ');
        let signed = rest.clone().next() == Some(&'-');
        let next = if signed { rest.nth(1) } else { rest.next() };
        next.is_some_and(|next| next.is_ascii_digit() || ".\\".contains(*next))
    }

    /// Characters of the separator of thousands that stands here.
    fn group_separator(&self) -> Option<usize> {
        let rest = &self.characters[self.at..];
        let rest: String = rest.iter().take(12).collect();
        let separator = [
            "{,}", "{, }", "{ ,}", "{ , }", "\\,", "\\ ", "\u{a0}", "\u{202f}",
        ]
        .iter()
        .find(|separator| rest.starts_with(**separator));
        if let Some(separator) = separator {
            return Some(separator.chars().count());
        }
        if let Some(behind) = rest.strip_prefix(",\\!") {
            let spaces = behind.chars().take_while(|&c| c == ' ').count();
            return Some(3 + spaces);
        }
        let plain = self.way.commas == Commas::Thousands && self.depth == 0;
        (plain && rest.starts_with([',', ' '])).then_some(1)
    }

    fn word(&mut self) {
        let word = self.letters_here();
        let length = word.chars().count();
        self.at += length;
        let behind_number =
            matches!(self.tokens.last(), Some(token) if matches!(token.kind, TokenKind::Number(_)));
        let apart = self.spaced
            || match self.tokens.last().map(|token| &token.kind) {
                None | Some(TokenKind::Text(_) | TokenKind::Conjunction | TokenKind::Percent) => {
                    true
                }
                Some(TokenKind::Mark(mark)) => matches!(mark, ',' | ';'),
                _ => false,
            };
        match word.as_str() {
            "and" | "or" => return self.push(TokenKind::Conjunction),
            "percent" | "percents" | "pct" | "percentage" | "percentages" => {
                return self.push(TokenKind::Percent);
            }
            "inf" | "oo" => return self.push(TokenKind::Name("infinity".to_owned())),
            "minus" | "negative" | "Minus" | "Negative" if self.number_follows() => {
                return self.push(TokenKind::Mark('-'));
            }
            _ => {}
        }
        let operator_follows = {
            let next = self.characters[self.at..]
                .iter()
                .find(|c| !c.is_whitespace());
            next.is_some_and(|next| "+-*/^_(=<>'".contains(*next))
        };
        if self.in_text && (length > 1 || self.last_is_value())
            || self.is_word_behind_value(&word, operator_follows)
            || self.divides_unit() && units::is_known(&word)
        {
            return self.push(TokenKind::Text(word));
        }
        let known = NAMES.iter().find(|name| word.starts_with(**name));
        let (name, rest) = match known.filter(|name| length <= name.len() + 2) {
            Some(name) => word.split_at(name.len()),
            None => (word.as_str(), ""),
        };
        if NAMES.contains(&name) {
            self.push(TokenKind::Name(name.to_owned()));
            return self.letters(rest);
        }
        let unit = behind_number && units::is_short(name) && (self.spaced || length > 1);
        let is_word = length >= 3 && (!name.is_ascii() || behind_number || words::is_word(name));
        if unit || is_word && apart && (!operator_follows || !name.is_ascii()) {
            return self.push(TokenKind::Text(name.to_owned()));
        }
        self.letters(name);
    }

    /// The letters that stand here; in text, also what joins two words to one.
    fn letters_here(&self) -> String {
        let rest = &self.characters[self.at..];
        let joins = |at: usize| {
            self.in_text
                && matches!(rest[at], '\'' | '’' | '-')
                && rest.get(at + 1).is_some_and(|next| next.is_alphabetic())
        };
        let end = (0..rest.len()).find(|&at| !rest[at].is_alphabetic() && !joins(at));
        rest[..end.unwrap_or(rest.len())].iter().collect()
    }

    /// Whether letters behind a value are a word or a unit in this way to read.
    fn is_word_behind_value(&self, word: &str, operator_follows: bool) -> bool {
        if self.way.letters == Letters::Variables || !self.last_is_value() {
            return false;
        }
        match word.chars().count() {
            1 => self.way.letters == Letters::Units && units::is_short(word) && !operator_follows,
            _ if NAMES.contains(&word) => units::is_known(word) && !operator_follows,
            _ => units::is_known(word) || words::is_word(word) && !operator_follows,
        }
    }

    /// Whether a `/` behind a unit is the last token: `miles/hour`.
    fn divides_unit(&self) -> bool {
        let mut last = self.tokens.iter().rev().map(|token| &token.kind);
        last.next() == Some(&TokenKind::Mark('/'))
            && matches!(last.next(), Some(TokenKind::Text(_)))
    }

    fn letters(&mut self, word: &str) {
        for letter in word.chars() {
            let name = if letter == 'π' {
                "pi".to_owned()
            } else {
                letter.to_string()
            };
            self.push(TokenKind::Name(name));
        }
    }

    fn last_is_value(&self) -> bool {
        let last = self.tokens.last().map(|token| &token.kind);
        matches!(
            last,
            Some(TokenKind::Number(_) | TokenKind::Mark(')' | '}'))
        )
    }
}
