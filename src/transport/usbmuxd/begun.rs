//! A stream whose first bytes came together with the mux's answer.
//!
//! May import: the words of every backend.

use crate::transport::BoxChannel;
use std::io::Result;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The bytes that came already, then the rest of the stream.
#[derive(Debug)]
pub(super) struct BegunStream {
    first: Vec<u8>,
    /// How many of `first` were read.
    read: usize,
    io: BoxChannel,
}

impl BegunStream {
    /// `io` with `first` before it.
    pub(super) fn new(first: Vec<u8>, io: BoxChannel) -> Self {
        Self { first, read: 0, io }
    }
}

impl AsyncRead for BegunStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let this = &mut *self;
        let left = this.first.get(this.read..).unwrap_or_default();
        if left.is_empty() {
            this.first = Vec::new();
            return Pin::new(&mut this.io).poll_read(cx, buffer);
        }
        let taken = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..taken]);
        this.read += taken;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for BegunStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn what_came_early_is_read_first_and_by_any_steps() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut stream = BegunStream::new(b"early".to_vec(), Box::new(near));
        far.write_all(b" and late").await.unwrap();
        let mut two = [0; 2];
        stream.read_exact(&mut two).await.unwrap();
        assert_eq!(&two, b"ea");
        stream.write_all(b"answer").await.unwrap();
        let mut answer = [0; 6];
        far.read_exact(&mut answer).await.unwrap();
        drop(far);
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
        assert_eq!((rest.as_str(), &answer), ("rly and late", b"answer"));
    }
}
