//! The other end of the API: asks a station over HTTP, and follows what it shows.
//!
//! A station may be hostile or broken: whatever it sends, memory is bounded, every wait has a
//! deadline, and no text of it can drive a terminal. Start at [`Client`]; [`Follower`] keeps
//! following, and [`Mirror`] is what the station showed last.

mod connect;
mod follow;
mod mirror;
mod stream;
mod target;
mod understood;

pub use follow::{Follower, Told};
pub use mirror::{Change, Mirror};
pub use target::{BadTarget, Target};

#[cfg(test)]
pub(crate) use mirror::tests as samples;

use super::OperationError;
use super::view::Exit;
use crate::secret::Secret;
use crate::wire::printable::{printable, sentence, system_words};
use connect::Anchors;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONNECTION, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Where a station listens unless told otherwise: this computer only.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7417);

/// Reaching a station, TLS included.
const CONNECT: Duration = Duration::from_secs(10);

/// From the request to the end of its answer; the head of the event stream included.
const ANSWER: Duration = Duration::from_secs(15);

/// Longest head of an answer, in bytes: a station's is below two kilobytes.
const HEAD_BYTES: usize = 16 << 10;

/// Most header lines of an answer: a station sends a dozen.
const HEAD_LINES: usize = 64;

/// Longest answer and longest event, in bytes: a snapshot of a thousand devices is half of it.
const MESSAGE_BYTES: usize = 2 << 20;

/// Why a station does not say what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody is there.
    #[error("no station answers at {station}: {}", system_words(.source))]
    Unreachable {
        /// Its address.
        station: String,
        /// Why.
        source: io::Error,
    },
    /// It accepts, and says nothing.
    #[error("{station} does not answer")]
    Silent {
        /// Its address.
        station: String,
    },
    /// Its certificate does not hold, or it speaks no TLS.
    #[error("{station} is not trusted, or does not speak TLS: {reason}")]
    Untrusted {
        /// Its address.
        station: String,
        /// Why.
        reason: String,
    },
    /// It refuses.
    #[error("{station} refuses: {detail}")]
    Refused {
        /// Its address.
        station: String,
        /// HTTP status.
        status: u16,
        /// In its words.
        detail: String,
        /// What to do, in its words.
        next: Option<String>,
    },
    /// What it says cannot be used.
    #[error("what {station} says cannot be used: {what}")]
    NotUnderstood {
        /// Its address.
        station: String,
        /// What is wrong.
        what: String,
    },
    /// The connection ended.
    #[error("the connection to {station} is lost")]
    Ended {
        /// Its address.
        station: String,
    },
}

impl ClientError {
    /// What to do.
    pub fn next(&self) -> String {
        match self {
            Self::Unreachable { .. } | Self::Ended { .. } => {
                "Start one with `enlist serve`, or give the address that it prints.".to_owned()
            }
            Self::Silent { .. } => "Check the address and the network.".to_owned(),
            Self::Untrusted { .. } => {
                "Name its certificate with --certificate FILE, and use a name that is in it.".to_owned()
            }
            Self::Refused { status: 401, .. } => {
                "Give the station's token with --token-file FILE or ENLIST_API_TOKEN.".to_owned()
            }
            Self::Refused { next, .. } => next.clone().unwrap_or_else(|| "Check the address.".to_owned()),
            Self::NotUnderstood { .. } => {
                "Check the address, and that station and this program are of the same version.".to_owned()
            }
        }
    }
}

impl From<ClientError> for OperationError {
    fn from(error: ClientError) -> Self {
        let exit = match &error {
            ClientError::Untrusted { .. } => Exit::Usage,
            ClientError::Refused { status: 401 | 403 | 421, .. } => Exit::Usage,
            _ => Exit::Failed,
        };
        Self::new(exit, sentence(&error), error.next())
    }
}

/// A station, and how to ask it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    target: Target,
    token: Option<HeaderValue>,
    anchors: Arc<Anchors>,
}

impl Client {
    /// A station at `target`. `certificate` is PEM text: then nothing else is trusted; else the
    /// system's roots are.
    ///
    /// # Errors
    /// [`BadTarget`]: a token that cannot be sent, or a certificate that is none.
    pub fn new(
        target: Target,
        token: Option<&Secret<String>>,
        certificate: Option<&[u8]>,
    ) -> Result<Self, BadTarget> {
        if token.is_some() && !target.keeps_secrets() {
            return Err(BadTarget::TokenInClear { station: target.to_string() });
        }
        let bearer = |token: &Secret<String>| {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose().trim()))
                .map_err(|_| BadTarget::Token)?;
            value.set_sensitive(true);
            Ok(value)
        };
        let anchors = match certificate {
            Some(pem) => Anchors::pinned(pem).ok_or(BadTarget::Certificate)?,
            None if target.is_tls() => Anchors::of_system(),
            None => Anchors::default(),
        };
        Ok(Self { target, token: token.map(bearer).transpose()?, anchors: Arc::new(anchors) })
    }

    /// Where the station is.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What is at a path, such as `/api/v1/jobs`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let whole = async {
            let answer = self.ask(path, &[]).await?;
            let body = self.body(answer).await?;
            understood::read(&body).map_err(|what| self.not_understood(what))
        };
        timeout(ANSWER, whole).await.unwrap_or_else(|_| Err(self.silent()))
    }

    /// Asks, and gives the good answer's head.
    async fn ask(&self, path: &str, headers: &[(&'static str, &str)]) -> Result<Exchange, ClientError> {
        let stream = timeout(CONNECT, self.connect()).await.map_err(|_| self.silent())??;
        let mut settings = http1::Builder::new();
        settings.max_buf_size(HEAD_BYTES).max_headers(HEAD_LINES);
        let shaken = settings.handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.map_err(|error| self.broken(&error))?;
        // It ends with the exchange; what goes wrong with it is told to whoever reads.
        let task = tokio::spawn(async move { _ = connection.await });
        let mut exchange = Exchange { answer: None, task };
        let request = self.request(path, headers).map_err(|_| self.not_understood("bad request".into()))?;
        let answer = sender.send_request(request).await.map_err(|error| self.broken(&error))?;
        let status = answer.status();
        exchange.answer = Some(answer);
        match status {
            StatusCode::OK => Ok(exchange),
            _ => Err(self.refused(status, exchange).await),
        }
    }

    fn request(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Request<String>, hyper::http::Error> {
        let mut request = Request::builder().method(Method::GET).uri(path);
        request = request.header(HOST, self.target.authority()).header(CONNECTION, "close");
        request = request.header(ACCEPT, "application/json, text/event-stream");
        request = request.header(USER_AGENT, concat!("enlist/", env!("CARGO_PKG_VERSION")));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        request.body(String::new())
    }

    async fn refused(&self, status: StatusCode, exchange: Exchange) -> ClientError {
        let problem = self.body(exchange).await.ok();
        let problem = problem.and_then(|body| understood::read::<Problem>(&body).ok());
        let detail = problem.as_ref().map(|problem| problem.detail.trim_end_matches('.').to_owned());
        ClientError::Refused {
            station: self.target.to_string(),
            status: status.as_u16(),
            detail: detail.unwrap_or_else(|| format!("it answers with {status}")),
            next: problem.and_then(|problem| problem.next),
        }
    }

    async fn body(&self, mut exchange: Exchange) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        while let Some(bytes) = exchange.bytes().await.map_err(|error| self.broken(&error))? {
            if body.len() + bytes.len() > MESSAGE_BYTES {
                return Err(self.not_understood("the answer is too long".into()));
            }
            body.extend_from_slice(&bytes);
        }
        Ok(body)
    }

    fn silent(&self) -> ClientError {
        ClientError::Silent { station: self.target.to_string() }
    }

    fn ended(&self) -> ClientError {
        ClientError::Ended { station: self.target.to_string() }
    }

    fn not_understood(&self, what: String) -> ClientError {
        ClientError::NotUnderstood { station: self.target.to_string(), what }
    }

    /// An error of a connection that stood.
    fn broken(&self, error: &hyper::Error) -> ClientError {
        match error.is_parse() || error.is_parse_too_large() {
            true => self.not_understood(printable(&error.to_string())),
            false => self.ended(),
        }
    }
}

/// What a refusal says (RFC 9457).
#[derive(Deserialize)]
struct Problem {
    detail: String,
    next: Option<String>,
}

/// An answer that comes in; its connection ends with it.
struct Exchange {
    answer: Option<Response<Incoming>>,
    task: JoinHandle<()>,
}

impl Exchange {
    /// The next bytes of the body; `None` at its end. Cancel-safe.
    async fn bytes(&mut self) -> Result<Option<hyper::body::Bytes>, hyper::Error> {
        let Some(answer) = &mut self.answer else { return Ok(None) };
        loop {
            let body = answer.body_mut();
            match poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await.transpose()? {
                None => return Ok(None),
                // Trailers say nothing here.
                Some(frame) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.task.abort();
    }
}
