//! JSON as some servers write it.
//!
//! Python writes `NaN` and `-Infinity` as they stand, and half of a surrogate pair
//! where a text was cut within an emoji; neither is JSON.

use serde_json::Value;

/// Reads JSON in which numbers that are not finite are null and halves of surrogate
/// pairs are U+FFFD.
pub(crate) fn read(json: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(json).or_else(|_| serde_json::from_str(&repaired(json)))
}

/// A number that is whole, in whatever form it is told.
pub(crate) fn whole_number(value: &Value) -> Option<usize> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    let is_whole = number >= 0.0 && number.fract() == 0.0 && number < 1e15;
    is_whole.then_some(number as usize)
}

/// The answer without what a completion can do without.
pub(crate) fn without_log_probs(mut body: Value) -> Value {
    let choices = body["choices"].as_array_mut().into_iter().flatten();
    for choice in choices.filter_map(Value::as_object_mut) {
        choice.shift_remove("logprobs");
        choice.shift_remove("token_ids");
    }
    body
}

/// The objects of an event's data, which are mostly one; words that are none are
/// left out.
pub(crate) fn objects(data: &str) -> Vec<&str> {
    let data = data.trim();
    if !data.starts_with('{') {
        return Vec::new();
    }
    // Servers that leave out the empty line between events have several.
    if serde_json::from_str::<serde::de::IgnoredAny>(data).is_ok() || !data.contains("\n{") {
        return vec![data];
    }
    data.lines()
        .filter(|line| line.trim_start().starts_with('{'))
        .collect()
}

fn repaired(json: &str) -> String {
    let mut plain = String::with_capacity(json.len());
    let mut rest = json;
    let mut is_text = false;
    while let Some(at) = rest.find(|c: char| "\"\\NI-".contains(c) || c.is_ascii_digit()) {
        plain += &rest[..at];
        rest = &rest[at..];
        let (taken, put) = match rest.as_bytes()[0] {
            b'"' => {
                is_text = !is_text;
                (1, "\"")
            }
            b'\\' if is_text => escape(rest),
            _ if is_text => (1, &rest[..1]),
            _ => number(rest),
        };
        plain += put;
        rest = &rest[taken..];
    }
    plain + rest
}

/// The length of the number that a text begins with, and what it is kept as.
fn number(text: &str) -> (usize, &str) {
    let words = ["-Infinity", "Infinity", "NaN"];
    if let Some(word) = words.iter().find(|word| text.starts_with(**word)) {
        return (word.len(), "null");
    }
    let is_outside = |c: char| !c.is_ascii_digit() && !"+-.eE".contains(c);
    let end = text.find(is_outside).unwrap_or(text.len()).max(1);
    let value: f64 = text[..end].parse().unwrap_or_default();
    let kept = if value.is_finite() {
        &text[..end]
    } else {
        "null"
    };
    (end, kept)
}

/// The length of the escape that a text begins with, and what it is kept as.
fn escape(text: &str) -> (usize, &str) {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(digits, 16).ok()
    };
    match (unit(0), unit(6)) {
        (Some(0xD800..0xDC00), Some(0xDC00..0xE000)) => (12, &text[..12]),
        (Some(0xD800..0xE000), _) => (6, "\\ufffd"),
        // The quote or backslash that is escaped is no other's beginning.
        _ => match text.chars().nth(1) {
            Some(next) => (1 + next.len_utf8(), &text[..1 + next.len_utf8()]),
            None => (1, &text[..1]),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_that_are_not_finite_are_null_outside_of_texts() {
        let json = r#"{"a": [NaN, -Infinity, Infinity, 1e999, -1.5], "NaN \" -Infinity": "NaN\\"}"#;
        let value = json!({"a": [null, null, null, null, -1.5], "NaN \" -Infinity": "NaN\\"});
        assert_eq!(read(json).unwrap(), value);
    }

    #[test]
    fn halves_of_surrogate_pairs_are_replaced() {
        let json = r#"["4\ud83d", "\ud83d\ude00", "\ude00\n", "\\ud83d", "\ud83dé", "\ud83d\ud83d\ude00"]"#;
        let value = json!([
            "4\u{fffd}",
            "😀",
            "\u{fffd}\n",
            "\\ud83d",
            "\u{fffd}é",
            "\u{fffd}😀"
        ]);
        assert_eq!(read(json).unwrap(), value);
    }

    #[test]
    fn what_is_cut_off_stays_so() {
        for cut in [r#"{"a": NaN, "b"#, "[", r#"["\ud83"#, "\""] {
            assert!(read(cut).unwrap_err().is_eof(), "{cut}");
        }
        assert!(!read("<html>").unwrap_err().is_eof());
    }

    #[test]
    fn numbers_are_read_in_every_form() {
        assert_eq!(whole_number(&json!(2)), Some(2));
        assert_eq!(whole_number(&json!(2.0)), Some(2));
        assert_eq!(whole_number(&json!("2")), Some(2));
        for none in [json!(-1), json!(0.5), json!(null), json!("x"), json!(1e300)] {
            assert_eq!(whole_number(&none), None, "{none}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_json_is_read_as_it_is(text in "\\PC*", number in proptest::num::i64::ANY) {
            let value = json!({"text": text, "number": number});
            let read = serde_json::from_str::<Value>(&repaired(&value.to_string()));
            proptest::prop_assert_eq!(read.unwrap(), value);
        }

        #[test]
        fn nothing_makes_it_panic(text in "[\\\\\"ud8NI{}:é-]*") {
            let _ = read(&text);
        }
    }
}
