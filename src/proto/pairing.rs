//! What an answer to Pair means (protocols.md 3.6, 3.7, 3.12): each its own state.

use crate::secret::Secret;
use crate::wire::lockdown::{ErrorName, LockdownError, Reply};

/// State of a pairing after an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Pairing {
    /// The device trusts us. Without an escrow bag it was locked at that moment: the trust
    /// holds, but a good stored record must not be overwritten by one without a bag (3.7).
    Trusted {
        /// Opens some services while the device is locked.
        escrow_bag: Option<Secret<Vec<u8>>>,
    },
    /// The Trust dialog is up: ask again in a second, on the same connection.
    DialogPending,
    /// The device is locked; the dialog is prepared for the next unlock.
    Locked,
    /// "Don't Trust" was tapped: latched until the device is unplugged.
    Denied,
    /// Pairing is forbidden by the organisation that manages the device, or over this kind
    /// of connection.
    Forbidden(ErrorName),
    /// A supervision identity would be accepted: sign this challenge (3.7).
    ChallengeRequired(Secret<Vec<u8>>),
    /// Find My forbids it.
    FindMyLocked,
    /// The USB host vanished for the device while it asked the person: start over on a new
    /// connection (3.6).
    HostVanished,
    /// The device took offence at our record or could not store it.
    RecordRefused(ErrorName),
    /// Trouble on the device; one retry is in order (3.10: "retry once").
    Trouble(LockdownError),
}

impl Pairing {
    /// Reads an answer.
    pub fn of(reply: &Reply) -> Self {
        let Some(error) = reply.error() else {
            return Self::Trusted { escrow_bag: reply.escrow_bag() };
        };
        match error.name {
            ErrorName::PairingDialogResponsePending => Self::DialogPending,
            ErrorName::PasswordProtected | ErrorName::EscrowLocked => Self::Locked,
            ErrorName::UserDeniedPairing => Self::Denied,
            ErrorName::McChallengeRequired => match reply.pairing_challenge() {
                Some(challenge) => Self::ChallengeRequired(challenge),
                None => Self::Forbidden(error.name),
            },
            ErrorName::McProtected
            | ErrorName::NotAValidChaperoneHost
            | ErrorName::PairingProhibitedOverThisConnection => Self::Forbidden(error.name),
            ErrorName::FmipProtected => Self::FindMyLocked,
            ErrorName::InvalidHostId => Self::HostVanished,
            ErrorName::InvalidPairRecord
            | ErrorName::InvalidResponse
            | ErrorName::MissingHostId
            | ErrorName::MissingPairRecord
            | ErrorName::MissingValue
            | ErrorName::SavePairRecordFailed => Self::RecordRefused(error.name),
            _ => Self::Trouble(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fields::{data, dictionary};
    use plist::Value;

    fn answer(name: &str) -> Pairing {
        Pairing::of(&Reply::to("Pair").with_error(&ErrorName::from_wire(name)))
    }

    #[test]
    fn every_answer_of_section_3_6_is_its_own_state() {
        assert_eq!(answer("PairingDialogResponsePending"), Pairing::DialogPending);
        assert_eq!(answer("PasswordProtected"), Pairing::Locked);
        assert_eq!(answer("UserDeniedPairing"), Pairing::Denied);
        assert_eq!(answer("MCProtected"), Pairing::Forbidden(ErrorName::McProtected));
        assert_eq!(answer("MCChallengeRequired"), Pairing::Forbidden(ErrorName::McChallengeRequired));
        assert_eq!(answer("FMiPProtected"), Pairing::FindMyLocked);
        assert_eq!(answer("InvalidHostID"), Pairing::HostVanished);
        assert_eq!(answer("InvalidPairRecord"), Pairing::RecordRefused(ErrorName::InvalidPairRecord));
        assert!(matches!(answer("InternalError"), Pairing::Trouble(_)));
        assert!(matches!(answer("SomethingNew"), Pairing::Trouble(_)));
        assert_eq!(Pairing::of(&Reply::to("Pair")), Pairing::Trusted { escrow_bag: None });
    }

    #[test]
    fn a_challenge_is_kept_byte_for_byte() {
        let bytes = vec![0x0a, 0x0d, 0x00, 0x0a];
        let extended = dictionary([("PairingChallenge", data(bytes.clone()))]);
        let reply = Reply::to("Pair")
            .with_error(&ErrorName::McChallengeRequired)
            .with("ExtendedResponse", Value::Dictionary(extended));
        assert_eq!(Pairing::of(&reply), Pairing::ChallengeRequired(Secret::new(bytes)));
    }
}
