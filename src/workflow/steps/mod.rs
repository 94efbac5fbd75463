//! The steps of an attempt, in order.

mod assign;
mod configure;
mod erase;
mod escalate;
mod follow_policies;
mod helper;
mod inspect;
mod install_profile;
mod name_device;
mod network_signs;
mod pair;
mod wait_for_person;

use super::choice::{self, Chosen};
use super::engine::{Break, Flow, Run};
use super::event::{EventKind, StepId, StepResult};
use super::methods::NO_COMPANY_PORTAL;
use super::outcome::{Outcome, Verdict};
use super::plan::{self, Before, Plan, Situation};
use super::policy::Task;
use crate::device::DeviceLink;
use crate::device::facts::SetupState;
use inspect::Inspection;
use std::time::Duration;

/// One attempt: look at the device, plan, do.
pub(super) async fn attempt(run: &mut Run, link: &DeviceLink) -> Result<Flow, Break> {
    if let Task::Erase(erasure) = run.job.policy.task.clone() {
        return erase::attempt(run, link, &erasure).await;
    }
    run.begin_attempt().await?;
    let mut trusted = run.step(StepId::Pair, async |run| pair::run(run, link).await).await?;
    if run.job.policy.prepare.is_some() {
        configure::until_activated(run, &mut trusted).await?;
    }
    let mut inspection = run.step(StepId::Inspect, async |run| inspect::run(run, trusted).await).await?;
    run.inspected();
    run.emit(EventKind::Identified(inspect::label(&inspection.facts))).await?;
    if let Some(flow) = assign::run(run, &inspection, link).await? {
        return Ok(flow);
    }
    if let Some(preparation) = run.job.policy.prepare.clone() {
        if let Some(verdict) = before_it_is_configured(run, &mut inspection).await? {
            return Ok(Flow::End(verdict));
        }
        if let Some(verdict) = configure::attempt(run, &mut inspection, &preparation).await? {
            return Ok(Flow::End(verdict));
        }
    }
    if let Some(chosen) = run.choice.better(&situation(run, &inspection)) {
        take(run, chosen).await?;
    }
    let plan = loop {
        let plan = plan::plan(&situation(run, &inspection));
        run.emit(EventKind::Planned { steps: plan.steps(), reason: plan.reason().to_owned() }).await?;
        match plan {
            Plan::First { before, .. } if !run.job.policy.dry_run => {
                carry_out(run, &mut inspection, &before).await?;
            }
            plan => break plan,
        }
    };
    match plan {
        Plan::End(verdict) => Ok(Flow::End(end_of(*verdict, run, &inspection))),
        plan if run.job.policy.dry_run => Ok(Flow::End(dry(&plan, run, &inspection))),
        Plan::Verify => verified(run, &mut inspection).await,
        Plan::Wait { until, state, .. } => wait_then_verify(run, &mut inspection, state, until).await,
        Plan::First { .. } | Plan::Push { .. } => {
            let silently = matches!(plan, Plan::Push { silently: true, .. });
            if silently && !is_supervisor(run, &mut inspection).await? {
                return Ok(Flow::Again);
            }
            let install = async |run: &mut Run| install_profile::run(run, &mut inspection).await;
            if let Err(broken) = run.step(StepId::Install, install).await {
                return fall_back(run, broken, &inspection).await;
            }
            // A silent install is on the list at once; a queued one never is.
            let silent = silently || inspection.facts.setup != SetupState::Finished;
            if silent && inspection.lists(&run.job.profile).await? {
                return verified(run, &mut inspection).await;
            }
            if silently {
                return Ok(Flow::Again);
            }
            let until = run.after_now(run.job.policy.accept_within);
            wait_then_verify(run, &mut inspection, Outcome::WaitingForPerson, until).await
        }
    }
}

/// The Wi-Fi profile comes before the cloud configuration (R72), and only Setup Assistant takes
/// that. `Some` ends the job.
async fn before_it_is_configured(
    run: &mut Run,
    inspection: &mut Inspection,
) -> Result<Option<Verdict>, Break> {
    while inspection.facts.setup == SetupState::Running && !run.job.policy.dry_run {
        match plan::first(&situation(run, inspection)) {
            Some(Plan::First { before, .. }) => carry_out(run, inspection, &before).await?,
            Some(Plan::End(verdict)) => return Ok(Some(*verdict)),
            _ => break,
        }
    }
    Ok(None)
}

/// What comes before the enrollment profile; each leaves the plan less to do.
async fn carry_out(run: &mut Run, inspection: &mut Inspection, before: &Before) -> Result<(), Break> {
    match before {
        Before::Name(name) => {
            run.step(StepId::NameDevice, async |run| name_device::run(run, inspection, name).await).await
        }
        Before::PushHelper(helper) => {
            if plan::is_silent(&situation(run, inspection)) && !is_supervisor(run, inspection).await? {
                return Ok(());
            }
            run.step(StepId::PushHelper, async |run| helper::push(run, inspection, helper).await).await
        }
        Before::WaitForHelper { helper, until, state } => {
            let wait = async |run: &mut Run| helper::wait(run, inspection, helper, *until, *state).await;
            run.step(StepId::WaitForHelper, wait).await
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
        supervises: supervises(run, inspection),
        now: run.now(),
    }
}

/// The station holds an identity that the device lists among its supervisors (R133).
fn supervises(run: &Run, inspection: &Inspection) -> bool {
    escalate::identity(&run.job.trust, &inspection.facts).is_some()
}

/// True once the device takes this connection for its supervisor's; it is asked once.
async fn is_supervisor(run: &mut Run, inspection: &mut Inspection) -> Result<bool, Break> {
    Ok(run.job.memory.is_escalated() || escalate::attempt(run, inspection).await?)
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
fn end_of(verdict: Verdict, run: &Run, inspection: &Inspection) -> Verdict {
    if verdict.outcome != Outcome::PersonDidNotAccept {
        return verdict;
    }
    let sign = run.network_sign.map(|sign| format!(" {sign}")).unwrap_or_default();
    let sentence = format!("{}{sign}", verdict.sentence);
    // A helper is in no other MDM's way.
    let of_helper = verdict.sentence != Outcome::PersonDidNotAccept.sentence();
    let verdict = verdict.saying(sentence);
    if of_helper || inspection.installed.is_empty() {
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
