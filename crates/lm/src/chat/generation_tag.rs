//! `{% generation %}`: the tag around the assistant's text.
//!
//! The template engine has no tags of one's own, so the tag is written as a
//! filter block inside of which variables are local, as they are in Hugging
//! Face's tag. Block tags stay block tags at the same place, so the rules for
//! white space around them (`-`, trimmed newlines) apply as they did.

/// The filter that stands for the tag.
pub(super) const FILTER: &str = "__generation";

/// Rewrites the tags in a template; also says whether there were any.
/// Comments, strings and raw blocks stay as they are.
pub(super) fn replace(source: &str) -> (String, bool) {
    let mut out = String::with_capacity(source.len() + 128);
    let mut found = false;
    let mut rest = source;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let end = match from.as_bytes().get(1) {
            Some(b'#') => from.find("#}").map(|end| end + 2),
            Some(b'{') => expression_end(from, "}}"),
            Some(b'%') => expression_end(from, "%}"),
            _ => Some(1),
        };
        // What does not end is the parser's business.
        let end = end.unwrap_or(from.len());
        let (piece, tail) = from.split_at(end);
        rest = tail;
        let Some(tag) = Tag::parse(piece) else {
            out.push_str(piece);
            continue;
        };
        match tag.body {
            "generation" => {
                found = true;
                let (left, right) = (tag.left, tag.right);
                out.push_str(&format!("{{%{left} filter {FILTER} %}}{{% with {right}%}}"));
            }
            "endgeneration" => {
                let (left, right) = (tag.left, tag.right);
                out.push_str(&format!("{{%{left} endwith %}}{{% endfilter {right}%}}"));
            }
            "raw" => {
                let end = raw_end(rest);
                out.push_str(piece);
                out.push_str(&rest[..end]);
                rest = &rest[end..];
            }
            _ => out.push_str(piece),
        }
    }
    out.push_str(rest);
    (out, found)
}

/// The tags and expressions of a template; comments and raw blocks are left out.
pub(super) fn tags(source: &str) -> impl Iterator<Item = &str> {
    let mut rest = source;
    std::iter::from_fn(move || {
        loop {
            let from = &rest[rest.find('{')?..];
            let end = match from.as_bytes().get(1) {
                Some(b'#') => from.find("#}").map(|end| end + 2),
                Some(b'{') => expression_end(from, "}}"),
                Some(b'%') => expression_end(from, "%}"),
                _ => Some(1),
            };
            let (piece, tail) = from.split_at(end.unwrap_or(from.len()));
            rest = tail;
            if Tag::parse(piece).is_some_and(|tag| tag.body == "raw") {
                rest = &rest[raw_end(rest)..];
            } else if piece.starts_with("{{") || piece.starts_with("{%") {
                return Some(piece);
            }
        }
    })
}

/// `{%- body +%}`, taken apart.
struct Tag<'a> {
    left: &'a str,
    body: &'a str,
    right: &'a str,
}

impl<'a> Tag<'a> {
    fn parse(piece: &'a str) -> Option<Self> {
        let inner = piece.strip_prefix("{%")?.strip_suffix("%}")?;
        let left = inner.find(|c| c != '-' && c != '+').unwrap_or(0).min(1);
        let (left, inner) = inner.split_at(left);
        let right = usize::from(inner.ends_with(['-', '+']));
        let (body, right) = inner.split_at(inner.len() - right);
        Some(Self {
            left,
            body: body.trim(),
            right,
        })
    }
}

/// Where a tag or expression ends, skipping string literals.
fn expression_end(from: &str, close: &str) -> Option<usize> {
    let bytes = from.as_bytes();
    let mut at = 2;
    let mut quote = None;
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(_), b'\\') => at += 1,
            (Some(open), byte) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, byte @ (b'"' | b'\'')) => quote = Some(byte),
            (None, _) if bytes[at..].starts_with(close.as_bytes()) => {
                return Some(at + close.len());
            }
            (None, _) => {}
        }
        at += 1;
    }
    None
}

/// Where the `{% endraw %}` in `text` begins, or the end of the text.
fn raw_end(text: &str) -> usize {
    text.match_indices("{%")
        .find(|(at, _)| {
            let end = text[*at..]
                .find("%}")
                .map_or(text.len(), |end| at + end + 2);
            Tag::parse(&text[*at..end]).is_some_and(|tag| tag.body == "endraw")
        })
        .map_or(text.len(), |(at, _)| at)
}
