//! How many devices of one host controller are worked with at the same time: all of them,
//! until answers get slow or connections break; then fewer, and slowly more again (additive
//! increase, multiplicative decrease).
//!
//! A device counts while a step talks to it, not while its person is waited for. The limit is
//! enforced where events are written: a step begins when its event was taken.

use crate::device::Presence;
use crate::ids::JobId;
use crate::limits::{LEAST_AT_ONCE, MOST_AT_ONCE};
use crate::transport::Attachment;
use crate::workflow::engine::EventSink;
use crate::workflow::event::{EventKind, StepId, StepResult};
use async_trait::async_trait;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// An answer is slow that takes this many times as long as the quickest did...
const SLOW: u32 = 4;

/// ...and longer than it by this much: a few quick ones prove nothing.
const SLOW_BY: Duration = Duration::from_secs(3);

/// After a decrease the next one waits this long, so that one bad moment counts once.
const SETTLE: Duration = Duration::from_secs(5);

/// The limit of one controller. Time is an argument.
#[derive(Debug)]
struct Limit {
    at_once: usize,
    working: usize,
    quickest: Option<Duration>,
    settled: Option<Instant>,
}

impl Default for Limit {
    fn default() -> Self {
        Self { at_once: MOST_AT_ONCE, working: 0, quickest: None, settled: None }
    }
}

impl Limit {
    /// A look at a device took so long, or broke off (`None`).
    fn measured(&mut self, took: Option<Duration>, now: Instant) {
        let quickest = self.quickest;
        if let Some(took) = took {
            self.quickest = Some(quickest.map_or(took, |q| q.min(took)));
        }
        let slow = |took: Duration| quickest.is_some_and(|q| took > q * SLOW && took > q + SLOW_BY);
        if took.is_some_and(|took| !slow(took)) {
            self.at_once = (self.at_once + 1).min(MOST_AT_ONCE);
        } else if self.settled.is_none_or(|at| now >= at) {
            self.at_once = (self.at_once.min(self.working) / 2).max(LEAST_AT_ONCE);
            self.settled = Some(now + SETTLE);
            tracing::warn!(at_once = self.at_once, "devices answer badly; fewer are worked with at once");
        }
    }
}

#[derive(Debug, Default)]
struct Controller {
    limit: Mutex<Limit>,
    freed: Notify,
}

impl Controller {
    fn lock(&self) -> MutexGuard<'_, Limit> {
        // Whole after every statement.
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn turn(self: &Arc<Self>) -> Turn {
        loop {
            let freed = self.freed.notified();
            {
                let mut limit = self.lock();
                if limit.working < limit.at_once {
                    limit.working += 1;
                    return Turn(Arc::clone(self));
                }
            }
            freed.await;
        }
    }
}

/// The right to work with a device; given back when dropped.
#[derive(Debug)]
struct Turn(Arc<Controller>);

impl Drop for Turn {
    fn drop(&mut self) {
        let mut limit = self.0.lock();
        limit.working -= 1;
        // The limit may have grown meanwhile.
        if limit.working < limit.at_once {
            self.0.freed.notify_one();
            self.0.freed.notify_one();
        }
    }
}

/// The limits of all controllers.
#[derive(Debug, Default)]
pub(super) struct Scheduler {
    controllers: Mutex<HashMap<String, Arc<Controller>>>,
}

impl Scheduler {
    /// A sink whose job works with its device when it is its turn.
    pub(super) fn sink(
        &self,
        inner: Arc<dyn EventSink>,
        attachment: &Attachment,
        links: watch::Receiver<Presence>,
    ) -> Arc<dyn EventSink> {
        let mut controllers = self.controllers.lock().unwrap_or_else(PoisonError::into_inner);
        let controller = Arc::clone(controllers.entry(controller_of(attachment)).or_default());
        let state = Working { links: Some(links), ..Working::default() };
        Arc::new(InTurn { inner, controller, state: Mutex::new(state) })
    }
}

/// The host controller, or what is nearest to it that is known: the bus.
fn controller_of(attachment: &Attachment) -> String {
    match (&attachment.port, attachment.location) {
        (Some(port), _) => port.controller.clone().unwrap_or_else(|| format!("bus {}", port.bus)),
        (None, location) => format!("bus {}", location.unwrap_or(0) >> 16),
    }
}

struct InTurn {
    inner: Arc<dyn EventSink>,
    controller: Arc<Controller>,
    state: Mutex<Working>,
}

#[derive(Default)]
struct Working {
    turn: Option<Turn>,
    looking: Option<Instant>,
    /// Given back before the job's end is told: who follows them counts as a job that still
    /// looks at its device, and a device plugged in again then gets no new one.
    links: Option<watch::Receiver<Presence>>,
}

impl InTurn {
    fn lock(&self) -> MutexGuard<'_, Working> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn before(&self, kind: &EventKind) {
        let EventKind::StepStarted { step: StepId::Pair | StepId::Inspect | StepId::Install } = kind else {
            return;
        };
        let waits = {
            let working = self.lock();
            working.links.clone().filter(|_| working.turn.is_none())
        };
        if let Some(mut links) = waits {
            let turn = tokio::select! {
                biased;
                turn = self.controller.turn() => Some(turn),
                // A device that went waits for nothing, nor does a station that ends.
                _ = links.wait_for(|presence| presence.link().is_none()) => None,
            };
            self.lock().turn = turn;
        }
        if matches!(kind, EventKind::StepStarted { step: StepId::Inspect }) {
            self.lock().looking = Some(Instant::now());
        }
    }

    fn after(&self, kind: &EventKind) {
        let mut working = self.lock();
        match kind {
            EventKind::StepFinished { step: StepId::Inspect, result, .. } => {
                let (began, now) = (working.looking.take(), Instant::now());
                let good = !matches!(result, StepResult::Failed);
                if let Some(began) = began {
                    self.controller.lock().measured(good.then(|| now - began), now);
                }
                working.turn = None;
            }
            // Between pairing and looking nothing is waited for.
            EventKind::StepFinished { step: StepId::Pair, result, .. } if *result != StepResult::Failed => {}
            EventKind::StepFinished { .. }
            | EventKind::Waiting { .. }
            | EventKind::Held { .. }
            | EventKind::Retrying { .. }
            | EventKind::Recovering { .. }
            | EventKind::Quarantined { .. }
            | EventKind::Detached
            | EventKind::JobEnded(_) => {
                working.turn = None;
                working.looking = None;
                if matches!(kind, EventKind::JobEnded(_)) {
                    working.links = None;
                }
            }
            _ => {}
        }
    }
}

#[async_trait]
impl EventSink for InTurn {
    async fn emit(&self, job: JobId, kind: EventKind) -> Result<(), String> {
        self.before(&kind).await;
        self.after(&kind);
        self.inner.emit(job, kind).await
    }

    async fn post(&self, job: JobId, kind: EventKind) -> Result<(), String> {
        self.before(&kind).await;
        self.after(&kind);
        self.inner.post(job, kind).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::outcome::Outcome;

    #[test]
    fn trouble_halves_what_works_at_once_and_good_answers_add_one() {
        let begun = Instant::now();
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        let quick = Some(Duration::from_millis(100));
        let mut limit = Limit { working: 64, ..Limit::default() };
        (0..10).for_each(|_| limit.measured(quick, at(0)));
        assert_eq!(limit.at_once, MOST_AT_ONCE, "all at once");
        limit.measured(Some(Duration::from_secs(4)), at(1));
        assert_eq!(limit.at_once, 32, "slow");
        limit.measured(None, at(2));
        assert_eq!(limit.at_once, 32, "the same bad moment");
        limit.working = 32;
        limit.measured(None, at(7));
        assert_eq!(limit.at_once, 16, "broken");
        (0..10).for_each(|_| limit.measured(quick, at(8)));
        assert_eq!(limit.at_once, 26);
        limit.working = 3;
        limit.measured(None, at(20));
        assert_eq!(limit.at_once, LEAST_AT_ONCE);
    }

    struct Nowhere;

    #[async_trait]
    impl EventSink for Nowhere {
        async fn emit(&self, _: JobId, _: EventKind) -> Result<(), String> {
            Ok(())
        }

        async fn post(&self, _: JobId, _: EventKind) -> Result<(), String> {
            Ok(())
        }
    }

    /// A device plugged in again at that very moment would be taken for one whose job goes on.
    #[tokio::test]
    async fn a_job_that_tells_its_end_follows_its_device_no_more() {
        let (sender, links) = watch::channel(Presence::Unplugged);
        let state = Mutex::new(Working { links: Some(links), ..Working::default() });
        let sink = InTurn { inner: Arc::new(Nowhere), controller: Arc::default(), state };
        sink.emit(JobId(1), EventKind::Detached).await.unwrap();
        assert_eq!(sender.receiver_count(), 1);
        sink.emit(JobId(1), EventKind::JobEnded(Outcome::Enrolled.into())).await.unwrap();
        assert_eq!(sender.receiver_count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_over_the_limit_waits_for_a_turn() {
        let controller = Arc::new(Controller::default());
        controller.lock().at_once = 2;
        let (one, two) = (controller.turn().await, controller.turn().await);
        let third = tokio::spawn({
            let controller = Arc::clone(&controller);
            async move { controller.turn().await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!third.is_finished());
        drop(one);
        let third = third.await.unwrap();
        assert_eq!(controller.lock().working, 2);
        drop((two, third));
        assert_eq!(controller.lock().working, 0);
    }
}
