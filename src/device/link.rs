//! One attachment of one device, through whichever backend.

use super::DeviceError;
use super::services::lockdown::LockdownClient;
use crate::ids::Udid;
use crate::limits::DEVICE_FRAME_BYTES;
use crate::transport::{Attachment, Backend, BoxChannel, PlistChannel};
use crate::wire::lockdown;
use std::sync::Arc;

/// A way to one attached device. Void once the device detaches.
#[derive(Debug, Clone)]
pub struct DeviceLink {
    backend: Arc<dyn Backend>,
    attachment: Attachment,
}

/// Whether a device is here, and if not, why.
#[derive(Debug, Clone)]
pub enum Presence {
    /// It is.
    Here(DeviceLink),
    /// It was unplugged.
    Unplugged,
    /// The way to all devices is lost, for this reason.
    MuxLost(String),
}

impl Presence {
    /// The link, if the device is here.
    pub fn link(&self) -> Option<&DeviceLink> {
        match self {
            Self::Here(link) => Some(link),
            Self::Unplugged | Self::MuxLost(_) => None,
        }
    }
}

impl DeviceLink {
    /// The link for an attachment of `backend`.
    pub fn new(backend: Arc<dyn Backend>, attachment: Attachment) -> Self {
        Self { backend, attachment }
    }

    /// The device.
    pub fn udid(&self) -> &Udid {
        &self.attachment.udid
    }

    /// The attachment.
    pub fn attachment(&self) -> &Attachment {
        &self.attachment
    }

    /// The backend, for its pair-record store.
    pub fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    /// A raw stream to a port of the device.
    ///
    /// # Errors
    /// As [`Backend::connect`].
    pub async fn open(&self, port: u16) -> Result<BoxChannel, DeviceError> {
        Ok(self.backend.connect(self.attachment.id, port).await?)
    }

    /// A fresh lockdown connection of the normal system.
    ///
    /// # Errors
    /// [`DeviceError::NotNormal`] for a restore system, else transport errors.
    pub async fn lockdown(&self) -> Result<LockdownClient, DeviceError> {
        let stream = self.open(lockdown::PORT).await?;
        let mut client = LockdownClient::new(PlistChannel::new(stream, DEVICE_FRAME_BYTES));
        client.expect_normal_system().await?;
        Ok(client)
    }
}
