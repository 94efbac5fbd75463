//! What the owner of the station decided: people's time, pushes, retries.

use super::erasure::Erasure;
use super::preparation::Preparation;
use crate::ids::Udid;
use crate::limits;
use crate::wire::profile::{IdentityKind, Profile};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Whether to push while Setup Assistant runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetupAssistant {
    /// Push: the device then installs silently (protocols.md 4.5).
    #[default]
    Push,
    /// Hold until a person finished it (R8).
    Hold,
}

/// What an export of unknown age comes to: one that does not say when it was made, and of
/// which nobody else says it (profiles-and-enrollment.md 3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownAge {
    /// It is held until a person states the day (F03, F15).
    #[default]
    Hold,
    /// The date of its file counts, low as its worth is.
    FileDate,
}

/// Whether one ACME export may enroll several devices. Its client identifier is "unique per
/// device" (2.3), and yet one file is said to serve many (3.3, unconfirmed).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reuse {
    /// It may, unless it names one device; where it fails, SCEP is the way out (R13).
    #[default]
    Yes,
    /// It is for the first device that enrolled with it.
    No,
}

/// Which export is taken where both would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prefer {
    /// SCEP, while ACME exports are broken (R12).
    #[default]
    Scep,
    /// ACME (R79).
    Acme,
}

impl Prefer {
    /// True if `profile` is of the preferred kind.
    pub fn likes(self, profile: &Profile) -> bool {
        (profile.identity() == Some(IdentityKind::Acme)) == (self == Self::Acme)
    }
}

/// What a job is for.
#[derive(Debug, Clone, Default)]
pub enum Task {
    /// To enroll the device with the job's profile.
    #[default]
    Enroll,
    /// To erase it; the job's profile only stands for the task in the journal.
    Erase(Erasure),
    /// To prepare it, and no more; likewise.
    Prepare,
}

/// Decisions that hold for a whole job.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How long people may take for Trust and for unlocking (3.6: at least 120-180 s).
    pub person_within: Duration,
    /// How long a queued profile waits for its person. The device drops it after 480 s
    /// whatever we wish; shorter makes sense in tests only.
    pub accept_within: Duration,
    /// How often one job may push: again after a queued profile expired (R45).
    pub pushes: u32,
    /// Setup Assistant.
    pub setup_assistant: SetupAssistant,
    /// How long a job stays open without its device.
    pub replug_within: Duration,
    /// Pauses between automatic retries; their number is the budget (R13).
    pub retry_pauses: Vec<Duration>,
    /// How long to watch for the first policies after enrollment; zero: not at all (R28).
    pub policies_within: Duration,
    /// Which of two siblings is pushed first (R12).
    pub prefer: Prefer,
    /// Exports of the same enrollment with another kind of identity (3.3).
    pub siblings: Vec<Arc<Profile>>,
    /// What the job is for.
    pub task: Task,
    /// What the device is configured with first, in Setup Assistant (4.B).
    pub prepare: Option<Arc<Preparation>>,
    /// Profiles that are on the device before the enrollment profile comes: root certificates,
    /// then Wi-Fi, then others, in whatever order they stand here (R42, R72).
    pub helpers: Vec<Arc<Profile>>,
    /// What the device is called before it enrolls, so that the MDM records that name (R41);
    /// a template of [`super::device_name`].
    pub device_name: Option<String>,
    /// No job begins after this: the export is too old then (3.4, L46).
    pub export_ends: Option<Timestamp>,
    /// Why an export that is too old is pushed nevertheless, in the words of the person who
    /// answers for it (F03). The journal keeps it with each job that began after the end.
    pub stale_allowed: Option<String>,
    /// Whether an ACME export that enrolled one device may enroll another.
    pub acme_reuse: Reuse,
    /// Exports for one device alone, by the SHA-256 of their file, and that device: they are
    /// for no other (2.3, 3.3).
    pub owned: BTreeMap<String, Udid>,
    /// Stop after planning, change nothing, ask the device for nothing.
    pub dry_run: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            person_within: Duration::from_secs(180),
            accept_within: limits::PENDING_PROFILE,
            pushes: 1,
            setup_assistant: SetupAssistant::default(),
            replug_within: Duration::from_secs(30),
            retry_pauses: limits::RETRY_PAUSES.to_vec(),
            policies_within: Duration::ZERO,
            prefer: Prefer::default(),
            siblings: Vec::new(),
            task: Task::default(),
            prepare: None,
            helpers: Vec::new(),
            device_name: None,
            export_ends: None,
            stale_allowed: None,
            acme_reuse: Reuse::default(),
            owned: BTreeMap::new(),
            dry_run: false,
        }
    }
}

impl Policy {
    /// How long a job may take at most while its device stays attached: every wait for a
    /// person once, and every push.
    pub fn longest_job(&self) -> Duration {
        let profiles = u32::try_from(self.helpers.len()).unwrap_or(u32::MAX).saturating_add(1);
        let waits = self.accept_within * self.pushes.saturating_mul(profiles);
        self.person_within * 2 + waits + self.policies_within
    }

    /// True if the export is too old at `now`, whether that is allowed or not.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        self.export_ends.is_some_and(|end| end <= now)
    }

    /// The reason to write down for a job that begins at `now`.
    pub fn reason_for_stale(&self, now: Timestamp) -> Option<&str> {
        self.stale_allowed.as_deref().filter(|_| self.is_stale(now))
    }
}
