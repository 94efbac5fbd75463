//! One attachment of one device, through whichever backend.

use super::DeviceError;
use super::services::lockdown::LockdownClient;
use crate::ids::{Bay, Udid};
use crate::limits::DEVICE_FRAME_BYTES;
use crate::transport::recorder::{LOCKDOWN, Tap};
use crate::transport::{Attachment, Backend, BoxChannel, PlistChannel, Rung, RungError, TransportError};
use crate::wire::lockdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A way to one attached device. Void once the device detaches.
#[derive(Debug, Clone)]
pub struct DeviceLink {
    backend: Arc<dyn Backend>,
    attachment: Attachment,
    bay: Bay,
    /// Shared by all clones: whoever makes the device detach says so to whoever counts.
    detach_expected: Arc<AtomicBool>,
}

/// Whether a device is here, and if not, why.
#[derive(Debug, Clone)]
pub enum Presence {
    /// It is.
    Here(DeviceLink),
    /// It was unplugged.
    Unplugged,
    /// It came and went too often in this bay; it is left alone until it stays.
    Quarantined(Bay),
    /// The way to all devices is lost, for this reason.
    MuxLost(String),
}

impl Presence {
    /// The link, if the device is here.
    pub fn link(&self) -> Option<&DeviceLink> {
        match self {
            Self::Here(link) => Some(link),
            Self::Unplugged | Self::Quarantined(_) | Self::MuxLost(_) => None,
        }
    }
}

impl DeviceLink {
    /// The link for an attachment of `backend`, in the bay its port is called.
    pub fn new(backend: Arc<dyn Backend>, attachment: Attachment, bay: Bay) -> Self {
        Self { backend, attachment, bay, detach_expected: Arc::default() }
    }

    /// The bay.
    pub fn bay(&self) -> &Bay {
        &self.bay
    }

    /// Takes a rung of the recovery ladder. The detach that follows is our own doing.
    ///
    /// # Errors
    /// As [`Backend::recover`].
    pub async fn recover(&self, rung: Rung) -> Result<(), RungError> {
        self.expect_detach(true);
        let done = self.backend.recover(self.attachment.id, rung).await;
        self.expect_detach(done.is_ok());
        done
    }

    /// Says whether the end of this attachment is announced, such as by a reboot: it then
    /// speaks neither against cable nor port.
    pub fn expect_detach(&self, expected: bool) {
        self.detach_expected.store(expected, Ordering::Relaxed);
    }

    /// True if the end of this attachment was announced.
    pub fn is_detach_expected(&self) -> bool {
        self.detach_expected.load(Ordering::Relaxed)
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

    /// A raw stream to a service's port, with what records the connection; nothing is recorded
    /// before the stream goes through [`tapped`].
    ///
    /// # Errors
    /// As [`Backend::connect`].
    pub(super) async fn open(
        &self,
        service: &str,
        port: u16,
    ) -> Result<(BoxChannel, Option<Tap>), DeviceError> {
        let mut tap = self.backend.recorder().map(|recorder| recorder.tap(self.attachment.id, service));
        let opened = self.backend.connect(self.attachment.id, port).await;
        match (&opened, &mut tap) {
            (Ok(_), Some(tap)) => tap.opened(),
            (Err(error), Some(tap)) => tap.refused(error),
            (_, None) => {}
        }
        Ok((opened?, tap))
    }

    /// A fresh lockdown connection of the normal system.
    ///
    /// # Errors
    /// [`DeviceError::LockdownRefused`], [`DeviceError::NotNormal`] for a restore system, else
    /// transport errors.
    pub async fn lockdown(&self) -> Result<LockdownClient, DeviceError> {
        let (stream, tap) = self.open(LOCKDOWN, lockdown::PORT).await.map_err(|error| match error {
            DeviceError::Transport(TransportError::Refused { .. }) => DeviceError::LockdownRefused,
            other => other,
        })?;
        let stream = tapped(tap.as_ref(), stream);
        let mut client = LockdownClient::new(PlistChannel::new(stream, DEVICE_FRAME_BYTES), tap);
        client.expect_normal_system().await?;
        Ok(client)
    }
}

/// The stream as it is recorded, if it is.
pub(super) fn tapped(tap: Option<&Tap>, stream: BoxChannel) -> BoxChannel {
    match tap {
        Some(tap) => tap.wrap(stream),
        None => stream,
    }
}
