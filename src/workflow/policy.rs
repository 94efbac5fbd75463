//! What the owner of the station decided: people's time, pushes, retries.

use crate::limits;
use crate::wire::profile::{IdentityKind, Profile};
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
            dry_run: false,
        }
    }
}
