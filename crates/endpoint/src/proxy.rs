//! Which proxy the environment names for a server, as curl reads it.

use std::net::IpAddr;

use crate::address::{Address, Login};
use crate::error::EndpointError;
use crate::secrets::redacted;

/// A proxy on the way to a server.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    pub(crate) way: ureq::Proxy,
    pub(crate) login: Option<Login>,
    /// For messages: its address without user and password, and the variable.
    pub(crate) shown: String,
}

impl Proxy {
    /// The proxy for `address`: `http_proxy` or `https_proxy` by its scheme, else
    /// `all_proxy`, in small letters or capitals, unless `no_proxy` has its host.
    /// A variable that is set to nothing means no proxy.
    ///
    /// # Errors
    /// If the variable holds no address of a proxy.
    pub(crate) fn of(
        address: &Address,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, EndpointError> {
        let own = match address.is_https {
            true => ["https_proxy", "HTTPS_PROXY"],
            false => ["http_proxy", "HTTP_PROXY"],
        };
        let find = |names: &[&'static str]| {
            let value = |name: &&'static str| Some((*name, environment(name)?));
            names.iter().find_map(value)
        };
        let Some((variable, value)) = find(&own).or_else(|| find(&["all_proxy", "ALL_PROXY"]))
        else {
            return Ok(None);
        };
        let value = value.trim();
        let exceptions = find(&["no_proxy", "NO_PROXY"]).map_or(String::new(), |(_, list)| list);
        if value.is_empty() || is_exception(&exceptions, &address.host, address.port) {
            return Ok(None);
        }
        let way = ureq::Proxy::new(value).map_err(|_| EndpointError::Proxy {
            variable: variable.into(),
            value: redacted(value),
        })?;
        let login = way.username().map(|user| {
            let mut login = Login::new(user, way.password().unwrap_or_default());
            login.secrets.push(user.to_owned());
            login
        });
        Ok(Some(Self {
            login,
            shown: format!("{} ({variable})", redacted(value)),
            way,
        }))
    }

    /// Whether requests to `address` are handed to the proxy as they are, rather
    /// than through a tunnel.
    pub(crate) fn forwards(&self, address: &Address) -> bool {
        use ureq::ProxyProtocol;
        let is_http = matches!(
            self.way.protocol(),
            ProxyProtocol::Http | ProxyProtocol::Https
        );
        is_http && !address.is_https
    }

    /// `http://host:port` of the proxy itself.
    pub(crate) fn origin(&self) -> String {
        let scheme = match self.way.protocol() {
            ureq::ProxyProtocol::Https => "https",
            _ => "http",
        };
        format!("{scheme}://{}:{}", self.way.host(), self.way.port())
    }
}

/// Whether a list of `no_proxy` has a host: entries between commas or blanks, each
/// a host with all below it, with a port where only that is meant, an address, a
/// range of addresses (`10.0.0.0/8`), a name with `*` at one end, or `*` for all.
fn is_exception(list: &str, host: &str, port: u16) -> bool {
    let host = host.trim_end_matches('.').to_lowercase();
    list.split([',', ' ', '\t', ';'])
        .map(|entry| entry.trim().to_lowercase())
        .filter(|entry| !entry.is_empty())
        .any(|entry| matches_entry(&entry, &host, port))
}

fn matches_entry(entry: &str, host: &str, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    let (entry, wanted) = split_port(entry);
    if wanted.is_some_and(|wanted| wanted != port) {
        return false;
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return match (entry.split_once('/'), entry.parse::<IpAddr>()) {
            (Some((network, bits)), _) => is_within(address, network, bits),
            (None, Ok(entry)) => entry == address,
            (None, Err(_)) => entry
                .strip_suffix('*')
                .is_some_and(|begin| host.starts_with(begin)),
        };
    }
    if let Some(begin) = entry.strip_suffix('*') {
        return host.starts_with(begin);
    }
    let entry = entry.trim_start_matches('*').trim_start_matches('.');
    let entry = entry.trim_end_matches('.');
    let below = host.strip_suffix(entry);
    !entry.is_empty() && below.is_some_and(|above| above.is_empty() || above.ends_with('.'))
}

/// A host and the port behind it; an address of IPv6 has colons of its own.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    if let Some(rest) = entry.strip_prefix('[') {
        let (host, after) = rest.split_once(']').unwrap_or((rest, ""));
        return (
            host,
            after.strip_prefix(':').and_then(|port| port.parse().ok()),
        );
    }
    match entry.split_once(':') {
        Some((host, port)) if !port.contains(':') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    }
}

/// Whether the first `bits` of an address are those of `network`.
fn is_within(address: IpAddr, network: &str, bits: &str) -> bool {
    let (Ok(network), Ok(bits)) = (network.parse(), bits.parse::<u32>()) else {
        return false;
    };
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) if bits <= 32 => {
            let differ = address.to_bits() ^ network.to_bits();
            differ.checked_shr(32 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(address), IpAddr::V6(network)) if bits <= 128 => {
            let differ = address.to_bits() ^ network.to_bits();
            differ.checked_shr(128 - bits).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str, variables: &[(&str, &str)]) -> Option<String> {
        let address = Address::parse(url).unwrap();
        let environment = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let proxy = Proxy::of(&address, environment);
        proxy
            .map_err(|error| error.to_string())
            .unwrap()
            .map(|proxy| proxy.shown)
    }

    #[test]
    fn a_proxy_is_chosen_by_the_scheme_of_the_server() {
        let both = [("HTTPS_PROXY", "http://s:1"), ("HTTP_PROXY", "http://p:2")];
        assert_eq!(shown("http://h", &both).unwrap(), "http://p:2 (HTTP_PROXY)");
        assert_eq!(
            shown("https://h", &both).unwrap(),
            "http://s:1 (HTTPS_PROXY)"
        );
        assert_eq!(shown("http://h", &both[..1]), None);
        let all = [("ALL_PROXY", "socks5://a:3"), ("https_proxy", "s:1")];
        assert_eq!(shown("http://h", &all).unwrap(), "socks5://a:3 (ALL_PROXY)");
        assert_eq!(shown("https://h", &all).unwrap(), "s:1 (https_proxy)");
        // Small letters come first, and nothing means none.
        let off = [
            ("http_proxy", ""),
            ("HTTP_PROXY", "p:2"),
            ("ALL_PROXY", "a:3"),
        ];
        assert_eq!(shown("http://h", &off), None);
        // As curl does, also for this machine.
        assert!(shown("http://localhost:8000", &both).is_some());
    }

    #[test]
    fn a_proxy_is_shown_without_its_password_and_refused_where_it_is_none() {
        let proxies = [("http_proxy", "http://me:s3cret@p:2")];
        assert_eq!(
            shown("http://h", &proxies).unwrap(),
            "http://***@p:2 (http_proxy)"
        );
        let address = Address::parse("http://h").unwrap();
        let error = Proxy::of(&address, |name| {
            (name == "http_proxy").then(|| "gopher://me:s3cret@p".into())
        });
        let said = error.unwrap_err().to_string();
        assert!(
            said.contains("http_proxy") && !said.contains("s3cret"),
            "{said}"
        );
    }

    #[test]
    fn exceptions_are_hosts_suffixes_ports_ranges_and_all() {
        for (list, host, is) in [
            ("*", "h", true),
            ("a, h", "h", true),
            ("a h", "H.", true),
            ("h", "x.h", true),
            (".h", "x.h", true),
            (".h", "h", true),
            ("*.h", "x.h", true),
            ("h", "xh", false),
            ("h:80", "h", true),
            ("h:81", "h", false),
            ("example.com.", "a.example.com", true),
            ("gpu*", "gpu7", true),
            ("10.0.0.1", "10.0.0.1", true),
            ("0.0.1", "10.0.0.1", false),
            ("10.0.0.0/8", "10.9.9.9", true),
            ("10.0.0.0/8", "11.9.9.9", false),
            ("0.0.0.0/0", "11.9.9.9", true),
            ("10.1.2.3/32", "10.1.2.3", true),
            ("10.0.0.0/33", "10.0.0.0", false),
            ("10.*", "10.9.9.9", true),
            ("::1", "::1", true),
            ("[::1]:80", "::1", true),
            ("[::1]:81", "::1", false),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "10.0.0.1", false),
            ("", "h", false),
            (".", "h", false),
        ] {
            assert_eq!(is_exception(list, host, 80), is, "{list}: {host}");
        }
    }
}
