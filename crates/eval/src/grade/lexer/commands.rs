//! Commands of LaTeX, and groups of text.

use super::{Lexer, NAMES, Relation, Token, TokenKind, units};

/// Commands whose group is text.
const TEXT_COMMANDS: [&str; 19] = [
    "text",
    "textbf",
    "textit",
    "textrm",
    "textsf",
    "texttt",
    "textsc",
    "textup",
    "textnormal",
    "emph",
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

impl Lexer {
    /// What stands behind a backslash.
    pub(super) fn command(&mut self) {
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
            "vert" | "Vert" => self.push(TokenKind::Mark('|')),
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
            '$' => self.push(TokenKind::Currency('$')),
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
            '!' | '(' | ')' | '[' | ']' => {}
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
            let last = self.tokens.last().map(|token| &token.kind);
            let is_number = |token: &Token| matches!(token.kind, TokenKind::Number(_));
            let alone = matches!(last, Some(TokenKind::Mark('{' | '/')))
                && units::is_short(plain)
                && self.tokens.iter().any(is_number);
            if alone || apart && self.last_is_value() {
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
            _ if plain.contains(|c: char| c.is_ascii_digit()) => self.within_text(plain),
            _ if !self.last_is_value() && is_listing(plain) => self.within_text(plain),
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

    /// Words, numbers and commas of a text.
    fn within_text(&mut self, text: &str) {
        let mut lexer = Lexer {
            characters: text.chars().collect(),
            at: 0,
            depth: self.depth,
            matrices: 0,
            way: self.way,
            in_text: true,
            single_dollar: true,
            spaced: self.spaced,
            tokens: std::mem::take(&mut self.tokens),
        };
        while lexer.step() {}
        self.tokens = lexer.tokens;
        self.spaced = lexer.spaced;
    }
}

/// Whether a text is several answers: `A, C`, `red and blue`.
fn is_listing(text: &str) -> bool {
    text.contains([',', ';']) || [" and ", " or "].iter().any(|word| text.contains(word))
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
