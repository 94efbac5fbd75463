//! installation_proxy: tells which apps there are, and does nothing else (protocols.md 5.6).

use crate::sim::device::Device;
use crate::sim::link::Link;
use crate::wire::fields::{dictionary, string};
use crate::wire::installation_proxy::{Lookup, SERVICE};
use plist::Value;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// Serves one connection.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(device: &Arc<Device>, io: &mut S) {
    let mut link = Link::new(io, device, SERVICE);
    let refusal = || Value::Dictionary(dictionary([("Error", string("APIInternalError"))]));
    while let Some(fields) = link.request("Command").await {
        let answer = match Lookup::from_plist(&fields) {
            Some(lookup) => lookup.answer(&device.with(|s| s.settings.apps.clone())),
            None => refusal(),
        };
        if !link.answer(answer, refusal).await {
            return;
        }
    }
}
