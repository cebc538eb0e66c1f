//! Which models a server lists.

use serde_json::Value;

use crate::error::EndpointError;
use crate::http::{Failure, Http, Reply};
use crate::lenient;
use crate::words::{quoted, words};

/// Where a server lists its models.
pub(crate) const PATH: &str = "models";

/// Most bytes of a list; services have hundreds of models.
const LARGEST: u64 = 16 << 20;

/// Most names that a message repeats.
const NAMED: usize = 20;

/// What came of asking for the list.
#[derive(Debug, PartialEq)]
pub(crate) enum Listing {
    /// The models, at least one.
    Models(Vec<String>),
    /// There is none, for this reason.
    None(String),
}

/// Asks once.
///
/// # Errors
/// If nobody answers, or another time may be better, or nothing else will be
/// answered either.
pub(crate) fn list(http: &Http) -> Result<Listing, Failure> {
    let reply = match http.get(PATH, LARGEST) {
        Ok(reply) => reply,
        // It may be busy; it is there.
        Err(ureq::Error::Timeout(
            ureq::Timeout::RecvResponse | ureq::Timeout::RecvBody | ureq::Timeout::Global,
        )) => {
            return Err(Failure::passing(
                "the server does not list its models in time",
            ));
        }
        Err(error) => {
            return Err(match http.trouble(PATH, &error) {
                // Nobody is there, which is told at once.
                Failure::Passing { reason, .. } => Failure::Lasting(EndpointError::Unreachable {
                    url: http.place(PATH),
                    reason: reason + &http.past_proxy(),
                }),
                other => other,
            });
        }
    };
    match http.accepted(reply) {
        Ok(reply) => Ok(read(http, &reply)),
        Err(Failure::Refused { status, words, .. }) if is_without_list(status) => Ok(
            Listing::None(format!("the server answered {status}: {}", quoted(&words))),
        ),
        Err(failure) => Err(failure),
    }
}

/// Whether a server says that it has no list, and not that it has no answers.
fn is_without_list(status: u16) -> bool {
    matches!(status, 400 | 404..=406 | 410 | 422 | 501)
}

fn read(http: &Http, reply: &Reply) -> Listing {
    let text = String::from_utf8_lossy(&reply.body);
    let list = lenient::read(text.trim_start_matches('\u{feff}')).unwrap_or_default();
    let models = names(&list);
    if !models.is_empty() {
        return Listing::Models(models);
    }
    let is_empty = ["data", "models"]
        .iter()
        .any(|key| list[*key].as_array().is_some_and(Vec::is_empty));
    Listing::None(match words(&reply.body, &http.secrets) {
        _ if is_empty => "the server lists no models".into(),
        words if words.is_empty() => "the server's list of models is empty".into(),
        words => format!(
            "the server answered {} without a list of models: {}",
            reply.status,
            quoted(&words)
        ),
    })
}

/// Names as OpenAI lists them (`data[].id`), Ollama (`models[].name`), or in a bare
/// list.
fn names(list: &Value) -> Vec<String> {
    let lists = [&list["data"], &list["models"], list];
    let items = lists.into_iter().find_map(Value::as_array);
    let name = |model: &Value| {
        let named = ["id", "name", "model"].iter().map(|key| &model[*key]);
        let name = [model].into_iter().chain(named).find_map(Value::as_str);
        name.filter(|name| !name.is_empty()).map(str::to_owned)
    };
    items.into_iter().flatten().filter_map(name).collect()
}

/// Names for a message.
pub(crate) fn in_words(models: &[String]) -> String {
    let mut words = models[..models.len().min(NAMED)].join(", ");
    if models.len() > NAMED {
        words += &format!(" and {} more", models.len() - NAMED);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_found_in_every_form_of_a_list() {
        for list in [
            json!({"object": "list", "data": [{"id": "a", "object": "model"}, {"id": "b"}]}),
            json!({"models": [{"name": "a", "model": "x"}, {"model": "b"}]}),
            json!([{"id": "a"}, {"id": "b"}]),
            json!({"data": ["a", "b"]}),
        ] {
            assert_eq!(names(&list), ["a", "b"], "{list}");
        }
        for none in [
            json!({}),
            json!(null),
            json!({"data": [{"id": ""}]}),
            json!("a"),
        ] {
            assert!(names(&none).is_empty(), "{none}");
        }
        let many: Vec<String> = (0..30).map(|n| n.to_string()).collect();
        assert!(in_words(&many).ends_with("19 and 10 more"));
    }
}
