//! Keys and passwords, which no message may show.

use std::fmt;

/// What stands in the place of a secret.
const HIDDEN: &str = "***";

/// A shorter text is no secret, and hiding it would make messages unreadable.
const SHORTEST: usize = 4;

/// Texts to hide wherever a server or proxy repeats them.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<String>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

impl Secrets {
    pub(crate) fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut secrets: Vec<String> = secrets
            .into_iter()
            .filter(|secret| secret.len() >= SHORTEST)
            .collect();
        // One that contains another is hidden whole.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(secrets)
    }

    /// The text without the secrets.
    pub(crate) fn hide(&self, text: &str) -> String {
        let hide = |text: String, secret: &String| text.replace(secret.as_str(), HIDDEN);
        self.0.iter().fold(text.to_owned(), hide)
    }
}

/// An address as messages show it: without user, password and query, whether or
/// not it is one that can be used.
pub(crate) fn redacted(address: &str) -> String {
    let (scheme, rest) = match address.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), address),
    };
    let (rest, query) = match rest.find(['?', '#']) {
        // A password may have any character before the last @.
        Some(end) if !rest[end..].contains('@') => (&rest[..end], true),
        _ => (rest, false),
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    // A path may have an @ of its own, where what stands before it is a host.
    let is_host = port.chars().all(|c| c.is_ascii_digit() || c == ']');
    let userinfo = match authority.rfind('@') {
        Some(end) if is_host => Some(end),
        None if is_host => None,
        _ => rest.rfind('@'),
    };
    let shown = userinfo.map_or(rest.to_owned(), |end| format!("{HIDDEN}{}", &rest[end..]));
    let query = if query { "?***" } else { "" };
    format!("{scheme}{shown}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_user_password_and_query() {
        for (address, shown) in [
            ("http://host:8000/v1", "http://host:8000/v1"),
            ("http://me:s3cret@host:8000/v1", "http://***@host:8000/v1"),
            ("https://s3cret@host/v1", "https://***@host/v1"),
            ("http://me:s3/cr?e#t@host/v1", "http://***@host/v1"),
            ("http://me:s3@cret@host/v1", "http://***@host/v1"),
            ("me:s3cret@host/v1", "***@host/v1"),
            ("http://host/v1?api_key=s3cret&x=1", "http://host/v1?***"),
            ("http://me:pw@host/v1?key=s3cret", "http://***@host/v1?***"),
            ("http://host/v1#s3cret", "http://host/v1?***"),
            ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
            ("http://host:8000/@cf/v1", "http://host:8000/@cf/v1"),
            ("", ""),
        ] {
            assert_eq!(redacted(address), shown, "{address}");
        }
    }

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        let secrets = Secrets::new(["sk-12345".to_owned(), "sk-1".to_owned(), "x".to_owned()]);
        assert_eq!(secrets.hide("key sk-12345, sk-1 or x"), "key ***, *** or x");
        assert_eq!(format!("{secrets:?}"), "Secrets(2)");
    }
}
