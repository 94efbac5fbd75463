//! The device's side of the mux, for simulated devices (protocols.md 1.10).

use super::stream::{Owed, Phase, Ports, Stream, StreamId};
use super::streams::{Note, Streams};
use super::{Headers, MuxError, streams_of};
use crate::limits;
use crate::wire::mux_packet::{self, Form, Layout, MAGIC, Packet, Reassembler, TcpHeader, flags};
use std::collections::VecDeque;

/// How a device behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceOptions {
    /// The version it answers with: 1 or 2; other numbers are for hosts that must refuse them.
    pub version: u32,
    /// The magic of its packets (1.6).
    pub magic: u32,
    /// Bytes a host may send before it is acknowledged; travels in units of 256.
    pub window: u32,
    /// Most data of one packet, in bytes; [`mux_packet::DATA_LIMIT`] at most.
    pub most_data: usize,
}

impl Default for DeviceOptions {
    fn default() -> Self {
        Self { version: 2, magic: MAGIC, window: limits::STREAM_WINDOW, most_data: mux_packet::MOST_DATA }
    }
}

/// What the host did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceEvent {
    /// It asks for a connection; answer with [`DeviceMux::accept`] or [`DeviceMux::refuse`].
    Open {
        /// The stream to be.
        id: StreamId,
        /// The port it asks for.
        port: u16,
    },
    /// There are bytes to read. Told again after a [`DeviceMux::read`], if more came.
    Readable(StreamId),
    /// There is room again after a [`DeviceMux::write`] that did not take everything.
    Writable(StreamId),
    /// The stream is over; what was received before may still be read.
    Closed(StreamId),
    /// The host began anew: all streams are gone, without further events.
    Restarted,
}

impl From<Note> for DeviceEvent {
    fn from(note: Note) -> Self {
        match note {
            Note::Readable(id) => Self::Readable(id),
            Note::Writable(id) => Self::Writable(id),
            Note::Closed(id, _) => Self::Closed(id),
        }
    }
}

streams_of!(DeviceMux, DeviceEvent);

/// The mux of one device, as the device keeps it.
#[derive(Debug)]
pub struct DeviceMux {
    options: DeviceOptions,
    headers: Headers,
    greeted: bool,
    answer_due: bool,
    controls: VecDeque<(u8, Vec<u8>)>,
    reassembler: Reassembler,
    streams: Streams<DeviceEvent>,
}

impl DeviceMux {
    /// A device that waits for a host.
    pub fn new(options: DeviceOptions) -> Self {
        Self {
            headers: Headers { layout: Layout::Short, magic: options.magic, tx_seq: 0, rx_seq: 0 },
            greeted: false,
            answer_due: false,
            controls: VecDeque::new(),
            reassembler: Reassembler::default(),
            streams: Streams::new(options.most_data.clamp(1, mux_packet::DATA_LIMIT)),
            options,
        }
    }

    /// Takes the bytes of one OUT transfer, which need not be whole packets.
    ///
    /// # Errors
    /// [`MuxError`]: what follows cannot be read until [`DeviceMux::reset`].
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), MuxError> {
        let mut reassembler = std::mem::take(&mut self.reassembler);
        let result = self.receive_with(&mut reassembler, bytes);
        self.reassembler = reassembler;
        result
    }

    fn receive_with(&mut self, reassembler: &mut Reassembler, bytes: &[u8]) -> Result<(), MuxError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (used, packet) = reassembler.next_packet(rest)?;
            if let Some(packet) = packet {
                self.packet(packet)?;
            }
            rest = &rest[used..];
        }
        Ok(())
    }

    fn packet(&mut self, bytes: &[u8]) -> Result<(), MuxError> {
        let received = mux_packet::decode(bytes, self.headers.layout)?;
        // 1.6: a simulator puts its count of received packets there.
        self.headers.rx_seq = self.headers.rx_seq.wrapping_add(1);
        match received.packet {
            Packet::Version { .. } => self.greet(),
            Packet::Tcp { header, data } if self.greeted => self.segment(&header, data),
            _ => {}
        }
        Ok(())
    }

    /// A VERSION, even in mid-life, is a new host.
    fn greet(&mut self) {
        let again = self.greeted;
        self.forget_host();
        self.greeted = true;
        self.answer_due = true;
        if self.options.version != 1 {
            self.headers.layout = Layout::Long;
        }
        if again {
            self.streams.events.push_back(DeviceEvent::Restarted);
        }
    }

    fn forget_host(&mut self) {
        self.streams.clear();
        self.streams.events.clear();
        self.controls.clear();
        self.greeted = false;
        self.answer_due = false;
        self.headers = Headers { layout: Layout::Short, magic: self.options.magic, tx_seq: 0, rx_seq: 0 };
    }

    /// Bus reset or SET_CONFIGURATION: as just plugged in. All streams are gone, without
    /// events.
    pub fn reset(&mut self) {
        self.forget_host();
        self.reassembler.clear();
    }

    fn segment(&mut self, header: &TcpHeader, data: &[u8]) {
        let ports = Ports::of(header);
        let Some(id) = self.streams.at(ports) else {
            return match header.flags {
                flags::SYN => self.asked(ports, header),
                _ => self.streams.answer_stray(header, &[]),
            };
        };
        if let Some(stream) = self.streams.get(id)
            && header.flags == flags::ACK
            && stream.phase == Phase::Opening
            && stream.owes.is_none()
        {
            stream.opened();
        }
        self.streams.take(id, header, data);
    }

    fn asked(&mut self, ports: Ports, header: &TcpHeader) {
        let full = self.streams.count() >= limits::STREAMS_PER_DEVICE
            || self.streams.events.len() >= limits::MUX_EVENTS;
        if full {
            return self.streams.answer_stray(header, &[]);
        }
        let mut stream = Stream::new(ports, Phase::Asked, self.options.window);
        stream.meet(header);
        let id = self.streams.add(stream);
        self.streams.events.push_back(DeviceEvent::Open { id, port: ports.local });
    }

    /// The next whole packet for the IN endpoint; `None` if there is nothing to send now.
    pub fn transmit(&mut self) -> Option<Vec<u8>> {
        if std::mem::take(&mut self.answer_due) {
            let version = Packet::Version { major: self.options.version, minor: 0 };
            return Some(mux_packet::encode(Form::Short, version));
        }
        let form = self.headers.form();
        let packet = match self.controls.pop_front() {
            Some((kind, text)) => mux_packet::encode(form, Packet::Control { kind, text: &text }),
            None => self.streams.transmit(form)?,
        };
        self.headers.sent();
        Some(packet)
    }

    /// What the host did, in order.
    pub fn next_event(&mut self) -> Option<DeviceEvent> {
        self.streams.events.pop_front()
    }

    /// Takes a connection the host asked for.
    pub fn accept(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get(id).filter(|s| s.phase == Phase::Asked) else { return };
        stream.phase = Phase::Opening;
        stream.owes = Some(Owed::SynAck);
        self.streams.schedule(id);
    }

    /// Refuses a connection the host asked for, with a reason in words or without.
    pub fn refuse(&mut self, id: StreamId, text: Option<&str>) {
        self.abort(id, text);
    }

    /// Resets a stream at once; what was written is lost.
    pub fn abort(&mut self, id: StreamId, text: Option<&str>) {
        self.streams.reset(id, text.unwrap_or_default().as_bytes());
    }

    /// Fails if a bound or an invariant does not hold.
    #[cfg(any(test, fuzzing))]
    pub(super) fn check(&self) {
        self.streams.check();
        assert!(self.controls.len() <= limits::MUX_EVENTS);
    }

    /// Closes a stream; `id` is void at once, but events of it that wait are still given.
    /// What was written is still delivered, however long the host takes for it.
    pub fn close(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get(id).filter(|stream| !stream.left) else { return };
        match stream.phase {
            Phase::Open | Phase::Opening => self.streams.leave(id, None),
            Phase::Asked | Phase::Ended => self.streams.reset(id, &[]),
        }
    }

    /// Sends a CONTROL message (1.6); those beyond [`limits::MUX_EVENTS`] are dropped.
    pub fn control(&mut self, kind: u8, text: &str) {
        if self.greeted && self.controls.len() < limits::MUX_EVENTS {
            self.controls.push_back((kind, text.as_bytes().to_vec()));
        }
    }

    /// Changes the window of all streams, and tells the host.
    pub fn set_window(&mut self, bytes: u32) {
        self.options.window = bytes;
        for id in self.streams.ids() {
            if let Some(stream) = self.streams.get(id) {
                stream.set_window(bytes);
            }
            self.streams.schedule(id);
        }
    }

    /// Holds back acknowledgements that no data carries, or lets them go again.
    pub fn hold_acks(&mut self, hold: bool) {
        self.streams.acks_held = hold;
        for id in self.streams.ids() {
            self.streams.schedule(id);
        }
    }
}
