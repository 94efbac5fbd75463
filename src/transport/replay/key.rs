//! The replayed device's own key, and its end of TLS. A recording holds neither: the key is
//! made anew, and its certificate is the one the station makes for it when it pairs (3.8).

use crate::limits;
use crate::wire::fields::Fields;
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslOptions, SslSessionCacheMode, SslVerifyMode};
use openssl::x509::X509;
use plist::{Dictionary, Value};
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_openssl::SslStream;

/// What devices have (3.8).
const BITS: u32 = 2048;

/// The key of a replayed device. Cheap to clone; one may serve many replays.
#[derive(Debug, Clone)]
pub struct ReplayKey {
    private: PKey<Private>,
    public_pem: Vec<u8>,
}

impl ReplayKey {
    /// Makes a key, which takes a moment.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn generate() -> Result<Self, ErrorStack> {
        let rsa = Rsa::generate(BITS)?;
        let public_pem = rsa.public_key_to_pem_pkcs1()?;
        Ok(Self { private: PKey::from_rsa(rsa)?, public_pem })
    }

    /// `DevicePublicKey`: PEM, PKCS#1 (3.5).
    pub fn public_pem(&self) -> &[u8] {
        &self.public_pem
    }

    /// Puts the key where a recorded answer has a placeholder for it.
    pub(super) fn fill(&self, answer: &mut Dictionary) {
        const KEY: &str = "DevicePublicKey";
        let is_asked = answer.text("Key") == Some(KEY);
        match answer.get_mut("Value") {
            Some(Value::Data(bytes)) if is_asked => bytes.clone_from(&self.public_pem),
            Some(Value::Dictionary(values)) => {
                if let Some(Value::Data(bytes)) = values.get_mut(KEY) {
                    bytes.clone_from(&self.public_pem);
                }
            }
            _ => {}
        }
    }

    /// The device's end of TLS, with the certificate that a pair record has for this key.
    ///
    /// # Errors
    /// It is for another key, or none.
    pub(super) fn server(&self, certificate: &[u8]) -> Result<SslContext, ErrorStack> {
        let mut builder = SslContext::builder(SslMethod::tls_server())?;
        // Level 0, as devices have it: stations may bring old records (3.9).
        builder.set_cipher_list("ALL:@SECLEVEL=0")?;
        builder.set_options(SslOptions::IGNORE_UNEXPECTED_EOF | SslOptions::NO_TICKET);
        builder.set_session_cache_mode(SslSessionCacheMode::OFF);
        builder.set_certificate(X509::from_pem(certificate)?.as_ref())?;
        builder.set_private_key(&self.private)?;
        // A certificate is asked for as a device does; whose it is, the recording decided.
        builder.set_verify_callback(SslVerifyMode::PEER, |_, _| true);
        Ok(builder.build())
    }
}

/// Shakes hands with the station.
pub(super) async fn accept<S>(context: &SslContext, io: S) -> Option<SslStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = SslStream::new(Ssl::new(context).ok()?, io).ok()?;
    match timeout(limits::TLS_HANDSHAKE, Pin::new(&mut stream).accept()).await {
        Ok(Ok(())) => Some(stream),
        Ok(Err(_)) | Err(_) => None,
    }
}
