//! Replay: a recording as a device (codebase-models.md 3.6). The station runs as it does with
//! any device; what it says is compared with what was said then, and what was answered then
//! is answered again.
//!
//! May import: `wire`, base, what [`crate::transport`] itself has.
//!
//! One task, the driver, owns the place in the recording and all connections. Order is strict:
//! what the station does must be the next thing it did then; [`rules`] says what may move inside
//! its phase, and what may differ. The device's part comes as long after the line before as it
//! did then, by tokio's clock, which may be paused. Start at [`Replay`].

mod driver;
mod key;
mod line;
mod mutation;
pub mod rules;
mod tape;

pub use driver::{Mismatch, Rest};
pub use key::ReplayKey;
pub use tape::{Tape, TapeError};

use super::{Attachment, Backend, BackendEvent, BoxChannel, Rung, RungError, TransportError};
use crate::clock::Clock;
use crate::ids::{MuxId, Udid};
use crate::limits::BACKEND_EVENTS;
use crate::secret::Secret;
use async_trait::async_trait;
use driver::{Ask, Driver};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// Requests of a station that wait for the driver; one job has few at a time.
const ASKS: usize = 64;

/// What a replay needs beside the recording.
#[derive(Debug)]
pub struct ReplayParts {
    /// The device's own key.
    pub key: ReplayKey,
    /// A pair record of the station for that key, and its DeviceCertificate: what there was
    /// if the recorded station had one.
    pub record: Secret<Vec<u8>>,
    /// See `record`; PEM.
    pub certificate: Vec<u8>,
    /// Certificate of its supervision identity, if it has one; DER.
    pub supervisor: Option<Vec<u8>>,
    /// SystemBUID of the station.
    pub buid: String,
    /// The time by which the device's clock is set.
    pub clock: Clock,
    /// Change answers at random, by this seed; the station is then not compared.
    pub mutate: Option<u64>,
}

/// A recording as a way to its device. Ends when it is dropped.
#[derive(Debug)]
pub struct Replay {
    asks: mpsc::Sender<Ask>,
    buid: String,
    over: watch::Receiver<Option<Over>>,
}

/// Why a replay is over before its job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Over {
    /// The station did something else than was recorded.
    Differs(Mismatch),
    /// The recording is cut, and all of it was replayed.
    Played,
}

impl Replay {
    /// Begins to replay. Call inside a runtime.
    pub fn start(tape: Arc<Tape>, parts: ReplayParts) -> Self {
        let (asks, inbox) = mpsc::channel(ASKS);
        let (over_at, over) = watch::channel(None);
        let buid = parts.buid.clone();
        tokio::spawn(Driver::new(tape, parts, over_at).run(inbox));
        Self { asks, buid, over }
    }

    /// Resolves when the station says something else than was recorded, or a recording that is
    /// cut has nothing more; never, if that does not happen.
    pub fn over(&self) -> impl Future<Output = Over> + Send + use<> {
        let mut told = self.over.clone();
        async move {
            loop {
                let over = told.borrow_and_update().clone();
                if let Some(over) = over {
                    return over;
                }
                if told.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// What the station did that was not recorded, if it did.
    pub fn difference(&self) -> Option<Mismatch> {
        match &*self.over.borrow() {
            Some(Over::Differs(mismatch)) => Some(mismatch.clone()),
            _ => None,
        }
    }

    /// True if the recording is cut and all of it was replayed.
    pub fn is_played(&self) -> bool {
        *self.over.borrow() == Some(Over::Played)
    }

    /// What there is to say at the end.
    pub async fn rest(&self) -> Rest {
        self.ask(Ask::Rest).await.unwrap_or_default()
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, TransportError> {
        let (reply, answer) = oneshot::channel();
        let closed = || TransportError::Closed { what: "the replayed device".to_owned() };
        self.asks.send(ask(reply)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())
    }
}

#[async_trait]
impl Backend for Replay {
    fn describe(&self) -> String {
        "a recording".to_owned()
    }

    async fn list(&self) -> Result<Vec<Attachment>, TransportError> {
        self.ask(Ask::List).await
    }

    fn watch(&self) -> mpsc::Receiver<BackendEvent> {
        let (sender, receiver) = mpsc::channel(BACKEND_EVENTS);
        // The queue is deep: only a driver that ended does not take it.
        let _ = self.asks.try_send(Ask::Watch(sender));
        receiver
    }

    async fn connect(&self, id: MuxId, port: u16) -> Result<BoxChannel, TransportError> {
        self.ask(|reply| Ask::Connect { id, port, reply }).await?
    }

    async fn read_buid(&self) -> Result<String, TransportError> {
        Ok(self.buid.clone())
    }

    async fn read_pair_record(&self, _: &Udid) -> Result<Option<Secret<Vec<u8>>>, TransportError> {
        self.ask(Ask::Record).await
    }

    async fn save_pair_record(
        &self,
        _: &Udid,
        record: &Secret<Vec<u8>>,
        _: Option<MuxId>,
    ) -> Result<(), TransportError> {
        self.ask(|reply| Ask::Keep(record.clone(), reply)).await
    }

    async fn delete_pair_record(&self, _: &Udid) -> Result<(), TransportError> {
        Ok(())
    }

    async fn recover(&self, _: MuxId, _: Rung) -> Result<(), RungError> {
        match self.ask(Ask::Recover).await {
            Ok(Some(true)) => Ok(()),
            Ok(Some(false)) => Err(RungError::Failed("it failed when this was recorded".to_owned())),
            _ => Err(RungError::NotPossible("a recording has no port".to_owned())),
        }
    }
}
