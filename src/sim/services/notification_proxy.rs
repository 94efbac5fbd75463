//! notification_proxy and its insecure sibling (protocols.md 5.2).

use crate::sim::device::Device;
use crate::sim::link::Link;
use crate::wire::notification_proxy::{Message, SERVICE};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::broadcast::error::RecvError;

/// The proxy that needs no session.
pub(super) const INSECURE: &str = "com.apple.mobile.insecure_notification_proxy";

/// Names one connection may observe; more are ignored.
const MOST_NAMES: usize = 256;

/// "Relays only a small allow-list" (5.2): the pairing and attachment names.
const INSECURE_PREFIX: &str = "com.apple.mobile.lockdown.";

/// Serves one connection.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    device: &Arc<Device>,
    io: &mut S,
    insecure: bool,
) {
    let mut posts = device.notifications();
    let mut link = Link::new(io, device, if insecure { INSECURE } else { SERVICE });
    let mut observed = BTreeSet::new();
    let allowed = |name: &str| !insecure || name.starts_with(INSECURE_PREFIX);
    loop {
        tokio::select! {
            biased;
            message = link.request("Command") => {
                let Some(fields) = message else { return };
                match Message::from_plist(&fields) {
                    Message::Observe(name) if observed.len() < MOST_NAMES && allowed(&name) => {
                        observed.insert(name);
                    }
                    Message::Post(name) if allowed(&name) => device.with(|s| s.post(&name)),
                    Message::Shutdown => {
                        link.send(Message::ProxyDeath.to_plist()).await;
                        return;
                    }
                    _ => {}
                }
            }
            post = posts.recv() => match post {
                Ok(name) if observed.contains(&name) => {
                    let nothing = || Message::Unknown.to_plist();
                    if !link.answer(Message::Relay(name).to_plist(), nothing).await {
                        return;
                    }
                }
                // "Several posts may be merged": a reader that lags misses some.
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
        }
    }
}
