//! Names of things, as types that cannot be wrong.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A device's UDID in the form lockdown and pair-record files use: 40 hex digits, or
/// 8 + dash + 16 (protocols.md 0.4). Letters keep the device's case.
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

    /// A short form for tables: the first eight and the last four characters.
    pub fn short(&self) -> String {
        let tail = self.0.len().saturating_sub(4);
        format!("{}…{}", &self.0[..8.min(tail)], &self.0[tail..])
    }
}

impl FromStr for Udid {
    type Err = BadUdid;

    /// Accepts the forms of protocols.md 0.4, blanks and NULs trimmed; 24 hex digits
    /// get their dash.
    fn from_str(text: &str) -> Result<Self, BadUdid> {
        let trimmed = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        let is_hex = |s: &str| s.bytes().all(|b| b.is_ascii_hexdigit());
        match trimmed.len() {
            40 if is_hex(trimmed) => Ok(Self(trimmed.to_owned())),
            24 if is_hex(trimmed) => Ok(Self(format!("{}-{}", &trimmed[..8], &trimmed[8..]))),
            25 if trimmed.as_bytes()[8] == b'-' && is_hex(&trimmed[..8]) && is_hex(&trimmed[9..]) => {
                Ok(Self(trimmed.to_owned()))
            }
            _ => Err(BadUdid { text: trimmed.chars().take(60).collect() }),
        }
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

/// A bay: one physical USB port. Until the bus itself is watched it is named by the
/// location the mux reports.
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
    fn udid_forms_of_section_0_4() {
        let dashed = "00008110-001A2B3C4D5E6F70";
        assert_eq!(dashed.parse::<Udid>().unwrap().as_str(), dashed);
        assert_eq!("00008110001A2B3C4D5E6F70\0".parse::<Udid>().unwrap().as_str(), dashed);
        let old = "f".repeat(40);
        assert_eq!(old.parse::<Udid>().unwrap().as_str(), old);
        for bad in ["", "0000", "00008110_001A2B3C4D5E6F70", "zz008110-001A2B3C4D5E6F70", &"é".repeat(20)] {
            assert!(bad.parse::<Udid>().is_err(), "{bad}");
        }
    }
}
