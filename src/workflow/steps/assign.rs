//! Between looking and planning: the batch lets the device in, the blueprint says what is done.

use super::inspect::Inspection;
use crate::device::DeviceLink;
use crate::limits::{HELD_POLL, MOST_HELD};
use crate::workflow::assign::{Assignment, Candidate, Decision};
use crate::workflow::choice::{self, Choice};
use crate::workflow::engine::{Break, Flow, Run};
use crate::workflow::event::EventKind;
use crate::workflow::outcome::{Outcome, Verdict};
use tokio::time::{Instant, sleep};

/// `Some` if the attempt ends here.
pub(super) async fn run(
    run: &mut Run,
    inspection: &Inspection,
    link: &DeviceLink,
) -> Result<Option<Flow>, Break> {
    let Some(assigner) = run.job.assigner.clone().filter(|_| run.assigned.is_none()) else {
        return Ok(None);
    };
    let deadline = Instant::now() + MOST_HELD;
    let mut told: Option<Verdict> = None;
    loop {
        let candidate = Candidate {
            udid: link.udid(),
            bay: link.bay(),
            facts: &inspection.facts,
            begun: run.job.memory.assigned || !run.job.memory.pushes.is_empty(),
        };
        match assigner.assign(&candidate).await {
            // What was read is old by now.
            Decision::AsItIs | Decision::Go(_) if told.is_some() => return Ok(Some(Flow::Again)),
            Decision::AsItIs => {
                run.assigned = Some(String::new());
                return Ok(None);
            }
            Decision::Go(assignment) => {
                take(run, *assignment).await?;
                return Ok(None);
            }
            Decision::Refuse(verdict, assignment) => {
                if let Some(assignment) = assignment {
                    run.emit(assignment.event()).await?;
                }
                return Ok(Some(Flow::End(verdict)));
            }
            Decision::Hold(verdict) if Instant::now() >= deadline || run.job.policy.dry_run => {
                return Ok(Some(Flow::End(Verdict { outcome: Outcome::Failed, ..verdict })));
            }
            Decision::Hold(verdict) => {
                if told.as_ref() != Some(&verdict) {
                    let until = run.after_now(deadline.saturating_duration_since(Instant::now()));
                    let (sentence, next) =
                        (verdict.sentence.clone(), verdict.next.clone().unwrap_or_default());
                    run.emit(EventKind::Held { sentence, next, until }).await?;
                    told = Some(verdict);
                }
                sleep(HELD_POLL).await;
            }
        }
    }
}

/// The job goes on as assigned.
async fn take(run: &mut Run, assignment: Assignment) -> Result<(), Break> {
    run.emit(assignment.event()).await?;
    let Assignment { profile, policy, blueprint, reason, .. } = assignment;
    run.assigned = Some(match blueprint {
        Some(name) => format!("Blueprint '{name}': {reason}."),
        None => String::new(),
    });
    run.choice = Choice::of(&profile, &policy);
    let before = choice::sha256(&run.job.profile);
    // What was pushed before a crash is looked for first.
    run.job.profile = run.choice.in_hand(&run.job.memory);
    run.job.policy = policy;
    let sha256 = choice::sha256(&run.job.profile);
    if sha256 == before || run.job.memory.chosen.as_ref() == Some(&sha256) {
        return Ok(());
    }
    let profile = &run.job.profile;
    let (identifier, uuid) = (profile.identifier().to_owned(), profile.uuid().to_owned());
    let chain = Default::default();
    run.emit(EventKind::ProfileChosen { sha256, identifier, uuid, reason, chain }).await
}
