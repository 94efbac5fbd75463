//! All streams of one mux, whichever side we are: who sends next, and who is told what.

use super::stream::{Changed, CloseReason, Owed, Phase, Ports, Stream, StreamError, StreamId};
use super::text_of;
use crate::limits;
use crate::wire::mux_packet::{self, Form, TcpHeader, flags};
use std::collections::{HashMap, VecDeque};
use std::time::Instant;

/// What both sides tell the owner of a stream.
#[derive(Debug)]
pub(super) enum Note {
    Readable(StreamId),
    Writable(StreamId),
    Closed(StreamId, CloseReason),
}

/// A packet that ends a stream, or answers one that is not there.
#[derive(Debug)]
struct Reset {
    header: TcpHeader,
    text: Vec<u8>,
}

/// The streams, and the events of the mux in their order.
#[derive(Debug)]
pub(super) struct Streams<E> {
    by_id: HashMap<StreamId, Stream>,
    /// Only those the peer still knows of.
    by_ports: HashMap<Ports, StreamId>,
    last_id: u64,
    most_data: usize,
    resets: VecDeque<Reset>,
    urgent: VecDeque<StreamId>,
    /// Streams that have data to send, each once; the front is the next.
    bulk: VecDeque<StreamId>,
    pub(super) events: VecDeque<E>,
    /// No bare acknowledgements for the time being.
    pub(super) acks_held: bool,
}

impl<E: From<Note>> Streams<E> {
    /// `most_data` is the most data one packet carries.
    pub(super) fn new(most_data: usize) -> Self {
        Self {
            by_id: HashMap::new(),
            by_ports: HashMap::new(),
            last_id: 0,
            most_data,
            resets: VecDeque::new(),
            urgent: VecDeque::new(),
            bulk: VecDeque::new(),
            events: VecDeque::new(),
            acks_held: false,
        }
    }

    /// Streams the peer still knows of, and those with bytes to be read.
    pub(super) fn count(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn is_port_used(&self, local: u16) -> bool {
        self.by_ports.keys().any(|ports| ports.local == local)
    }

    pub(super) fn add(&mut self, stream: Stream) -> StreamId {
        self.last_id += 1;
        let id = StreamId(self.last_id);
        self.by_ports.insert(stream.ports, id);
        self.by_id.insert(id, stream);
        self.schedule(id);
        id
    }

    pub(super) fn at(&self, ports: Ports) -> Option<StreamId> {
        self.by_ports.get(&ports).copied()
    }

    pub(super) fn get(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.by_id.get_mut(&id)
    }

    pub(super) fn ids(&self) -> Vec<StreamId> {
        self.by_id.keys().copied().collect()
    }

    /// To be called after a stream changed: puts it into the queues it belongs to.
    pub(super) fn schedule(&mut self, id: StreamId) {
        let Some(stream) = self.by_id.get_mut(&id) else { return };
        let held = self.acks_held && stream.owes == Some(Owed::Ack);
        if stream.owes.is_some() && !held && !std::mem::replace(&mut stream.in_urgent, true) {
            self.urgent.push_back(id);
        }
        if stream.sendable() > 0 && !std::mem::replace(&mut stream.in_bulk, true) {
            self.bulk.push_back(id);
        }
    }

    /// The next packet: resets, then packets without data, then data in turn.
    pub(super) fn transmit(&mut self, form: Form) -> Option<Vec<u8>> {
        if let Some(Reset { header, text }) = self.resets.pop_front() {
            return Some(mux_packet::encode_tcp(form, header, [&text, &[]]));
        }
        while let Some(id) = self.urgent.pop_front() {
            let Some(stream) = self.by_id.get_mut(&id) else { continue };
            stream.in_urgent = false;
            let Some(owed) = stream.owes.take() else { continue };
            let by_data = owed == Owed::Ack && self.bulk.front() == Some(&id) && stream.sendable() > 0;
            if !by_data {
                let header = stream.header(owed.flags());
                return Some(mux_packet::encode_tcp(form, header, [&[], &[]]));
            }
            // The next packet with data is of the same stream, and says it too.
            break;
        }
        self.transmit_data(form)
    }

    fn transmit_data(&mut self, form: Form) -> Option<Vec<u8>> {
        while let Some(id) = self.bulk.pop_front() {
            let Some(stream) = self.by_id.get_mut(&id) else { continue };
            stream.in_bulk = false;
            let count = stream.sendable().min(self.most_data);
            if count == 0 {
                continue;
            }
            let header = stream.header(flags::ACK);
            if stream.owes == Some(Owed::Ack) {
                stream.owes = None;
            }
            let packet = mux_packet::encode_tcp(form, header, stream.front(count));
            if stream.sent(count) {
                self.events.push_back(Note::Writable(id).into());
            }
            self.schedule(id);
            return Some(packet);
        }
        None
    }

    /// Takes a packet for an open or closing stream (1.8).
    pub(super) fn take(&mut self, id: StreamId, header: &TcpHeader, data: &[u8]) {
        let Some(stream) = self.by_id.get_mut(&id) else { return };
        let result = match header.flags {
            flags::ACK => stream.take(header, data),
            other if other & flags::RST != 0 => Err(CloseReason::Peer(text_of(data))),
            other => Err(CloseReason::Flags(other)),
        };
        match result {
            Ok(Changed { delivered: true, .. }) => self.reset(id, &[]),
            Ok(Changed { readable, .. }) => {
                if readable {
                    self.events.push_back(Note::Readable(id).into());
                }
                self.schedule(id);
            }
            Err(reason) => self.end(id, reason),
        }
    }

    /// Ends a stream its owner did not close; what was received may still be read.
    pub(super) fn end(&mut self, id: StreamId, reason: CloseReason) {
        let Some(stream) = self.by_id.get_mut(&id) else { return };
        let keep = stream.has_unread() && !stream.left;
        let tell = !stream.left;
        let by_peer = matches!(reason, CloseReason::Peer(_));
        let header = stream.header(flags::RST);
        let ports = stream.ports;
        if keep {
            stream.cut();
            self.by_ports.remove(&ports);
        } else {
            self.forget(id);
        }
        if !by_peer {
            self.push_reset(header, &[]);
        }
        if tell {
            self.events.push_back(Note::Closed(id, reason).into());
        }
    }

    /// Resets a stream and forgets it. Its owner is told nothing.
    pub(super) fn reset(&mut self, id: StreamId, text: &[u8]) {
        let Some(stream) = self.by_id.get_mut(&id) else { return };
        let header = stream.header(flags::RST);
        if stream.phase != Phase::Ended {
            self.push_reset(header, text);
        }
        self.forget(id);
    }

    /// Forgets a stream the peer does not know of.
    pub(super) fn forget(&mut self, id: StreamId) {
        let Some(stream) = self.by_id.remove(&id) else { return };
        if self.at(stream.ports) == Some(id) {
            self.by_ports.remove(&stream.ports);
        }
        if stream.in_urgent {
            self.urgent.retain(|queued| *queued != id);
        }
        if stream.in_bulk {
            self.bulk.retain(|queued| *queued != id);
        }
    }

    /// Forgets all streams and everything that waits to be sent.
    pub(super) fn clear(&mut self) {
        self.by_id.clear();
        self.by_ports.clear();
        self.resets.clear();
        self.urgent.clear();
        self.bulk.clear();
    }

    /// Answers a packet for which there is no stream (1.8); one answer at a time is enough.
    pub(super) fn answer_stray(&mut self, header: &TcpHeader, text: &[u8]) {
        if header.flags & flags::RST != 0 {
            return;
        }
        let answer = TcpHeader {
            source: header.destination,
            destination: header.source,
            seq: 0,
            ack: header.seq,
            flags: flags::RST,
            window: 0,
        };
        let same = |reset: &Reset| {
            reset.header.source == answer.source && reset.header.destination == answer.destination
        };
        if !self.resets.iter().any(same) {
            self.push_reset(answer, text);
        }
    }

    fn push_reset(&mut self, header: TcpHeader, text: &[u8]) {
        if self.resets.len() < limits::MUX_RESETS {
            self.resets.push_back(Reset { header, text: text.to_vec() });
        }
    }

    pub(super) fn write(&mut self, id: StreamId, bytes: &[u8]) -> Result<usize, StreamError> {
        let stream = self.owned(id)?;
        if stream.phase == Phase::Ended {
            return Err(StreamError::Closed);
        }
        let taken = stream.write(bytes);
        self.schedule(id);
        Ok(taken)
    }

    pub(super) fn read(&mut self, id: StreamId, buffer: &mut [u8]) -> Result<usize, StreamError> {
        let stream = self.owned(id)?;
        let count = stream.read(buffer);
        if stream.phase == Phase::Ended && !stream.has_unread() {
            self.forget(id);
        } else {
            self.schedule(id);
        }
        Ok(count)
    }

    /// The stream, if its owner has not closed it.
    fn owned(&mut self, id: StreamId) -> Result<&mut Stream, StreamError> {
        self.by_id.get_mut(&id).filter(|stream| !stream.left).ok_or(StreamError::Closed)
    }

    /// The owner closes a stream: what was written is delivered first.
    pub(super) fn leave(&mut self, id: StreamId, deadline: Option<Instant>) {
        let Some(stream) = self.by_id.get_mut(&id) else { return };
        stream.leave();
        stream.deadline = deadline;
        match stream.is_delivered() {
            true => self.reset(id, &[]),
            false => self.schedule(id),
        }
    }

    /// The nearest deadline of a stream.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.by_id.values().filter_map(|stream| stream.deadline).min()
    }

    /// Fails if a bound or an invariant does not hold.
    #[cfg(any(test, fuzzing))]
    pub(super) fn check(&self) {
        assert!(self.by_id.len() <= limits::STREAMS_PER_DEVICE);
        assert!(self.resets.len() <= limits::MUX_RESETS);
        // What an owner may be told of each stream, beyond what peers alone can cause.
        assert!(self.events.len() <= limits::MUX_EVENTS + 4 * self.last_id as usize);
        for (queue, flag) in [
            (&self.urgent, (|s: &Stream| s.in_urgent) as fn(&Stream) -> bool),
            (&self.bulk, |s: &Stream| s.in_bulk),
        ] {
            assert_eq!(queue.len(), self.by_id.values().filter(|s| flag(s)).count());
            assert!(queue.iter().all(|id| self.by_id.get(id).is_some_and(flag)));
        }
        for (id, stream) in &self.by_id {
            stream.check();
            assert_eq!(self.at(stream.ports) == Some(*id), stream.phase != Phase::Ended);
            assert!(stream.sendable() == 0 || stream.in_bulk, "data nobody sends");
            let held = self.acks_held && stream.owes == Some(Owed::Ack);
            assert!(stream.owes.is_none() || stream.in_urgent || held, "an answer nobody sends");
        }
        for (ports, id) in &self.by_ports {
            assert!(self.by_id.get(id).is_some_and(|stream| stream.ports == *ports));
        }
    }
}
