//! A usbmuxd-compatible socket for the devices of any backend (protocols.md 2), so that
//! clients nobody here wrote can use them.

pub mod listener;
#[cfg(test)]
mod tests;

use super::MuxAddress;
use crate::ids::{MuxId, Udid};
use crate::limits::{BACKEND_EVENTS, MUX_ANSWER, MUX_CLIENTS, MUX_REQUEST_BYTES, PAIR_RECORD_BYTES};
use crate::secret::Secret;
use crate::transport::{Attachment, Backend, BackendEvent, BoxChannel, TransportError};
use crate::wire::fields::{Fields, dictionary, string};
use crate::wire::usbmuxd::{
    Message, MuxWireError, Packet, PacketDecoder, RESULT_BAD_COMMAND, RESULT_BAD_DEVICE, RESULT_BAD_VERSION,
    RESULT_INVALID, RESULT_OK, RESULT_REFUSED, Request,
};
use listener::{BoundListener, SocketStream};
use plist::{Dictionary, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::sync::{broadcast, mpsc};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

/// Bytes read from a client at a time.
const READ_BYTES: usize = 4 << 10;

/// Bytes of a stream carried at a time, each way: a quarter of a device's window.
const RELAY_BYTES: usize = 32 << 10;

/// Pause after a failed accept (too many open files), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How a mux server behaves.
#[derive(Debug, Clone, Copy)]
pub struct MuxServerOptions {
    /// Mode of a unix socket's file. Debian's usbmuxd uses 0666; only this user is asked
    /// for here.
    pub mode: u32,
    /// Clients at once; more are turned away.
    pub most_clients: usize,
}

impl Default for MuxServerOptions {
    fn default() -> Self {
        Self { mode: 0o600, most_clients: MUX_CLIENTS }
    }
}

/// A running server. Dropping it ends it, its clients' connections and its socket file.
#[derive(Debug)]
pub struct MuxServer {
    address: MuxAddress,
    accepting: AbortHandle,
    clients: Arc<Clients>,
    socket: Arc<BoundListener>,
}

impl MuxServer {
    /// Listens at `address` and serves the backend's devices there.
    ///
    /// # Errors
    /// The system's, and `AddrInUse` if somebody answers at that socket.
    pub async fn start(
        backend: Arc<dyn Backend>,
        address: &MuxAddress,
        options: MuxServerOptions,
    ) -> io::Result<Self> {
        let socket = Arc::new(BoundListener::bind(address, options.mode).await?);
        let clients = Arc::new(Clients::default());
        let accepting = accept(Arc::clone(&socket), backend, Arc::clone(&clients), options.most_clients);
        let accepting = tokio::spawn(accepting).abort_handle();
        Ok(Self { address: socket.address()?, accepting, clients, socket })
    }

    /// Where it listens.
    pub fn address(&self) -> &MuxAddress {
        &self.address
    }

    /// Clients connected now.
    pub fn clients(&self) -> usize {
        self.clients.lock().len()
    }

    /// Ends every client's connection and goes on listening: what a restarted usbmuxd looks
    /// like to those clients.
    pub fn drop_clients(&self) {
        self.clients.end_all();
    }
}

impl Drop for MuxServer {
    fn drop(&mut self) {
        self.accepting.abort();
        self.clients.end_all();
        self.socket.remove_file();
    }
}

/// Clients connected now.
#[derive(Debug)]
struct Clients {
    by_number: Mutex<BTreeMap<u64, Client>>,
    /// Devices whose pair record a client saved, for those that listen (2.5).
    paired: broadcast::Sender<MuxId>,
}

impl Default for Clients {
    fn default() -> Self {
        Self { by_number: Mutex::default(), paired: broadcast::Sender::new(BACKEND_EVENTS) }
    }
}

#[derive(Debug, Default)]
struct Client {
    task: Option<AbortHandle>,
    /// What ListListeners shows of it, once it listens.
    listener: Option<Value>,
}

impl Clients {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Client>> {
        self.by_number.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end_all(&self) {
        for client in std::mem::take(&mut *self.lock()).into_values() {
            if let Some(task) = client.task {
                task.abort();
            }
        }
    }
}

async fn accept(socket: Arc<BoundListener>, backend: Arc<dyn Backend>, clients: Arc<Clients>, most: usize) {
    for number in 0_u64.. {
        let stream = match socket.accept().await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%error, "mux client not accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        {
            let mut table = clients.lock();
            if table.len() >= most {
                continue;
            }
            table.insert(number, Client::default());
        }
        let session = Session { backend: Arc::clone(&backend), clients: Arc::clone(&clients), number };
        let task = tokio::spawn(async move { session.serve(stream).await }).abort_handle();
        if let Some(client) = clients.lock().get_mut(&number) {
            client.task = Some(task);
        }
    }
}

/// One client.
struct Session {
    backend: Arc<dyn Backend>,
    clients: Arc<Clients>,
    number: u64,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.clients.lock().remove(&self.number);
    }
}

/// What a client's request leads to.
enum Next {
    /// The next request.
    Request,
    /// The connection is a stream now.
    Stream(BoxChannel),
    /// The connection gets events now.
    Events(Events),
}

impl Session {
    async fn serve(self, mut stream: SocketStream) {
        let mut decoder = PacketDecoder::new(MUX_REQUEST_BYTES);
        loop {
            let packet = match decoder.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => {
                    let mut chunk = [0; READ_BYTES];
                    match stream.read(&mut chunk).await {
                        Ok(n) if n > 0 => decoder.feed(&chunk[..n]),
                        _ => return,
                    }
                    continue;
                }
                Err(MuxWireError::Form { version, tag, .. }) => {
                    let _ = stream.write_all(&bad_version(version, tag)).await;
                    return;
                }
                // "A malformed plist gets no answer" (2.2).
                Err(MuxWireError::Plist(_) | MuxWireError::Content(_)) => continue,
                Err(MuxWireError::Length(_)) => return,
            };
            if packet.payload.text("MessageType").is_none() {
                continue;
            }
            let (answer, next) = match self.carry_out(&packet.payload).await {
                Ok(carried_out) => carried_out,
                Err(error) => {
                    // There is no number for it; a dead mux says nothing either.
                    tracing::debug!(%error, "mux client left without an answer");
                    return;
                }
            };
            if !send(&mut stream, packet.tag, &answer).await {
                return;
            }
            match next {
                Next::Request => {}
                Next::Stream(device) => return relay(stream, device, &decoder.into_rest()).await,
                Next::Events(events) => return report(stream, events, decoder).await,
            }
        }
    }

    /// An error means that the connection ends without an answer.
    async fn carry_out(&self, payload: &Dictionary) -> Result<(Message, Next), TransportError> {
        let request = match Request::from_payload(payload) {
            Ok(request) => request,
            Err(number) => return Ok((Message::Result(number), Next::Request)),
        };
        let answer = match request {
            Request::Connect { device, port } => return self.connect(device, port).await,
            Request::Listen => {
                if let Some(client) = self.clients.lock().get_mut(&self.number) {
                    client.listener = Some(listener_entry(self.number, payload));
                }
                return Ok((Message::Result(RESULT_OK), Next::Events(self.events())));
            }
            Request::ListDevices => {
                let attached = self.backend.list().await?;
                Message::DeviceList(attached.iter().map(Attachment::to_mux).collect())
            }
            Request::ListListeners => {
                let table = self.clients.lock();
                Message::ListenerList(table.values().filter_map(|c| c.listener.clone()).collect())
            }
            Request::ReadBuid => Message::Buid(self.backend.read_buid().await?),
            Request::ReadPairRecord { id } => match self.record(&id).await? {
                Some((_, record)) => Message::PairRecord(record),
                None => Message::Result(RESULT_BAD_DEVICE),
            },
            Request::SavePairRecord { id, record, device } => {
                Message::Result(self.save(&id, &record, device).await?)
            }
            Request::DeletePairRecord { id } => match self.record(&id).await? {
                Some((udid, _)) => {
                    self.backend.delete_pair_record(&udid).await?;
                    Message::Result(RESULT_OK)
                }
                None => Message::Result(RESULT_BAD_DEVICE),
            },
        };
        Ok((answer, Next::Request))
    }

    async fn connect(&self, device: MuxId, port: u16) -> Result<(Message, Next), TransportError> {
        let number = match self.backend.connect(device, port).await {
            Ok(stream) => return Ok((Message::Result(RESULT_OK), Next::Stream(stream))),
            Err(error @ TransportError::MuxUnreachable { .. }) => return Err(error),
            Err(TransportError::Detached) => RESULT_BAD_DEVICE,
            Err(TransportError::MuxRefused { number, .. }) => number,
            Err(_) => RESULT_REFUSED,
        };
        Ok((Message::Result(number), Next::Request))
    }

    fn events(&self) -> Events {
        Events {
            paired: self.clients.paired.subscribe(),
            backend: self.backend.watch(),
            attached: BTreeSet::new(),
        }
    }

    /// The stored record of a device, if the id is one and there is one.
    async fn record(&self, id: &str) -> Result<Option<(Udid, Secret<Vec<u8>>)>, TransportError> {
        let Ok(udid) = id.parse::<Udid>() else { return Ok(None) };
        let record = self.backend.read_pair_record(&udid).await?;
        Ok(record.map(|record| (udid, record)))
    }

    /// The number of the answer.
    async fn save(
        &self,
        id: &str,
        record: &Secret<Vec<u8>>,
        device: Option<MuxId>,
    ) -> Result<u32, TransportError> {
        let Ok(udid) = id.parse::<Udid>() else { return Ok(RESULT_INVALID) };
        if record.expose().len() > PAIR_RECORD_BYTES {
            return Ok(RESULT_INVALID);
        }
        match self.backend.save_pair_record(&udid, record, device).await {
            Ok(()) => {
                if let Some(device) = device {
                    // Nobody may be listening.
                    let _ = self.clients.paired.send(device);
                }
                Ok(RESULT_OK)
            }
            Err(TransportError::MuxRefused { number, .. }) => Ok(number),
            Err(error) => Err(error),
        }
    }
}

/// What a listener is told.
struct Events {
    backend: mpsc::Receiver<BackendEvent>,
    paired: broadcast::Receiver<MuxId>,
    /// What it was told of and not told that it went.
    attached: BTreeSet<MuxId>,
}

impl Events {
    /// The next message; `None` when the listener must be cut off: the devices are lost, or
    /// it did not keep up. Cancel-safe.
    async fn next(&mut self) -> Option<Message> {
        loop {
            tokio::select! {
                biased;
                event = self.backend.recv() => match event? {
                    BackendEvent::Attached(device) => {
                        self.attached.insert(device.id);
                        return Some(Message::Attached(device.to_mux()));
                    }
                    BackendEvent::Detached(id) => {
                        self.attached.remove(&id);
                        return Some(Message::Detached(id));
                    }
                    BackendEvent::Lost { .. } => return None,
                    BackendEvent::Ready | BackendEvent::Unserved(_) | BackendEvent::UnservedLeft(_) => {}
                },
                paired = self.paired.recv() => match paired {
                    Ok(id) if self.attached.contains(&id) => return Some(Message::Paired(id)),
                    Ok(_) => {}
                    Err(_) => return None,
                },
            }
        }
    }
}

/// The entry of 2.4's ListenerList.
fn listener_entry(number: u64, payload: &Dictionary) -> Value {
    let text = |key: &str| payload.text(key).unwrap_or_default().chars().take(200).collect::<String>();
    let program = text("ProgName");
    Value::Dictionary(dictionary([
        ("Blacklisted", Some(Value::Boolean(false))),
        ("BundleID", string(text("BundleID"))),
        ("ConnType", Some(Value::from(0))),
        ("ID String", string(format!("{number}-{program}"))),
        ("ProgName", string(program)),
        ("kLibUSBMuxVersion", Some(Value::from(payload.uint("kLibUSBMuxVersion").unwrap_or(3)))),
    ]))
}

/// False if the client is gone, or does not read what it is sent.
async fn send(stream: &mut SocketStream, tag: u32, message: &Message) -> bool {
    let bytes = Packet { tag, payload: message.to_payload() }.encode();
    let sending = async { stream.write_all(&bytes).await.is_ok() && stream.flush().await.is_ok() };
    timeout(MUX_ANSWER, sending).await.unwrap_or(false)
}

/// Result 6 in the asker's own form: binary for version 0, a plist for anything newer.
fn bad_version(version: u32, tag: u32) -> Vec<u8> {
    if version > 0 {
        return Packet { tag, payload: Message::Result(RESULT_BAD_VERSION).to_payload() }.encode();
    }
    // Length, version 0, message 1 (Result), tag, number (2.2).
    [20, 0, 1, tag, RESULT_BAD_VERSION].iter().flat_map(|word: &u32| word.to_le_bytes()).collect()
}

/// Carries bytes both ways, those that followed Connect first; both directions end together
/// (2.8).
async fn relay(stream: SocketStream, device: BoxChannel, early: &[u8]) {
    let (from_client, mut to_client) = split(stream);
    let (from_device, to_device) = split(device);
    tokio::select! {
        _ = carry(early.chain(from_client), to_device) => {}
        _ = carry(from_device, &mut to_client) => {}
    }
    let _ = to_client.shutdown().await;
}

async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
    let mut buffer = vec![0; RELAY_BYTES];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..count]).await?;
        to.flush().await?;
    }
}

/// Reports events until the client goes, falls behind, or sends another command, which is
/// the wrong state for one (2.2: Result 1 and a close).
async fn report(mut stream: SocketStream, mut events: Events, mut decoder: PacketDecoder) {
    let mut chunk = [0; READ_BYTES];
    loop {
        let command = match decoder.next_packet() {
            Ok(packet) => packet,
            Err(_) => return,
        };
        if let Some(packet) = command {
            send(&mut stream, packet.tag, &Message::Result(RESULT_BAD_COMMAND)).await;
            return;
        }
        tokio::select! {
            message = events.next() => {
                let Some(message) = message else { return };
                if !send(&mut stream, 0, &message).await {
                    return;
                }
            }
            read = stream.read(&mut chunk) => match read {
                Ok(n) if n > 0 => decoder.feed(&chunk[..n]),
                _ => return,
            },
        }
    }
}
