//! Watching a mux: one connection that listens, opened again whenever it dies.

use super::super::{Attachment, BackendEvent, TransportError};
use super::MuxAddress;
use super::connection::MuxConnection;
use crate::limits;
use crate::wire::usbmuxd::{Message, RESULT_OK, Request};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// Listens until nobody listens to us.
pub(super) async fn run(address: MuxAddress, events: mpsc::Sender<BackendEvent>) {
    let mut pause = limits::MUX_BACKOFF_MIN;
    loop {
        let ended = tokio::select! {
            ended = listen(&address, &events, &mut pause) => ended,
            () = events.closed() => return,
        };
        let reason = ended.to_string();
        if events.send(BackendEvent::Lost { reason }).await.is_err() {
            return;
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = events.closed() => return,
        }
        pause = next_pause(pause);
    }
}

fn next_pause(pause: Duration) -> Duration {
    (pause * 2).min(limits::MUX_BACKOFF_MAX)
}

/// One life of the listening connection; returns why it ended.
async fn listen(
    address: &MuxAddress,
    events: &mpsc::Sender<BackendEvent>,
    pause: &mut Duration,
) -> TransportError {
    let mut connection = match MuxConnection::open(address).await {
        Ok(connection) => connection,
        Err(error) => return error,
    };
    match connection.ask(&Request::Listen).await {
        Ok(Message::Result(RESULT_OK)) => {}
        Ok(Message::Result(number)) => return TransportError::MuxRefused { request: "Listen", number },
        Ok(_) => {
            let reason = "an unexpected answer to Listen".to_owned();
            return TransportError::MuxProtocol { address: address.to_string(), reason };
        }
        Err(error) => return error,
    }
    *pause = limits::MUX_BACKOFF_MIN;
    let mut event = Some(BackendEvent::Ready);
    loop {
        if let Some(event) = event.take()
            && events.send(event).await.is_err()
        {
            return TransportError::Abandoned;
        }
        match connection.next().await {
            Ok(Message::Attached(device)) => {
                event = Attachment::from_mux(&device).map(BackendEvent::Attached);
                if event.is_none() {
                    tracing::debug!(id = %device.id, "ignored: not a cable attachment with a UDID");
                }
            }
            Ok(Message::Detached(id)) => event = Some(BackendEvent::Detached(id)),
            Ok(_) => {}
            Err(error) => return error,
        }
    }
}
