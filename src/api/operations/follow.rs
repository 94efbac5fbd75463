//! Devices as they come and go: each change once.

use super::Operations;
use crate::api::view::{DeviceChange, DeviceView, WhatChanged};
use crate::ids::{MuxId, PortPath};
use crate::transport::BackendEvent;
use crate::workflow::outcome::Outcome;
use std::collections::HashMap;
use std::future::Future;

impl Operations {
    /// Tells of every device that is here, comes, or goes, until `done`. Nothing is asked of
    /// the devices.
    pub async fn follow_devices(
        &self,
        tell: &(dyn Fn(DeviceChange) + Send + Sync),
        done: impl Future<Output = ()> + Send,
    ) {
        let mut events = self.parts.backend.watch();
        let mut here = Here::default();
        tokio::pin!(done);
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                () = &mut done => None,
            };
            let Some(event) = event else { return };
            self.changes(&mut here, event).into_iter().for_each(tell);
        }
    }

    fn changes(&self, here: &mut Here, event: BackendEvent) -> Vec<DeviceChange> {
        let change = |what, device| vec![DeviceChange { change: what, device, reason: None }];
        match event {
            BackendEvent::Attached(attachment) => {
                let id = attachment.id;
                let link = self.desk.link(attachment);
                let device = DeviceView::of_link(&link, &Outcome::Attached.into(), None, 0);
                here.attached.insert(id, device.clone());
                change(WhatChanged::Attached, Some(device))
            }
            BackendEvent::Detached(id) => match here.attached.remove(&id) {
                Some(device) => change(WhatChanged::Detached, Some(device)),
                None => Vec::new(),
            },
            BackendEvent::Unserved(unserved) => {
                let device = DeviceView::of_bay(&self.desk.stands(&unserved), self.parts.clock.now());
                here.unserved.insert(unserved.device.port, device.clone());
                change(WhatChanged::Unserved, Some(device))
            }
            BackendEvent::UnservedLeft(port) => match here.unserved.remove(&port) {
                Some(device) => change(WhatChanged::UnservedLeft, Some(device)),
                None => Vec::new(),
            },
            // Every attachment is void; what is still there will be told again.
            BackendEvent::Lost { reason } => {
                let gone =
                    here.attached.drain().flat_map(|(_, device)| change(WhatChanged::Detached, Some(device)));
                let lost = DeviceChange { change: WhatChanged::MuxLost, device: None, reason: Some(reason) };
                gone.collect::<Vec<_>>().into_iter().chain([lost]).collect()
            }
            BackendEvent::Ready => change(WhatChanged::MuxReady, None),
        }
    }
}

/// What was told and not taken back.
#[derive(Default)]
struct Here {
    attached: HashMap<MuxId, DeviceView>,
    unserved: HashMap<PortPath, DeviceView>,
}
