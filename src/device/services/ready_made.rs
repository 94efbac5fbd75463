//! Services the `idevice` crate already speaks, over our own streams.
//!
//! Our session starts the service, with our deadlines, limits, TLS quirks and errors; the
//! crate gets the finished stream. Its own lockdown and TLS are not used: they drop the
//! device's errors and know no deadline (protocols.md 9.2, 9.3).

use crate::device::{DeviceError, DeviceSession};
use crate::limits::LOG_RECORD_BYTES;
use crate::transport::{BoxChannel, TransportError};
use idevice::syslog_relay::SyslogRelayClient;
use idevice::{Idevice, IdeviceService};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The device's log, line by line (5.5).
#[derive(Debug)]
pub struct DeviceLog {
    client: SyslogRelayClient,
}

/// `com.apple.syslog_relay` (5.5).
const SYSLOG_RELAY: &str = "com.apple.syslog_relay";

impl DeviceLog {
    /// Starts following the log.
    ///
    /// # Errors
    /// As [`DeviceSession::start_service`].
    pub async fn open(session: &mut DeviceSession) -> Result<Self, DeviceError> {
        let stream = session.start_service(SYSLOG_RELAY).await?;
        let client = adopt::<SyslogRelayClient>(Box::new(BoundedRecords::new(stream))).await?;
        Ok(Self { client })
    }

    /// The next line.
    ///
    /// # Errors
    /// [`TransportError::Closed`] when the device ends the log.
    pub async fn next(&mut self) -> Result<String, DeviceError> {
        let line = self.client.next().await;
        line.map_err(|_| TransportError::Closed { what: "a log line".into() }.into())
    }
}

/// Hands a started service's stream to the crate.
async fn adopt<S: IdeviceService>(stream: BoxChannel) -> Result<S, DeviceError> {
    let adopted = S::from_stream(Idevice::new(Box::new(stream), "enlist")).await;
    adopted.map_err(|e| {
        TransportError::Io { what: "taking over a service".into(), source: io::Error::other(e.to_string()) }
            .into()
    })
}

/// A log stream that fails once a record (they end with NUL, 5.5) grows beyond
/// [`LOG_RECORD_BYTES`]: its reader has no limit of its own.
#[derive(Debug)]
struct BoundedRecords {
    stream: BoxChannel,
    since_end: usize,
}

impl BoundedRecords {
    fn new(stream: BoxChannel) -> Self {
        Self { stream, since_end: 0 }
    }
}

impl AsyncRead for BoundedRecords {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Asked before reading: a read that fails must not have filled anything.
        if self.since_end > LOG_RECORD_BYTES {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let new = &buffer.filled()[before..];
        self.since_end = match new.iter().rposition(|byte| *byte == 0) {
            Some(end) => new.len() - end - 1,
            None => self.since_end + new.len(),
        };
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for BoundedRecords {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, repeat};

    #[tokio::test]
    async fn a_record_that_never_ends_is_cut_off() {
        let endless = tokio::io::join(repeat(b'x'), tokio::io::sink());
        let mut log = BoundedRecords::new(Box::new(endless));
        let mut read = Vec::new();
        assert_eq!(log.read_to_end(&mut read).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(read.len() <= 3 * LOG_RECORD_BYTES);
    }

    #[tokio::test]
    async fn records_that_end_go_on_for_ever() {
        let records = [&[b'x'; 100][..], &[0]].concat().repeat(3 * LOG_RECORD_BYTES / 100);
        let stream = tokio::io::join(io::Cursor::new(records.clone()), tokio::io::sink());
        let mut read = Vec::new();
        BoundedRecords::new(Box::new(stream)).read_to_end(&mut read).await.unwrap();
        assert_eq!(read, records);
    }
}
