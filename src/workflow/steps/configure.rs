//! Steps `activate` and `configure`: a device in Setup Assistant gets its supervision data
//! (4.7, R55, R72). Written only after a look, because a device takes them once.

use super::inspect::Inspection;
use crate::device::DeviceError;
use crate::device::trust::Earned;
use crate::limits::UNLOCK_POLL;
use crate::workflow::engine::{Break, Run};
use crate::workflow::event::{EventKind, StepId, StepResult};
use crate::workflow::failure::Failure;
use crate::workflow::outcome::{Class, Outcome, Verdict};
use crate::workflow::policy::Task;
use crate::workflow::preparation::{self, Decision, Preparation};
use tokio::time::sleep;

/// Waits until the device is activated, which no station without Apple's servers can do for
/// it: services are refused before (5.1).
pub(super) async fn until_activated(run: &mut Run, trusted: &mut Earned) -> Result<(), Break> {
    if run.job.policy.dry_run || activated(trusted).await? {
        return Ok(());
    }
    run.step(StepId::Activate, async |run| activate(run, trusted).await).await
}

async fn activate(run: &mut Run, trusted: &mut Earned) -> Result<((), StepResult, Option<String>), Break> {
    trusted.facts.read_find_my(&mut trusted.session).await?;
    if trusted.facts.find_my == Some(true) {
        return Err(ended(Outcome::ActivationLocked.into()));
    }
    let until = run.after_now(run.job.policy.person_within);
    run.emit(EventKind::Waiting { state: Outcome::NotActivated, until }).await?;
    while run.job.clock.now() < until {
        sleep(UNLOCK_POLL).await;
        if activated(trusted).await? {
            return Ok(((), StepResult::Done, None));
        }
    }
    Err(ended(Outcome::NotActivated.into()))
}

async fn activated(trusted: &mut Earned) -> Result<bool, Break> {
    trusted.facts.read_activation(&mut trusted.session).await?;
    Ok(!trusted.facts.is_unactivated())
}

/// Has the device configured. `Some` ends the job.
pub(super) async fn attempt(
    run: &mut Run,
    inspection: &mut Inspection,
    preparation: &Preparation,
) -> Result<Option<Verdict>, Break> {
    let only = matches!(run.job.policy.task, Task::Prepare);
    match decide(inspection, preparation).await? {
        // A job that enrolls as well looks further: the device may be done already.
        Decision::End(_) if !only && lists_the_profile(run, inspection) => Ok(None),
        Decision::End(verdict) => Ok(Some(*verdict)),
        Decision::AlreadySo if only => prepared(run, preparation).await.map(Some),
        Decision::AlreadySo => Ok(None),
        Decision::Configure if run.job.policy.dry_run => Ok(Some(dry(run, inspection, preparation))),
        Decision::Configure => {
            run.step(StepId::Configure, async |_| configure(inspection, preparation).await).await?;
            if only { prepared(run, preparation).await.map(Some) } else { Ok(None) }
        }
    }
}

fn lists_the_profile(run: &Run, inspection: &Inspection) -> bool {
    crate::workflow::plan::is_installed(&run.job.profile, &inspection.installed)
}

async fn decide(inspection: &mut Inspection, preparation: &Preparation) -> Result<Decision, Break> {
    let found = inspection.mcinstall.cloud_configuration().await?;
    let differences = found.as_ref().map(|found| preparation.wanted.differences(found));
    Ok(preparation::decide(&inspection.facts, differences.as_deref()))
}

async fn configure(
    inspection: &mut Inspection,
    preparation: &Preparation,
) -> Result<((), StepResult, Option<String>), Break> {
    if let Err(error) = inspection.mcinstall.configure(&preparation.wanted).await {
        return Err(refused(error));
    }
    // Acknowledged is not success: only what is read back is (R72).
    let found = inspection.mcinstall.cloud_configuration().await?.unwrap_or_default();
    inspection.facts.take_cloud_configuration(Some(&found));
    let differences = preparation.wanted.differences(&found);
    if !differences.is_empty() {
        let said = format!(
            "The device acknowledged its configuration and shows another ({}).",
            differences.join(", ")
        );
        let next = "Erase it with `enlist erase` and prepare it again; report it if it stays.";
        return Err(ended(Verdict::failed(Class::Device, said, next)));
    }
    let remarks = preparation.pane_remarks(inspection.facts.os()).join(" ");
    Ok(match remarks.is_empty() {
        true => ((), StepResult::Done, None),
        false => ((), StepResult::Warning, Some(remarks)),
    })
}

/// A device says 33003 where it is not activated (4.7); the rest is classified as ever.
fn refused(error: DeviceError) -> Break {
    match &error {
        DeviceError::Install { chain, .. } if chain.has("CloudConfig", &[33003]) => {
            ended(Verdict::from(Outcome::NotActivated).because(chain.clone()))
        }
        _ => error.into(),
    }
}

/// The end of a job that prepares: until when a user has to be done stays with it (R59).
async fn prepared(run: &mut Run, preparation: &Preparation) -> Result<Verdict, Break> {
    let now = run.job.clock.now();
    if let Some(until) = preparation::finish_by(preparation, now).filter(|_| !run.job.policy.dry_run) {
        run.emit(EventKind::Waiting { state: Outcome::Prepared, until }).await?;
    }
    Ok(preparation::prepared(preparation, now))
}

fn dry(run: &Run, inspection: &Inspection, preparation: &Preparation) -> Verdict {
    let then = match run.job.policy.task {
        Task::Enroll => ", install, verify",
        _ => "",
    };
    let remarks = preparation.pane_remarks(inspection.facts.os()).join(" ");
    let said = format!("Would do: configure{then} ({}). {remarks}", preparation.title());
    Verdict::from(Outcome::Planned).saying(said.trim_end())
}

fn ended(verdict: Verdict) -> Break {
    Break::Failed(Failure::Final(verdict))
}
