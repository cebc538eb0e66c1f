//! Methods of strings, dictionaries, lists and what else has some.

use crate::arguments::{Given, flag, int, required};
use crate::error::{Result, fail};
use crate::interpreter::Interpreter;
use crate::text::{capitalized, is_cased, is_printable, is_space, lines, titled};
use crate::value::{Text, Value, View};

pub(crate) const METHODS_OF_TEXT: [&str; 47] = [
    "capitalize",
    "casefold",
    "center",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "maketrans",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "translate",
    "upper",
    "zfill",
];
pub(crate) const METHODS_OF_DICT: [&str; 6] =
    ["copy", "fromkeys", "get", "items", "keys", "values"];
pub(crate) const METHODS_OF_LIST: [&str; 3] = ["copy", "count", "index"];
pub(crate) const METHODS_OF_TUPLE: [&str; 2] = ["count", "index"];

impl<'t> Interpreter<'t> {
    pub(crate) fn method(&mut self, value: &Value, name: &str, given: Given) -> Result<Value> {
        self.budget.spend(1)?;
        match value {
            Value::Text(text) => {
                self.budget.read(text.text.len())?;
                let result = self.text_method(text, name, given)?;
                if text.safe {
                    marked(result)
                } else {
                    Ok(result)
                }
            }
            Value::Dict(dict) => match name {
                "get" => {
                    let [key, default] = given.in_order("get", 1)?;
                    let found = dict.get(&required(key, "get", "key")?)?.cloned();
                    Ok(found.or(default).unwrap_or(Value::None))
                }
                "fromkeys" => fail!("fromkeys is not supported in chat templates"),
                _ => {
                    let [] = given.in_order(name, 0)?;
                    Ok(match name {
                        "keys" => Value::View(View::Keys, dict.clone()),
                        "values" => Value::View(View::Values, dict.clone()),
                        "items" => Value::View(View::Items, dict.clone()),
                        _ => value.clone(),
                    })
                }
            },
            Value::List(list) | Value::Tuple(list) => {
                if name == "copy" {
                    return Ok(value.clone());
                }
                let [wanted, start, stop] = given.in_order(name, 1)?;
                let wanted = required(wanted, name, "value")?;
                let len = list.items.len();
                let (from, to) = if name == "index" {
                    span(len, start, stop)?
                } else {
                    (0, len)
                };
                let mut count = 0;
                for (index, item) in list.items.iter().enumerate().take(to).skip(from) {
                    if self.equal(item, &wanted)? {
                        if name == "index" {
                            return Ok(Value::Int(index as i128));
                        }
                        count += 1;
                    }
                }
                if name == "index" {
                    let wanted = self.repr(&wanted)?;
                    fail!("{wanted} is not in list");
                }
                Ok(Value::Int(count))
            }
            Value::Range(_) => {
                let items = self.iterate(value)?;
                let list = Value::list(items)?;
                self.method(&list, name, given)
            }
            Value::Loop(state) => self.loop_method(state, name, given),
            Value::Cycler(cycler) => {
                let at = cycler.1.get();
                if name == "reset" {
                    cycler.1.set(0);
                    return Ok(Value::None);
                }
                cycler.1.set((at + 1) % cycler.0.len());
                Ok(cycler.0[at].clone())
            }
            Value::Float(number) if name == "is_integer" => {
                Ok(Value::Bool(number.is_finite() && number.fract() == 0.0))
            }
            Value::Int(_) | Value::Bool(_) if name == "bit_length" => {
                let bits = 128 - value.as_int().unwrap_or(0).unsigned_abs().leading_zeros();
                Ok(Value::Int(i128::from(bits)))
            }
            other => Ok(other.clone()),
        }
    }

    fn text_method(&mut self, value: &Text, name: &str, given: Given) -> Result<Value> {
        let text = &*value.text;
        match name {
            "strip" | "lstrip" | "rstrip" => {
                let [chars] = given.in_order(name, 0)?;
                let (left, right) = (name != "rstrip", name != "lstrip");
                Ok(Value::text(stripped(text, chars.as_ref(), left, right)?))
            }
            "split" | "rsplit" => self.split(text, name, given),
            "splitlines" => {
                let [keep] = given.bind(name, ["keepends"])?;
                let lines = lines(text, flag(keep));
                self.texts(lines)
            }
            "startswith" | "endswith" => {
                let [affix, start, stop] = given.in_order(name, 1)?;
                self.has_affix(text, name, required(affix, name, "prefix")?, start, stop)
            }
            "replace" => {
                let [old, new, count] = given.in_order(name, 2)?;
                let (old, new) = (a_text(old, name)?, a_text(new, name)?);
                let count = int(count, -1, "count")?;
                self.replaced(text, &old, &new, count).map(Value::text)
            }
            "find" | "rfind" | "index" | "rindex" | "count" => self.found(text, name, given),
            "join" => {
                let [items] = given.in_order(name, 1)?;
                let mut out = String::new();
                let items = self.iterate(&required(items, name, "iterable")?)?;
                for (index, item) in items.iter().enumerate() {
                    let Value::Text(item) = item else {
                        fail!(
                            "sequence item {index}: expected str instance, {} found",
                            item.kind()
                        );
                    };
                    self.budget.allocate(text.len() + item.text.len())?;
                    if index > 0 {
                        out.push_str(text);
                    }
                    out.push_str(&item.text);
                }
                Ok(Value::text(out))
            }
            "format" => self.format_text(text, given).map(Value::text),
            "format_map" => {
                let [map] = given.in_order(name, 1)?;
                let Some(Value::Dict(dict)) = map else {
                    fail!("format_map takes a dictionary");
                };
                let mut given = Given::default();
                for (key, value) in dict.entries() {
                    if let Value::Text(key) = key {
                        given.named.push((key.text.clone(), value.clone()));
                    }
                }
                self.format_text(text, given).map(Value::text)
            }
            "partition" | "rpartition" => {
                let [separator] = given.in_order(name, 1)?;
                let separator = a_text(separator, name)?;
                if separator.is_empty() {
                    fail!("empty separator");
                }
                let parts = if name == "partition" {
                    text.split_once(&*separator)
                } else {
                    text.rsplit_once(&*separator)
                };
                let parts = match parts {
                    Some((before, after)) => [before, &separator, after],
                    None if name == "partition" => [text, "", ""],
                    None => ["", "", text],
                };
                self.budget.allocate(text.len())?;
                Value::tuple(parts.into_iter().map(Value::text).collect())
            }
            "removeprefix" | "removesuffix" => {
                let [affix] = given.in_order(name, 1)?;
                let affix = a_text(affix, name)?;
                let rest = if name == "removeprefix" {
                    text.strip_prefix(&*affix)
                } else {
                    text.strip_suffix(&*affix)
                };
                Ok(Value::text(rest.unwrap_or(text)))
            }
            "center" | "ljust" | "rjust" => {
                let [width, fill] = given.in_order(name, 1)?;
                let width = int(Some(required(width, name, "width")?), 0, "width")?;
                let fill = match fill {
                    None => ' ',
                    Some(fill) => match fill.as_text().map(|text| text.chars().collect::<Vec<_>>())
                    {
                        Some(chars) if chars.len() == 1 => chars[0],
                        _ => fail!("The fill character must be exactly one character long"),
                    },
                };
                let (left, right) = (name != "ljust", name != "rjust");
                self.padded(text, width, fill, left, right).map(Value::text)
            }
            "zfill" => {
                let [width] = given.in_order(name, 1)?;
                let width = int(Some(required(width, name, "width")?), 0, "width")?;
                let (sign, digits) = match text.strip_prefix(['+', '-']) {
                    Some(digits) => text.split_at(text.len() - digits.len()),
                    None => ("", text),
                };
                let width = width - sign.len() as i128;
                let padded = self.padded(digits, width, '0', true, false)?;
                Ok(Value::text(sign.to_owned() + &padded))
            }
            "expandtabs" => {
                let [size] = given.bind(name, ["tabsize"])?;
                let size = usize::try_from(int(size, 8, "tabsize")?.max(0)).unwrap_or(usize::MAX);
                self.expanded(text, size)
            }
            "encode" | "translate" | "maketrans" => {
                fail!("the method '{name}' of strings is not supported in chat templates")
            }
            _ => {
                let [] = given.in_order(name, 0)?;
                self.budget.allocate(text.len())?;
                Ok(changed(text, name).unwrap_or_else(|| Value::Bool(is_all(text, name))))
            }
        }
    }

    fn texts(&mut self, texts: Vec<&str>) -> Result<Value> {
        self.budget.items(texts.len())?;
        self.budget
            .allocate(texts.iter().map(|text| text.len()).sum())?;
        Value::list(texts.into_iter().map(Value::text).collect())
    }

    fn split(&mut self, text: &str, name: &str, given: Given) -> Result<Value> {
        let [separator, most] = given.bind(name, ["sep", "maxsplit"])?;
        let most = usize::try_from(int(most, -1, "maxsplit")?).unwrap_or(usize::MAX);
        let count = most.saturating_add(1);
        let parts: Vec<&str> = match separator {
            None | Some(Value::None) => words(text, most, name == "rsplit"),
            Some(separator) => {
                let separator = a_text(Some(separator), name)?;
                if separator.is_empty() {
                    fail!("empty separator");
                }
                self.budget.items(text.matches(&*separator).count() + 1)?;
                if name == "split" {
                    text.splitn(count, &*separator).collect()
                } else {
                    let mut parts: Vec<&str> = text.rsplitn(count, &*separator).collect();
                    parts.reverse();
                    parts
                }
            }
        };
        self.texts(parts)
    }

    fn has_affix(
        &mut self,
        text: &str,
        name: &str,
        affix: Value,
        start: Option<Value>,
        stop: Option<Value>,
    ) -> Result<Value> {
        let part = match (&start, &stop) {
            (None, None) => Some(text),
            _ => part(text, start, stop)?,
        };
        let affixes = match &affix {
            Value::Text(_) => vec![affix],
            Value::Tuple(list) => list.items.clone(),
            other => fail!(
                "{name} first arg must be str or a tuple of str, not {}",
                other.kind()
            ),
        };
        for affix in affixes {
            let Value::Text(affix) = affix else {
                fail!(
                    "tuple for {name} must only contain str, not {}",
                    affix.kind()
                );
            };
            let has = part.is_some_and(|part| {
                if name == "startswith" {
                    part.starts_with(&*affix.text)
                } else {
                    part.ends_with(&*affix.text)
                }
            });
            if has {
                return Ok(Value::Bool(true));
            }
        }
        Ok(Value::Bool(false))
    }

    fn found(&mut self, text: &str, name: &str, given: Given) -> Result<Value> {
        let [wanted, start, stop] = given.in_order(name, 1)?;
        let wanted = a_text(wanted, name)?;
        let before = match &start {
            None => 0,
            Some(_) => span(text.chars().count(), start.clone(), None)?.0,
        };
        let part = part(text, start, stop)?;
        if name == "count" {
            let count = part.map_or(0, |part| match wanted.is_empty() {
                true => part.chars().count() + 1,
                false => part.matches(&*wanted).count(),
            });
            return Ok(Value::Int(count as i128));
        }
        let at = part.and_then(|part| {
            let at = if name.starts_with('r') {
                part.rfind(&*wanted)
            } else {
                part.find(&*wanted)
            };
            at.map(|at| part[..at].chars().count() + before)
        });
        match at {
            Some(at) => Ok(Value::Int(at as i128)),
            None if name.ends_with("find") => Ok(Value::Int(-1)),
            None => fail!("substring not found"),
        }
    }

    fn expanded(&mut self, text: &str, size: usize) -> Result<Value> {
        let tabs = text.matches('\t').count();
        self.budget
            .allocate(text.len().saturating_add(tabs.saturating_mul(size)))?;
        let mut out = String::new();
        let mut column = 0;
        for c in text.chars() {
            match c {
                '\t' if size > 0 => {
                    let spaces = size - column % size;
                    out.extend(std::iter::repeat_n(' ', spaces));
                    column += spaces;
                }
                '\t' => {}
                c => {
                    out.push(c);
                    column = if matches!(c, '\n' | '\r') {
                        0
                    } else {
                        column + 1
                    };
                }
            }
        }
        Ok(Value::text(out))
    }
}

/// What is made of a text that is marked safe, marked as well.
fn marked(made: Value) -> Result<Value> {
    let all = |items: &[Value]| items.iter().cloned().map(marked).collect::<Result<_>>();
    match made {
        Value::Text(text) => Ok(Value::Text(Text { safe: true, ..text })),
        Value::List(list) => Value::list(all(&list.items)?),
        Value::Tuple(list) => Value::tuple(all(&list.items)?),
        other => Ok(other),
    }
}

/// An argument that must be a string.
fn a_text(value: Option<Value>, function: &str) -> Result<std::sync::Arc<str>> {
    match value {
        Some(Value::Text(text)) => Ok(text.text),
        Some(other) => fail!("{function} takes a str, not '{}'", other.kind()),
        None => fail!("{function} misses an argument"),
    }
}

/// `str.strip` and its like, for characters or, without any, white space.
pub(crate) fn stripped<'s>(
    text: &'s str,
    chars: Option<&Value>,
    left: bool,
    right: bool,
) -> Result<&'s str> {
    let chars: Option<Vec<char>> = match chars {
        None | Some(Value::None) => None,
        Some(Value::Text(chars)) => Some(chars.text.chars().collect()),
        Some(other) => fail!("strip arg must be None or str, not {}", other.kind()),
    };
    let goes = |c: char| match &chars {
        None => is_space(c),
        Some(chars) => chars.contains(&c),
    };
    let text = if left {
        text.trim_start_matches(goes)
    } else {
        text
    };
    Ok(if right {
        text.trim_end_matches(goes)
    } else {
        text
    })
}

/// The bounds of a part, as slices count them.
fn span(len: usize, start: Option<Value>, stop: Option<Value>) -> Result<(usize, usize)> {
    let bound = |value: Option<Value>, default: i128| -> Result<i128> {
        let number = match value {
            Some(Value::None) => default,
            value => int(value, default, "an index")?,
        };
        let number = if number < 0 {
            (number + len as i128).max(0)
        } else {
            number
        };
        Ok(number)
    };
    let start = bound(start, 0)?;
    let stop = bound(stop, len as i128)?.min(len as i128);
    let size = |number: i128| usize::try_from(number).unwrap_or(usize::MAX);
    Ok((size(start), size(stop)))
}

/// A part of a text; `None` where it begins behind the end.
fn part(text: &str, start: Option<Value>, stop: Option<Value>) -> Result<Option<&str>> {
    let (start, stop) = span(text.chars().count(), start, stop)?;
    let mut bounds = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    let Some(from) = bounds.nth(start) else {
        return Ok(None);
    };
    if stop < start {
        return Ok(None);
    }
    let to = match stop - start {
        0 => from,
        more => bounds.nth(more - 1).unwrap_or(text.len()),
    };
    Ok(Some(&text[from..to]))
}

/// Words between white space; behind `most` splits, the rest is one.
fn words(text: &str, most: usize, from_right: bool) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        rest = if from_right {
            rest.trim_end_matches(is_space)
        } else {
            rest.trim_start_matches(is_space)
        };
        if rest.is_empty() {
            break;
        }
        if words.len() == most {
            words.push(if from_right {
                rest.trim_end_matches(is_space)
            } else {
                rest
            });
            break;
        }
        if from_right {
            let at = rest
                .char_indices()
                .rev()
                .find(|(_, c)| is_space(*c))
                .map_or(0, |(at, c)| at + c.len_utf8());
            words.push(&rest[at..]);
            rest = &rest[..at];
        } else {
            let at = rest.find(is_space).unwrap_or(rest.len());
            words.push(&rest[..at]);
            rest = &rest[at..];
        }
    }
    if from_right {
        words.reverse();
    }
    words
}

/// Methods that give another text.
fn changed(text: &str, name: &str) -> Option<Value> {
    Some(Value::text(match name {
        "upper" => text.to_uppercase(),
        "lower" => text.to_lowercase(),
        "casefold" => text.to_lowercase().replace('ß', "ss").replace('ς', "σ"),
        "capitalize" => capitalized(text),
        "title" => titled(text),
        "swapcase" => text
            .chars()
            .map(|c| {
                if c.is_uppercase() {
                    c.to_lowercase().collect::<String>()
                } else {
                    c.to_uppercase().collect()
                }
            })
            .collect(),
        _ => return None,
    }))
}

/// Methods that ask what a text is made of.
fn is_all(text: &str, name: &str) -> bool {
    let some = !text.is_empty();
    match name {
        "isascii" => text.is_ascii(),
        "isprintable" => text.chars().all(is_printable),
        "isspace" => some && text.chars().all(is_space),
        "isalpha" => some && text.chars().all(is_letter),
        "isdecimal" => some && text.chars().all(is_decimal),
        "isdigit" => some && text.chars().all(is_digit),
        "isnumeric" => some && text.chars().all(|c| c.is_numeric() || NUMERALS.contains(c)),
        "isalnum" => some && text.chars().all(|c| is_letter(c) || c.is_numeric()),
        "islower" => text.chars().any(is_cased) && !text.chars().any(char::is_uppercase),
        "isupper" => text.chars().any(is_cased) && !text.chars().any(char::is_lowercase),
        "istitle" => text.chars().any(is_cased) && titled(text) == text,
        _ => {
            let mut chars = text.chars();
            chars.next().is_some_and(|c| is_letter(c) || c == '_')
                && chars.all(|c| c.is_alphanumeric() || c == '_')
        }
    }
}

/// Chinese characters for numbers.
const NUMERALS: &str = "〇一二三四五六七八九十百千万亿億兆零壹贰叁肆伍陆柒捌玖拾佰仟兩两";

/// Letters; numbers written as letters are none.
fn is_letter(c: char) -> bool {
    c.is_alphabetic() && !c.is_numeric()
}

/// Digits of some script, from which numbers are made.
fn is_decimal(c: char) -> bool {
    // Every script has its ten digits in a row, and the first row is ASCII's.
    const ZEROS: [u32; 28] = [
        0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66,
        0xde6, 0xe50, 0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90,
        0x1b50, 0xa620, 0xff10,
    ];
    let code = c as u32;
    ZEROS.iter().any(|zero| (*zero..zero + 10).contains(&code))
}

/// Decimals, and digits that stand raised, lowered or in circles.
fn is_digit(c: char) -> bool {
    is_decimal(c)
        || matches!(c, '²' | '³' | '¹' | '\u{2070}' | '\u{2074}'..='\u{2079}' | '\u{2080}'..='\u{2089}')
        || matches!(c, '\u{2460}'..='\u{2468}' | '\u{2474}'..='\u{247c}' | '\u{2488}'..='\u{2490}')
}
