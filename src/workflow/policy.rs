//! What the owner of the station decided: people's time, pushes, retries.

use super::erasure::Erasure;
use super::preparation::Preparation;
use crate::limits;
use crate::wire::profile::{IdentityKind, Profile};
use jiff::Timestamp;
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
    /// Profiles that are on the device before the enrollment profile comes, in this order:
    /// root certificates, Wi-Fi (R72).
    pub helpers: Vec<Arc<Profile>>,
    /// What the device is called before it enrolls, so that the MDM records that name (R41).
    pub device_name: Option<String>,
    /// No job begins after this: the export is too old then (3.4, L46).
    pub export_ends: Option<Timestamp>,
    /// Why an export that is too old is pushed nevertheless, in the words of the person who
    /// answers for it (F03). The journal keeps it with each job that began after the end.
    pub stale_allowed: Option<String>,
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
            dry_run: false,
        }
    }
}

impl Policy {
    /// How long a job may take at most while its device stays attached: every wait for a
    /// person once, and every push.
    pub fn longest_job(&self) -> Duration {
        self.person_within * 2 + self.accept_within * self.pushes + self.policies_within
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
