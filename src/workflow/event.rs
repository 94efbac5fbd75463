//! Events: the only output of a workflow. The journal keeps them, the screens follow them.

use super::helpers::HelperName;
use super::outcome::{Outcome, Verdict};
use crate::device::Rung;
use crate::ids::{BatchId, Bay, JobId, Udid};
use crate::wire::mcinstall_error::ErrorChain;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A step of an enrollment (design section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepId {
    /// Earn the device's trust, or use the trust we have, and start a session.
    Pair,
    /// Read facts, installed profiles and supervision data.
    Inspect,
    /// Give the device its name.
    NameDevice,
    /// Push a helper profile, and read it back if it is there at once.
    PushHelper,
    /// Wait for a helper profile: for its person, or for a lost answer to settle.
    WaitForHelper,
    /// Wait until the device has activated itself over its network (protocols.md 5.1).
    Activate,
    /// Erase the device and wait until it is back (R47).
    Erase,
    /// Write the device's supervision data, and read them back (4.7).
    Configure,
    /// Prove that the station holds a supervision identity of the device (4.6).
    Escalate,
    /// Push the profile.
    Install,
    /// Wait for the person to install it, or for a lost answer to settle.
    WaitForPerson,
    /// Read the profile back.
    Verify,
    /// Watch for the first policies of the MDM server.
    FollowPolicies,
}

impl StepId {
    /// The machine name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pair => "pair",
            Self::Inspect => "inspect",
            Self::NameDevice => "name-device",
            Self::PushHelper => "push-helper",
            Self::WaitForHelper => "wait-for-helper",
            Self::Activate => "activate",
            Self::Erase => "erase",
            Self::Configure => "configure",
            Self::Escalate => "escalate",
            Self::Install => "install",
            Self::WaitForPerson => "wait-for-person",
            Self::Verify => "verify",
            Self::FollowPolicies => "follow-policies",
        }
    }

    /// True if a resumed job may simply do it again. A push and Configure may only after
    /// looking at the device; Erase never: see the plans.
    pub fn is_repeatable(self) -> bool {
        !matches!(self, Self::Install | Self::PushHelper | Self::Configure | Self::Erase)
    }
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepResult {
    /// It did its work.
    Done,
    /// There was nothing to do.
    Skipped,
    /// It did its work, and something is worth knowing.
    Warning,
    /// It failed; a retry or the job's end follows.
    Failed,
}

impl StepResult {
    /// The machine name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// What names a device to a person. Read from it; the journal keeps it with the job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DeviceLabel {
    /// Serial number.
    pub serial: Option<String>,
    /// Device name, as set on it.
    pub name: Option<String>,
    /// Product type, such as `iPhone16,2`.
    pub product_type: Option<String>,
    /// System version.
    pub os_version: Option<String>,
    /// ECID; the only id present in every mode (protocols.md 0.4).
    pub ecid: Option<u64>,
    /// IMEI, if it has one.
    pub imei: Option<String>,
}

/// What a job is about; written once, before anything is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewJob {
    /// The device.
    pub udid: Udid,
    /// Where it hangs.
    pub bay: Bay,
    /// Simulated or replayed: shown on every screen.
    pub simulated: bool,
    /// SHA-256 of the profile file, hex. Which version of a file a job used.
    pub profile_sha256: String,
    /// PayloadIdentifier of the profile.
    pub profile_identifier: String,
    /// PayloadUUID of the profile.
    pub profile_uuid: String,
    /// Display name of the profile.
    pub profile_name: String,
    /// Why an export that was too old could be pushed (F03); `None` if it was not too old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_allowed: Option<String>,
}

/// How the device answered a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PushAnswer {
    /// Acknowledged: installed (Setup Assistant) or queued (protocols.md 4.5).
    Acknowledged,
    /// The error pair 4036/1013, which also means queued.
    QueuedError,
    /// Refused with an error chain.
    Refused,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventKind {
    /// The job exists.
    JobStarted(NewJob),
    /// A try begins: at the start, after a reconnect, after a restart of the station.
    AttemptStarted {
        /// Counts from 1 through the job's life.
        number: u32,
    },
    /// A step begins.
    StepStarted {
        /// Which.
        step: StepId,
    },
    /// The device told who it is.
    Identified(DeviceLabel),
    /// The plan was made.
    Planned {
        /// Steps still to do.
        steps: Vec<StepId>,
        /// Why so, in words.
        reason: String,
    },
    /// Another profile than before is used from here on: a sibling of the one the job
    /// started with (R11-R13). What was chosen first is in `JobStarted`.
    ProfileChosen {
        /// SHA-256 of its file, hex.
        sha256: String,
        /// Its PayloadIdentifier.
        identifier: String,
        /// Its PayloadUUID.
        uuid: String,
        /// Why, in words.
        reason: String,
        /// The device's error chain, if a refused push is the reason.
        #[serde(default, skip_serializing_if = "ErrorChain::is_empty")]
        chain: ErrorChain,
    },
    /// What the job does was decided by a blueprint, by a batch, or by both.
    Assigned {
        /// The blueprint; `None` if it goes as the station usually does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        blueprint: Option<String>,
        /// The batch it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        batch: Option<BatchId>,
        /// Its line in the batch's manifest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        line: Option<u32>,
        /// Tags.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tags: Vec<String>,
        /// Why so, in words.
        reason: String,
    },
    /// Before anything is pushed the job waits for the owner's decision, at the latest until
    /// `until`.
    Held {
        /// What for, in one sentence.
        sentence: String,
        /// What to do.
        next: String,
        /// Deadline.
        until: Timestamp,
    },
    /// A person must act, at the latest by `until`.
    Waiting {
        /// A `waiting-…` outcome; `not-activated`; `verifying` while a lost answer may still come
        /// true; `erasing` while the device is away; `prepared` for its user (R59).
        state: Outcome,
        /// Deadline.
        until: Timestamp,
    },
    /// The profile is about to be sent. Committed before the first byte leaves, so that a
    /// crash can never hide a push.
    PushStarted {
        /// Counts from 1 through the job's life.
        number: u32,
    },
    /// The device answered the push.
    PushAnswered {
        /// The push's number.
        number: u32,
        /// How.
        answer: PushAnswer,
    },
    /// A helper profile is about to be sent. Committed before the first byte leaves, too.
    HelperPushStarted {
        /// Which.
        helper: HelperName,
    },
    /// The device answered the push of a helper profile.
    HelperPushAnswered {
        /// Which.
        helper: HelperName,
        /// How.
        answer: PushAnswer,
    },
    /// A person must install a helper profile, at the latest by `until`.
    WaitingForHelper {
        /// Which.
        helper: HelperName,
        /// Deadline.
        until: Timestamp,
    },
    /// Something failed and will be tried again by itself.
    Retrying {
        /// In words.
        reason: String,
        /// The device's error chain, if it sent one.
        #[serde(default, skip_serializing_if = "ErrorChain::is_empty")]
        chain: ErrorChain,
        /// Pause before the next try, in milliseconds.
        pause_ms: u64,
    },
    /// The device went away while the job was open.
    Detached,
    /// It is back.
    Reattached {
        /// Where.
        bay: Bay,
    },
    /// The device is left alone because it keeps disappearing from this bay; the job waits.
    Quarantined {
        /// Where.
        bay: Bay,
    },
    /// The device is about to be told to erase itself. Committed before the first byte leaves;
    /// at most one a job.
    EraseStarted,
    /// The device answered that.
    EraseAnswered {
        /// It erases itself now.
        accepted: bool,
    },
    /// A rung of the recovery ladder is taken.
    Recovering {
        /// Which.
        rung: Rung,
    },
    /// A step ended.
    StepFinished {
        /// Which.
        step: StepId,
        /// How.
        result: StepResult,
        /// What is worth knowing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// The job ended. Exactly one per job, and the last.
    JobEnded(Verdict),
}

impl EventKind {
    /// The machine name, as in the journal's `kind` column.
    pub fn name(&self) -> &'static str {
        match self {
            Self::JobStarted(_) => "job-started",
            Self::AttemptStarted { .. } => "attempt-started",
            Self::StepStarted { .. } => "step-started",
            Self::Identified(_) => "identified",
            Self::Planned { .. } => "planned",
            Self::ProfileChosen { .. } => "profile-chosen",
            Self::Assigned { .. } => "assigned",
            Self::Held { .. } => "held",
            Self::Waiting { .. } => "waiting",
            Self::PushStarted { .. } => "push-started",
            Self::PushAnswered { .. } => "push-answered",
            Self::HelperPushStarted { .. } => "helper-push-started",
            Self::HelperPushAnswered { .. } => "helper-push-answered",
            Self::WaitingForHelper { .. } => "waiting-for-helper",
            Self::Retrying { .. } => "retrying",
            Self::Detached => "detached",
            Self::Reattached { .. } => "reattached",
            Self::Quarantined { .. } => "quarantined",
            Self::EraseStarted => "erase-started",
            Self::EraseAnswered { .. } => "erase-answered",
            Self::Recovering { .. } => "recovering",
            Self::StepFinished { .. } => "step-finished",
            Self::JobEnded(_) => "job-ended",
        }
    }

    /// What the bay shows after this event; `None` if it changes nothing there.
    pub fn state(&self) -> Option<Outcome> {
        match self {
            Self::JobStarted(_) | Self::Reattached { .. } | Self::Held { .. } => Some(Outcome::Attached),
            Self::StepStarted { step: StepId::Install | StepId::PushHelper }
            | Self::PushStarted { .. }
            | Self::HelperPushStarted { .. } => Some(Outcome::Pushing),
            Self::StepStarted { step: StepId::Verify } => Some(Outcome::Verifying),
            Self::StepStarted { step: StepId::FollowPolicies } => Some(Outcome::Enrolled),
            Self::EraseStarted => Some(Outcome::Erasing),
            Self::Waiting { state, .. } => Some(*state),
            Self::WaitingForHelper { .. } => Some(Outcome::WaitingForPerson),
            Self::Retrying { .. } | Self::Recovering { .. } => Some(Outcome::Retrying),
            Self::Quarantined { .. } => Some(Outcome::Quarantined),
            Self::Detached => Some(Outcome::DetachedMidway),
            Self::JobEnded(verdict) => Some(verdict.outcome),
            _ => None,
        }
    }
}

/// An event with its place in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Grows by one with every event of the journal.
    pub seq: i64,
    /// The job.
    pub job: JobId,
    /// When it was committed.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}
