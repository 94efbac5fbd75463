//! Equal faults in a row: something is wrong that no device can help.

use crate::journal::{JobRow, Stop};
use crate::workflow::outcome::{Class, Outcome};
use jiff::Timestamp;

/// What makes two faults equal: outcome, class, and the cause of the chain, else the sentence.
fn fault(job: &JobRow) -> Option<(Outcome, Class, String)> {
    let (outcome, class) = (job.outcome?, job.class?);
    // What a person or one device did is theirs; a cable is its bay's.
    let counts = !outcome.is_success() && !matches!(class, Class::Operator | Class::None);
    let cause = match job.chain.cause() {
        Some(cause) => cause.to_string(),
        None => job.sentence.clone().unwrap_or_default(),
    };
    (counts && outcome != Outcome::DetachedMidway).then_some((outcome, class, cause))
}

/// Why a batch is to stop, after its newest jobs, newest first; `None` if it may go on.
pub(super) fn stop_for(jobs: &[JobRow], after: u32, now: Timestamp) -> Option<Stop> {
    let first = fault(jobs.first()?)?;
    let many = usize::try_from(after).ok().filter(|many| *many > 0 && jobs.len() >= *many)?;
    if !jobs.iter().take(many).all(|job| fault(job).as_ref() == Some(&first)) {
        return None;
    }
    let newest = jobs.first()?;
    let said = newest.sentence.as_deref().unwrap_or(first.0.sentence()).trim_end_matches('.');
    let advice = newest.next.as_deref().map(|next| format!("{next} ")).unwrap_or_default();
    Some(Stop {
        at: now,
        reason: format!("The batch is stopped: {many} devices in a row failed alike. {said}."),
        next: format!("{advice}Then let the batch go on: enlist batch resume"),
    })
}
