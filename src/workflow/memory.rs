//! What a job remembers of itself: rebuilt from its events after a restart.

use super::event::{Event, EventKind, PushAnswer, StepId, StepResult};
use crate::device::Rung;
use jiff::Timestamp;

/// One push of the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Push {
    /// When the push began.
    pub at: Timestamp,
    /// When and how the device answered; `None` if the answer was lost.
    pub answer: Option<(Timestamp, PushAnswer)>,
}

/// A job's memory. The device's own word always outranks it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// Attempts so far.
    pub attempts: u32,
    /// Pushes so far, oldest first.
    pub pushes: Vec<Push>,
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
}

impl Memory {
    /// Rebuilds the memory of a job from its events.
    pub fn of(events: &[Event]) -> Self {
        let mut memory = Self::default();
        for event in events {
            memory.take(event.at, &event.kind);
        }
        memory
    }

    /// Takes one event.
    pub fn take(&mut self, at: Timestamp, kind: &EventKind) {
        match kind {
            EventKind::AttemptStarted { .. } => self.attempts += 1,
            EventKind::PushStarted { .. } => self.pushes.push(Push { at, answer: None }),
            EventKind::PushAnswered { answer, .. } => {
                if let Some(push) = self.pushes.last_mut() {
                    push.answer = Some((at, *answer));
                }
            }
            EventKind::ProfileChosen { sha256, .. } => self.chosen = Some(sha256.clone()),
            EventKind::Assigned { .. } => self.assigned = true,
            EventKind::Retrying { .. } => self.retries += 1,
            EventKind::Recovering { rung } => self.rungs.push(*rung),
            EventKind::StepFinished { step: StepId::Verify, result: StepResult::Done, .. } => {
                self.verified = true;
            }
            _ => {}
        }
    }

    /// The last push, unless the device refused it.
    pub fn last_push(&self) -> Option<&Push> {
        self.pushes.last().filter(|push| !matches!(push.answer, Some((_, PushAnswer::Refused))))
    }

    /// Pushes the device did not refuse: what a policy's `pushes` counts.
    pub fn accepted_pushes(&self) -> u32 {
        let counted = |push: &&Push| !matches!(push.answer, Some((_, PushAnswer::Refused)));
        u32::try_from(self.pushes.iter().filter(counted).count()).unwrap_or(u32::MAX)
    }

    /// Pushes whose answer was lost.
    pub fn lost_answers(&self) -> u32 {
        u32::try_from(self.pushes.iter().filter(|push| push.answer.is_none()).count()).unwrap_or(u32::MAX)
    }
}
