//! Step `install`: push the profile. Not to be repeated without looking: a resumed job
//! plans it again only if the device does not list the profile.

use super::inspect::Inspection;
use super::network_signs;
use crate::device::DeviceError;
use crate::device::facts::SetupState;
use crate::device::services::mcinstall::Accepted;
use crate::wire::printable::sentence;
use crate::workflow::engine::{Break, Run};
use crate::workflow::event::{EventKind, PushAnswer, StepId, StepResult};
use crate::workflow::failure::Failure;
use crate::workflow::outcome::{Class, Verdict};
use crate::workflow::second_chance;

pub(super) async fn run(
    run: &mut Run,
    inspection: &mut Inspection,
) -> Result<((), StepResult, Option<String>), Break> {
    let number = u32::try_from(run.job.memory.pushes.len()).unwrap_or(u32::MAX).saturating_add(1);
    // Committed before the first byte leaves: a crash can never hide a push.
    run.emit(EventKind::PushStarted { number }).await?;
    let profile = run.job.profile.clone();
    let silently = run.job.memory.last_push().is_some_and(|push| push.silent);
    let answered = match silently {
        true => inspection.mcinstall.install_silently(profile.bytes()).await,
        false => inspection.mcinstall.install(profile.bytes()).await,
    };
    if let Some(answer) = answer_of(&answered) {
        run.emit(EventKind::PushAnswered { number, answer }).await?;
    }
    match answered {
        Ok(accepted) => Ok(((), StepResult::Done, detail_of(&accepted))),
        Err(error) if silently && wants_a_person(&error) => Err(with_a_person(run, &error).await),
        Err(error) => {
            let broken = in_time(in_setup(error.into(), inspection), run, inspection);
            Err(network_signs::explain(run, inspection, broken).await)
        }
    }
}

/// How the device answered; `None` if its answer is lost, and then it may go on all the same
/// (4.5).
pub(super) fn answer_of(answered: &Result<Accepted, DeviceError>) -> Option<PushAnswer> {
    match answered {
        Ok(Accepted::Acknowledged) => Some(PushAnswer::Acknowledged),
        Ok(Accepted::QueuedByError(_)) => Some(PushAnswer::QueuedError),
        Err(DeviceError::Install { .. } | DeviceError::Status { .. }) => Some(PushAnswer::Refused),
        Err(_) => None,
    }
}

/// What is worth knowing of an answer.
pub(super) fn detail_of(accepted: &Accepted) -> Option<String> {
    match accepted {
        Accepted::Acknowledged => None,
        Accepted::QueuedByError(chain) => Some(chain.to_string()),
    }
}

/// A silent install knows 4021 in its other meaning only: a payload that may come from an
/// MDM server alone (4.5). Lockdown Mode concerns installing by hand.
pub(super) fn in_setup(broken: Break, inspection: &Inspection) -> Break {
    match broken {
        Break::Failed(Failure::Final(verdict))
            if inspection.facts.setup == SetupState::Running
                && verdict.chain.has("Installation", &[4021]) =>
        {
            let said = "The device takes a payload of this profile from an MDM server only (4021).";
            let next = "Export the profile again, or correct it.";
            let chain = verdict.chain;
            Break::Failed(Failure::Final(Verdict::failed(Class::Configuration, said, next).because(chain)))
        }
        other => other,
    }
}

/// What Setup Assistant enrolls has its own way back, while there is time (R153).
fn in_time(broken: Break, run: &Run, inspection: &Inspection) -> Break {
    let advised = |verdict: Verdict| {
        let (memory, now) = (&run.job.memory, run.job.clock.now());
        match second_chance::advice(&verdict.chain, &inspection.facts, memory, now) {
            Some(advice) => verdict.then(advice),
            None => verdict,
        }
    };
    match broken {
        Break::Failed(Failure::Final(verdict)) => Break::Failed(Failure::Final(advised(verdict))),
        Break::Failed(Failure::RetryLater { verdict }) => {
            Break::Failed(Failure::RetryLater { verdict: advised(verdict) })
        }
        other => other,
    }
}

/// Whether silent MDM installs by a supervisor work on every system is unconfirmed (R23): what
/// is refused for being silent is worth a push that a person accepts. The next plan sees that.
pub(super) fn wants_a_person(error: &DeviceError) -> bool {
    match error {
        DeviceError::Status { .. } => true,
        DeviceError::Install { chain, .. } => {
            chain.has("Installation", &[4016, 4020, 4021, 4022, 4025])
                || chain.has("Chaperone", &[29000, 29003])
        }
        _ => false,
    }
}

/// Said as the end of the step that made it silent, so that the job remembers it.
pub(super) async fn with_a_person(run: &mut Run, error: &DeviceError) -> Break {
    let detail = Some(format!("{error}; a person has to install the profile"));
    let told = EventKind::StepFinished { step: StepId::Escalate, result: StepResult::Warning, detail };
    if let Err(broken) = run.emit(told).await {
        return broken;
    }
    let next = "Install the profile from the device, or erase the device and prepare it again.";
    let verdict = Verdict::failed(Class::Device, sentence(error), next);
    Break::Failed(Failure::RetryOnce { verdict })
}
