//! The life of one device on our own mux, from arrival to leaving: brought up, served, tried
//! again, and given back.
//!
//! May import: `proto`, base, and the words of every backend.

use super::bus::{Bus, Seen};
use super::connection::{self, Claimed, Failure};
use super::link::{Link, LinkFault};
use super::places::Places;
use super::presence::Presence;
use super::sysfs;
use super::transfer::{Pipes, TransferFault};
use crate::ids::{MuxId, PortPath};
use crate::limits::RETRY_ONCE_PAUSE;
use crate::proto::mux::MuxError;
use crate::transport::{Attachment, RungError, Unserved, UnservedReason, UsbDevice, UsbMode};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

/// Longest pause after an arrival: udev's rules write the rights and the configuration then
/// (protocols.md 1.3, 1.11). It is over as soon as udev is done with the device.
const ARRIVAL_SETTLE: Duration = Duration::from_millis(250);

/// Pause between looks whether udev is done.
const SETTLE_LOOK: Duration = Duration::from_millis(10);

/// Tries to claim an interface that another program holds, and the pause between them (1.4).
const CLAIMS: u32 = 5;
const CLAIM_PAUSE: Duration = Duration::from_secs(1);

/// How long a device that was asked for a mux may take to leave (1.3).
const MODE_SWITCH: Duration = Duration::from_secs(5);

/// A device is not asked again for a mux at the same port for so long: one that agrees and stays
/// as it is would come and go for ever.
const MODE_SWITCH_AGAIN: Duration = Duration::from_secs(10);

/// A device that is pulled out shows all kinds of errors before the bus tells that it left.
const LEAVING: Duration = Duration::from_secs(1);

/// Pause before a device is tried again that another program holds, that we may not open, or
/// that was silent: people stop programs, mend rules, and unlock phones.
const TRY_LATER: Duration = Duration::from_secs(10);

/// A mux that worked for so long is worth another try after it failed.
const WORKED: Duration = Duration::from_secs(60);

/// What becomes of a device from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is on the bus.
    Stay,
    /// It left the bus.
    Left,
    /// The station lets go of it.
    Close,
}

/// A USB reset is wanted, and who wants to know.
pub(super) type ResetOrder = oneshot::Sender<Result<(), RungError>>;

/// A device whose mux works.
#[derive(Debug, Clone)]
pub(super) struct Active {
    /// Its mux.
    pub(super) link: Arc<Link>,
    /// What the bus shows of it.
    pub(super) seen: Arc<Seen>,
    /// Takes one order at a time.
    pub(super) orders: mpsc::Sender<ResetOrder>,
}

/// What all devices share.
#[derive(Debug)]
pub(super) struct Site {
    /// Keeps the event thread alive while transfers are in flight.
    pub(super) bus: Arc<Bus>,
    /// What is reported.
    pub(super) presence: watch::Sender<Presence>,
    /// Where devices are and were.
    pub(super) places: Places,
    active: Mutex<HashMap<MuxId, Active>>,
    /// When a device was asked, by port and serial string.
    asked_for_mux: Mutex<HashMap<(PortPath, Option<String>), Instant>>,
    last_id: AtomicU32,
}

impl Site {
    pub(super) fn new(bus: Arc<Bus>) -> Self {
        Self {
            bus,
            presence: watch::Sender::new(Presence::default()),
            places: Places::default(),
            active: Mutex::default(),
            asked_for_mux: Mutex::default(),
            last_id: AtomicU32::new(0),
        }
    }

    /// A device whose mux works.
    pub(super) fn active(&self, id: MuxId) -> Option<Active> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// A device whose mux works, by its port.
    pub(super) fn active_at(&self, port: &PortPath) -> Option<Active> {
        let active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        active.values().find(|active| active.seen.device.port == *port).cloned()
    }

    fn attach(&self, active: Active, claimed: &Claimed) -> MuxId {
        let id = MuxId(self.last_id.fetch_add(1, Ordering::Relaxed) + 1);
        let seen = Arc::clone(&active.seen);
        let attachment = Attachment {
            id,
            udid: claimed.udid.clone(),
            location: Some(seen.device.location()),
            port: Some(seen.device.port.clone()),
            speed: Some(seen.speed),
            product_id: Some(seen.device.product_id),
            simulated: false,
        };
        self.places.note(id, Arc::clone(&seen));
        self.active.lock().unwrap_or_else(PoisonError::into_inner).insert(id, active);
        self.presence.send_modify(|presence| {
            presence.starting.remove(&seen.number);
            presence.unserved.remove(&seen.number);
            presence.attached.insert(id, attachment);
        });
        id
    }

    fn detach(&self, id: MuxId) {
        self.active.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        self.presence.send_modify(|presence| _ = presence.attached.remove(&id));
    }

    fn unserved(&self, seen: &Seen, reason: UnservedReason) {
        let unserved = Unserved { device: seen.now(), reason };
        self.presence.send_if_modified(|presence| {
            let started = presence.starting.remove(&seen.number);
            let before = presence.unserved.insert(seen.number, unserved.clone());
            started || before.as_ref() != Some(&unserved)
        });
    }

    fn forget(&self, seen: &Seen) {
        self.presence.send_modify(|presence| {
            presence.starting.remove(&seen.number);
            presence.unserved.remove(&seen.number);
        });
    }

    /// True if a device may be asked for a mux; it counts as asked then.
    fn may_ask_for_mux(&self, device: &UsbDevice) -> bool {
        let key = (device.port.clone(), device.serial.clone());
        let mut asked = self.asked_for_mux.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|_, at| at.elapsed() < MODE_SWITCH_AGAIN);
        let may = !asked.contains_key(&key);
        asked.entry(key).or_insert_with(Instant::now);
        may
    }
}

/// How one try with a device ended.
enum Verdict {
    /// It left, or the station lets go.
    Over,
    /// It cannot be served, for this reason. To be tried again after the pause, if there is one.
    Unserved(UnservedReason, Option<Duration>),
    /// It was reset; it may have to be brought up again.
    Reset,
    /// It stopped working; how, and for how long it had worked.
    Fault(LinkFault, Duration),
}

/// Attends to a device until it leaves or the station lets go of it. One that was there before
/// the station is not `new`: there is nothing to wait for.
pub(super) async fn attend(site: Arc<Site>, seen: Arc<Seen>, new: bool, fate: watch::Receiver<Fate>) {
    let mut attendant = Attendant { site, seen, fate, faults: 0, clear: false };
    if !new || !attendant.over_before_settled().await {
        match attendant.seen.is_for_a_mux() {
            true => attendant.serve().await,
            false => attendant.other_mode().await,
        }
    }
    attendant.site.forget(&attendant.seen);
}

struct Attendant {
    site: Arc<Site>,
    seen: Arc<Seen>,
    fate: watch::Receiver<Fate>,
    /// Faults without much work between them.
    faults: u32,
    /// Halted endpoints must be cleared.
    clear: bool,
}

impl Attendant {
    /// Waits; true if the device is over before that.
    async fn over_within(&mut self, time: Duration) -> bool {
        timeout(time, over(&mut self.fate)).await.is_ok()
    }

    /// Lets the system settle a device that has just come; true if it is over before that.
    async fn over_before_settled(&mut self) -> bool {
        let until = Instant::now() + ARRIVAL_SETTLE;
        while Instant::now() < until && !sysfs::is_done_by_udev(&self.seen.device) {
            if self.over_within(SETTLE_LOOK).await {
                return true;
            }
        }
        false
    }

    async fn other_mode(&mut self) {
        let device = &self.seen.device;
        let fault = self.seen.fault();
        if device.mode == UsbMode::NoMux && fault.is_none() && self.site.may_ask_for_mux(device) {
            let seen = Arc::clone(&self.seen);
            let asked = tokio::task::spawn_blocking(move || connection::ask_for_mux(&seen)).await;
            if let Ok(Ok(true)) = asked
                && self.over_within(MODE_SWITCH).await
            {
                return;
            }
        }
        let reason = fault.map_or(UnservedReason::Mode, UnservedReason::Broken);
        self.site.unserved(&self.seen, reason);
        over(&mut self.fate).await;
    }

    async fn serve(&mut self) {
        loop {
            let pause = match self.attempt().await {
                Verdict::Over => return,
                Verdict::Reset => Some(ARRIVAL_SETTLE),
                Verdict::Unserved(reason, pause) => {
                    self.site.unserved(&self.seen, reason);
                    pause
                }
                Verdict::Fault(fault, worked) => self.after_fault(fault, worked).await,
            };
            match pause {
                Some(pause) if !self.over_within(pause).await => {}
                Some(_) => return,
                None => {
                    over(&mut self.fate).await;
                    return;
                }
            }
        }
    }

    /// A device that failed is tried once more.
    async fn after_fault(&mut self, fault: LinkFault, worked: Duration) -> Option<Duration> {
        if worked >= WORKED {
            self.faults = 0;
        }
        self.clear = fault == LinkFault::Transfer(TransferFault::Stall);
        tracing::warn!(port = %self.seen.device.port, %fault, "the mux of a device failed");
        if fault == LinkFault::Mux(MuxError::Silent) {
            self.site.unserved(&self.seen, UnservedReason::Silent);
            return Some(TRY_LATER);
        }
        // Silence does not count: a reset that is to end it may look like a fault.
        self.faults += 1;
        if self.over_within(LEAVING).await {
            return None;
        }
        self.site.unserved(&self.seen, UnservedReason::Broken(fault.to_string()));
        (self.faults <= 1).then_some(RETRY_ONCE_PAUSE)
    }

    /// One life of the device's mux.
    async fn attempt(&mut self) -> Verdict {
        let claimed = match self.claim().await {
            Ok(Some(claimed)) => claimed,
            Ok(None) => return Verdict::Over,
            Err(Failure::Gone) => return self.broken("the system says that it is gone".to_owned()).await,
            Err(Failure::NoPermission) => {
                return Verdict::Unserved(UnservedReason::NoPermission, Some(TRY_LATER));
            }
            Err(Failure::Busy(owner)) => {
                return Verdict::Unserved(UnservedReason::OtherOwner(owner), Some(TRY_LATER));
            }
            Err(Failure::Broken(how)) => return self.broken(how).await,
        };
        let pipes = match Pipes::open(Arc::clone(&claimed.handle), claimed.mux) {
            Ok(pipes) => pipes,
            Err(fault) => {
                give_back(None, claimed).await;
                return Verdict::Fault(fault.into(), Duration::ZERO);
            }
        };
        self.run(pipes, claimed).await
    }

    /// A device that could not be brought up is tried once more, unless it is leaving.
    async fn broken(&mut self, how: String) -> Verdict {
        if self.over_within(LEAVING).await {
            return Verdict::Over;
        }
        self.faults += 1;
        let again = (self.faults <= 1).then_some(RETRY_ONCE_PAUSE);
        Verdict::Unserved(UnservedReason::Broken(how), again)
    }

    /// Tries to claim the device; `None` if it is over.
    async fn claim(&mut self) -> Result<Option<Claimed>, Failure> {
        for tried in 1..CLAIMS {
            match self.claim_once().await {
                // Told at once: the tries that follow take longer than a list waits.
                Err(Failure::Busy(owner)) => {
                    self.site.unserved(&self.seen, UnservedReason::OtherOwner(owner));
                }
                // The rule that gives the permission may run just now.
                Err(Failure::NoPermission) if tried == 1 => {}
                other => return other.map(Some),
            }
            if self.over_within(CLAIM_PAUSE).await {
                return Ok(None);
            }
        }
        self.claim_once().await.map(Some)
    }

    async fn claim_once(&self) -> Result<Claimed, Failure> {
        let (seen, clear) = (Arc::clone(&self.seen), self.clear);
        let claimed = tokio::task::spawn_blocking(move || connection::claim(&seen, clear)).await;
        claimed.unwrap_or_else(|_| Err(Failure::Broken("the thread for it ended".to_owned())))
    }

    async fn run(&mut self, pipes: Pipes, claimed: Claimed) -> Verdict {
        let link = Arc::new(Link::new());
        let (orders, mut ordered) = mpsc::channel(1);
        let active = Active { link: Arc::clone(&link), seen: Arc::clone(&self.seen), orders };
        let began = Instant::now();
        let mut id = None;
        let served = link.serve(&pipes, || id = Some(self.site.attach(active.clone(), &claimed)));
        let ended = tokio::select! {
            fault = served => Ended::Fault(fault),
            fate = over(&mut self.fate) => Ended::Fate(fate),
            Some(order) = ordered.recv() => Ended::Reset(order),
        };
        if matches!(ended, Ended::Fate(Fate::Close)) {
            link.part(&pipes).await;
        }
        link.end();
        if let Some(id) = id {
            self.site.detach(id);
        }
        let handle = Arc::clone(&claimed.handle);
        match ended {
            Ended::Fate(_) => {
                drop(handle);
                give_back(Some(pipes), claimed).await;
                Verdict::Over
            }
            Ended::Fault(fault) => {
                drop(handle);
                give_back(Some(pipes), claimed).await;
                Verdict::Fault(fault, began.elapsed())
            }
            Ended::Reset(order) => {
                let port = self.seen.device.port.clone();
                let done = tokio::task::spawn_blocking(move || {
                    drop(pipes);
                    let done = connection::reset(&handle, &port).map_err(RungError::Failed);
                    drop((claimed, handle));
                    done
                });
                let done = done.await;
                // Who asked may not wait any more.
                _ = order.send(done.unwrap_or_else(|_| Err(RungError::Failed("its thread ended".into()))));
                Verdict::Reset
            }
        }
    }
}

/// Why a working mux ended.
enum Ended {
    Fault(LinkFault),
    Fate(Fate),
    Reset(ResetOrder),
}

/// Waits until the device left or the station lets go of it.
async fn over(fate: &mut watch::Receiver<Fate>) -> Fate {
    // A sender that is gone is a station that ended.
    fate.wait_for(|fate| *fate != Fate::Stay).await.map_or(Fate::Close, |fate| *fate)
}

/// Ends the transfers, then lets go of the interface.
async fn give_back(pipes: Option<Pipes>, claimed: Claimed) {
    let back = tokio::task::spawn_blocking(move || drop((pipes, claimed)));
    // It cannot panic; if the runtime ends, it has been done or will be.
    _ = back.await;
}
