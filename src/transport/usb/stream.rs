//! A stream to a port of a device through our own mux.
//!
//! May import: `proto`, base.

use super::link::{Core, Link, Unopened, now};
use crate::proto::mux::StreamId;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream. Dropping it closes it; what was written is still sent.
#[derive(Debug)]
pub(super) struct MuxStream {
    link: Arc<Link>,
    id: StreamId,
    /// Closed by us; nothing more can be read (1.8: "half-close does not exist").
    closed: bool,
}

impl MuxStream {
    /// Opens a stream to `port`; waits for the device's answer, which the mux bounds.
    ///
    /// # Errors
    /// [`Unopened`].
    pub(super) async fn open(link: Arc<Link>, port: u16) -> Result<Self, Unopened> {
        let (id, opened) = link.open(port)?;
        // Made before the wait: if the caller gives up, its drop closes what was asked for.
        let stream = Self { link, id, closed: false };
        opened.await.unwrap_or(Err(Unopened::Gone))?;
        Ok(stream)
    }

    fn close(&mut self) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let mut core = self.link.lock();
        core.streams.remove(&self.id);
        if !core.over {
            core.mux.close(self.id, now());
            drop(core);
            self.link.kick();
        }
    }
}

impl Drop for MuxStream {
    fn drop(&mut self) {
        self.close();
    }
}

impl AsyncRead for MuxStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.closed || buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let mut core = self.link.lock();
        match core.mux.read(self.id, buffer.initialize_unfilled()) {
            Ok(0) if core.over => Poll::Ready(Ok(())),
            Ok(0) => {
                wait(&mut core, self.id, |ends| &mut ends.reader, cx);
                Poll::Pending
            }
            Ok(read) => {
                drop(core);
                buffer.advance(read);
                // What was read may have to be acknowledged.
                self.link.kick();
                Poll::Ready(Ok(()))
            }
            // Everything was handed out, and the device has closed.
            Err(_) => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for MuxStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut core = self.link.lock();
        if core.over {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        match core.mux.write(self.id, bytes) {
            Ok(0) => {
                wait(&mut core, self.id, |ends| &mut ends.writer, cx);
                Poll::Pending
            }
            Ok(taken) => {
                drop(core);
                self.link.kick();
                Poll::Ready(Ok(taken))
            }
            Err(_) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// What was written is on its way without being asked.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close();
        Poll::Ready(Ok(()))
    }
}

/// Remembers who waits.
fn wait(
    core: &mut Core,
    id: StreamId,
    end: impl FnOnce(&mut super::link::Ends) -> &mut Option<std::task::Waker>,
    cx: &Context<'_>,
) {
    if let Some(ends) = core.streams.get_mut(&id) {
        end(ends).replace(cx.waker().clone());
    }
}
