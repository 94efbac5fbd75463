use super::*;
use crate::sim::{Command, ControlServer};
use crate::transport::BackendEvent;
use crate::transport::usbmuxd::MuxAddress;
use crate::transport::usbmuxd::server::{MuxServer, MuxServerOptions};
use crate::wire::usbmuxd::{Message, Packet, PacketDecoder, Request as MuxRequest};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

async fn served(fleet: &Fleet, folder: &Path) -> MuxServer {
    let address = MuxAddress::Unix(folder.join("mux"));
    MuxServer::start(fleet.backend(), &address, MuxServerOptions::default()).await.unwrap()
}

struct Client {
    stream: UnixStream,
    decoder: PacketDecoder,
}

impl Client {
    async fn new(folder: &Path) -> Self {
        let stream = UnixStream::connect(folder.join("mux")).await.unwrap();
        Self { stream, decoder: PacketDecoder::new(1 << 20) }
    }

    async fn next(&mut self) -> Option<(u32, Message)> {
        loop {
            if let Some(packet) = self.decoder.next_packet().unwrap() {
                return Some((packet.tag, Message::from_payload(&packet.payload)));
            }
            let mut chunk = [0; 4096];
            let n = self.stream.read(&mut chunk).await.unwrap_or(0);
            if n == 0 {
                return None;
            }
            self.decoder.feed(&chunk[..n]);
        }
    }

    async fn ask(&mut self, request: MuxRequest) -> Message {
        let packet = Packet { tag: 77, payload: request.to_payload() };
        self.stream.write_all(&packet.encode()).await.unwrap();
        let (tag, message) = self.next().await.unwrap();
        assert_eq!(tag, 77);
        message
    }
}

#[tokio::test]
async fn the_socket_speaks_section_2() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::persona(Persona::Ready);
    let server = served(&bench.fleet, folder.path()).await;
    let mode = std::fs::metadata(folder.path().join("mux")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut client = Client::new(folder.path()).await;
    let Message::DeviceList(devices) = client.ask(MuxRequest::ListDevices).await else { panic!("a list") };
    assert!(devices[0].simulated && devices[0].location.is_some());
    assert!(matches!(client.ask(MuxRequest::ReadBuid).await, Message::Buid(buid) if buid.len() == 36));
    let id = || bench.udid.to_string();
    assert_eq!(client.ask(MuxRequest::ReadPairRecord { id: id() }).await, Message::Result(2));
    let record = Secret::new(b"record".to_vec());
    let save = MuxRequest::SavePairRecord { id: id(), record: record.clone(), device: Some(devices[0].id) };
    let mut listener = Client::new(folder.path()).await;
    assert_eq!(listener.ask(MuxRequest::Listen).await, Message::Result(0));
    assert!(matches!(listener.next().await, Some((0, Message::Attached(_)))));
    assert_eq!(client.ask(save).await, Message::Result(0));
    assert_eq!(listener.next().await, Some((0, Message::Paired(devices[0].id))));
    assert_eq!(client.ask(MuxRequest::ReadPairRecord { id: id() }).await, Message::PairRecord(record));
    assert!(matches!(client.ask(MuxRequest::ListListeners).await, Message::ListenerList(l) if l.len() == 1));
    assert_eq!(client.ask(MuxRequest::DeletePairRecord { id: id() }).await, Message::Result(0));
    assert_eq!(client.ask(MuxRequest::DeletePairRecord { id: id() }).await, Message::Result(2));
    let connect = |device, port| MuxRequest::Connect { device, port };
    assert_eq!(client.ask(connect(MuxId(99), 62078)).await, Message::Result(2));
    assert_eq!(client.ask(connect(devices[0].id, 1)).await, Message::Result(3));
    bench.fleet.reattach(&bench.udid).unwrap();
    assert_eq!(listener.next().await, Some((0, Message::Detached(devices[0].id))));
    let Some((0, Message::Attached(again))) = listener.next().await else { panic!("attached") };
    assert!(again.id > devices[0].id && again.location == devices[0].location);
    // A command in the wrong state: Result 1 and a close.
    assert_eq!(listener.ask(MuxRequest::ListDevices).await, Message::Result(1));
    assert_eq!(listener.next().await, None);
    assert_eq!(client.ask(connect(again.id, 62078)).await, Message::Result(0));
    let query = Request::QueryType.to_plist("t");
    client.stream.write_all(&crate::wire::plist_frame::encode(&query)).await.unwrap();
    assert!(client.stream.read_u32().await.unwrap() > 20);
    // Unplugged: the stream ends.
    bench.fleet.detach(&bench.udid).unwrap();
    let mut rest = Vec::new();
    client.stream.read_to_end(&mut rest).await.unwrap();
    drop(server);
    assert!(!folder.path().join("mux").exists());
}

#[tokio::test]
async fn other_protocol_versions_and_lying_lengths() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::persona(Persona::Ready);
    let _server = served(&bench.fleet, folder.path()).await;
    let words = |words: &[u32]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>();
    let mut old = Client::new(folder.path()).await;
    old.stream.write_all(&words(&[16, 0, 3, 5])).await.unwrap();
    let mut answer = Vec::new();
    old.stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, words(&[20, 0, 1, 5, 6]));
    for lie in [0, 15, 65_537] {
        let mut client = Client::new(folder.path()).await;
        client.stream.write_all(&words(&[lie, 1, 8, 1])).await.unwrap();
        assert_eq!(client.next().await, None, "{lie}");
    }
    // A malformed plist is left unanswered; the next request is served.
    let mut client = Client::new(folder.path()).await;
    let mut bad = words(&[20, 1, 8, 1]);
    bad.extend(b"oops");
    client.stream.write_all(&bad).await.unwrap();
    assert!(matches!(client.ask(MuxRequest::ReadBuid).await, Message::Buid(_)));
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mux");
    let bench = Bench::persona(Persona::Ready);
    let address = MuxAddress::Unix(path.clone());
    let start = async || MuxServer::start(bench.fleet.backend(), &address, MuxServerOptions::default()).await;
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let first = start().await.unwrap();
    assert_eq!(start().await.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    drop(first);
    std::fs::write(&path, "precious").unwrap();
    assert!(start().await.is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn too_many_clients_are_turned_away() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::persona(Persona::Ready);
    let address = MuxAddress::Unix(folder.path().join("mux"));
    let options = MuxServerOptions { most_clients: 1, ..MuxServerOptions::default() };
    let server = MuxServer::start(bench.fleet.backend(), &address, options).await.unwrap();
    let mut first = Client::new(folder.path()).await;
    assert!(matches!(first.ask(MuxRequest::ReadBuid).await, Message::Buid(_)));
    assert_eq!(Client::new(folder.path()).await.next().await, None);
    assert_eq!(server.clients(), 1);
    server.drop_clients();
    assert_eq!(first.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn the_backend_reports_what_comes_and_goes() {
    let bench = Bench::persona(Persona::Ready);
    let mut events = bench.backend.watch();
    assert_eq!(events.recv().await, Some(BackendEvent::Ready));
    let Some(BackendEvent::Attached(first)) = events.recv().await else { panic!("attached") };
    assert!(first.simulated && first.udid == bench.udid);
    bench.fleet.detach(&bench.udid).unwrap();
    assert_eq!(events.recv().await, Some(BackendEvent::Detached(first.id)));
    assert!(matches!(bench.backend.connect(first.id, 62078).await, Err(TransportError::Detached)));
    bench.fleet.attach(&bench.udid).unwrap();
    let Some(BackendEvent::Attached(second)) = events.recv().await else { panic!("attached") };
    assert!(second.id > first.id && second.location == first.location);
    bench.fleet.restart_mux();
    assert!(matches!(events.recv().await, Some(BackendEvent::Lost { .. })));
    assert_eq!(events.recv().await, Some(BackendEvent::Ready));
    let Some(BackendEvent::Attached(third)) = events.recv().await else { panic!("attached") };
    assert!(third.id > second.id);
}

#[tokio::test(start_paused = true)]
async fn latency_delays_every_answer() {
    let latency = Some("5ms".parse().unwrap());
    let bench = Bench::with(Settings { latency, ..Persona::InSetup.settings() });
    let begun = tokio::time::Instant::now();
    let mut lockdown = bench.lockdown().await;
    lockdown.ask(Request::QueryType).await.unwrap();
    lockdown.ask(Request::QueryType).await.unwrap();
    // Connecting and two answers.
    assert_eq!(begun.elapsed().as_millis(), 15);
}

#[tokio::test]
async fn the_control_channel_takes_lines() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::persona(Persona::Ready);
    let path = folder.path().join("control");
    let mut server = ControlServer::start(&bench.fleet, &path).await.unwrap();
    let mut stream = BufReader::new(UnixStream::connect(&path).await.unwrap());
    let mut ask = async |line: String| {
        stream.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_line(&mut answer).await.unwrap();
        serde_json::from_str::<serde_json::Value>(&answer).unwrap()
    };
    let udid = bench.udid.as_str();
    assert_eq!(ask(format!(r#"{{"do":"detach","udid":"{udid}"}}"#)).await["ok"], true);
    assert!(bench.backend.list().await.unwrap().is_empty());
    assert_eq!(ask(r#"{"do":"attach"}"#.into()).await["devices"], 1);
    assert_eq!(ask(r#"{"do":"list"}"#.into()).await["devices"][0]["udid"], udid);
    let state = ask(format!(r#"{{"do":"state","udid":"{udid}"}}"#)).await;
    assert_eq!(state["device"]["counters"]["attachments"], 2);
    for bad in [r#"{"do":"fly"}"#, "junk", r#"{"do":"lock"}"#, r#"{"do":"state","more":1}"#] {
        assert_eq!(ask(bad.into()).await["ok"], false, "{bad}");
    }
    assert_eq!(ask(format!(r#"{{"do":"accept","udid":"{udid}"}}"#)).await["ok"], false);
    assert_eq!(ask(r#"{"do":"shutdown"}"#.into()).await["ok"], true);
    server.shutdown_asked().await;
}

#[tokio::test(start_paused = true)]
async fn a_dialog_can_be_answered_by_hand() {
    let bench = Bench::persona(Persona::TrustIgnored);
    let udid = || bench.udid.clone();
    assert!(bench.fleet.control(Command::Trust { udid: udid() }).is_err());
    assert!(bench.pair().await.is_err());
    assert!(bench.fleet.control(Command::Trust { udid: udid() }).is_ok());
    assert!(bench.pair().await.is_ok());
}

#[tokio::test]
async fn five_hundred_devices_cost_nothing_to_speak_of() {
    let fleet = Fleet::new(FleetOptions { devices: 500, ..FleetOptions::default() }).unwrap();
    assert_eq!(fleet.backend().list().await.unwrap().len(), 500);
    assert!(Fleet::new(FleetOptions { devices: 5000, ..FleetOptions::default() }).is_err());
}
