//! The recorder: a decorator on decrypted frames (codebase-models.md 3.6). What a device and
//! this station say to each other is written down, scrubbed, one file a phase.
//!
//! [`Recording`] is a backend around another one. Streams are tapped above TLS: whoever opens
//! one asks [`Backend::tap`] for a [`Tap`] and wraps the stream in it. A tap changes nothing
//! and never fails; what it cannot write down is given up.

mod allow;
pub mod entry;
mod folder;
pub mod meta;
pub mod scrub;
mod tap;

pub use tap::Tap;

use super::{Attachment, Backend, BackendEvent, BoxChannel, Rung, RungError, TransportError, Unserved};
use crate::clock::Clock;
use crate::ids::{MuxId, PortPath, Udid};
use crate::limits::BACKEND_EVENTS;
use crate::secret::Secret;
use async_trait::async_trait;
use entry::{Entry, MuxMark, What};
use folder::Folder;
use meta::{JobMeta, Meta, Origin, ResultMeta};
use plist::Dictionary;
use scrub::{SCRUB_VERSION, Scrubber};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Most devices that are recorded in one run.
const MOST_DEVICES: usize = 64;

/// Where recordings go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The first device is recorded here, no other.
    Folder(PathBuf),
    /// Each device gets a folder of its own in here.
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
    job: JobMeta,
    profile: (String, String),
    present: HashMap<MuxId, Attachment>,
    devices: BTreeMap<Udid, Device>,
    /// Devices that are not recorded: too many, or their folder could not be made.
    left_out: Vec<Udid>,
}

/// The recording of one device.
#[derive(Debug)]
struct Device {
    folder: Folder,
    scrubber: Scrubber,
    begun: Instant,
    connections: u32,
    phase: &'static str,
    came_back: bool,
    pushed: bool,
    meta: Meta,
}

impl Recorder {
    /// Records into `place` what is done for `job`, with the profile of this identifier and
    /// UUID.
    ///
    /// # Errors
    /// In words, if the place cannot be used.
    pub fn new(place: Place, job: JobMeta, profile: (&str, &str), clock: Clock) -> Result<Self, String> {
        let (Place::Folder(path) | Place::FolderOfEach(path)) = &place;
        let there =
            std::fs::create_dir_all(path).and_then(|()| std::fs::read_dir(path)).map(|mut all| all.next());
        match there {
            Ok(None) => {}
            Ok(Some(_)) => return Err(format!("{} is not empty", path.display())),
            Err(error) => {
                let reason = crate::wire::printable::system_words(&error);
                return Err(format!("{} cannot be used: {reason}", path.display()));
            }
        }
        let shared = Shared {
            place,
            job,
            profile: (profile.0.to_owned(), profile.1.to_owned()),
            present: HashMap::new(),
            devices: BTreeMap::new(),
            left_out: Vec::new(),
        };
        Ok(Self { shared: Arc::new(Mutex::new(shared)), clock })
    }

    /// Notes how a device's job ended.
    pub fn ended(&self, udid: &Udid, result: ResultMeta) {
        if let Some(device) = self.lock().devices.get_mut(udid) {
            device.meta.result = Some(result);
        }
    }

    /// Writes the rest; how many recordings there are, and why those are not whole that are not.
    pub fn finish(&self) -> (usize, Vec<String>) {
        let mut shared = self.lock();
        let mut troubles = Vec::new();
        for device in shared.devices.values_mut() {
            device.meta.cut = device.folder.trouble().unwrap_or_default();
            device.folder.meta(device.meta.text());
            device.folder.close();
            troubles.extend(device.folder.trouble());
        }
        (shared.devices.len(), troubles)
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the recording of an attachment, which is begun if there is none.
    fn of<R>(&self, id: MuxId, act: impl FnOnce(&mut Device) -> R) -> Option<R> {
        let mut shared = self.lock();
        let attachment = shared.present.get(&id)?.clone();
        shared.device(&attachment, &self.clock).map(act)
    }

    fn note(&self, id: MuxId, c: u32, what: What) {
        self.of(id, |device| device.write(c, what));
    }

    fn attached(&self, attachment: &Attachment) {
        let mut shared = self.lock();
        let known = shared.present.insert(attachment.id, attachment.clone()).is_some();
        if let Some(device) = shared.devices.get_mut(&attachment.udid)
            && !known
        {
            device.came_back = true;
            device.phase = "reattach";
            let udid = device.scrubber.udid(attachment.udid.as_str());
            device.write(0, What::Attached(udid));
        }
    }

    fn detached(&self, id: MuxId) {
        let mut shared = self.lock();
        let Some(attachment) = shared.present.remove(&id) else { return };
        if let Some(device) = shared.devices.get_mut(&attachment.udid) {
            let udid = device.scrubber.udid(attachment.udid.as_str());
            device.write(0, What::Detached(udid));
        }
    }

    fn happened(&self, event: &BackendEvent) {
        match event {
            BackendEvent::Attached(attachment) => self.attached(attachment),
            BackendEvent::Detached(id) => self.detached(*id),
            BackendEvent::Lost { .. } => {
                let mut shared = self.lock();
                shared.present.clear();
                shared.devices.values_mut().for_each(|device| device.write(0, What::Mux(MuxMark::Lost)));
            }
            BackendEvent::Ready => {
                let mut shared = self.lock();
                shared.devices.values_mut().for_each(|device| device.write(0, What::Mux(MuxMark::Ready)));
            }
            BackendEvent::Unserved(_) | BackendEvent::UnservedLeft(_) => {}
        }
    }

    fn frame(&self, id: MuxId, c: u32, service: &str, from_host: bool, frame: &Dictionary) {
        let now = self.clock.now().as_duration().as_secs_f64();
        self.of(id, |device| {
            device.turn(service, from_host, frame);
            let scrubbed = device.scrubber.at(now).frame(frame);
            device.learn(&scrubbed);
            let json = entry::to_json(&scrubbed);
            device.write(c, if from_host { What::Host(json) } else { What::Device(json) });
        });
    }
}

impl Shared {
    fn device(&mut self, attachment: &Attachment, clock: &Clock) -> Option<&mut Device> {
        let udid = &attachment.udid;
        if !self.devices.contains_key(udid) {
            if self.left_out.contains(udid) {
                return None;
            }
            match self.begin(attachment, clock) {
                Ok(device) => _ = self.devices.insert(udid.clone(), device),
                Err(reason) => {
                    if let Some(reason) = reason {
                        tracing::warn!(%udid, %reason, "this device is not recorded; its job goes on");
                    }
                    self.left_out.push(udid.clone());
                    return None;
                }
            }
        }
        self.devices.get_mut(udid)
    }

    fn begin(&self, attachment: &Attachment, clock: &Clock) -> Result<Device, Option<String>> {
        let path = match &self.place {
            Place::Folder(_) if !self.devices.is_empty() => return Err(None),
            Place::Folder(path) => path.clone(),
            Place::FolderOfEach(_) if self.devices.len() >= MOST_DEVICES => {
                return Err(Some(format!("{MOST_DEVICES} are")));
            }
            Place::FolderOfEach(path) => path.join(format!("device-{:03}", self.devices.len() + 1)),
        };
        let folder = make(&path)?;
        let mut scrubber = Scrubber::default();
        let (identifier, uuid) = scrubber.profile(&self.profile.0, &self.profile.1);
        let origin = if attachment.simulated { Origin::Simulator } else { Origin::Hardware };
        let meta = Meta {
            scrub: SCRUB_VERSION,
            origin,
            date: clock.now().to_string().chars().take(10).collect(),
            tool: concat!("enlist ", env!("CARGO_PKG_VERSION")).to_owned(),
            product: String::new(),
            os: String::new(),
            cut: "the program ended before the job did".to_owned(),
            job: JobMeta { identifier, uuid, ..self.job.clone() },
            result: None,
        };
        let mut device = Device {
            folder,
            scrubber,
            begun: Instant::now(),
            connections: 0,
            phase: "attach",
            came_back: false,
            pushed: false,
            meta,
        };
        // As it stands if the program dies.
        device.folder.meta(device.meta.text());
        let udid = device.scrubber.udid(attachment.udid.as_str());
        device.write(0, What::Attached(udid));
        Ok(device)
    }
}

fn make(path: &Path) -> Result<Folder, Option<String>> {
    let failed = |e: std::io::Error| {
        Some(format!("{} cannot be used: {}", path.display(), crate::wire::printable::system_words(&e)))
    };
    Folder::create(path).map_err(failed)
}

impl Device {
    fn write(&mut self, c: u32, what: What) {
        let t = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.folder.line(self.phase, Entry { t, c, what }.line());
    }

    /// Which phase a frame begins, as the conversation itself tells.
    fn turn(&mut self, service: &str, from_host: bool, frame: &Dictionary) {
        let said = |key: &str| frame.get(key).and_then(plist::Value::as_string);
        let asked = if from_host { said("Request").or(said("RequestType")) } else { None };
        let answered = if from_host { None } else { said("Request") };
        self.phase = match (self.phase, asked, answered) {
            (_, Some("Pair" | "StartSession"), _) => "pair",
            ("pair", _, Some("StartSession")) if frame.get("Error").is_none() => "inspect",
            (_, Some("InstallProfile" | "InstallProfileSilent"), _) => {
                self.pushed = true;
                "install"
            }
            ("install", Some("GetProfileList"), _) => "verify",
            ("install", Some("StartService"), _) => "wait",
            ("reattach", Some("QueryType"), _) if service == LOCKDOWN => "reattach",
            (phase, ..) => phase,
        };
    }

    /// What `meta.toml` tells of the device.
    fn learn(&mut self, scrubbed: &Dictionary) {
        let Some(values) = scrubbed.get("Value").and_then(plist::Value::as_dictionary) else { return };
        for (slot, key) in [(&mut self.meta.product, "ProductType"), (&mut self.meta.os, "ProductVersion")] {
            if let Some(text) = values.get(key).and_then(plist::Value::as_string) {
                text.clone_into(slot);
            }
        }
    }
}

/// What lockdown is called beside the services.
pub const LOCKDOWN: &str = "lockdown";

/// A backend whose devices are recorded.
#[derive(Debug)]
pub struct Recording {
    inner: Arc<dyn Backend>,
    recorder: Recorder,
}

impl Recording {
    /// Around `inner`.
    pub fn new(inner: Arc<dyn Backend>, recorder: Recorder) -> Self {
        Self { inner, recorder }
    }
}

#[async_trait]
impl Backend for Recording {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn list(&self) -> Result<Vec<Attachment>, TransportError> {
        let listed = self.inner.list().await?;
        listed.iter().for_each(|attachment| self.recorder.attached(attachment));
        Ok(listed)
    }

    fn watch(&self) -> mpsc::Receiver<BackendEvent> {
        let mut events = self.inner.watch();
        let (sender, receiver) = mpsc::channel(BACKEND_EVENTS);
        let recorder = self.recorder.clone();
        tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    event = events.recv() => event,
                    () = sender.closed() => None,
                };
                let Some(event) = event else { return };
                recorder.happened(&event);
                if sender.send(event).await.is_err() {
                    return;
                }
            }
        });
        receiver
    }

    async fn connect(&self, id: MuxId, port: u16) -> Result<BoxChannel, TransportError> {
        self.inner.connect(id, port).await
    }

    async fn read_buid(&self) -> Result<String, TransportError> {
        self.inner.read_buid().await
    }

    async fn read_pair_record(&self, udid: &Udid) -> Result<Option<Secret<Vec<u8>>>, TransportError> {
        let record = self.inner.read_pair_record(udid).await?;
        if let Some(device) = self.recorder.lock().devices.get_mut(udid) {
            device.write(0, What::PairRecord(record.is_some()));
        }
        Ok(record)
    }

    async fn save_pair_record(
        &self,
        udid: &Udid,
        record: &Secret<Vec<u8>>,
        id: Option<MuxId>,
    ) -> Result<(), TransportError> {
        self.inner.save_pair_record(udid, record, id).await
    }

    async fn delete_pair_record(&self, udid: &Udid) -> Result<(), TransportError> {
        self.inner.delete_pair_record(udid).await
    }

    async fn unserved(&self) -> Vec<Unserved> {
        self.inner.unserved().await
    }

    async fn recover(&self, id: MuxId, rung: Rung) -> Result<(), RungError> {
        let done = self.inner.recover(id, rung).await;
        self.recorder.note(id, 0, What::Recovered(done.is_ok()));
        done
    }

    async fn recover_port(&self, port: &PortPath, rung: Rung) -> Result<(), RungError> {
        self.inner.recover_port(port, rung).await
    }

    fn tap(&self, id: MuxId, service: &str) -> Option<Tap> {
        Some(Tap::new(self.recorder.clone(), id, service))
    }
}
