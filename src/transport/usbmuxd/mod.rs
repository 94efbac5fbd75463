//! The backend of a usbmuxd socket: the system's daemon, or anything that speaks like it;
//! and a [`server`] that does.

mod address;
mod begun;
mod connection;
mod listen;
pub mod server;

pub use address::{BadMuxAddress, DEFAULT_SOCKET, MuxAddress};

use super::{Attachment, Backend, BackendEvent, BoxChannel, TransportError};
use crate::ids::{MuxId, Udid};
use crate::limits;
use crate::secret::Secret;
use crate::wire::usbmuxd::{Message, RESULT_BAD_DEVICE, RESULT_OK, RESULT_REFUSED, Request};
use async_trait::async_trait;
use connection::MuxConnection;
use tokio::sync::mpsc;

/// The way through a usbmuxd socket. Each request opens its own connection, as the
/// protocol wants it for Connect and Listen (2.4).
#[derive(Debug, Clone)]
pub struct UsbmuxdBackend {
    address: MuxAddress,
}

impl UsbmuxdBackend {
    /// A backend for the mux at `address`. Nothing is opened yet.
    pub fn new(address: MuxAddress) -> Self {
        Self { address }
    }

    async fn ask(&self, request: &Request) -> Result<Message, TransportError> {
        let mut connection = MuxConnection::open(&self.address).await?;
        connection.ask(request).await
    }

    /// Asks for something whose answer is a Result.
    async fn order(&self, name: &'static str, request: &Request) -> Result<u32, TransportError> {
        match self.ask(request).await? {
            Message::Result(number) => Ok(number),
            _ => Err(self.unexpected(name)),
        }
    }

    fn unexpected(&self, name: &str) -> TransportError {
        TransportError::MuxProtocol {
            address: self.address.to_string(),
            reason: format!("an unexpected answer to {name}"),
        }
    }
}

#[async_trait]
impl Backend for UsbmuxdBackend {
    fn describe(&self) -> String {
        format!("usbmuxd at {}", self.address)
    }

    async fn list(&self) -> Result<Vec<Attachment>, TransportError> {
        match self.ask(&Request::ListDevices).await? {
            Message::DeviceList(devices) => Ok(devices.iter().filter_map(Attachment::from_mux).collect()),
            Message::Result(number) => Err(TransportError::MuxRefused { request: "ListDevices", number }),
            _ => Err(self.unexpected("ListDevices")),
        }
    }

    fn watch(&self) -> mpsc::Receiver<BackendEvent> {
        let (events, receiver) = mpsc::channel(limits::BACKEND_EVENTS);
        tokio::spawn(listen::run(self.address.clone(), events));
        receiver
    }

    async fn connect(&self, id: MuxId, port: u16) -> Result<BoxChannel, TransportError> {
        let mut connection = MuxConnection::open(&self.address).await?;
        match connection.ask(&Request::Connect { device: id, port }).await? {
            Message::Result(RESULT_OK) => Ok(connection.into_stream()),
            Message::Result(RESULT_BAD_DEVICE) => Err(TransportError::Detached),
            Message::Result(RESULT_REFUSED) => Err(TransportError::Refused { port }),
            Message::Result(number) => Err(TransportError::MuxRefused { request: "Connect", number }),
            _ => Err(self.unexpected("Connect")),
        }
    }

    async fn read_buid(&self) -> Result<String, TransportError> {
        match self.ask(&Request::ReadBuid).await? {
            Message::Buid(buid) => Ok(buid),
            Message::Result(number) => Err(TransportError::MuxRefused { request: "ReadBUID", number }),
            _ => Err(self.unexpected("ReadBUID")),
        }
    }

    async fn read_pair_record(&self, udid: &Udid) -> Result<Option<Secret<Vec<u8>>>, TransportError> {
        match self.ask(&Request::ReadPairRecord { id: udid.to_string() }).await? {
            Message::PairRecord(record) => Ok(Some(record)),
            // "Result 2 = no such pair record"; any other refusal also means that we have none.
            Message::Result(_) => Ok(None),
            _ => Err(self.unexpected("ReadPairRecord")),
        }
    }

    async fn save_pair_record(
        &self,
        udid: &Udid,
        record: &Secret<Vec<u8>>,
        id: Option<MuxId>,
    ) -> Result<(), TransportError> {
        let request = Request::SavePairRecord { id: udid.to_string(), record: record.clone(), device: id };
        match self.order("SavePairRecord", &request).await? {
            RESULT_OK => Ok(()),
            number => Err(TransportError::MuxRefused { request: "SavePairRecord", number }),
        }
    }

    async fn delete_pair_record(&self, udid: &Udid) -> Result<(), TransportError> {
        match self.order("DeletePairRecord", &Request::DeletePairRecord { id: udid.to_string() }).await? {
            RESULT_OK | RESULT_BAD_DEVICE => Ok(()),
            number => Err(TransportError::MuxRefused { request: "DeletePairRecord", number }),
        }
    }
}
