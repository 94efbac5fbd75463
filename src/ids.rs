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

    /// The ECID in a dashed UDID: its tail of 16 hex digits (0.4; unconfirmed for every
    /// model, so a missing match proves nothing).
    pub fn ecid(&self) -> Option<u64> {
        let (_, tail) = self.0.split_once('-').filter(|(head, tail)| head.len() == 8 && tail.len() == 16)?;
        u64::from_str_radix(tail, 16).ok()
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

/// A batch's number in the journal, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BatchId(pub i64);

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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

/// A port as a person names it in a file: `1-4.2`, or `0000:00:14.0/4.2`, the form that
/// outlives a restart of the computer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PortName(String);

/// The text names no USB port.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("'{text}' is no USB port: {hint}")]
pub struct BadPortName {
    text: String,
    hint: String,
}

impl PortName {
    /// The name to write down for a port: the stable form where the controller is known.
    pub fn of(port: &PortPath) -> Self {
        Self(port.stable().unwrap_or_else(|| port.to_string()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if this is a name of `port`.
    pub fn names(&self, port: &PortPath) -> bool {
        port.stable().as_ref() == Some(&self.0) || port.to_string() == self.0
    }
}

impl FromStr for PortName {
    type Err = BadPortName;

    fn from_str(text: &str) -> Result<Self, BadPortName> {
        let text = text.trim();
        if is_port_name(text) {
            return Ok(Self(text.to_owned()));
        }
        let meant = text.strip_prefix("usb-").unwrap_or(text).replace(':', ".");
        let hint = match is_port_name(&meant) {
            true => format!("did you mean '{meant}'?"),
            false => "expected '1-4.2' or '0000:00:14.0/4.2', as `enlist bays list` shows them".to_owned(),
        };
        Err(BadPortName { text: text.chars().take(60).collect(), hint })
    }
}

/// Bus or controller, then one to six ports (USB allows seven tiers, the root hub is one).
fn is_port_name(text: &str) -> bool {
    let number = |part: &str| part.parse::<u8>().is_ok_and(|n| n > 0 && n.to_string() == part);
    let chain = |ports: &str| ports.split('.').all(number) && ports.split('.').count() <= 6;
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '_' | '-' | '@');
    match text.rsplit_once('/') {
        Some((controller, ports)) => !controller.is_empty() && controller.chars().all(named) && chain(ports),
        None => text.split_once('-').is_some_and(|(bus, ports)| number(bus) && chain(ports)),
    }
}

impl TryFrom<String> for PortName {
    type Error = BadPortName;
    fn try_from(text: String) -> Result<Self, BadPortName> {
        text.parse()
    }
}

impl From<PortName> for String {
    fn from(name: PortName) -> Self {
        name.0
    }
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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

/// Longest name of a bay, in characters: a line of the table has no room for more.
const BAY_NAME_CHARS: usize = 24;

/// The name an operator gives a bay, such as `Bay 7`: short, on one line, not empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BayName(String);

/// A name no bay can have.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("'{text}' cannot name a bay: {why}")]
pub struct BadBayName {
    text: String,
    why: &'static str,
}

impl BayName {
    /// The bay of this name.
    pub fn bay(&self) -> Bay {
        Bay(self.0.clone())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BayName {
    type Err = BadBayName;

    fn from_str(text: &str) -> Result<Self, BadBayName> {
        let text = text.trim();
        let why = if text.is_empty() {
            "a bay needs a name, such as 'Bay 7'"
        } else if text.chars().count() > BAY_NAME_CHARS {
            "at most 24 characters fit on the screens, such as 'Bay 7'"
        } else if text.chars().any(char::is_control) {
            "it holds a control character"
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(BadBayName { text: text.chars().take(60).filter(|c| !c.is_control()).collect(), why })
    }
}

impl TryFrom<String> for BayName {
    type Error = BadBayName;
    fn try_from(text: String) -> Result<Self, BadBayName> {
        text.parse()
    }
}

impl From<BayName> for String {
    fn from(name: BayName) -> Self {
        name.0
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
    fn names_of_ports_and_bays_are_checked_and_corrected() {
        let port = PortPath { controller: Some("0000:00:14.0".into()), bus: 1, ports: vec![4, 2] };
        for name in ["1-4.2", "0000:00:14.0/4.2", " 1-4.2 "] {
            assert!(name.parse::<PortName>().unwrap().names(&port), "{name}");
        }
        assert!(!"1-4".parse::<PortName>().unwrap().names(&port));
        assert_eq!(PortName::of(&port).as_str(), "0000:00:14.0/4.2");
        let hint = |text: &str| text.parse::<PortName>().unwrap_err().to_string();
        assert_eq!(hint("usb-1-4.2"), "'usb-1-4.2' is no USB port: did you mean '1-4.2'?");
        assert_eq!(hint("1-4:2"), "'1-4:2' is no USB port: did you mean '1-4.2'?");
        for bad in ["", "1", "1-", "1-0", "0-1", "1-256", "1-01", "1-1.2.3.4.5.6.7", "a b/1", "/1", "1-4/2/x"]
        {
            assert!(hint(bad).contains("expected '1-4.2'"), "{bad}");
        }
        assert_eq!(" Bay 7 ".parse::<BayName>().unwrap().bay(), Bay("Bay 7".into()));
        for bad in ["", "  ", "Bay\n7", &"x".repeat(25)] {
            assert!(bad.parse::<BayName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn udid_forms_of_section_0_4() {
        let dashed = "00008110-001A2B3C4D5E6F70";
        assert_eq!(dashed.parse::<Udid>().unwrap().as_str(), dashed);
        assert_eq!("00008110001A2B3C4D5E6F70\0".parse::<Udid>().unwrap().as_str(), dashed);
        assert_eq!(dashed.parse::<Udid>().unwrap().ecid(), Some(0x001A_2B3C_4D5E_6F70));
        let address = Udid::of_address(&"admin@mini-7.example".repeat(9));
        assert!(address.as_str().starts_with("ssh-admin-mini-7-example"));
        assert_eq!(address.as_str().parse::<Udid>().unwrap(), address);
        let old = "f".repeat(40);
        assert_eq!(old.parse::<Udid>().unwrap().ecid(), None);
        assert_eq!(old.parse::<Udid>().unwrap().as_str(), old);
        assert!(dashed.parse::<Udid>().unwrap().is_meant_by("00008110001a2b3c4d5e6f70"));
        for bad in ["", "-", "../etc", "00008110_001A2B3C4D5E6F70", &"é".repeat(20), &"a".repeat(65)] {
            assert!(bad.parse::<Udid>().is_err(), "{bad}");
        }
    }
}
