//! The address of a station, as a person gives it.

use crate::wire::printable::printable;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Longest name of a computer (RFC 1035 2.3.4).
const HOST_BYTES: usize = 253;

/// Where a station is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    tls: bool,
    /// A name, or an IP address without brackets.
    host: String,
    port: u16,
}

/// The station cannot be asked like this.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadTarget {
    /// No address.
    #[error("'{text}' is no address of a station")]
    Address {
        /// What was given.
        text: String,
    },
    /// Others could read it.
    #[error("the token would go to {station} unprotected, for everybody on the way to read")]
    TokenInClear {
        /// Where.
        station: String,
    },
    /// It cannot be sent.
    #[error("the token has characters that cannot be sent")]
    Token,
    /// It is no PEM file.
    #[error("the certificate is no PEM text of certificates")]
    Certificate,
}

impl BadTarget {
    /// What to do.
    pub fn next(&self) -> &'static str {
        match self {
            Self::Address { .. } => "Give one such as http://127.0.0.1:7417 or https://bench.example:7417.",
            Self::TokenInClear { .. } => "Use https://, or go through ssh: ssh -L 7417:127.0.0.1:7417 HOST.",
            Self::Token => "Give the station's token, one line, without blanks.",
            Self::Certificate => "Give the file that is tls_cert in the station's configuration.",
        }
    }
}

impl Target {
    /// An address as `serve` takes it; one that means any address is reached on this computer.
    pub fn of_address(address: SocketAddr, tls: bool) -> Self {
        let ip = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        Self { tls, host: ip.to_string(), port: address.port() }
    }

    /// `https://bench:7417`, `http://127.0.0.1:7417/`, or `bench:7417`, which is http.
    ///
    /// # Errors
    /// [`BadTarget::Address`].
    pub fn parse(text: &str) -> Result<Self, BadTarget> {
        Self::read(text.trim()).ok_or_else(|| BadTarget::Address { text: printable(text.trim()) })
    }

    fn read(text: &str) -> Option<Self> {
        let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
        let (tls, rest) = match () {
            () if lower.starts_with("https://") => (true, &text[8..]),
            () if lower.starts_with("http://") => (false, &text[7..]),
            () => (false, text),
        };
        // What is behind the address, such as `#/bays`, is the page's.
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (ip, rest) = rest.split_once(']')?;
                ip.parse::<Ipv6Addr>().ok()?;
                (ip, rest)
            }
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(digits) => digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))?,
            None if port.is_empty() => super::DEFAULT_ADDRESS.port(),
            None => return None,
        };
        let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
        let good = !host.is_empty() && host.len() <= HOST_BYTES && host.bytes().all(known) && port > 0;
        good.then(|| Self { tls, host: host.to_ascii_lowercase(), port })
    }

    /// Over TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Name or IP address.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Port.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// For `Host`: `bench:7417`, `[::1]:7417`.
    pub(super) fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// Nobody between us and it can read.
    pub(super) fn keeps_secrets(&self) -> bool {
        let local = self.host.parse::<IpAddr>().map_or(self.host == "localhost", |ip| ip.is_loopback());
        self.tls || local
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        let shown = |text: &str| Target::parse(text).map(|target| target.to_string()).ok();
        for (text, meant) in [
            ("http://127.0.0.1:7417/", "http://127.0.0.1:7417"),
            ("bench:9000", "http://bench:9000"),
            (" Bench.example ", "http://bench.example:7417"),
            ("HTTPS://bench/#/bays", "https://bench:7417"),
            ("https://[::1]:1", "https://[::1]:1"),
            ("[::1]", "http://[::1]:7417"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(meant), "{text}");
        }
        for bad in [
            "",
            "http://",
            "ftp://bench",
            "bench:x",
            "bench:0",
            "bench:+1",
            "bench:99999",
            "a b",
            "user@bench",
            "http://user:pw@bench",
            "[::1",
            "[bench]",
            "[::1]x",
            "bench\u{1b}",
            "::1",
            "é",
        ] {
            assert_eq!(shown(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_token_crosses_no_network_unprotected() {
        let keeps = |text: &str| Target::parse(text).unwrap().keeps_secrets();
        for good in ["https://bench", "http://localhost", "127.0.0.1", "127.8.8.8:1", "[::1]"] {
            assert!(keeps(good), "{good}");
        }
        for bad in ["bench", "http://10.0.0.1", "localhost.example", "[fe80::1]"] {
            assert!(!keeps(bad), "{bad}");
        }
    }

    #[test]
    fn a_station_on_every_address_is_reached_on_this_computer() {
        let shown = |address: &str, tls| Target::of_address(address.parse().unwrap(), tls).to_string();
        assert_eq!(shown("0.0.0.0:7417", true), "https://127.0.0.1:7417");
        assert_eq!(shown("[::]:1", false), "http://[::1]:1");
        assert_eq!(shown("10.0.0.1:1", false), "http://10.0.0.1:1");
    }
}
