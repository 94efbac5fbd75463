//! The plan: what is still to do for a device, or why nothing may be done. A pure function
//! of what was read, what was remembered, what is wanted, and the time.

use super::device_name;
use super::event::StepId;
use super::helpers::{self, HelperName};
use super::memory::{Memory, Push};
use super::outcome::{Class, Outcome, Verdict};
use super::policy::{Policy, SetupAssistant};
use crate::device::Facts;
use crate::device::facts::{OsVersion, SetupState};
use crate::limits::{LOST_ANSWERS, LOST_INSTALL_SETTLE, LOST_INSTALLS, PENDING_GRACE};
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
    /// The station holds a supervision identity that the device knows (R133).
    pub supervises: bool,
    /// Now.
    pub now: Timestamp,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Nothing: this is how it stands.
    End(Box<Verdict>),
    /// Something has to be done before the profile may be pushed; then plan again.
    First {
        /// What.
        before: Before,
        /// The steps that come before the push, this before's among them.
        steps: Vec<StepId>,
        /// Why, in words.
        reason: String,
    },
    /// Push, then wait if the device queues it, then verify.
    Push {
        /// Why, in words.
        reason: String,
        /// As the device's supervisor: without asking anybody (R23).
        silently: bool,
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

/// What comes before the enrollment profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Before {
    /// Call the device so.
    Name(String),
    /// Push this helper.
    PushHelper(HelperName),
    /// Do not push: an earlier push of this helper may still be installed until `until`.
    WaitForHelper {
        /// Which.
        helper: HelperName,
        /// Deadline.
        until: Timestamp,
        /// What is waited for: the person, or the device that still works.
        state: Outcome,
    },
}

impl Plan {
    /// Steps of this plan, in order.
    pub fn steps(&self) -> Vec<StepId> {
        match self {
            Self::End(_) => Vec::new(),
            Self::First { steps, .. } => steps.iter().copied().chain(PUSH).collect(),
            Self::Push { silently: true, .. } => vec![StepId::Escalate, StepId::Install, StepId::Verify],
            Self::Push { .. } => PUSH.to_vec(),
            Self::Wait { .. } => vec![StepId::WaitForPerson, StepId::Verify],
            Self::Verify => vec![StepId::Verify],
        }
    }

    /// Why this plan, in words.
    pub fn reason(&self) -> &str {
        match self {
            Self::End(verdict) => &verdict.sentence,
            Self::First { reason, .. } | Self::Push { reason, .. } | Self::Wait { reason, .. } => reason,
            Self::Verify => "the device lists the profile this job pushed",
        }
    }
}

/// The steps of a push.
const PUSH: [StepId; 3] = [StepId::Install, StepId::WaitForPerson, StepId::Verify];

/// True if `profile` is on the device: same identifier **and** same UUID (4.8).
pub fn is_installed(profile: &Profile, installed: &[InstalledProfile]) -> bool {
    installed
        .iter()
        .any(|p| p.identifier == profile.identifier() && p.uuid.eq_ignore_ascii_case(profile.uuid()))
}

/// Until when the last push may still turn into an installed profile, and what a bay shows
/// meanwhile.
pub fn in_flight(situation: &Situation<'_>) -> Option<(Timestamp, Outcome)> {
    wait_for(situation, situation.memory.last_flight().copied())
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
    if let Some((until, state)) = in_flight(situation) {
        let silent = memory.last_push().is_some_and(|push| push.silent && push.answer.is_some());
        let reason = match state {
            Outcome::WaitingForPerson => "the profile pushed before still waits on the device",
            _ if silent => "the device acknowledged the profile and does not list it yet",
            _ => "the answer to the last push was lost; the device may still be installing",
        };
        return Plan::Wait { until, state, reason: reason.into() };
    }
    if let Some(verdict) = lost_too_often(&memory.pushes, "the profile") {
        return Plan::End(Box::new(verdict));
    }
    if memory.accepted_pushes() >= policy.pushes && memory.last_push().is_some_and(|p| p.answer.is_some()) {
        let silent = memory.last_push().is_some_and(|push| push.silent);
        return Plan::End(Box::new(match facts.setup {
            // Nobody is asked in Setup Assistant, nor by a supervisor (4.5): this is the
            // device's own doing.
            setup if silent || setup == SetupState::Running => Verdict::failed(
                Class::Device,
                "The device acknowledged the profile and does not list it.",
                "Restart the device and plug it in again.",
            ),
            _ => Outcome::PersonDidNotAccept.into(),
        }));
    }
    let silently = is_silent(situation);
    let reason = match facts.setup {
        _ if silently => "the station is the device's supervisor: it installs without asking anybody",
        SetupState::Running => "Setup Assistant runs: the device installs silently",
        SetupState::Finished => "Setup Assistant is finished: the device asks its person",
        SetupState::Unknown => "the device does not tell whether Setup Assistant is finished",
    };
    first(situation).unwrap_or_else(|| Plan::Push { reason: reason.into(), silently })
}

/// How a job ends that lost the answers to so many pushes of `what`; `None` while it may push.
pub(super) fn lost_too_often(pushes: &[Push], what: &str) -> Option<Verdict> {
    let lost =
        |which: fn(&Push) -> bool| pushes.iter().filter(|push| push.answer.is_none() && which(push)).count();
    if lost(|push| push.broke) > LOST_INSTALLS {
        let said = format!("The connection broke every time {what} was pushed.");
        let next = "Try another cable and another port; plug the device in again.";
        return Some(Verdict::failed(Class::Transport, said, next));
    }
    (lost(|_| true) > LOST_ANSWERS).then(|| {
        let said = format!("The station was ended every time {what} was pushed.");
        let next = "Find out what ends it (its log, the memory and power of this computer); then plug the device in again.";
        Verdict::failed(Class::Bug, said, next)
    })
}

/// True if the station pushes as the device's supervisor: nobody is asked (R23). Setup
/// Assistant asks nobody anyway.
pub(super) fn is_silent(situation: &Situation<'_>) -> bool {
    let running = situation.facts.setup == SetupState::Running;
    situation.supervises && !running && !situation.memory.silence_refused
}

/// What has to be done before the profile may be pushed, if anything.
pub(super) fn first(situation: &Situation<'_>) -> Option<Plan> {
    let helper = helpers::next(situation);
    let Some(name) = device_name::due(situation) else { return helper };
    let (steps, then) = match helper {
        Some(Plan::First { steps, reason, .. }) => (steps, reason.replacen("first", ", then", 1)),
        Some(end) => return Some(end),
        None => (Vec::new(), String::new()),
    };
    let reason = format!("first the name \"{}\"{then}", crate::wire::printable::printable(&name));
    let steps = std::iter::once(StepId::NameDevice).chain(steps).collect();
    Some(Plan::First { before: Before::Name(name), steps, reason })
}

/// As [`in_flight`], for any push; `None` if nothing is to be waited for.
pub(super) fn wait_for(situation: &Situation<'_>, push: Option<Push>) -> Option<(Timestamp, Outcome)> {
    let push = push.filter(|push| !push.is_refused())?;
    let until = may_arrive_until(&push, situation.facts, situation.policy)?;
    let asks = push.answer.is_some() && !push.silent;
    let state = if asks { Outcome::WaitingForPerson } else { Outcome::Verifying };
    (situation.now < grace_after(until)).then_some((until, state))
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
        Some((at, _)) if push.silent => after(at, LOST_INSTALL_SETTLE),
        Some((at, _)) => after(at, policy.accept_within),
        // "A lost connection does not cancel the install: reconnect and look" (4.5). Only a
        // silent install goes on by itself; a queued one is replaced by the next push.
        None if facts.setup == SetupState::Finished && !push.silent => None,
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
    if let Some(verdict) = too_old(facts, profile).or_else(|| made_for_another(facts, profile, policy)) {
        return Some(verdict);
    }
    if facts.setup == SetupState::Running && policy.setup_assistant == SetupAssistant::Hold {
        return Some(Outcome::InSetup.into());
    }
    None
}

/// An ACME export may be for one device alone (2.3, 3.3): it says so, or the station knows.
pub(super) fn made_for_another(facts: &Facts, profile: &Profile, policy: &Policy) -> Option<Verdict> {
    let known = || policy.owned.get(&super::choice::sha256(profile)).cloned();
    let only = profile.made_for().or_else(known)?;
    let other = facts.udid.as_ref().is_some_and(|udid| !udid.is_meant_by(only.as_str()));
    other.then(|| {
        Verdict::failed(
            Class::Configuration,
            format!("This ACME export is for one device alone ({only}), which is not this one."),
            "Export the profile again for this device, or give a SCEP export: one file of that kind serves many.",
        )
    })
}

/// ACME needs iOS 16.0 or iPadOS 16.1 (R11, L28).
pub(super) fn too_old(facts: &Facts, profile: &Profile) -> Option<Verdict> {
    let class = facts.class.as_deref().unwrap_or("iPhone");
    let (major, minor) = profile.min_os(class)?;
    let needed = OsVersion::new(major, minor);
    let running = facts.os()?;
    (running < needed).then(|| {
        let system = if class == "iPad" { "iPadOS" } else { "iOS" };
        let sentence = format!("The profile needs {system} {needed}; the device runs {running}.");
        Verdict::from(Outcome::TooOld).saying(sentence)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::event::{EventKind, PushAnswer, StepResult};

    const EXAMPLE: &[u8] = include_bytes!("../../fixtures/profiles/example-scep.mobileconfig");

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// A supervised device after setup, with what the job did so far.
    fn planned(supervises: bool, events: &[(i64, EventKind)], now: i64) -> Plan {
        let anchors = crate::wire::profile::TrustAnchors::none();
        let purpose = crate::wire::profile::Purpose::Any;
        let profile = Profile::load(EXAMPLE, purpose, &anchors, at(0)).unwrap();
        let mut memory = Memory::default();
        events.iter().for_each(|(second, kind)| memory.take(at(*second), kind));
        let facts = Facts { setup: SetupState::Finished, ..Facts::default() };
        let policy = Policy::default();
        let (facts, policy, memory) = (&facts, &policy, &memory);
        let (installed, profile) = (&[][..], &profile);
        plan(&Situation { facts, installed, profile, policy, memory, supervises, now: at(now) })
    }

    fn escalated(result: StepResult) -> EventKind {
        EventKind::StepFinished { step: StepId::Escalate, result, detail: None }
    }

    fn pushes_silently(plan: &Plan) -> bool {
        match plan {
            Plan::Push { silently, .. } => *silently,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_supervisor_pushes_silently_until_the_device_refuses_that() {
        let plan = planned(true, &[], 0);
        assert!(
            pushes_silently(&plan) && plan.steps() == [StepId::Escalate, StepId::Install, StepId::Verify]
        );
        assert!(!pushes_silently(&planned(false, &[], 0)));
        assert!(!pushes_silently(&planned(true, &[(0, escalated(StepResult::Warning))], 1)));
        // What the network or the server did speaks against nothing.
        let refused = [
            (0, escalated(StepResult::Done)),
            (1, EventKind::PushStarted { number: 1 }),
            (2, EventKind::PushAnswered { number: 1, answer: PushAnswer::Refused }),
            (2, escalated(StepResult::Warning)),
        ];
        assert!(pushes_silently(&planned(true, &refused[..3], 3)));
        assert!(!pushes_silently(&planned(true, &refused, 3)));
    }

    /// A lost connection does not cancel a silent install (4.5).
    #[test]
    fn a_silent_push_without_an_answer_is_waited_for() {
        let lost = [(0, escalated(StepResult::Done)), (1, EventKind::PushStarted { number: 1 })];
        assert!(matches!(planned(true, &lost, 2), Plan::Wait { state: Outcome::Verifying, .. }));
        assert!(matches!(planned(true, &lost, 90), Plan::Push { .. }));
        let queued = [(1, EventKind::PushStarted { number: 1 })];
        assert!(matches!(planned(true, &queued, 2), Plan::Push { .. }), "a queued one is replaced");
    }
}
