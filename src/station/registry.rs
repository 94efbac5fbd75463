//! Which devices are here, under which attachment, and whose job runs.

use super::Selection;
use crate::device::{DeviceLink, Presence};
use crate::ids::{MuxId, Udid};
use crate::transport::Attachment;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::watch;

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
}

/// All devices of a run.
#[derive(Debug)]
pub(super) struct Registry {
    only: Option<BTreeSet<Udid>>,
    known: BTreeMap<Udid, Known>,
}

impl Registry {
    pub(super) fn new(selection: &Selection) -> Self {
        let only = match selection {
            Selection::All => None,
            Selection::Listed(list) => Some(list.iter().map(|a| a.udid.clone()).collect()),
        };
        Self { only, known: BTreeMap::new() }
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

    /// A device came. `None`: not ours, or known already. `Some(Some(_))`: start a job that
    /// follows these links. `Some(None)`: its job goes on, or needs none.
    #[allow(clippy::option_option)] // three answers, each read once
    pub(super) fn attached(&mut self, link: DeviceLink, once: bool) -> Option<Option<Links>> {
        let udid = link.udid().clone();
        if self.only.as_ref().is_some_and(|only| !only.contains(&udid)) {
            return None;
        }
        let known = self.known.entry(udid).or_insert_with(|| Known {
            links: watch::channel(Presence::Unplugged).0,
            present: None,
            running: false,
            finished: false,
            void: false,
            again: false,
        });
        let id = link.attachment().id;
        if known.present == Some(id) {
            return None;
        }
        known.present = Some(id);
        known.links.send_replace(Presence::Here(link));
        let same_stay = std::mem::take(&mut known.void);
        let followed = known.links.receiver_count() > 0;
        known.again = known.running && !followed && !once && !same_stay;
        if known.running || (known.finished && (once || same_stay)) {
            return Some(None);
        }
        known.running = true;
        Some(Some(known.links.subscribe()))
    }

    /// An attachment ended; whose it was.
    pub(super) fn detached(&mut self, id: MuxId) -> Option<Udid> {
        let (udid, known) = self.known.iter_mut().find(|(_, k)| k.present == Some(id))?;
        known.present = None;
        known.again = false;
        known.links.send_replace(Presence::Unplugged);
        Some(udid.clone())
    }

    /// The mux went away, and all attachments with it.
    pub(super) fn all_void(&mut self, reason: &str) {
        for known in self.known.values_mut().filter(|k| k.present.is_some()) {
            known.present = None;
            known.void = true;
            known.again = false;
            known.links.send_replace(Presence::MuxLost(reason.to_owned()));
        }
    }

    /// A device's job ended. `Some`: start another, for an attachment that came too late for
    /// this one.
    pub(super) fn finished(&mut self, udid: &Udid) -> Option<(Attachment, Links)> {
        let known = self.known.get_mut(udid)?;
        let again = std::mem::take(&mut known.again);
        let attachment = known.links.borrow().link().filter(|_| again).map(|l| l.attachment().clone());
        known.running = attachment.is_some();
        known.finished = true;
        Some((attachment?, known.links.subscribe()))
    }
}
