//! The IO shell: ways to reach devices, and the streams they give.
//!
//! May import: `proto`, `wire`, base. Knows nothing of services or workflows.
//! A [`Backend`] finds devices and opens streams to their ports; a [`Channel`] is such a
//! stream; [`PlistChannel`] speaks length-prefixed property lists over one;
//! [`tls`] wraps one. Start at [`Backend`].

pub mod error;
pub mod plist_channel;
pub mod tls;
pub mod usb;
pub mod usbmuxd;

pub use error::TransportError;
pub use plist_channel::PlistChannel;

use crate::ids::{MuxId, Udid};
use crate::secret::Secret;
use crate::wire::usbmuxd::{AttachedDevice, ConnectionType};
use async_trait::async_trait;
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
            product_id: device.product_id,
            simulated: device.simulated,
        })
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

    /// The station identity this mux keeps (SystemBUID).
    ///
    /// # Errors
    /// As [`Backend::list`].
    async fn read_buid(&self) -> Result<String, TransportError>;

    /// The stored pair record of a device; `None` if there is none.
    ///
    /// # Errors
    /// As [`Backend::list`].
    async fn read_pair_record(&self, udid: &Udid) -> Result<Option<Secret<Vec<u8>>>, TransportError>;

    /// Stores a pair record. With `id` the mux tells its listeners.
    ///
    /// # Errors
    /// As [`Backend::list`]; [`TransportError::MuxRefused`] if it will not store it.
    async fn save_pair_record(
        &self,
        udid: &Udid,
        record: &Secret<Vec<u8>>,
        id: Option<MuxId>,
    ) -> Result<(), TransportError>;

    /// Forgets a pair record; there being none is fine.
    ///
    /// # Errors
    /// As [`Backend::list`].
    async fn delete_pair_record(&self, udid: &Udid) -> Result<(), TransportError>;
}
