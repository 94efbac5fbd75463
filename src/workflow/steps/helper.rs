//! Steps `push-helper` and `wait-for-helper`: a profile that has to be there first (R42, R72).
//! As `install` and `wait-for-person` are: the push is not to be repeated without looking.

use super::inspect::Inspection;
use super::install_profile::{answer_of, detail_of, in_setup, wants_a_person, with_a_person};
use super::wait_for_person::until_listed;
use crate::device::facts::SetupState;
use crate::wire::profile::Profile;
use crate::workflow::engine::{Break, Run};
use crate::workflow::event::{EventKind, StepResult};
use crate::workflow::failure::Failure;
use crate::workflow::helpers::{self, HelperName};
use crate::workflow::outcome::{Class, Outcome, Verdict};
use jiff::Timestamp;
use std::sync::Arc;

pub(super) async fn push(
    run: &mut Run,
    inspection: &mut Inspection,
    name: &HelperName,
) -> Result<((), StepResult, Option<String>), Break> {
    let helper = find(run, name)?;
    // Committed before the first byte leaves: a crash can never hide a push.
    run.emit(EventKind::HelperPushStarted { helper: name.clone() }).await?;
    let silently = run.job.memory.is_escalated();
    let answered = match silently {
        true => inspection.mcinstall.install_silently(helper.bytes()).await,
        false => inspection.mcinstall.install(helper.bytes()).await,
    };
    if let Some(answer) = answer_of(&answered) {
        run.emit(EventKind::HelperPushAnswered { helper: name.clone(), answer }).await?;
    }
    let detail = match answered {
        Ok(accepted) => detail_of(&accepted),
        Err(error) if silently && wants_a_person(&error) => return Err(with_a_person(run, &error).await),
        Err(error) => {
            return Err(match in_setup(error.into(), inspection) {
                Break::Failed(failure) => Break::Failed(helpers::failed(failure, name)),
                broken => broken,
            });
        }
    };
    // A silent install is on the list at once; a queued one never is.
    let silent = silently || inspection.facts.setup != SetupState::Finished;
    if silent && inspection.lists(&helper).await? {
        return Ok(((), StepResult::Done, Some(read_back(name))));
    }
    Ok(((), StepResult::Done, detail))
}

/// Shows whose turn it is meanwhile. Whether the helper came is asked of the list again.
pub(super) async fn wait(
    run: &mut Run,
    inspection: &mut Inspection,
    name: &HelperName,
    until: Timestamp,
    state: Outcome,
) -> Result<((), StepResult, Option<String>), Break> {
    let helper = find(run, name)?;
    run.emit(match state {
        Outcome::WaitingForPerson => EventKind::WaitingForHelper { helper: name.clone(), until },
        state => EventKind::Waiting { state, until },
    })
    .await?;
    Ok(match until_listed(run, inspection, &helper, until).await? {
        true => ((), StepResult::Done, Some(read_back(name))),
        false => {
            let detail = format!("{} did not come", name.words());
            ((), StepResult::Warning, Some(detail))
        }
    })
}

fn read_back(name: &HelperName) -> String {
    format!("{}: {} with UUID {}", name.words(), name.identifier, name.uuid)
}

fn find(run: &Run, name: &HelperName) -> Result<Arc<Profile>, Break> {
    let helpers = &run.job.policy.helpers;
    let found = helpers.iter().find(|helper| HelperName::of(helper).is(name)).cloned();
    // The plan is made of the same list.
    let missing = || {
        let said = format!("There is no {}.", name.words().trim_start_matches("the "));
        Break::Failed(Failure::Final(Verdict::failed(Class::Bug, said, "Report this.")))
    };
    found.ok_or_else(missing)
}
