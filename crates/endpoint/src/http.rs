//! One exchange with a server, and what its outcome means for the next one.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use ureq::Agent;
use ureq::http::Response;
use ureq::tls::{RootCerts, TlsConfig};

use crate::backoff::retry_after;
use crate::error::EndpointError;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(20);

/// Most bytes of an answer.
const LARGEST: u64 = 256 << 20;

/// Most characters of a server's words that a message repeats.
const QUOTED: usize = 500;

/// A connection pool, and the key that goes with every request.
#[derive(Debug)]
pub(crate) struct Http {
    agent: Agent,
    authorization: Option<String>,
}

/// An answer of whatever status.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    retry_after: Option<Duration>,
    location: Option<String>,
}

/// Why an attempt brought no completion.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Asking again may help, after `asked` if the server says so.
    Passing {
        reason: String,
        asked: Option<Duration>,
    },
    /// Asking again will not help.
    Lasting(EndpointError),
}

impl Failure {
    pub(crate) fn passing(reason: impl Into<String>) -> Self {
        Self::Passing {
            reason: reason.into(),
            asked: None,
        }
    }
}

impl Http {
    /// `timeout` is for a whole exchange, the generation included; `kept` is the
    /// number of connections that stay open for the next request.
    pub(crate) fn new(timeout: Duration, kept: usize, key: Option<&str>) -> Self {
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier);
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A redirect of a POST would become a GET; the address is wrong.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(timeout))
            .timeout_connect(Some(CONNECT.min(timeout)))
            .max_idle_connections(kept)
            .max_idle_connections_per_host(kept)
            .user_agent(concat!("iwsft/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.build())
            .build();
        Self {
            agent: config.into(),
            authorization: key.map(|key| format!("Bearer {key}")),
        }
    }

    pub(crate) fn get(&self, url: &str) -> Result<Reply, ureq::Error> {
        let mut request = self.agent.get(url);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        read(request.call()?)
    }

    pub(crate) fn post(&self, url: &str, body: &str) -> Result<Reply, ureq::Error> {
        let mut request = self
            .agent
            .post(url)
            .header("content-type", "application/json")
            .header("accept", "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        read(request.send(body)?)
    }
}

fn read(mut response: Response<ureq::Body>) -> Result<Reply, ureq::Error> {
    let header = |name| {
        let value = response.headers().get(name);
        value.and_then(|value| value.to_str().ok().map(str::to_owned))
    };
    let retry_after = header("retry-after").and_then(|value| retry_after(&value, Timestamp::now()));
    let location = header("location");
    Ok(Reply {
        status: response.status().as_u16(),
        retry_after,
        location,
        body: response
            .body_mut()
            .with_config()
            .limit(LARGEST)
            .read_to_vec()?,
    })
}

/// Whether asking again can help with an exchange that failed.
pub(crate) fn trouble(url: &str, error: &ureq::Error) -> Failure {
    use ureq::Error;
    let reason = match error {
        Error::Io(error) => error.to_string(),
        error => error.to_string(),
    };
    match error {
        Error::BadUri(_) | Error::Http(_) => Failure::Lasting(EndpointError::Address {
            url: url.into(),
            reason,
        }),
        // Some of these arrive as input and output errors.
        _ if reason.contains("certificate") => Failure::Lasting(EndpointError::Certificate {
            url: url.into(),
            reason,
        }),
        Error::Tls(_) | Error::Rustls(_) | Error::InvalidProxyUrl => {
            Failure::Lasting(EndpointError::Unreachable {
                url: url.into(),
                reason,
            })
        }
        Error::Timeout(_) => {
            Failure::passing("no complete answer within the time limit (--timeout)")
        }
        _ => Failure::passing(reason),
    }
}

impl Reply {
    /// The reply if it is an answer; `models` is what the server is known to serve.
    pub(crate) fn accepted(self, url: &str, models: &[String]) -> Result<Self, Failure> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let message = self.message();
        if self.is_passing(&message) {
            return Err(Failure::Passing {
                reason: format!("the server answered {}: {message}", self.status),
                asked: self.retry_after,
            });
        }
        Err(Failure::Lasting(EndpointError::Refused {
            url: url.into(),
            status: self.status,
            remedy: self.remedy(models),
            message,
        }))
    }

    /// Whether the same request may succeed later.
    fn is_passing(&self, message: &str) -> bool {
        match self.status {
            // OpenAI says "too many requests" to an account without money, too.
            429 => {
                !message.contains("insufficient_quota") && !message.contains("your current quota")
            }
            408 | 409 | 425 => true,
            501 | 505 => false,
            status => status >= 500,
        }
    }

    /// What the server says, in its own words.
    pub(crate) fn message(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let parsed: Option<Value> = serde_json::from_slice(&self.body).ok();
        let message = parsed.as_ref().map_or_else(|| text.trim().into(), spoken);
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        match message.char_indices().nth(QUOTED) {
            _ if message.is_empty() => "(nothing further)".into(),
            None => message,
            Some((end, _)) => format!("{}...", &message[..end]),
        }
    }

    fn remedy(&self, models: &[String]) -> String {
        match self.status {
            300..400 => match &self.location {
                Some(place) => format!("; it points to {place}: give --endpoint that address"),
                None => "; it points elsewhere: check the address".into(),
            },
            401 => "; set OPENAI_API_KEY to a key for this server, or name the variable that holds one with --api-key-env".into(),
            403 => "; the key is not allowed to do this".into(),
            404 => {
                let known = match models {
                    [] => String::new(),
                    names => format!(". The server lists these models: {}", names.join(", ")),
                };
                format!("; check the address, which mostly ends in /v1, and --model{known}")
            }
            405 => "; check the address, which mostly ends in /v1".into(),
            400 | 422 if self.message().contains("continue_final_message") => {
                "; this server cannot continue a message that has begun: give the prompts as text, \
                 or leave out the prefix"
                    .into()
            }
            _ => String::new(),
        }
    }
}

/// The message inside of an error in one of the shapes that servers use.
pub(crate) fn spoken(answer: &Value) -> String {
    // OpenAI {"error": {"message", "code"}}, proxies {"error": "..."}, earlier
    // vLLM {"message"}, FastAPI {"detail"}.
    let error = answer.get("error").unwrap_or(answer);
    let told = [error.get("message"), error.get("detail"), Some(error)];
    let mut message = match told.into_iter().flatten().next() {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    if let Some(Value::String(code)) = error.get("code")
        && !message.contains(code.as_str())
    {
        message += &format!(" ({code})");
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply {
            status,
            body: body.into(),
            retry_after: None,
            location: None,
        }
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
                r#"{"detail": [{"loc": ["body"]}]}"#,
                r#"[{"loc":["body"]}]"#,
            ),
            ("<html>\n  Bad\n Gateway", "<html> Bad Gateway"),
            ("", "(nothing further)"),
        ] {
            assert_eq!(reply(400, body).message(), words);
        }
        let long = "é".repeat(2000);
        assert_eq!(reply(400, &long).message().chars().count(), QUOTED + 3);
    }

    #[test]
    fn only_what_may_change_is_asked_again() {
        let passing = |status, body| {
            let outcome = reply(status, body).accepted("http://x/v1", &[]);
            matches!(outcome, Err(Failure::Passing { .. }))
        };
        for status in [408, 409, 425, 429, 500, 502, 503, 504, 529] {
            assert!(passing(status, ""), "{status}");
        }
        for status in [301, 400, 401, 403, 404, 405, 413, 422, 501] {
            assert!(!passing(status, ""), "{status}");
        }
        assert!(!passing(
            429,
            r#"{"error": {"message": "pay", "code": "insufficient_quota"}}"#
        ));
        assert!(reply(200, "").accepted("http://x/v1", &[]).is_ok());
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let models = ["a".to_owned(), "b".to_owned()];
        let said = |status| match reply(status, r#"{"detail": "unknown model"}"#)
            .accepted("http://x/v1/completions", &models)
        {
            Err(Failure::Lasting(error)) => error.to_string(),
            other => panic!("{other:?}"),
        };
        assert!(said(401).contains("--api-key-env"));
        let said = said(404);
        assert!(
            said.contains("unknown model") && said.contains("models: a, b"),
            "{said}"
        );
        assert!(said.contains("http://x/v1/completions"), "{said}");
    }
}
