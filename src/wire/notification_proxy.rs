//! Messages of the notification proxies (protocols.md 5.2), both directions.

use super::fields::{Fields, dictionary, string};
use plist::{Dictionary, Value};

/// The proxy that needs a lockdown session.
pub const SERVICE: &str = "com.apple.mobile.notification_proxy";

/// A profile was installed, removed, queued, or purged from the queue.
pub const PROFILE_LIST_CHANGED: &str = "com.apple.ManagedConfiguration.profileListChanged";

/// The MDM payload was installed or rolled back (text mapping unconfirmed).
pub const MANAGED_ORG_INFO_CHANGED: &str = "com.apple.managedconfiguration.managedorginfochanged";

/// One message. Events carry no payload and may be merged: always re-read the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Host: relay this name to me. There is no answer.
    Observe(String),
    /// Host: post this name on the device.
    Post(String),
    /// Host: end.
    Shutdown,
    /// Device: this name was posted.
    Relay(String),
    /// Device: the proxy ends.
    ProxyDeath,
    /// Anything else; to be ignored.
    Unknown,
}

impl Message {
    /// The message as a property list.
    pub fn to_plist(&self) -> Value {
        let (command, name) = match self {
            Self::Observe(name) => ("ObserveNotification", Some(name)),
            Self::Post(name) => ("PostNotification", Some(name)),
            Self::Shutdown => ("Shutdown", None),
            Self::Relay(name) => ("RelayNotification", Some(name)),
            Self::ProxyDeath => ("ProxyDeath", None),
            Self::Unknown => ("", None),
        };
        let name = name.map(|n| Value::String(n.clone()));
        Value::Dictionary(dictionary([("Command", string(command)), ("Name", name)]))
    }

    /// Reads a message; what is not understood is [`Message::Unknown`].
    pub fn from_plist(fields: &Dictionary) -> Self {
        let name = fields.text("Name").map(str::to_owned);
        match (fields.text("Command"), name) {
            (Some("ObserveNotification"), Some(name)) => Self::Observe(name),
            (Some("PostNotification"), Some(name)) => Self::Post(name),
            (Some("Shutdown"), _) => Self::Shutdown,
            (Some("RelayNotification"), Some(name)) => Self::Relay(name),
            (Some("ProxyDeath"), _) => Self::ProxyDeath,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_reads_back() {
        for message in [
            Message::Observe(PROFILE_LIST_CHANGED.into()),
            Message::Post("x".into()),
            Message::Shutdown,
            Message::Relay(PROFILE_LIST_CHANGED.into()),
            Message::ProxyDeath,
        ] {
            let Value::Dictionary(fields) = message.to_plist() else { panic!("a dictionary") };
            assert_eq!(Message::from_plist(&fields), message);
        }
        assert_eq!(Message::from_plist(&Dictionary::new()), Message::Unknown);
    }
}
