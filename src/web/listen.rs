//! The socket: accepting, TLS, limits of connections, and the end.

use super::session::Access;
use super::stalled::Stalled;
use super::state::{self, Web};
use super::{Options, WebError, routes};
use crate::api::Running;
use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use openssl::ssl::{AlpnError, Ssl, SslAcceptor, SslFiletype, SslMethod, select_next_proto};
use openssl::x509::X509;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_openssl::SslStream;

/// Connections at once: every follower with the six that a browser opens, twice over a bench.
const CONNECTIONS: usize = 256;

/// From the begin of a connection, or the end of the answer before, to the end of a request's
/// head. An idle connection of a browser ends with it too; it opens another.
const HEAD: Duration = Duration::from_secs(10);

/// Longest head of a request, in bytes: a browser's is below two kilobytes.
const HEAD_BYTES: usize = 16 << 10;

/// Most header lines of a request: a browser sends twenty.
const HEAD_LINES: usize = 64;

/// A TLS handshake on a bad network.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Somebody who reads nothing for so long is gone.
const READS: Duration = Duration::from_secs(20);

/// Answers that are under way may end within this when the station does.
const FAREWELL: Duration = Duration::from_secs(1);

/// The system has no more sockets: wait until some are closed.
const NO_SOCKETS: Duration = Duration::from_millis(200);

/// Said to a connection that is one too many.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// What is known of a connection.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    /// Our end.
    pub(super) local: SocketAddr,
    /// Over TLS.
    pub(super) tls: bool,
    /// Names of this computer.
    pub(super) names: Arc<[String]>,
}

/// A server that runs.
pub struct Server {
    address: SocketAddr,
    asked: SocketAddr,
    tls: bool,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Ends a server from elsewhere.
#[derive(Debug, Clone)]
pub struct Stopper(watch::Sender<bool>);

impl Stopper {
    /// Ends it: followers are told, nothing new is accepted.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Server {
    /// Listens and serves.
    ///
    /// # Errors
    /// It must not or cannot listen there.
    pub async fn start(options: Options, running: Running) -> Result<Self, WebError> {
        let tls = options.usable()?;
        let listener = bind(&options).await?;
        let bound = |source| WebError::Bind { address: options.address, source };
        let address = listener.local_addr().map_err(bound)?;
        let (stop, stopped) = watch::channel(false);
        let access = Access::new(options.token, tls.is_some());
        let web = Arc::new(Web::new(running, access, options.kiosk, stopped.clone()));
        let mut names = options.hosts;
        names.retain(|name| !name.is_empty());
        if let Some((_, of_certificate)) = &tls {
            names.extend(of_certificate.iter().cloned());
        }
        let shop = Shop {
            router: routes::router(web.clone()),
            web,
            tls: tls.map(|(acceptor, _)| acceptor),
            names: names.into(),
            stopped,
        };
        let is_tls = shop.tls.is_some();
        let task = tokio::spawn(Arc::new(shop).open(listener));
        Ok(Self { address, asked: options.address, tls: is_tls, stop, task })
    }

    /// Where a browser finds it.
    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}/", self.address)
    }

    /// The address nobody asked for, if that was taken.
    pub fn instead_of(&self) -> Option<SocketAddr> {
        let other = self.asked.port() != 0 && self.asked.port() != self.address.port();
        other.then_some(self.asked)
    }

    /// What ends it from elsewhere.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.stop.clone())
    }

    /// Ends it; gone when this returns, in bounded time.
    pub async fn end(self) {
        self.stop.send_replace(true);
        let _ = self.task.await;
    }
}

async fn bind(options: &Options) -> Result<TcpListener, WebError> {
    let address = options.address;
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if options.any_port {
                let any = SocketAddr::new(address.ip(), 0);
                return TcpListener::bind(any)
                    .await
                    .map_err(|source| WebError::Bind { address: any, source });
            }
            Err(WebError::InUse { address })
        }
        Err(source) => Err(WebError::Bind { address, source }),
    }
}

impl Options {
    /// Whether a server could be made of them; nothing is listened on.
    ///
    /// # Errors
    /// Token, TLS files, or what an open address lacks.
    pub fn check(&self) -> Result<(), WebError> {
        self.usable().map(drop)
    }

    fn usable(&self) -> Result<Option<(SslAcceptor, Vec<String>)>, WebError> {
        self.is_allowed()?;
        self.tls.as_ref().map(|(certificate, key)| acceptor(certificate, key)).transpose()
    }
}

/// TLS 1.2 and newer with today's ciphers; and the names in the certificate.
fn acceptor(certificate: &Path, key: &Path) -> Result<(SslAcceptor, Vec<String>), WebError> {
    let unusable = |reason: String| WebError::Tls { path: certificate.into(), reason };
    let of_openssl = |error: openssl::error::ErrorStack| {
        let first = error.errors().first().and_then(|e| e.reason()).unwrap_or("OpenSSL refuses it");
        unusable(first.to_owned())
    };
    let pem = std::fs::read(certificate).map_err(|e| unusable(crate::wire::printable::system_words(&e)))?;
    std::fs::File::open(key).map_err(|e| unusable(crate::wire::printable::system_words(&e)))?;
    let leaf = X509::from_pem(&pem).map_err(of_openssl)?;
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).map_err(of_openssl)?;
    builder.set_certificate_chain_file(certificate).map_err(of_openssl)?;
    builder.set_private_key_file(key, SslFiletype::PEM).map_err(of_openssl)?;
    builder.check_private_key().map_err(of_openssl)?;
    builder.set_alpn_select_callback(|_, offered| {
        select_next_proto(b"\x08http/1.1", offered).ok_or(AlpnError::ALERT_FATAL)
    });
    let names = leaf.subject_alt_names();
    let names = names.iter().flatten().filter_map(|name| name.dnsname()).map(str::to_owned);
    Ok((builder.build(), names.collect()))
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// What every connection needs.
struct Shop {
    router: Router,
    web: Arc<Web>,
    tls: Option<SslAcceptor>,
    names: Arc<[String]>,
    stopped: watch::Receiver<bool>,
}

impl Shop {
    async fn open(self: Arc<Self>, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        let mut stopped = self.stopped.clone();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = connections.join_next() => continue,
                () = state::stopped(&mut stopped) => break,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    sleep(NO_SOCKETS).await;
                    continue;
                }
            };
            let Ok(place) = places.clone().try_acquire_owned() else {
                self.web.counts.turned_away.fetch_add(1, Ordering::Relaxed);
                // It fits into any send buffer; over TLS it would only confuse.
                if self.tls.is_none() {
                    let _ = stream.try_write(TOO_MANY);
                }
                continue;
            };
            let shop = self.clone();
            connections.spawn(async move {
                shop.web.counts.connections.fetch_add(1, Ordering::Relaxed);
                shop.serve(stream).await;
                shop.web.counts.connections.fetch_sub(1, Ordering::Relaxed);
                drop(place);
            });
        }
        drop(listener);
        let all = async { while connections.join_next().await.is_some() {} };
        let _ = timeout(FAREWELL, all).await;
    }

    async fn serve(&self, stream: TcpStream) {
        let Ok(local) = stream.local_addr() else { return };
        let _ = stream.set_nodelay(true);
        let Some(stream) = self.greeted(stream).await else { return };
        let connection = Connection { local, tls: self.tls.is_some(), names: self.names.clone() };
        let router = TowerToHyperService::new(self.router.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(connection.clone());
            router.call(request)
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(HEAD_BYTES)
            .max_headers(HEAD_LINES)
            .serve_connection(TokioIo::new(Stalled::new(stream, READS)), service);
        tokio::pin!(served);
        let mut stopped = self.stopped.clone();
        tokio::select! {
            ended = served.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
            }
            () = state::stopped(&mut stopped) => {
                served.as_mut().graceful_shutdown();
                let _ = timeout(FAREWELL, served).await;
            }
        }
    }

    async fn greeted(&self, stream: TcpStream) -> Option<Box<dyn Stream>> {
        let Some(acceptor) = &self.tls else { return Some(Box::new(stream)) };
        let ssl = Ssl::new(acceptor.context()).ok()?;
        let mut stream = SslStream::new(ssl, stream).ok()?;
        match timeout(HANDSHAKE, Pin::new(&mut stream).accept()).await {
            Ok(Ok(())) => Some(Box::new(stream)),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                None
            }
            Err(_) => None,
        }
    }
}
