//! Erasing a device: the owner's consent, and, as a pure function, what is to be done. A
//! device is told to erase at most once a job, whatever happens in between (R47, R107, R154).

use super::memory::Memory;
use super::outcome::{Class, Outcome, Verdict};
use crate::device::Facts;
use crate::device::facts::SetupState;
use crate::limits::ERASE_BEGINS;
use jiff::{SignedDuration, Timestamp};

/// Least characters of a serial number that name a device: "the serial's last 4" (R47).
const LEAST_SERIAL: usize = 4;

/// The owner's consent, which names one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// Its serial number as it was typed, or its end.
    pub serial: String,
    /// Erase it although Find My will lock it then.
    pub despite_find_my: bool,
}

/// The consent names no device.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("a serial number, or its last {LEAST_SERIAL} characters at least, has to name the device")]
pub struct NoConsent;

impl Erasure {
    /// A consent for the device with this serial number, or with one that ends so.
    ///
    /// # Errors
    /// [`NoConsent`].
    pub fn of(serial: &str, despite_find_my: bool) -> Result<Self, NoConsent> {
        let serial = serial.trim().to_ascii_uppercase();
        let fits = serial.len() >= LEAST_SERIAL && serial.bytes().all(|b| b.is_ascii_alphanumeric());
        if fits { Ok(Self { serial, despite_find_my }) } else { Err(NoConsent) }
    }

    fn names(&self, serial: &str) -> bool {
        serial.trim().to_ascii_uppercase().ends_with(&self.serial)
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    /// Nothing (more): this is how it stands.
    End(Box<Verdict>),
    /// It was told to erase and may still be about to: look again, at the latest then.
    Wait {
        /// When it would have begun.
        until: Timestamp,
    },
    /// Tell it.
    Erase,
}

/// What is known when a plan is made.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// Facts just read.
    pub facts: &'a Facts,
    /// Profiles on the device.
    pub profiles: usize,
    /// The consent.
    pub erasure: &'a Erasure,
    /// What this job did before.
    pub memory: &'a Memory,
    /// Now.
    pub now: Timestamp,
}

/// Decides.
pub fn plan(situation: &Situation<'_>) -> Plan {
    let Situation { facts, memory, now, .. } = *situation;
    let Some(erase) = memory.erase else { return first(situation) };
    if let Some((_, false)) = erase.answer {
        let next = "Unlock it, look what forbids it, and run `enlist erase` again.";
        let said = "The device refused to erase itself.";
        return Plan::End(Box::new(Verdict::failed(Class::Device, said, next)));
    }
    if is_as_new(situation) {
        return Plan::End(Box::new(erased(facts)));
    }
    let wait = SignedDuration::try_from(ERASE_BEGINS).unwrap_or_default();
    let until = erase.at.checked_add(wait).unwrap_or(erase.at);
    if now < until {
        return Plan::Wait { until };
    }
    let said = match erase.answer {
        Some((_, true)) => "The device acknowledged the erase and is not erased.",
        _ => "The answer to the erase was lost, and the device is not erased.",
    };
    let next = "Nothing was sent twice. Restart the device, look at it, and run `enlist erase` again if it is to be erased.";
    Plan::End(Box::new(Verdict::failed(Class::Device, said, next)))
}

/// Before anything was sent: only the device that the consent names.
fn first(situation: &Situation<'_>) -> Plan {
    let Situation { facts, erasure, .. } = *situation;
    let end = |verdict: Verdict| Plan::End(Box::new(verdict));
    let Some(serial) = facts.serial.as_deref() else {
        let said = "The device does not tell its serial number, so nothing proves that it is the one meant; it was not erased.";
        return end(Verdict::failed(Class::Device, said, "Erase it in its Settings."));
    };
    if !erasure.names(serial) {
        let said = format!(
            "The consent names another device ({}) than this one ({}); nothing was erased.",
            erasure.serial,
            crate::wire::printable::printable(serial)
        );
        let next = "Look at the device that is plugged in, and type its own serial number.";
        return end(Verdict::failed(Class::Configuration, said, next));
    }
    if facts.find_my == Some(true) && !erasure.despite_find_my {
        let said = "Find My is on: once erased, the device would be locked to its owner's Apple Account. Nothing was erased.";
        let next = "Have its owner sign out of iCloud first (R57), or repeat with --despite-find-my.";
        return end(Verdict::from(Outcome::ActivationLocked).saying(said).then(next));
    }
    Plan::Erase
}

/// In Setup Assistant, with nothing on it. A device of Automated Device Enrollment fetches its
/// configuration anew (4.D): that it forgot us meanwhile tells it from one that never began.
fn is_as_new(situation: &Situation<'_>) -> bool {
    let Situation { facts, profiles, memory, .. } = *situation;
    let forgot_us = memory.erase.is_some_and(|erase| erase.forgot_us);
    let unconfigured = facts.cloud.as_ref().is_none_or(|cloud| forgot_us && cloud.is_automated());
    facts.setup == SetupState::Running && unconfigured && profiles == 0
}

fn erased(facts: &Facts) -> Verdict {
    let verdict = Verdict::from(Outcome::Erased);
    let next = match (facts.is_unactivated(), facts.find_my) {
        (true, Some(true)) => {
            "Find My holds it: its owner must sign in on it, or the organisation must clear the Activation Lock."
        }
        (true, _) => {
            "It is not activated yet, which a station cannot do for it: connect it to Wi-Fi in Setup Assistant, then go on with `enlist prepare`."
        }
        (false, _) => "Go on with `enlist prepare`, with `enlist enroll`, or with Setup Assistant.",
    };
    verdict.then(next)
}

/// How a job ends whose device went to erase itself and did not come back.
pub fn away() -> Verdict {
    Verdict::from(Outcome::DetachedMidway)
        .saying("The device was told to erase itself, left, and did not come back in time.")
        .then("Wait for its Hello screen and plug it in; `enlist info` then shows whether it is erased.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cloud_configuration::CloudConfiguration;
    use crate::workflow::event::{EventKind, StepId, StepResult};

    const NOW: &str = "2026-03-02T08:00:00Z";

    fn at(seconds: i64) -> Timestamp {
        let now: Timestamp = NOW.parse().unwrap();
        now.checked_add(SignedDuration::from_secs(seconds)).unwrap()
    }

    fn facts(setup: SetupState) -> Facts {
        let state = "Activated".to_owned();
        Facts {
            serial: Some("F2LX1234ABCD".into()),
            setup,
            activation_state: Some(state),
            ..Facts::default()
        }
    }

    fn memory(events: &[(i64, EventKind)]) -> Memory {
        let mut memory = Memory::default();
        events.iter().for_each(|(second, kind)| memory.take(at(*second), kind));
        memory
    }

    fn planned(facts: &Facts, serial: &str, memory: &Memory, now: i64) -> Plan {
        let erasure = Erasure::of(serial, false).unwrap();
        plan(&Situation { facts, profiles: 0, erasure: &erasure, memory, now: at(now) })
    }

    fn outcome(plan: Plan) -> (Outcome, String) {
        match plan {
            Plan::End(verdict) => (verdict.outcome, verdict.sentence),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_the_device_that_was_named_is_erased() {
        let (facts, none) = (facts(SetupState::Finished), Memory::default());
        for good in ["F2LX1234ABCD", "f2lx1234abcd", "ABCD", " 1234abcd "] {
            assert_eq!(planned(&facts, good, &none, 0), Plan::Erase, "{good}");
        }
        assert!(outcome(planned(&facts, "F2LX", &none, 0)).1.contains("names another device"));
        let silent = Facts { serial: None, ..facts };
        assert!(outcome(planned(&silent, "ABCD", &none, 0)).1.contains("does not tell"));
        for bad in ["", "BCD", "AB CD", "-----"] {
            assert_eq!(Erasure::of(bad, false), Err(NoConsent), "{bad}");
        }
    }

    #[test]
    fn find_my_is_asked_about_first() {
        let facts = Facts { find_my: Some(true), ..facts(SetupState::Finished) };
        let none = Memory::default();
        assert_eq!(outcome(planned(&facts, "ABCD", &none, 0)).0, Outcome::ActivationLocked);
        let erasure = Erasure::of("ABCD", true).unwrap();
        let knowing = Situation { facts: &facts, profiles: 0, erasure: &erasure, memory: &none, now: at(0) };
        assert_eq!(plan(&knowing), Plan::Erase);
    }

    #[test]
    fn nothing_is_sent_twice_whatever_became_of_the_first() {
        let lost = memory(&[(0, EventKind::EraseStarted)]);
        let taken = memory(&[(0, EventKind::EraseStarted), (1, EventKind::EraseAnswered { accepted: true })]);
        for memory in [&lost, &taken] {
            for setup in [SetupState::Finished, SetupState::Unknown] {
                assert!(matches!(planned(&facts(setup), "ABCD", memory, 5), Plan::Wait { .. }));
                assert_eq!(outcome(planned(&facts(setup), "ABCD", memory, 500)).0, Outcome::Failed);
            }
            assert_eq!(outcome(planned(&facts(SetupState::Running), "ABCD", memory, 5)).0, Outcome::Erased);
        }
        let refused =
            memory(&[(0, EventKind::EraseStarted), (1, EventKind::EraseAnswered { accepted: false })]);
        let told = outcome(planned(&facts(SetupState::Finished), "ABCD", &refused, 5)).1;
        assert_eq!(told, "The device refused to erase itself.");
        // It does not matter any more whose serial number was typed.
        assert_eq!(outcome(planned(&facts(SetupState::Running), "0000", &taken, 5)).0, Outcome::Erased);
    }

    #[test]
    fn a_device_that_keeps_something_is_not_erased() {
        let taken = memory(&[(0, EventKind::EraseStarted)]);
        let erasure = Erasure::of("ABCD", false).unwrap();
        let fresh = facts(SetupState::Running);
        let with = |facts: &Facts, profiles| {
            plan(&Situation { facts, profiles, erasure: &erasure, memory: &taken, now: at(500) })
        };
        assert_eq!(outcome(with(&fresh, 1)).0, Outcome::Failed);
        let configured = Facts { cloud: Some(Default::default()), ..fresh.clone() };
        assert_eq!(outcome(with(&configured, 0)).0, Outcome::Failed);
        assert_eq!(outcome(with(&fresh, 0)).0, Outcome::Erased);
        // Apple's servers configured it again meanwhile.
        let cloud = CloudConfiguration { source: Some(1), ..CloudConfiguration::default() };
        let automated = Facts { cloud: Some(cloud), ..fresh };
        assert_eq!(outcome(with(&automated, 0)).0, Outcome::Failed);
        let paired = EventKind::StepFinished { step: StepId::Pair, result: StepResult::Done, detail: None };
        let forgotten = memory(&[(0, EventKind::EraseStarted), (60, paired)]);
        assert_eq!(outcome(planned(&automated, "ABCD", &forgotten, 500)).0, Outcome::Erased);
    }
}
