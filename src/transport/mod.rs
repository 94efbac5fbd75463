//! The IO shell: ways to reach devices, and the streams they give.
//!
//! May import: `proto`, `wire`, base. Knows nothing of services or workflows.
//! A [`Backend`] finds devices and opens streams to their ports; a [`Channel`] is such a
//! stream; [`PlistChannel`] speaks length-prefixed property lists over one;
//! [`tls`] wraps one; [`recorder`] writes down what passes, and [`replay`] takes what was
//! written for a device. Start at [`Backend`].

pub mod error;
pub mod https;
pub mod plist_channel;
pub mod recorder;
pub mod replay;
pub mod shell;
pub mod tls;
pub mod usb;
pub mod usbmuxd;

pub use error::TransportError;
pub use plist_channel::PlistChannel;

pub use crate::wire::boot_identity::BootIdentity;
pub use usb::{BusLoad, UsbDevice, UsbMode};

use crate::ids::{MuxId, PortPath, Udid};
use crate::secret::Secret;
use crate::wire::usbmuxd::{AttachedDevice, ConnectionType};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

/// A byte stream to a port of a device. Dropping it closes it.
pub trait Channel: AsyncRead + AsyncWrite + Unpin + Send + Sync + Debug {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync + Debug> Channel for T {}

/// A boxed [`Channel`].
pub type BoxChannel = Box<dyn Channel>;

/// A device attached by cable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Number of this attachment; a replug gives another.
    pub id: MuxId,
    /// The device.
    pub udid: Udid,
    /// USB location, where known.
    pub location: Option<u32>,
    /// The port it hangs on, where the bus is watched.
    pub port: Option<PortPath>,
    /// Speed of the link in bit/s, where known (1.4).
    pub speed: Option<u64>,
    /// USB product id, where known.
    pub product_id: Option<u16>,
    /// True for a simulated device; shown on every screen and kept in the journal.
    pub simulated: bool,
}

impl Attachment {
    /// The attachment a mux describes; `None` for a network device (2.5: filter on USB) or
    /// one whose serial is no UDID.
    pub fn from_mux(device: &AttachedDevice) -> Option<Self> {
        if device.connection != ConnectionType::Usb {
            return None;
        }
        Some(Self {
            id: device.id,
            udid: device.serial.parse().ok()?,
            location: device.location,
            port: None,
            speed: device.speed,
            product_id: device.product_id,
            simulated: device.simulated,
        })
    }

    /// The attachment as a mux describes it to its clients.
    pub fn to_mux(&self) -> AttachedDevice {
        AttachedDevice {
            id: self.id,
            serial: self.udid.to_string(),
            connection: ConnectionType::Usb,
            location: self.location,
            product_id: self.product_id,
            speed: self.speed,
            simulated: self.simulated,
        }
    }
}

/// What a backend reports while it is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackendEvent {
    /// A device came.
    Attached(Attachment),
    /// A device went; all its channels are dead.
    Detached(MuxId),
    /// The way to the devices is lost. Every attachment is void; the backend goes on
    /// trying.
    Lost {
        /// Why, in words.
        reason: String,
    },
    /// The way is back (or there for the first time); attached devices follow.
    Ready,
    /// A device hangs on the bus that no mux serves, or stands differently than it was
    /// reported before. It is known by its port.
    Unserved(Unserved),
    /// What was reported as [`BackendEvent::Unserved`] at this port went, or is served now.
    UnservedLeft(PortPath),
}

/// A device that is on the bus and cannot be spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unserved {
    /// What the bus shows of it.
    pub device: UsbDevice,
    /// Why no mux serves it.
    pub reason: UnservedReason,
}

/// Why no mux serves a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnservedReason {
    /// It offers no mux in the mode it is in: recovery, DFU, charging only, a Mac
    /// ([`UsbMode`]).
    Mode,
    /// The mux that should serve it cannot be reached.
    MuxDead,
    /// It has no configuration, and nobody gave it one (1.3).
    Unconfigured,
    /// Another program holds its mux interface (1.11); its name, where it could be found out.
    OtherOwner(Option<String>),
    /// The station may not open it: the udev rules are missing.
    NoPermission,
    /// It was opened but does not speak: locked under USB restriction (6.4), or broken.
    Silent,
    /// Its descriptors or its mux packets cannot be right; how.
    Broken(String),
    /// The mux in charge does not list it, and nothing shows why: it may be locked under USB
    /// restriction (6.4), or the mux lost it.
    NotListed,
}

/// What can be done to a device that is attached and does not answer, in rising order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// A USB reset of the device.
    ResetDevice,
    /// Power of its port off and on, by the hub it hangs on.
    PowerCyclePort,
}

/// Why a rung could not be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RungError {
    /// Not with this way to the devices, this hub, or these permissions.
    #[error("not possible here: {0}")]
    NotPossible(String),
    /// Tried, and it failed.
    #[error("tried, and failed: {0}")]
    Failed(String),
}

/// Where a backend keeps pair records and the station's identity, if no mux keeps them.
pub trait PairRecords: Send + Sync + Debug {
    /// The station's SystemBUID.
    fn buid(&self) -> String;
    /// The record of a device, if there is one.
    fn read(&self, udid: &Udid) -> Option<Secret<Vec<u8>>>;
    /// Keeps a record; false if it cannot be kept.
    fn save(&self, udid: &Udid, record: &Secret<Vec<u8>>) -> bool;
    /// Forgets a record; false if there was none.
    fn delete(&self, udid: &Udid) -> bool;
}

/// Who keeps the pair records of a backend that has none.
fn keeper(beneath: Option<&dyn Backend>) -> Result<&dyn Backend, TransportError> {
    beneath.ok_or_else(|| TransportError::Closed { what: "the way that keeps pair records".to_owned() })
}

/// A way to the devices: the system's mux socket, our own mux, a simulator.
#[async_trait]
pub trait Backend: Send + Sync + Debug {
    /// What this is, for messages: "usbmuxd at /var/run/usbmuxd".
    fn describe(&self) -> String;

    /// Devices attached now, cables only.
    ///
    /// # Errors
    /// [`TransportError::MuxUnreachable`] and its kin.
    async fn list(&self) -> Result<Vec<Attachment>, TransportError>;

    /// Starts watching. Present devices come first as [`BackendEvent::Attached`]. Ends when
    /// the receiver is dropped.
    fn watch(&self) -> mpsc::Receiver<BackendEvent>;

    /// Opens a stream to `port` of the attachment `id`.
    ///
    /// # Errors
    /// [`TransportError::Detached`] for a stale id, [`TransportError::Refused`] if nothing
    /// listens there.
    async fn connect(&self, id: MuxId, port: u16) -> Result<BoxChannel, TransportError>;

    /// The backend this one adds something to. It keeps the pair records of both, unless this
    /// one has its own.
    fn beneath(&self) -> Option<&dyn Backend> {
        None
    }

    /// The station identity this mux keeps (SystemBUID).
    ///
    /// # Errors
    /// As [`Backend::list`].
    async fn read_buid(&self) -> Result<String, TransportError> {
        keeper(self.beneath())?.read_buid().await
    }

    /// The stored pair record of a device; `None` if there is none.
    ///
    /// # Errors
    /// As [`Backend::list`].
    async fn read_pair_record(&self, udid: &Udid) -> Result<Option<Secret<Vec<u8>>>, TransportError> {
        keeper(self.beneath())?.read_pair_record(udid).await
    }

    /// Stores a pair record. With `id` the mux tells its listeners.
    ///
    /// # Errors
    /// As [`Backend::list`]; [`TransportError::MuxRefused`] if it will not store it.
    async fn save_pair_record(
        &self,
        udid: &Udid,
        record: &Secret<Vec<u8>>,
        id: Option<MuxId>,
    ) -> Result<(), TransportError> {
        keeper(self.beneath())?.save_pair_record(udid, record, id).await
    }

    /// Forgets a pair record; there being none is fine.
    ///
    /// # Errors
    /// As [`Backend::list`].
    async fn delete_pair_record(&self, udid: &Udid) -> Result<(), TransportError> {
        keeper(self.beneath())?.delete_pair_record(udid).await
    }

    /// What records jobs and connections, where they are recorded.
    fn recorder(&self) -> Option<&recorder::Recorder> {
        None
    }

    /// Devices on the bus that no mux serves, as far as they are known by now.
    async fn unserved(&self) -> Vec<Unserved> {
        Vec::new()
    }

    /// Takes a rung of the recovery ladder. Ok means that it was done; that it helped is shown
    /// by the detach that must follow.
    ///
    /// # Errors
    /// [`RungError`].
    async fn recover(&self, id: MuxId, rung: Rung) -> Result<(), RungError> {
        Err(RungError::NotPossible(format!("{} cannot do {rung:?} for {id}", self.describe())))
    }

    /// As [`Backend::recover`], for a device that is on the bus and that no mux serves, by its
    /// port. Ok is shown by its being served, or by its leaving and coming back.
    ///
    /// # Errors
    /// [`RungError`].
    async fn recover_port(&self, port: &PortPath, rung: Rung) -> Result<(), RungError> {
        Err(RungError::NotPossible(format!("{} cannot do {rung:?} for port {port}", self.describe())))
    }
}
