//! The recorder: a decorator on decrypted frames (codebase-models.md 3.6). What a device and
//! this station say to each other is written down, scrubbed, one file a phase.
//!
//! May import: `wire`, base, what [`crate::transport`] itself has.
//!
//! [`Recording`] is a backend around another one. Streams are tapped above TLS: whoever opens
//! one asks [`Backend::recorder`](super::Backend::recorder) for a [`Tap`] and wraps the stream
//! in it. A tap changes nothing and never fails; what cannot be written down is given up, with
//! one word in the log.
//!
//! # The folder
//!
//! One recording is one job with one device. Its folder holds
//!
//! - `meta.toml`: what it is of ([`meta::Meta`]). It says `cut = "..."` unless the job ended;
//! - `01-attach.jsonl`, `02-pair.jsonl`, ...: one file for each stretch of a phase, to be read in
//!   the order of their numbers. Phases are `attach`, `pair`, `inspect`, `prepare`, `install`,
//!   `wait`, `verify`, `erase` and, after a replug, `reattach`; the first frame of a phase names
//!   it, nothing else depends on it.
//!
//! A line is an [`entry::Entry`]: `{"t":12,"c":1,"host":{...}}`. `t` is milliseconds since the
//! recording began; `c` numbers the connections from 1, and is left out for what belongs to
//! none. Then exactly one of [`entry::What`]. A reboot is a `detached` and an `attached`, as a mux
//! shows it. A connection is its `open`, a `tls` once for each
//! handshake, `host` and `device` frames as they passed, and perhaps an `ended` by the device.
//! That the host closed a connection is not written.
//!
//! A frame is its property list as JSON, keys sorted. What JSON lacks is an object with a key
//! that begins with `$`: `{"$data":"~EscrowBag-1","length":32}`, `{"$real":60.0}`,
//! `{"$date":"1970-01-01T00:00:00Z"}`; a text beyond 64 bytes is `{"$text":"~Warning-1",
//! "length":128}`. `length` is in bytes, reached by appending `~`. A key that itself begins
//! with `$` gets one more.
//!
//! # What is written
//!
//! Only what the list in `allow.rs` names ([`scrub`]), and of words only what `words.rs` knows. A
//! placeholder is the same for the same value of the same key within a recording, numbered in the
//! order of their first appearance; the profile of the job comes first of all: `example.profile-1`,
//! `00000000-0000-4000-8000-000000000001`.

mod allow;
mod check;
mod device;
pub mod entry;
mod folder;
pub mod meta;
mod recording;
pub mod scrub;
mod tap;
mod weight;
pub(crate) mod words;

pub use check::{Checked, Finding};
pub use folder::META;
pub use recording::Recording;
pub use tap::Tap;
pub use weight::check;

use super::{Attachment, BackendEvent};
use crate::clock::Clock;
use crate::ids::{MuxId, Udid};
use device::Device;
use entry::{MuxMark, What};
use folder::{Budget, Closing};
use meta::JobMeta;
use plist::Dictionary;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What lockdown is called beside the services.
pub const LOCKDOWN: &str = "lockdown";

/// Most recordings of one run: a station that runs for weeks must not fill the disk.
const MOST_RECORDINGS: u32 = 1000;

/// Most that are written at once, as each has a thread: two full buses of USB.
const MOST_AT_ONCE: usize = 254;

/// How long the end waits for the disk.
const WRITTEN_WITHIN: Duration = Duration::from_secs(5);

/// Where recordings go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The first job is recorded here, no other.
    Folder(PathBuf),
    /// Each job gets a folder of its own in here: `device-001`, `device-002`, ...
    FolderOfEach(PathBuf),
}

/// Records what goes through a backend. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Recorder {
    shared: Arc<Mutex<Shared>>,
    clock: Clock,
}

#[derive(Debug)]
struct Shared {
    place: Place,
    budget: Budget,
    /// What jobs are about, from their begin to their end.
    jobs: HashMap<Udid, JobMeta>,
    present: HashMap<MuxId, Attachment>,
    devices: BTreeMap<Udid, Device>,
    begun: u32,
    said_too_many: bool,
    closing: Vec<Closing>,
    troubles: Vec<&'static str>,
}

/// What became of the recordings of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// How many there are.
    pub count: u32,
    /// Why some are not whole.
    pub troubles: Vec<&'static str>,
}

impl Recorder {
    /// Records into `place`, which is made when the first recording begins.
    pub fn new(place: Place, clock: Clock) -> Self {
        let shared = Shared {
            place,
            budget: Budget::default(),
            jobs: HashMap::new(),
            present: HashMap::new(),
            devices: BTreeMap::new(),
            begun: 0,
            said_too_many: false,
            closing: Vec::new(),
            troubles: Vec::new(),
        };
        Self { shared: Arc::new(Mutex::new(shared)), clock }
    }

    /// A job with a device begins, or its orders changed.
    pub fn began(&self, udid: &Udid, job: JobMeta) {
        let mut shared = self.lock();
        if let Some(device) = shared.devices.get_mut(udid) {
            device.is_about(&job);
        }
        shared.jobs.insert(udid.clone(), job);
    }

    /// The job of a device ended, with these errors, by domain and code; what follows is not part
    /// of its recording.
    pub fn ended(&self, udid: &Udid, outcome: &str, class: &str, chain: &[(&str, i64)]) {
        let mut shared = self.lock();
        shared.jobs.remove(udid);
        if let Some(mut device) = shared.devices.remove(udid) {
            device.ended(outcome, class, chain);
            let closing = device.close();
            shared.closing(closing);
        }
    }

    /// Ends every recording and waits for the disk, in bounded time. Blocks.
    pub fn finish(&self) -> Recorded {
        let mut shared = self.lock();
        let open = std::mem::take(&mut shared.devices).into_values().map(Device::close);
        let mut closing = std::mem::take(&mut shared.closing);
        closing.extend(open);
        let deadline = Instant::now() + WRITTEN_WITHIN;
        let mut troubles = std::mem::take(&mut shared.troubles);
        troubles.extend(closing.into_iter().filter_map(|folder| folder.wait(deadline)));
        Recorded { count: shared.begun, troubles }
    }

    /// What records a connection to a service of an attached device.
    pub fn tap(&self, id: MuxId, service: &str) -> Tap {
        Tap::new(self.clone(), id, service)
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the recording of an attachment, which is begun if there is none. What
    /// passes without a job is not recorded.
    fn of<R>(&self, id: MuxId, act: impl FnOnce(&mut Device) -> R) -> Option<R> {
        let mut shared = self.lock();
        let attachment = shared.present.get(&id)?.clone();
        shared.device(&attachment, &self.clock).map(act)
    }

    fn note(&self, id: MuxId, c: u32, what: What) {
        self.of(id, |device| device.write(c, what));
    }

    fn frame(&self, id: MuxId, c: u32, from_host: bool, frame: &Dictionary) {
        let now = self.clock.now().as_duration().as_secs_f64();
        self.of(id, |device| device.frame(c, from_host, frame, now));
    }

    fn pair_record(&self, udid: &Udid, there: bool) {
        if let Some(device) = self.lock().devices.get_mut(udid) {
            device.write(0, What::PairRecord(there));
        }
    }

    fn attached(&self, attachment: &Attachment) {
        let mut shared = self.lock();
        let known = shared.present.insert(attachment.id, attachment.clone()).is_some();
        if let Some(device) = shared.devices.get_mut(&attachment.udid).filter(|_| !known) {
            device.came_back(&attachment.udid);
        }
    }

    fn detached(&self, id: MuxId) {
        let mut shared = self.lock();
        let Some(attachment) = shared.present.remove(&id) else { return };
        if let Some(device) = shared.devices.get_mut(&attachment.udid) {
            device.left(&attachment.udid);
        }
    }

    fn happened(&self, event: &BackendEvent) {
        let mark = match event {
            BackendEvent::Attached(attachment) => return self.attached(attachment),
            BackendEvent::Detached(id) => return self.detached(*id),
            BackendEvent::Lost { .. } => MuxMark::Lost,
            BackendEvent::Ready => MuxMark::Ready,
            BackendEvent::Unserved(_) | BackendEvent::UnservedLeft(_) => return,
        };
        let mut shared = self.lock();
        if mark == MuxMark::Lost {
            shared.present.clear();
        }
        shared.devices.values_mut().for_each(|device| device.write(0, What::Mux(mark)));
    }
}

impl Shared {
    fn device(&mut self, attachment: &Attachment, clock: &Clock) -> Option<&mut Device> {
        let udid = &attachment.udid;
        if !self.devices.contains_key(udid) {
            let job = self.jobs.get(udid)?.clone();
            let folder = match &self.place {
                Place::Folder(_) if self.begun > 0 => return None,
                _ if self.begun >= MOST_RECORDINGS || self.devices.len() >= MOST_AT_ONCE => {
                    self.too_many();
                    return None;
                }
                Place::Folder(path) => folder::Folder::at(path.clone(), self.budget.clone()),
                Place::FolderOfEach(path) => folder::Folder::inside(path.clone(), self.budget.clone()),
            };
            self.begun += 1;
            self.devices.insert(udid.clone(), Device::begin(folder, attachment, &job, clock));
        }
        self.devices.get_mut(udid)
    }

    fn too_many(&mut self) {
        if !self.said_too_many {
            self.said_too_many = true;
            tracing::warn!(
                "not every job is recorded: at most {MOST_RECORDINGS} are in a run, and {MOST_AT_ONCE} at once"
            );
        }
    }

    /// Keeps what is still being written, and what became of what is not.
    fn closing(&mut self, folder: Closing) {
        self.closing.push(folder);
        let (written, open) = std::mem::take(&mut self.closing).into_iter().partition(Closing::is_over);
        self.closing = open;
        let written: Vec<Closing> = written;
        self.troubles.extend(written.into_iter().filter_map(|folder| folder.wait(Instant::now())));
    }
}

#[cfg(test)]
mod tests;
