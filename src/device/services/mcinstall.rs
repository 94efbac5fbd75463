//! MCInstall client (protocols.md 4): profiles and supervision data.
//!
//! One request, one reply, strictly alternating; the device works while we wait. Every
//! exchange has a deadline; one that is cancelled makes the connection unusable, because
//! the device goes on all the same: reconnect and look (4.5).

use crate::device::DeviceError;
use crate::device::cloud_configuration::WantedConfiguration;
use crate::device::trust::SupervisionIdentity;
use crate::limits::{CONFIGURE_ANSWER, DEVICE_FRAME_BYTES, INSTALL_ANSWER, KEYBAG_ANSWER, MCINSTALL_ANSWER};
use crate::secret::Secret;
use crate::transport::{BoxChannel, PlistChannel};
use crate::wire::mcinstall::{InstalledProfile, RemovalKey, Reply, Request, Status};
use crate::wire::mcinstall_error::ErrorChain;
use plist::Dictionary;
use std::time::Duration;

/// How the device took a profile. Neither is success: only the profile list is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// Acknowledged: installed during Setup Assistant, queued after it (4.5).
    Acknowledged,
    /// Error pair 4036/1013: queued as well (4.5).
    QueuedByError(ErrorChain),
}

/// How the device took a supervision identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escalation {
    /// This connection may do what a supervisor may (4.9).
    Accepted,
    /// The certificate is not among its supervisors.
    CertificateRejected,
    /// Our answer to the challenge was not taken: the device does not accept the certificate
    /// after all, such as an expired one.
    SignatureRejected,
}

/// A conversation with the profile service.
#[derive(Debug)]
pub struct McInstall {
    channel: PlistChannel,
}

impl McInstall {
    /// Speaks over a service stream.
    pub fn new(stream: BoxChannel) -> Self {
        Self { channel: PlistChannel::new(stream, DEVICE_FRAME_BYTES) }
    }

    /// Installed configuration profiles, in the device's order (4.8).
    ///
    /// # Errors
    /// [`DeviceError::Install`], [`DeviceError::Status`], transport errors.
    pub async fn profiles(&mut self) -> Result<Vec<InstalledProfile>, DeviceError> {
        let reply = self.ask(&Request::GetProfileList, MCINSTALL_ANSWER).await?;
        acknowledged("GetProfileList", &reply)?;
        Ok(reply.profiles())
    }

    /// Supervision data; `None` if the device was never configured (4.7), or will not tell:
    /// nothing an enrollment needs depends on it.
    ///
    /// # Errors
    /// Transport errors.
    pub async fn cloud_configuration(&mut self) -> Result<Option<Dictionary>, DeviceError> {
        let reply = self.ask(&Request::GetCloudConfiguration, MCINSTALL_ANSWER).await?;
        Ok(reply.cloud_configuration().cloned())
    }

    /// Pushes a profile: installs it during Setup Assistant, else queues it (4.5).
    ///
    /// # Errors
    /// [`DeviceError::Install`] with the device's whole chain. On a transport error the
    /// device may have installed it all the same.
    pub async fn install(&mut self, payload: &Secret<Vec<u8>>) -> Result<Accepted, DeviceError> {
        let request = Request::InstallProfile { payload: payload.clone() };
        let reply = self.ask(&request, INSTALL_ANSWER).await?;
        match reply.status() {
            Status::Error if reply.error_chain().means_queued() => {
                Ok(Accepted::QueuedByError(reply.error_chain()))
            }
            _ => acknowledged("InstallProfile", &reply).map(|()| Accepted::Acknowledged),
        }
    }

    /// As [`McInstall::install`], but silently in every state (4.5 style 1); only after
    /// [`McInstall::escalate`].
    ///
    /// # Errors
    /// As [`McInstall::install`].
    pub async fn install_silently(&mut self, payload: &Secret<Vec<u8>>) -> Result<Accepted, DeviceError> {
        let request = Request::InstallProfileSilent { payload: payload.clone() };
        let reply = self.ask(&request, INSTALL_ANSWER).await?;
        acknowledged("InstallProfileSilent", &reply).map(|()| Accepted::Acknowledged)
    }

    /// Proves that we hold a supervision identity of this device (4.6). What it opens dies
    /// with the connection.
    ///
    /// # Errors
    /// As [`McInstall::profiles`]; a refusal is no error.
    pub async fn escalate(&mut self, identity: &SupervisionIdentity) -> Result<Escalation, DeviceError> {
        let certificate = identity.certificate().to_vec();
        // "Optional in practice" (4.4): what it answers says nothing.
        self.ask(&Request::HelloHostIdentifier, MCINSTALL_ANSWER).await?;
        let request = Request::Escalate { supervisor_certificate: certificate };
        let reply = self.ask(&request, MCINSTALL_ANSWER).await?;
        if reply.status() == Status::CertificateRejected {
            return Ok(Escalation::CertificateRejected);
        }
        acknowledged("Escalate", &reply)?;
        let nothing = || DeviceError::Status { request: "Escalate", status: reply.status() };
        let signed_request = identity.sign(&reply.challenge().ok_or_else(nothing)?)?;
        let reply = self.ask(&Request::EscalateResponse { signed_request }, MCINSTALL_ANSWER).await?;
        if reply.status() == Status::SignedRequestRejected {
            return Ok(Escalation::SignatureRejected);
        }
        acknowledged("EscalateResponse", &reply)?;
        let reply = self.ask(&Request::ProceedWithKeybagMigration, KEYBAG_ANSWER).await?;
        acknowledged("ProceedWithKeybagMigration", &reply)?;
        Ok(Escalation::Accepted)
    }

    /// Writes supervision data; works only while there is none (4.7).
    ///
    /// # Errors
    /// As [`McInstall::profiles`]: 14002, 33003, 33004 and others of 4.7. On a transport
    /// error the device may have written it all the same.
    pub async fn configure(&mut self, wanted: &WantedConfiguration) -> Result<(), DeviceError> {
        let request = Request::SetCloudConfiguration { configuration: wanted.to_dictionary() };
        let reply = self.ask(&request, CONFIGURE_ANSWER).await?;
        acknowledged("SetCloudConfiguration", &reply)
    }

    /// Erases the device, but for its data plan. It answers, then ends the connection (4.4).
    ///
    /// # Errors
    /// As [`McInstall::profiles`]. On a transport error it may erase all the same.
    pub async fn erase(&mut self) -> Result<(), DeviceError> {
        let request = Request::EraseDevice { preserve_data_plan: true, disallow_proximity_setup: false };
        let reply = self.ask(&request, MCINSTALL_ANSWER).await?;
        acknowledged("EraseDevice", &reply)
    }

    /// Removes an installed profile.
    ///
    /// # Errors
    /// As [`McInstall::profiles`]: 4008, 12013 and others of table 4.4.
    pub async fn remove(&mut self, profile: &InstalledProfile) -> Result<(), DeviceError> {
        let key = RemovalKey::Full {
            identifier: profile.identifier.clone(),
            uuid: profile.uuid.clone(),
            version: profile.version,
        };
        let reply = self.ask(&Request::RemoveProfile(key), MCINSTALL_ANSWER).await?;
        acknowledged("RemoveProfile", &reply)
    }

    async fn ask(&mut self, request: &Request, deadline: Duration) -> Result<Reply, DeviceError> {
        Ok(Reply::new(self.channel.call(request.name(), &request.to_plist(), deadline).await?))
    }
}

fn acknowledged(request: &'static str, reply: &Reply) -> Result<(), DeviceError> {
    match reply.status() {
        Status::Acknowledged => Ok(()),
        Status::Error => Err(DeviceError::Install { request, chain: reply.error_chain() }),
        // A chain tells more than an unknown status.
        _ if !reply.error_chain().is_empty() => {
            Err(DeviceError::Install { request, chain: reply.error_chain() })
        }
        status => Err(DeviceError::Status { request, status }),
    }
}
