//! What answers to StartSession and StartService mean (protocols.md 3.9, 3.10).

use crate::wire::lockdown::{ErrorName, LockdownError, Reply};

/// State of a session after StartSession was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Session {
    /// It runs; with `tls` the next byte on the stream is TLS.
    Started {
        /// Ends the session by StopSession.
        id: String,
        /// EnableSessionSSL.
        tls: bool,
    },
    /// The device does not know this host (any more): the record is stale, pair again.
    UnknownHost,
    /// The device wants an unlock first (seen on old systems).
    Locked,
    /// Something else.
    Refused(LockdownError),
    /// Neither an error nor a session: the answer makes no sense.
    Senseless,
}

impl Session {
    /// Reads an answer to StartSession.
    pub fn of(reply: &Reply) -> Self {
        match (reply.error(), reply.session()) {
            (None, Some((id, tls))) => Self::Started { id: id.to_owned(), tls },
            (None, None) => Self::Senseless,
            (Some(error), _) => match error.name {
                ErrorName::InvalidHostId | ErrorName::MissingHostId => Self::UnknownHost,
                ErrorName::PasswordProtected => Self::Locked,
                _ => Self::Refused(error),
            },
        }
    }
}

/// State of a service after StartService was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceStart {
    /// It listens on `port` for a few seconds.
    Listening {
        /// Port on the device.
        port: u16,
        /// EnableServiceSSL: obey it rather than a list (3.10).
        tls: bool,
    },
    /// The device was not unlocked since boot, or the service wants an unlock.
    Locked {
        /// True if it certainly was not unlocked since boot.
        never_unlocked: bool,
    },
    /// The device is not activated.
    Prohibited,
    /// This system does not have the service.
    Absent,
    /// Something else.
    Refused(LockdownError),
    /// The answer makes no sense.
    Senseless,
}

impl ServiceStart {
    /// Reads an answer to StartService.
    pub fn of(reply: &Reply) -> Self {
        match (reply.error(), reply.service()) {
            (None, Some((port, tls))) => Self::Listening { port, tls },
            (None, None) => Self::Senseless,
            (Some(error), _) => match error.name {
                ErrorName::PasswordProtected => Self::Locked { never_unlocked: false },
                ErrorName::EscrowLocked => Self::Locked { never_unlocked: true },
                ErrorName::ServiceProhibited => Self::Prohibited,
                ErrorName::InvalidService => Self::Absent,
                _ => Self::Refused(error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plist::Value;

    fn error(name: &str) -> Reply {
        Reply::to("x").with_error(&ErrorName::from_wire(name))
    }

    #[test]
    fn answers_of_section_3_9() {
        let started = Reply::to("StartSession")
            .with("SessionID", Value::from("S"))
            .with("EnableSessionSSL", Value::Boolean(true));
        assert_eq!(Session::of(&started), Session::Started { id: "S".into(), tls: true });
        assert_eq!(Session::of(&error("InvalidHostID")), Session::UnknownHost);
        assert_eq!(Session::of(&error("PasswordProtected")), Session::Locked);
        assert!(matches!(Session::of(&error("SessionActive")), Session::Refused(_)));
        assert_eq!(Session::of(&Reply::to("StartSession")), Session::Senseless);
    }

    #[test]
    fn answers_of_section_3_10() {
        let listening = Reply::to("StartService").with("Port", Value::from(1234));
        assert_eq!(ServiceStart::of(&listening), ServiceStart::Listening { port: 1234, tls: false });
        assert_eq!(
            ServiceStart::of(&error("PasswordProtected")),
            ServiceStart::Locked { never_unlocked: false }
        );
        assert_eq!(ServiceStart::of(&error("EscrowLocked")), ServiceStart::Locked { never_unlocked: true });
        assert_eq!(ServiceStart::of(&error("ServiceProhibited")), ServiceStart::Prohibited);
        assert_eq!(ServiceStart::of(&error("InvalidService")), ServiceStart::Absent);
        let port_zero = Reply::to("StartService").with("Port", Value::from(0));
        assert_eq!(ServiceStart::of(&port_zero), ServiceStart::Senseless);
    }
}
