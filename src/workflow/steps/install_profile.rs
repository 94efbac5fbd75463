//! Step `install`: push the profile. Not to be repeated without looking: a resumed job
//! plans it again only if the device does not list the profile.

use super::inspect::Inspection;
use super::network_signs;
use crate::device::DeviceError;
use crate::device::facts::SetupState;
use crate::device::services::mcinstall::Accepted;
use crate::workflow::engine::{Break, Run};
use crate::workflow::event::{EventKind, PushAnswer, StepResult};
use crate::workflow::failure::Failure;
use crate::workflow::outcome::{Class, Verdict};

pub(super) async fn run(
    run: &mut Run,
    inspection: &mut Inspection,
) -> Result<((), StepResult, Option<String>), Break> {
    let number = u32::try_from(run.job.memory.pushes.len()).unwrap_or(u32::MAX).saturating_add(1);
    // Committed before the first byte leaves: a crash can never hide a push.
    run.emit(EventKind::PushStarted { number }).await?;
    let profile = run.job.profile.clone();
    let answered = inspection.mcinstall.install(profile.bytes()).await;
    if let Some(answer) = answer_of(&answered) {
        run.emit(EventKind::PushAnswered { number, answer }).await?;
    }
    match answered {
        Ok(accepted) => Ok(((), StepResult::Done, detail_of(&accepted))),
        Err(error) => {
            let broken = in_setup(error.into(), inspection);
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
