//! One connection through the mux: what may be sent, what was received (protocols.md 1.7-1.9).

use crate::limits;
use crate::wire::mux_packet::{TcpHeader, flags};
use std::collections::VecDeque;
use std::time::Instant;

/// A stream of one mux; never used again in the life of that mux.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub(super) u64);

/// Why a stream cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// It is over, or never was.
    #[error("the stream is closed")]
    Closed,
}

/// Why a stream ended without its owner closing it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The device closed it (RST, 1.8); with its words, if it had any.
    #[error("the device closed the stream{}", .0.as_ref().map(|t| format!(": {t}")).unwrap_or_default())]
    Peer(Option<String>),
    /// A packet with flags that open streams do not have (1.8).
    #[error("the device sent a packet with flags {0:#04x} on an open stream")]
    Flags(u8),
    /// More data than the window allowed (1.9).
    #[error("the device sent more than the stream's window allowed")]
    Overrun,
    /// An acknowledgement of bytes that were never sent.
    #[error("the device acknowledged bytes that were never sent")]
    Acknowledgement,
    /// No answer to SYN in time ([`limits::STREAM_OPEN`]).
    #[error("the device did not answer the request to open a stream")]
    NoAnswer,
}

/// Both ends of a stream, as seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Ports {
    pub(super) local: u16,
    pub(super) remote: u16,
}

impl Ports {
    /// Those of a packet that came in.
    pub(super) fn of(header: &TcpHeader) -> Self {
        Self { local: header.destination, remote: header.source }
    }
}

/// Where a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Host: SYN is to be answered. Device: SYN|ACK is to be.
    Opening,
    /// Device: a SYN came, its owner has not decided.
    Asked,
    /// Data flows.
    Open,
    /// The peer left; what it sent may still be read.
    Ended,
}

/// A packet without data that a stream has to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owed {
    Syn,
    SynAck,
    Ack,
}

impl Owed {
    pub(super) fn flags(self) -> u8 {
        match self {
            Self::Syn => flags::SYN,
            Self::SynAck => flags::SYN | flags::ACK,
            Self::Ack => flags::ACK,
        }
    }
}

/// What a packet changed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Changed {
    /// Its owner should be told to read.
    pub(super) readable: bool,
    /// All that was written is delivered, and the owner has left.
    pub(super) delivered: bool,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) ports: Ports,
    pub(super) phase: Phase,
    /// The owner closed it; what was written is still delivered.
    pub(super) left: bool,
    pub(super) deadline: Option<Instant>,
    pub(super) owes: Option<Owed>,
    /// It stands in the queue of packets without data, of packets with data.
    pub(super) in_urgent: bool,
    pub(super) in_bulk: bool,
    /// Number of the next byte we send, and what the peer has of them.
    seq: u32,
    acked: u32,
    peer_window: u32,
    /// Number of the next byte the peer sends, and what we told it that we have.
    received: u32,
    told: u32,
    /// Bytes the peer may send beyond `told`.
    window: u32,
    /// Bytes we keep for the reader.
    receive_limit: usize,
    outgoing: VecDeque<u8>,
    incoming: VecDeque<u8>,
    readable_told: bool,
    wants_room: bool,
}

impl Stream {
    pub(super) fn new(ports: Ports, phase: Phase, window: u32) -> Self {
        Self {
            ports,
            phase,
            left: false,
            deadline: None,
            owes: None,
            in_urgent: false,
            in_bulk: false,
            seq: 0,
            acked: 0,
            peer_window: 0,
            received: 0,
            told: 0,
            window,
            receive_limit: limits::STREAM_RECEIVE_BYTES.max(window as usize),
            outgoing: VecDeque::new(),
            incoming: VecDeque::new(),
            readable_told: false,
            wants_room: false,
        }
    }

    /// The peer's half of the handshake came: SYN for a device, SYN|ACK for a host.
    pub(super) fn meet(&mut self, syn: &TcpHeader) {
        self.received = syn.seq.wrapping_add(1);
        self.peer_window = syn.window;
    }

    /// SYN counts as one byte, both ways.
    pub(super) fn opened(&mut self) {
        self.phase = Phase::Open;
        (self.seq, self.acked) = (1, 1);
    }

    /// Takes a packet whose flags are exactly ACK.
    pub(super) fn take(&mut self, header: &TcpHeader, data: &[u8]) -> Result<Changed, CloseReason> {
        self.take_ack(header)?;
        let mut changed = Changed::default();
        // Lengths of packets are far below u32.
        let count = data.len() as u32;
        if count > 0 {
            // The peer's own count is adopted: usbmuxd does so too, and a device whose
            // numbers jump is not known to be wrong (1.6).
            self.received = header.seq.wrapping_add(count);
            if self.left {
                self.consider_ack();
            } else if self.incoming.len() + data.len() > self.receive_limit {
                return Err(CloseReason::Overrun);
            } else {
                self.incoming.extend(data);
                changed.readable = !std::mem::replace(&mut self.readable_told, true);
            }
        }
        changed.delivered = self.is_delivered();
        Ok(changed)
    }

    fn take_ack(&mut self, header: &TcpHeader) -> Result<(), CloseReason> {
        let forward = header.ack.wrapping_sub(self.acked);
        if forward <= self.in_flight() {
            self.acked = header.ack;
            self.peer_window = header.window;
            return Ok(());
        }
        // An older number than one seen before says nothing; one from the future is a lie.
        match header.ack.wrapping_sub(self.seq) < 1 << 31 {
            true => Err(CloseReason::Acknowledgement),
            false => Ok(()),
        }
    }

    fn in_flight(&self) -> u32 {
        self.seq.wrapping_sub(self.acked)
    }

    /// Everything that was written arrived, and nobody will write more.
    pub(super) fn is_delivered(&self) -> bool {
        self.left && self.phase == Phase::Open && self.outgoing.is_empty() && self.in_flight() == 0
    }

    /// Bytes the next packet may carry now.
    pub(super) fn sendable(&self) -> usize {
        if self.phase != Phase::Open {
            return 0;
        }
        self.outgoing.len().min(self.peer_window.saturating_sub(self.in_flight()) as usize)
    }

    /// The header of a packet sent now.
    pub(super) fn header(&mut self, flags: u8) -> TcpHeader {
        self.told = self.ack();
        let Ports { local, remote } = self.ports;
        let ack = if flags == flags::SYN { 0 } else { self.told };
        TcpHeader { source: local, destination: remote, seq: self.seq, ack, flags, window: self.window }
    }

    /// The first bytes to be sent, in the two pieces they lie in.
    pub(super) fn front(&self, count: usize) -> [&[u8]; 2] {
        let (a, b) = self.outgoing.as_slices();
        let first = &a[..a.len().min(count)];
        [first, &b[..b.len().min(count - first.len())]]
    }

    /// `count` bytes were sent. True if the owner should be told that there is room again.
    pub(super) fn sent(&mut self, count: usize) -> bool {
        self.outgoing.drain(..count);
        // At most the length of a packet.
        self.seq = self.seq.wrapping_add(count as u32);
        let roomy = self.outgoing.len() <= limits::STREAM_SEND_BYTES / 2;
        roomy && !self.left && std::mem::take(&mut self.wants_room)
    }

    /// Bytes of the peer that its reader has, as a number.
    fn ack(&self) -> u32 {
        // Bounded by the receive limit.
        self.received.wrapping_sub(self.incoming.len() as u32)
    }

    fn consider_ack(&mut self) {
        let untold = self.ack().wrapping_sub(self.told);
        let due = self.incoming.is_empty() || untold >= self.window / 4;
        if untold > 0 && due && self.phase == Phase::Open {
            self.owes = Some(Owed::Ack);
        }
    }

    /// Changes the window the peer is told, and tells it.
    pub(super) fn set_window(&mut self, window: u32) {
        self.window = window;
        self.receive_limit = self.receive_limit.max(window as usize);
        if self.phase == Phase::Open {
            self.owes = Some(Owed::Ack);
        }
    }

    /// Takes bytes to be sent; gives how many.
    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(limits::STREAM_SEND_BYTES.saturating_sub(self.outgoing.len()));
        self.outgoing.extend(&bytes[..taken]);
        self.wants_room |= taken < bytes.len();
        taken
    }

    /// Hands received bytes out; gives how many.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> usize {
        let count = buffer.len().min(self.incoming.len());
        let (a, b) = self.incoming.as_slices();
        let first = a.len().min(count);
        buffer[..first].copy_from_slice(&a[..first]);
        buffer[first..count].copy_from_slice(&b[..count - first]);
        self.incoming.drain(..count);
        self.readable_told = false;
        self.consider_ack();
        count
    }

    /// The owner leaves: nothing more is read.
    pub(super) fn leave(&mut self) {
        self.left = true;
        self.incoming = VecDeque::new();
        self.consider_ack();
    }

    /// The peer left: nothing more is sent.
    pub(super) fn cut(&mut self) {
        self.phase = Phase::Ended;
        self.deadline = None;
        self.owes = None;
        self.outgoing = VecDeque::new();
    }

    pub(super) fn has_unread(&self) -> bool {
        !self.incoming.is_empty()
    }

    /// Fails if a bound does not hold.
    #[cfg(any(test, fuzzing))]
    pub(super) fn check(&self) {
        assert!(self.incoming.len() <= self.receive_limit);
        assert!(self.outgoing.len() <= limits::STREAM_SEND_BYTES);
        assert!(self.phase != Phase::Ended || self.has_unread() && self.owes.is_none());
        assert!(!self.left || self.incoming.is_empty());
    }
}
