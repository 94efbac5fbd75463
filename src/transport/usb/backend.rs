//! Our own mux as a way to the devices: nothing else is needed on the computer.
//!
//! May import: base, and the words of every backend.

use super::attend::{Active, Fate, Site, attend};
use super::bus::{Bus, Seen};
use super::link::Unopened;
use super::presence::report;
use super::stream::MuxStream;
use super::{connection, hub};
use crate::ids::{MuxId, PortPath, Udid};
use crate::limits::{BACKEND_EVENTS, STREAM_OPEN};
use crate::secret::Secret;
use crate::transport::{
    Attachment, Backend, BackendEvent, BoxChannel, PairRecords, Rung, RungError, TransportError, Unserved,
};
use crate::wire::usbmuxd::{RESULT_BAD_DEVICE, RESULT_INVALID};
use async_trait::async_trait;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

/// How long a list waits for devices that were on the bus when the mux started.
const LIST_SETTLE: Duration = Duration::from_secs(4);

/// How long giving all devices back may take: each is bounded, and all go at once.
const CLOSE: Duration = Duration::from_secs(4);

/// One reset of a device.
const RESET: Duration = Duration::from_secs(10);

/// The built-in mux.
#[derive(Debug)]
pub struct UsbBackend {
    site: Arc<Site>,
    records: Arc<dyn PairRecords>,
    /// Dropping it closes everything.
    stop: watch::Sender<bool>,
    manager: Mutex<Option<JoinHandle<()>>>,
}

impl UsbBackend {
    /// Takes every device on the bus that nobody else holds. Needs a tokio runtime. Dropping it
    /// gives the devices back as well as [`UsbBackend::close`], but does not wait for it.
    ///
    /// # Errors
    /// Why there is no USB bus, in words.
    pub fn start(records: Arc<dyn PairRecords>) -> Result<Arc<Self>, String> {
        let bus = Bus::start()?;
        let site = Arc::new(Site::new(bus));
        let (stop, stopped) = watch::channel(false);
        let manager = tokio::spawn(manage(Arc::clone(&site), stopped));
        Ok(Arc::new(Self { site, records, stop, manager: Mutex::new(Some(manager)) }))
    }

    /// Ends all streams and gives all devices back, in bounded time.
    pub async fn close(&self) {
        self.stop.send_replace(true);
        let manager = self.manager.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(manager) = manager
            && timeout(CLOSE, manager).await.is_err()
        {
            tracing::warn!("not every USB device could be given back in time");
        }
    }

    async fn with_records<T: Send + 'static>(
        &self,
        run: impl FnOnce(&dyn PairRecords) -> T + Send + 'static,
    ) -> Result<T, TransportError> {
        let records = Arc::clone(&self.records);
        let ran = tokio::task::spawn_blocking(move || run(&*records)).await;
        ran.map_err(|_| TransportError::Closed { what: "the station's pair records".to_owned() })
    }
}

/// Starts an attendant for every arrival, and tells each when its device left.
async fn manage(site: Arc<Site>, mut stopped: watch::Receiver<bool>) {
    let mut looks = site.bus.looks();
    looks.mark_changed();
    let mut fates: HashMap<u64, watch::Sender<Fate>> = HashMap::new();
    let mut attendants = JoinSet::new();
    loop {
        tokio::select! {
            changed = looks.changed() => if changed.is_err() { break },
            _ = stopped.wait_for(|stopped| *stopped) => break,
            Some(_) = attendants.join_next() => continue,
        }
        let look = Arc::clone(&looks.borrow_and_update());
        if !look.settled {
            continue;
        }
        fates.retain(|number, fate| {
            let stays = look.devices.contains_key(number);
            if !stays {
                fate.send_replace(Fate::Left);
            }
            stays
        });
        let new: Vec<&Arc<Seen>> =
            look.devices.values().filter(|seen| !fates.contains_key(&seen.number)).collect();
        let first = !site.presence.borrow().looked;
        if first {
            site.presence.send_modify(|presence| {
                presence.looked = true;
                presence.starting = new.iter().map(|seen| seen.number).collect();
            });
        }
        for seen in new {
            let (fate, to_come) = watch::channel(Fate::Stay);
            fates.insert(seen.number, fate);
            attendants.spawn(attend(Arc::clone(&site), Arc::clone(seen), !first, to_come));
        }
    }
    for fate in fates.values() {
        fate.send_replace(Fate::Close);
    }
    while attendants.join_next().await.is_some() {}
}

#[async_trait]
impl Backend for UsbBackend {
    fn describe(&self) -> String {
        "the built-in mux on USB".to_owned()
    }

    async fn list(&self) -> Result<Vec<Attachment>, TransportError> {
        let mut presence = self.site.presence.subscribe();
        // A device that takes longer is listed when it is there.
        _ = timeout(LIST_SETTLE, presence.wait_for(super::presence::Presence::settled)).await;
        let attached = presence.borrow().attached.values().cloned().collect();
        Ok(attached)
    }

    fn watch(&self) -> mpsc::Receiver<BackendEvent> {
        let (sender, receiver) = mpsc::channel(BACKEND_EVENTS);
        tokio::spawn(report(self.site.presence.subscribe(), sender));
        receiver
    }

    async fn connect(&self, id: MuxId, port: u16) -> Result<BoxChannel, TransportError> {
        let active = self.site.active(id).ok_or(TransportError::Detached)?;
        match MuxStream::open(active.link, port).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(Unopened::Gone) => Err(TransportError::Detached),
            Err(Unopened::Refused) => Err(TransportError::Refused { port }),
            Err(Unopened::NoAnswer) => Err(TransportError::Timeout {
                what: format!("a connection to port {port}"),
                after: STREAM_OPEN,
            }),
            Err(Unopened::TooMany) => Err(TransportError::Io {
                what: format!("opening port {port}"),
                source: io::Error::other("the device has too many streams open"),
            }),
        }
    }

    async fn read_buid(&self) -> Result<String, TransportError> {
        self.with_records(|records| records.buid()).await
    }

    async fn read_pair_record(&self, udid: &Udid) -> Result<Option<Secret<Vec<u8>>>, TransportError> {
        let udid = udid.clone();
        self.with_records(move |records| records.read(&udid)).await
    }

    async fn save_pair_record(
        &self,
        udid: &Udid,
        record: &Secret<Vec<u8>>,
        id: Option<MuxId>,
    ) -> Result<(), TransportError> {
        let refused = |number| TransportError::MuxRefused { request: "SavePairRecord", number };
        if id.is_some_and(|id| self.site.active(id).is_none()) {
            return Err(refused(RESULT_BAD_DEVICE));
        }
        let (udid, record) = (udid.clone(), record.clone());
        match self.with_records(move |records| records.save(&udid, &record)).await? {
            true => Ok(()),
            false => Err(refused(RESULT_INVALID)),
        }
    }

    async fn delete_pair_record(&self, udid: &Udid) -> Result<(), TransportError> {
        let udid = udid.clone();
        self.with_records(move |records| _ = records.delete(&udid)).await
    }

    async fn unserved(&self) -> Vec<Unserved> {
        let mut presence = self.site.presence.subscribe();
        _ = timeout(LIST_SETTLE, presence.wait_for(super::presence::Presence::settled)).await;
        presence.borrow().unserved.values().cloned().collect()
    }

    async fn recover(&self, id: MuxId, rung: Rung) -> Result<(), RungError> {
        match rung {
            Rung::PowerCyclePort => {
                let look = Arc::clone(&self.site.bus.looks().borrow());
                hub::power_cycle_of(self.site.places.find(id, &look)?).await
            }
            Rung::ResetDevice => reset(self.site.active(id).ok_or_else(gone)?).await,
        }
    }

    async fn recover_port(&self, port: &PortPath, rung: Rung) -> Result<(), RungError> {
        let look = Arc::clone(&self.site.bus.looks().borrow());
        let seen = look.at(port)?;
        match (rung, self.site.active_at(port)) {
            (Rung::PowerCyclePort, _) => hub::power_cycle_of(seen).await,
            (Rung::ResetDevice, Some(active)) => reset(active).await,
            (Rung::ResetDevice, None) => {
                let run = move || connection::reset_unclaimed(&seen).map_err(RungError::Failed);
                let ran = timeout(RESET, tokio::task::spawn_blocking(run)).await;
                let ended = |_| Err(RungError::Failed("its thread ended".to_owned()));
                ran.map_err(|_| late())?.unwrap_or_else(ended)
            }
        }
    }
}

/// A reset by the attendant of a working mux, between its transfers.
async fn reset(active: Active) -> Result<(), RungError> {
    let (order, done) = oneshot::channel();
    active.orders.try_send(order).map_err(|_| gone())?;
    timeout(RESET, done).await.map_err(|_| late())?.unwrap_or_else(|_| Err(gone()))
}

fn gone() -> RungError {
    RungError::NotPossible("the device is no longer attached".to_owned())
}

fn late() -> RungError {
    RungError::Failed("the reset took too long".to_owned())
}
