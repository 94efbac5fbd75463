//! What a bay can show: the outcomes of design section 3, each with its machine name, one
//! sentence for the technician, a next action, and the class of who must act.

use crate::ids::Bay;
use crate::wire::mcinstall_error::ErrorChain;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Who must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Nobody: it is done, or it goes on by itself.
    None,
    /// The person at the bench.
    Operator,
    /// The device itself is in a state that forbids it.
    Device,
    /// Cable, port, mux.
    Transport,
    /// The MDM server, its certificates, the network to it.
    Server,
    /// The file, the policy, the configuration of the station.
    Configuration,
    /// Us.
    Bug,
}

impl Class {
    /// The machine name.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Operator => "operator",
            Self::Device => "device",
            Self::Transport => "transport",
            Self::Server => "server",
            Self::Configuration => "configuration",
            Self::Bug => "bug",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! outcomes {
    ($($variant:ident = $name:literal, $class:ident, $sentence:literal, $next:expr;)+) => {
        /// State of a bay, and the end of a job (design section 3).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Outcome {
            $(#[doc = $sentence] $variant,)+
        }

        impl Outcome {
            /// All outcomes, in the order of a device's life.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stable machine name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Who must act, unless the job knows better.
            pub fn class(self) -> Class {
                match self { $(Self::$variant => Class::$class,)+ }
            }

            /// One sentence for the technician.
            pub fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)+ }
            }

            /// What to do next, if anything.
            pub fn next(self) -> Option<&'static str> {
                match self { $(Self::$variant => $next,)+ }
            }
        }
    };
}

outcomes! {
    Attached = "attached", None, "The device is attached.", None;
    RecoveryMode = "recovery-mode", Operator, "The device is in recovery mode.",
        Some("Restart it to normal mode, then plug it in again.");
    DfuMode = "dfu-mode", Operator, "The device is in DFU mode; its screen is black.",
        Some("Force-restart it, or restore it with a Mac.");
    Restoring = "restoring", Operator, "The device runs its restore system and cannot be enrolled now.",
        Some("Let the restore finish, then plug it in again.");
    ChargingOnly = "charging-only", Operator, "The device only charges; it offers no data.",
        Some("Unlock it and allow the accessory, then plug it in again.");
    MacAttached = "mac-attached", Operator, "This is a Mac; profiles cannot be pushed to it by cable.",
        Some("Carry the profile to the Mac and open it there.");
    WaitingForTrust = "waiting-for-trust", Operator, "The device asks whether to trust this station.",
        Some("Tap Trust on the device and enter its passcode.");
    TrustDenied = "trust-denied", Operator, "Trust was refused on the device.",
        Some("Unplug the device, plug it in again, and tap Trust.");
    WaitingForUnlock = "waiting-for-unlock", Operator, "The device is locked.",
        Some("Unlock the device, allow the accessory if it asks, and keep its screen on.");
    NeverUnlocked = "never-unlocked", Operator, "The device has not been unlocked since it was started.",
        Some("Enter the device's passcode once, then try again.");
    PairingForbidden = "pairing-forbidden", Device, "The organisation that manages the device forbids pairing with this station.",
        Some("Use the station that holds the supervision identity, or have the pairing restriction lifted.");
    NotActivated = "not-activated", Operator, "The device is not activated.",
        Some("Connect it to Wi-Fi in Setup Assistant so that it activates, then plug it in again.");
    ActivationLocked = "activation-locked", Operator, "The device is locked by Find My.",
        Some("Its owner must sign out of Find My, or the organisation must clear the Activation Lock.");
    InSetup = "in-setup", Operator, "Setup Assistant is not finished.",
        Some("Finish Setup Assistant on the device, then plug it in again.");
    TooOld = "too-old", Configuration, "The device's system is too old for this profile.",
        Some("Use the SCEP export of the profile, or update the device.");
    OtherMdm = "other-mdm", Operator, "The device is already managed by another MDM profile.",
        Some("Remove the other management profile in Settings > General > VPN & Device Management, or erase the device.");
    AlreadyEnrolled = "already-enrolled", None, "The device already has this profile; nothing was pushed.", None;
    Planned = "planned", None, "This is what would be done; nothing was changed.", None;
    Pushing = "pushing", None, "The profile is being pushed to the device.", None;
    WaitingForPerson = "waiting-for-person", Operator, "The profile waits on the device for a person to install it.",
        Some("On the device: Settings > Profile Downloaded > Install, enter the passcode, Install, Trust.");
    PersonDidNotAccept = "person-did-not-accept", Operator, "Nobody installed the profile before the device dropped it.",
        Some("Push it again (replug the device, or run enlist again) and install the profile within eight minutes.");
    Verifying = "verifying", None, "The device's profile list is being read back.", None;
    Enrolled = "enrolled", None, "The device is enrolled: the profile was read back from it.", None;
    PoliciesSeen = "policies-seen", None, "The device is enrolled and the first policies have arrived.", None;
    Erasing = "erasing", None, "The device erases itself and restarts.", None;
    Erased = "erased", None, "The device is erased: it is back in Setup Assistant, with nothing on it.", None;
    Prepared = "prepared", None, "The device is prepared: its configuration was read back from it.", None;
    Failed = "failed", Bug, "The enrollment failed.", None;
    Retrying = "retrying", None, "The last try failed; the next one follows by itself.", None;
    DetachedMidway = "detached-midway", Transport, "The device was unplugged before it was done.",
        Some("Plug the device in again; the job goes on where it was.");
    Quarantined = "quarantined", Transport, "The device keeps disappearing.",
        Some("Try another cable in this bay.");
}

impl Outcome {
    /// True if the job reached its goal.
    pub fn is_success(self) -> bool {
        matches!(
            self,
            Self::Enrolled
                | Self::PoliciesSeen
                | Self::AlreadyEnrolled
                | Self::Planned
                | Self::Erased
                | Self::Prepared
        )
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How something stands or ended, with everything a person or a script needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The outcome.
    pub outcome: Outcome,
    /// Who must act.
    pub class: Class,
    /// One sentence.
    pub sentence: String,
    /// Next action, if any.
    pub next: Option<String>,
    /// The device's error chain, whole.
    #[serde(default, skip_serializing_if = "ErrorChain::is_empty")]
    pub chain: ErrorChain,
}

impl From<Outcome> for Verdict {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            class: outcome.class(),
            sentence: outcome.sentence().into(),
            next: outcome.next().map(Into::into),
            chain: ErrorChain::default(),
        }
    }
}

impl Verdict {
    /// A failure for which `class` must act.
    pub fn failed(class: Class, sentence: impl Into<String>, next: &str) -> Self {
        Self {
            outcome: Outcome::Failed,
            class,
            sentence: sentence.into(),
            next: Some(next.into()),
            chain: ErrorChain::default(),
        }
    }

    /// A device that keeps disappearing from this bay.
    pub fn quarantined(bay: &Bay) -> Self {
        Self::from(Outcome::Quarantined)
            .saying(format!("The device keeps disappearing from {bay}."))
            .then(format!("Try another cable in {bay}."))
    }

    /// Replaces the sentence.
    #[must_use]
    pub fn saying(self, sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), ..self }
    }

    /// Replaces the next action.
    #[must_use]
    pub fn then(self, next: impl Into<String>) -> Self {
        Self { next: Some(next.into()), ..self }
    }

    /// Keeps the device's error chain.
    #[must_use]
    pub fn because(self, chain: ErrorChain) -> Self {
        Self { chain, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A recording may say nothing else.
    #[test]
    fn the_check_of_recordings_knows_every_name() {
        use crate::transport::recorder::words::{CLASSES, OUTCOMES};
        let mut names: Vec<_> = Outcome::ALL.iter().map(|outcome| outcome.name()).collect();
        names.sort_unstable();
        assert_eq!(names, OUTCOMES);
        assert!(Outcome::ALL.iter().all(|outcome| CLASSES.contains(&outcome.class().name())));
        assert!(CLASSES.contains(&Class::Server.name()));
    }

    #[test]
    fn machine_names_are_what_serde_writes() {
        for outcome in Outcome::ALL {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.name());
        }
    }

    #[test]
    fn whoever_must_act_is_told_what_to_do() {
        for outcome in Outcome::ALL.iter().filter(|o| **o != Outcome::Failed) {
            assert_eq!(outcome.next().is_some(), outcome.class() != Class::None, "{outcome}");
        }
    }
}
