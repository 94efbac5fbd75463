//! TLS as the device speaks it: the server, with the pair record's DeviceCertificate and its
//! own key, demanding a client certificate of the record's root (protocols.md 3.9).

use super::keys::DeviceKey;
use super::persona::TlsVersions;
use crate::limits;
use crate::wire::pair_record::OfferedRecord;
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Public};
use openssl::ssl::{
    Ssl, SslContext, SslMethod, SslMode, SslOptions, SslSessionCacheMode, SslVerifyMode, SslVersion,
};
use openssl::x509::{X509, X509Ref};
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_openssl::SslStream;

/// The device's end of TLS with one host.
pub(super) fn server_context(
    record: &OfferedRecord,
    key: &DeviceKey,
    versions: TlsVersions,
) -> Result<SslContext, ErrorStack> {
    let root = X509::from_pem(&record.root_certificate)?;
    let root_key = root.public_key()?;
    let mut builder = SslContext::builder(SslMethod::tls_server())?;
    let (oldest, newest) = match versions {
        TlsVersions::Modern => (SslVersion::TLS1_2, SslVersion::TLS1_3),
        TlsVersions::Tls12 => (SslVersion::TLS1_2, SslVersion::TLS1_2),
        TlsVersions::Tls10 => (SslVersion::TLS1, SslVersion::TLS1),
    };
    builder.set_min_proto_version(Some(oldest))?;
    builder.set_max_proto_version(Some(newest))?;
    // Level 0: hosts bring SHA-1 signatures and, for old systems, TLS 1.0 (3.9).
    builder.set_cipher_list("ALL:@SECLEVEL=0")?;
    builder.set_options(SslOptions::IGNORE_UNEXPECTED_EOF | SslOptions::NO_TICKET);
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_mode(SslMode::RELEASE_BUFFERS | SslMode::AUTO_RETRY);
    builder.set_certificate(X509::from_pem(&record.device_certificate)?.as_ref())?;
    builder.set_private_key(&key.private)?;
    // All names in these certificates are empty, which confuses OpenSSL's chain building;
    // what counts is that the root signed the leaf, or is it ("LIM uses the root pair").
    let demand = SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT;
    builder.set_verify_callback(demand, move |_, context| {
        if context.error_depth() > 0 {
            return true;
        }
        context.current_cert().is_some_and(|leaf| chains_to(leaf, &root_key))
    });
    Ok(builder.build())
}

fn chains_to(leaf: &X509Ref, root_key: &PKey<Public>) -> bool {
    // A self-signed root verifies under its own key, so this covers both.
    leaf.verify(root_key).unwrap_or(false)
}

/// Shakes hands; `None` if the host is not the one that was paired, or does not answer.
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
