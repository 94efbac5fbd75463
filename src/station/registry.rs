//! Which devices are here, under which attachment, and whose job runs.

use super::Selection;
use super::flaps::Flaps;
use crate::device::{DeviceLink, Presence};
use crate::ids::{Bay, MuxId, Udid};
use crate::limits::FLAP_CALM;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::watch;
use tokio::time::Instant;

/// How a job follows its device's attachments.
pub(super) type Links = watch::Receiver<Presence>;

/// A device known to this run.
#[derive(Debug)]
struct Known {
    links: watch::Sender<Presence>,
    present: Option<MuxId>,
    running: bool,
    finished: bool,
    /// It vanished with the mux and not by its cable: when the mux comes back, that is no
    /// replug.
    void: bool,
    /// It was plugged in again after its job had decided how it ends.
    again: bool,
    flaps: Flaps,
    held: Option<Held>,
}

/// A device in quarantine: neither its job nor a new one sees it.
#[derive(Debug)]
struct Held {
    bay: Bay,
    /// Its attachment, and since when it is calm.
    here: Option<(DeviceLink, Instant)>,
}

/// All devices of a run.
#[derive(Debug)]
pub(super) struct Registry {
    only: Option<BTreeSet<Udid>>,
    known: BTreeMap<Udid, Known>,
    once: bool,
}

/// What an attachment means.
#[derive(Debug)]
pub(super) enum Arrival {
    /// Nothing: not ours, or known already.
    Ignored,
    /// Its job goes on, or it needs none, or it is in quarantine.
    Known,
    /// A job must start that follows these links.
    Starts(Links),
}

/// What a detach means.
#[derive(Debug)]
pub(super) struct Departure {
    /// Whose.
    pub(super) udid: Udid,
    /// It is in quarantine for this bay from now on, and no job follows it that would say so.
    pub(super) quarantined: Option<Bay>,
}

impl Registry {
    /// With `once` each device has one job.
    pub(super) fn new(selection: &Selection, once: bool) -> Self {
        let only = match selection {
            Selection::All => None,
            Selection::Listed(list) => Some(list.iter().map(|a| a.udid.clone()).collect()),
            Selection::Only(attachment) => Some([attachment.udid.clone()].into()),
        };
        Self { only, known: BTreeMap::new(), once }
    }

    /// True if no device was ever here.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// True if every listed device had its job; never for a run without a list.
    pub(super) fn is_settled(&self) -> bool {
        let had = |udid: &Udid| self.known.get(udid).is_some_and(|k| k.finished && !k.running);
        self.only.as_ref().is_some_and(|only| only.iter().all(had))
    }

    /// A device came.
    pub(super) fn attached(&mut self, link: DeviceLink, now: Instant) -> Arrival {
        let udid = link.udid().clone();
        if self.only.as_ref().is_some_and(|only| !only.contains(&udid)) {
            return Arrival::Ignored;
        }
        let known = self.known.entry(udid).or_insert_with(|| Known {
            links: watch::channel(Presence::Unplugged).0,
            present: None,
            running: false,
            finished: false,
            void: false,
            again: false,
            flaps: Flaps::default(),
            held: None,
        });
        let id = link.attachment().id;
        if known.present == Some(id) {
            return Arrival::Ignored;
        }
        known.present = Some(id);
        if let Some(held) = known.held.as_mut().filter(|held| held.bay == *link.bay()) {
            held.here = Some((link, now));
            return Arrival::Known;
        }
        if known.held.take().is_some() {
            known.flaps.clear();
        }
        known.let_in(link, self.once)
    }

    /// An attachment ended.
    pub(super) fn detached(&mut self, id: MuxId, now: Instant) -> Option<Departure> {
        let (udid, known) = self.known.iter_mut().find(|(_, k)| k.present == Some(id))?;
        known.present = None;
        known.again = false;
        let mut quarantined = None;
        if let Some(held) = &mut known.held {
            held.here = None;
        } else {
            let link = known.links.borrow().link().cloned();
            let unannounced = link.filter(|l| !l.is_detach_expected());
            let had_its_job = self.once && known.finished && !known.running;
            let bay = unannounced.map(|l| l.bay().clone()).filter(|_| !had_its_job);
            match bay.filter(|bay| known.flaps.note(bay, now)) {
                Some(bay) => {
                    known.held = Some(Held { bay: bay.clone(), here: None });
                    known.links.send_replace(Presence::Quarantined(bay.clone()));
                    quarantined = Some(bay).filter(|_| known.links.receiver_count() == 0);
                }
                None => _ = known.links.send_replace(Presence::Unplugged),
            }
        }
        Some(Departure { udid: udid.clone(), quarantined })
    }

    /// The mux went away, and all attachments with it.
    pub(super) fn all_void(&mut self, reason: &str) {
        for known in self.known.values_mut().filter(|k| k.present.is_some()) {
            known.present = None;
            known.void = true;
            known.again = false;
            match &mut known.held {
                Some(held) => held.here = None,
                None => _ = known.links.send_replace(Presence::MuxLost(reason.to_owned())),
            }
        }
    }

    /// True if the device has an attachment now.
    pub(super) fn is_present(&self, udid: &Udid) -> bool {
        self.known.get(udid).is_some_and(|k| k.present.is_some())
    }

    /// When the next device may leave its quarantine, if it stays calm.
    pub(super) fn next_release(&self) -> Option<Instant> {
        self.known.values().filter_map(Known::release_at).min()
    }

    /// Lets those out of quarantine that were calm long enough.
    pub(super) fn release(&mut self, now: Instant) -> Vec<(DeviceLink, Arrival)> {
        let once = self.once;
        let due = self.known.values_mut().filter(|k| k.release_at().is_some_and(|at| at <= now));
        due.filter_map(|known| {
            let (link, _) = known.held.take()?.here?;
            known.flaps.clear();
            Some((link.clone(), known.let_in(link, once)))
        })
        .collect()
    }

    /// A device's job ended. `Some`: start another, for an attachment that came too late for
    /// this one.
    pub(super) fn finished(&mut self, udid: &Udid) -> Option<(DeviceLink, Links)> {
        let known = self.known.get_mut(udid)?;
        let again = std::mem::take(&mut known.again);
        let link = known.links.borrow().link().filter(|_| again).cloned();
        known.running = link.is_some();
        known.finished = true;
        Some((link?, known.links.subscribe()))
    }
}

impl Known {
    fn release_at(&self) -> Option<Instant> {
        let (_, since) = self.held.as_ref()?.here.as_ref()?;
        Some(*since + FLAP_CALM)
    }

    fn let_in(&mut self, link: DeviceLink, once: bool) -> Arrival {
        self.links.send_replace(Presence::Here(link));
        let same_stay = std::mem::take(&mut self.void);
        let followed = self.links.receiver_count() > 0;
        self.again = self.running && !followed && !once && !same_stay;
        if self.running || (self.finished && (once || same_stay)) {
            return Arrival::Known;
        }
        self.running = true;
        Arrival::Starts(self.links.subscribe())
    }
}
