//! What a job remembers of itself: rebuilt from its events after a restart.

use super::event::{Event, EventKind, PushAnswer, StepId, StepResult};
use super::helpers::HelperName;
use super::second_chance;
use crate::device::Rung;
use jiff::Timestamp;

/// One push of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Push {
    /// When the push began.
    pub at: Timestamp,
    /// As a supervisor: the device installs without asking anybody.
    pub silent: bool,
    /// When and how the device answered; `None` if the answer was lost.
    pub answer: Option<(Timestamp, PushAnswer)>,
    /// When the device was first looked at again although no answer had come: from then on it
    /// is known to be lost.
    pub lost: Option<Timestamp>,
    /// The station saw the push fail without an answer, as it does when a cable slips; it does
    /// not see that when it is killed itself.
    pub broke: bool,
}

impl Push {
    /// A push that began at `at` and has no answer yet.
    pub fn begun(at: Timestamp, silent: bool) -> Self {
        Self { at, silent, answer: None, lost: None, broke: false }
    }

    /// True if the device refused it: nothing can come of it any more.
    pub fn is_refused(&self) -> bool {
        matches!(self.answer, Some((_, PushAnswer::Refused)))
    }
}

/// The one time a device was told to erase itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erase {
    /// When that began.
    pub at: Timestamp,
    /// When the device answered, and whether it does; `None` if the answer was lost.
    pub answer: Option<(Timestamp, bool)>,
    /// It had to be paired anew since: what a device forgets when it is erased.
    pub forgot_us: bool,
}

/// A job's memory. The device's own word always outranks it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// Attempts so far.
    pub attempts: u32,
    /// Pushes so far, oldest first.
    pub pushes: Vec<Push>,
    /// The last push of the device's job before this one, if its answer was lost: the device may
    /// still be installing (4.5), whoever pushed.
    pub earlier: Option<Push>,
    /// Pushes of helper profiles so far, oldest first.
    pub helpers: Vec<(HelperName, Push)>,
    /// The device has its name, or refused it: once a job is enough.
    pub named: bool,
    /// How often this job began to give it one.
    pub name_tries: u32,
    /// Automatic retries used up.
    pub retries: u32,
    /// Rungs of the recovery ladder taken: each at most once a job.
    pub rungs: Vec<Rung>,
    /// SHA-256 of the file in use, hex, if it is not the one the job started with.
    pub chosen: Option<String>,
    /// It was let in by its batch, and given its blueprint.
    pub assigned: bool,
    /// The profile was read back: whatever happens now, the device is enrolled.
    pub verified: bool,
    /// When the SCEP server was first seen to answer invalidly (R153).
    pub scep_failed: Option<Timestamp>,
    /// The device was told to erase itself.
    pub erase: Option<Erase>,
    /// This attempt is a supervisor's.
    escalated: bool,
    /// The device refused to install without a person, or refused us as its supervisor.
    pub silence_refused: bool,
}

impl Memory {
    /// Rebuilds the memory of a job from its events, for a station that begins. What it waits
    /// for after a lost answer it measures itself: the wall clock may have been set since.
    pub fn of(events: &[Event]) -> Self {
        let mut memory = Self::default();
        for event in events {
            memory.take(event.at, &event.kind);
        }
        let helper = memory.helpers.last_mut().map(|(_, push)| push);
        memory.pushes.last_mut().into_iter().chain(helper).for_each(|push| push.lost = None);
        memory
    }

    /// Takes over what the device's last job that pushed left unsettled: an answer that was lost.
    #[must_use]
    pub fn after(self, pushed: &[Event]) -> Self {
        let earlier = Self::of(pushed).pushes.last().filter(|push| push.answer.is_none()).copied();
        Self { earlier, ..self }
    }

    /// Takes one event.
    pub fn take(&mut self, at: Timestamp, kind: &EventKind) {
        match kind {
            EventKind::AttemptStarted { .. } => {
                self.attempts += 1;
                self.escalated = false;
                self.nothing_after(at);
                let helper = self.helpers.last_mut().map(|(_, push)| push);
                for push in self.pushes.last_mut().into_iter().chain(helper).chain(&mut self.earlier) {
                    if push.answer.is_none() {
                        push.lost.get_or_insert(at);
                    }
                }
            }
            EventKind::StepFinished { step: StepId::Escalate, result, .. } => {
                self.escalated = *result == StepResult::Done;
                self.silence_refused |= *result == StepResult::Warning;
            }
            EventKind::PushStarted { .. } => {
                self.pushes.push(Push::begun(at, self.escalated));
            }
            EventKind::EraseStarted => self.erase = Some(Erase { at, answer: None, forgot_us: false }),
            EventKind::EraseAnswered { accepted } => {
                if let Some(erase) = &mut self.erase {
                    erase.answer = Some((at, *accepted));
                }
            }
            EventKind::StepFinished {
                step: StepId::Pair,
                result: StepResult::Done | StepResult::Warning,
                ..
            } => {
                if let Some(erase) = &mut self.erase {
                    erase.forgot_us = true;
                }
            }
            EventKind::PushAnswered { answer, .. } => {
                if let Some(push) = self.pushes.last_mut() {
                    push.answer = Some((at, *answer));
                }
            }
            EventKind::HelperPushStarted { helper } => {
                self.helpers.push((helper.clone(), Push::begun(at, self.escalated)));
            }
            EventKind::HelperPushAnswered { answer, .. } => {
                if let Some((_, push)) = self.helpers.last_mut() {
                    push.answer = Some((at, *answer));
                }
            }
            EventKind::StepFinished { step: StepId::Install, result: StepResult::Failed, .. } => {
                if let Some(push) = self.pushes.last_mut() {
                    push.broke |= push.answer.is_none();
                }
            }
            EventKind::StepFinished { step: StepId::PushHelper, result: StepResult::Failed, .. } => {
                if let Some((_, push)) = self.helpers.last_mut() {
                    push.broke |= push.answer.is_none();
                }
            }
            EventKind::ProfileChosen { sha256, .. } => self.chosen = Some(sha256.clone()),
            EventKind::Assigned { .. } => self.assigned = true,
            EventKind::Retrying { chain, .. } => {
                self.retries += 1;
                if second_chance::is_it(chain) {
                    self.scep_failed.get_or_insert(at);
                }
            }
            EventKind::Recovering { rung } => self.rungs.push(*rung),
            EventKind::StepFinished { step: StepId::Verify, result: StepResult::Done, .. } => {
                self.verified = true;
            }
            EventKind::StepStarted { step: StepId::NameDevice } => self.name_tries += 1,
            EventKind::StepFinished { step: StepId::NameDevice, result, .. } => {
                self.named |= *result != StepResult::Failed;
            }
            _ => {}
        }
    }

    /// Takes what seems to lie in the future for present: the wall clock was set back since, and
    /// nothing that is waited for may take that long.
    fn nothing_after(&mut self, now: Timestamp) {
        let helpers = self.helpers.iter_mut().map(|(_, push)| push);
        for push in self.pushes.iter_mut().chain(helpers).chain(&mut self.earlier) {
            push.at = push.at.min(now);
            push.answer = push.answer.map(|(at, answer)| (at.min(now), answer));
        }
        self.scep_failed = self.scep_failed.map(|at| at.min(now));
        if let Some(erase) = &mut self.erase {
            erase.at = erase.at.min(now);
        }
    }

    /// True if this attempt's connection is known to be a supervisor's: what is pushed is
    /// installed without asking anybody.
    pub fn is_escalated(&self) -> bool {
        self.escalated
    }

    /// The last push, unless the device refused it.
    pub fn last_push(&self) -> Option<&Push> {
        self.pushes.last().filter(|push| !push.is_refused())
    }

    /// As [`Memory::last_push`]; before the first one that of an earlier job.
    pub fn last_flight(&self) -> Option<&Push> {
        match self.pushes.is_empty() {
            true => self.earlier.as_ref(),
            false => self.last_push(),
        }
    }

    /// Pushes the device did not refuse: what a policy's `pushes` counts.
    pub fn accepted_pushes(&self) -> u32 {
        let counted = |push: &&Push| !push.is_refused();
        u32::try_from(self.pushes.iter().filter(counted).count()).unwrap_or(u32::MAX)
    }

    /// Pushes of this helper, oldest first.
    pub fn helper_pushes(&self, helper: &HelperName) -> Vec<Push> {
        self.helpers.iter().filter(|(name, _)| name.is(helper)).map(|(_, push)| *push).collect()
    }

    /// True if the answer to the last push of any profile is lost: the device may be installing.
    pub fn unanswered(&self) -> bool {
        let lost = |push: Option<&Push>| push.is_some_and(|push| push.answer.is_none());
        lost(self.pushes.last().or(self.earlier.as_ref())) || lost(self.helpers.last().map(|(_, push)| push))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::JobId;

    #[test]
    fn an_answer_is_lost_from_the_first_look_on() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let mut memory = Memory::default();
        memory.take(at(1), &EventKind::AttemptStarted { number: 1 });
        memory.take(at(2), &EventKind::PushStarted { number: 1 });
        assert_eq!(memory.pushes[0].lost, None);
        for second in [40, 50] {
            memory.take(at(second), &EventKind::AttemptStarted { number: 2 });
            assert_eq!(memory.pushes[0].lost, Some(at(40)));
        }
        let event = |second, kind| Event { job: JobId(1), seq: second, at: at(second), kind };
        let begun = EventKind::PushStarted { number: 1 };
        let looked = EventKind::AttemptStarted { number: 2 };
        let mut rebuilt = Memory::of(&[event(2, begun), event(40, looked.clone())]);
        rebuilt.take(at(4000), &looked);
        assert_eq!(rebuilt.pushes[0].lost, Some(at(4000)), "a new station looks for itself");
        memory.take(at(60), &EventKind::PushStarted { number: 2 });
        memory.take(at(61), &EventKind::PushAnswered { number: 2, answer: PushAnswer::Acknowledged });
        memory.take(at(62), &EventKind::AttemptStarted { number: 3 });
        assert_eq!(memory.pushes[1].lost, None, "it was answered");
    }

    #[test]
    fn a_job_takes_over_the_lost_answer_of_the_one_before() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let event = |second, kind| Event { job: JobId(1), seq: second, at: at(second), kind };
        let lost = [event(2, EventKind::PushStarted { number: 1 })];
        let mut memory = Memory::default().after(&lost);
        assert!(memory.unanswered() && memory.last_push().is_none() && memory.accepted_pushes() == 0);
        memory.take(at(60), &EventKind::AttemptStarted { number: 1 });
        assert_eq!(memory.last_flight().and_then(|push| push.lost), Some(at(60)), "it measures for itself");
        memory.take(at(61), &EventKind::PushStarted { number: 1 });
        memory.take(at(62), &EventKind::PushAnswered { number: 1, answer: PushAnswer::Acknowledged });
        assert!(!memory.unanswered() && memory.last_flight() == memory.last_push());
        let answered = EventKind::PushAnswered { number: 1, answer: PushAnswer::Acknowledged };
        let [begun] = lost;
        assert_eq!(Memory::default().after(&[begun, event(3, answered)]), Memory::default());
    }

    #[test]
    fn a_clock_that_was_set_back_prolongs_nothing() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let event = |second, kind| Event { job: JobId(1), seq: second, at: at(second), kind };
        let answered = EventKind::PushAnswered { number: 1, answer: PushAnswer::Acknowledged };
        let before = [
            event(8000, EventKind::PushStarted { number: 1 }),
            event(8001, answered),
            event(8002, EventKind::EraseStarted),
        ];
        let mut memory = Memory::of(&before);
        memory.take(at(4000), &EventKind::AttemptStarted { number: 2 });
        memory.take(at(4060), &EventKind::AttemptStarted { number: 3 });
        assert_eq!(memory.pushes[0].answer, Some((at(4000), PushAnswer::Acknowledged)));
        assert_eq!((memory.pushes[0].at, memory.erase.map(|erase| erase.at)), (at(4000), Some(at(4000))));
        let mut memory = Memory::of(&before);
        memory.take(at(9000), &EventKind::AttemptStarted { number: 2 });
        assert_eq!((memory.pushes[0].at, memory.erase.map(|erase| erase.at)), (at(8000), Some(at(8002))));
    }

    #[test]
    fn a_push_broke_if_its_step_failed_without_an_answer() {
        let at = Timestamp::UNIX_EPOCH;
        let failed =
            EventKind::StepFinished { step: StepId::Install, result: StepResult::Failed, detail: None };
        let mut memory = Memory::default();
        for (answer, broke) in [(None, true), (Some(PushAnswer::Refused), false)] {
            memory.take(at, &EventKind::PushStarted { number: 1 });
            if let Some(answer) = answer {
                memory.take(at, &EventKind::PushAnswered { number: 1, answer });
            }
            memory.take(at, &failed);
            assert_eq!(memory.pushes.last().map(|push| push.broke), Some(broke), "{answer:?}");
        }
        // A station that is killed writes no such event.
        memory.take(at, &EventKind::PushStarted { number: 3 });
        memory.take(at, &EventKind::AttemptStarted { number: 2 });
        assert!(!memory.pushes[2].broke);
    }
}
