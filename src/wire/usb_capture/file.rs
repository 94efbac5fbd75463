//! The two forms of capture files: pcap, with one link type and one byte order, and pcapng,
//! whose sections and interfaces each have their own.

use super::CaptureError;
use std::time::Duration;

/// Longest record, in bytes. usbmon's own buffer holds 1.2 MB; what is longer is no record.
const RECORD_BYTES: usize = 4 << 20;

/// Longest block of a pcapng file: a record with its head and some comments.
const BLOCK_BYTES: usize = RECORD_BYTES + (1 << 16);

/// Interfaces of one section that are kept: one a bus, and some that are no USB.
const INTERFACES: usize = 256;

/// Header of a pcap file, and of each of its records.
const PCAP_HEADER: usize = 24;
const PCAP_RECORD: usize = 16;

/// Smallest block: type, length, length again.
const LEAST_BLOCK: usize = 12;

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// Options of an interface: how long a tick of its clock is, and seconds to be added.
const TICK: u16 = 9;
const OFFSET: u16 = 14;

/// Byte order of a file or a section, and with it of what usbmon wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
        bytes.get(at..)?.first_chunk().copied()
    }

    pub(super) fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = Self::array(bytes, at)?;
        Some(if self == Self::Little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    pub(super) fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = Self::array(bytes, at)?;
        Some(if self == Self::Little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    fn i64(self, bytes: &[u8], at: usize) -> Option<i64> {
        let bytes = Self::array(bytes, at)?;
        Some(if self == Self::Little { i64::from_le_bytes(bytes) } else { i64::from_be_bytes(bytes) })
    }

    /// A length; beyond what fits it is as good as infinite.
    fn length(self, bytes: &[u8], at: usize) -> Option<usize> {
        self.u32(bytes, at).map(|length| usize::try_from(length).unwrap_or(usize::MAX))
    }
}

/// The head that usbmon puts before the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// LINKTYPE_USB_LINUX, 189: 48 bytes.
    Usb,
    /// LINKTYPE_USB_LINUX_MMAPPED, 220: 64 bytes.
    UsbMmapped,
}

impl Link {
    fn of(number: u32) -> Option<Self> {
        match number {
            189 => Some(Self::Usb),
            220 => Some(Self::UsbMmapped),
            _ => None,
        }
    }
}

/// A record of usbmon.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    /// Since 1970.
    pub(super) time: Option<Duration>,
    pub(super) link: Link,
    pub(super) order: Order,
    pub(super) bytes: &'a [u8],
}

/// How the clock of an interface counts.
#[derive(Debug, Clone, Copy)]
struct Ticks {
    a_second: u64,
    offset: i64,
}

impl Ticks {
    const MICROSECONDS: Self = Self { a_second: 1_000_000, offset: 0 };

    fn time(self, ticks: u64) -> Option<Duration> {
        let seconds = (ticks / self.a_second).checked_add_signed(self.offset)?;
        let part = u128::from(ticks % self.a_second) * 1_000_000_000 / u128::from(self.a_second);
        Some(Duration::new(seconds, u32::try_from(part).ok()?))
    }
}

#[derive(Debug, Clone, Copy)]
struct Interface {
    /// The link type's number if it is no USB.
    link: Result<Link, u32>,
    /// Most bytes of a record that are kept; 0 for all.
    snapshot: usize,
    ticks: Ticks,
}

#[derive(Debug)]
enum Form {
    Pcap { order: Order, nanoseconds: bool, link: Link },
    Ng { order: Order, interfaces: Vec<Interface> },
}

/// Where a record lies in the buffer.
struct Found {
    time: Option<Duration>,
    link: Link,
    order: Order,
    from: usize,
    to: usize,
}

/// Cuts a file into records. Keeps partial input; grows only with bytes that really came in.
#[derive(Debug, Default)]
pub(super) struct Records {
    buffer: Vec<u8>,
    /// Bytes of the buffer that are done with.
    at: usize,
    /// Where in the file the buffer begins.
    base: u64,
    form: Option<Form>,
    /// A record of USB was possible: some interface is one.
    any_usb: bool,
    /// Link type of the last interface that is none.
    other: Option<u32>,
}

impl Records {
    pub(super) fn feed(&mut self, piece: &[u8]) {
        self.buffer.drain(..self.at);
        self.base += self.at as u64;
        self.at = 0;
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole record of USB, or `None` until more is fed.
    pub(super) fn next_record(&mut self) -> Result<Option<Record<'_>>, CaptureError> {
        loop {
            let step = match &self.form {
                None => self.begin()?,
                Some(Form::Pcap { order, nanoseconds, link }) => {
                    let (order, nanoseconds, link) = (*order, *nanoseconds, *link);
                    self.pcap_record(order, nanoseconds, link)?
                }
                Some(Form::Ng { .. }) => self.block()?,
            };
            match step {
                Step::More => return Ok(None),
                Step::On => {}
                Step::Record(Found { time, link, order, from, to }) => {
                    let bytes = self.buffer.get(from..to).unwrap_or_default();
                    return Ok(Some(Record { time, link, order, bytes }));
                }
            }
        }
    }

    /// True if the file ends in the middle of something.
    pub(super) fn finish(self) -> Result<bool, CaptureError> {
        match (self.form, self.other) {
            (None, _) => Err(CaptureError::NotCapture),
            (Some(_), Some(other)) if !self.any_usb => Err(CaptureError::NotUsb(other)),
            _ => Ok(self.at < self.buffer.len()),
        }
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    fn damaged(&self, what: &'static str) -> CaptureError {
        CaptureError::Damaged { at: self.base + self.at as u64, what }
    }

    fn begin(&mut self) -> Result<Step, CaptureError> {
        let rest = self.rest();
        let Some(magic) = Order::Big.u32(rest, 0) else { return Ok(Step::More) };
        let (order, nanoseconds) = match magic {
            // The section itself tells the order.
            SECTION => {
                self.form = Some(Form::Ng { order: Order::Little, interfaces: Vec::new() });
                return Ok(Step::On);
            }
            0xa1b2_c3d4 => (Order::Big, false),
            0xa1b2_3c4d => (Order::Big, true),
            0xd4c3_b2a1 => (Order::Little, false),
            0x4d3c_b2a1 => (Order::Little, true),
            _ => return Err(CaptureError::NotCapture),
        };
        if rest.len() < PCAP_HEADER {
            return Ok(Step::More);
        }
        // The upper bits may tell of checksums at the end of each record, which USB has none of.
        let number = order.u32(rest, 20).unwrap_or_default() & 0xffff;
        let link = Link::of(number).ok_or(CaptureError::NotUsb(number))?;
        self.any_usb = true;
        self.at += PCAP_HEADER;
        self.form = Some(Form::Pcap { order, nanoseconds, link });
        Ok(Step::On)
    }

    fn pcap_record(&mut self, order: Order, nanoseconds: bool, link: Link) -> Result<Step, CaptureError> {
        let rest = self.rest();
        let head = (order.u32(rest, 0), order.u32(rest, 4), order.length(rest, 8), order.u32(rest, 12));
        let (Some(seconds), Some(part), Some(length), Some(_)) = head else { return Ok(Step::More) };
        if length > RECORD_BYTES {
            return Err(self.damaged("a record that is longer than any transfer"));
        }
        if rest.len() < PCAP_RECORD + length {
            return Ok(Step::More);
        }
        let from = self.at + PCAP_RECORD;
        self.at = from + length;
        // A part of a second that is longer than one is wrong, and hurts nothing.
        let nanos = if nanoseconds { part } else { part.saturating_mul(1000) };
        let time = Duration::from_secs(u64::from(seconds)) + Duration::from_nanos(u64::from(nanos));
        Ok(Step::Record(Found { time: Some(time), link, order, from, to: self.at }))
    }

    fn block(&mut self) -> Result<Step, CaptureError> {
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        let Some(kind) = Order::Big.u32(rest, 0) else { return Ok(Step::More) };
        let is_section = kind == SECTION;
        let order = match (is_section, Order::Big.u32(rest, 8), &self.form) {
            (true, None, _) => return Ok(Step::More),
            (true, Some(0x1a2b_3c4d), _) => Order::Big,
            (true, Some(0x4d3c_2b1a), _) => Order::Little,
            (true, Some(_), _) => return Err(self.damaged("a section whose byte order cannot be told")),
            (false, _, Some(Form::Ng { order, .. })) => *order,
            (false, ..) => return Err(CaptureError::NotCapture),
        };
        let (Some(kind), Some(length)) = (order.u32(rest, 0), order.length(rest, 4)) else {
            return Ok(Step::More);
        };
        if !(LEAST_BLOCK..=BLOCK_BYTES).contains(&length) || !length.is_multiple_of(4) {
            return Err(self.damaged("a block whose length cannot be right"));
        }
        let Some(block) = rest.get(..length) else { return Ok(Step::More) };
        if order.length(block, length - 4) != Some(length) {
            return Err(self.damaged("a block that does not end where it says"));
        }
        let body = block.get(8..length - 4).unwrap_or_default();
        let mut step = Step::On;
        match (kind, &mut self.form) {
            (SECTION, form) => {
                if order.u16(body, 4) != Some(1) {
                    return Err(self.damaged("a section of an unknown version"));
                }
                // Interfaces are numbered anew in each section.
                *form = Some(Form::Ng { order, interfaces: Vec::new() });
            }
            (INTERFACE, Some(Form::Ng { interfaces, .. })) => match interface(order, body) {
                Some(interface) if interfaces.len() < INTERFACES => {
                    self.any_usb |= interface.link.is_ok();
                    self.other = interface.link.err().or(self.other);
                    interfaces.push(interface);
                }
                _ => return Err(self.damaged("an interface that cannot be right")),
            },
            (ENHANCED_PACKET | SIMPLE_PACKET, Some(Form::Ng { interfaces, .. })) => {
                let found = match kind {
                    ENHANCED_PACKET => enhanced(order, body, interfaces),
                    _ => simple(order, body, interfaces),
                };
                match found {
                    Ok(None) => {}
                    Ok(Some(found)) => {
                        let begin = self.at + 8;
                        step =
                            Step::Record(Found { from: begin + found.from, to: begin + found.to, ..found });
                    }
                    Err(what) => return Err(self.damaged(what)),
                }
            }
            _ => {}
        }
        self.at += length;
        Ok(step)
    }
}

/// An interface; `None` if its block is too short, or its clock one that cannot be.
fn interface(order: Order, body: &[u8]) -> Option<Interface> {
    let number = u32::from(order.u16(body, 0)?);
    let snapshot = order.length(body, 4)?;
    let mut ticks = Ticks::MICROSECONDS;
    let mut options = body.get(8..)?;
    while let (Some(code), Some(length)) = (order.u16(options, 0), order.u16(options, 2)) {
        let length = usize::from(length);
        let Some(value) = options.get(4..4 + length) else { break };
        match (code, value) {
            (0, _) => break,
            (TICK, [power]) => ticks.a_second = ticks_a_second(*power)?,
            (OFFSET, _) => ticks.offset = order.i64(value, 0)?,
            _ => {}
        }
        options = options.get(4 + length.next_multiple_of(4)..).unwrap_or_default();
    }
    let link = Link::of(number).ok_or(number);
    Some(Interface { link, snapshot, ticks })
}

/// The top bit says which base the power is of.
fn ticks_a_second(power: u8) -> Option<u64> {
    let base: u64 = if power & 0x80 == 0 { 10 } else { 2 };
    base.checked_pow(u32::from(power & 0x7f))
}

/// Where a packet lies in its block's body; `None` if it is none of USB.
fn enhanced(order: Order, body: &[u8], interfaces: &[Interface]) -> Result<Option<Found>, &'static str> {
    let fields = (order.length(body, 0), order.u32(body, 4), order.u32(body, 8), order.length(body, 12));
    let (Some(interface), Some(high), Some(low), Some(length)) = fields else {
        return Err("a packet that is too short");
    };
    let Some(interface) = interfaces.get(interface) else { return Err("a packet of no interface") };
    let Some(room) = body.len().checked_sub(20).filter(|room| length <= *room) else {
        return Err("a packet that is longer than its block");
    };
    let time = interface.ticks.time(u64::from(high) << 32 | u64::from(low));
    let found = |link| Found { time, link, order, from: 20, to: 20 + length.min(room) };
    Ok(interface.link.ok().map(found))
}

/// As [`enhanced`]; such a packet has no time and belongs to the first interface.
fn simple(order: Order, body: &[u8], interfaces: &[Interface]) -> Result<Option<Found>, &'static str> {
    let (Some(length), Some(interface)) = (order.length(body, 0), interfaces.first()) else {
        return Err("a packet that is too short, or of no interface");
    };
    let most = if interface.snapshot == 0 { usize::MAX } else { interface.snapshot };
    let to = 4 + length.min(most).min(body.len() - 4);
    Ok(interface.link.ok().map(|link| Found { time: None, link, order, from: 4, to }))
}

enum Step {
    /// More bytes are needed.
    More,
    /// Something else than a record was read.
    On,
    /// A record.
    Record(Found),
}
