//! One GET over https: for a Profile URL, when a person asks for that (R53). Nothing else of
//! this program calls a server, but `enlist watch` its station.

use crate::secret::Secret;
use crate::wire::printable::system_words;
use crate::wire::profile::https_host;
use openssl::error::ErrorStack;
use openssl::ssl::{Ssl, SslConnector, SslMethod};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::X509VerifyFlags;
use std::io;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_openssl::SslStream;

/// The whole exchange.
const ANSWER: Duration = Duration::from_secs(20);

/// Longest answer, headers included: real ones are below 4 KiB.
const ANSWER_BYTES: u64 = 256 << 10;

/// Why there is no answer. Never shows the path: it may hold a secret.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    /// No https address.
    #[error("it is no https address")]
    Address,
    /// It cannot be reached.
    #[error("{host} cannot be reached: {}", system_words(source))]
    Unreachable {
        /// Whom.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// Its certificate does not hold, or it speaks no TLS.
    #[error("{host} is not trusted, or does not speak https: {reason}")]
    Untrusted {
        /// Who.
        host: String,
        /// Why.
        reason: String,
    },
    /// No answer in time.
    #[error("{host} does not answer")]
    Silent {
        /// Who.
        host: String,
    },
    /// No, or something that is no answer.
    #[error("{host} answers with '{status}'")]
    Refused {
        /// Who.
        host: String,
        /// The status line, or what is wrong.
        status: String,
    },
}

/// Fetches what is at an https address whose server chains to one of `anchors`. Redirections
/// are not followed.
///
/// # Errors
/// [`HttpsError`].
pub async fn get(url: &str, anchors: &[X509]) -> Result<Secret<Vec<u8>>, HttpsError> {
    let host = https_host(url).ok_or(HttpsError::Address)?.to_owned();
    match timeout(ANSWER, exchange(url, &host, anchors)).await {
        Ok(done) => done,
        Err(_) => Err(HttpsError::Silent { host }),
    }
}

async fn exchange(url: &str, host: &str, anchors: &[X509]) -> Result<Secret<Vec<u8>>, HttpsError> {
    let (authority, path) = split(url);
    let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(443);
    let unreachable = |source| HttpsError::Unreachable { host: host.to_owned(), source };
    let stream = TcpStream::connect((host, port)).await.map_err(unreachable)?;
    let untrusted = |reason: String| HttpsError::Untrusted { host: host.to_owned(), reason };
    let ssl = client(host, anchors).map_err(|error| untrusted(error.to_string()))?;
    let mut stream = SslStream::new(ssl, stream).map_err(|error| untrusted(error.to_string()))?;
    Pin::new(&mut stream).connect().await.map_err(|error| untrusted(error.to_string()))?;
    // 1.0: the answer comes whole, and its end is the end of the stream.
    let request = format!(
        "GET {path} HTTP/1.0\r\nHost: {authority}\r\nAccept: application/json\r\nUser-Agent: enlist\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(unreachable)?;
    let mut answer = Vec::new();
    let read = stream.take(ANSWER_BYTES).read_to_end(&mut answer).await;
    // Servers that close without a farewell are common; what came is judged by its length.
    if let Err(error) = read
        && answer.is_empty()
    {
        return Err(unreachable(error));
    }
    body(&answer).map(Secret::new).map_err(|status| HttpsError::Refused { host: host.to_owned(), status })
}

/// Authority and path of an address.
fn split(url: &str) -> (&str, String) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split('#').next().unwrap_or(rest);
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    (authority, if path.starts_with('/') { path.to_owned() } else { format!("/{path}") })
}

/// The client's end of TLS with `host`, which must chain to one of `anchors` and have a
/// certificate for that name or address.
pub(crate) fn client(host: &str, anchors: &[X509]) -> Result<Ssl, ErrorStack> {
    let mut store = X509StoreBuilder::new()?;
    for anchor in anchors {
        store.add_cert(anchor.clone())?;
    }
    // An anchor is trusted because it was given, self-signed or not.
    store.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
    let mut connector = SslConnector::builder(SslMethod::tls_client())?;
    connector.set_cert_store(store.build());
    connector.build().configure()?.into_ssl(host)
}

/// The body of a good answer; else its status line.
fn body(answer: &[u8]) -> Result<Vec<u8>, String> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or("no HTTP answer")?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let status = head.lines().next().unwrap_or_default();
    if status.split_whitespace().nth(1) != Some("200") {
        return Err(crate::wire::printable::printable(&status.chars().take(80).collect::<String>()));
    }
    let body = &answer[end + 4..];
    let header = |name: &str| {
        let of = |line: &str| {
            let (key, value) = line.split_once(':')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        };
        head.lines().skip(1).find_map(of)
    };
    let length = header("Content-Length").and_then(|length| length.parse::<usize>().ok());
    if length.is_some_and(|length| body.len() < length) || header("Transfer-Encoding").is_some() {
        return Err("an answer that was cut short".to_owned());
    }
    Ok(body.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_split_as_a_server_wants_it() {
        assert_eq!(split("https://a.example:8443/x?y#z"), ("a.example:8443", "/x?y".to_owned()));
        assert_eq!(split("https://a.example"), ("a.example", "/".to_owned()));
        assert_eq!(split("https://a.example?id=1"), ("a.example", "/?id=1".to_owned()));
    }

    #[test]
    fn only_a_whole_good_answer_has_a_body() {
        assert_eq!(body(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), Ok(b"hi".to_vec()));
        assert_eq!(body(b"HTTP/1.0 200 OK\r\n\r\n"), Ok(vec![]));
        assert_eq!(
            body(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi").unwrap_err(),
            "an answer that was cut short"
        );
        assert_eq!(body(b"HTTP/1.1 302 Found\r\nLocation: x\r\n\r\n").unwrap_err(), "HTTP/1.1 302 Found");
        for bad in [&b""[..], b"nonsense", b"HTTP/1.1 200 OK\r\n"] {
            assert_eq!(body(bad).unwrap_err(), "no HTTP answer");
        }
    }
}
