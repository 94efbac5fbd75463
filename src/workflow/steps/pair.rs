//! Step `pair`: a session with a device that trusts us. Repeatable, not destructive.

use super::inspect::label;
use crate::clock::Clock;
use crate::device::DeviceLink;
use crate::device::facts::Facts;
use crate::device::trust::{Awaiting, Earned, TrustLimits, TrustObserver};
use crate::ids::JobId;
use crate::workflow::engine::{Break, EventSink, Run};
use crate::workflow::event::{EventKind, StepResult};
use crate::workflow::failure::Failure;
use crate::workflow::outcome::Outcome;
use async_trait::async_trait;
use jiff::SignedDuration;
use std::sync::Arc;
use std::time::Duration;

pub(super) async fn run(
    run: &mut Run,
    link: &DeviceLink,
) -> Result<(Earned, StepResult, Option<String>), Break> {
    let policy = &run.job.policy;
    let limits = TrustLimits { person: policy.person_within, may_pair: !policy.dry_run };
    let teller = Teller { sink: run.job.sink.clone(), job: run.job.id, clock: run.job.clock.clone() };
    let earned = match run.job.trust.earn(link, limits, &teller).await? {
        Ok(earned) => earned,
        Err(reason) => return Err(Break::Failed(Failure::of_trust(&reason))),
    };
    if let Some(name) = &earned.supervised_by {
        let name = crate::wire::printable::printable(name);
        let detail = format!("paired as supervisor {name}; nobody was asked (R133)");
        return Ok((earned, StepResult::Done, Some(detail)));
    }
    Ok(match (&earned.repaired, earned.paired) {
        (Some(reason), _) => {
            let detail = format!("paired anew: {reason}");
            (earned, StepResult::Warning, Some(detail))
        }
        (None, true) => (earned, StepResult::Done, None),
        (None, false) => (earned, StepResult::Skipped, Some("the stored pair record holds".into())),
    })
}

/// Passes news of a pairing on as events. A lost one loses a screen's word, nothing else:
/// the next event that matters reports the journal's trouble.
struct Teller {
    sink: Arc<dyn EventSink>,
    job: JobId,
    clock: Clock,
}

#[async_trait]
impl TrustObserver for Teller {
    async fn met(&self, facts: &Facts) {
        let _ = self.sink.post(self.job, EventKind::Identified(label(facts))).await;
    }

    async fn awaiting(&self, what: Awaiting, within: Duration) {
        let state = match what {
            Awaiting::Trust => Outcome::WaitingForTrust,
            Awaiting::Unlock => Outcome::WaitingForUnlock,
        };
        let now = self.clock.now();
        let within = SignedDuration::try_from(within).unwrap_or_default();
        let until = now.checked_add(within).unwrap_or(now);
        let _ = self.sink.post(self.job, EventKind::Waiting { state, until }).await;
    }
}
