//! Devices on the bus that no mux serves though nothing shows why: after a while the recovery
//! ladder is taken, each rung once a stay. Time is an argument.

use crate::ids::PortPath;
use crate::limits::{UNSERVED_PATIENCE, UNSERVED_PROOF};
use crate::transport::{Rung, RungError, Unserved, UnservedReason};
use std::collections::BTreeMap;
use tokio::time::Instant;

/// Stays by port.
#[derive(Debug, Default)]
pub(super) struct Stays(BTreeMap<PortPath, Stay>);

/// From a device's plug to its unplug by a person, or until a mux serves it.
#[derive(Debug)]
struct Stay {
    unserved: Unserved,
    /// When the next rung is due, or the proof of the last one overdue.
    due: Option<Instant>,
    tried: Vec<Rung>,
    /// A rung is being taken.
    busy: bool,
    /// A rung was possible.
    shaken: bool,
    /// It left the bus because of a rung.
    away: bool,
}

/// What is to be done now.
#[derive(Debug, PartialEq)]
pub(super) enum Due {
    /// Take this rung for the device at this port.
    Take(PortPath, Rung),
    /// No rung helped: ask the person again.
    Ask(Unserved),
    /// It left because of a rung and did not come back.
    Gone(PortPath),
}

/// Rungs that may help. A reset behind the back of another mux would only confuse that.
fn rungs(reason: &UnservedReason) -> &'static [Rung] {
    match reason {
        UnservedReason::Silent => &[Rung::ResetDevice, Rung::PowerCyclePort],
        UnservedReason::NotListed => &[Rung::PowerCyclePort],
        _ => &[],
    }
}

impl Stays {
    /// A device stands like this.
    pub(super) fn shows(&mut self, unserved: &Unserved, now: Instant) {
        let port = &unserved.device.port;
        let hopeful = !rungs(&unserved.reason).is_empty();
        if let Some(stay) = self.0.get_mut(port)
            && stay.unserved.device.serial == unserved.device.serial
            && (hopeful || !stay.tried.is_empty())
        {
            (stay.unserved, stay.away) = (unserved.clone(), false);
            return;
        }
        self.0.remove(port);
        if hopeful {
            let stay = Stay {
                unserved: unserved.clone(),
                due: Some(now + UNSERVED_PATIENCE),
                tried: Vec::new(),
                busy: false,
                shaken: false,
                away: false,
            };
            self.0.insert(port.clone(), stay);
        }
    }

    /// A device left its port, or is served now; true if a rung made it leave, so that nobody
    /// unplugged it.
    pub(super) fn left(&mut self, port: &PortPath) -> bool {
        let Some(stay) = self.0.get_mut(port) else { return false };
        if stay.busy || stay.due.is_some() && stay.shaken {
            stay.away = true;
            return true;
        }
        self.0.remove(port);
        false
    }

    /// The device at this port is served.
    pub(super) fn served(&mut self, port: &PortPath) {
        self.0.remove(port);
    }

    /// True if rungs were taken for the device at this port, and none is left.
    pub(super) fn is_tried(&self, unserved: &Unserved) -> bool {
        let stay = self.0.get(&unserved.device.port);
        stay.is_some_and(|stay| stay.shaken && !stay.busy && stay.due.is_none())
            && !rungs(&unserved.reason).is_empty()
    }

    /// When [`Stays::next`] has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.values().filter_map(|stay| stay.due).min()
    }

    /// What is to be done now; to be asked until there is nothing more.
    pub(super) fn next(&mut self, now: Instant) -> Option<Due> {
        let is_due = |stay: &Stay| stay.due.is_some_and(|due| due <= now);
        let port = self.0.iter().find(|(_, stay)| is_due(stay)).map(|(port, _)| port.clone())?;
        let stay = self.0.get_mut(&port)?;
        stay.due = None;
        if stay.away {
            self.0.remove(&port);
            return Some(Due::Gone(port));
        }
        match rungs(&stay.unserved.reason).iter().find(|rung| !stay.tried.contains(rung)) {
            Some(rung) => {
                stay.tried.push(*rung);
                stay.busy = true;
                Some(Due::Take(port, *rung))
            }
            None => Some(Due::Ask(stay.unserved.clone())),
        }
    }

    /// A rung was taken, or could not be.
    pub(super) fn taken(&mut self, port: &PortPath, done: &Result<(), RungError>, now: Instant) {
        let Some(stay) = self.0.get_mut(port).filter(|stay| stay.busy) else { return };
        stay.busy = false;
        let possible = !matches!(done, Err(RungError::NotPossible(_)));
        stay.shaken |= possible;
        stay.due = Some(if possible { now + UNSERVED_PROOF } else { now });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::station::unserved::tests::unserved;
    use crate::transport::UsbMode;
    use std::time::Duration;

    fn silent() -> Unserved {
        unserved(UsbMode::Normal, Some("A"), UnservedReason::Silent)
    }

    fn port() -> PortPath {
        silent().device.port
    }

    #[test]
    fn each_rung_is_taken_once_and_then_a_person_is_asked() {
        let (mut stays, mut now) = (Stays::default(), Instant::now());
        stays.shows(&silent(), now);
        assert_eq!((stays.next(now), stays.due()), (None, Some(now + UNSERVED_PATIENCE)));
        for rung in [Rung::ResetDevice, Rung::PowerCyclePort] {
            now = stays.due().unwrap();
            assert_eq!(stays.next(now), Some(Due::Take(port(), rung)));
            assert_eq!((stays.next(now), stays.due()), (None, None), "it takes its time");
            assert!(stays.left(&port()), "by the rung");
            stays.shows(&silent(), now);
            stays.taken(&port(), &Ok(()), now);
            assert_eq!(stays.due(), Some(now + UNSERVED_PROOF));
            assert!(!stays.is_tried(&silent()));
        }
        now = stays.due().unwrap();
        assert_eq!(stays.next(now), Some(Due::Ask(silent())));
        assert!(stays.is_tried(&silent()) && stays.due().is_none());
        stays.shows(&silent(), now);
        assert_eq!(stays.due(), None, "once a stay");
        assert!(!stays.left(&port()), "a person pulled it out");
        stays.shows(&silent(), now);
        assert!(stays.due().is_some(), "another stay");
    }

    #[test]
    fn what_cannot_be_done_is_skipped_and_not_spoken_of() {
        let (mut stays, now) = (Stays::default(), Instant::now() + UNSERVED_PATIENCE);
        stays.shows(&silent(), now - UNSERVED_PATIENCE);
        let not = Err(RungError::NotPossible(String::new()));
        for _ in 0..2 {
            assert!(matches!(stays.next(now), Some(Due::Take(..))));
            stays.taken(&port(), &not, now);
        }
        assert!(matches!(stays.next(now), Some(Due::Ask(_))));
        assert!(!stays.is_tried(&silent()));
    }

    #[test]
    fn under_another_mux_there_is_only_the_power() {
        let (mut stays, now) = (Stays::default(), Instant::now() + UNSERVED_PATIENCE);
        stays.shows(&unserved(UsbMode::Normal, None, UnservedReason::NotListed), now - UNSERVED_PATIENCE);
        assert_eq!(stays.next(now), Some(Due::Take(port(), Rung::PowerCyclePort)));
    }

    #[test]
    fn a_stay_ends_with_what_explains_it_with_service_and_with_another_device() {
        let (mut stays, now) = (Stays::default(), Instant::now());
        let owned = unserved(UsbMode::Normal, Some("A"), UnservedReason::OtherOwner(None));
        stays.shows(&silent(), now);
        stays.shows(&owned, now);
        assert_eq!(stays.due(), None);
        stays.shows(&silent(), now);
        stays.served(&port());
        assert_eq!(stays.due(), None);
        stays.shows(&silent(), now);
        let later = now + Duration::from_secs(9);
        stays.shows(&unserved(UsbMode::Normal, Some("B"), UnservedReason::Silent), later);
        assert_eq!(stays.due(), Some(later + UNSERVED_PATIENCE));
    }

    #[test]
    fn a_device_that_a_rung_drove_away_for_good_is_gone() {
        let (mut stays, now) = (Stays::default(), Instant::now());
        stays.shows(&silent(), now);
        let now = now + UNSERVED_PATIENCE;
        assert!(matches!(stays.next(now), Some(Due::Take(..))));
        stays.taken(&port(), &Ok(()), now);
        assert!(stays.left(&port()));
        assert_eq!(stays.next(now + UNSERVED_PROOF), Some(Due::Gone(port())));
        assert_eq!(stays.due(), None);
    }
}
