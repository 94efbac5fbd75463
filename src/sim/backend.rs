//! The fleet as a [`Backend`], for a station in the same process.

use super::device::OpenError;
use super::fleet::{Hub, HubEvent};
use crate::ids::{MuxId, Udid};
use crate::limits::{BACKEND_EVENTS, MUX_BACKOFF_MIN};
use crate::secret::Secret;
use crate::transport::{Attachment, Backend, BackendEvent, BoxChannel, TransportError};
use async_trait::async_trait;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// The backend of [`Fleet::backend`](super::Fleet::backend).
#[derive(Debug)]
pub(super) struct SimBackend {
    hub: Arc<Hub>,
}

impl SimBackend {
    pub(super) fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }
}

#[async_trait]
impl Backend for SimBackend {
    fn describe(&self) -> String {
        "simulated devices".to_owned()
    }

    async fn list(&self) -> Result<Vec<Attachment>, TransportError> {
        Ok(self.hub.attached().iter().filter_map(Attachment::from_mux).collect())
    }

    fn watch(&self) -> mpsc::Receiver<BackendEvent> {
        let (sender, receiver) = mpsc::channel(BACKEND_EVENTS);
        tokio::spawn(report(Arc::clone(&self.hub), sender));
        receiver
    }

    async fn connect(&self, id: MuxId, port: u16) -> Result<BoxChannel, TransportError> {
        match self.hub.open(id, port).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(OpenError::Gone) => Err(TransportError::Detached),
            Err(OpenError::Refused) => Err(TransportError::Refused { port }),
        }
    }

    async fn read_buid(&self) -> Result<String, TransportError> {
        Ok(self.hub.buid().to_owned())
    }

    async fn read_pair_record(&self, udid: &Udid) -> Result<Option<Secret<Vec<u8>>>, TransportError> {
        Ok(self.hub.record(udid.as_str()))
    }

    async fn save_pair_record(
        &self,
        udid: &Udid,
        record: &Secret<Vec<u8>>,
        _id: Option<MuxId>,
    ) -> Result<(), TransportError> {
        if self.hub.save_record(udid.as_str(), record.clone()) {
            return Ok(());
        }
        Err(TransportError::MuxRefused {
            request: "SavePairRecord",
            number: crate::wire::usbmuxd::RESULT_INVALID,
        })
    }

    async fn delete_pair_record(&self, udid: &Udid) -> Result<(), TransportError> {
        self.hub.delete_record(udid.as_str());
        Ok(())
    }
}

/// Reports what comes and goes. When the mux cuts the listener off (it lagged, or a test
/// took the mux away), that is a loss, and the truth starts anew.
async fn report(hub: Arc<Hub>, to: mpsc::Sender<BackendEvent>) {
    loop {
        let mut events = hub.listen();
        let mut next = Some(BackendEvent::Ready);
        loop {
            if let Some(event) = next.take()
                && to.send(event).await.is_err()
            {
                return;
            }
            let event = tokio::select! {
                biased;
                event = events.recv() => event,
                () = to.closed() => return,
            };
            next = match event {
                Some(HubEvent::Attached(device)) => Attachment::from_mux(&device).map(BackendEvent::Attached),
                Some(HubEvent::Detached(id)) => Some(BackendEvent::Detached(id)),
                None => break,
            };
        }
        let reason = "the simulated mux went away".to_owned();
        if to.send(BackendEvent::Lost { reason }).await.is_err() {
            return;
        }
        sleep(MUX_BACKOFF_MIN).await;
    }
}
