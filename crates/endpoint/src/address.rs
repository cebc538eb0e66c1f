//! The address of a server.

use std::net::IpAddr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use ureq::http::Uri;

use crate::error::EndpointError;
use crate::secrets::redacted;

/// Where a server is.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// What paths are appended to: without a slash at its end, and without user
    /// and password.
    pub(crate) base: String,
    /// `http://host:port`.
    pub(crate) origin: String,
    /// Without the brackets of IPv6.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) is_https: bool,
    pub(crate) login: Option<Login>,
}

/// User and password of an address.
#[derive(Clone)]
pub(crate) struct Login {
    /// What goes into the header.
    pub(crate) basic: String,
    /// What no message may show.
    pub(crate) secrets: Vec<String>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login")
    }
}

impl Login {
    /// `user:password`, each percent-encoded where it must be.
    fn of_userinfo(userinfo: &str) -> Self {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        // A user without password is a key.
        let secret = if password.is_empty() { user } else { password };
        let login = Self::new(&decoded(user), &decoded(password));
        let secrets = [userinfo.to_owned(), secret.to_owned(), decoded(secret)];
        Self {
            secrets: login.secrets.into_iter().chain(secrets).collect(),
            basic: login.basic,
        }
    }

    pub(crate) fn new(user: &str, password: &str) -> Self {
        let encoded = BASE64_STANDARD.encode(format!("{user}:{password}"));
        Self {
            basic: format!("Basic {encoded}"),
            secrets: vec![encoded, password.to_owned()],
        }
    }
}

impl Address {
    /// Reads an address as people write it: `/v1` is appended where it has no
    /// path, and the path of a request is taken off.
    ///
    /// # Errors
    /// If no server can be there.
    pub(crate) fn parse(url: &str) -> Result<Self, EndpointError> {
        let wrong = |reason: &str| EndpointError::Address {
            url: redacted(url.trim()),
            reason: reason.into(),
        };
        let trimmed = url.trim().trim_end_matches('/');
        let (scheme, rest) = trimmed
            .split_once("://")
            .ok_or_else(|| wrong("it does not begin with http:// or https://"))?;
        let scheme = scheme.to_lowercase();
        if !["http", "https"].contains(&scheme.as_str()) {
            return Err(wrong("it does not begin with http:// or https://"));
        }
        if rest.is_empty() || rest.starts_with(['/', ':']) {
            return Err(wrong("it names no host"));
        }
        if rest.contains(['?', '#', ' ']) {
            return Err(wrong(
                "it has a query or a blank. A key goes into the variable of --api-key-env; \
                 in a password, ?, # and / are written as %3F, %23 and %2F",
            ));
        }
        let path_begin = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(path_begin);
        let (userinfo, host) = match authority.rsplit_once('@') {
            Some((userinfo, host)) => (Some(userinfo), host),
            None => (None, authority),
        };
        let origin = format!("{scheme}://{host}");
        let uri: Uri = origin
            .parse()
            .map_err(|_| wrong("it names no host that can be, or no port"))?;
        let name = uri.host().unwrap_or_default();
        let is_port = |port: &str| port.parse::<u16>().is_ok();
        let after = host.rsplit_once(name).map_or("", |(_, after)| after);
        let has_port = after.strip_prefix(':').is_none_or(is_port);
        if name.is_empty() || !has_port {
            return Err(wrong("it names no host that can be, or no port"));
        }
        let path = ["/chat/completions", "/completions"]
            .iter()
            .find_map(|end| path.strip_suffix(end))
            .unwrap_or(path);
        let path = if path_begin == rest.len() {
            "/v1"
        } else {
            path
        };
        let is_https = scheme == "https";
        Ok(Self {
            base: format!("{origin}{path}"),
            host: name.trim_matches(['[', ']']).to_lowercase(),
            port: uri.port_u16().unwrap_or(if is_https { 443 } else { 80 }),
            origin,
            is_https,
            login: userinfo.map(Login::of_userinfo),
        })
    }

    /// Whether nothing leaves this machine on the way there.
    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }
}

/// Whether a host, without brackets, is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_lowercase();
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_in_every_spelling() {
        for (url, base) in [
            ("http://h:8000", "http://h:8000/v1"),
            ("HTTP://h:8000/", "http://h:8000/v1"),
            (" http://h/v1/ ", "http://h/v1"),
            ("http://h/v1/chat/completions", "http://h/v1"),
            ("https://h/api/v2/completions", "https://h/api/v2"),
            ("http://[::1]:8000", "http://[::1]:8000/v1"),
            ("http://me:pw@h:1/v1", "http://h:1/v1"),
        ] {
            assert_eq!(Address::parse(url).unwrap().base, base, "{url}");
        }
        let address = Address::parse("https://[::1]/x").unwrap();
        assert_eq!((address.host.as_str(), address.port), ("::1", 443));
        assert!(address.is_loopback());
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_secrets() {
        for (url, reason) in [
            ("localhost:8000", "http://"),
            ("ftp://localhost", "http://"),
            ("http:///v1", "no host"),
            ("http://host:port/v1", "no port"),
            ("http://host:99999/v1", "no port"),
            ("http://host/v1?key=s3cret", "query"),
            ("http://me:s3cret@/v1", "no host"),
            ("http://me:s3?cret@host/v1", "query"),
            ("me:s3cret@host", "http://"),
            ("", "http://"),
        ] {
            let said = Address::parse(url).unwrap_err().to_string();
            assert!(said.contains(reason), "{said}");
            assert!(!said.contains("cret"), "{said}");
        }
    }

    #[test]
    fn user_and_password_become_a_header_and_secrets() {
        let login = Address::parse("http://me:p%40ss@h").unwrap().login.unwrap();
        assert_eq!(login.basic, "Basic bWU6cEBzcw==");
        for secret in ["p%40ss", "p@ss", "me:p%40ss", "bWU6cEBzcw=="] {
            assert!(login.secrets.iter().any(|each| each == secret), "{secret}");
        }
        assert!(Address::parse("http://h").unwrap().login.is_none());
    }

    #[test]
    fn this_machine_is_known_by_all_its_names() {
        for host in [
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "127.0.0.1",
            "127.9.9.9",
            "::1",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["10.0.0.1", "localhost.example.com", "::2", "example.com"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
