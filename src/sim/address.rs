//! Socket addresses as `USBMUXD_SOCKET_ADDRESS` writes them (protocols.md 2.1).

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a mux server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketAddress {
    /// `UNIX:/path`, or a bare `/path`.
    Unix(PathBuf),
    /// `host:port` or `[v6]:port`.
    Tcp {
        /// Name or address, without brackets.
        host: String,
        /// Port.
        port: u16,
    },
}

/// The text is no address of the four forms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a mux address: expected UNIX:/path, /path, host:port or [v6]:port")]
pub struct BadAddress {
    text: String,
}

impl FromStr for SocketAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let bad = || BadAddress { text: text.chars().take(200).collect() };
        if let Some(path) = text.strip_prefix("UNIX:") {
            return if path.is_empty() { Err(bad()) } else { Ok(Self::Unix(path.into())) };
        }
        if text.starts_with('/') {
            return Ok(Self::Unix(text.into()));
        }
        // "Last colon splits, port 1-65535, brackets stripped" (2.1).
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let port = port.parse().ok().filter(|p| *p != 0).ok_or_else(bad)?;
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        if host.is_empty() || (bare.is_none() && host.contains(':')) {
            return Err(bad());
        }
        Ok(Self::Tcp { host: host.to_owned(), port })
    }
}

impl fmt::Display for SocketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "UNIX:{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_forms_of_section_2_1() {
        for (text, shown) in [
            ("UNIX:/tmp/x", "UNIX:/tmp/x"),
            ("/tmp/x", "UNIX:/tmp/x"),
            ("127.0.0.1:27015", "127.0.0.1:27015"),
            ("localhost:1", "localhost:1"),
            ("[::1]:27015", "[::1]:27015"),
        ] {
            assert_eq!(text.parse::<SocketAddress>().unwrap().to_string(), shown);
        }
        for bad in ["", "UNIX:", "host", "host:0", "host:65536", ":1", "::1:5", "[]:1", "host:x"] {
            assert!(bad.parse::<SocketAddress>().is_err(), "{bad}");
        }
    }
}
