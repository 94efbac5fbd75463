//! syslog_relay: text, each record ending in LF NUL; no requests (protocols.md 5.5).

use crate::sim::device::Device;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::sync::broadcast::error::RecvError;

/// Service name in lockdown.
pub(super) const SERVICE: &str = "com.apple.syslog_relay";

/// Serves one connection until the host closes it.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(device: &Arc<Device>, io: &mut S) {
    let (mut from_host, mut to_host) = split(io);
    let closed = async {
        let mut ignored = [0; 256];
        while from_host.read(&mut ignored).await.is_ok_and(|n| n > 0) {}
    };
    let stream = async {
        let (earlier, mut coming) = device.log_lines();
        for line in earlier {
            if !write_record(&mut to_host, &line).await {
                return;
            }
        }
        loop {
            match coming.recv().await {
                Ok(line) => {
                    if !write_record(&mut to_host, &line).await {
                        return;
                    }
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    };
    tokio::select! {
        () = closed => {}
        () = stream => {}
    }
}

async fn write_record<W: AsyncWrite + Unpin>(to: &mut W, line: &str) -> bool {
    let record = format!("{line}\n\0");
    to.write_all(record.as_bytes()).await.is_ok() && to.flush().await.is_ok()
}
