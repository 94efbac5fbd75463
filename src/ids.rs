//! Names of things, as types that cannot be wrong.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A device's UDID in the form lockdown and pair-record files use: 40 hex digits, or
/// 8 + dash + 16 (protocols.md 0.4). Letters keep the device's case. Other short names of
/// letters, digits and dashes are taken as they are, because a mux may list hardware that
/// is newer than this program; nothing else can be a file name, so nothing else is let in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Udid(String);

/// The text is not a UDID.
#[derive(Debug, thiserror::Error)]
#[error("'{text}' is not a UDID: expected 40 hex digits, or 8 hex digits, a dash and 16 hex digits")]
pub struct BadUdid {
    text: String,
}

impl Udid {
    /// The text, dash included.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the journal calls a Mac that never said who it is: its address, with dashes for
    /// what no UDID may hold.
    pub fn of_address(address: &str) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        Self(format!("ssh-{address}").chars().map(plain).take(64).collect())
    }

    /// True if `text`, typed by a person, means this device: case and dashes do not count.
    pub fn is_meant_by(&self, text: &str) -> bool {
        let plain = |s: &str| s.replace('-', "").to_ascii_lowercase();
        plain(&self.0) == plain(text.trim())
    }
}

impl FromStr for Udid {
    type Err = BadUdid;

    /// Trims blanks and NULs; 24 hex digits get their dash (0.4).
    fn from_str(text: &str) -> Result<Self, BadUdid> {
        let trimmed = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        if trimmed.len() == 24 && trimmed.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(Self(format!("{}-{}", &trimmed[..8], &trimmed[8..])));
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if (1..=64).contains(&trimmed.len()) && trimmed.bytes().all(allowed) && !trimmed.starts_with('-') {
            return Ok(Self(trimmed.to_owned()));
        }
        Err(BadUdid { text: trimmed.chars().take(60).collect() })
    }
}

impl TryFrom<String> for Udid {
    type Error = BadUdid;
    fn try_from(text: String) -> Result<Self, BadUdid> {
        text.parse()
    }
}

impl From<Udid> for String {
    fn from(udid: Udid) -> Self {
        udid.0
    }
}

impl fmt::Display for Udid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The number a mux gives one attachment of a device. Valid until the device detaches;
/// never stored (2.5: unique for the daemon's life).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MuxId(pub u32);

impl fmt::Display for MuxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A USB port as the bus knows it: host controller, bus, and the ports from the root hub
/// down. Stays the same while devices come and go; the bus number may change when the
/// computer starts anew, the controller does not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortPath {
    /// Where the host controller sits, such as the PCI address `0000:00:14.0`; `None` where
    /// the system does not tell.
    pub controller: Option<String>,
    /// Bus number.
    pub bus: u8,
    /// Port of the root hub, then of each hub on the way; empty for a root hub. At most
    /// six: USB allows seven tiers.
    pub ports: Vec<u8>,
}

impl PortPath {
    fn chain(&self) -> String {
        let ports: Vec<String> = self.ports.iter().map(u8::to_string).collect();
        ports.join(".")
    }

    /// The form that outlives a restart: `0000:00:14.0/4.2`, where the controller is known.
    pub fn stable(&self) -> Option<String> {
        self.controller.as_ref().map(|controller| format!("{controller}/{}", self.chain()))
    }
}

/// Linux' own name of the port: `1-4.2`.
impl fmt::Display for PortPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.bus, self.chain())
    }
}

/// A bay: one physical USB port, by its path on the bus (`usb-1-4.2`) or the name the
/// operator gave it. Where the bus cannot be watched, as with a mux on another computer, it is
/// the location the mux reports.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Bay(pub String);

impl Bay {
    /// The bay of a usbmuxd LocationID: bus in the upper half, device address in the
    /// lower on Linux (1.4); `?` where the mux gave none.
    pub fn from_location(location: Option<u32>) -> Self {
        match location {
            Some(id) if id != 0 => Self(format!("usb-{}-{}", id >> 16, id & 0xffff)),
            _ => Self("?".to_owned()),
        }
    }

    /// The bay of a port without a name: `usb-1-4.2`.
    pub fn from_port(port: &PortPath) -> Self {
        Self(format!("usb-{port}"))
    }

    /// Sorts `usb-1-10` behind `usb-1-9`, and `bay 10` behind `bay 9`: numbers by value, texts
    /// by letter.
    pub fn sort_key(&self) -> Vec<(u64, String)> {
        let number = |part: &str| part.parse().unwrap_or(u64::MAX);
        self.0.split(['-', '.', ' ']).map(|part| (number(part), part.to_owned())).collect()
    }
}

impl fmt::Display for Bay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A job's number in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub i64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_named_as_linux_names_them() {
        let port = PortPath { controller: Some("0000:00:14.0".into()), bus: 1, ports: vec![4, 2] };
        assert_eq!(port.to_string(), "1-4.2");
        assert_eq!(port.stable().as_deref(), Some("0000:00:14.0/4.2"));
        assert_eq!(Bay::from_port(&port).0, "usb-1-4.2");
        let mut bays = ["usb-1-4.10", "usb-1-4.9", "usb-1-10", "usb-1-4"].map(|b| Bay(b.into()));
        bays.sort_by_key(Bay::sort_key);
        assert_eq!(bays.map(|b| b.0), ["usb-1-4", "usb-1-4.9", "usb-1-4.10", "usb-1-10"]);
    }

    #[test]
    fn udid_forms_of_section_0_4() {
        let dashed = "00008110-001A2B3C4D5E6F70";
        assert_eq!(dashed.parse::<Udid>().unwrap().as_str(), dashed);
        assert_eq!("00008110001A2B3C4D5E6F70\0".parse::<Udid>().unwrap().as_str(), dashed);
        let address = Udid::of_address(&"admin@mini-7.example".repeat(9));
        assert!(address.as_str().starts_with("ssh-admin-mini-7-example"));
        assert_eq!(address.as_str().parse::<Udid>().unwrap(), address);
        let old = "f".repeat(40);
        assert_eq!(old.parse::<Udid>().unwrap().as_str(), old);
        assert!(dashed.parse::<Udid>().unwrap().is_meant_by("00008110001a2b3c4d5e6f70"));
        for bad in ["", "-", "../etc", "00008110_001A2B3C4D5E6F70", &"é".repeat(20), &"a".repeat(65)] {
            assert!(bad.parse::<Udid>().is_err(), "{bad}");
        }
    }
}
