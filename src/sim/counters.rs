//! What a test may look at from outside: counters, taps, the whole state of a device.

use crate::ids::Udid;
use plist::Dictionary;
use serde::Serialize;
use std::time::Duration;

/// What happened to a device since it was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Streams opened to any port.
    pub connections: u64,
    /// Streams open now.
    pub open_connections: u64,
    /// Most streams open at once.
    pub most_open_connections: u64,
    /// Requests to lockdown and to plist services.
    pub messages: u64,
    /// TLS handshakes that succeeded.
    pub handshakes: u64,
    /// Pair requests.
    pub pair_requests: u64,
    /// Pair requests that ended in trust.
    pub pairings: u64,
    /// Pair requests that carried a private key, which no host should send (3.6).
    pub private_keys_offered: u64,
    /// Sessions started.
    pub sessions: u64,
    /// Services started.
    pub services: u64,
    /// InstallProfile and InstallProfileSilent requests.
    pub pushes_received: u64,
    /// Those that were queued or installed.
    pub pushes_accepted: u64,
    /// Those that came although the same profile (identifier and UUID) was installed.
    pub pushes_after_accept: u64,
    /// Those that replaced a queued profile.
    pub pushes_replacing: u64,
    /// Installs carried out, by hand or silently.
    pub installs: u64,
    /// Installs by hand that failed on the screen; no host hears of them.
    pub failed_by_hand: u64,
    /// Queued profiles the person removed.
    pub cancelled: u64,
    /// Queued profiles that expired after 480 s.
    pub purged: u64,
    /// Profiles removed by a host.
    pub removals: u64,
    /// Reboots.
    pub reboots: u64,
    /// Hosts that proved to be supervisors on the profile service.
    pub escalations: u64,
    /// Supervision data written by a host.
    pub configurations: u64,
    /// Requests to erase.
    pub erase_requests: u64,
    /// Erasures.
    pub erasures: u64,
    /// Times attached.
    pub attachments: u64,
    /// Faults injected.
    pub faults: u64,
}

/// A device as it is now.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// UDID.
    pub udid: Udid,
    /// DeviceName.
    pub name: String,
    /// SerialNumber.
    pub serial: String,
    /// ProductType.
    pub product_type: String,
    /// ProductVersion.
    pub os_version: String,
    /// Persona it was made from.
    pub persona: &'static str,
    /// Number of its attachment; `None` while it is unplugged.
    pub attached: Option<u32>,
    /// USB location.
    pub location: u32,
    /// Locked now.
    pub locked: bool,
    /// Unlocked since it booted.
    pub unlocked_since_boot: bool,
    /// Setup Assistant is over.
    pub setup_done: bool,
    /// Trust dialog: closed, prepared, showing, passcode or denied.
    pub dialog: &'static str,
    /// HostIDs it trusts.
    pub trusted_hosts: Vec<String>,
    /// Installed profiles, in order.
    pub installed: Vec<ShownProfile>,
    /// The profile that waits for the person.
    pub pending: Option<ShownProfile>,
    /// Time since the last message of a host.
    #[serde(serialize_with = "as_milliseconds")]
    pub silence: Option<Duration>,
    /// Counters.
    pub counters: Counters,
}

/// A profile, by its two names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownProfile {
    /// PayloadIdentifier.
    pub identifier: String,
    /// PayloadUUID.
    pub uuid: String,
}

fn as_milliseconds<S: serde::Serializer>(span: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    span.map(|s| s.as_millis() as u64).serialize(to)
}

/// One message as a tap sees it, decrypted.
#[derive(Debug, Clone, PartialEq)]
pub struct Tap {
    /// `lockdown` or the service's name.
    pub service: &'static str,
    /// True for a host's message, false for the device's.
    pub from_host: bool,
    /// The message.
    pub message: Dictionary,
}
