//! Personas: named kinds of device and person, one for each outcome a station can meet.
//!
//! A persona is only a name for [`Settings`]; a scenario file starts from one and overrides
//! single settings.

use super::fault::{Fault, FaultKind};
use super::identity::Family;
use super::span::{After, Latency, Span};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Everything that makes one simulated device differ from the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Kind of hardware; drawn if not given.
    pub family: Option<Family>,
    /// ProductType; drawn if not given.
    pub product_type: Option<String>,
    /// ProductVersion; drawn from 17 to 26 if not given.
    pub os_version: Option<String>,
    /// DeviceName; `Simulated iPhone 3` if not given.
    pub name: Option<String>,

    /// Setup Assistant is over.
    pub setup_done: bool,
    /// A passcode is set.
    pub passcode: bool,
    /// The screen is locked at the start.
    pub locked: bool,
    /// It was unlocked since it booted (first unlock).
    pub unlocked_since_boot: bool,
    /// Activation (5.1).
    pub activation: Activation,
    /// When a device that is not activated activates itself over its network (5.1). If not
    /// given, it does so only after an erase, at once; bound by Find My it never does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activates_after: Option<After>,
    /// Its activation says that it belongs to an organisation's Automated Device Enrollment:
    /// a host must not configure it (33004, 4.7).
    pub automated: bool,
    /// Find My is on: `com.apple.fmip IsAssociated`.
    pub find_my: bool,
    /// Find My's lock policy forbids pairing (3.6 row 2).
    pub find_my_forbids_pairing: bool,
    /// What management says about pairing (3.6 row 4).
    pub pairing: PairingPolicy,
    /// Supervised; the supervisor is the constructed identity of `fixtures/identities`.
    pub supervised: bool,
    /// Its management cannot be removed: `IsMDMUnremovable` (4.7); for supervised devices.
    pub mdm_locked: bool,
    /// Runs a restore system: QueryType answers `com.apple.mobile.restored` (3.2).
    pub restore_mode: bool,
    /// Lockdown Mode is on: 4021 (4.5).
    pub lockdown_mode: bool,
    /// A restriction forbids installing profiles by hand: 4020 (4.5).
    pub ui_install_forbidden: bool,
    /// A supervisor's silent installs are refused (whether every system takes MDM profiles so
    /// is unconfirmed, R23).
    pub silent_install_forbidden: bool,
    /// A restriction forbids MDM enrollment: 12088 (4.5).
    pub enrollment_forbidden: bool,
    /// Profiles that are there already.
    pub installed: Vec<Preinstalled>,
    /// Bundle ids of the apps on it.
    pub apps: Vec<String>,

    /// What the person answers to the Trust dialog.
    pub trust_answer: TrustAnswer,
    /// When.
    pub trust_after: After,
    /// When the person unlocks a locked device.
    pub unlock_after: After,
    /// What the person does with a downloaded profile.
    pub accept_answer: AcceptAnswer,
    /// When.
    pub accept_after: After,
    /// Evenly spread addition to each of these times.
    pub person_jitter: Span,

    /// How long a silent install works before it answers.
    pub install_takes: Span,
    /// Failures of silent installs, in order; afterwards they succeed.
    pub install_errors: Vec<InstallError>,
    /// What `profiled` writes to the device's log at a push.
    pub install_logs: Vec<String>,
    /// How the queueing of a profile is answered (4.5, which one is unconfirmed).
    pub queue_reply: QueueReply,
    /// When policies follow an enrollment.
    pub policies_after: After,
    /// How many.
    pub policies: u32,
    /// Code for another MDM profile beside an installed one: 12001, or 12012 as for a
    /// replacement (4.5 names both).
    pub foreign_mdm_error: i64,
    /// Status of InstallProfile without Payload; the device's text is unconfirmed (4.2).
    pub payload_empty_status: String,
    /// Language of LocalizedDescription: `en`, or anything else for text that is not English.
    pub language: String,

    /// Pair answers hand out an escrow bag.
    pub escrow_bag: bool,
    /// Position of the record check inside Pair (3.6 row 9, unconfirmed).
    pub record_check: RecordCheck,
    /// Which values are readable without a session (3.4, partly unconfirmed).
    pub public_values: PublicValues,
    /// StartSession works before the first unlock (3.13, unconfirmed on the newest systems).
    pub session_before_unlock: bool,
    /// StartSession works while the screen is locked; old systems refuse it (3.9).
    pub session_while_locked: bool,
    /// TLS versions.
    pub tls: TlsVersions,
    /// Send close_notify when a session ends; real devices just close (3.9).
    pub close_notify: bool,

    /// Delay of each answer; the fleet's if not given.
    pub latency: Option<Latency>,
    /// From reboot to being attached again (3.13: 20-60 s).
    pub reboot_takes: Span,
    /// Seconds its clock is ahead of the computer's; below zero: behind.
    pub clock_ahead: i64,
    /// Faults.
    pub faults: Vec<Fault>,
}

/// Activation states the simulator knows (5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // the wire names themselves
pub enum Activation {
    Activated,
    FactoryActivated,
    Unactivated,
}

impl Activation {
    /// `ActivationState`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Activated => "Activated",
            Self::FactoryActivated => "FactoryActivated",
            Self::Unactivated => "Unactivated",
        }
    }
}

/// What management says about pairing (3.6 row 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PairingPolicy {
    /// Yes, with the Trust dialog.
    Ask,
    /// Yes, without the dialog.
    Silent,
    /// Only supervisors, after the challenge of 3.7.
    SupervisorsOnly,
    /// No.
    Forbidden,
}

/// What the person answers to the Trust dialog (3.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrustAnswer {
    /// Trust, and the passcode.
    Trust,
    /// Don't Trust: remembered until replug.
    Deny,
    /// Trust, but no passcode: counts as denied after two minutes.
    ForgetPasscode,
}

/// What the person does with a downloaded profile (4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AcceptAnswer {
    /// Installs it.
    Install,
    /// Removes the download. Nobody is told.
    Cancel,
}

/// How queueing is answered (4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueueReply {
    /// `Acknowledged`.
    Acknowledged,
    /// Error 4036 over 1013, which also means "queued".
    Error,
}

/// Where Pair checks the record (3.6 row 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordCheck {
    /// Right after the shape of the message.
    First,
    /// Once the person has agreed.
    Last,
}

/// Which values lockdown shows without a session (3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PublicValues {
    /// Only those flagged in the code that was read.
    Flagged,
    /// These, and the hardware keys every sessionless tool relies on.
    Usual,
    /// These, and serial number, IMEI and Setup Assistant's progress.
    Generous,
}

/// TLS versions a device speaks (3.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsVersions {
    /// 1.2 and 1.3.
    Modern,
    /// 1.2 only.
    Tls12,
    /// 1.0 only, as before iOS 5.
    Tls10,
}

/// A profile that is there already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preinstalled {
    /// PayloadIdentifier.
    pub identifier: String,
    /// PayloadDisplayName.
    pub name: String,
    /// PayloadUUID; made from the identifier's place if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// PayloadOrganization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// It carries an MDM payload.
    #[serde(default)]
    pub mdm: bool,
    /// It was installed by an MDM server, so only that may remove it (12013).
    #[serde(default)]
    pub managed: bool,
    /// PayloadRemovalDisallowed.
    #[serde(default)]
    pub locked: bool,
}

/// A failure of silent installs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstallError {
    /// ErrorDomain of the cause, such as `MCSCEPErrorDomain`.
    pub domain: String,
    /// Its code.
    pub code: i64,
    /// How many installs in a row fail so; 0 is all.
    #[serde(default)]
    pub times: u64,
    /// Only profiles with a payload of this type fail so, such as `com.apple.security.acme`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            family: None,
            product_type: None,
            os_version: None,
            name: None,
            setup_done: true,
            passcode: true,
            locked: false,
            unlocked_since_boot: true,
            activation: Activation::Activated,
            activates_after: None,
            automated: false,
            find_my: false,
            find_my_forbids_pairing: false,
            pairing: PairingPolicy::Ask,
            supervised: false,
            mdm_locked: false,
            restore_mode: false,
            lockdown_mode: false,
            ui_install_forbidden: false,
            silent_install_forbidden: false,
            enrollment_forbidden: false,
            installed: Vec::new(),
            apps: Vec::new(),
            trust_answer: TrustAnswer::Trust,
            trust_after: After::secs(1),
            unlock_after: After::secs(2),
            accept_answer: AcceptAnswer::Install,
            accept_after: After::secs(1),
            person_jitter: Span(Duration::from_millis(100)),
            install_takes: Span(Duration::ZERO),
            install_errors: Vec::new(),
            install_logs: Vec::new(),
            queue_reply: QueueReply::Acknowledged,
            policies_after: After::Never,
            policies: 3,
            foreign_mdm_error: 12001,
            payload_empty_status: "PayloadEmpty".to_owned(),
            language: "en".to_owned(),
            escrow_bag: true,
            record_check: RecordCheck::Last,
            public_values: PublicValues::Usual,
            session_before_unlock: true,
            session_while_locked: true,
            tls: TlsVersions::Modern,
            close_notify: false,
            latency: None,
            reboot_takes: Span(Duration::from_secs(25)),
            clock_ahead: 0,
            faults: Vec::new(),
        }
    }
}

macro_rules! personas {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal),+ $(,)?) => {
        /// Named settings.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum Persona {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Persona {
            /// All personas, with their names.
            pub const ALL: &'static [(&'static str, Self)] = &[$(($name, Self::$variant)),+];

            /// The persona's name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

personas! {
    /// After setup, unlocked; the person trusts and accepts within about a second each.
    Ready = "ready",
    /// In Setup Assistant: pairs and installs without a person.
    InSetup = "in-setup",
    /// Nobody answers the Trust dialog.
    TrustIgnored = "trust-ignored",
    /// The person taps Don't Trust.
    TrustDenied = "trust-denied",
    /// Locked at first; the person unlocks it.
    Locked = "locked",
    /// Locked for good.
    LockedForever = "locked-forever",
    /// Not unlocked since it booted; nobody comes.
    BeforeFirstUnlock = "before-first-unlock",
    /// Its management forbids pairing.
    PairingForbidden = "pairing-forbidden",
    /// Supervised; only supervisors may pair, after the challenge.
    SupervisedChallenge = "supervised-challenge",
    /// Find My's lock policy forbids pairing.
    FindMyLocked = "find-my-locked",
    /// Fresh, not activated.
    Unactivated = "unactivated",
    /// Fresh, not activated, bound to an Apple Account.
    ActivationLocked = "activation-locked",
    /// iOS 15.8.
    OldOs = "old-os",
    /// iOS 9.3.5 that speaks TLS 1.0 only.
    OldTls = "old-tls",
    /// Runs a restore system.
    RestoreMode = "restore-mode",
    /// Another MDM's profile is installed.
    OtherMdm = "other-mdm",
    /// Lockdown Mode (4021).
    LockdownMode = "lockdown-mode",
    /// A restriction forbids installing by hand (4020).
    UiInstallForbidden = "ui-install-forbidden",
    /// In setup, with a restriction against enrollment (12088).
    EnrollmentForbidden = "enrollment-forbidden",
    /// Queueing is answered with 4036 over 1013.
    QueuedAsError = "queued-as-error",
    /// Nobody accepts the profile.
    PersonIgnores = "person-ignores",
    /// The person removes the download.
    PersonCancels = "person-cancels",
    /// In setup; the identity cannot be fetched twice (22005), then it can.
    NetworkRecovers = "network-recovers",
    /// In setup; an identity by ACME cannot be had (23001), one by SCEP can.
    AcmeBroken = "acme-broken",
    /// In setup; the MDM server does not answer (12002).
    ServerDown = "server-down",
    /// In setup; the connection ends during the install, which happens nevertheless.
    EofInInstallInstalled = "eof-in-install-installed",
    /// In setup; the connection ends during the install, which does not happen.
    EofInInstallNotInstalled = "eof-in-install-not-installed",
    /// Pairs without handing out an escrow bag.
    NoEscrowBag = "no-escrow-bag",
    /// Shows without a session only what is flagged public in the code that was read.
    RestrictedListing = "restricted-listing",
    /// As ready; policies follow the enrollment.
    PoliciesFollow = "policies-follow",
    /// One answer is garbage.
    GarbageFrames = "garbage-frames",
    /// Every answer takes a while, and so does the person.
    Slow = "slow",
    /// The cable slips once and comes back.
    FlakyCable = "flaky-cable",
}

impl Persona {
    /// Its settings.
    pub fn settings(self) -> Settings {
        let ready = Settings::default;
        let fresh = || Settings { setup_done: false, passcode: false, ..ready() };
        let failing = |domain: &str, code, times| Settings {
            install_errors: vec![InstallError { domain: domain.to_owned(), code, times, only: None }],
            ..fresh()
        };
        let faulty = |base: Settings, fault: Fault| Settings { faults: vec![fault], ..base };
        match self {
            Self::Ready => ready(),
            Self::InSetup => fresh(),
            Self::TrustIgnored => Settings { trust_after: After::Never, ..ready() },
            Self::TrustDenied => Settings { trust_answer: TrustAnswer::Deny, ..ready() },
            Self::Locked => Settings { locked: true, unlock_after: After::secs(3), ..ready() },
            Self::LockedForever => Settings { locked: true, unlock_after: After::Never, ..ready() },
            Self::BeforeFirstUnlock => {
                Settings { unlocked_since_boot: false, locked: true, unlock_after: After::Never, ..ready() }
            }
            Self::PairingForbidden => {
                Settings { supervised: true, pairing: PairingPolicy::Forbidden, ..ready() }
            }
            Self::SupervisedChallenge => {
                Settings { supervised: true, pairing: PairingPolicy::SupervisorsOnly, ..ready() }
            }
            Self::FindMyLocked => Settings { find_my: true, find_my_forbids_pairing: true, ..ready() },
            Self::Unactivated => Settings { activation: Activation::Unactivated, ..fresh() },
            Self::ActivationLocked => {
                Settings { activation: Activation::Unactivated, find_my: true, ..fresh() }
            }
            Self::OldOs => Settings { os_version: Some("15.8".to_owned()), ..ready() },
            Self::OldTls => {
                Settings { os_version: Some("9.3.5".to_owned()), tls: TlsVersions::Tls10, ..ready() }
            }
            Self::RestoreMode => Settings { restore_mode: true, ..ready() },
            Self::OtherMdm => Settings { installed: vec![another_mdm()], ..fresh() },
            Self::LockdownMode => Settings { lockdown_mode: true, ..ready() },
            Self::UiInstallForbidden => Settings { ui_install_forbidden: true, ..ready() },
            Self::EnrollmentForbidden => Settings { enrollment_forbidden: true, ..fresh() },
            Self::QueuedAsError => Settings { queue_reply: QueueReply::Error, ..ready() },
            Self::PersonIgnores => Settings { accept_after: After::Never, ..ready() },
            Self::PersonCancels => Settings { accept_answer: AcceptAnswer::Cancel, ..ready() },
            Self::NetworkRecovers => failing("MCSCEPErrorDomain", 22005, 2),
            Self::AcmeBroken => Settings {
                install_errors: vec![InstallError {
                    domain: "MCHTTPTransactionErrorDomain".to_owned(),
                    code: 23001,
                    times: 0,
                    only: Some("com.apple.security.acme".to_owned()),
                }],
                ..fresh()
            },
            Self::ServerDown => failing("MCMDMErrorDomain", 12002, 0),
            Self::EofInInstallInstalled => faulty(fresh(), Fault::on("InstallProfile", FaultKind::DropAfter)),
            Self::EofInInstallNotInstalled => {
                faulty(fresh(), Fault::on("InstallProfile", FaultKind::DropBefore))
            }
            Self::NoEscrowBag => Settings { escrow_bag: false, ..ready() },
            Self::RestrictedListing => Settings { public_values: PublicValues::Flagged, ..ready() },
            Self::PoliciesFollow => Settings { policies_after: After::secs(5), ..ready() },
            Self::GarbageFrames => faulty(ready(), Fault::on("GetProfileList", FaultKind::Garbage)),
            Self::Slow => Settings {
                latency: Some(Latency {
                    fixed: Duration::from_millis(250),
                    jitter: Duration::from_millis(250),
                }),
                trust_after: After::secs(15),
                accept_after: After::secs(60),
                install_takes: Span(Duration::from_secs(20)),
                ..ready()
            },
            Self::FlakyCable => faulty(ready(), Fault::at(8, FaultKind::Detach)),
        }
    }
}

/// What an older management left behind.
fn another_mdm() -> Preinstalled {
    Preinstalled {
        identifier: "com.example.other-mdm".to_owned(),
        name: "Other Management".to_owned(),
        uuid: None,
        organization: Some("Another Organisation".to_owned()),
        mdm: true,
        managed: false,
        locked: false,
    }
}

/// No persona has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no persona '{name}'; known are {}", known())]
pub struct UnknownPersona {
    name: String,
}

fn known() -> String {
    let names: Vec<_> = Persona::ALL.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

impl FromStr for Persona {
    type Err = UnknownPersona;
    fn from_str(text: &str) -> Result<Self, UnknownPersona> {
        let found = Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, persona)| *persona);
        found.ok_or_else(|| UnknownPersona { name: text.chars().take(60).collect() })
    }
}

impl TryFrom<String> for Persona {
    type Error = UnknownPersona;
    fn try_from(text: String) -> Result<Self, UnknownPersona> {
        text.parse()
    }
}

impl From<Persona> for String {
    fn from(persona: Persona) -> Self {
        persona.name().to_owned()
    }
}

impl fmt::Display for Persona {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
