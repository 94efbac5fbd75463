//! What a virtual USB device is: descriptors, and answers to transfers. Knows nothing of usbfs,
//! so that another way onto a bus (usbip) could drive the same devices.

use super::descriptors::Descriptors;

/// The eight bytes that begin a control transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    pub request_type: u8,
    pub request: u8,
    pub value: u16,
    pub index: u16,
    pub length: u16,
}

impl Setup {
    /// From the wire.
    pub fn parse(bytes: [u8; 8]) -> Self {
        let word = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        Self { request_type: bytes[0], request: bytes[1], value: word(2), index: word(4), length: word(6) }
    }

    /// True if the device sends.
    pub fn is_in(&self) -> bool {
        self.request_type & 0x80 != 0
    }
}

/// A device's answer to a control transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// Data of an IN transfer; for an OUT transfer, empty, that it was taken.
    Data(Vec<u8>),
    /// Protocol stall.
    Stall,
    /// No answer, until the host gives up.
    Silence,
}

/// A device's answer to one bulk OUT transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Out {
    /// Taken.
    Taken,
    /// Not now; the bus asks again when the device rings.
    NotNow(Vec<u8>),
    /// The endpoint is halted.
    Stall,
}

/// A device's answer to one bulk IN transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum In {
    /// At most as many bytes as were asked for; fewer, or none, end the transfer as a short
    /// packet does.
    Data(Vec<u8>),
    /// Nothing now; the bus asks again when the device rings.
    NotNow,
    /// The endpoint is halted.
    Stall,
}

/// A link's speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speed {
    Full,
    High,
    Super,
}

impl Speed {
    /// As sysfs shows it, in Mbit/s.
    pub fn megabits(self) -> &'static str {
        match self {
            Self::Full => "12",
            Self::High => "480",
            Self::Super => "5000",
        }
    }

    /// As USBDEVFS_GET_SPEED gives it.
    pub fn number(self) -> i64 {
        match self {
            Self::Full => 2,
            Self::High => 3,
            Self::Super => 5,
        }
    }
}

/// What a device may ask of the bus it hangs on. Rings of a device that was unplugged
/// meanwhile do nothing.
pub trait Upstream: Send + Sync {
    /// What was refused with [`In::NotNow`] or [`Out::NotNow`] may go now.
    fn ring(&self);
    /// The device drops off the bus and comes back, at another address.
    fn reenumerate(&self);
    /// A hub switches power of one of its ports.
    fn power(&self, port: u8, on: bool);
}

/// A device on the bus. The bus calls one method at a time; none may block.
pub trait VirtualDevice: Send {
    /// What it says of itself; asked again at each enumeration.
    fn descriptors(&self) -> Descriptors;

    /// Configuration the system gives it on arrival. `None` leaves it unconfigured.
    fn first_configuration(&self) -> Option<u8> {
        Some(1)
    }

    /// It was enumerated.
    fn attached(&mut self, _upstream: std::sync::Arc<dyn Upstream>) {}

    /// It went off the bus.
    fn detached(&mut self) {}

    /// A configuration was chosen; `None` for none.
    fn configured(&mut self, _configuration: Option<u8>) {}

    /// The bus was reset.
    fn reset(&mut self) {}

    /// A control transfer that is not about standard descriptors, which the bus answers from
    /// [`Self::descriptors`] where this gives `None`.
    fn control(&mut self, _setup: &Setup, _data: &[u8]) -> Option<Control> {
        None
    }

    /// One bulk OUT transfer, whole.
    fn bulk_out(&mut self, _endpoint: u8, _bytes: Vec<u8>) -> Out {
        Out::Stall
    }

    /// One bulk IN transfer of at most `length` bytes.
    fn bulk_in(&mut self, _endpoint: u8, _length: usize) -> In {
        In::NotNow
    }
}
