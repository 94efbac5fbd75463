//! lockdown client (protocols.md 3).

use crate::device::DeviceError;
use crate::device::link::tapped;
use crate::limits::LOCKDOWN_ANSWER;
use crate::transport::recorder::Tap;
use crate::transport::tls::TlsIdentity;
use crate::transport::{BoxChannel, PlistChannel, TransportError};
use crate::wire::lockdown::{ErrorName, LockdownError, Reply, Request, TYPE_NORMAL};
use plist::{Dictionary, Value};
use std::time::Duration;

/// How we name ourselves in requests; free text (3.1).
const LABEL: &str = "enlist";

/// Key of the device's name (3.5).
const DEVICE_NAME: &str = "DeviceName";

/// A conversation with lockdown; one request at a time.
#[derive(Debug)]
pub struct LockdownClient {
    channel: PlistChannel,
    tap: Option<Tap>,
}

impl LockdownClient {
    /// Speaks over `channel`, which `tap` records.
    pub fn new(channel: PlistChannel, tap: Option<Tap>) -> Self {
        Self { channel, tap }
    }

    /// Sends a request; the answer may hold an error.
    ///
    /// # Errors
    /// Transport errors only.
    pub async fn ask(&mut self, request: &Request, deadline: Duration) -> Result<Reply, TransportError> {
        let fields = self.channel.call(request.name(), &request.to_plist(LABEL), deadline).await?;
        Ok(Reply::new(fields))
    }

    /// Asks what lockdown this is (3.2).
    ///
    /// # Errors
    /// [`DeviceError::NotNormal`] for anything but the normal system.
    pub async fn expect_normal_system(&mut self) -> Result<(), DeviceError> {
        let reply = self.ask(&Request::QueryType, LOCKDOWN_ANSWER).await?;
        match reply.kind() {
            Some(TYPE_NORMAL) => Ok(()),
            Some(kind) => Err(DeviceError::NotNormal { kind: kind.to_owned() }),
            None => Err(refused("QueryType", &reply)),
        }
    }

    /// Every value of a domain (`None`: the default one) that the device lets us read. A
    /// domain that is absent or closed to us reads as empty.
    ///
    /// # Errors
    /// Transport errors; lockdown errors other than those two.
    pub async fn values(&mut self, domain: Option<&str>) -> Result<Dictionary, DeviceError> {
        match self.get(domain, None).await? {
            Some(Value::Dictionary(values)) => Ok(values),
            _ => Ok(Dictionary::new()),
        }
    }

    /// One value; `None` if it is absent or closed to us.
    ///
    /// # Errors
    /// As [`LockdownClient::values`].
    pub async fn get(
        &mut self,
        domain: Option<&str>,
        key: Option<&str>,
    ) -> Result<Option<Value>, DeviceError> {
        let request = Request::GetValue { domain: domain.map(Into::into), key: key.map(Into::into) };
        let reply = self.ask(&request, LOCKDOWN_ANSWER).await?;
        match reply.error().map(|e| e.name) {
            None => Ok(reply.value().cloned()),
            Some(ErrorName::MissingValue | ErrorName::GetProhibited | ErrorName::MissingKey) => Ok(None),
            Some(_) => Err(refused("GetValue", &reply)),
        }
    }

    /// Calls the device so (3.5). It may refuse: `SetProhibited` if it is managed.
    ///
    /// # Errors
    /// [`DeviceError::Lockdown`] with its reason; transport errors.
    pub async fn name_device(&mut self, name: &str) -> Result<(), DeviceError> {
        let (key, value) = (DEVICE_NAME.to_owned(), Value::String(name.to_owned()));
        let reply = self.ask(&Request::SetValue { domain: None, key, value }, LOCKDOWN_ANSWER).await?;
        match reply.error() {
            None => Ok(()),
            Some(error) => Err(refused_with("SetValue", error)),
        }
    }

    /// What the device calls itself.
    ///
    /// # Errors
    /// As [`LockdownClient::get`].
    pub async fn device_name(&mut self) -> Result<Option<String>, DeviceError> {
        Ok(self.get(None, Some(DEVICE_NAME)).await?.and_then(Value::into_string))
    }

    /// Gives this host's trust back (3.11).
    ///
    /// # Errors
    /// [`DeviceError::Lockdown`] if the device does not know this host.
    pub async fn unpair(&mut self, request: &Request) -> Result<(), DeviceError> {
        let reply = self.ask(request, LOCKDOWN_ANSWER).await?;
        match reply.error() {
            None => Ok(()),
            Some(error) => Err(DeviceError::Lockdown { request: "Unpair", error }),
        }
    }

    /// Turns the conversation into an encrypted one, right after StartSession said so.
    ///
    /// # Errors
    /// [`TransportError::Tls`] and its kin.
    pub async fn encrypt(mut self, identity: &TlsIdentity) -> Result<Self, TransportError> {
        if let Some(tap) = &mut self.tap {
            tap.mute();
        }
        let stream = encrypted(self.tap.as_ref(), identity, self.channel.into_stream()).await?;
        let stream = tapped(self.tap.as_ref(), stream);
        Ok(Self { channel: PlistChannel::new(stream, crate::limits::DEVICE_FRAME_BYTES), tap: self.tap })
    }
}

/// A handshake, and a word to what records it.
pub(crate) async fn encrypted(
    tap: Option<&Tap>,
    identity: &TlsIdentity,
    stream: BoxChannel,
) -> Result<BoxChannel, TransportError> {
    let shaken = identity.connect(stream).await;
    if let Some(tap) = tap {
        tap.encrypted(shaken.is_ok());
    }
    shaken
}

/// The device's error, or the fact that its answer makes no sense.
pub(crate) fn refused(request: &'static str, reply: &Reply) -> DeviceError {
    match reply.error() {
        Some(error) => DeviceError::Lockdown { request, error },
        None => {
            TransportError::Answer { what: request.into(), reason: "neither a result nor an error" }.into()
        }
    }
}

/// As [`refused`], from an error already read.
pub(crate) fn refused_with(request: &'static str, error: LockdownError) -> DeviceError {
    DeviceError::Lockdown { request, error }
}
