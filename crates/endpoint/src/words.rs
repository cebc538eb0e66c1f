//! What a server says when it does not do what it was asked, in its own words.

use serde_json::{Map, Value};

use crate::secrets::Secrets;

/// Most characters of a server's words that a message repeats.
const QUOTED: usize = 500;

/// Where servers and proxies put words, what says more first: OpenAI
/// `{"error": {"message", "code"}}`, FastChat `{"object": "error", "message"}`,
/// FastAPI `{"detail"}` and its lists of `{"loc", "msg"}`, RFC 9457
/// `{"title", "detail"}`, OpenRouter `{"metadata": {"raw"}}`.
const PLACES: [&str; 15] = [
    "error",
    "errors",
    "title",
    "message",
    "msg",
    "detail",
    "error_message",
    "errorMessage",
    "error_description",
    "description",
    "reason",
    "status_message",
    "metadata",
    "raw",
    "cause",
];

/// The words of a body of any kind, on one line; empty where there are none.
pub(crate) fn words(body: &[u8], secrets: &Secrets) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    let said = match serde_json::from_str::<Value>(text) {
        Ok(value) => spoken(&value).unwrap_or_else(|| text.to_owned()),
        Err(_) if text.starts_with('<') => page(text),
        Err(_) => text.to_owned(),
    };
    let said = secrets.hide(&said);
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// As much of a server's words as a message repeats.
pub(crate) fn quoted(words: &str) -> String {
    match words.char_indices().nth(QUOTED) {
        _ if words.is_empty() => "(nothing further)".into(),
        None => words.into(),
        Some((end, _)) => format!("{}...", &words[..end]),
    }
}

/// The words inside of an answer in one of the shapes that servers use.
pub(crate) fn spoken(answer: &Value) -> Option<String> {
    match answer {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Value::Array(items) => {
            let said: Vec<String> = items.iter().filter_map(spoken).collect();
            (!said.is_empty()).then(|| said.join("; "))
        }
        Value::Object(object) => spoken_object(object),
        _ => None,
    }
}

fn spoken_object(object: &Map<String, Value>) -> Option<String> {
    let mut said = String::new();
    for place in PLACES {
        let Some(words) = object.get(place).and_then(spoken) else {
            continue;
        };
        if said.is_empty() {
            said = words;
        } else if !said.contains(&words) {
            said += &format!(": {words}");
        }
    }
    if said.is_empty() {
        return None;
    }
    if let Some(Value::Array(place)) = object.get("loc") {
        let place = place.iter().map(|part| match part {
            Value::String(name) => name.clone(),
            other => other.to_string(),
        });
        said = format!("{}: {said}", place.collect::<Vec<_>>().join("."));
    }
    if let Some(Value::String(code)) = object.get("code")
        && !said.contains(code.as_str())
    {
        said += &format!(" ({code})");
    }
    Some(said)
}

/// The title of an HTML page, or else its text.
fn page(html: &str) -> String {
    let lower = html.to_ascii_lowercase();
    let title = lower.find("<title").and_then(|begin| {
        let begin = begin + lower[begin..].find('>')? + 1;
        let end = begin + lower[begin..].find("</title")?;
        let title = html[begin..end].trim();
        (!title.is_empty()).then(|| title.to_owned())
    });
    let text = title.unwrap_or_else(|| {
        let mut is_tag = false;
        let is_text = |c: &char| {
            let was_tag = is_tag;
            is_tag = (is_tag || *c == '<') && *c != '>';
            !was_tag && !is_tag
        };
        html.chars().filter(is_text).collect()
    });
    match text.trim() {
        "" => "an HTML page".into(),
        text => format!("an HTML page: {text}"),
    }
}

/// The HTTP status that an error inside of a body stands for, if it tells one:
/// a number, also FastChat's of five digits, or one of OpenAI's words for a
/// request that is wrong.
pub(crate) fn status_inside(answer: &Value) -> Option<u16> {
    let error = answer.get("error").filter(|error| error.is_object());
    let object = error.unwrap_or(answer).as_object()?;
    let places = ["code", "status", "status_code", "http_code", "type"];
    let told = places.iter().filter_map(|place| object.get(*place));
    told.into_iter().find_map(|value| {
        let number = match value {
            Value::Number(number) => number.as_u64()?,
            Value::String(text) => match text.parse() {
                Ok(number) => number,
                Err(_) => return is_wrong_request(text).then_some(400),
            },
            _ => return None,
        };
        match number {
            400..=599 => u16::try_from(number).ok(),
            // Its 403 is a context that is full or a value out of range.
            40_300..=40_399 => Some(400),
            40_000..=59_999 => u16::try_from(number / 100).ok(),
            _ => None,
        }
    })
}

fn is_wrong_request(word: &str) -> bool {
    let word = word.to_lowercase();
    word.starts_with("invalid_request")
        || word.contains("context_length")
        || word == "badrequesterror"
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(body: &str) -> String {
        words(body.as_bytes(), &Secrets::new(["sk-12345".to_owned()]))
    }

    #[test]
    fn the_servers_words_are_found_in_every_shape() {
        for (body, words) in [
            (
                r#"{"error": {"message": "bad key", "code": "invalid_api_key"}}"#,
                "bad key (invalid_api_key)",
            ),
            (r#"{"error": {"message": "no", "code": 400}}"#, "no"),
            (r#"{"error": "worker is dead"}"#, "worker is dead"),
            (
                r#"{"object": "error", "message": "too long", "code": 400}"#,
                "too long",
            ),
            (r#"{"detail": "Not Found"}"#, "Not Found"),
            (
                r#"{"detail": [{"type": "extra", "loc": ["body", "top_k"], "msg": "not permitted"},
                    {"loc": ["body", "stop", 0], "msg": "too long"}]}"#,
                "body.top_k: not permitted; body.stop.0: too long",
            ),
            (
                r#"{"detail": [{"loc": ["body"]}]}"#,
                r#"{"detail": [{"loc": ["body"]}]}"#,
            ),
            (r#"{"detail": {"error": {"message": "deep"}}}"#, "deep"),
            (
                r#"{"error": "Bad Request", "message": "top_k is unknown", "status": 400}"#,
                "Bad Request: top_k is unknown",
            ),
            (
                r#"{"error": {"message": "Provider returned error", "metadata": {"raw": "no room"}}}"#,
                "Provider returned error: no room",
            ),
            (r#"[{"error": {"message": "in a list"}}]"#, "in a list"),
            (r#"{"error": true, "message": "said"}"#, "said"),
            ("plain\n  text", "plain text"),
            ("\u{feff}{\"message\": \"marked\"}", "marked"),
            ("<html>\n  Bad\n Gateway", "an HTML page: Bad Gateway"),
            (
                "<!doctype html><head><TITLE lang=en> 502 Bad\nGateway</TITLE></head><p>nginx",
                "an HTML page: 502 Bad Gateway",
            ),
            ("<html></html>", "an HTML page"),
            (r#"{"error": "no key sk-12345"}"#, "no key ***"),
            ("", ""),
        ] {
            assert_eq!(said(body), words);
        }
        let long = "é".repeat(2000);
        assert_eq!(quoted(&said(&long)).chars().count(), QUOTED + 3);
        assert_eq!(quoted(""), "(nothing further)");
    }

    #[test]
    fn the_status_inside_of_a_body_is_read() {
        for (body, status) in [
            (json!({"error": {"message": "m", "code": 529}}), Some(529)),
            (json!({"error": {"message": "m", "code": "429"}}), Some(429)),
            (json!({"object": "error", "code": 40303}), Some(400)),
            (json!({"object": "error", "code": 42903}), Some(429)),
            (json!({"object": "error", "code": 50002}), Some(500)),
            (
                json!({"error": {"type": "invalid_request_error"}}),
                Some(400),
            ),
            (
                json!({"error": {"code": "context_length_exceeded"}}),
                Some(400),
            ),
            (json!({"error": {"message": "busy"}}), None),
            (json!({"error": "busy"}), None),
            (json!({"detail": "no"}), None),
            (json!([]), None),
        ] {
            assert_eq!(status_inside(&body), status, "{body}");
        }
    }
}
