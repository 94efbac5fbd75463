//! What the mux lists and what the bus shows, brought together. Time is an argument.
//!
//! May import: base, and the words of every backend.
//!
//! A device on the bus is *served* if the mux lists it. Others are reported after a while: at
//! once where their mode explains it, else after the time a mux may take to list them.

use super::bus::{Look, Seen};
use super::elsewhere::Elsewhere;
use super::location::{LocationForm, find};
use crate::ids::MuxId;
use crate::transport::{Attachment, BackendEvent, Unserved};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A mode is shown after this time: devices re-enumerate while they start (protocols.md 1.12).
const MODE_SETTLE: Duration = Duration::from_secs(1);

/// A mux lists a device only after its preflight (2.7); this is long for one.
const LISTING: Duration = Duration::from_secs(5);

/// Pause between looks for another reason why a device is not served.
const RELOOK: Duration = Duration::from_secs(5);

/// How long an attachment is held back for the bus to show its port: libusb and the mux learn
/// of it at the same time, and reading its descriptors takes milliseconds, on a busy computer
/// some more.
pub(super) const PORT_WAIT: Duration = Duration::from_secs(1);

/// The state of one watcher.
#[derive(Debug)]
pub(super) struct Join {
    form: LocationForm,
    elsewhere: Arc<Elsewhere>,
    look: Arc<Look>,
    mux_alive: bool,
    attached: BTreeMap<MuxId, Attachment>,
    /// Attached, and held back until the bus shows where, or until then.
    held: Vec<(Attachment, Instant)>,
    /// When to look for the reason why a device is not served, by arrival.
    looks: BTreeMap<u64, Instant>,
    reported: BTreeMap<u64, Unserved>,
    events: VecDeque<BackendEvent>,
}

impl Join {
    /// Nothing attached, nothing on the bus.
    pub(super) fn new(form: LocationForm, elsewhere: Arc<Elsewhere>) -> Self {
        Self {
            form,
            elsewhere,
            look: Arc::default(),
            mux_alive: true,
            attached: BTreeMap::new(),
            held: Vec::new(),
            looks: BTreeMap::new(),
            reported: BTreeMap::new(),
            events: VecDeque::new(),
        }
    }

    /// What to report next.
    pub(super) fn next_event(&mut self) -> Option<BackendEvent> {
        self.events.pop_front()
    }

    /// The mux reports something.
    pub(super) fn mux_says(&mut self, event: BackendEvent, now: Instant) {
        match event {
            BackendEvent::Attached(attachment) => self.held.push((attachment, now + PORT_WAIT)),
            BackendEvent::Detached(id) => {
                let held = self.held.len();
                self.held.retain(|(attachment, _)| attachment.id != id);
                if self.attached.remove(&id).is_some() || self.held.len() == held {
                    self.events.push_back(event);
                }
            }
            BackendEvent::Lost { .. } => {
                (self.mux_alive, self.attached, self.held) = (false, BTreeMap::new(), Vec::new());
                self.events.push_back(event);
                // What was reported before may have this reason now.
                for at in self.looks.values_mut() {
                    *at = (*at).min(now + MODE_SETTLE);
                }
            }
            BackendEvent::Ready => {
                self.mux_alive = true;
                self.events.push_back(event);
                for at in self.looks.values_mut() {
                    *at = now + LISTING;
                }
            }
            BackendEvent::Unserved(_) | BackendEvent::UnservedLeft(_) => self.events.push_back(event),
        }
        self.settle(now);
    }

    /// The bus is like this now.
    pub(super) fn bus_shows(&mut self, look: Arc<Look>, now: Instant) {
        self.look = look;
        self.settle(now);
    }

    /// When [`Join::elapsed`] or [`Join::to_explain`] have something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.held.iter().map(|(_, until)| *until).chain(self.looks.values().copied()).min()
    }

    /// Time passed.
    pub(super) fn elapsed(&mut self, now: Instant) {
        self.settle(now);
    }

    /// Devices whose reason must be found out now.
    pub(super) fn to_explain(&self, now: Instant) -> Vec<Arc<Seen>> {
        let due = self.looks.iter().filter(|(_, at)| **at <= now);
        due.filter_map(|(number, _)| self.look.devices.get(number).cloned()).collect()
    }

    /// True if the mux can be reached.
    pub(super) fn mux_alive(&self) -> bool {
        self.mux_alive
    }

    /// The reason was found out.
    pub(super) fn explained(&mut self, number: u64, unserved: Unserved, now: Instant) {
        let Some(seen) = self.look.devices.get(&number) else { return };
        if !self.looks.contains_key(&number) {
            return;
        }
        // A mode does not change without another arrival; other reasons do.
        if seen.is_for_a_mux() && seen.fault().is_none() {
            self.looks.insert(number, now + RELOOK);
        } else {
            self.looks.remove(&number);
        }
        if self.reported.get(&number) != Some(&unserved) {
            self.reported.insert(number, unserved.clone());
            self.events.push_back(BackendEvent::Unserved(unserved));
        }
    }

    /// Brings everything in line with what the mux lists and the bus shows.
    fn settle(&mut self, now: Instant) {
        let listed = self.attached.values().chain(self.held.iter().map(|(attachment, _)| attachment));
        let served = listed.filter_map(|a| find(self.form, a, &self.look)).map(|seen| seen.number);
        let served: BTreeSet<u64> = served.collect();
        let stands = |number: &u64| self.look.devices.contains_key(number) && !served.contains(number);
        self.looks.retain(|number, _| stands(number));
        let events = &mut self.events;
        self.reported.retain(|number, unserved| {
            let stays = stands(number);
            if !stays {
                events.push_back(BackendEvent::UnservedLeft(unserved.device.port.clone()));
            }
            stays
        });
        for (number, seen) in self.look.devices.iter().filter(|(number, _)| stands(number)) {
            let explained = self.reported.contains_key(number);
            if !explained {
                let wait = if seen.is_for_a_mux() && seen.fault().is_none() { LISTING } else { MODE_SETTLE };
                self.looks.entry(*number).or_insert(now + wait);
            }
        }
        self.release(now);
    }

    /// Reports what was held back and need not wait longer.
    fn release(&mut self, now: Instant) {
        for (mut attachment, until) in std::mem::take(&mut self.held) {
            attachment.port = find(self.form, &attachment, &self.look).map(|seen| seen.device.port.clone());
            match &attachment.port {
                Some(_) => self.elsewhere.forget(&attachment),
                None if !self.elsewhere.may_come(&attachment) => {}
                None if until > now => {
                    self.held.push((attachment, until));
                    continue;
                }
                None => self.elsewhere.note(&attachment),
            }
            self.attached.insert(attachment.id, attachment.clone());
            self.events.push_back(BackendEvent::Attached(attachment));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bus::tests::seen;
    use super::*;
    use crate::transport::{UnservedReason, UsbMode};

    const A: &str = "00008110001A2B3C4D5E6F70";
    const B: &str = "00008110001A2B3C4D5E6F71";

    /// A join, a clock, and a bus.
    struct Bench {
        join: Join,
        now: Instant,
        devices: Vec<Arc<Seen>>,
    }

    impl Bench {
        fn new() -> Self {
            let join = Join::new(LocationForm::BusAndAddress, Arc::default());
            Self { join, now: Instant::now(), devices: Vec::new() }
        }

        fn show(&mut self) {
            let devices = self.devices.iter().map(|seen| (seen.number, Arc::clone(seen))).collect();
            self.join.bus_shows(Arc::new(Look { settled: true, devices }), self.now);
        }

        fn plug(&mut self, number: u64, port: u8, mode: UsbMode, serial: &str) {
            self.devices.push(Arc::new(seen(number, port, mode, serial)));
            self.show();
        }

        fn unplug(&mut self, number: u64) {
            self.devices.retain(|seen| seen.number != number);
            self.show();
        }

        fn mux(&mut self, event: BackendEvent) {
            self.join.mux_says(event, self.now);
        }

        fn attach(&mut self, id: u32, serial: &str) {
            self.mux(BackendEvent::Attached(Attachment {
                id: MuxId(id),
                udid: serial.parse().unwrap(),
                location: None,
                port: None,
                speed: None,
                product_id: None,
                simulated: false,
            }));
        }

        /// Lets time pass in steps, explaining as the watcher does; what was reported, in words.
        fn pass(&mut self, time: Duration) -> Vec<String> {
            let end = self.now + time;
            loop {
                self.join.elapsed(self.now);
                for seen in self.join.to_explain(self.now) {
                    let reason = match (seen.device.mode, self.join.mux_alive()) {
                        (UsbMode::Normal, true) => UnservedReason::NotListed,
                        (UsbMode::Normal, false) => UnservedReason::MuxDead,
                        _ => UnservedReason::Mode,
                    };
                    let unserved = Unserved { device: seen.device.clone(), reason };
                    self.join.explained(seen.number, unserved, self.now);
                }
                match self.join.deadline().filter(|at| *at <= end) {
                    Some(at) => self.now = at,
                    None => break,
                }
            }
            self.now = end;
            self.told()
        }

        fn told(&mut self) -> Vec<String> {
            let words = |event| match event {
                BackendEvent::Attached(a) => {
                    format!("{} at {}", a.id, a.port.map_or("?".into(), |port| port.to_string()))
                }
                BackendEvent::Detached(id) => format!("{id} went"),
                BackendEvent::Unserved(u) => format!("{} {:?}", u.device.port, u.reason),
                BackendEvent::UnservedLeft(port) => format!("{port} left"),
                BackendEvent::Lost { .. } => "lost".to_owned(),
                BackendEvent::Ready => "ready".to_owned(),
            };
            std::iter::from_fn(|| self.join.next_event()).map(words).collect()
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_attachment_gets_its_port_whichever_side_sees_it_first() {
        let mut bench = Bench::new();
        bench.plug(1, 4, UsbMode::Normal, A);
        bench.attach(1, A);
        assert_eq!(bench.told(), ["#1 at 1-4"]);
        bench.attach(2, B);
        assert!(bench.told().is_empty());
        bench.plug(2, 5, UsbMode::Normal, B);
        assert_eq!(bench.told(), ["#2 at 1-5"]);
        assert!(bench.pass(60 * SECOND).is_empty(), "both are served");
    }

    #[test]
    fn the_first_device_on_an_empty_bus_gets_its_port_too() {
        let mut bench = Bench::new();
        bench.show();
        bench.attach(1, A);
        assert!(bench.told().is_empty(), "the mux was quicker");
        bench.plug(1, 4, UsbMode::Normal, A);
        assert_eq!(bench.told(), ["#1 at 1-4"]);
    }

    #[test]
    fn an_attachment_that_the_bus_does_not_show_is_reported_all_the_same() {
        let mut bench = Bench::new();
        bench.attach(1, A);
        assert_eq!(bench.pass(SECOND), ["#1 at ?"]);
        bench.attach(2, B);
        bench.mux(BackendEvent::Detached(MuxId(2)));
        bench.mux(BackendEvent::Detached(MuxId(1)));
        assert_eq!(bench.pass(SECOND), ["#1 went"]);
    }

    #[test]
    fn the_bus_is_waited_for_once_a_place() {
        let mut bench = Bench::new();
        bench.plug(1, 5, UsbMode::Normal, B);
        bench.attach(2, A);
        assert!(bench.told().is_empty());
        assert_eq!(bench.pass(SECOND), ["#2 at ?"]);
        bench.attach(3, A);
        assert_eq!(bench.told(), ["#3 at ?"], "known to be elsewhere");
        bench.plug(2, 4, UsbMode::Normal, A);
        bench.attach(4, A);
        bench.unplug(2);
        assert_eq!(bench.told(), ["#4 at 1-4"]);
        bench.attach(5, A);
        assert!(bench.told().is_empty(), "it was here");
    }

    #[test]
    fn a_mode_is_shown_soon_and_what_the_mux_may_still_list_only_later() {
        let mut bench = Bench::new();
        bench.plug(1, 1, UsbMode::Recovery, "ECID:1");
        bench.plug(2, 2, UsbMode::Normal, A);
        assert_eq!(bench.pass(2 * SECOND), ["1-1 Mode"]);
        assert_eq!(bench.pass(4 * SECOND), ["1-2 NotListed"]);
        assert!(bench.pass(60 * SECOND).is_empty(), "nothing is told twice");
        bench.attach(1, A);
        assert_eq!(bench.told(), ["1-2 left", "#1 at 1-2"]);
        bench.unplug(1);
        assert_eq!(bench.told(), ["1-1 left"]);
    }

    #[test]
    fn a_device_that_leaves_in_time_is_never_shown() {
        let mut bench = Bench::new();
        for number in 1..=5 {
            bench.plug(number, 1, UsbMode::Recovery, "ECID:1");
            assert!(bench.pass(SECOND / 2).is_empty());
            bench.unplug(number);
        }
        assert!(bench.pass(60 * SECOND).is_empty());
    }

    #[test]
    fn a_dead_mux_is_the_reason_until_it_lists_again() {
        let mut bench = Bench::new();
        bench.plug(1, 1, UsbMode::Normal, A);
        bench.attach(1, A);
        bench.mux(BackendEvent::Lost { reason: String::new() });
        assert_eq!(bench.told(), ["#1 at 1-1", "lost"]);
        assert!(bench.pass(4 * SECOND).is_empty());
        assert_eq!(bench.pass(2 * SECOND), ["1-1 MuxDead"]);
        bench.mux(BackendEvent::Ready);
        assert_eq!(bench.pass(4 * SECOND), ["ready"]);
        assert_eq!(bench.pass(2 * SECOND), ["1-1 NotListed"]);
        bench.attach(2, A);
        assert_eq!(bench.told(), ["1-1 left", "#2 at 1-1"]);
    }

    #[test]
    fn a_detach_without_leaving_the_bus_is_shown_after_the_time_a_mux_may_take() {
        let mut bench = Bench::new();
        bench.plug(1, 1, UsbMode::Normal, A);
        bench.attach(1, A);
        bench.mux(BackendEvent::Detached(MuxId(1)));
        assert_eq!(bench.told(), ["#1 at 1-1", "#1 went"]);
        assert_eq!(bench.pass(6 * SECOND), ["1-1 NotListed"]);
        bench.unplug(1);
        assert_eq!(bench.told(), ["1-1 left"]);
    }
}
