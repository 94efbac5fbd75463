//! The HTTP server: API and page of a running station.
//!
//! May import: `api`, base. It renders what [`crate::api::Running`] gives and decides nothing about
//! devices. Start at [`Server::start`]; `guard` says who may ask, `routes` what can be asked,
//! `events` how screens follow, `page/` is what a browser gets.

mod assets;
mod events;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod guard;
mod listen;
mod metrics;
mod openapi;
mod problem;
mod routes;
mod session;
mod stalled;
mod state;

pub use listen::{Server, Stopper};

use crate::secret::Secret;
use crate::wire::printable::system_words;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Shortest token, in characters: what nobody can guess over a network.
const TOKEN_CHARS: usize = 20;

/// How to serve.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen.
    pub address: SocketAddr,
    /// Nobody asked for this address: if it is taken, any free port will do.
    pub any_port: bool,
    /// What whoever asks must show; needed beyond loopback.
    pub token: Option<Secret<String>>,
    /// Certificate chain and key, PEM files; needed beyond loopback.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Names of this computer, beside its addresses and the names of the certificate.
    pub hosts: Vec<String>,
    /// Screens may look only.
    pub kiosk: bool,
}

/// Why the station cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// Somebody else listens there.
    #[error("{address} is in use by another program")]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be had.
    #[error("the station cannot listen on {address}: {}", system_words(.source))]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Beyond loopback without what that needs.
    #[error("{address} can be reached by other computers, so it needs {missing}")]
    Open {
        /// The address.
        address: SocketAddr,
        /// What is missing.
        missing: &'static str,
    },
    /// A token that can be guessed.
    #[error("the token is shorter than {TOKEN_CHARS} characters, or has blanks or control characters in it")]
    Token,
    /// The certificate or its key.
    #[error("the certificate {} or its key cannot be used: {reason}", .path.display())]
    Tls {
        /// The certificate.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl WebError {
    /// What to do.
    pub fn next(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "Give another one with --listen, such as 127.0.0.1:7418, or --listen off.",
            Self::Bind { .. } => "Give an address of this computer with --listen, or --listen off.",
            Self::Open { .. } => {
                "Set [api] token_file (or ENLIST_API_TOKEN), tls_cert and tls_key, or listen on 127.0.0.1."
            }
            Self::Token => "Make one, such as with `openssl rand -hex 32`.",
            Self::Tls { .. } => {
                "Give PEM files of a certificate chain and its key: [api] tls_cert and tls_key."
            }
        }
    }
}

impl Options {
    /// Beyond loopback only with token and TLS (design section 4).
    fn is_allowed(&self) -> Result<(), WebError> {
        let good = |token: &Secret<String>| {
            let token = token.expose();
            token.len() >= TOKEN_CHARS && token.bytes().all(|b| b.is_ascii_graphic())
        };
        if !self.token.as_ref().is_none_or(good) {
            return Err(WebError::Token);
        }
        let missing = match (&self.token, &self.tls) {
            _ if self.address.ip().is_loopback() => return Ok(()),
            (None, None) => "a token and TLS",
            (None, Some(_)) => "a token",
            (Some(_), None) => "TLS",
            (Some(_), Some(_)) => return Ok(()),
        };
        Err(WebError::Open { address: self.address, missing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_computers_need_a_token_and_tls() {
        let options = |address: &str, token: Option<&str>, tls: bool| Options {
            address: address.parse().unwrap(),
            any_port: false,
            token: token.map(|t| Secret::new(t.to_owned())),
            tls: tls.then(|| ("cert".into(), "key".into())),
            hosts: Vec::new(),
            kiosk: false,
        };
        let long = "0123456789abcdef0123456789abcdef";
        let said = |o: Options| o.is_allowed().map_err(|e| e.to_string());
        assert!(said(options("127.0.0.1:1", None, false)).is_ok());
        assert!(said(options("[::1]:1", None, false)).is_ok());
        assert!(said(options("10.0.0.1:1", Some(long), true)).is_ok());
        for (token, tls, missing) in
            [(None, false, "a token and TLS"), (None, true, "a token"), (Some(long), false, "TLS")]
        {
            assert!(said(options("0.0.0.0:1", token, tls)).unwrap_err().ends_with(missing));
        }
        assert!(said(options("127.0.0.1:1", Some("short"), false)).unwrap_err().contains("20"));
        assert!(said(options("127.0.0.1:1", Some("a b c d e f g h i j k l m"), false)).is_err());
    }
}
