//! What screens and scripts get. `--json` prints one of these per line.
//!
//! The field names are a contract that scripts outside the tree rely on (design section 5).

mod batch;
pub mod job;
mod library;
mod profile;
pub mod recording;
mod replay;
mod rig;
mod sarif;
mod schema;
pub mod station;

pub use batch::{
    BatchEntryView, BatchProgress, BatchState, BatchView, EntryState, ReportCheckView, ReportFinding,
    ReportFormat, ReportView, Unexpected,
};
pub use library::{LibraryProfileView, PlaceView};
pub use profile::{
    AgeView, FindingView, HelperView, LintView, PayloadView, ProfileView, RuleView, SignatureView,
};
pub use replay::{FieldView, MismatchView, ReplayView, ResultView};
pub use sarif::Sarif;

use crate::device::DeviceLink;
use crate::device::facts::{Facts, SetupState};
use crate::ids::{Bay, PortName, PortPath, Udid};
use crate::journal::JobRow;
use crate::station::BayState;
pub use crate::station::doctor::{Check, Health};
use crate::wire::mcinstall::InstalledProfile;
use crate::wire::mcinstall_error::ErrorChain;
use crate::wire::printable::printable;
use crate::workflow::event::DeviceLabel;
use crate::workflow::mac::words;
use crate::workflow::methods::{self, R};
use crate::workflow::outcome::{Class, Outcome, Verdict};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use utoipa::ToSchema;

/// How a command as a whole went, as its exit code says it (design section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0.
    Done,
    /// 1.
    Failed,
    /// 2: the command line, the configuration, or a file given.
    Usage,
    /// 3.
    NeedsPerson,
    /// 4.
    NoDevice,
    /// 5.
    Refused,
}

impl Exit {
    /// The code.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NeedsPerson => 3,
            Self::NoDevice => 4,
            Self::Refused => 5,
        }
    }

    /// What a device's standing means for the command.
    pub fn of(outcome: Outcome, class: Class) -> Self {
        match outcome {
            _ if outcome.is_success() => Self::Done,
            Outcome::Attached if class != Class::Operator => Self::Done,
            Outcome::Failed => Self::Failed,
            Outcome::PairingForbidden | Outcome::TooOld => Self::Refused,
            _ if class == Class::Operator => Self::NeedsPerson,
            _ => Self::Failed,
        }
    }

    /// "Of several devices the worst counts."
    pub fn worst(self, other: Self) -> Self {
        let weight = |exit: Self| match exit {
            Self::Done => 0,
            Self::NeedsPerson => 1,
            Self::Refused => 2,
            Self::NoDevice => 3,
            Self::Failed => 4,
            Self::Usage => 5,
        };
        if weight(other) > weight(self) { other } else { self }
    }
}

/// One error of a device's chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LinkView {
    /// ErrorDomain.
    pub domain: String,
    /// ErrorCode.
    pub code: i64,
    /// Our words for it, else the device's.
    pub meaning: Option<String>,
}

/// A device and how it stands: the core of every device result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceView {
    /// UDID; `None` for a device that cannot tell it in the mode it is in.
    pub udid: Option<Udid>,
    /// Serial number, once read.
    pub serial: Option<String>,
    /// Bay.
    pub bay: Bay,
    /// Machine name of the outcome.
    pub outcome: Outcome,
    /// Who must act.
    pub class: Class,
    /// One sentence.
    pub sentence: String,
    /// What to do next.
    pub next: Option<String>,
    /// The device's error chain, outermost first.
    pub chain: Vec<LinkView>,
    /// Attempts.
    pub attempts: u32,
    /// Milliseconds.
    pub ms: u64,
    /// True for a simulated or replayed device.
    pub simulated: bool,
    /// Device name.
    pub name: Option<String>,
    /// Product type.
    pub product_type: Option<String>,
    /// System version.
    pub os_version: Option<String>,
    /// ECID, hexadecimal.
    pub ecid: Option<String>,
    /// IMEI.
    pub imei: Option<String>,
    /// Job number in the journal.
    pub job: Option<i64>,
    /// Pushes of the enrollment profile by the job; 0 if nothing was.
    pub pushes: u32,
}

impl DeviceView {
    /// The best name of the device that is known: UDID, serial number, ECID, or none.
    pub fn known_as(&self) -> String {
        let ecid = || self.ecid.as_ref().map(|ecid| format!("ECID {ecid}"));
        let udid = self.udid.as_ref().map(ToString::to_string);
        udid.or_else(|| self.serial.clone()).or_else(ecid).unwrap_or_else(|| "a device".to_owned())
    }

    /// The exit code this standing stands for.
    pub fn exit(&self) -> Exit {
        Exit::of(self.outcome, self.class)
    }

    /// A device in the middle or at the end of its job.
    pub fn of_bay(state: &BayState, now: Timestamp) -> Self {
        let view = Self::new(state.udid.clone(), state.bay.clone(), state.simulated, &state.standing);
        Self {
            attempts: state.attempts,
            ms: state.ms(now),
            job: state.job.map(|job| job.0).filter(|job| *job > 0),
            pushes: state.pushes,
            ..view.labelled(&state.label)
        }
    }

    /// A device at the desk.
    pub fn of_link(link: &DeviceLink, verdict: &Verdict, facts: Option<&Facts>, ms: u64) -> Self {
        let (udid, bay) = (Some(link.udid().clone()), link.bay().clone());
        let view = Self::new(udid, bay, link.attachment().simulated, verdict);
        let shown = |text: &Option<String>| text.as_deref().map(printable);
        let label = facts.map(|f| DeviceLabel {
            serial: shown(&f.serial),
            name: shown(&f.name),
            product_type: shown(&f.product_type),
            os_version: shown(&f.os_version),
            ecid: f.ecid,
            imei: shown(&f.imei),
        });
        Self { ms, attempts: 1, ..view.labelled(&label.unwrap_or_default()) }
    }

    fn new(udid: Option<Udid>, bay: Bay, simulated: bool, verdict: &Verdict) -> Self {
        Self {
            udid,
            serial: None,
            bay,
            outcome: verdict.outcome,
            class: verdict.class,
            sentence: verdict.sentence.clone(),
            next: verdict.next.clone(),
            chain: links(&verdict.chain),
            attempts: 0,
            ms: 0,
            simulated,
            name: None,
            product_type: None,
            os_version: None,
            ecid: None,
            imei: None,
            job: None,
            pushes: 0,
        }
    }

    fn labelled(self, label: &DeviceLabel) -> Self {
        Self {
            serial: label.serial.clone(),
            name: label.name.clone(),
            product_type: label.product_type.clone(),
            os_version: label.os_version.clone(),
            ecid: label.ecid.map(|ecid| format!("{ecid:016X}")),
            imei: label.imei.clone(),
            ..self
        }
    }
}

fn links(chain: &ErrorChain) -> Vec<LinkView> {
    let view = |link: &crate::wire::mcinstall_error::ChainLink| LinkView {
        domain: printable(&link.domain),
        code: link.code,
        meaning: link
            .meaning()
            .map(str::to_owned)
            .or_else(|| link.english.as_deref().or(link.localized.as_deref()).map(printable)),
    };
    chain.links().iter().map(view).collect()
}

/// A bay of a run in progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BayView {
    /// The device and how it stands.
    #[serde(flatten)]
    pub device: DeviceView,
    /// False while it is unplugged.
    pub attached: bool,
    /// Deadline of what is waited for.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// Its job is over.
    pub ended: bool,
    /// It is on the bus and no mux serves it, so it has no job.
    pub unserved: bool,
    /// The USB port, as Linux names it, where the bus is watched.
    pub port: Option<String>,
}

impl BayView {
    /// As it stands at `now`.
    pub fn new(state: &BayState, now: Timestamp) -> Self {
        Self {
            device: DeviceView::of_bay(state, now),
            attached: state.attached,
            until: state.until,
            ended: state.ended.is_some(),
            unserved: state.unserved,
            port: state.port.as_ref().map(ToString::to_string),
        }
    }

    /// True while a job has still to come to its end.
    pub fn is_open(&self) -> bool {
        !self.ended && !self.unserved
    }

    /// The same bay in the next update.
    pub fn key(&self) -> String {
        match &self.device.udid {
            Some(udid) if !self.unserved => udid.to_string(),
            _ => format!("port {}", self.port.as_deref().unwrap_or(&self.device.bay.0)),
        }
    }
}

/// A USB port of `enlist bays`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PortView {
    /// The port as a configuration names it: the form that outlives a restart, if known.
    pub port: String,
    /// The port as Linux names it now; `None` for one that is not in sight.
    pub path: Option<String>,
    /// Its bay.
    pub bay: Bay,
    /// Who named it: `configuration`, `learned`, or `port`.
    pub named_by: Cow<'static, str>,
    /// Devices on it now: UDID, serial number or ECID.
    pub devices: Vec<String>,
}

impl PortView {
    /// A port by its name.
    pub fn new(port: &str, bay: Bay, named_by: &'static str, devices: Vec<String>) -> Self {
        Self { port: port.to_owned(), path: None, bay, named_by: named_by.into(), devices }
    }

    /// A port in sight.
    pub fn of_port(port: &PortPath, bay: Bay, named_by: &'static str, devices: Vec<String>) -> Self {
        let name = PortName::of(port);
        Self { path: Some(port.to_string()), ..Self::new(name.as_str(), bay, named_by, devices) }
    }
}

/// What happened to a device, or to the way to all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhatChanged {
    /// It came, or was there.
    Attached,
    /// It went.
    Detached,
    /// It is on the bus, and no mux serves it.
    Unserved,
    /// Such a device went, or is served now.
    UnservedLeft,
    /// There is no way to the devices.
    MuxLost,
    /// The way is there.
    MuxReady,
}

/// A change of `enlist devices --follow`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeviceChange {
    /// What happened.
    pub change: WhatChanged,
    /// To which device; none if to the way to all.
    #[serde(flatten)]
    pub device: Option<DeviceView>,
    /// Why the way is lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A device of `enlist devices`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ListedDevice {
    /// The device.
    #[serde(flatten)]
    pub device: DeviceView,
    /// Whether a pair record for it is stored.
    pub paired: bool,
    /// It is on the bus and no mux serves it.
    pub unserved: bool,
}

/// A device of `enlist info`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeviceInfo {
    /// The device.
    #[serde(flatten)]
    pub device: DeviceView,
    /// Device class, such as `iPhone`.
    pub device_class: Option<String>,
    /// Build of the system.
    pub build: Option<String>,
    /// Second IMEI.
    pub imei2: Option<String>,
    /// Wi-Fi address.
    pub wifi_address: Option<String>,
    /// Activation state.
    pub activation_state: Option<String>,
    /// Locked now, asking for a passcode.
    pub locked: Option<bool>,
    /// `finished`, `running` or `unknown`.
    pub setup_assistant: &'static str,
    /// Supervised.
    pub supervised: Option<bool>,
    /// Supervising organisation.
    pub organization: Option<String>,
    /// Seconds the device's clock is ahead of ours.
    pub clock_ahead_s: Option<i64>,
    /// Installed profiles, if they could be read.
    pub profiles: Option<Vec<InstalledView>>,
    /// What the rules of enrollment methods say of it.
    pub remarks: Vec<RemarkView>,
}

/// What rules of enrollment methods say of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RemarkView {
    /// The rules, such as `R22`.
    pub rules: &'static [R],
    /// One sentence.
    pub sentence: String,
    /// It should not be so.
    pub warning: bool,
}

impl DeviceInfo {
    /// From facts read just now.
    pub fn new(
        device: DeviceView,
        facts: &Facts,
        profiles: Option<&[InstalledProfile]>,
        now: Timestamp,
    ) -> Self {
        let shown = |text: &Option<String>| text.as_deref().map(printable);
        #[allow(clippy::cast_possible_truncation)] // whole seconds are all that matters here
        let clock_ahead_s = facts.device_time.map(|t| t as i64 - now.as_second());
        Self {
            device,
            device_class: shown(&facts.class),
            build: shown(&facts.build),
            imei2: shown(&facts.imei2),
            wifi_address: shown(&facts.wifi_address),
            activation_state: shown(&facts.activation_state),
            locked: facts.locked,
            setup_assistant: match facts.setup {
                SetupState::Finished => "finished",
                SetupState::Running => "running",
                SetupState::Unknown => "unknown",
            },
            supervised: facts.supervised,
            organization: shown(&facts.organization),
            clock_ahead_s,
            profiles: profiles.map(|p| p.iter().map(InstalledView::new).collect()),
            remarks: methods::remarks(facts, profiles.unwrap_or_default(), None)
                .into_iter()
                .map(|r| RemarkView { rules: r.rules, sentence: r.sentence, warning: r.warning })
                .collect(),
        }
    }
}

/// An installed profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstalledView {
    /// PayloadIdentifier.
    pub identifier: String,
    /// PayloadUUID.
    pub uuid: String,
    /// Display name.
    pub name: Option<String>,
    /// Organisation.
    pub organization: Option<String>,
    /// Version.
    pub version: i64,
    /// The profile is locked.
    pub removal_disallowed: bool,
}

impl InstalledView {
    /// Makes the device's texts safe to print.
    pub fn new(profile: &InstalledProfile) -> Self {
        Self {
            identifier: printable(&profile.identifier),
            uuid: printable(&profile.uuid),
            name: profile.display_name.as_deref().map(printable),
            organization: profile.organization.as_deref().map(printable),
            version: profile.version,
            removal_disallowed: profile.removal_disallowed,
        }
    }
}

/// A device and its profiles, of `enlist installed` and `enlist remove`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstalledOn {
    /// The device.
    #[serde(flatten)]
    pub device: DeviceView,
    /// Its profiles.
    pub profiles: Vec<InstalledView>,
}

/// A job of `enlist history`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobView {
    /// The device and how its job ended, or stands.
    #[serde(flatten)]
    pub device: DeviceView,
    /// True while the job is open.
    pub open: bool,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub started: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended: Option<Timestamp>,
    /// PayloadIdentifier of the profile.
    pub profile_identifier: String,
    /// PayloadUUID of the profile.
    pub profile_uuid: String,
    /// Display name of the profile.
    pub profile_name: String,
    /// SHA-256 of the profile file.
    pub profile_sha256: String,
    /// The file of the profile that the job used last, as it was called when it was seen last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile_file: Option<String>,
    /// Why an export that was too old could be pushed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_allowed: Option<String>,
}

impl JobView {
    /// From the journal.
    pub fn new(row: &JobRow, now: Timestamp) -> Self {
        let outcome = row.outcome.unwrap_or(row.state);
        let label = DeviceLabel {
            serial: row.serial.clone(),
            name: row.name.clone(),
            product_type: row.product_type.clone(),
            os_version: row.os_version.clone(),
            ecid: row.ecid,
            imei: row.imei.clone(),
        };
        let usual = words::standing(outcome, &label).unwrap_or_else(|| outcome.into());
        let verdict = Verdict {
            outcome,
            class: row.class.unwrap_or(outcome.class()),
            sentence: row.sentence.clone().unwrap_or(usual.sentence),
            next: row.next.clone().or(usual.next).filter(|n| !n.is_empty()),
            chain: row.chain.clone(),
        };
        let spent = now.duration_since(row.created_at).as_millis();
        let device = DeviceView::new(Some(row.udid.clone()), row.bay.clone(), row.simulated, &verdict);
        Self {
            device: DeviceView {
                attempts: row.attempts,
                ms: row.duration_ms.unwrap_or_else(|| u64::try_from(spent).unwrap_or(0)),
                job: Some(row.id.0),
                pushes: row.pushes,
                ..device.labelled(&label)
            },
            open: row.ended_at.is_none(),
            started: row.created_at,
            ended: row.ended_at,
            profile_identifier: row.profile_identifier.clone(),
            profile_uuid: row.profile_uuid.clone(),
            profile_name: row.profile_name.clone(),
            profile_sha256: row.profile_sha256.clone(),
            profile_file: row.profile_file.clone(),
            stale_allowed: row.stale_allowed.as_deref().map(printable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_of_design_section_5() {
        let exit = |outcome: Outcome| Exit::of(outcome, outcome.class()).code();
        assert_eq!(exit(Outcome::Enrolled), 0);
        assert_eq!(exit(Outcome::AlreadyEnrolled), 0);
        assert_eq!(exit(Outcome::Planned), 0);
        assert_eq!(exit(Outcome::Failed), 1);
        assert_eq!(exit(Outcome::DetachedMidway), 1);
        assert_eq!(exit(Outcome::WaitingForTrust), 3);
        assert_eq!(exit(Outcome::TrustDenied), 3);
        assert_eq!(exit(Outcome::PersonDidNotAccept), 3);
        assert_eq!(exit(Outcome::PairingForbidden), 5);
        assert_eq!(exit(Outcome::TooOld), 5);
        // Held until its owner decides, and merely there.
        assert_eq!(Exit::of(Outcome::Attached, Class::Operator).code(), 3);
        assert_eq!(exit(Outcome::Attached), 0);
        assert_eq!(
            Exit::Done.worst(Exit::NeedsPerson).worst(Exit::Failed).worst(Exit::Refused),
            Exit::Failed
        );
    }
}
