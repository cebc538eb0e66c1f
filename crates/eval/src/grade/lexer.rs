//! Splits a formula, LaTeX or plain, into tokens.

use super::expression::Relation;

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
pub(super) const NAMES: [&str; 37] = [
    "arcsinh", "arccosh", "arctanh", "arcsin", "arccos", "arctan", "arccot", "arcsec", "arccsc",
    "asin", "acos", "atan", "sinh", "cosh", "tanh", "coth", "sin", "cos", "tan", "cot", "sec",
    "csc", "log", "ln", "lg", "exp", "sqrt", "cbrt", "abs", "max", "min", "gcd", "lcm", "floor",
    "ceil", "pi", "infinity",
];

/// Units that are shorter than words.
const SHORT_UNITS: [&str; 26] = [
    "mm", "cm", "dm", "m", "km", "in", "ft", "yd", "mi", "g", "mg", "kg", "lb", "lbs", "oz", "ml",
    "mL", "L", "s", "sec", "min", "h", "hr", "am", "pm", "mph",
];

/// Commands whose group is text.
const TEXT_COMMANDS: [&str; 16] = [
    "text",
    "textbf",
    "textit",
    "textrm",
    "textsf",
    "texttt",
    "textnormal",
    "mbox",
    "hbox",
    "mathrm",
    "mathbf",
    "mathit",
    "mathsf",
    "mathtt",
    "mathcal",
    "operatorname",
];

/// Commands that only change how things look.
const LOOKS: [&str; 22] = [
    "left",
    "right",
    "big",
    "Big",
    "bigg",
    "Bigg",
    "bigl",
    "bigr",
    "Bigl",
    "Bigr",
    "biggl",
    "biggr",
    "displaystyle",
    "textstyle",
    "limits",
    "rm",
    "bf",
    "it",
    "phantom",
    "mathstrut",
    "middle",
    "boldsymbol",
];

/// Splits `text`. Nothing is refused here.
pub(super) fn tokens(text: &str, commas: Commas) -> Vec<Token> {
    let mut lexer = Lexer {
        characters: text.chars().collect(),
        at: 0,
        depth: 0,
        matrices: 0,
        commas,
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
    commas: Commas,
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
            '$' | '€' | '£' | '¥' | '\u{200b}' => {}
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
            '°' => self.push(TokenKind::Text("degrees".to_owned())),
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
            Some(',') => self.commas == Commas::Decimal && self.depth == 0,
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
        let plain = self.commas == Commas::Thousands && self.depth == 0;
        (plain && rest.starts_with([',', ' '])).then_some(1)
    }

    fn word(&mut self) {
        let rest = &self.characters[self.at..];
        let word: String = rest.iter().take_while(|c| c.is_alphabetic()).collect();
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
            _ => {}
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
        let unit = behind_number && SHORT_UNITS.contains(&name) && (self.spaced || length > 1);
        let operator_follows = {
            let next = self.characters[self.at..]
                .iter()
                .find(|c| !c.is_whitespace());
            next.is_some_and(|next| "+-*/^_(=<>'".contains(*next))
        };
        if unit || length >= 3 && apart && (!operator_follows || !name.is_ascii()) {
            return self.push(TokenKind::Text(name.to_owned()));
        }
        self.letters(name);
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

    /// What stands behind a backslash.
    fn command(&mut self) {
        let rest = &self.characters[self.at..];
        let mut name: String = rest
            .iter()
            .take_while(|c| c.is_ascii_alphabetic())
            .collect();
        if name.is_empty() {
            return self.escaped();
        }
        self.at += name.len();
        // `\quadx`: a missing space.
        for spacing in ["qquad", "quad"] {
            if name.starts_with(spacing) {
                self.at -= name.len() - spacing.len();
                name.truncate(spacing.len());
            }
        }
        match name.as_str() {
            "quad" | "qquad" | "enspace" | "thinspace" => self.spaced = true,
            "begin" | "end" => {
                let environment = self.group();
                let environment = environment.trim_end_matches('*').to_owned();
                if name == "begin" {
                    self.matrices += 1;
                    self.push(TokenKind::Begin(environment));
                } else {
                    self.matrices = self.matrices.saturating_sub(1);
                    self.push(TokenKind::End(environment));
                }
            }
            "boxed" | "fbox" => {}
            name if TEXT_COMMANDS.contains(&name) && self.group_opens() => {
                let content = self.group();
                self.text(&content, name == "operatorname");
            }
            name if LOOKS.contains(&name) => {
                // `\left.` is no bracket.
                if matches!(name, "left" | "right") && self.peek(0) == Some('.') {
                    self.at += 1;
                }
            }
            _ => {
                let kind =
                    relation_command(&name).map_or(TokenKind::Command(name), TokenKind::Relation);
                self.push(kind);
            }
        }
    }

    /// A backslash and a character that is no letter.
    fn escaped(&mut self) {
        let Some(character) = self.peek(0) else {
            return; // a backslash at the end says nothing
        };
        self.at += 1;
        match character {
            '{' => {
                self.depth += 1;
                self.push(TokenKind::OpenSet);
            }
            '}' => {
                self.depth = self.depth.saturating_sub(1);
                self.push(TokenKind::CloseSet);
            }
            '%' => self.push(TokenKind::Percent),
            '\\' => {
                let letter = self.peek(0).is_some_and(|c| c.is_ascii_alphabetic());
                if letter && self.matrices == 0 {
                    // Escaped twice on its way here: `\\frac`.
                    self.command();
                } else {
                    self.push(TokenKind::RowBreak);
                }
            }
            '|' => self.push(TokenKind::Mark('|')),
            ',' | ';' | ':' | ' ' | '\n' | '>' => self.spaced = true,
            '!' | '(' | ')' | '[' | ']' | '$' => {}
            other => self.push(TokenKind::Mark(other)),
        }
    }

    fn group_opens(&self) -> bool {
        let mut rest = self.characters[self.at..].iter();
        rest.find(|c| !c.is_whitespace()) == Some(&'{')
    }

    /// The content of the group that opens here, and goes behind it.
    fn group(&mut self) -> String {
        while self.peek(0).is_some_and(char::is_whitespace) {
            self.at += 1;
        }
        if self.peek(0) != Some('{') {
            return String::new();
        }
        self.at += 1;
        let (mut depth, mut content) = (1, String::new());
        while let Some(character) = self.peek(0) {
            self.at += 1;
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            content.push(character);
        }
        content
    }

    /// The content of `\text{}` and its like.
    fn text(&mut self, content: &str, is_operator: bool) {
        let trimmed = content.trim();
        let plain = trimmed.trim_matches(|c: char| c == ',' || c.is_whitespace());
        let mut letters = plain.chars();
        let single = letters.next().filter(|_| letters.next().is_none());
        if let Some(letter) = single.filter(|c| c.is_alphabetic()) {
            let apart = self.spaced || content.len() > trimmed.len();
            if apart && self.last_is_value() {
                return self.push(TokenKind::Text(letter.to_string()));
            }
            return self.push(TokenKind::Name(letter.to_string()));
        }
        match plain {
            "" => self.spaced = true,
            "and" | "or" => self.push(TokenKind::Conjunction),
            "percent" | "%" | "\\%" | "pct" => self.push(TokenKind::Percent),
            name if NAMES.contains(&name) || is_operator => {
                self.push(TokenKind::Name(name.to_owned()));
            }
            number if number.chars().all(|c| c.is_ascii_digit() || c == '.') => {
                self.push(TokenKind::Number(number.to_owned()));
            }
            _ => {
                let ending = ["and", "or"].iter().find_map(|word| {
                    let rest = plain.strip_suffix(word)?;
                    rest.ends_with(char::is_whitespace).then(|| rest.trim())
                });
                self.push(TokenKind::Text(ending.unwrap_or(plain).to_owned()));
                if ending.is_some() {
                    self.push(TokenKind::Conjunction);
                }
            }
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

fn relation_command(name: &str) -> Option<Relation> {
    Some(match name {
        "le" | "leq" | "leqslant" | "leqq" => Relation::LessOrEqual,
        "ge" | "geq" | "geqslant" | "geqq" => Relation::GreaterOrEqual,
        "lt" => Relation::Less,
        "gt" => Relation::Greater,
        "ne" | "neq" => Relation::NotEqual,
        "approx" | "simeq" | "sim" | "cong" => Relation::Approximately,
        "equiv" => Relation::Equal,
        "in" => Relation::In,
        _ => return None,
    })
}
