//! A task of its own: erase the device and wait until it is back. The step `erase` is
//! destructive and done at most once a job: [`erasure::plan`] looks at the device and at what
//! the job remembers.

use super::inspect::{self, Inspection};
use super::pair;
use crate::device::facts::SetupState;
use crate::device::trust::Earned;
use crate::device::{DeviceError, DeviceLink, Facts};
use crate::limits::ERASE_BEGINS;
use crate::workflow::engine::{Break, Flow, Run};
use crate::workflow::erasure::{self, Erasure, Plan, Situation};
use crate::workflow::event::{EventKind, StepId, StepResult};
use crate::workflow::outcome::{Outcome, Verdict};
use jiff::Timestamp;
use std::time::Duration;
use tokio::time::sleep;

/// What was seen: after an erase a device may not be activated, and then tells little.
enum Seen {
    Whole(Box<Inspection>),
    Facts(Box<Facts>),
}

/// One attempt.
pub(super) async fn attempt(run: &mut Run, link: &DeviceLink, erasure: &Erasure) -> Result<Flow, Break> {
    run.begin_attempt().await?;
    let trusted = run.step(StepId::Pair, async |run| pair::run(run, link).await).await?;
    let mut seen = run.step(StepId::Inspect, async |run| look(run, trusted).await).await?;
    run.inspected();
    let (facts, profiles) = match &seen {
        Seen::Whole(inspection) => (&inspection.facts, inspection.installed.len()),
        Seen::Facts(facts) => (&**facts, 0),
    };
    let (label, now) = (inspect::label(facts), run.job.clock.now());
    let plan = erasure::plan(&Situation { facts, profiles, erasure, memory: &run.job.memory, now });
    run.emit(EventKind::Identified(label)).await?;
    let (steps, reason) = match &plan {
        Plan::End(verdict) => (vec![], verdict.sentence.clone()),
        Plan::Wait { .. } => (vec![StepId::Erase], "the device was told to erase itself".to_owned()),
        Plan::Erase => (vec![StepId::Erase], "its owner consents".to_owned()),
    };
    run.emit(EventKind::Planned { steps, reason }).await?;
    match (plan, &mut seen) {
        (Plan::End(verdict), _) => Ok(Flow::End(*verdict)),
        (Plan::Erase, _) if run.job.policy.dry_run => {
            let said = "Would erase the device: everything on it, but its cellular plan.";
            Ok(Flow::End(Verdict::from(Outcome::Planned).saying(said)))
        }
        (Plan::Erase, Seen::Whole(inspection)) => {
            link.expect_detach(true);
            run.step(StepId::Erase, async |run| erase(run, inspection).await).await?;
            Ok(Flow::Again)
        }
        (Plan::Wait { until }, _) => {
            link.expect_detach(true);
            run.emit(EventKind::Waiting { state: Outcome::Verifying, until }).await?;
            until_over(until, now).await;
            Ok(Flow::Again)
        }
        // Only a device that was told to erase itself is seen by its facts alone.
        (Plan::Erase, Seen::Facts(_)) => Ok(Flow::Again),
    }
}

async fn look(run: &mut Run, trusted: Earned) -> Result<(Seen, StepResult, Option<String>), Break> {
    let Earned { mut session, mut facts, paired, supervised_by, repaired } = trusted;
    facts.read_session(&mut session).await?;
    facts.read_find_my(&mut session).await?;
    let find_my = facts.find_my;
    let begun = run.job.memory.erase.is_some();
    if begun && facts.is_unactivated() && facts.setup == SetupState::Running {
        return Ok((Seen::Facts(Box::new(facts)), StepResult::Done, None));
    }
    let trusted = Earned { session, facts, paired, supervised_by, repaired };
    let (mut inspection, result, told) = inspect::run(run, trusted).await?;
    inspection.facts.find_my = find_my;
    Ok((Seen::Whole(Box::new(inspection)), result, told))
}

async fn erase(
    run: &mut Run,
    inspection: &mut Inspection,
) -> Result<((), StepResult, Option<String>), Break> {
    // Committed before the first byte leaves: a crash can never hide it.
    run.emit(EventKind::EraseStarted).await?;
    match inspection.mcinstall.erase().await {
        Ok(()) => run.emit(EventKind::EraseAnswered { accepted: true }).await?,
        Err(error @ (DeviceError::Install { .. } | DeviceError::Status { .. })) => {
            run.emit(EventKind::EraseAnswered { accepted: false }).await?;
            return Err(error.into());
        }
        // "Expect EOF" (4.4): the device decides what became of it.
        Err(error) => tracing::debug!(%error, "the answer to the erase was lost"),
    }
    // It leaves the bus, which ends this attempt.
    let until = run.after_now(ERASE_BEGINS);
    until_over(until, run.job.clock.now()).await;
    Ok(((), StepResult::Warning, Some("the device did not restart".to_owned())))
}

async fn until_over(until: Timestamp, now: Timestamp) {
    sleep(Duration::try_from(until.duration_since(now)).unwrap_or_default()).await;
}
