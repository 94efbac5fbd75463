//! What can go wrong between us and a device.

use crate::wire::plist_frame::FrameError;
use crate::wire::printable::system_words;
use crate::wire::property_list::PlistError;
use crate::wire::usbmuxd::MuxWireError;
use std::io;
use std::time::Duration;

/// A transport error: what was attempted is the variant, its cause the source.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The mux socket cannot be reached: not there, refused, or no permission.
    #[error("cannot reach {address}: {}", system_words(.source))]
    MuxUnreachable {
        /// Address in words.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The mux answered something that is not its protocol.
    #[error("the mux at {address} answered something that is not its protocol: {reason}")]
    MuxProtocol {
        /// Address in words.
        address: String,
        /// What was wrong.
        reason: String,
    },
    /// The mux refused a request with a number of protocols.md 2.3.
    #[error("the mux refused {request} with result {number}")]
    MuxRefused {
        /// The request.
        request: &'static str,
        /// Its Result number.
        number: u32,
    },
    /// The device is not attached any more (stale id, or its stream was reset).
    #[error("the device is no longer attached")]
    Detached,
    /// Nothing listens on that port of the device.
    #[error("the device refused a connection to port {port}")]
    Refused {
        /// Port on the device.
        port: u16,
    },
    /// No answer in time.
    #[error("no answer to {what} within {} s", after.as_secs_f32().ceil())]
    Timeout {
        /// What was asked.
        what: String,
        /// The deadline that passed.
        after: Duration,
    },
    /// The stream ended.
    #[error("the connection ended while waiting for {what}")]
    Closed {
        /// What was awaited.
        what: String,
    },
    /// The stream failed.
    #[error("the connection failed during {what}: {}", system_words(.source))]
    Io {
        /// What was being done.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// The device sent a frame that cannot be right.
    #[error("the device sent {0}")]
    Frame(#[from] FrameError),
    /// The device sent a frame that holds no acceptable property list.
    #[error("the device sent an unreadable answer: {0}")]
    Plist(#[from] PlistError),
    /// The device's answer has the wrong shape.
    #[error("the device's answer to {what} makes no sense: {reason}")]
    Answer {
        /// What was asked.
        what: String,
        /// What is wrong with the answer.
        reason: &'static str,
    },
    /// The TLS handshake failed: typically the device no longer has our record (3.9).
    #[error("the encrypted session was refused: {reason}")]
    Tls {
        /// OpenSSL's reason.
        reason: String,
    },
    /// Keys or certificates of the pair record cannot be used.
    #[error("the pair record's keys cannot be used: {reason}")]
    RecordKeys {
        /// OpenSSL's reason.
        reason: String,
    },
    /// An earlier exchange on this connection was cut short, so the next answer could
    /// belong to it. Open a new connection.
    #[error("this connection was abandoned in the middle of an exchange")]
    Abandoned,
}

impl TransportError {
    /// True if a new connection to the same device may work: everything but a mux that
    /// cannot be reached and a record that cannot be used.
    pub fn is_of_connection(&self) -> bool {
        !matches!(self, Self::MuxUnreachable { .. } | Self::MuxRefused { .. } | Self::RecordKeys { .. })
    }

    /// From a failed read or write during `what`.
    pub fn from_io(what: &str, source: io::Error) -> Self {
        // With TLS 1.3 a device refuses our certificate only after the handshake.
        if let Some(error) = source.get_ref().and_then(|e| e.downcast_ref::<openssl::ssl::Error>()) {
            return Self::Tls { reason: super::tls::reason(error) };
        }
        match source.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                Self::Closed { what: what.into() }
            }
            _ => Self::Io { what: what.into(), source },
        }
    }

    /// From a wire error of the mux at `address`.
    pub fn mux_wire(address: &str, error: &MuxWireError) -> Self {
        Self::MuxProtocol { address: address.into(), reason: error.to_string() }
    }
}
