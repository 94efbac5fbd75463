//! Captures of a USB bus, read for the mux packets in them: files in pcap or pcapng form with
//! what Linux' usbmon saw (link types 189 and 220), as `tcpdump -i usbmon1` or Wireshark write
//! them.
//!
//! Read only: captures come from elsewhere. A [`CaptureReader`] takes the file in pieces, so
//! that its size does not matter, and tells what it sees in the order of the file. Start at
//! [`CaptureReader::feed`]; `file` knows the two forms, `usbmon` one record, `mux` finds the
//! mux's endpoints and joins their transfers.
//!
//! May import the base modules and other codecs.

mod file;
mod mux;
#[cfg(test)]
mod tests;
mod usbmon;

use super::mux_packet::{MuxPacketError, Received};
use file::Records;
use mux::Devices;
use std::fmt;
use std::time::Duration;

/// A device on a bus, as the computer numbers it; a replug gives another number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UsbAddress {
    /// Bus.
    pub bus: u16,
    /// Device on it.
    pub device: u8,
}

impl fmt::Display for UsbAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.bus, self.device)
    }
}

/// Who sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sender {
    /// The computer: OUT transfers.
    Host,
    /// The device: IN transfers.
    Device,
}

/// Something that happened on the mux's endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen<'a> {
    /// Since 1970, where the file tells it; of a packet in several transfers, the last one's.
    pub time: Option<Duration>,
    /// Which device.
    pub address: UsbAddress,
    /// Who sent.
    pub sender: Sender,
    /// What.
    pub what: What<'a>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What<'a> {
    /// A mux packet.
    Packet {
        /// All of it, header included; zeros where the capture lacks bytes.
        bytes: &'a [u8],
        /// How many bytes the capture lacks: it was made with too short a snapshot length.
        missing: usize,
        /// What our codec says to it.
        verdict: Result<Received<'a>, MuxPacketError>,
    },
    /// A header that cannot be right; up to the next transfer that begins with a header that
    /// can, nothing of this sender can be read. Our own mux gives up here.
    Broken(MuxPacketError),
    /// The capture lacks bytes, and with them a header.
    Gap,
    /// A transfer failed, with the kernel's error number (below zero).
    Failed(i32),
}

/// Why a file, or the rest of it, cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// Neither pcap nor pcapng.
    #[error("it is no capture: neither pcap nor pcapng")]
    NotCapture,
    /// A capture of something else.
    #[error("it holds link type {0}, and not what usbmon of Linux sees (189 or 220)")]
    NotUsb(u32),
    /// Lengths that do not fit together.
    #[error("it is damaged at byte {at}: {what}")]
    Damaged {
        /// Where the record or block begins.
        at: u64,
        /// What does not fit.
        what: &'static str,
    },
}

/// How much a file held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CaptureTotals {
    /// Bytes of the file that were read.
    pub bytes: u64,
    /// Records of every kind.
    pub records: u64,
    /// Of them, those of bulk transfers.
    pub transfers: u64,
    /// Devices with a mux; one that was plugged in again counts again.
    pub devices: u64,
    /// The file ends in the middle of a record, as when the capturing program was killed.
    pub cut_off: bool,
}

/// Reads a capture, piece by piece.
#[derive(Debug, Default)]
pub struct CaptureReader {
    records: Records,
    devices: Devices,
    totals: CaptureTotals,
}

impl CaptureReader {
    /// Takes the next piece of the file and tells what is seen in it.
    ///
    /// # Errors
    /// [`CaptureError`]; the rest of the file cannot be read.
    pub fn feed(&mut self, piece: &[u8], mut see: impl FnMut(Seen<'_>)) -> Result<(), CaptureError> {
        self.totals.bytes += piece.len() as u64;
        self.records.feed(piece);
        while let Some(record) = self.records.next_record()? {
            self.totals.records += 1;
            if let Some(transfer) = usbmon::bulk(&record) {
                self.totals.transfers += 1;
                self.devices.take(record.time, &transfer, &mut see);
            }
        }
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    /// [`CaptureError`] if nothing in the file was a capture of USB.
    pub fn finish(self) -> Result<CaptureTotals, CaptureError> {
        let cut_off = self.records.finish()?;
        Ok(CaptureTotals { devices: self.devices.found(), cut_off, ..self.totals })
    }
}
