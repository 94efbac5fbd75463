//! A backend whose devices are recorded.

use super::Recorder;
use super::entry::What;
use crate::ids::{MuxId, PortPath, Udid};
use crate::limits::BACKEND_EVENTS;
use crate::secret::Secret;
use crate::transport::{
    Attachment, Backend, BackendEvent, BoxChannel, Rung, RungError, TransportError, Unserved,
};
use async_trait::async_trait;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A decorator: what it passes on is what `inner` does.
#[derive(Debug)]
pub struct Recording {
    inner: Arc<dyn Backend>,
    recorder: Recorder,
}

impl Recording {
    /// Around `inner`.
    pub fn new(inner: Arc<dyn Backend>, recorder: Recorder) -> Self {
        Self { inner, recorder }
    }
}

#[async_trait]
impl Backend for Recording {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn list(&self) -> Result<Vec<Attachment>, TransportError> {
        let listed = self.inner.list().await?;
        listed.iter().for_each(|attachment| self.recorder.attached(attachment));
        Ok(listed)
    }

    fn watch(&self) -> mpsc::Receiver<BackendEvent> {
        let mut events = self.inner.watch();
        let (sender, receiver) = mpsc::channel(BACKEND_EVENTS);
        let recorder = self.recorder.clone();
        tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    event = events.recv() => event,
                    () = sender.closed() => None,
                };
                let Some(event) = event else { return };
                recorder.happened(&event);
                if sender.send(event).await.is_err() {
                    return;
                }
            }
        });
        receiver
    }

    async fn connect(&self, id: MuxId, port: u16) -> Result<BoxChannel, TransportError> {
        self.inner.connect(id, port).await
    }

    fn beneath(&self) -> Option<&dyn Backend> {
        Some(&*self.inner)
    }

    async fn read_pair_record(&self, udid: &Udid) -> Result<Option<Secret<Vec<u8>>>, TransportError> {
        let record = self.inner.read_pair_record(udid).await?;
        self.recorder.pair_record(udid, record.is_some());
        Ok(record)
    }

    fn recorder(&self) -> Option<&Recorder> {
        Some(&self.recorder)
    }

    async fn unserved(&self) -> Vec<Unserved> {
        self.inner.unserved().await
    }

    async fn recover(&self, id: MuxId, rung: Rung) -> Result<(), RungError> {
        let done = self.inner.recover(id, rung).await;
        self.recorder.note(id, 0, What::Recovered(done.is_ok()));
        done
    }

    async fn recover_port(&self, port: &PortPath, rung: Rung) -> Result<(), RungError> {
        self.inner.recover_port(port, rung).await
    }
}
