//! The fleet: simulated devices and the mux they hang on.

use super::backend::SimBackend;
use super::counters::{Inspection, Tap};
use super::device::{Device, OpenError};
use super::persona::{Persona, Settings};
use super::scenario;
use super::span::Latency;
use super::state::State;
use crate::clock::Clock;
use crate::ids::{BadUdid, MuxId, Udid};
use crate::limits::{BACKEND_EVENTS, MUX_CLIENTS, PAIR_RECORD_BYTES};
use crate::secret::Secret;
use crate::transport::Backend;
use crate::wire::usbmuxd::{AttachedDevice, ConnectionType};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::DuplexStream;
use tokio::sync::{broadcast, mpsc};

/// Most devices of one fleet: USB addresses of 32 full buses.
pub const MOST_DEVICES: usize = 4096;

/// Pair records the fleet's mux keeps; more than devices, for ids a client makes up.
const MOST_RECORDS: usize = 2 * MOST_DEVICES;

/// Speed of a high-speed link in bit/s (1.4).
const HIGH_SPEED: u64 = 480_000_000;

/// What cannot be simulated.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The fixture with the devices' keys.
    #[error("the simulated devices' keys cannot be read: {reason}")]
    Keys {
        /// OpenSSL's reason.
        reason: String,
    },
    /// An identity of no good form.
    #[error("a simulated device's identity cannot be made")]
    Identity(#[from] BadUdid),
    /// Too many devices.
    #[error("{wanted} devices are more than the {MOST_DEVICES} a fleet can have")]
    TooMany {
        /// Devices asked for.
        wanted: usize,
    },
    /// The scenario.
    #[error("the scenario cannot be used: {reason}")]
    Scenario {
        /// What is wrong with it.
        reason: String,
    },
    /// No device has this UDID.
    #[error("no simulated device has the UDID {udid}")]
    NoSuchDevice {
        /// UDID as given.
        udid: String,
    },
}

/// One device to make.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceSpec {
    /// Name of what it is, for listings.
    pub persona: Persona,
    /// What it is.
    pub settings: Settings,
}

impl From<Persona> for DeviceSpec {
    fn from(persona: Persona) -> Self {
        Self { persona, settings: persona.settings() }
    }
}

/// What a fleet is made of.
#[derive(Debug, Clone)]
pub struct FleetOptions {
    /// How many devices; `specs` are dealt out in turn. With no specs all are `ready`.
    pub devices: usize,
    /// Identities, jitter and challenges follow it.
    pub seed: u64,
    /// What the devices are.
    pub specs: Vec<DeviceSpec>,
    /// Delay of each answer, unless a device's settings have their own.
    pub latency: Latency,
    /// Wall time on the devices.
    pub clock: Clock,
    /// Attach all devices at once.
    pub attached: bool,
    /// Sockets of the bench: only so many devices are attached, and [`Fleet::swap`] brings the
    /// next. `None`: every device has a socket.
    pub bays: Option<usize>,
}

impl Default for FleetOptions {
    fn default() -> Self {
        Self {
            devices: 8,
            seed: 1,
            specs: Vec::new(),
            latency: Latency::default(),
            clock: Clock::System,
            attached: true,
            bays: None,
        }
    }
}

/// Simulated devices on a simulated mux. Cheap to clone; the devices live as long as one
/// clone, backend or server does.
#[derive(Debug, Clone)]
pub struct Fleet {
    hub: Arc<Hub>,
}

/// What the mux tells its listeners (2.5).
#[derive(Debug, Clone)]
pub(super) enum HubEvent {
    Attached(AttachedDevice),
    Detached(MuxId),
}

/// The mux: devices, attachments, pair records.
#[derive(Debug)]
pub(super) struct Hub {
    devices: Vec<Arc<Device>>,
    by_udid: BTreeMap<Udid, usize>,
    buid: String,
    mux: Mutex<Mux>,
}

#[derive(Debug, Default)]
struct Mux {
    last_id: u32,
    /// The first device that was never in a socket.
    next: usize,
    attached: BTreeMap<MuxId, usize>,
    listeners: Vec<mpsc::Sender<HubEvent>>,
    records: BTreeMap<String, Secret<Vec<u8>>>,
}

impl Fleet {
    /// Makes a fleet. Must be called inside a tokio runtime, on which its devices live.
    ///
    /// # Errors
    /// [`SimError`].
    pub fn new(options: FleetOptions) -> Result<Self, SimError> {
        let wanted = options.devices;
        if wanted > MOST_DEVICES {
            return Err(SimError::TooMany { wanted });
        }
        let ready = [DeviceSpec::from(Persona::Ready)];
        let specs = if options.specs.is_empty() { &ready[..] } else { &options.specs };
        let states = specs.iter().cycle().take(wanted).enumerate().map(|(index, spec)| {
            let DeviceSpec { persona, settings } = spec.clone();
            State::new(index, options.seed, persona, settings, options.clock.clone(), options.latency)
        });
        let states = states.collect::<Result<Vec<_>, _>>()?;
        let by_udid = states.iter().enumerate().map(|(n, s)| (s.identity.udid.clone(), n)).collect();
        let hub = Arc::new_cyclic(|weak| Hub {
            devices: states
                .into_iter()
                .enumerate()
                .map(|(index, state)| Device::start(index, state, weak.clone()))
                .collect(),
            by_udid,
            buid: buid(options.seed),
            mux: Mutex::default(),
        });
        let sockets = options.bays.unwrap_or(wanted).min(wanted);
        hub.lock().next = sockets;
        if options.attached {
            (0..sockets).for_each(|index| hub.attach(index));
        }
        Ok(Self { hub })
    }

    /// Makes the fleet a scenario file describes; see [`scenario`].
    ///
    /// # Errors
    /// [`SimError`].
    pub fn from_scenario(toml: &str, clock: Clock) -> Result<Self, SimError> {
        Self::new(scenario::read(toml, clock)?)
    }

    /// The way to these devices for a station in this process.
    pub fn backend(&self) -> Arc<dyn Backend> {
        Arc::new(SimBackend::new(Arc::clone(&self.hub)))
    }

    /// UDIDs of all devices, in the order they were made.
    pub fn udids(&self) -> Vec<Udid> {
        self.hub.devices.iter().map(|d| d.with(|s| s.identity.udid.clone())).collect()
    }

    /// Plugs the device in; it gets a new MuxId at its old location. Nothing if it is in.
    ///
    /// # Errors
    /// [`SimError::NoSuchDevice`].
    pub fn attach(&self, udid: &Udid) -> Result<(), SimError> {
        let device = self.device(udid)?;
        self.hub.attach(device.index);
        Ok(())
    }

    /// Pulls the device's cable: its streams die at once. Nothing if it is out.
    ///
    /// # Errors
    /// [`SimError::NoSuchDevice`].
    pub fn detach(&self, udid: &Udid) -> Result<(), SimError> {
        let device = self.device(udid)?;
        self.hub.detach(device.index);
        Ok(())
    }

    /// Out and in again at once.
    ///
    /// # Errors
    /// [`SimError::NoSuchDevice`].
    pub fn reattach(&self, udid: &Udid) -> Result<(), SimError> {
        self.detach(udid)?;
        self.attach(udid)
    }

    /// What a restarted mux looks like: every listener is cut off and every attachment gets a
    /// new number; streams die.
    pub fn restart_mux(&self) {
        self.hub.restart();
    }

    /// How many devices were never in a socket.
    pub fn waiting(&self) -> usize {
        self.hub.devices.len().saturating_sub(self.hub.lock().next)
    }

    /// What a technician does with a device that is done: takes it out and plugs the next one
    /// that was never in into the same socket. Gives the next one, if there is one.
    ///
    /// # Errors
    /// [`SimError::NoSuchDevice`].
    pub fn swap(&self, udid: &Udid) -> Result<Option<Udid>, SimError> {
        let device = self.device(udid)?;
        let location = device.with(|s| s.identity.location);
        self.hub.detach(device.index);
        let next = {
            let mut mux = self.hub.lock();
            let next = self.hub.devices.get(mux.next);
            mux.next += usize::from(next.is_some());
            next
        };
        let Some(next) = next else { return Ok(None) };
        next.with(|s| s.identity.location = location);
        self.hub.attach(next.index);
        Ok(Some(next.with(|s| s.identity.udid.clone())))
    }

    /// A device as it is now.
    ///
    /// # Errors
    /// [`SimError::NoSuchDevice`].
    pub fn inspect(&self, udid: &Udid) -> Result<Inspection, SimError> {
        Ok(self.device(udid)?.inspect())
    }

    /// All devices as they are now.
    pub fn inspect_all(&self) -> Vec<Inspection> {
        self.hub.devices.iter().map(|d| d.inspect()).collect()
    }

    /// The messages to and from a device, decrypted, from now on. A receiver that lags misses
    /// some.
    ///
    /// # Errors
    /// [`SimError::NoSuchDevice`].
    pub fn tap(&self, udid: &Udid) -> Result<broadcast::Receiver<Tap>, SimError> {
        Ok(self.device(udid)?.taps())
    }

    pub(super) fn device(&self, udid: &Udid) -> Result<&Arc<Device>, SimError> {
        let found = self.hub.by_udid.get(udid).and_then(|n| self.hub.devices.get(*n));
        found.ok_or_else(|| SimError::NoSuchDevice { udid: udid.to_string() })
    }
}

impl Hub {
    pub(super) fn attach(&self, index: usize) {
        let Some(device) = self.devices.get(index) else { return };
        let mut mux = self.lock();
        if mux.attached.values().any(|n| *n == index) {
            return;
        }
        mux.last_id += 1;
        let id = MuxId(mux.last_id);
        mux.attached.insert(id, index);
        device.with(|s| drop(s.plug_in(id)));
        mux.tell(&HubEvent::Attached(describe(device, id)));
    }

    pub(super) fn detach(&self, index: usize) {
        let Some(device) = self.devices.get(index) else { return };
        let mut mux = self.lock();
        if let Some(id) = device.with(State::pull_out) {
            mux.attached.remove(&id);
            mux.tell(&HubEvent::Detached(id));
        }
    }

    fn restart(&self) {
        self.lock().listeners.clear();
        for (index, device) in self.devices.iter().enumerate() {
            if device.with(|s| s.attached.is_some()) {
                self.detach(index);
                self.attach(index);
            }
        }
    }

    pub(super) fn attached(&self) -> Vec<AttachedDevice> {
        self.listed(&self.lock())
    }

    fn listed(&self, mux: &Mux) -> Vec<AttachedDevice> {
        mux.attached.iter().map(|(id, index)| describe(&self.devices[*index], *id)).collect()
    }

    /// Events from now on, after one for each device that is attached now. Ends for a
    /// listener that does not keep up.
    pub(super) fn listen(&self) -> mpsc::Receiver<HubEvent> {
        let mut mux = self.lock();
        let present = self.listed(&mux);
        let (sender, receiver) = mpsc::channel(present.len() + BACKEND_EVENTS);
        for device in present {
            // There is room for all of them.
            let _ = sender.try_send(HubEvent::Attached(device));
        }
        mux.listeners.retain(|listener| !listener.is_closed());
        if mux.listeners.len() < MUX_CLIENTS {
            mux.listeners.push(sender);
        }
        receiver
    }

    pub(super) async fn open(&self, id: MuxId, port: u16) -> Result<DuplexStream, OpenError> {
        let device = {
            let mux = self.lock();
            let index = mux.attached.get(&id).ok_or(OpenError::Gone)?;
            Arc::clone(&self.devices[*index])
        };
        device.open(id, port).await
    }

    pub(super) fn buid(&self) -> &str {
        &self.buid
    }

    pub(super) fn record(&self, udid: &str) -> Option<Secret<Vec<u8>>> {
        self.lock().records.get(udid).cloned()
    }

    /// Stores a record; false if it is too large or there are too many.
    pub(super) fn save_record(&self, udid: &str, record: Secret<Vec<u8>>) -> bool {
        let mut mux = self.lock();
        let full = mux.records.len() >= MOST_RECORDS && !mux.records.contains_key(udid);
        if full || udid.is_empty() || udid.len() > 64 || record.expose().len() > PAIR_RECORD_BYTES {
            return false;
        }
        mux.records.insert(udid.to_owned(), record);
        true
    }

    /// Forgets a record, if there is one.
    pub(super) fn delete_record(&self, udid: &str) {
        self.lock().records.remove(udid);
    }

    fn lock(&self) -> MutexGuard<'_, Mux> {
        self.mux.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mux {
    fn tell(&mut self, event: &HubEvent) {
        // A listener whose queue is full has lost an event and with it the truth: it is cut
        // off, and has to listen anew.
        self.listeners.retain(|listener| listener.try_send(event.clone()).is_ok());
    }
}

fn describe(device: &Device, id: MuxId) -> AttachedDevice {
    device.with(|s| AttachedDevice {
        id,
        serial: s.identity.udid.to_string(),
        connection: ConnectionType::Usb,
        location: Some(s.identity.location),
        product_id: Some(s.identity.usb_product_id()),
        speed: Some(HIGH_SPEED),
        simulated: true,
    })
}

/// The mux's stable SystemBUID: the same for the same seed.
fn buid(seed: u64) -> String {
    let mut rng = fastrand::Rng::with_seed(super::identity::mix(seed, usize::MAX - 1));
    let mut bytes = [0; 16];
    rng.fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string().to_uppercase()
}
