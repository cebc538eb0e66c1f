//! One exchange with a server, and what its outcome means for the next one.

use std::io::Read;
use std::time::Duration;

use jiff::Timestamp;
use ureq::Agent;
use ureq::http::Response;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, DefaultConnector};

use crate::address::Address;
use crate::backoff::retry_after;
use crate::error::EndpointError;
use crate::forward::WholeAddress;
use crate::proxy::Proxy;
use crate::secrets::{Secrets, redacted};
use crate::words::{quoted, words};

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(20);

/// Most bytes of any answer.
const LARGEST: u64 = 256 << 20;

/// Most bytes of a refusal; messages repeat a few hundred characters.
const LARGEST_REFUSAL: u64 = 64 << 10;

/// Most bytes of an answer's head.
const LARGEST_HEAD: usize = 64 << 10;

/// How a server is reached, what goes with every request, and what messages must
/// not show.
#[derive(Debug)]
pub(crate) struct Http {
    agent: Agent,
    /// What paths are appended to: at the server, or at a proxy that forwards.
    base: String,
    headers: Vec<(&'static str, String)>,
    /// The server's own address, for messages.
    place: String,
    origin: String,
    host: String,
    /// How messages name the proxy; empty without one.
    way: String,
    pub(crate) secrets: Secrets,
}

/// An answer of whatever status.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) content_type: String,
    pub(crate) retry_after: Option<Duration>,
    /// Where a redirect points.
    pub(crate) location: Option<String>,
}

/// Why an attempt brought no completion.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Asking again may help, after `asked` if the server says so.
    Passing {
        reason: String,
        asked: Option<Duration>,
    },
    /// The answer is none; whether asking again may help.
    Unusable { reason: String, may_pass: bool },
    /// The server does not do what it is asked.
    Refused {
        status: u16,
        /// All that it says.
        words: String,
        location: Option<String>,
    },
    /// Asking again will not help, and neither will another request.
    Lasting(EndpointError),
}

impl Failure {
    pub(crate) fn passing(reason: impl Into<String>) -> Self {
        Self::Passing {
            reason: reason.into(),
            asked: None,
        }
    }

    pub(crate) fn unusable(reason: impl Into<String>) -> Self {
        Self::Unusable {
            reason: reason.into(),
            may_pass: true,
        }
    }

    /// No answer, and none to be had for this request.
    pub(crate) fn hopeless(reason: impl Into<String>) -> Self {
        Self::Unusable {
            reason: reason.into(),
            may_pass: false,
        }
    }

    /// An error inside of an answer that says that all is well.
    pub(crate) fn inside(status: Option<u16>, words: String) -> Self {
        match status {
            Some(status) if !is_passing(status, &words) => Self::Refused {
                status,
                words,
                location: None,
            },
            _ => Self::passing(format!("the server answered: {}", quoted(&words))),
        }
    }
}

impl Http {
    /// `timeout` is for a whole exchange, the generation included; `kept` is the
    /// number of connections that stay open for the next request.
    pub(crate) fn new(
        address: &Address,
        proxy: Option<&Proxy>,
        key: Option<&str>,
        timeout: Duration,
        kept: usize,
    ) -> Self {
        let forwarding = proxy.filter(|proxy| proxy.forwards(address));
        let tunnel = proxy.filter(|proxy| !proxy.forwards(address));
        // A forwarded connection is used once.
        let kept = if forwarding.is_some() { 0 } else { kept };
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
            .max_response_header_size(LARGEST_HEAD)
            .user_agent(concat!("iwsft/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.build())
            .proxy(tunnel.map(|proxy| proxy.way.clone()))
            .build();
        let mut headers = Vec::new();
        let basic = address.login.as_ref().map(|login| login.basic.clone());
        if let Some(authorization) = key.map(|key| format!("Bearer {key}")).or(basic) {
            headers.push(("authorization", authorization));
        }
        let (agent, base) = match forwarding {
            None => (config.into(), address.base.clone()),
            Some(proxy) => {
                let origin = address.origin.clone();
                let host = origin.trim_start_matches("http://").to_owned();
                headers.push(("host", host));
                if let Some(login) = &proxy.login {
                    headers.push(("proxy-authorization", login.basic.clone()));
                }
                let path = &address.base[address.origin.len()..];
                let base = format!("{}{path}", proxy.origin());
                let connector = DefaultConnector::default().chain(WholeAddress { origin });
                let resolver = DefaultResolver::default();
                (Agent::with_parts(config, connector, resolver), base)
            }
        };
        let logins = [
            address.login.as_ref(),
            proxy.and_then(|proxy| proxy.login.as_ref()),
        ];
        let passwords = logins.into_iter().flatten();
        let passwords = passwords.flat_map(|login| login.secrets.clone());
        Self {
            agent,
            base,
            headers,
            place: address.base.clone(),
            origin: address.origin.clone(),
            host: address.host.clone(),
            way: proxy.map_or(String::new(), |proxy| {
                format!(" through the proxy {}", proxy.shown)
            }),
            secrets: Secrets::new(passwords.chain(key.map(str::to_owned))),
        }
    }

    /// The address of a path, for messages.
    pub(crate) fn place(&self, path: &str) -> String {
        format!("{}/{path}{}", self.place, self.way)
    }

    /// How to do without the proxy, where there is one.
    pub(crate) fn past_proxy(&self) -> String {
        match self.way.is_empty() {
            true => String::new(),
            false => format!(" (NO_PROXY={} would leave out the proxy)", self.host),
        }
    }

    /// The address, for messages.
    pub(crate) fn address(&self) -> String {
        format!("{}{}", self.place, self.way)
    }

    pub(crate) fn get(&self, path: &str, most: u64) -> Result<Reply, ureq::Error> {
        let mut request = self.agent.get(format!("{}/{path}", self.base));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        read(request.call()?, most)
    }

    pub(crate) fn post(&self, path: &str, body: &str, most: u64) -> Result<Reply, ureq::Error> {
        let mut request = self
            .agent
            .post(format!("{}/{path}", self.base))
            .header("content-type", "application/json")
            .header("accept", "application/json");
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        read(request.send(body)?, most)
    }

    /// Whether asking again can help with an exchange that failed.
    pub(crate) fn trouble(&self, path: &str, error: &ureq::Error) -> Failure {
        use ureq::Error;
        let url = self.place(path);
        let reason = match error {
            Error::Io(error) => error.to_string(),
            error => error.to_string(),
        };
        let reason = self.secrets.hide(&reason);
        match error {
            Error::BadUri(_) | Error::Http(_) => {
                Failure::Lasting(EndpointError::Address { url, reason })
            }
            // Some of these arrive as input and output errors.
            _ if reason.contains("certificate") => {
                Failure::Lasting(EndpointError::Certificate { url, reason })
            }
            Error::Tls(_) | Error::Rustls(_) | Error::InvalidProxyUrl => {
                Failure::Lasting(EndpointError::Unreachable { url, reason })
            }
            Error::Timeout(_) => {
                Failure::passing("no complete answer within the time limit (--timeout)")
            }
            Error::BodyExceedsLimit(most) => Failure::unusable(format!(
                "it is longer than {most} bytes, which is more than can belong to what was asked for"
            )),
            Error::LargeResponseHeader(..) => {
                Failure::unusable(format!("its head is longer than {LARGEST_HEAD} bytes"))
            }
            _ => Failure::passing(reason),
        }
    }

    /// The reply if it is an answer.
    pub(crate) fn accepted(&self, reply: Reply) -> Result<Reply, Failure> {
        if (200..300).contains(&reply.status) {
            return Ok(reply);
        }
        let words = words(&reply.body, &self.secrets);
        if is_passing(reply.status, &words) {
            return Err(Failure::Passing {
                reason: format!("the server answered {}: {}", reply.status, quoted(&words)),
                asked: reply.retry_after,
            });
        }
        Err(Failure::Refused {
            status: reply.status,
            words,
            location: reply.location.map(|place| {
                let origin = if place.starts_with('/') {
                    &self.origin
                } else {
                    ""
                };
                self.secrets.hide(&format!("{origin}{}", redacted(&place)))
            }),
        })
    }
}

/// Most bytes of a body that belongs to a request of `sent` bytes for so many
/// tokens: each comes with its text, ids and log-probabilities, and some servers
/// send the prompt back.
pub(crate) fn largest_answer(sent: usize, max_tokens: usize) -> u64 {
    let tokens = (max_tokens as u64).saturating_mul(2 << 10);
    let prompt = (sent as u64).saturating_mul(8);
    (256u64 << 10)
        .saturating_add(tokens)
        .saturating_add(prompt)
        .min(LARGEST)
}

fn read(mut response: Response<ureq::Body>, most: u64) -> Result<Reply, ureq::Error> {
    let header = |name| {
        let value = response.headers().get(name);
        value.and_then(|value| value.to_str().ok().map(str::to_owned))
    };
    let retry_after = header("retry-after").and_then(|value| retry_after(&value, Timestamp::now()));
    let (location, content_type) = (header("location"), header("content-type"));
    let status = response.status();
    let body = response.body_mut();
    let body = match status.is_success() {
        true => body.with_config().limit(most).read_to_vec()?,
        false => {
            let mut begin = Vec::new();
            // A refusal counts, however little of its words arrives.
            let _ = body
                .as_reader()
                .take(LARGEST_REFUSAL)
                .read_to_end(&mut begin);
            begin
        }
    };
    Ok(Reply {
        status: status.as_u16(),
        body,
        content_type: content_type.unwrap_or_default(),
        retry_after,
        location,
    })
}

/// Whether the same request may succeed later.
fn is_passing(status: u16, words: &str) -> bool {
    match status {
        // OpenAI says "too many requests" to an account without money, too.
        429 => !words.contains("insufficient_quota") && !words.contains("your current quota"),
        408 | 409 | 425 => true,
        501 | 505 => false,
        status => status >= 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_change_is_asked_again() {
        for status in [408, 409, 425, 429, 500, 502, 503, 504, 529] {
            assert!(is_passing(status, ""), "{status}");
        }
        for status in [301, 400, 401, 403, 404, 405, 413, 422, 501] {
            assert!(!is_passing(status, ""), "{status}");
        }
        assert!(!is_passing(429, "pay (insufficient_quota)"));
    }

    #[test]
    fn an_answer_may_be_as_long_as_what_was_asked_for() {
        let mib = |bytes: u64| bytes >> 20;
        assert_eq!(mib(largest_answer(1000, 6)), 0);
        assert_eq!(mib(largest_answer(1000, 4096)), 8);
        assert_eq!(mib(largest_answer(1 << 20, 6)), 8);
        assert_eq!(largest_answer(usize::MAX, usize::MAX), LARGEST);
    }
}
