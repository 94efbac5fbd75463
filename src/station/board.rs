//! The board: how every bay stands now, and news of each change. Screens only read it.

use super::pulse::Pulse;
use super::unserved;
use crate::device::{DeviceLink, Rung};
use crate::ids::{Bay, JobId, PortPath, Udid};
use crate::limits::SNAPSHOT_BACKLOG;
use crate::transport::{Unserved, UnservedReason};
use crate::workflow::event::{DeviceLabel, Event, EventKind};
use crate::workflow::mac::words;
use crate::workflow::memory::Memory;
use crate::workflow::outcome::{Class, Outcome, Verdict};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast;

/// How one device's bay stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BayState {
    /// The bay.
    pub bay: Bay,
    /// The port, where the bus is watched.
    pub port: Option<PortPath>,
    /// The device in it; `None` if it cannot tell its UDID in the mode it is in.
    pub udid: Option<Udid>,
    /// It is on the bus and no mux serves it: it has no job and gets none.
    pub unserved: bool,
    /// Simulated or replayed.
    pub simulated: bool,
    /// False once it was unplugged.
    pub attached: bool,
    /// Who it is.
    pub label: DeviceLabel,
    /// How it stands, in words for people and scripts.
    pub standing: Verdict,
    /// Deadline of what is waited for.
    pub until: Option<Timestamp>,
    /// Its job.
    pub job: Option<JobId>,
    /// Attempts of the job.
    pub attempts: u32,
    /// Pushes of the job.
    pub pushes: u32,
    /// When the job began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

impl BayState {
    fn new(bay: Bay, port: Option<PortPath>, udid: Option<Udid>) -> Self {
        Self {
            bay,
            port,
            udid,
            unserved: false,
            simulated: false,
            attached: true,
            label: DeviceLabel::default(),
            standing: Outcome::Attached.into(),
            until: None,
            job: None,
            attempts: 0,
            pushes: 0,
            started: None,
            ended: None,
        }
    }

    /// A device that no mux serves.
    pub(super) fn of_unserved(unserved: &Unserved, bay: Bay) -> Self {
        let port = Some(unserved.device.port.clone());
        Self {
            standing: unserved::standing(unserved, &bay),
            label: unserved::label(unserved),
            unserved: true,
            ..Self::new(bay, port, unserved::udid(unserved))
        }
    }

    /// True if `other` is, or may be, the same device in another mode: the same UDID or ECID,
    /// or what hung on the same port.
    fn is_of(&self, udid: Option<&Udid>, ecid: Option<u64>, port: Option<&PortPath>) -> bool {
        udid.is_some() && self.udid.as_ref() == udid
            || ecid.is_some() && self.label.ecid == ecid
            || port.is_some() && self.port.as_ref() == port
    }

    /// Milliseconds the job took, or has taken until `now`.
    pub fn ms(&self, now: Timestamp) -> u64 {
        let Some(started) = self.started else { return 0 };
        let spent = self.ended.unwrap_or(now).duration_since(started).as_millis();
        u64::try_from(spent).unwrap_or(0)
    }

    fn take(&mut self, event: &Event) {
        match &event.kind {
            EventKind::JobStarted(_) => self.started = Some(event.at),
            EventKind::AttemptStarted { number } => self.attempts = *number,
            EventKind::PushStarted { number } => self.pushes = *number,
            EventKind::Identified(label) => self.label = label.clone(),
            EventKind::Reattached { bay } => self.bay = bay.clone(),
            EventKind::JobEnded(_) => self.ended = Some(event.at),
            _ => {}
        }
        if let Some(standing) = standing_after(&event.kind) {
            let of_mac = || words::standing(standing.outcome, &self.label);
            let running = !matches!(event.kind, EventKind::JobEnded(_) | EventKind::Retrying { .. });
            self.standing = if running { of_mac().unwrap_or(standing) } else { standing };
            self.until = match &event.kind {
                EventKind::Waiting { until, .. }
                | EventKind::WaitingForHelper { until, .. }
                | EventKind::Held { until, .. } => Some(*until),
                _ => None,
            };
        }
    }
}

fn standing_after(kind: &EventKind) -> Option<Verdict> {
    let state = kind.state()?;
    Some(match kind {
        EventKind::JobEnded(verdict) => verdict.clone(),
        EventKind::Retrying { reason, chain, pause_ms } => {
            let sentence = format!("{reason} Trying again in {} s.", pause_ms.div_ceil(1000));
            Verdict::from(state).saying(sentence).because(chain.clone())
        }
        EventKind::WaitingForHelper { helper, .. } => helper.waits(),
        EventKind::Recovering { rung } => recovering(*rung),
        // Whatever it is held for, it goes on when its owner acts.
        EventKind::Held { sentence, next, .. } => {
            Verdict { class: Class::Operator, ..Verdict::from(state) }.saying(sentence).then(next)
        }
        EventKind::Quarantined { bay } => Verdict::quarantined(bay),
        _ => state.into(),
    })
}

fn recovering(rung: Rung) -> Verdict {
    Verdict::from(Outcome::Retrying).saying(match rung {
        Rung::ResetDevice => "Resetting the device...",
        Rung::PowerCyclePort => "Switching the port's power off and on...",
    })
}

/// A change, for screens that follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A bay stands differently.
    Bay(Box<BayState>),
    /// The way to the devices is lost, for this reason.
    MuxLost(String),
    /// The way to the devices is there.
    MuxReady,
    /// The journal cannot be written, for this reason: nothing new is begun.
    JournalLost(String),
    /// The journal is written again.
    JournalReady,
}

/// The board.
#[derive(Debug)]
pub struct Board {
    state: Mutex<State>,
    news: broadcast::Sender<News>,
    pulse: Pulse,
}

/// What a line of the board belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Device(Udid),
    /// A device that no mux serves is known by its port.
    Port(PortPath),
}

#[derive(Debug, Default)]
struct State {
    bays: BTreeMap<Key, BayState>,
    jobs: HashMap<JobId, Udid>,
    mux_trouble: Option<String>,
    journal_trouble: Option<String>,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            news: broadcast::channel(SNAPSHOT_BACKLOG).0,
            pulse: Pulse::default(),
        }
    }
}

impl Board {
    /// Every bay now, in the order of bays and devices.
    pub fn bays(&self) -> Vec<BayState> {
        let mut bays: Vec<_> = self.lock().bays.values().cloned().collect();
        bays.sort_by(|a, b| (a.bay.sort_key(), &a.udid).cmp(&(b.bay.sort_key(), &b.udid)));
        bays
    }

    /// Why there is no way to the devices, if so.
    pub fn mux_trouble(&self) -> Option<String> {
        self.lock().mux_trouble.clone()
    }

    /// Why the journal cannot be written, if so.
    pub fn journal_trouble(&self) -> Option<String> {
        self.lock().journal_trouble.clone()
    }

    /// The journal cannot be written, or can again.
    pub fn journal(&self, trouble: Option<String>) {
        let mut state = self.lock();
        if state.journal_trouble != trouble {
            state.journal_trouble.clone_from(&trouble);
            self.tell(trouble.map_or(News::JournalReady, News::JournalLost));
        }
    }

    /// The pulse of the loop that fills it.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Follows changes from now on. One who lags too far is told so and reads
    /// [`Board::bays`] again.
    pub fn follow(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    /// Takes a committed event.
    pub fn take(&self, event: &Event) {
        let mut state = self.lock();
        let udid = match &event.kind {
            EventKind::JobStarted(new) => new.udid.clone(),
            _ => match state.jobs.get(&event.job) {
                Some(udid) => udid.clone(),
                None => return,
            },
        };
        if matches!(event.kind, EventKind::JobStarted(_)) {
            state.jobs.insert(event.job, udid.clone());
        }
        let Some(bay) = state.bays.get_mut(&Key::Device(udid)) else { return };
        if matches!(event.kind, EventKind::JobStarted(_)) {
            bay.begin(event.job);
        }
        let before = bay.clone();
        bay.take(event);
        if *bay != before || before.started == Some(event.at) {
            self.tell(News::Bay(Box::new(bay.clone())));
        }
    }

    pub(super) fn attached(&self, link: &DeviceLink) {
        let (udid, port) = (link.udid(), link.attachment().port.clone());
        let mut state = self.lock();
        self.drop_unserved(&mut state, |b| b.is_of(Some(udid), udid.ecid(), port.as_ref()));
        let bay = state
            .bays
            .entry(Key::Device(udid.clone()))
            .or_insert_with(|| BayState::new(link.bay().clone(), None, Some(udid.clone())));
        bay.simulated = link.attachment().simulated;
        bay.attached = true;
        bay.bay = link.bay().clone();
        bay.port = port;
        self.tell(News::Bay(Box::new(bay.clone())));
    }

    /// A Mac answered at an address; it hangs on no port.
    pub(super) fn arrived(&self, udid: &Udid, bay: &Bay) {
        let mut state = self.lock();
        let line = state.bays.entry(Key::Device(udid.clone()));
        let mac = line.or_insert_with(|| BayState::new(bay.clone(), None, Some(udid.clone())));
        // Until it says which, so that its words are those for Macs.
        mac.label.product_type.get_or_insert_with(|| "Mac".to_owned());
        self.tell(News::Bay(Box::new(mac.clone())));
    }

    pub(super) fn detached(&self, udid: &Udid) {
        if let Some(bay) = self.lock().bays.get_mut(&Key::Device(udid.clone())) {
            bay.attached = false;
            self.tell(News::Bay(Box::new(bay.clone())));
        }
    }

    /// A device hangs on the bus that no mux serves. `tried`: the recovery ladder did not help.
    pub(super) fn unserved(&self, unserved: &Unserved, bay: Bay, tried: bool) {
        let mut new = BayState::of_unserved(unserved, bay);
        if tried {
            new.standing = unserved::after_rungs(new.standing);
        }
        let port = unserved.device.port.clone();
        let mut state = self.lock();
        let known = new.udid.clone().and_then(|udid| state.bays.get_mut(&Key::Device(udid)));
        if let Some(known) = known.filter(|b| b.attached) {
            // The mux died: the device is where it was, and the trouble is told already.
            if unserved.reason == UnservedReason::MuxDead {
                return;
            }
            known.attached = false;
            self.tell(News::Bay(Box::new(known.clone())));
        }
        // The same device from another port.
        self.drop_unserved(&mut state, |b| !b.attached && b.is_of(new.udid.as_ref(), new.label.ecid, None));
        if state.bays.get(&Key::Port(port.clone())) != Some(&new) {
            state.bays.insert(Key::Port(port), new.clone());
            self.tell(News::Bay(Box::new(new)));
        }
    }

    /// A rung of the ladder is taken for a device that no mux serves.
    pub(super) fn recovering(&self, port: &PortPath, rung: Rung) {
        if let Some(bay) = self.lock().bays.get_mut(&Key::Port(port.clone())).filter(|b| b.attached) {
            bay.standing = recovering(rung);
            self.tell(News::Bay(Box::new(bay.clone())));
        }
    }

    /// What no mux served at this port is gone, or is served now.
    pub(super) fn unserved_left(&self, port: &PortPath) {
        if let Some(bay) = self.lock().bays.get_mut(&Key::Port(port.clone())).filter(|b| b.attached) {
            bay.attached = false;
            self.tell(News::Bay(Box::new(bay.clone())));
        }
    }

    /// The device with a line of its own that was last seen at this port and is shown as
    /// attached.
    pub(super) fn device_at(&self, port: &PortPath) -> Option<Udid> {
        let state = self.lock();
        let at = |bay: &&BayState| !bay.unserved && bay.attached && bay.port.as_ref() == Some(port);
        state.bays.values().find(at).and_then(|bay| bay.udid.clone())
    }

    /// Takes lines of unserved devices off the board; who follows sees them go first.
    fn drop_unserved(&self, state: &mut State, which: impl Fn(&BayState) -> bool) {
        state.bays.retain(|key, bay| {
            let drop = matches!(key, Key::Port(_)) && which(bay);
            if drop && std::mem::replace(&mut bay.attached, false) {
                self.tell(News::Bay(Box::new(bay.clone())));
            }
            !drop
        });
    }

    /// A device is left alone because it keeps disappearing from its bay. A job that is open
    /// says so itself.
    pub(super) fn quarantined(&self, udid: &Udid, verdict: Verdict) {
        if let Some(bay) = self.lock().bays.get_mut(&Key::Device(udid.clone())) {
            bay.standing = verdict;
            bay.until = None;
            self.tell(News::Bay(Box::new(bay.clone())));
        }
    }

    /// A job of an earlier life goes on.
    pub(super) fn resumed(&self, udid: &Udid, job: JobId, started: Timestamp, memory: &Memory) {
        let mut state = self.lock();
        state.jobs.insert(job, udid.clone());
        if let Some(bay) = state.bays.get_mut(&Key::Device(udid.clone())) {
            bay.begin(job);
            bay.started = Some(started);
            bay.attempts = memory.attempts;
            bay.pushes = u32::try_from(memory.pushes.len()).unwrap_or(u32::MAX);
        }
    }

    /// A bay whose job could not even begin, or broke in a way no event tells.
    pub(super) fn stands(&self, udid: &Udid, verdict: Verdict, at: Timestamp) {
        if let Some(bay) = self.lock().bays.get_mut(&Key::Device(udid.clone())) {
            bay.standing = verdict;
            bay.started = bay.started.or(Some(at));
            bay.ended = Some(at);
            self.tell(News::Bay(Box::new(bay.clone())));
        }
    }

    /// A bay whose job waits for something of the station before it begins.
    pub(super) fn holds(&self, udid: &Udid, verdict: Verdict) {
        if let Some(bay) = self.lock().bays.get_mut(&Key::Device(udid.clone())) {
            bay.standing = verdict;
            self.tell(News::Bay(Box::new(bay.clone())));
        }
    }

    pub(super) fn mux(&self, trouble: Option<String>) {
        let mut state = self.lock();
        if state.mux_trouble == trouble {
            return;
        }
        state.mux_trouble.clone_from(&trouble);
        self.tell(trouble.map_or(News::MuxReady, News::MuxLost));
    }

    /// A send fails only if nobody follows.
    fn tell(&self, news: News) {
        let _ = self.news.send(news);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole after every statement: a panic elsewhere cannot have torn it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BayState {
    fn begin(&mut self, job: JobId) {
        self.job = Some(job);
        self.started = None;
        self.ended = None;
        self.attempts = 0;
        self.pushes = 0;
        self.until = None;
        self.standing = Outcome::Attached.into();
    }
}
