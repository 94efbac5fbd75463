//! The plan: what is still to do for a device, or why nothing may be done. A pure function
//! of what was read, what was remembered, what is wanted, and the time.

use super::event::StepId;
use super::memory::{Memory, Push};
use super::outcome::{Class, Outcome, Verdict};
use super::policy::{Policy, SetupAssistant};
use crate::device::Facts;
use crate::device::facts::{OsVersion, SetupState};
use crate::limits::{LOST_INSTALL_SETTLE, LOST_INSTALLS, PENDING_GRACE};
use crate::wire::mcinstall::InstalledProfile;
use crate::wire::profile::Profile;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// What is known when a plan is made.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// Facts just read.
    pub facts: &'a Facts,
    /// Profiles just read.
    pub installed: &'a [InstalledProfile],
    /// The profile wanted.
    pub profile: &'a Profile,
    /// The owner's decisions.
    pub policy: &'a Policy,
    /// What this job did before.
    pub memory: &'a Memory,
    /// Now.
    pub now: Timestamp,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Nothing: this is how it stands.
    End(Box<Verdict>),
    /// Push, then wait if the device queues it, then verify.
    Push {
        /// Why, in words.
        reason: String,
    },
    /// Do not push: an earlier push may still be accepted until `until`.
    Wait {
        /// Deadline.
        until: Timestamp,
        /// What is waited for: the person, or the device that still works.
        state: Outcome,
        /// Why, in words.
        reason: String,
    },
    /// It is installed, by a push of this job.
    Verify,
}

impl Plan {
    /// Steps of this plan, in order.
    pub fn steps(&self) -> Vec<StepId> {
        match self {
            Self::End(_) => Vec::new(),
            Self::Push { .. } => vec![StepId::Install, StepId::WaitForPerson, StepId::Verify],
            Self::Wait { .. } => vec![StepId::WaitForPerson, StepId::Verify],
            Self::Verify => vec![StepId::Verify],
        }
    }

    /// Why this plan, in words.
    pub fn reason(&self) -> &str {
        match self {
            Self::End(verdict) => &verdict.sentence,
            Self::Push { reason } | Self::Wait { reason, .. } => reason,
            Self::Verify => "the device lists the profile this job pushed",
        }
    }
}

/// True if `profile` is on the device: same identifier **and** same UUID (4.8).
pub fn is_installed(profile: &Profile, installed: &[InstalledProfile]) -> bool {
    installed
        .iter()
        .any(|p| p.identifier == profile.identifier() && p.uuid.eq_ignore_ascii_case(profile.uuid()))
}

/// The push that may still turn into an installed profile, and until when.
pub fn in_flight<'a>(situation: &Situation<'a>) -> Option<(&'a Push, Timestamp)> {
    let Situation { facts, policy, memory, now, .. } = *situation;
    let push = memory.last_push()?;
    let until = may_arrive_until(push, facts, policy)?;
    (now < grace_after(until)).then_some((push, until))
}

/// Decides.
pub fn plan(situation: &Situation<'_>) -> Plan {
    let Situation { facts, installed, profile, policy, memory, .. } = *situation;
    if is_installed(profile, installed) {
        return match memory.last_push() {
            Some(_) => Plan::Verify,
            None => Plan::End(Box::new(Outcome::AlreadyEnrolled.into())),
        };
    }
    if let Some(verdict) = unfit(facts, profile, policy) {
        return Plan::End(Box::new(verdict));
    }
    if let Some((push, until)) = in_flight(situation) {
        let (state, reason) = match push.answer {
            Some(_) => (Outcome::WaitingForPerson, "the profile pushed before still waits on the device"),
            None => (
                Outcome::Verifying,
                "the answer to the last push was lost; the device may still be installing",
            ),
        };
        return Plan::Wait { until, state, reason: reason.into() };
    }
    if memory.lost_answers() > LOST_INSTALLS {
        return Plan::End(Box::new(Verdict::failed(
            Class::Transport,
            "The connection broke every time the profile was pushed.",
            "Try another cable and another port; plug the device in again.",
        )));
    }
    if memory.accepted_pushes() >= policy.pushes && memory.last_push().is_some_and(|p| p.answer.is_some()) {
        return Plan::End(Box::new(match facts.setup {
            // Nobody is asked in Setup Assistant (4.5): this is the device's own doing.
            SetupState::Running => Verdict::failed(
                Class::Device,
                "The device acknowledged the profile and does not list it.",
                "Restart the device and plug it in again.",
            ),
            _ => Outcome::PersonDidNotAccept.into(),
        }));
    }
    let reason = match facts.setup {
        SetupState::Running => "Setup Assistant runs: the device installs silently",
        SetupState::Finished => "Setup Assistant is finished: the device asks its person",
        SetupState::Unknown => "the device does not tell whether Setup Assistant is finished",
    };
    Plan::Push { reason: reason.into() }
}

/// The device counts from its own queueing, we from its answer: a little later than
/// `until` the profile is certainly gone.
pub fn grace_after(until: Timestamp) -> Timestamp {
    let grace = SignedDuration::try_from(PENDING_GRACE).unwrap_or_default();
    until.checked_add(grace).unwrap_or(until)
}

/// Until when an earlier push may still turn into an installed profile.
fn may_arrive_until(push: &Push, facts: &Facts, policy: &Policy) -> Option<Timestamp> {
    let after = |at: Timestamp, wait: Duration| {
        SignedDuration::try_from(wait).ok().and_then(|wait| at.checked_add(wait).ok())
    };
    match push.answer {
        Some((at, _)) => after(at, policy.accept_within),
        // "A lost connection does not cancel the install: reconnect and look" (4.5). Only a
        // silent install goes on by itself; a queued one is replaced by the next push.
        None if facts.setup == SetupState::Finished => None,
        None => after(push.lost.unwrap_or(push.at), LOST_INSTALL_SETTLE),
    }
}

/// Why the device cannot take the profile now, if so.
fn unfit(facts: &Facts, profile: &Profile, policy: &Policy) -> Option<Verdict> {
    if facts.is_unactivated() {
        return Some(match facts.find_my {
            Some(true) => Outcome::ActivationLocked.into(),
            _ => Outcome::NotActivated.into(),
        });
    }
    if let Some(verdict) = too_old(facts, profile).or_else(|| made_for_another(facts, profile)) {
        return Some(verdict);
    }
    if facts.setup == SetupState::Running && policy.setup_assistant == SetupAssistant::Hold {
        return Some(Outcome::InSetup.into());
    }
    None
}

/// An ACME export may be for one device alone (2.3, 3.3).
pub(super) fn made_for_another(facts: &Facts, profile: &Profile) -> Option<Verdict> {
    let only = profile.made_for().filter(|only| facts.udid.as_ref().is_some_and(|udid| udid != only))?;
    Some(Verdict::failed(
        Class::Configuration,
        format!("This ACME export is for one device alone ({only}), which is not this one."),
        "Export the profile again for this device, or give a SCEP export: one file of that kind serves many.",
    ))
}

/// ACME needs iOS 16.0 or iPadOS 16.1 (R11, L28).
pub(super) fn too_old(facts: &Facts, profile: &Profile) -> Option<Verdict> {
    let class = facts.class.as_deref().unwrap_or("iPhone");
    let (major, minor) = profile.min_os(class)?;
    let needed = OsVersion { major, minor };
    let running = facts.os()?;
    (running < needed).then(|| {
        let system = if class == "iPad" { "iPadOS" } else { "iOS" };
        let sentence = format!("The profile needs {system} {needed}; the device runs {running}.");
        Verdict::from(Outcome::TooOld).saying(sentence)
    })
}
