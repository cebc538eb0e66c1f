//! What to do about a server that does not do what it is asked.

use crate::error::EndpointError;
use crate::http::Http;
use crate::models;
use crate::words::quoted;

/// The error of a status, with what to do. `known` are the models that the server
/// lists.
pub(crate) fn error(
    http: &Http,
    path: &str,
    status: u16,
    words: &str,
    location: Option<&str>,
    known: &[String],
) -> EndpointError {
    EndpointError::Refused {
        url: http.place(path),
        status,
        message: quoted(words),
        remedy: remedy(path, status, words, location, known),
    }
}

fn remedy(
    path: &str,
    status: u16,
    words: &str,
    location: Option<&str>,
    known: &[String],
) -> String {
    match status {
        300..400 => match location {
            Some(place) => {
                let place = place.strip_suffix(path).unwrap_or(place);
                let place = place.trim_end_matches('/');
                format!("; it points to {place}: give --endpoint that address")
            }
            None => "; it points elsewhere: check the address".into(),
        },
        401 => "; set OPENAI_API_KEY to a key for this server, or name the variable that holds one with --api-key-env".into(),
        403 => "; the key is not allowed to do this, or the server does not let this prompt through".into(),
        404 => {
            let known = match known {
                [] => String::new(),
                _ => format!(". The server lists these models: {}", models::in_words(known)),
            };
            let chat = match path {
                "completions" => ". A server that only answers conversations needs --chat (in an evaluation: no --plain)",
                _ => "",
            };
            format!("; check the address, which mostly ends in /v1, and --model{known}{chat}")
        }
        405 => "; check the address, which mostly ends in /v1".into(),
        407 => "; the proxy wants a user and password: give them in its address, as in http://user:password@proxy:3128".into(),
        400 | 422 if words.contains("continue_final_message") => {
            "; this server cannot continue a message that has begun: give the prompts as text, \
             or leave out the prefix"
                .into()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_to_do() {
        let known = ["a".to_owned(), "b".to_owned()];
        let said = |path, status, place| remedy(path, status, "no", place, &known);
        assert!(said("completions", 401, None).contains("--api-key-env"));
        let unknown = said("completions", 404, None);
        assert!(
            unknown.contains("models: a, b") && unknown.contains("--chat"),
            "{unknown}"
        );
        assert!(!said("chat/completions", 404, None).contains("--chat"));
        let elsewhere = said("models", 308, Some("https://other/v1/models"));
        assert!(
            elsewhere.contains("to https://other/v1: give"),
            "{elsewhere}"
        );
    }
}
