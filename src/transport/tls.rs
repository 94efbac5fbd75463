//! TLS with a device: we are the client, the device is the server (protocols.md 3.9).

use super::{BoxChannel, TransportError};
use crate::limits;
use crate::wire::pair_record::PairRecord;
use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslMode, SslOptions, SslVerifyMode, SslVersion};
use openssl::x509::X509;
use std::pin::Pin;
use tokio::time::timeout;
use tokio_openssl::SslStream;

/// OpenSSL's SSL_OP_LEGACY_SERVER_CONNECT, which the binding does not name.
const LEGACY_SERVER_CONNECT: SslOptions = SslOptions::from_bits_retain(1 << 2);

/// Oldest TLS spoken: systems before 10 know nothing newer than 1.0 (3.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsFloor {
    /// iOS 10 and later.
    #[default]
    Tls12,
    /// Anything older.
    Tls10,
}

/// Our half of a device's TLS: made once per pair record, used by every connection.
#[derive(Debug, Clone)]
pub struct TlsIdentity {
    context: SslContext,
    device_certificate: Option<X509>,
}

impl TlsIdentity {
    /// Prepares the record's certificate and key.
    ///
    /// # Errors
    /// [`TransportError::RecordKeys`] if OpenSSL cannot read them.
    pub fn new(record: &PairRecord, floor: TlsFloor) -> Result<Self, TransportError> {
        let context = client_context(record, floor);
        let context = context.map_err(|e| TransportError::RecordKeys { reason: first_reason(&e) })?;
        Ok(Self { context, device_certificate: X509::from_pem(&record.device_certificate).ok() })
    }

    /// Shakes hands over `channel`.
    ///
    /// # Errors
    /// [`TransportError::Tls`] if the device refuses us, [`TransportError::Timeout`].
    pub async fn connect(&self, channel: BoxChannel) -> Result<BoxChannel, TransportError> {
        let failed = |e: ErrorStack| TransportError::RecordKeys { reason: first_reason(&e) };
        let ssl = Ssl::new(&self.context).map_err(failed)?;
        let mut stream = SslStream::new(ssl, channel).map_err(failed)?;
        match timeout(limits::TLS_HANDSHAKE, Pin::new(&mut stream).connect()).await {
            Ok(Ok(())) => {
                self.note_other_certificate(stream.ssl());
                Ok(Box::new(stream))
            }
            Ok(Err(error)) => Err(TransportError::Tls { reason: reason(&error) }),
            Err(_) => Err(TransportError::Timeout {
                what: "the TLS handshake".into(),
                after: limits::TLS_HANDSHAKE,
            }),
        }
    }
}

impl TlsIdentity {
    /// Pinning the leaf to the record's DeviceCertificate is unconfirmed for every model:
    /// "log first, enforce later" (3.9).
    fn note_other_certificate(&self, ssl: &openssl::ssl::SslRef) {
        let shown = ssl.peer_certificate().and_then(|c| c.to_der().ok());
        let expected = self.device_certificate.as_ref().and_then(|c| c.to_der().ok());
        if shown != expected {
            tracing::info!("the device shows another certificate than the pair record's");
        }
    }
}

fn client_context(record: &PairRecord, floor: TlsFloor) -> Result<SslContext, ErrorStack> {
    let mut builder = SslContext::builder(SslMethod::tls_client())?;
    // Level 0: old records carry SHA-1 signatures and 1024-bit keys (3.9).
    let ciphers = match floor {
        TlsFloor::Tls12 => "DEFAULT:@SECLEVEL=0",
        TlsFloor::Tls10 => "ALL:@SECLEVEL=0",
    };
    builder.set_cipher_list(ciphers)?;
    builder.set_min_proto_version(Some(match floor {
        TlsFloor::Tls12 => SslVersion::TLS1_2,
        TlsFloor::Tls10 => SslVersion::TLS1,
    }))?;
    // Devices close without close_notify; our frames tell by themselves whether they ended.
    builder.set_options(SslOptions::IGNORE_UNEXPECTED_EOF | LEGACY_SERVER_CONNECT);
    // Hundreds of sessions may be open: give buffers back between exchanges.
    builder.set_mode(SslMode::RELEASE_BUFFERS | SslMode::AUTO_RETRY);
    builder.set_certificate(X509::from_pem(&record.host_certificate)?.as_ref())?;
    builder.set_private_key(PKey::private_key_from_pem(record.host_private_key.expose())?.as_ref())?;
    // The device's certificate is the one we made when pairing; no name in it could match.
    // Who holds its key is the device we paired with, by cable.
    builder.set_verify(SslVerifyMode::NONE);
    Ok(builder.build())
}

fn first_reason(stack: &ErrorStack) -> String {
    let first = stack.errors().first();
    first.and_then(|e| e.reason()).unwrap_or("unknown reason").to_owned()
}

pub(super) fn reason(error: &openssl::ssl::Error) -> String {
    if let Some(stack) = error.ssl_error() {
        return first_reason(stack);
    }
    match error.io_error() {
        Some(io) => io.to_string(),
        None => "the device ended the handshake".to_owned(),
    }
}
