//! What a cell must come to: a function of the kind of message and the fault, not a table.

use super::cell::Fault;
use super::conversation::{Message, Place};
use enlist::wire::mcinstall;
use enlist::workflow::outcome::{Class, Outcome, Verdict};

/// How a job may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Enrolled, and the device has the profile (the invariants look).
    Enrolled,
    /// The device said no, and its word is final.
    Refused,
    /// Something else.
    Other,
}

impl End {
    pub(crate) fn of(verdict: &Verdict) -> Self {
        match (verdict.outcome, verdict.class) {
            (Outcome::Enrolled | Outcome::AlreadyEnrolled, _) => Self::Enrolled,
            (Outcome::Failed, Class::Device | Class::Bug) => Self::Refused,
            _ => Self::Other,
        }
    }

    pub(crate) fn letter(self) -> char {
        match self {
            Self::Enrolled => 'E',
            Self::Refused => 'R',
            Self::Other => '?',
        }
    }
}

/// One fault that passes costs nobody the enrollment, but where the device itself refuses:
/// an error chain is its decision, and of those only the ones of section 8 are tried again; and
/// a request that it finds malformed is not sent again as if it were not.
pub(crate) fn expected(message: &Message, fault: Fault) -> End {
    let refuses = match (message.place, fault) {
        (Place::Answer { .. }, Fault::ErrorReply) => message.service == mcinstall::SERVICE,
        (Place::Request { .. }, Fault::WrongType) => true,
        _ => false,
    };
    if refuses && !is_optional(message) { End::Refused } else { End::Enrolled }
}

/// What an enrollment can do without: values, the question about supervision, notifications,
/// the look for an app.
fn is_optional(message: &Message) -> bool {
    const OPTIONAL: [&str; 4] = ["GetValue", "GetCloudConfiguration", "ObserveNotification", "Lookup"];
    const SERVICES: [&str; 2] = ["notification_proxy", "installation_proxy"];
    OPTIONAL.contains(&message.name.as_str()) || SERVICES.iter().any(|s| message.name.ends_with(s))
}

/// Which faults are one and the same at a message, so that one of them is run.
pub(crate) fn same_as(message: &Message, fault: Fault) -> Option<Fault> {
    let request = matches!(message.place, Place::Request { .. });
    // A device hangs up on a request it cannot read.
    (request && matches!(fault, Fault::Truncate | Fault::Garbage)).then_some(Fault::Eof)
}
