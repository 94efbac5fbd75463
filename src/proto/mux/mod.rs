//! The USB mux, both sides: packets in, packets and events out (protocols.md 1.6-1.12).
//!
//! May import: `wire`, base. Nothing here does IO or asks for the time. A driver hands in
//! what came over the cable, sends what `transmit` gives until it gives nothing, and then
//! works off the events; after every call of `receive`, `read`, `write`, `close` or `elapsed`
//! there may be more to transmit.
//!
//! [`HostMux`] is the computer, [`DeviceMux`] the iPhone. [`stream`] holds the arithmetic of
//! one connection, `streams` all of them and the order in which they send.

pub mod device;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod host;
pub mod stream;
mod streams;
#[cfg(test)]
mod tests;

pub use device::{DeviceEvent, DeviceMux, DeviceOptions};
pub use host::{HostEvent, HostMux};
pub use stream::{CloseReason, StreamError, StreamId};

use crate::limits;
use crate::wire::mux_packet::{Form, Layout, MuxPacketError};
use crate::wire::printable::printable;

/// Why a device's mux is of no use any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MuxError {
    /// It sent what cannot be a packet; what follows cannot be read.
    #[error(transparent)]
    Packet(#[from] MuxPacketError),
    /// It speaks a version that nobody knows (1.6).
    #[error("the device speaks version {0} of the mux; only 1 and 2 are known")]
    Version(u32),
    /// It did not answer the VERSION packet (1.12).
    #[error("the device did not answer the mux's first packet")]
    Silent,
}

/// Why no stream can be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The handshake is not over; wait for [`HostEvent::Ready`].
    #[error("the device's mux is not ready yet")]
    NotReady,
    /// [`limits::STREAMS_PER_DEVICE`] streams are open.
    #[error("the device has {} streams already", limits::STREAMS_PER_DEVICE)]
    TooMany,
}

/// What the owners of streams do, the same on both sides.
macro_rules! streams_of {
    ($mux:ident, $event:ident) => {
        impl $mux {
            #[doc = "Takes bytes to be sent and gives how many; if not all, wait for"]
            #[doc = concat!("[`", stringify!($event), "::Writable`]. Bytes may be written before the stream is open.")]
            ///
            /// # Errors
            /// [`StreamError::Closed`](super::StreamError::Closed).
            pub fn write(&mut self, id: StreamId, bytes: &[u8]) -> Result<usize, super::StreamError> {
                self.streams.write(id, bytes)
            }

            /// Hands out received bytes and gives how many; 0 means that there are none now.
            /// What was handed out counts as consumed, and only that is acknowledged (1.9). A
            /// reader goes on until it gets 0.
            ///
            /// # Errors
            /// [`StreamError::Closed`](super::StreamError::Closed) once the peer has closed and
            /// everything was handed out.
            pub fn read(&mut self, id: StreamId, buffer: &mut [u8]) -> Result<usize, super::StreamError> {
                self.streams.read(id, buffer)
            }
        }
    };
}
use streams_of;

/// The form of the headers, and their sequence words (1.6).
#[derive(Debug, Clone, Copy)]
struct Headers {
    layout: Layout,
    magic: u32,
    tx_seq: u16,
    rx_seq: u16,
}

impl Headers {
    fn form(&self) -> Form {
        match self.layout {
            Layout::Short => Form::Short,
            Layout::Long => Form::Long { magic: self.magic, tx_seq: self.tx_seq, rx_seq: self.rx_seq },
        }
    }

    fn sent(&mut self) {
        self.tx_seq = self.tx_seq.wrapping_add(1);
    }
}

/// A device's text, bounded and safe to show; `None` if there is nothing to read.
fn text_of(bytes: &[u8]) -> Option<String> {
    // A character has four bytes at most.
    let bytes = &bytes[..bytes.len().min(4 * limits::DEVICE_TEXT_CHARS)];
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    let text: String = printable(text).chars().take(limits::DEVICE_TEXT_CHARS).collect();
    (!text.is_empty()).then_some(text)
}
