//! notification_proxy client (protocols.md 5.2).

use crate::device::DeviceError;
use crate::limits::LOCKDOWN_ANSWER;
use crate::transport::{BoxChannel, PlistChannel};
use crate::wire::notification_proxy::{MANAGED_ORG_INFO_CHANGED, Message, PROFILE_LIST_CHANGED};

/// Longest message of the proxy, in bytes: a name and a command.
const FRAME_BYTES: usize = 64 << 10;

/// A conversation with the notification service.
#[derive(Debug)]
pub struct NotificationProxy {
    channel: PlistChannel,
}

impl NotificationProxy {
    /// Speaks over a service stream.
    pub fn new(stream: BoxChannel) -> Self {
        Self { channel: PlistChannel::new(stream, FRAME_BYTES) }
    }

    /// Asks to be told when `name` is posted. There is no answer.
    ///
    /// # Errors
    /// Transport errors.
    pub async fn observe(&mut self, name: &str) -> Result<(), DeviceError> {
        let message = Message::Observe(name.to_owned());
        Ok(self.channel.send("ObserveNotification", &message.to_plist(), LOCKDOWN_ANSWER).await?)
    }

    /// Asks to be told whenever the profile list may have changed.
    ///
    /// # Errors
    /// Transport errors.
    pub async fn observe_profiles(&mut self) -> Result<(), DeviceError> {
        self.observe(PROFILE_LIST_CHANGED).await?;
        self.observe(MANAGED_ORG_INFO_CHANGED).await
    }

    /// The next name posted. Cancel-safe. Several posts may be merged into one: re-read the
    /// state.
    ///
    /// # Errors
    /// Transport errors; the proxy's end reads as a closed connection.
    pub async fn next(&mut self) -> Result<String, DeviceError> {
        loop {
            let fields = self.channel.receive("a notification").await?;
            match Message::from_plist(&fields) {
                Message::Relay(name) => return Ok(name),
                Message::ProxyDeath => {
                    let what = "a notification".to_owned();
                    return Err(crate::transport::TransportError::Closed { what }.into());
                }
                _ => {}
            }
        }
    }
}
