//! The computer's side of the mux.

use super::stream::{CloseReason, Owed, Phase, Ports, Stream, StreamId};
use super::streams::{Note, Streams};
use super::{Headers, MuxError, OpenError, streams_of, text_of};
use crate::limits;
use crate::wire::mux_packet::{
    self, Form, Layout, MAGIC, MuxPacketError, Packet, Reassembler, Received, TcpHeader, flags,
};
use std::time::Instant;

/// Most data of a packet of ours: one byte less than there may be (1.9). A packet of the full
/// 49152 bytes ends on a full USB packet, so that each would need a second, empty transfer (1.5).
const FULL_PACKET: usize = mux_packet::MOST_DATA - 1;

/// What happened on the cable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostEvent {
    /// Streams can be opened.
    Ready {
        /// The version the device speaks, 1 or 2.
        version: u32,
    },
    /// The device took the connection.
    Opened(StreamId),
    /// Nothing listens there (1.8); with the device's words, if it had any.
    Refused(StreamId, Option<String>),
    /// There are bytes to read. Told again after a [`HostMux::read`], if more came.
    Readable(StreamId),
    /// There is room again after a [`HostMux::write`] that did not take everything.
    Writable(StreamId),
    /// The stream is over; what was received before may still be read.
    Closed(StreamId, CloseReason),
    /// The device has something to say (CONTROL, 1.6).
    Message {
        /// 3 error, 5 warning, 7 information.
        kind: u8,
        /// Its words, bounded and printable.
        text: String,
    },
}

impl From<Note> for HostEvent {
    fn from(note: Note) -> Self {
        match note {
            Note::Readable(id) => Self::Readable(id),
            Note::Writable(id) => Self::Writable(id),
            Note::Closed(id, reason) => Self::Closed(id, reason),
        }
    }
}

/// Where the handshake stands (1.6, 1.12).
#[derive(Debug)]
enum Greeting {
    /// VERSION was sent `tries` times.
    Waiting {
        tries: u32,
        again: Instant,
        due: bool,
        /// What came instead of an answer.
        nonsense: Option<MuxPacketError>,
    },
    Done {
        setup_due: bool,
    },
}

streams_of!(HostMux, HostEvent);

/// The mux of one device, as the computer keeps it.
#[derive(Debug)]
pub struct HostMux {
    greeting: Greeting,
    headers: Headers,
    reassembler: Reassembler,
    streams: Streams<HostEvent>,
    /// Where the search for a free source port goes on.
    next_port: u16,
}

impl HostMux {
    /// Starts the handshake.
    pub fn new(now: Instant) -> Self {
        let again = now + limits::MUX_VERSION_PAUSE;
        Self {
            greeting: Greeting::Waiting { tries: 1, again, due: true, nonsense: None },
            headers: Headers { layout: Layout::Short, magic: MAGIC, tx_seq: 0, rx_seq: 0xffff },
            reassembler: Reassembler::default(),
            streams: Streams::new(FULL_PACKET),
            next_port: 1,
        }
    }

    /// Takes the bytes of one completed IN transfer.
    ///
    /// # Errors
    /// [`MuxError`]: the device must be given up. Before it has answered VERSION, what an
    /// earlier host left in its queue is skipped instead.
    pub fn receive(&mut self, transfer: &[u8], _now: Instant) -> Result<(), MuxError> {
        let mut reassembler = std::mem::take(&mut self.reassembler);
        let result = self.receive_with(&mut reassembler, transfer);
        self.reassembler = reassembler;
        result
    }

    fn receive_with(&mut self, reassembler: &mut Reassembler, transfer: &[u8]) -> Result<(), MuxError> {
        let mut rest = transfer;
        while !rest.is_empty() {
            let used = match reassembler.next_packet(rest) {
                Ok((used, packet)) => {
                    packet.map_or(Ok(()), |packet| self.packet(packet))?;
                    used
                }
                Err(error) => {
                    let Greeting::Waiting { nonsense, .. } = &mut self.greeting else {
                        return Err(error.into());
                    };
                    // The tail of a packet for an earlier host, perhaps. The answer comes in
                    // a transfer of its own.
                    *nonsense = Some(error);
                    reassembler.clear();
                    break;
                }
            };
            rest = &rest[used..];
        }
        Ok(())
    }

    fn packet(&mut self, bytes: &[u8]) -> Result<(), MuxError> {
        if let Greeting::Waiting { nonsense, .. } = &mut self.greeting {
            match mux_packet::decode(bytes, Layout::Short) {
                Ok(Received { packet: Packet::Version { major, .. }, .. }) => self.greeted(major)?,
                Ok(_) => {}
                Err(error) => *nonsense = Some(error),
            }
            return Ok(());
        }
        let received = mux_packet::decode(bytes, self.headers.layout)?;
        if let Some(rx_seq) = received.rx_seq {
            self.headers.rx_seq = rx_seq;
        }
        match received.packet {
            Packet::Tcp { header, data } => self.segment(&header, data),
            Packet::Control { kind, text } if self.streams.events.len() < limits::MUX_EVENTS => {
                if let Some(text) = text_of(text) {
                    self.streams.events.push_back(HostEvent::Message { kind, text });
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn greeted(&mut self, major: u32) -> Result<(), MuxError> {
        self.headers.layout = match major {
            1 => Layout::Short,
            2 => Layout::Long,
            other => return Err(MuxError::Version(other)),
        };
        self.greeting = Greeting::Done { setup_due: major == 2 };
        self.streams.events.push_back(HostEvent::Ready { version: major });
        Ok(())
    }

    fn segment(&mut self, header: &TcpHeader, data: &[u8]) {
        let Some(id) = self.streams.at(Ports::of(header)) else {
            return self.streams.answer_stray(header, &[]);
        };
        match self.streams.get(id) {
            Some(stream) if stream.phase == Phase::Opening => self.answered(id, header, data),
            _ => self.streams.take(id, header, data),
        }
    }

    /// The device's answer to SYN (1.8).
    fn answered(&mut self, id: StreamId, header: &TcpHeader, data: &[u8]) {
        let Some(stream) = self.streams.get(id) else { return };
        if header.flags == flags::SYN | flags::ACK {
            stream.meet(header);
            stream.opened();
            stream.deadline = None;
            stream.owes = Some(Owed::Ack);
            self.streams.schedule(id);
            self.streams.events.push_back(HostEvent::Opened(id));
            return;
        }
        match header.flags & flags::RST {
            0 => self.streams.reset(id, &[]),
            _ => self.streams.forget(id),
        }
        self.streams.events.push_back(HostEvent::Refused(id, text_of(data)));
    }

    /// The next packet to be sent, as one OUT transfer; `None` if there is nothing to send
    /// now.
    pub fn transmit(&mut self, now: Instant) -> Option<Vec<u8>> {
        match &mut self.greeting {
            Greeting::Waiting { again, due, .. } => {
                if !std::mem::take(due) {
                    return None;
                }
                *again = now + limits::MUX_VERSION_PAUSE;
                return Some(mux_packet::encode(Form::Short, Packet::Version { major: 2, minor: 0 }));
            }
            Greeting::Done { setup_due } => {
                if std::mem::take(setup_due) {
                    (self.headers.tx_seq, self.headers.rx_seq) = (0, 0xffff);
                    return Some(self.sent(mux_packet::encode(self.headers.form(), Packet::Setup)));
                }
            }
        }
        let packet = self.streams.transmit(self.headers.form())?;
        Some(self.sent(packet))
    }

    fn sent(&mut self, packet: Vec<u8>) -> Vec<u8> {
        self.headers.sent();
        packet
    }

    /// What happened, in order.
    pub fn next_event(&mut self) -> Option<HostEvent> {
        self.streams.events.pop_front()
    }

    /// When [`HostMux::elapsed`] has to be called, if nothing else happens.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.greeting {
            Greeting::Waiting { again, .. } => Some(*again),
            Greeting::Done { .. } => self.streams.deadline(),
        }
    }

    /// Does what is due by now.
    ///
    /// # Errors
    /// The device did not answer the handshake: [`MuxError::Silent`], or what it sent instead.
    pub fn elapsed(&mut self, now: Instant) -> Result<(), MuxError> {
        if let Greeting::Waiting { tries, again, due, nonsense } = &mut self.greeting {
            if *again > now {
                return Ok(());
            }
            if *tries >= limits::MUX_VERSION_TRIES {
                return Err(nonsense.map_or(MuxError::Silent, MuxError::Packet));
            }
            (*tries, *again, *due) = (*tries + 1, now + limits::MUX_VERSION_PAUSE, true);
            self.reassembler.clear();
            return Ok(());
        }
        if self.streams.deadline().is_some_and(|deadline| deadline <= now) {
            for id in self.streams.ids() {
                self.stream_elapsed(id, now);
            }
        }
        Ok(())
    }

    fn stream_elapsed(&mut self, id: StreamId, now: Instant) {
        let Some(stream) = self.streams.get(id) else { return };
        if stream.deadline.is_none_or(|deadline| deadline > now) {
            return;
        }
        match stream.phase {
            Phase::Opening if stream.owes == Some(Owed::Syn) => {
                self.streams.forget(id);
                self.streams.events.push_back(HostEvent::Closed(id, CloseReason::NoAnswer));
            }
            Phase::Opening => self.streams.end(id, CloseReason::NoAnswer),
            _ => self.streams.reset(id, &[]),
        }
    }

    /// Asks the device for a connection to `port`. [`HostEvent::Opened`],
    /// [`HostEvent::Refused`] or [`HostEvent::Closed`] follows.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&mut self, port: u16, now: Instant) -> Result<StreamId, OpenError> {
        if matches!(self.greeting, Greeting::Waiting { .. }) {
            return Err(OpenError::NotReady);
        }
        if self.streams.count() >= limits::STREAMS_PER_DEVICE {
            return Err(OpenError::TooMany);
        }
        let ports = Ports { local: self.free_port(), remote: port };
        let mut stream = Stream::new(ports, Phase::Opening, limits::STREAM_WINDOW);
        stream.owes = Some(Owed::Syn);
        stream.deadline = Some(now + limits::STREAM_OPEN);
        Ok(self.streams.add(stream))
    }

    /// Ports in use are skipped (1.7). There are far fewer streams than ports.
    fn free_port(&mut self) -> u16 {
        loop {
            let port = self.next_port;
            self.next_port = self.next_port.checked_add(1).unwrap_or(1);
            if !self.streams.is_port_used(port) {
                return port;
            }
        }
    }

    /// Fails if a bound or an invariant does not hold.
    #[cfg(any(test, fuzzing))]
    pub(super) fn check(&self) {
        self.streams.check();
    }

    /// True if there is no stream.
    #[cfg(any(test, fuzzing))]
    pub(super) fn is_idle(&self) -> bool {
        self.streams.count() == 0
    }

    /// Closes a stream; `id` is void at once, but events of it that wait are still given.
    /// What was written to an open stream is still delivered, for [`limits::STREAM_FLUSH`] at
    /// most.
    pub fn close(&mut self, id: StreamId, now: Instant) {
        let Some(stream) = self.streams.get(id).filter(|stream| !stream.left) else { return };
        match stream.phase {
            Phase::Opening if stream.owes == Some(Owed::Syn) => self.streams.forget(id),
            Phase::Open => self.streams.leave(id, Some(now + limits::STREAM_FLUSH)),
            Phase::Opening | Phase::Asked | Phase::Ended => self.streams.reset(id, &[]),
        }
    }
}
