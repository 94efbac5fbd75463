//! The device's side of the mux on a cable: packets in and out of transfers, and a task for each
//! stream that joins it to what listens at the port.

use super::device::{In, Out, Upstream};
use super::ports::Ports;
use enlist::proto::mux::{DeviceEvent, DeviceMux, DeviceOptions, StreamId};
use enlist::transport::BoxChannel;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::runtime::Handle;
use tokio::sync::Notify;

/// Bytes moved at once between a stream and its service.
const PIECE: usize = 64 << 10;

/// The mux of a phone.
pub struct PhoneMux {
    shared: Arc<Shared>,
    /// What is left of the packet on its way, and where that begins.
    packet: Vec<u8>,
    sent: usize,
    /// The last transfer was full, so an empty one has to end the packet.
    end_due: bool,
}

struct Shared {
    state: Mutex<State>,
    ports: Arc<dyn Ports>,
    runtime: Handle,
}

struct State {
    mux: DeviceMux,
    options: DeviceOptions,
    upstream: Option<Arc<dyn Upstream>>,
    streams: HashMap<StreamId, Arc<Signals>>,
}

/// Wakes the two halves of a stream's task.
#[derive(Default)]
struct Signals {
    readable: Notify,
    writable: Notify,
}

impl Signals {
    fn both(&self) {
        self.readable.notify_one();
        self.writable.notify_one();
    }
}

impl PhoneMux {
    /// To be called inside a tokio runtime, on which its streams live.
    pub fn new(options: DeviceOptions, ports: Arc<dyn Ports>) -> Self {
        let mux = DeviceMux::new(options.clone());
        let state = State { mux, options, upstream: None, streams: HashMap::new() };
        let shared = Arc::new(Shared { state: Mutex::new(state), ports, runtime: Handle::current() });
        Self { shared, packet: Vec::new(), sent: 0, end_due: false }
    }

    /// The same ports, other habits.
    pub fn with_options(self, options: DeviceOptions) -> Self {
        Self::new(options, Arc::clone(&self.shared.ports))
    }

    pub fn attach(&mut self, upstream: Arc<dyn Upstream>) {
        self.reset();
        self.shared.lock().upstream = Some(upstream);
    }

    pub fn detach(&mut self) {
        self.reset();
        self.shared.lock().upstream = None;
    }

    /// As just plugged in.
    pub fn reset(&mut self) {
        (self.packet, self.sent, self.end_due) = (Vec::new(), 0, false);
        let mut state = self.shared.lock();
        // A new one each time, so that ids of old streams mean nothing.
        state.mux = DeviceMux::new(state.options.clone());
        state.forget_streams();
    }

    /// Takes an OUT transfer.
    pub fn receive(&mut self, bytes: &[u8]) -> Out {
        let mut state = self.shared.lock();
        let taken = state.mux.receive(bytes);
        self.shared.work_off(&mut state);
        if taken.is_ok() { Out::Taken } else { Out::Stall }
    }

    /// Fills an IN transfer: a packet ends with the first transfer that is not full (1.5).
    pub fn send(&mut self, length: usize) -> In {
        if std::mem::take(&mut self.end_due) {
            return In::Data(Vec::new());
        }
        if self.sent == self.packet.len() {
            let mut state = self.shared.lock();
            let Some(packet) = state.mux.transmit() else { return In::NotNow };
            self.shared.work_off(&mut state);
            (self.packet, self.sent) = (packet, 0);
        }
        let count = (self.packet.len() - self.sent).min(length);
        self.end_due = count == length && self.sent + count == self.packet.len();
        if count == self.packet.len() {
            self.sent = 0;
            return In::Data(std::mem::take(&mut self.packet));
        }
        let piece = self.packet[self.sent..self.sent + count].to_vec();
        self.sent += count;
        In::Data(piece)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work_off(self: &Arc<Self>, state: &mut State) {
        while let Some(event) = state.mux.next_event() {
            match event {
                DeviceEvent::Open { id, port } => {
                    let signals = Arc::new(Signals::default());
                    state.streams.insert(id, Arc::clone(&signals));
                    let stream = Stream { shared: Arc::clone(self), id, signals };
                    self.runtime.spawn(stream.run(port));
                }
                DeviceEvent::Readable(id) => state.with(id, |s| s.readable.notify_one()),
                DeviceEvent::Writable(id) => state.with(id, |s| s.writable.notify_one()),
                DeviceEvent::Closed(id) => {
                    state.with(id, Signals::both);
                    state.streams.remove(&id);
                }
                DeviceEvent::Restarted => state.forget_streams(),
            }
        }
    }

    /// Does something to the mux, then lets the bus fetch what that gave.
    fn with<T>(self: &Arc<Self>, act: impl FnOnce(&mut DeviceMux) -> T) -> T {
        let mut state = self.lock();
        let result = act(&mut state.mux);
        self.work_off(&mut state);
        let upstream = state.upstream.clone();
        // The bus comes back for data, which takes this lock.
        drop(state);
        upstream.iter().for_each(|upstream| upstream.ring());
        result
    }
}

impl State {
    fn with(&self, id: StreamId, act: impl FnOnce(&Signals)) {
        if let Some(signals) = self.streams.get(&id) {
            act(signals);
        }
    }

    /// Their tasks find the mux without their stream.
    fn forget_streams(&mut self) {
        self.streams.drain().for_each(|(_, signals)| signals.both());
    }
}

/// One stream, joined to a service.
struct Stream {
    shared: Arc<Shared>,
    id: StreamId,
    signals: Arc<Signals>,
}

impl Stream {
    async fn run(self, port: u16) {
        let channel = match self.shared.ports.connect(port).await {
            Ok(channel) => channel,
            Err(why) => return self.shared.with(|mux| mux.refuse(self.id, Some(&why))),
        };
        self.shared.with(|mux| mux.accept(self.id));
        let (reader, writer) = tokio::io::split(channel);
        tokio::select! {
            () = self.to_host(reader) => {}
            () = self.to_service(writer) => {}
        }
        self.shared.with(|mux| mux.close(self.id));
    }

    async fn to_host(&self, mut from: ReadHalf<BoxChannel>) {
        let mut buffer = vec![0; PIECE];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let mut rest = &buffer[..count];
            while !rest.is_empty() {
                let Ok(taken) = self.shared.with(|mux| mux.write(self.id, rest)) else { return };
                rest = &rest[taken..];
                if !rest.is_empty() {
                    self.signals.writable.notified().await;
                }
            }
        }
    }

    async fn to_service(&self, mut to: WriteHalf<BoxChannel>) {
        let mut buffer = vec![0; PIECE];
        while let Ok(count) = self.shared.with(|mux| mux.read(self.id, &mut buffer)) {
            if count == 0 {
                self.signals.readable.notified().await;
            } else if to.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    }
}
