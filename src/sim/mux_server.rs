//! A usbmuxd-compatible socket for the fleet (protocols.md 2), so that clients nobody here
//! wrote can use it.

use super::address::SocketAddress;
use super::device::OpenError;
use super::fleet::{Fleet, Hub, HubEvent};
use super::listener::{BoundListener, SocketStream};
use crate::limits::{MUX_CLIENTS, MUX_REQUEST_BYTES};
use crate::wire::fields::{Fields, dictionary, string};
use crate::wire::usbmuxd::{
    Message, MuxWireError, Packet, PacketDecoder, RESULT_BAD_COMMAND, RESULT_BAD_DEVICE, RESULT_BAD_VERSION,
    RESULT_INVALID, RESULT_OK, RESULT_REFUSED, Request,
};
use plist::{Dictionary, Value};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, split};
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// Bytes read from a client at a time.
const READ_BYTES: usize = 4 << 10;

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
    address: SocketAddress,
    accepting: AbortHandle,
    clients: Arc<Clients>,
    socket: Arc<BoundListener>,
}

impl MuxServer {
    /// Listens at `address` and serves the fleet there.
    ///
    /// # Errors
    /// The system's, and `AddrInUse` if somebody answers at that socket.
    pub async fn start(
        fleet: &Fleet,
        address: &SocketAddress,
        options: MuxServerOptions,
    ) -> io::Result<Self> {
        let socket = Arc::new(BoundListener::bind(address, options.mode).await?);
        let clients = Arc::new(Clients::default());
        let hub = Arc::clone(fleet.hub());
        let accepting = accept(Arc::clone(&socket), hub, Arc::clone(&clients), options.most_clients);
        let accepting = tokio::spawn(accepting).abort_handle();
        Ok(Self { address: socket.address()?, accepting, clients, socket })
    }

    /// Where it listens.
    pub fn address(&self) -> &SocketAddress {
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
#[derive(Debug, Default)]
struct Clients {
    by_number: Mutex<BTreeMap<u64, Client>>,
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

async fn accept(socket: Arc<BoundListener>, hub: Arc<Hub>, clients: Arc<Clients>, most: usize) {
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
        let session = Session { hub: Arc::clone(&hub), clients: Arc::clone(&clients), number };
        let task = tokio::spawn(async move { session.serve(stream).await }).abort_handle();
        if let Some(client) = clients.lock().get_mut(&number) {
            client.task = Some(task);
        }
    }
}

/// One client.
struct Session {
    hub: Arc<Hub>,
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
    Stream(tokio::io::DuplexStream),
    /// The connection gets events now.
    Events(tokio::sync::mpsc::Receiver<HubEvent>),
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
            let (answer, next) = self.carry_out(&packet.payload).await;
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

    async fn carry_out(&self, payload: &Dictionary) -> (Message, Next) {
        let result = |number| (Message::Result(number), Next::Request);
        let answer = match Request::from_payload(payload) {
            Err(number) => return result(number),
            Ok(Request::Connect { device, port }) => {
                return match self.hub.open(device, port).await {
                    Ok(stream) => (Message::Result(RESULT_OK), Next::Stream(stream)),
                    Err(OpenError::Gone) => result(RESULT_BAD_DEVICE),
                    Err(OpenError::Refused) => result(RESULT_REFUSED),
                };
            }
            Ok(Request::Listen) => {
                if let Some(client) = self.clients.lock().get_mut(&self.number) {
                    client.listener = Some(listener_entry(self.number, payload));
                }
                return (Message::Result(RESULT_OK), Next::Events(self.hub.listen()));
            }
            Ok(Request::ListDevices) => Message::DeviceList(self.hub.attached()),
            Ok(Request::ListListeners) => {
                let table = self.clients.lock();
                Message::ListenerList(table.values().filter_map(|c| c.listener.clone()).collect())
            }
            Ok(Request::ReadBuid) => Message::Buid(self.hub.buid().to_owned()),
            Ok(Request::ReadPairRecord { id }) => match self.hub.record(&id) {
                Some(record) => Message::PairRecord(record),
                None => Message::Result(RESULT_BAD_DEVICE),
            },
            Ok(Request::SavePairRecord { id, record, device }) => {
                let saved = self.hub.save_record(&id, record, device);
                Message::Result(if saved { RESULT_OK } else { RESULT_INVALID })
            }
            Ok(Request::DeletePairRecord { id }) => {
                let deleted = self.hub.delete_record(&id);
                Message::Result(if deleted { RESULT_OK } else { RESULT_BAD_DEVICE })
            }
        };
        (answer, Next::Request)
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

async fn send(stream: &mut SocketStream, tag: u32, message: &Message) -> bool {
    let bytes = Packet { tag, payload: message.to_payload() }.encode();
    stream.write_all(&bytes).await.is_ok() && stream.flush().await.is_ok()
}

/// Result 6 in the asker's own form: binary for version 0, a plist for anything newer.
fn bad_version(version: u32, tag: u32) -> Vec<u8> {
    if version > 0 {
        return Packet { tag, payload: Message::Result(RESULT_BAD_VERSION).to_payload() }.encode();
    }
    // Length, version 0, message 1 (Result), tag, number (2.2).
    [20, 0, 1, tag, RESULT_BAD_VERSION].iter().flat_map(|word: &u32| word.to_le_bytes()).collect()
}

/// Carries bytes both ways; both directions end together (2.8).
async fn relay(stream: SocketStream, mut device: tokio::io::DuplexStream, early: &[u8]) {
    if device.write_all(early).await.is_err() {
        return;
    }
    let (mut from_client, mut to_client) = split(stream);
    let (mut from_device, mut to_device) = split(device);
    tokio::select! {
        _ = copy(&mut from_client, &mut to_device) => {}
        _ = copy(&mut from_device, &mut to_client) => {}
    }
    let _ = to_client.shutdown().await;
}

/// Reports events until the client goes, falls behind, or sends another command, which is
/// the wrong state for one (2.2: Result 1 and a close).
async fn report(
    mut stream: SocketStream,
    mut events: tokio::sync::mpsc::Receiver<HubEvent>,
    mut decoder: PacketDecoder,
) {
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
            event = events.recv() => {
                let message = match event {
                    Some(HubEvent::Attached(device)) => Message::Attached(device),
                    Some(HubEvent::Detached(id)) => Message::Detached(id),
                    Some(HubEvent::Paired(id)) => Message::Paired(id),
                    None => return,
                };
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
