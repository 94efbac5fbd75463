//! A lockdown session with a device that trusts us, and the services started from it.
//!
//! One session serves a whole job: services are started from it, not with one each.

use super::link::{DeviceLink, tapped};
use super::services::lockdown::{LockdownClient, encrypted, refused, refused_with};
use super::{DeviceError, services::mcinstall::McInstall, services::notification_proxy::NotificationProxy};
use crate::limits::LOCKDOWN_ANSWER;
use crate::proto::session::{ServiceStart, Session};
use crate::secret::Secret;
use crate::transport::tls::{TlsFloor, TlsIdentity};
use crate::transport::{BoxChannel, TransportError};
use crate::wire::lockdown::{Reply, Request};
use crate::wire::pair_record::PairRecord;
use plist::Dictionary;

/// What came of testing a pair record (3.9: StartSession is the test).
#[derive(Debug)]
pub enum SessionTest {
    /// It holds.
    Started(Box<DeviceSession>),
    /// The device does not know this host: the record is stale.
    UnknownHost,
    /// The device does not speak TLS with this record: typically it lost it.
    TlsRefused {
        /// Why.
        reason: String,
    },
    /// Not before an unlock.
    Locked,
}

/// A session; keeps what is needed to start services.
#[derive(Debug)]
pub struct DeviceSession {
    link: DeviceLink,
    lockdown: LockdownClient,
    tls: TlsIdentity,
    escrow_bag: Option<Secret<Vec<u8>>>,
    values: Dictionary,
}

impl DeviceSession {
    /// Starts a session on a fresh lockdown connection with `record`.
    ///
    /// # Errors
    /// Transport errors but the refusals in [`SessionTest`]; lockdown errors that mean
    /// neither a stale record nor a lock.
    pub async fn start(
        link: &DeviceLink,
        mut lockdown: LockdownClient,
        record: &PairRecord,
        floor: TlsFloor,
    ) -> Result<SessionTest, DeviceError> {
        let tls = match TlsIdentity::new(record, floor) {
            Ok(tls) => tls,
            Err(error) => return Ok(SessionTest::TlsRefused { reason: error.to_string() }),
        };
        let request = Request::StartSession {
            host_id: record.host_id.clone(),
            system_buid: record.system_buid.clone(),
        };
        let reply = lockdown.ask(&request, LOCKDOWN_ANSWER).await?;
        let encrypted = match Session::of(&reply) {
            Session::Started { tls: true, .. } => lockdown.encrypt(&tls).await,
            Session::Started { tls: false, .. } => Ok(lockdown),
            Session::UnknownHost => return Ok(SessionTest::UnknownHost),
            Session::Locked => return Ok(SessionTest::Locked),
            Session::Refused(error) => return Err(refused_with("StartSession", error)),
            Session::Senseless => return Err(refused("StartSession", &reply)),
        };
        // The first answer inside the session belongs to the test: with TLS 1.3 a device
        // refuses our certificate only after the handshake.
        let proved = match encrypted {
            Ok(mut lockdown) => lockdown.values(None).await.map(|values| (lockdown, values)),
            Err(error) => Err(error.into()),
        };
        match proved {
            Ok((lockdown, values)) => Ok(SessionTest::Started(Box::new(Self {
                link: link.clone(),
                lockdown,
                tls,
                escrow_bag: record.escrow_bag.clone(),
                values,
            }))),
            Err(DeviceError::Transport(TransportError::Tls { reason })) => {
                Ok(SessionTest::TlsRefused { reason })
            }
            Err(error) => Err(error),
        }
    }

    /// The default domain as the session's first answer gave it.
    pub fn values(&self) -> &Dictionary {
        &self.values
    }

    /// The device.
    pub fn link(&self) -> &DeviceLink {
        &self.link
    }

    /// lockdown, inside the session.
    pub fn lockdown(&mut self) -> &mut LockdownClient {
        &mut self.lockdown
    }

    /// Starts a service and connects to it.
    ///
    /// # Errors
    /// [`DeviceError::ServiceLocked`], [`DeviceError::ServiceProhibited`],
    /// [`DeviceError::ServiceAbsent`], transport errors.
    pub async fn start_service(&mut self, service: &'static str) -> Result<BoxChannel, DeviceError> {
        let reply = self.ask_for(service, None).await?;
        let mut started = ServiceStart::of(&reply);
        // With its escrow bag a device starts some services although it is locked (3.10).
        if let (ServiceStart::Locked { .. }, Some(bag)) = (&started, self.escrow_bag.clone()) {
            started = ServiceStart::of(&self.ask_for(service, Some(bag)).await?);
        }
        match started {
            ServiceStart::Listening { port, tls } => {
                let (stream, tap) = self.link.open(service, port).await?;
                let stream = if tls { encrypted(tap.as_ref(), &self.tls, stream).await? } else { stream };
                Ok(tapped(tap.as_ref(), stream))
            }
            ServiceStart::Locked { never_unlocked } => {
                Err(DeviceError::ServiceLocked { service, never_unlocked })
            }
            ServiceStart::Prohibited => Err(DeviceError::ServiceProhibited { service }),
            ServiceStart::Absent => Err(DeviceError::ServiceAbsent { service }),
            ServiceStart::Refused(error) => Err(refused_with("StartService", error)),
            ServiceStart::Senseless => Err(refused("StartService", &reply)),
        }
    }

    /// The profile service.
    ///
    /// # Errors
    /// As [`DeviceSession::start_service`].
    pub async fn mcinstall(&mut self) -> Result<McInstall, DeviceError> {
        Ok(McInstall::new(self.start_service(crate::wire::mcinstall::SERVICE).await?))
    }

    /// The notification service.
    ///
    /// # Errors
    /// As [`DeviceSession::start_service`].
    pub async fn notification_proxy(&mut self) -> Result<NotificationProxy, DeviceError> {
        Ok(NotificationProxy::new(self.start_service(crate::wire::notification_proxy::SERVICE).await?))
    }

    async fn ask_for(&mut self, service: &str, bag: Option<Secret<Vec<u8>>>) -> Result<Reply, DeviceError> {
        let request = Request::StartService { service: service.into(), escrow_bag: bag };
        Ok(self.lockdown.ask(&request, LOCKDOWN_ANSWER).await?)
    }
}
