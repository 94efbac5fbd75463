//! Step `escalate`: prove that the station is the device's supervisor, so that it installs
//! without asking anybody (protocols.md 4.6, R23). Repeatable; what it opens dies with the
//! connection.

use super::inspect::Inspection;
use crate::device::DeviceError;
use crate::device::Facts;
use crate::device::services::mcinstall::Escalation;
use crate::device::trust::{SupervisionIdentity, Trust};
use crate::wire::printable::printable;
use crate::workflow::engine::{Break, Run};
use crate::workflow::event::{StepId, StepResult};

/// The identity of the station that the device lists among its supervisors (R133).
pub(super) fn identity<'a>(trust: &'a Trust, facts: &Facts) -> Option<&'a SupervisionIdentity> {
    let cloud = facts.cloud.as_ref().filter(|_| facts.supervised == Some(true))?;
    trust.supervisors().among(&cloud.supervisor_digests)
}

/// True if the device takes us for its supervisor. If not, the job remembers, and its next
/// plan has a person install the profile.
pub(super) async fn attempt(run: &mut Run, inspection: &mut Inspection) -> Result<bool, Break> {
    run.step(StepId::Escalate, async |run| escalate(run, inspection).await).await
}

async fn escalate(
    run: &mut Run,
    inspection: &mut Inspection,
) -> Result<(bool, StepResult, Option<String>), Break> {
    let trust = run.job.trust.clone();
    let Some(identity) = identity(&trust, &inspection.facts) else {
        return Ok((false, StepResult::Warning, Some("no identity of this station is the device's".into())));
    };
    let named = identity.described(run.job.clock.now());
    let asked = |why: &str| Some(format!("{why} ({named}); a person has to install the profile"));
    Ok(match inspection.mcinstall.escalate(identity).await {
        Ok(Escalation::Accepted) => {
            (true, StepResult::Done, Some(format!("as supervisor {}", printable(identity.name()))))
        }
        Ok(Escalation::CertificateRejected) => {
            (false, StepResult::Warning, asked("the device rejects the supervision identity it lists"))
        }
        Ok(Escalation::SignatureRejected) => (
            false,
            StepResult::Warning,
            asked("the device rejects the signature of the supervision identity"),
        ),
        Err(
            error @ (DeviceError::Install { .. } | DeviceError::Status { .. } | DeviceError::Signing { .. }),
        ) => (false, StepResult::Warning, asked(&error.to_string())),
        Err(error) => return Err(error.into()),
    })
}
