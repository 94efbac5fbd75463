//! Services the `idevice` crate already speaks, over our own streams.
//!
//! Our session starts the service, with our deadlines, limits, TLS quirks and errors; the
//! crate gets the finished stream. Its own lockdown and TLS are not used: they drop the
//! device's errors and know no deadline (protocols.md 9.2, 9.3).

use crate::device::{DeviceError, DeviceSession};
use crate::transport::{BoxChannel, TransportError};
use idevice::syslog_relay::SyslogRelayClient;
use idevice::{Idevice, IdeviceService};

/// The device's log, line by line (5.5).
#[derive(Debug)]
pub struct DeviceLog {
    client: SyslogRelayClient,
}

/// `com.apple.syslog_relay` (5.5).
const SYSLOG_RELAY: &str = "com.apple.syslog_relay";

impl DeviceLog {
    /// Starts following the log.
    ///
    /// # Errors
    /// As [`DeviceSession::start_service`].
    pub async fn open(session: &mut DeviceSession) -> Result<Self, DeviceError> {
        let client = adopt::<SyslogRelayClient>(session.start_service(SYSLOG_RELAY).await?).await?;
        Ok(Self { client })
    }

    /// The next line.
    ///
    /// # Errors
    /// [`TransportError::Closed`] when the device ends the log.
    pub async fn next(&mut self) -> Result<String, DeviceError> {
        let line = self.client.next().await;
        line.map_err(|_| TransportError::Closed { what: "a log line".into() }.into())
    }
}

/// Hands a started service's stream to the crate.
async fn adopt<S: IdeviceService>(stream: BoxChannel) -> Result<S, DeviceError> {
    let adopted = S::from_stream(Idevice::new(Box::new(stream), "enlist")).await;
    adopted.map_err(|e| {
        TransportError::Io {
            what: "taking over a service".into(),
            source: std::io::Error::other(e.to_string()),
        }
        .into()
    })
}
