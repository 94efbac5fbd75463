//! The steps of an attempt, in order.

mod assign;
mod follow_policies;
mod inspect;
mod install_profile;
mod pair;
mod wait_for_person;

use super::choice::{self, Chosen};
use super::engine::{Break, Flow, Run};
use super::event::{EventKind, StepId, StepResult};
use super::methods::NO_COMPANY_PORTAL;
use super::outcome::{Outcome, Verdict};
use super::plan::{self, Plan, Situation};
use crate::device::DeviceLink;
use crate::device::facts::SetupState;
use inspect::Inspection;
use std::time::Duration;

/// One attempt: look at the device, plan, do.
pub(super) async fn attempt(run: &mut Run, link: &DeviceLink) -> Result<Flow, Break> {
    run.begin_attempt().await?;
    let trusted = run.step(StepId::Pair, async |run| pair::run(run, link).await).await?;
    let mut inspection = run.step(StepId::Inspect, async |run| inspect::run(run, trusted).await).await?;
    run.inspected();
    run.emit(EventKind::Identified(inspect::label(&inspection.facts))).await?;
    if let Some(flow) = assign::run(run, &inspection, link).await? {
        return Ok(flow);
    }
    if let Some(chosen) = run.choice.better(&situation(run, &inspection)) {
        take(run, chosen).await?;
    }
    let plan = plan::plan(&situation(run, &inspection));
    run.emit(EventKind::Planned { steps: plan.steps(), reason: plan.reason().to_owned() }).await?;
    match plan {
        Plan::End(verdict) => Ok(Flow::End(end_of(*verdict, &inspection))),
        plan if run.job.policy.dry_run => Ok(Flow::End(dry(&plan, run, &inspection))),
        Plan::Verify => verified(run, &mut inspection).await,
        Plan::Wait { until, state, .. } => wait_then_verify(run, &mut inspection, state, until).await,
        Plan::Push { .. } => {
            let install = async |run: &mut Run| install_profile::run(run, &mut inspection).await;
            if let Err(broken) = run.step(StepId::Install, install).await {
                return fall_back(run, broken, &inspection).await;
            }
            // A silent install is on the list at once; a queued one never is.
            if inspection.facts.setup != SetupState::Finished && inspection.lists(&run.job.profile).await? {
                return verified(run, &mut inspection).await;
            }
            let until = run.after_now(run.job.policy.accept_within);
            wait_then_verify(run, &mut inspection, Outcome::WaitingForPerson, until).await
        }
    }
}

fn situation<'a>(run: &'a Run, inspection: &'a Inspection) -> Situation<'a> {
    Situation {
        facts: &inspection.facts,
        installed: &inspection.installed,
        profile: &run.job.profile,
        policy: &run.job.policy,
        memory: &run.job.memory,
        now: run.job.clock.now(),
    }
}

/// Uses another profile from here on.
async fn take(run: &mut Run, chosen: Chosen) -> Result<(), Break> {
    let Chosen { profile, reason, chain } = chosen;
    run.emit(EventKind::ProfileChosen {
        sha256: choice::sha256(&profile),
        identifier: profile.identifier().to_owned(),
        uuid: profile.uuid().to_owned(),
        reason,
        chain,
    })
    .await?;
    run.job.profile = profile;
    Ok(())
}

/// After a refused push: the sibling at once (R13), if there is one that may do better.
async fn fall_back(run: &mut Run, broken: Break, inspection: &Inspection) -> Result<Flow, Break> {
    let Break::Failed(failure) = &broken else { return Err(broken) };
    match run.choice.after_refusal(failure, &situation(run, inspection)) {
        Some(chosen) => {
            take(run, chosen).await?;
            Ok(Flow::Again)
        }
        None => Err(broken),
    }
}

async fn wait_then_verify(
    run: &mut Run,
    inspection: &mut Inspection,
    state: Outcome,
    until: jiff::Timestamp,
) -> Result<Flow, Break> {
    let wait = async |run: &mut Run| wait_for_person::run(run, inspection, state, until).await;
    let arrived = run.step(StepId::WaitForPerson, wait).await?;
    if arrived { verified(run, inspection).await } else { Ok(Flow::Again) }
}

/// The profile was just read on the device's list: identifier and UUID.
async fn verified(run: &mut Run, inspection: &mut Inspection) -> Result<Flow, Break> {
    let detail = format!("{} with UUID {}", run.job.profile.identifier(), run.job.profile.uuid());
    run.step(StepId::Verify, async |_| Ok(((), StepResult::Done, Some(detail)))).await?;
    if run.job.policy.policies_within == Duration::ZERO {
        return Ok(Flow::End(enrolled(Outcome::Enrolled, inspection)));
    }
    let follow = async |run: &mut Run| follow_policies::run(run, inspection).await;
    let seen = run.step(StepId::FollowPolicies, follow).await?;
    let outcome = if seen { Outcome::PoliciesSeen } else { Outcome::Enrolled };
    Ok(Flow::End(enrolled(outcome, inspection)))
}

/// Success, and what should still be done on this device.
fn enrolled(outcome: Outcome, inspection: &Inspection) -> Verdict {
    let verdict = Verdict::from(outcome);
    match inspection.facts.company_portal {
        Some(true) => verdict.then(NO_COMPANY_PORTAL),
        _ => verdict,
    }
}

fn dry(plan: &Plan, run: &Run, inspection: &Inspection) -> Verdict {
    let steps: Vec<_> = plan.steps().iter().map(|s| s.name()).collect();
    let told = inspection.told.as_ref().map(|told| format!(" {told}")).unwrap_or_default();
    let export = run.choice.named(&run.job.profile);
    let why = run.assigned.as_deref().filter(|why| !why.is_empty()).map(|why| format!(" {why}"));
    let why = why.unwrap_or_default();
    let sentence = format!("Would do: {} ({}{export}).{why}{told}", steps.join(", "), plan.reason());
    Verdict::from(Outcome::Planned).saying(sentence)
}

/// The device never says why nobody's tap led to an enrollment (protocols.md 4.5). What it
/// lists may tell: another MDM profile is the usual reason.
fn end_of(verdict: Verdict, inspection: &Inspection) -> Verdict {
    if verdict.outcome != Outcome::PersonDidNotAccept || inspection.installed.is_empty() {
        return verdict;
    }
    let shown =
        |p: &crate::wire::mcinstall::InstalledProfile| p.display_name.clone().unwrap_or(p.identifier.clone());
    let names: Vec<_> = inspection.installed.iter().map(shown).collect();
    let others = crate::wire::printable::printable(&names.join(", "));
    let next = verdict.next.clone().unwrap_or_default();
    verdict.then(format!(
        "{next} The device lists other profiles ({others}): if one of them is another MDM's, remove it first."
    ))
}
