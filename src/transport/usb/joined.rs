//! Another way to the devices, with what the bus shows added: ports of attachments, and devices
//! that the mux does not serve. Devices that a mux can serve are never opened.
//!
//! May import: base, and the words of every backend.

use super::bus::{Bus, Look, Seen};
use super::elsewhere::Elsewhere;
use super::hub;
use super::join::{Join, PORT_WAIT};
use super::location::{LocationForm, find};
use super::places::Places;
use super::unserved::Circumstances;
use crate::ids::{MuxId, PortPath};
use crate::limits::BACKEND_EVENTS;
use crate::transport::{
    Attachment, Backend, BackendEvent, BoxChannel, Rung, RungError, TransportError, Unserved,
};
use async_trait::async_trait;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

/// A backend and the bus beside it.
#[derive(Debug)]
pub struct Joined {
    inner: Arc<dyn Backend>,
    form: LocationForm,
    looks: watch::Receiver<Arc<Look>>,
    places: Arc<Places>,
    elsewhere: Arc<Elsewhere>,
    /// Keeps the bus watched; `None` in tests.
    bus: Option<Arc<Bus>>,
}

impl Joined {
    /// `inner` with the bus added; `inner` alone where there is no bus to watch.
    pub fn start(inner: Arc<dyn Backend>) -> Arc<dyn Backend> {
        match Bus::start() {
            Ok(bus) => {
                let (form, looks) = (LocationForm::here(), bus.looks());
                let (places, elsewhere) = (Arc::default(), Arc::default());
                Arc::new(Self { inner, form, looks, places, elsewhere, bus: Some(bus) })
            }
            Err(reason) => {
                tracing::info!(%reason, "bays are named by what the mux says");
                inner
            }
        }
    }

    /// Fills the ports of `attachments`; waits a little if the bus does not show all of them
    /// yet.
    async fn with_ports(&self, mut attachments: Vec<Attachment>) -> Vec<Attachment> {
        let mut looks = self.looks.clone();
        let is_shown = |a: &Attachment, look: &Look| find(self.form, a, look).is_some();
        // Nothing on the bus is a mux of another computer, or devices in another container.
        let all_shown = looks.wait_for(|look| {
            let nothing = look.devices.is_empty();
            let is_done = |a| nothing || is_shown(a, look) || !self.elsewhere.may_come(a);
            look.settled && attachments.iter().all(is_done)
        });
        // Whatever is missing then stays without a port.
        _ = timeout(PORT_WAIT, all_shown).await;
        let look = looks.borrow();
        for attachment in &mut attachments {
            match find(self.form, attachment, &look) {
                Some(seen) => {
                    attachment.port = Some(seen.device.port.clone());
                    self.elsewhere.forget(attachment);
                    self.places.note(attachment.id, Arc::clone(seen));
                }
                None if !look.devices.is_empty() && self.elsewhere.may_come(attachment) => {
                    self.elsewhere.note(attachment);
                }
                None => {}
            }
        }
        drop(look);
        attachments
    }
}

#[async_trait]
impl Backend for Joined {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn list(&self) -> Result<Vec<Attachment>, TransportError> {
        Ok(self.with_ports(self.inner.list().await?).await)
    }

    fn watch(&self) -> mpsc::Receiver<BackendEvent> {
        let (sender, receiver) = mpsc::channel(BACKEND_EVENTS);
        let watcher = Watcher {
            join: Join::new(self.form, Arc::clone(&self.elsewhere)),
            inner: self.inner.watch(),
            looks: self.looks.clone(),
            places: Arc::clone(&self.places),
            _bus: self.bus.clone(),
        };
        tokio::spawn(watcher.run(sender));
        receiver
    }

    async fn connect(&self, id: MuxId, port: u16) -> Result<BoxChannel, TransportError> {
        self.inner.connect(id, port).await
    }

    fn beneath(&self) -> Option<&dyn Backend> {
        Some(&*self.inner)
    }

    async fn unserved(&self) -> Vec<Unserved> {
        let listed = self.inner.list().await;
        let mux_alive = listed.is_ok();
        let mut looks = self.looks.clone();
        _ = timeout(PORT_WAIT, looks.wait_for(|look| look.settled)).await;
        let look = Arc::clone(&self.looks.borrow());
        let listed = listed.unwrap_or_default();
        let served: BTreeSet<u64> =
            listed.iter().filter_map(|a| find(self.form, a, &look)).map(|seen| seen.number).collect();
        let others: Vec<_> =
            look.devices.values().filter(|seen| !served.contains(&seen.number)).cloned().collect();
        let why = move || others.iter().map(|seen| reason_of(seen, mux_alive).1).collect();
        tokio::task::spawn_blocking(why).await.unwrap_or_default()
    }

    async fn recover(&self, id: MuxId, rung: Rung) -> Result<(), RungError> {
        match rung {
            // A reset behind the back of the mux in charge would confuse it.
            Rung::ResetDevice => self.inner.recover(id, rung).await,
            Rung::PowerCyclePort => {
                let look = Arc::clone(&self.looks.borrow());
                hub::power_cycle_of(self.places.find(id, &look)?).await
            }
        }
    }

    async fn recover_port(&self, port: &PortPath, rung: Rung) -> Result<(), RungError> {
        match rung {
            Rung::ResetDevice => self.inner.recover_port(port, rung).await,
            Rung::PowerCyclePort => {
                let look = Arc::clone(&self.looks.borrow());
                hub::power_cycle_of(look.at(port)?).await
            }
        }
    }
}

/// One watch.
struct Watcher {
    join: Join,
    inner: mpsc::Receiver<BackendEvent>,
    looks: watch::Receiver<Arc<Look>>,
    places: Arc<Places>,
    _bus: Option<Arc<Bus>>,
}

impl Watcher {
    /// Runs until nobody listens, or the inner backend ends.
    async fn run(mut self, to: mpsc::Sender<BackendEvent>) {
        self.looks.mark_changed();
        let mut bus_lives = true;
        loop {
            self.explain().await;
            while let Some(event) = self.join.next_event() {
                self.note(&event);
                if to.send(event).await.is_err() {
                    return;
                }
            }
            let deadline = self.join.deadline();
            tokio::select! {
                event = self.inner.recv() => match event {
                    Some(event) => self.join.mux_says(event, Instant::now()),
                    None => return,
                },
                changed = self.looks.changed(), if bus_lives => match changed {
                    Ok(()) => {
                        let look = Arc::clone(&self.looks.borrow_and_update());
                        self.join.bus_shows(look, Instant::now());
                    }
                    Err(_) => bus_lives = false,
                },
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    self.join.elapsed(Instant::now());
                }
                () = to.closed() => return,
            }
        }
    }

    /// Remembers where a device is.
    fn note(&self, event: &BackendEvent) {
        let BackendEvent::Attached(attachment) = event else { return };
        let look = Arc::clone(&self.looks.borrow());
        let there = look.devices.values().find(|seen| Some(&seen.device.port) == attachment.port.as_ref());
        if let Some(seen) = there {
            self.places.note(attachment.id, Arc::clone(seen));
        }
    }

    /// Finds out why those devices are not served for which it is time.
    async fn explain(&mut self) {
        let due = self.join.to_explain(Instant::now());
        if due.is_empty() {
            return;
        }
        let mux_alive = self.join.mux_alive();
        let look = move || due.into_iter().map(|seen| reason_of(&seen, mux_alive)).collect::<Vec<_>>();
        // The reading thread cannot panic; without an answer the next look comes soon.
        let reasons = tokio::task::spawn_blocking(look).await.unwrap_or_default();
        for (number, unserved) in reasons {
            self.join.explained(number, unserved, Instant::now());
        }
    }
}

fn reason_of(seen: &Seen, mux_alive: bool) -> (u64, Unserved) {
    let reason = Circumstances::of(seen, mux_alive).reason();
    (seen.number, Unserved { device: seen.now(), reason })
}
