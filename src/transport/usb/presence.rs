//! What our own mux has to report, as a state: watchers compare it with what they last told.
//!
//! May import: base, and the words of every backend.

use crate::ids::{MuxId, PortPath};
use crate::transport::{Attachment, BackendEvent, Unserved};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::{mpsc, watch};

/// Devices as they stand now.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Presence {
    /// True if the bus was looked at.
    pub(super) looked: bool,
    /// Arrivals that were on the bus at the start and are still being brought up.
    pub(super) starting: BTreeSet<u64>,
    /// Devices with a working mux.
    pub(super) attached: BTreeMap<MuxId, Attachment>,
    /// Other devices, by arrival.
    pub(super) unserved: BTreeMap<u64, Unserved>,
}

impl Presence {
    /// True if what was there at the start is either attached or not served.
    pub(super) fn settled(&self) -> bool {
        self.looked && self.starting.is_empty()
    }

    fn by_port(&self) -> BTreeMap<&PortPath, &Unserved> {
        self.unserved.values().map(|unserved| (&unserved.device.port, unserved)).collect()
    }

    /// What to report to one who knows `before`: first what went, then what came.
    fn since(&self, before: &Self) -> Vec<BackendEvent> {
        let (unserved, was) = (self.by_port(), before.by_port());
        let went = before.attached.keys().filter(|id| !self.attached.contains_key(id));
        let left = was.keys().filter(|port| !unserved.contains_key(*port));
        let came = self.attached.iter().filter(|(id, _)| !before.attached.contains_key(id));
        let stands = unserved.iter().filter(|(port, unserved)| was.get(*port) != Some(*unserved));
        went.map(|id| BackendEvent::Detached(*id))
            .chain(left.map(|port| BackendEvent::UnservedLeft((*port).clone())))
            .chain(came.map(|(_, attachment)| BackendEvent::Attached(attachment.clone())))
            .chain(stands.map(|(_, unserved)| BackendEvent::Unserved((*unserved).clone())))
            .collect()
    }
}

/// Reports until nobody listens or the mux ends.
pub(super) async fn report(mut presence: watch::Receiver<Presence>, to: mpsc::Sender<BackendEvent>) {
    let mut told = Presence::default();
    let mut news = vec![BackendEvent::Ready];
    loop {
        for event in news {
            if to.send(event).await.is_err() {
                return;
            }
        }
        let now = presence.borrow_and_update().clone();
        news = now.since(&told);
        told = now;
        if news.is_empty() {
            tokio::select! {
                changed = presence.changed() => if changed.is_err() { return },
                () = to.closed() => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bus::tests::seen;
    use super::*;
    use crate::transport::{UnservedReason, UsbMode};

    fn attachment(id: u32) -> Attachment {
        Attachment {
            id: MuxId(id),
            udid: "00008110001A2B3C4D5E6F70".parse().unwrap(),
            location: None,
            port: None,
            speed: None,
            product_id: None,
            simulated: false,
        }
    }

    fn unserved(port: u8, reason: UnservedReason) -> Unserved {
        Unserved { device: seen(1, port, UsbMode::Normal, "").device, reason }
    }

    #[test]
    fn what_went_is_told_before_what_came() {
        let before = Presence {
            attached: [(MuxId(1), attachment(1))].into(),
            unserved: [(7, unserved(1, UnservedReason::Mode)), (8, unserved(2, UnservedReason::Silent))]
                .into(),
            ..Presence::default()
        };
        let after = Presence {
            attached: [(MuxId(2), attachment(2))].into(),
            // Another arrival at the port of 8, and nothing new about 7's.
            unserved: [(7, unserved(1, UnservedReason::Mode)), (9, unserved(2, UnservedReason::Mode))].into(),
            ..Presence::default()
        };
        assert_eq!(
            after.since(&before),
            [
                BackendEvent::Detached(MuxId(1)),
                BackendEvent::Attached(attachment(2)),
                BackendEvent::Unserved(unserved(2, UnservedReason::Mode)),
            ]
        );
        let port = |port| unserved(port, UnservedReason::Mode).device.port;
        assert_eq!(
            Presence::default().since(&after),
            [
                BackendEvent::Detached(MuxId(2)),
                BackendEvent::UnservedLeft(port(1)),
                BackendEvent::UnservedLeft(port(2)),
            ]
        );
    }
}
