//! The server on a backend whose events a test makes up. `sim/tests/mux.rs` has the protocol.

use super::*;
use crate::ids::PortPath;
use crate::transport::{UnservedReason, UsbDevice, UsbMode};
use crate::wire::usbmuxd::ConnectionType;
use async_trait::async_trait;
use tokio::net::UnixStream;

/// What a listener of it hears, and how connections to it end.
#[derive(Debug)]
struct Scripted {
    events: Mutex<Vec<BackendEvent>>,
}

#[async_trait]
impl Backend for Scripted {
    fn describe(&self) -> String {
        "a script".into()
    }

    async fn list(&self) -> Result<Vec<Attachment>, TransportError> {
        Err(unreachable())
    }

    fn watch(&self) -> mpsc::Receiver<BackendEvent> {
        let (sender, receiver) = mpsc::channel(10);
        for event in self.events.lock().unwrap().drain(..) {
            sender.try_send(event).unwrap();
        }
        tokio::spawn(async move { sender.closed().await });
        receiver
    }

    async fn connect(&self, id: MuxId, port: u16) -> Result<BoxChannel, TransportError> {
        match id {
            MuxId(1) => Err(TransportError::Timeout { what: "SYN".into(), after: MUX_ANSWER }),
            MuxId(2) => Err(TransportError::Detached),
            MuxId(3) => Err(TransportError::Refused { port }),
            MuxId(4) => Err(TransportError::MuxRefused { request: "Connect", number: 4 }),
            _ => Err(unreachable()),
        }
    }

    async fn read_buid(&self) -> Result<String, TransportError> {
        Ok("BUID".into())
    }

    async fn read_pair_record(&self, _: &Udid) -> Result<Option<Secret<Vec<u8>>>, TransportError> {
        Ok(None)
    }

    async fn save_pair_record(
        &self,
        udid: &Udid,
        _: &Secret<Vec<u8>>,
        _: Option<MuxId>,
    ) -> Result<(), TransportError> {
        match udid.as_str() {
            "full" => Err(TransportError::MuxRefused { request: "SavePairRecord", number: 28 }),
            _ => Ok(()),
        }
    }

    async fn delete_pair_record(&self, _: &Udid) -> Result<(), TransportError> {
        Ok(())
    }
}

fn unreachable() -> TransportError {
    TransportError::MuxUnreachable { address: "here".into(), source: io::ErrorKind::NotFound.into() }
}

fn attachment() -> Attachment {
    Attachment {
        id: MuxId(1),
        udid: "00008110-001A2B3C4D5E6F70".parse().unwrap(),
        location: Some(0x10004),
        port: None,
        speed: Some(480_000_000),
        product_id: Some(0x12a8),
        simulated: false,
    }
}

struct Client {
    stream: UnixStream,
    decoder: PacketDecoder,
}

impl Client {
    async fn new(server: &MuxServer) -> Self {
        let MuxAddress::Unix(path) = server.address() else { panic!("a path") };
        let stream = UnixStream::connect(path).await.unwrap();
        Self { stream, decoder: PacketDecoder::new(1 << 20) }
    }

    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(packet) = self.decoder.next_packet().unwrap() {
                return Some(Message::from_payload(&packet.payload));
            }
            if self.stream.read_buf(self.decoder.spare()).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    async fn ask(&mut self, request: Request) -> Option<Message> {
        let packet = Packet { tag: 1, payload: request.to_payload() };
        self.stream.write_all(&packet.encode()).await.unwrap();
        self.next().await
    }
}

async fn serve(events: Vec<BackendEvent>) -> (tempfile::TempDir, MuxServer) {
    let folder = tempfile::tempdir().unwrap();
    let backend = Arc::new(Scripted { events: Mutex::new(events) });
    let address = MuxAddress::Unix(folder.path().join("mux"));
    let options = MuxServerOptions { mode: 0o666, ..MuxServerOptions::default() };
    (folder, MuxServer::start(backend, &address, options).await.unwrap())
}

#[tokio::test]
async fn what_no_mux_serves_is_not_told_and_a_loss_cuts_listeners_off() {
    let port = PortPath { controller: None, bus: 1, ports: vec![4] };
    let device = UsbDevice {
        bus: 1,
        address: 9,
        port: port.clone(),
        product_id: 0x1281,
        mode: UsbMode::Recovery,
        serial: None,
        boot: None,
        configuration: Some(1),
    };
    let unserved = crate::transport::Unserved { device, reason: UnservedReason::Mode };
    let (_folder, server) = serve(vec![
        BackendEvent::Ready,
        BackendEvent::Unserved(unserved),
        BackendEvent::Attached(attachment()),
        BackendEvent::UnservedLeft(port),
        BackendEvent::Detached(MuxId(1)),
        BackendEvent::Lost { reason: "gone".into() },
        BackendEvent::Ready,
    ])
    .await;
    let mut listener = Client::new(&server).await;
    assert_eq!(listener.ask(Request::Listen).await, Some(Message::Result(RESULT_OK)));
    let Some(Message::Attached(told)) = listener.next().await else { panic!("attached") };
    assert_eq!((told.serial.as_str(), told.connection), (attachment().udid.as_str(), ConnectionType::Usb));
    assert_eq!(Attachment::from_mux(&told), Some(attachment()));
    assert_eq!(listener.next().await, Some(Message::Detached(MuxId(1))));
    assert_eq!(listener.next().await, None);
}

#[tokio::test]
async fn paired_is_told_of_devices_that_are_attached() {
    let (_folder, server) = serve(vec![BackendEvent::Attached(attachment())]).await;
    let mut listener = Client::new(&server).await;
    listener.ask(Request::Listen).await.unwrap();
    assert!(matches!(listener.next().await, Some(Message::Attached(_))));
    let mut client = Client::new(&server).await;
    let mut save = async |id: &str, device| {
        let record = Secret::new(vec![1]);
        client.ask(Request::SavePairRecord { id: id.into(), record, device }).await
    };
    assert_eq!(save("a", Some(MuxId(9))).await, Some(Message::Result(RESULT_OK)));
    assert_eq!(save("a", None).await, Some(Message::Result(RESULT_OK)));
    assert_eq!(save("full", Some(MuxId(1))).await, Some(Message::Result(28)));
    assert_eq!(save("no id", Some(MuxId(1))).await, Some(Message::Result(RESULT_INVALID)));
    assert_eq!(save("a", Some(MuxId(1))).await, Some(Message::Result(RESULT_OK)));
    assert_eq!(listener.next().await, Some(Message::Paired(MuxId(1))));
}

#[tokio::test]
async fn each_failure_to_connect_has_its_number_and_a_dead_mux_has_none() {
    let (_folder, server) = serve(Vec::new()).await;
    let mut client = Client::new(&server).await;
    let numbers = [(1, RESULT_REFUSED), (2, RESULT_BAD_DEVICE), (3, RESULT_REFUSED), (4, 4)];
    for (id, number) in numbers {
        let answer = client.ask(Request::Connect { device: MuxId(id), port: 62078 }).await;
        assert_eq!(answer, Some(Message::Result(number)), "{id}");
    }
    assert_eq!(client.ask(Request::Connect { device: MuxId(5), port: 62078 }).await, None);
    assert_eq!(Client::new(&server).await.ask(Request::ListDevices).await, None);
}

#[tokio::test]
async fn the_socket_has_the_mode_that_was_asked_for() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, _server) = serve(Vec::new()).await;
    let mode = std::fs::metadata(folder.path().join("mux")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666);
}
