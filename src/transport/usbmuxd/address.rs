//! Where a mux listens: the four forms of `USBMUXD_SOCKET_ADDRESS` (protocols.md 2.1).

use super::super::BoxChannel;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use tokio::net::{TcpStream, UnixStream};

/// Where the system's daemon listens on Linux and macOS (2.1).
pub const DEFAULT_SOCKET: &str = "/var/run/usbmuxd";

/// Address of a mux socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MuxAddress {
    /// A unix stream socket.
    Unix(PathBuf),
    /// A TCP address.
    Tcp {
        /// Host name or IP address, without brackets.
        host: String,
        /// Port, 1-65535.
        port: u16,
    },
}

/// The text is none of the four forms.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("'{text}' is not a mux address: expected UNIX:/path, /path, host:port or [ipv6]:port")]
pub struct BadMuxAddress {
    text: String,
}

impl Default for MuxAddress {
    fn default() -> Self {
        Self::Unix(DEFAULT_SOCKET.into())
    }
}

impl FromStr for MuxAddress {
    type Err = BadMuxAddress;

    fn from_str(text: &str) -> Result<Self, BadMuxAddress> {
        let bad = || BadMuxAddress { text: text.chars().take(200).collect() };
        if let Some(path) = text.strip_prefix("UNIX:").or_else(|| text.strip_prefix("unix:")) {
            return if path.is_empty() { Err(bad()) } else { Ok(Self::Unix(path.into())) };
        }
        if text.starts_with('/') {
            return Ok(Self::Unix(text.into()));
        }
        // "TCP, last colon splits" (2.1).
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').ok_or_else(bad)?,
            None if host.contains(':') => return Err(bad()),
            None => host,
        };
        match port.parse() {
            Ok(port) if port != 0 && !host.is_empty() => Ok(Self::Tcp { host: host.into(), port }),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for MuxAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl MuxAddress {
    /// The form every client of `USBMUXD_SOCKET_ADDRESS` understands.
    pub fn in_full(&self) -> String {
        match self {
            Self::Unix(path) => format!("UNIX:{}", path.display()),
            Self::Tcp { .. } => self.to_string(),
        }
    }

    /// Opens a stream to the mux.
    ///
    /// # Errors
    /// What the system says: not found, refused, no permission.
    pub async fn open(&self) -> io::Result<BoxChannel> {
        Ok(match self {
            Self::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Self::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                // Requests are small and answered one by one: never wait to fill a segment.
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_four_forms_of_section_2_1() {
        let unix = |p: &str| Ok(MuxAddress::Unix(p.into()));
        let tcp = |host: &str, port| Ok(MuxAddress::Tcp { host: host.into(), port });
        assert_eq!("UNIX:/tmp/mux".parse(), unix("/tmp/mux"));
        assert_eq!("/tmp/mux".parse(), unix("/tmp/mux"));
        assert_eq!("localhost:27015".parse(), tcp("localhost", 27015));
        assert_eq!("1.2.3.4:27015".parse(), tcp("1.2.3.4", 27015));
        assert_eq!("[::1]:27015".parse(), tcp("::1", 27015));
        for text in ["UNIX:/tmp/mux", "1.2.3.4:27015", "[::1]:27015"] {
            assert_eq!(text.parse::<MuxAddress>().unwrap().in_full(), text);
        }
        for bad in
            ["", "UNIX:", "host", "host:", "host:0", "host:65536", ":5", "[::1:5", "::1:5", "[]:1", "host:x"]
        {
            assert!(bad.parse::<MuxAddress>().is_err(), "{bad}");
        }
    }
}
