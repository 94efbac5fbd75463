//! Finds the mux among the bulk endpoints of each device, and joins their transfers to packets.
//!
//! Endpoints are known by what goes through them, because a capture may begin long after the
//! device told its descriptors: a transfer that begins with a header of 1.6 whose length fits
//! the transfer.

use super::usbmon::Transfer;
use super::{Seen, Sender, UsbAddress, What};
use crate::limits::MUX_PACKET_BYTES;
use crate::wire::mux_packet::{
    LONG_HEADER, Layout, MAGIC, Packet, Reassembler, SHORT_HEADER, TCP_HEADER, decode,
};
use std::collections::HashMap;
use std::time::Duration;

/// Devices that are followed at once, each with a packet that may be half there. A bus numbers
/// 127, and a new number is given at each replug: the one that was silent longest is forgotten.
const DEVICES: usize = 256;

/// What devices may write for [`MAGIC`] (1.6).
const OTHER_MAGIC: u32 = 0xface_face;

/// Numbers of the protocols of 1.6, and of the one that version 1 and 2 differ in nothing.
const PROTOCOLS: [u32; 4] = [VERSION, 1, 2, TCP];
const VERSION: u32 = 0;
const TCP: u32 = 6;

/// The data offset of every segment (1.7).
const DATA_OFFSET: u8 = 0x50;

/// Every device of a capture that has a mux.
#[derive(Debug, Default)]
pub(super) struct Devices {
    known: HashMap<UsbAddress, Device>,
    /// Transfers so far, as a clock.
    clock: u64,
    found: u64,
}

impl Devices {
    pub(super) fn found(&self) -> u64 {
        self.found
    }

    /// Takes a transfer, and tells what is complete by it.
    pub(super) fn take(
        &mut self,
        time: Option<Duration>,
        transfer: &Transfer<'_>,
        see: &mut impl FnMut(Seen<'_>),
    ) {
        self.clock += 1;
        let address = transfer.address;
        if !self.known.contains_key(&address) {
            if !begins_packet(transfer) {
                return;
            }
            self.found += 1;
            self.make_room();
        }
        let device = self.known.entry(address).or_default();
        device.last = self.clock;
        let sender = transfer.sender;
        device.take(transfer, &mut |what| see(Seen { time, address, sender, what }));
    }

    fn make_room(&mut self) {
        if self.known.len() >= DEVICES
            && let Some(oldest) = self.known.iter().min_by_key(|(_, device)| device.last).map(|(a, _)| *a)
        {
            self.known.remove(&oldest);
        }
    }
}

#[derive(Debug, Default)]
struct Device {
    host: Way,
    device: Way,
    /// `None` until it is known.
    layout: Option<Layout>,
    last: u64,
}

/// One direction.
#[derive(Debug, Default)]
struct Way {
    endpoint: Option<u8>,
    reassembler: Reassembler,
    /// Bytes of the packet that has begun which the capture lacks.
    missing: usize,
    /// Wait for a transfer that begins a packet.
    lost: bool,
}

impl Device {
    fn take(&mut self, transfer: &Transfer<'_>, tell: &mut impl FnMut(What<'_>)) {
        let begins = begins_packet(transfer);
        if begins && is_hello(transfer) {
            // The host begins anew, and so does the device.
            self.host.begin_anew();
            self.device.begin_anew();
            self.layout = None;
        }
        let way = match transfer.sender {
            Sender::Host => &mut self.host,
            Sender::Device => &mut self.device,
        };
        if way.endpoint.is_none() && begins {
            way.endpoint = Some(transfer.endpoint);
        }
        if way.endpoint != Some(transfer.endpoint) {
            return;
        }
        if way.lost && begins {
            way.begin_anew();
        }
        if !way.lost {
            way.take(transfer, &mut self.layout, tell);
        }
        if let Some(status) = transfer.fault {
            tell(What::Failed(status));
        }
    }
}

impl Way {
    fn begin_anew(&mut self) {
        self.reassembler.clear();
        (self.missing, self.lost) = (0, false);
    }

    fn lose(&mut self, what: What<'_>, tell: &mut impl FnMut(What<'_>)) {
        self.reassembler.clear();
        (self.missing, self.lost) = (0, true);
        tell(what);
    }

    fn take(
        &mut self,
        transfer: &Transfer<'_>,
        layout: &mut Option<Layout>,
        tell: &mut impl FnMut(What<'_>),
    ) {
        let is_cut = transfer.missing > 0;
        if transfer.missing > MUX_PACKET_BYTES {
            return self.lose(What::Gap, tell);
        }
        // Zeros stand for what the capture lacks, so that what follows is read in its place.
        let zeros = [0; 1024];
        let mut lacking = transfer.missing;
        let mut rest = transfer.data;
        loop {
            let is_zeros = rest.is_empty();
            let input = match is_zeros {
                true if lacking == 0 => return,
                true => zeros.get(..lacking.min(zeros.len())).unwrap_or_default(),
                false => rest,
            };
            let (used, packet) = match self.reassembler.next_packet(input) {
                Ok(read) => read,
                Err(error) => return self.lose(if is_cut { What::Gap } else { What::Broken(error) }, tell),
            };
            match is_zeros {
                true => (lacking, self.missing) = (lacking - used, self.missing + used),
                false => rest = rest.get(used..).unwrap_or_default(),
            }
            if let Some(bytes) = packet {
                tell(packet_of(bytes, std::mem::take(&mut self.missing), layout, transfer.sender));
            }
        }
    }
}

/// What a whole packet says. VERSION of a device, and SETUP, settle what form headers have.
fn packet_of<'a>(bytes: &'a [u8], missing: usize, layout: &mut Option<Layout>, sender: Sender) -> What<'a> {
    let form = layout.unwrap_or_else(|| guess(bytes));
    let verdict = decode(bytes, form);
    match verdict.map(|received| received.packet) {
        Ok(Packet::Version { major, .. }) if sender == Sender::Device => {
            *layout = Some(if major < 2 { Layout::Short } else { Layout::Long });
        }
        Ok(Packet::Setup) => *layout = Some(Layout::Long),
        _ => {}
    }
    What::Packet { bytes, missing, verdict }
}

/// The form of a header in a capture that begins in the middle of a conversation.
fn guess(bytes: &[u8]) -> Layout {
    let is_segment = |header: usize| bytes.get(header + 12) == Some(&DATA_OFFSET);
    match word(bytes, SHORT_HEADER) {
        Some(MAGIC | OTHER_MAGIC) => Layout::Long,
        _ if word(bytes, 0) == Some(TCP) && is_segment(SHORT_HEADER) && !is_segment(LONG_HEADER) => {
            Layout::Short
        }
        _ => Layout::Long,
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}

/// True for a transfer that begins with a header which fits it: a transfer holds one packet, or
/// a part of it (1.5), and libusb cuts what a host sends once more.
fn begins_packet(transfer: &Transfer<'_>) -> bool {
    let bytes = transfer.data;
    let (Some(protocol), Some(length)) = (word(bytes, 0), word(bytes, 4)) else { return false };
    let Ok(length) = usize::try_from(length) else { return false };
    let fits = length >= bytes.len().saturating_add(transfer.missing);
    let is_known = PROTOCOLS.contains(&protocol) && (SHORT_HEADER..=MUX_PACKET_BYTES).contains(&length);
    let holds_segment = |header: usize| {
        length >= header + TCP_HEADER && bytes.get(header + 12).is_none_or(|offset| *offset == DATA_OFFSET)
    };
    is_known && fits && (protocol != TCP || holds_segment(SHORT_HEADER) || holds_segment(LONG_HEADER))
}

/// VERSION of a host.
fn is_hello(transfer: &Transfer<'_>) -> bool {
    transfer.sender == Sender::Host && word(transfer.data, 0) == Some(VERSION)
}
