//! The usbmuxd socket protocol, plist form, both directions (protocols.md 2.2-2.5).

use super::fields::{Fields, data, dictionary, string};
use super::property_list::{self, Budget};
use crate::ids::MuxId;
use crate::limits;
use crate::secret::Secret;
use plist::{Dictionary, Value};

const HEADER_BYTES: usize = 16;
const VERSION_PLIST: u32 = 1;
const MESSAGE_PLIST: u32 = 8;

/// Budget for a mux message: device lists are the largest.
const BUDGET: Budget = Budget { bytes: limits::MUX_REPLY_BYTES, depth: 16, objects: 50_000 };

/// Result 0: done.
pub const RESULT_OK: u32 = 0;
/// Result 1: bad command, or a command in the wrong state.
pub const RESULT_BAD_COMMAND: u32 = 1;
/// Result 2: no such device, or no such pair record.
pub const RESULT_BAD_DEVICE: u32 = 2;
/// Result 3: the device refused the connection.
pub const RESULT_REFUSED: u32 = 3;
/// Result 6: protocol version not spoken here.
pub const RESULT_BAD_VERSION: u32 = 6;
/// Result 22 (EINVAL): a pair record the mux cannot store.
pub const RESULT_INVALID: u32 = 22;

/// What is wrong with a mux message.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum MuxWireError {
    /// Length below the header's own, or above the limit.
    #[error("a message of {0} bytes, outside the allowed range")]
    Length(usize),
    /// Not the plist form of the protocol.
    #[error("protocol version {version}, message {message}: not the property-list form")]
    Form {
        /// Header field `version`.
        version: u32,
        /// Header field `message`.
        message: u32,
        /// Header field `tag`, for the answer.
        tag: u32,
    },
    /// The payload is no acceptable property list.
    #[error("payload: {0}")]
    Plist(#[from] property_list::PlistError),
    /// The payload lacks what its message needs.
    #[error("{0}")]
    Content(&'static str),
}

/// One packet: the tag to be echoed and the payload.
#[derive(Debug, Clone, PartialEq)]
pub struct Packet {
    /// Chosen by the requester, echoed by the mux; 0 on events.
    pub tag: u32,
    /// The message.
    pub payload: Dictionary,
}

impl Packet {
    /// The packet's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let body = property_list::to_xml(&Value::Dictionary(self.payload.clone()));
        let length = u32::try_from(HEADER_BYTES + body.len()).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
        for word in [length, VERSION_PLIST, MESSAGE_PLIST, self.tag] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&body);
        bytes
    }
}

/// Cuts a byte stream into packets. Keeps partial input; grows only with real bytes.
#[derive(Debug)]
pub struct PacketDecoder {
    limit: usize,
    buffer: Vec<u8>,
}

impl PacketDecoder {
    /// A decoder refusing messages longer than `limit` bytes, header included.
    pub fn new(limit: usize) -> Self {
        Self { limit, buffer: Vec::new() }
    }

    /// Takes bytes as they come.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Where a reader may append bytes as they come, instead of [`PacketDecoder::feed`].
    pub fn spare(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Bytes received beyond the last packet. After Connect succeeded they are the
    /// device's first bytes.
    pub fn into_rest(self) -> Vec<u8> {
        self.buffer
    }

    /// The next whole packet, or `None` until more bytes are fed.
    ///
    /// # Errors
    /// [`MuxWireError`] on a length out of range, after which the stream is of no use; on
    /// another protocol version, or a payload that is no acceptable dictionary, after which
    /// that packet is skipped (2.2: a mux leaves a malformed plist unanswered).
    pub fn next_packet(&mut self) -> Result<Option<Packet>, MuxWireError> {
        let Some(header) = self.buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let word =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (length, version, message, tag) = (word(0) as usize, word(4), word(8), word(12));
        if length < HEADER_BYTES || length > self.limit {
            return Err(MuxWireError::Length(length));
        }
        if self.buffer.len() < length {
            return Ok(None);
        }
        let body = self.buffer[HEADER_BYTES..length].to_vec();
        self.buffer.drain(..length);
        if version != VERSION_PLIST || message != MESSAGE_PLIST {
            return Err(MuxWireError::Form { version, message, tag });
        }
        match property_list::parse(&body, BUDGET)? {
            Value::Dictionary(payload) => Ok(Some(Packet { tag, payload })),
            _ => Err(MuxWireError::Content("the payload is not a dictionary")),
        }
    }
}

/// A client's request (2.4).
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Subscribe to attach and detach events; the connection then serves nothing else.
    Listen,
    /// The devices attached now.
    ListDevices,
    /// The clients that listen.
    ListListeners,
    /// Turn this connection into a stream to a device's port.
    Connect {
        /// Attachment to connect to.
        device: MuxId,
        /// TCP-like port on the device, in plain (not swapped) form.
        port: u16,
    },
    /// The station identity the mux keeps (SystemBUID).
    ReadBuid,
    /// Read a stored pair record.
    ReadPairRecord {
        /// UDID.
        id: String,
    },
    /// Store a pair record.
    SavePairRecord {
        /// UDID.
        id: String,
        /// The record's property list.
        record: Secret<Vec<u8>>,
        /// With it the mux tells its listeners that this device was paired.
        device: Option<MuxId>,
    },
    /// Forget a pair record.
    DeletePairRecord {
        /// UDID.
        id: String,
    },
}

impl Request {
    /// The request's payload, with the optional client keys of 2.4.
    pub fn to_payload(&self) -> Dictionary {
        let id = |id: &String| ("PairRecordID", string(id.clone()));
        let mut pairs = vec![
            ("ClientVersionString", string(concat!("enlist ", env!("CARGO_PKG_VERSION")))),
            ("ProgName", string("enlist")),
            ("kLibUSBMuxVersion", Some(Value::from(3u32))),
            ("MessageType", string(self.name())),
        ];
        match self {
            Self::Listen | Self::ListDevices | Self::ListListeners | Self::ReadBuid => {}
            Self::Connect { device, port } => {
                pairs.push(("DeviceID", Some(Value::from(device.0))));
                // The port travels byte-swapped: 62078 is sent as 32498 (2.4).
                pairs.push(("PortNumber", Some(Value::from(u32::from(port.swap_bytes())))));
            }
            Self::ReadPairRecord { id: udid } | Self::DeletePairRecord { id: udid } => pairs.push(id(udid)),
            Self::SavePairRecord { id: udid, record, device } => {
                pairs.push(id(udid));
                pairs.push(("PairRecordData", data(record.expose().clone())));
                pairs.push(("DeviceID", device.map(|d| Value::from(d.0))));
            }
        }
        dictionary(pairs)
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "Connect",
            Self::DeletePairRecord { .. } => "DeletePairRecord",
            Self::Listen => "Listen",
            Self::ListDevices => "ListDevices",
            Self::ListListeners => "ListListeners",
            Self::ReadBuid => "ReadBUID",
            Self::ReadPairRecord { .. } => "ReadPairRecord",
            Self::SavePairRecord { .. } => "SavePairRecord",
        }
    }

    /// Reads a client's request, for a mux server.
    ///
    /// # Errors
    /// The Result number the mux answers with: [`RESULT_BAD_COMMAND`] for an unknown or
    /// incomplete request.
    pub fn from_payload(payload: &Dictionary) -> Result<Self, u32> {
        let id = || payload.text("PairRecordID").map(str::to_owned).ok_or(RESULT_INVALID);
        let device = || payload.uint("DeviceID").and_then(|n| u32::try_from(n).ok()).map(MuxId);
        Ok(match payload.text("MessageType") {
            Some("Connect") => {
                let port = payload.uint("PortNumber").and_then(|n| u16::try_from(n).ok());
                match (device(), port) {
                    (Some(device), Some(port)) => Self::Connect { device, port: port.swap_bytes() },
                    _ => return Err(RESULT_BAD_COMMAND),
                }
            }
            Some("DeletePairRecord") => Self::DeletePairRecord { id: id()? },
            Some("Listen") => Self::Listen,
            Some("ListDevices") => Self::ListDevices,
            Some("ListListeners") => Self::ListListeners,
            Some("ReadBUID") => Self::ReadBuid,
            Some("ReadPairRecord") => Self::ReadPairRecord { id: id()? },
            Some("SavePairRecord") => Self::SavePairRecord {
                id: id()?,
                record: Secret::new(payload.bytes("PairRecordData").ok_or(RESULT_INVALID)?.to_vec()),
                device: device(),
            },
            _ => return Err(RESULT_BAD_COMMAND),
        })
    }
}

/// How a device hangs on the mux (2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionType {
    /// By cable.
    Usb,
    /// Over the network, or anything that is not a cable: not for provisioning.
    Network,
}

/// A device as the mux describes it (2.5 Properties).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedDevice {
    /// Number of this attachment.
    pub id: MuxId,
    /// `SerialNumber`: the UDID, as sent.
    pub serial: String,
    /// Cable or network. The same phone may appear under both.
    pub connection: ConnectionType,
    /// USB location, where the mux knows one.
    pub location: Option<u32>,
    /// USB product id.
    pub product_id: Option<u16>,
    /// Link speed in bit/s.
    pub speed: Option<u64>,
    /// True if the mux says that this device is simulated: our own simulator adds the
    /// property `Simulated`, which other clients ignore and no real mux sends.
    pub simulated: bool,
}

impl AttachedDevice {
    fn from_message(message: &Dictionary) -> Option<Self> {
        let properties = message.dict("Properties")?;
        let number = |key: &str| properties.uint(key);
        let id = message.uint("DeviceID").or_else(|| number("DeviceID"))?;
        Some(Self {
            id: MuxId(u32::try_from(id).ok()?),
            serial: properties.text("SerialNumber")?.to_owned(),
            connection: match properties.text("ConnectionType") {
                // A mux that does not say is an old one, which knew only cables.
                None | Some("USB") => ConnectionType::Usb,
                Some(_) => ConnectionType::Network,
            },
            location: number("LocationID").and_then(|n| u32::try_from(n).ok()),
            product_id: number("ProductID").and_then(|n| u16::try_from(n).ok()),
            speed: number("ConnectionSpeed"),
            simulated: properties.flag("Simulated").unwrap_or(false),
        })
    }

    fn to_message(&self) -> Dictionary {
        let kind = match self.connection {
            ConnectionType::Usb => "USB",
            ConnectionType::Network => "Network",
        };
        let properties = dictionary([
            ("ConnectionSpeed", self.speed.map(Value::from)),
            ("ConnectionType", string(kind)),
            ("DeviceID", Some(Value::from(self.id.0))),
            ("LocationID", self.location.map(Value::from)),
            ("ProductID", self.product_id.map(|p| Value::from(u32::from(p)))),
            ("SerialNumber", string(self.serial.clone())),
            ("Simulated", self.simulated.then_some(Value::Boolean(true))),
        ]);
        dictionary([
            ("DeviceID", Some(Value::from(self.id.0))),
            ("MessageType", string("Attached")),
            ("Properties", Some(Value::Dictionary(properties))),
        ])
    }
}

/// What a mux sends: answers and events.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// Answer to most requests: 0 or one of the numbers of 2.3.
    Result(u32),
    /// Answer to ListDevices. Entries a mux garbled are left out.
    DeviceList(Vec<AttachedDevice>),
    /// Answer to ListListeners; entries as sent.
    ListenerList(Vec<Value>),
    /// Answer to ReadBUID.
    Buid(String),
    /// Answer to ReadPairRecord.
    PairRecord(Secret<Vec<u8>>),
    /// Event: a device came.
    Attached(AttachedDevice),
    /// Event: a device went.
    Detached(MuxId),
    /// Event: a pair record was saved for this device.
    Paired(MuxId),
    /// Anything a newer mux may send; to be ignored.
    Unknown,
}

impl Message {
    /// Reads a mux's message. Never fails: what is not understood is [`Message::Unknown`].
    pub fn from_payload(payload: &Dictionary) -> Self {
        let device = || payload.uint("DeviceID").and_then(|n| u32::try_from(n).ok()).map(MuxId);
        let understood = match payload.text("MessageType") {
            Some("Result") => payload.uint("Number").and_then(|n| u32::try_from(n).ok()).map(Self::Result),
            Some("Attached") => AttachedDevice::from_message(payload).map(Self::Attached),
            Some("Detached") => device().map(Self::Detached),
            Some("Paired") => device().map(Self::Paired),
            _ => Self::from_untyped(payload),
        };
        understood.unwrap_or(Self::Unknown)
    }

    fn from_untyped(payload: &Dictionary) -> Option<Self> {
        if let Some(list) = payload.list("DeviceList") {
            let devices = list.iter().filter_map(Value::as_dictionary);
            return Some(Self::DeviceList(devices.filter_map(AttachedDevice::from_message).collect()));
        }
        if let Some(list) = payload.list("ListenerList") {
            return Some(Self::ListenerList(list.to_vec()));
        }
        if let Some(buid) = payload.text("BUID") {
            return Some(Self::Buid(buid.to_owned()));
        }
        payload.bytes("PairRecordData").map(|record| Self::PairRecord(Secret::new(record.to_vec())))
    }

    /// The message's payload, for a mux server.
    pub fn to_payload(&self) -> Dictionary {
        let event = |kind: &str, id: &MuxId| {
            dictionary([("DeviceID", Some(Value::from(id.0))), ("MessageType", string(kind))])
        };
        match self {
            Self::Result(number) => {
                dictionary([("MessageType", string("Result")), ("Number", Some(Value::from(*number)))])
            }
            Self::DeviceList(devices) => {
                let list = devices.iter().map(|d| Value::Dictionary(d.to_message())).collect();
                dictionary([("DeviceList", Some(Value::Array(list)))])
            }
            Self::ListenerList(list) => dictionary([("ListenerList", Some(Value::Array(list.clone())))]),
            Self::Buid(buid) => dictionary([("BUID", string(buid.clone()))]),
            Self::PairRecord(record) => dictionary([("PairRecordData", data(record.expose().clone()))]),
            Self::Attached(device) => device.to_message(),
            Self::Detached(id) => event("Detached", id),
            Self::Paired(id) => event("Paired", id),
            Self::Unknown => Dictionary::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn through_bytes(payload: Dictionary) -> Dictionary {
        let mut decoder = PacketDecoder::new(limits::MUX_REQUEST_BYTES);
        decoder.feed(&Packet { tag: 7, payload }.encode());
        let packet = decoder.next_packet().unwrap().unwrap();
        assert_eq!(packet.tag, 7);
        packet.payload
    }

    #[test]
    fn the_port_travels_byte_swapped() {
        let request = Request::Connect { device: MuxId(3), port: 62078 };
        let payload = request.to_payload();
        assert_eq!(payload.uint("PortNumber"), Some(32498));
        assert_eq!(Request::from_payload(&through_bytes(payload)), Ok(request));
    }

    #[test]
    fn every_request_and_message_reads_back() {
        let record = Secret::new(b"record".to_vec());
        for request in [
            Request::Listen,
            Request::ListDevices,
            Request::ListListeners,
            Request::ReadBuid,
            Request::ReadPairRecord { id: "u".into() },
            Request::SavePairRecord { id: "u".into(), record: record.clone(), device: Some(MuxId(2)) },
            Request::DeletePairRecord { id: "u".into() },
        ] {
            assert_eq!(Request::from_payload(&through_bytes(request.to_payload())), Ok(request));
        }
        let device = AttachedDevice {
            id: MuxId(9),
            serial: "00008110-001A2B3C4D5E6F70".into(),
            connection: ConnectionType::Usb,
            location: Some(0x1_0004),
            product_id: Some(0x12a8),
            speed: Some(480_000_000),
            simulated: true,
        };
        for message in [
            Message::Result(3),
            Message::DeviceList(vec![device.clone()]),
            Message::ListenerList(vec![]),
            Message::Buid("B".into()),
            Message::PairRecord(record),
            Message::Attached(device),
            Message::Detached(MuxId(9)),
            Message::Paired(MuxId(9)),
        ] {
            assert_eq!(Message::from_payload(&through_bytes(message.to_payload())), message);
        }
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        for length in [0u32, 15, 65_537, u32::MAX] {
            let mut decoder = PacketDecoder::new(limits::MUX_REQUEST_BYTES);
            decoder.feed(&length.to_le_bytes());
            decoder.feed(&[0; 12]);
            assert_eq!(decoder.next_packet(), Err(MuxWireError::Length(length as usize)));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let mut decoder = PacketDecoder::new(100);
            decoder.feed(&bytes);
            while let Ok(Some(_)) = decoder.next_packet() {}
        }
    }
}
