//! The edge where every error gets a class: who acts, and whether the job tries again
//! (protocols.md 4.10; profiles-and-enrollment.md 8, retry classes).

use super::methods::{Platform, portal_path};
use super::outcome::{Class, Outcome, Verdict};
use crate::device::DeviceError;
use crate::device::error::{ErrorName, Status, TransportError};
use crate::device::trust::{Awaiting, NotTrusted};
use crate::wire::mcinstall_error::ErrorChain;
use crate::wire::printable::sentence;

/// What an error means for the job.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    /// It is over.
    Final(Verdict),
    /// The connection broke: look at the device again, soon.
    Reconnect {
        /// In words.
        reason: String,
    },
    /// The device or its server had trouble that may pass: try again after a pause (R13).
    RetryLater {
        /// How it would end if the budget is used up.
        verdict: Verdict,
    },
    /// Something that should not happen: worth one more try, not five.
    RetryOnce {
        /// How it ends if the second try fails too.
        verdict: Verdict,
    },
    /// A person must unlock the device first.
    AwaitUnlock {
        /// [`Outcome::WaitingForUnlock`] or [`Outcome::NeverUnlocked`].
        state: Outcome,
    },
}

impl Failure {
    /// Classifies an error of the device layer.
    pub fn of(error: &DeviceError) -> Self {
        match error {
            DeviceError::Transport(error) => of_transport(error),
            // 6.4: "enumerates while lockdown is refused". A reset would not unlock it.
            DeviceError::LockdownRefused => Self::AwaitUnlock { state: Outcome::WaitingForUnlock },
            // What the mux had numbered otherwise is sorted out when it tells of the new numbers.
            DeviceError::OtherDevice { .. } => Self::Reconnect { reason: error.to_string() },
            DeviceError::NotNormal { .. } => Self::Final(Outcome::Restoring.into()),
            DeviceError::ServiceLocked { .. } => Self::AwaitUnlock { state: Outcome::NeverUnlocked },
            DeviceError::ServiceProhibited { .. } => Self::Final(Outcome::NotActivated.into()),
            DeviceError::Install { request, chain } => of_chain(request, chain),
            DeviceError::Lockdown { error: named, .. } => match named.name {
                ErrorName::PasswordProtected | ErrorName::EscrowLocked => {
                    Self::AwaitUnlock { state: Outcome::WaitingForUnlock }
                }
                ErrorName::CheckinSetupFailed
                | ErrorName::InternalError
                | ErrorName::ServiceLimit
                | ErrorName::SessionInactive => Self::RetryOnce { verdict: device_trouble(error) },
                _ => Self::Final(device_trouble(error)),
            },
            DeviceError::Status { status: Status::CommandFormatError, .. } => Self::Final(Verdict::failed(
                Class::Bug,
                sentence(error),
                "Report this with the device's model and system; another version of Enlist may be needed.",
            )),
            // "Treat any unknown Status as retryable once after an unlock" (4.1).
            DeviceError::Status { .. } => Self::RetryOnce { verdict: device_trouble(error) },
            DeviceError::ServiceAbsent { .. } | DeviceError::DeviceKey { .. } | DeviceError::Record(_) => {
                Self::Final(device_trouble(error))
            }
            DeviceError::File { source, .. } if is_full(source) => Self::RetryLater {
                verdict: Verdict::failed(
                    Class::Configuration,
                    sentence(error),
                    "Make space on the disk of the station's state folder, then plug the device in again.",
                ),
            },
            DeviceError::File { .. } | DeviceError::Identity { .. } | DeviceError::Signing { .. } => {
                Self::Final(Verdict::failed(
                    Class::Configuration,
                    format!("{error}."),
                    "Check the station's state folder: its owner, its rights, the space on its disk.",
                ))
            }
        }
    }

    /// Classifies the lack of trust.
    pub fn of_trust(reason: &NotTrusted) -> Self {
        Self::Final(match reason {
            NotTrusted::Denied => Outcome::TrustDenied.into(),
            NotTrusted::FindMyLocked => Outcome::ActivationLocked.into(),
            NotTrusted::Forbidden(ErrorName::PairingProhibitedOverThisConnection) => {
                Verdict::from(Outcome::PairingForbidden)
                    .saying("The device pairs over a cable only.")
                    .then("Connect it to this station by cable.")
            }
            NotTrusted::Forbidden(_) => Outcome::PairingForbidden.into(),
            NotTrusted::NotSupervisor { tried } => {
                Verdict::from(Outcome::PairingForbidden).saying(format!(
                    "The organisation that manages the device allows pairing to its supervision identities, and it accepts none of this station's ({tried})."
                ))
            }
            NotTrusted::NoAnswer { reason } => Verdict::failed(
                Class::Device,
                format!("The device did not answer when it was asked for trust ({reason})."),
                "Restart the device and plug it in again.",
            ),
            NotTrusted::NeedsPairing => Verdict::from(Outcome::Planned)
                .saying("The device would be asked for trust first; the rest is decided after that."),
            NotTrusted::NewRecordUseless { reason } => Verdict::failed(
                Class::Device,
                format!("The device was paired, but no session can be started: {reason}."),
                "Restart the device and plug it in again.",
            ),
            NotTrusted::TimedOut(Awaiting::Trust) => Outcome::WaitingForTrust.into(),
            NotTrusted::TimedOut(Awaiting::Unlock) => Outcome::WaitingForUnlock.into(),
            NotTrusted::RecordRefused(name) => Verdict::failed(
                Class::Bug,
                format!("The device refused the station's pair record ({}).", name.as_str()),
                "Restart the device and try again; if it stays, report it with the device's model and system.",
            ),
            NotTrusted::Trouble(error) => Verdict::failed(
                Class::Device,
                format!("The device could not pair ({error})."),
                "Restart the device and plug it in again.",
            ),
        })
    }
}

/// Space comes back, rights do not.
fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

fn device_trouble(error: &DeviceError) -> Verdict {
    Verdict::failed(Class::Device, sentence(error), "Restart the device and plug it in again.")
}

fn of_transport(error: &TransportError) -> Failure {
    match error {
        TransportError::MuxUnreachable { .. } | TransportError::MuxRefused { .. } => {
            Failure::Reconnect { reason: error.to_string() }
        }
        TransportError::RecordKeys { .. } => Failure::Final(Verdict::failed(
            Class::Configuration,
            sentence(error),
            "Run `enlist unpair` for the device and try again.",
        )),
        // What only a broken or hostile device sends is not tried again and again.
        TransportError::Frame(_) | TransportError::Plist(_) | TransportError::Answer { .. } => {
            Failure::RetryOnce {
                verdict: Verdict::failed(
                    Class::Device,
                    sentence(error),
                    "Restart the device, try another cable, and plug it in again.",
                ),
            }
        }
        _ => Failure::Reconnect { reason: error.to_string() },
    }
}

/// Classifies a device's error chain by the deepest code that decides.
pub fn of_chain(request: &str, chain: &ErrorChain) -> Failure {
    let verdict = |class, next: &str| {
        let cause = chain.cause().map(ToString::to_string).unwrap_or_else(|| "no reason given".into());
        let what = if request == "InstallProfile" { "the profile" } else { request };
        let sentence = format!("The device refused {what}: {cause}.");
        Verdict::failed(class, sentence, next).because(chain.clone())
    };
    let with = |outcome: Outcome| Verdict::from(outcome).because(chain.clone());
    // Lock and person first: they pass by themselves, whatever else the chain says.
    if chain.has("Installation", &[4009]) || chain.has("Tunnel", &[14001]) || chain.has("Passcode", &[5010]) {
        return Failure::AwaitUnlock { state: Outcome::WaitingForUnlock };
    }
    if chain.has("MDM", &[12001]) {
        return Failure::Final(with(Outcome::OtherMdm));
    }
    if chain.has("Installation", &[4004]) || chain.has("MDM", &[12063]) {
        let said = with(Outcome::PersonDidNotAccept).saying("The installation was cancelled on the device.");
        return Failure::Final(said);
    }
    if chain.has("Installation", &[4021]) {
        let sentence = "Lockdown Mode is on, so the device takes no profile.";
        let next = "Turn Lockdown Mode off in Settings > Privacy & Security, then try again.";
        return Failure::Final(verdict(Class::Operator, next).saying(sentence));
    }
    if chain.has("MDM", &[12002])
        || chain.has("SCEP", &[22002, 22005, 22006])
        || chain.has("HTTPTransaction", &[23001])
    {
        let next = "Check the device's network and clock, and that the MDM server can be reached.";
        return Failure::RetryLater { verdict: verdict(Class::Server, next) };
    }
    Failure::Final(refusal(chain, verdict))
}

/// Refusals that no retry helps: who must change what.
fn refusal(chain: &ErrorChain, verdict: impl Fn(Class, &str) -> Verdict) -> Verdict {
    if chain.has("Installation", &[4005, 4027]) {
        return verdict(Class::Operator, "Set or change the device's passcode, then try again.");
    }
    if chain.has("Installation", &[4020, 4037, 4054]) || chain.has("MDM", &[12088]) {
        let next = "A restriction on the device forbids it: have it lifted by whoever manages the device, or erase it.";
        return verdict(Class::Device, next);
    }
    if chain.has("Installation", &[4008, 4015, 4025]) || chain.has("MDM", &[12009, 12012, 12013]) {
        let next = "Remove the profile that is installed, or erase the device, then try again.";
        return verdict(Class::Operator, next);
    }
    if chain.has("Tunnel", &[14002]) || chain.has("CloudConfig", &[33003, 33004]) {
        return verdict(Class::Device, "Erase the device, or enroll it through Automated Device Enrollment.");
    }
    if chain.has("Chaperone", &[29000, 29003]) {
        let next =
            "The profile asks for a supervised device: use another profile, or supervise the device first.";
        return verdict(Class::Configuration, next);
    }
    if chain.has("Installation", &[4055]) {
        let next = "Export a direct-enrollment profile; User Enrollment now begins on the device with the user's account.";
        return verdict(Class::Configuration, next);
    }
    if chain.has("SCEP", &[22013]) || chain.has("MDM", &[12003]) {
        let path = portal_path(Platform::Iphone);
        let next = format!(
            "Export the profile again: its challenge is probably stale (exports live two weeks). {path} (R18)."
        );
        return verdict(Class::Configuration, &next);
    }
    if chain.has("MDM", &[12004, 12007, 12020, 12022]) {
        let next = "Check the MDM server: its push certificate, and whether it accepts this device.";
        return verdict(Class::Server, next);
    }
    if chain.has("HTTPTransaction", &[23000, 23002]) || chain.has("MDM", &[12006, 12008]) {
        let next =
            "Check the device's clock and its network: captive portal, TLS inspection, server certificate.";
        return verdict(Class::Server, next);
    }
    if chain.has("WiFi", &[13000, 13001, 13002, 13003, 13004, 13005]) {
        let next = "Check name, security and password of the network: under [wifi], or in the profile.";
        return verdict(Class::Configuration, next);
    }
    let family = |family: &str, range: std::ops::RangeInclusive<i64>| {
        chain.links().iter().any(|l| l.code_in(family).is_some_and(|c| range.contains(&c)))
    };
    let of_file = family("Profile", 1000..=1012)
        || family("Profile", 1014..=1017)
        || family("Payload", 2000..=2005)
        || chain.has("Installation", &[4000, 4006, 4007, 4011, 4022, 4023, 4026])
        || chain.has("MDM", &[12000, 12005, 12011, 12016, 12030, 12034, 12098])
        || family("Certificate", 9000..=9006);
    if of_file {
        return verdict(Class::Configuration, "Export the profile again, or correct it.");
    }
    verdict(Class::Device, "Restart the device and try again; if it stays, report it with this code.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::mcinstall_error::ChainLink;

    fn chain(links: &[(&str, i64)]) -> ErrorChain {
        ErrorChain::new(links.iter().map(|(domain, code)| ChainLink::new(domain, *code)))
    }

    fn wrapped(domain: &str, code: i64) -> Failure {
        of_chain("InstallProfile", &chain(&[("MCInstallationErrorDomain", 4001), (domain, code)]))
    }

    fn class(failure: Failure) -> Class {
        match failure {
            Failure::Final(verdict) | Failure::RetryLater { verdict } => verdict.class,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn retry_classes_of_section_8() {
        for (domain, code) in [
            ("MCMDMErrorDomain", 12002),
            ("MCSCEPErrorDomain", 22002),
            ("MCSCEPErrorDomain", 22005),
            ("MCSCEPErrorDomain", 22006),
            ("MCHTTPTransactionErrorDomain", 23001),
        ] {
            assert!(matches!(wrapped(domain, code), Failure::RetryLater { .. }), "{domain} {code}");
        }
        for (domain, code) in [
            ("MCInstallationErrorDomain", 4009),
            ("DMCTunnelErrorDomain", 14001),
            ("MCPasscodeErrorDomain", 5010),
        ] {
            assert!(matches!(wrapped(domain, code), Failure::AwaitUnlock { .. }), "{domain} {code}");
        }
        for code in [1000, 1004, 1010] {
            assert_eq!(class(wrapped("MCProfileErrorDomain", code)), Class::Configuration);
        }
        for code in [12004, 12007, 12020, 12022] {
            assert_eq!(class(wrapped("MCMDMErrorDomain", code)), Class::Server);
        }
        assert_eq!(class(wrapped("DMCInstallationErrorDomain", 4021)), Class::Operator);
        assert_eq!(class(wrapped("DMCInstallationErrorDomain", 4020)), Class::Device);
        assert_eq!(class(wrapped("MCSCEPErrorDomain", 22013)), Class::Configuration);
    }

    #[test]
    fn outcomes_that_have_a_name_of_their_own() {
        let outcome = |failure| match failure {
            Failure::Final(verdict) => verdict.outcome,
            other => panic!("{other:?}"),
        };
        assert_eq!(outcome(wrapped("MCMDMErrorDomain", 12001)), Outcome::OtherMdm);
        assert_eq!(outcome(wrapped("MCInstallationErrorDomain", 4004)), Outcome::PersonDidNotAccept);
        let trust = |reason| outcome(Failure::of_trust(&reason));
        assert_eq!(trust(NotTrusted::Denied), Outcome::TrustDenied);
        assert_eq!(trust(NotTrusted::FindMyLocked), Outcome::ActivationLocked);
        assert_eq!(trust(NotTrusted::Forbidden(ErrorName::McProtected)), Outcome::PairingForbidden);
        assert_eq!(trust(NotTrusted::TimedOut(Awaiting::Trust)), Outcome::WaitingForTrust);
        assert_eq!(trust(NotTrusted::TimedOut(Awaiting::Unlock)), Outcome::WaitingForUnlock);
    }

    #[test]
    fn an_unknown_code_prints_raw_with_its_domain() {
        let Failure::Final(verdict) = wrapped("MCNewErrorDomain", 99) else { panic!("final") };
        assert!(verdict.sentence.contains("MCNewErrorDomain 99"), "{}", verdict.sentence);
        assert_eq!(verdict.chain.links().len(), 2);
    }
}
