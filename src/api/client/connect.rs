//! A connection to a station: TCP, and TLS where the address says so.

use super::{Client, ClientError, Target};
use crate::transport::https;
use crate::wire::profile::TrustAnchors;
use openssl::ssl::{Ssl, SslVerifyMode};
use openssl::x509::{X509, X509StoreContextRef};
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

/// `X509_V_ERR_HOSTNAME_MISMATCH` and `X509_V_ERR_IP_ADDRESS_MISMATCH` of OpenSSL.
const ANOTHER_NAME: [i32; 2] = [62, 64];

/// Whose certificates are trusted.
#[derive(Default)]
pub(super) struct Anchors {
    certificates: Vec<X509>,
    pinned: bool,
}

impl std::fmt::Debug for Anchors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Anchors({}, pinned: {})", self.certificates.len(), self.pinned)
    }
}

impl Anchors {
    /// The system's roots; none where they are not found, and then nobody is trusted.
    pub(super) fn of_system() -> Self {
        let pem = TrustAnchors::SYSTEM_BUNDLES.iter().find_map(|path| std::fs::read(path).ok());
        let certificates = pem.and_then(|pem| X509::stack_from_pem(&pem).ok());
        Self { certificates: certificates.unwrap_or_default(), pinned: false }
    }

    /// The certificates of PEM text and nobody else; `None` if there are none in it.
    pub(super) fn pinned(pem: &[u8]) -> Option<Self> {
        let certificates = X509::stack_from_pem(pem).ok().filter(|found| !found.is_empty())?;
        Some(Self { certificates, pinned: true })
    }

    fn ssl(&self, host: &str) -> Result<Ssl, openssl::error::ErrorStack> {
        let mut ssl = https::client(host, &self.certificates)?;
        if self.pinned {
            let pinned = self.certificates.clone();
            // The very certificate that was given needs no name: it is the station's, wherever
            // it is reached, such as through ssh.
            ssl.set_verify_callback(SslVerifyMode::PEER, move |good, context| {
                good || is_only_elsewhere(context, &pinned)
            });
        }
        Ok(ssl)
    }
}

fn is_only_elsewhere(context: &X509StoreContextRef, pinned: &[X509]) -> bool {
    let of_name = ANOTHER_NAME.contains(&context.error().as_raw()) && context.error_depth() == 0;
    let shown = context.current_cert().and_then(|certificate| certificate.to_der().ok());
    of_name && shown.is_some_and(|shown| pinned.iter().any(|pin| pin.to_der().is_ok_and(|pin| pin == shown)))
}

/// Either way to a station.
pub(super) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Connection for S {}

impl Client {
    pub(super) async fn connect(&self) -> Result<Box<dyn Connection>, ClientError> {
        let target: &Target = &self.target;
        let connected = TcpStream::connect((target.host(), target.port())).await;
        let stream =
            connected.map_err(|source| ClientError::Unreachable { station: target.to_string(), source })?;
        // Requests are small, and a board waits for each.
        let _ = stream.set_nodelay(true);
        if !target.is_tls() {
            return Ok(Box::new(stream));
        }
        let untrusted = |reason: String| ClientError::Untrusted { station: target.to_string(), reason };
        let ssl = self.anchors.ssl(target.host()).map_err(|error| untrusted(error.to_string()))?;
        let mut stream = SslStream::new(ssl, stream).map_err(|error| untrusted(error.to_string()))?;
        if let Err(error) = Pin::new(&mut stream).connect().await {
            return Err(untrusted(why(&error, stream.ssl())));
        }
        Ok(Box::new(stream))
    }
}

/// What is wrong with the certificate, else with the handshake.
fn why(error: &openssl::ssl::Error, ssl: &openssl::ssl::SslRef) -> String {
    let verified = ssl.verify_result();
    if verified.as_raw() != 0 {
        return verified.error_string().to_owned();
    }
    let first = error.ssl_error().and_then(|stack| stack.errors().first()?.reason());
    first.unwrap_or("the handshake was broken off").to_owned()
}
