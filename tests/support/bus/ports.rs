//! What listens at a device's ports: services for tests, and the simulator's devices.

use async_trait::async_trait;
use enlist::ids::MuxId;
use enlist::transport::{Backend, BoxChannel, TransportError};
use std::io::Result;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Sends back what it gets.
pub const ECHO: u16 = 7;
/// Takes everything, sends nothing.
pub const DISCARD: u16 = 9;
/// Once it got a byte, sends [`pattern`] for ever, as fast as it may.
pub const SOURCE: u16 = 19;

/// Bytes on the way through [`ECHO`].
const ECHO_BYTES: usize = 256 << 10;

/// Opens streams to a device's ports.
#[async_trait]
pub trait Ports: Send + Sync {
    /// A stream to `port`, or the reason of a refusal.
    async fn connect(&self, port: u16) -> std::result::Result<BoxChannel, String>;
}

/// [`ECHO`], [`DISCARD`] and [`SOURCE`]; everything else is refused.
#[derive(Debug, Clone, Copy, Default)]
pub struct TestServices;

#[async_trait]
impl Ports for TestServices {
    async fn connect(&self, port: u16) -> std::result::Result<BoxChannel, String> {
        match port {
            ECHO => {
                let (ours, theirs) = tokio::io::duplex(ECHO_BYTES);
                tokio::spawn(async move {
                    let (mut reader, mut writer) = tokio::io::split(theirs);
                    // Ends with the stream.
                    let _ = tokio::io::copy(&mut reader, &mut writer).await;
                });
                Ok(Box::new(ours))
            }
            DISCARD => Ok(Box::new(Sink)),
            SOURCE => Ok(Box::new(Source { at: None, waiting: None })),
            _ => Err(format!("nothing listens at port {port}\n")),
        }
    }
}

/// A device of the simulator, which has the test services besides its own.
#[derive(Debug, Clone)]
pub struct FleetPorts {
    pub backend: Arc<dyn Backend>,
    pub id: MuxId,
}

#[async_trait]
impl Ports for FleetPorts {
    async fn connect(&self, port: u16) -> std::result::Result<BoxChannel, String> {
        if matches!(port, ECHO | DISCARD | SOURCE) {
            return TestServices.connect(port).await;
        }
        self.backend.connect(self.id, port).await.map_err(|error: TransportError| error.to_string())
    }
}

/// A prime, so that no size of packets or transfers divides it.
const PERIOD: u64 = 251;

/// The byte at a place of what [`SOURCE`] sends.
pub fn pattern(at: u64) -> u8 {
    (at % PERIOD) as u8
}

/// Many periods, to be copied from.
static PATTERN: OnceLock<Vec<u8>> = OnceLock::new();

#[derive(Debug)]
struct Source {
    /// Where it is; `None` before the first byte came.
    at: Option<u64>,
    waiting: Option<Waker>,
}

impl AsyncRead for Source {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let Some(at) = self.at else {
            self.waiting = Some(context.waker().clone());
            return Poll::Pending;
        };
        let ready = PATTERN.get_or_init(|| (0..PERIOD * 1024).map(pattern).collect());
        let piece = &ready[(at % PERIOD) as usize..];
        let piece = &piece[..piece.len().min(buffer.remaining())];
        buffer.put_slice(piece);
        self.at = Some(at + piece.len() as u64);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Source {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.at.get_or_insert(0);
        self.waiting.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[derive(Debug)]
struct Sink;

/// Never has anything, and never ends by itself.
impl AsyncRead for Sink {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Sink {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}
