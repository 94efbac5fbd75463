//! The engine: runs one job, and is the only place of retries and deadlines.
//!
//! An attempt always starts from the device: session, facts, installed profiles, plan. What
//! the job did before is in its [`Memory`], but the device's word outranks it. So resuming
//! after a replug, a broken connection, or a crash of the station is the same thing: the
//! next attempt.

use super::assign::Assigner;
use super::choice::Choice;
use super::erasure;
use super::event::{EventKind, StepId, StepResult};
use super::failure::Failure;
use super::memory::Memory;
use super::outcome::{Class, Outcome, Verdict};
use super::policy::Policy;
use super::steps;
use crate::clock::Clock;
use crate::device::trust::Trust;
use crate::device::{DeviceLink, Presence, Rung, RungError};
use crate::ids::JobId;
use crate::limits::{
    FLAP_PATIENCE, RECONNECT_PAUSES, RETRY_ONCE_PAUSE, RUNG_NOTICE, RUNG_PROOF, RUNG_TAKES, UNLOCK_POLL,
};
use crate::wire::printable::sentence;
use crate::wire::profile::Profile;
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// Where a job's events go. An event counts as having happened only once this returned.
#[async_trait]
pub trait EventSink: Send + Sync {
    /// Commits an event.
    ///
    /// # Errors
    /// In words, if it could not be committed; the job then stops.
    async fn emit(&self, job: JobId, kind: EventKind) -> Result<(), String>;

    /// Hands an event over without waiting for the disk; it keeps its place before later
    /// ones.
    ///
    /// # Errors
    /// In words, if nobody takes it.
    async fn post(&self, job: JobId, kind: EventKind) -> Result<(), String>;
}

/// One device through one profile.
pub struct Job {
    /// Its number in the journal.
    pub id: JobId,
    /// The profile wanted; the version it started with, whatever happens to the file.
    pub profile: Arc<Profile>,
    /// The owner's decisions.
    pub policy: Policy,
    /// Who we are to the device.
    pub trust: Trust,
    /// Wall time.
    pub clock: Clock,
    /// Whether the device is here.
    pub links: watch::Receiver<Presence>,
    /// Where events go.
    pub sink: Arc<dyn EventSink>,
    /// Who lets the device in and says what is done with it; `None`: it is done as the job says.
    pub assigner: Option<Arc<dyn Assigner>>,
    /// What an earlier run of this job did.
    pub memory: Memory,
}

/// How an attempt left off.
pub(super) enum Flow {
    /// The job ends so.
    End(Verdict),
    /// Look at the device again at once.
    Again,
}

/// Why an attempt broke off.
pub(super) enum Break {
    /// A classified failure.
    Failed(Failure),
    /// An event could not be committed.
    Journal(String),
}

impl From<crate::device::DeviceError> for Break {
    fn from(error: crate::device::DeviceError) -> Self {
        tracing::debug!(%error, "attempt broke off");
        Self::Failed(Failure::of(&error))
    }
}

/// A job being run.
pub(super) struct Run {
    pub(super) job: Job,
    /// Time as this run measures it: the wall clock when it began, and what has passed since.
    steady: Clock,
    /// The profiles it may use; the one in use is the job's.
    pub(super) choice: Choice,
    /// True while polling for an unlock: steps that fail the same way again are not told.
    quiet: bool,
    /// What its blueprint said, in words; `None` until it was asked.
    pub(super) assigned: Option<String>,
    /// Broken connections since the device was last inspected whole.
    pub(super) reconnects: usize,
    /// The device was inspected after the last push began.
    looked: bool,
    unlock_deadline: Option<Instant>,
    committing: Option<Committing>,
    /// What the device's log said of its network.
    pub(super) network_sign: Option<&'static str>,
    /// The second try of something that should not happen is used up.
    tried_again: bool,
}

/// An event on its way into the journal. It outlives an attempt that is dropped meanwhile,
/// because the journal may have it already: what is written is remembered.
struct Committing {
    at: Timestamp,
    kind: EventKind,
    done: Pin<Box<dyn Future<Output = Result<(), String>> + Send>>,
}

/// Runs a job to its end. Dropping the future stops it where it stands; its journal then
/// shows it open, and a later run resumes it.
pub async fn run(mut job: Job) -> Verdict {
    let choice = Choice::of(&job.profile, &job.policy);
    // Which of them was pushed before a crash decides what is looked for after it.
    job.profile = choice.in_hand(&job.memory);
    let mut run = Run {
        steady: job.clock.steady(),
        job,
        choice,
        assigned: None,
        quiet: false,
        reconnects: 0,
        looked: false,
        unlock_deadline: None,
        committing: None,
        network_sign: None,
        tried_again: false,
    };
    let verdict = match run.until_over().await {
        Ok(verdict) => verdict,
        Err(reason) => return journal_failed(&reason),
    };
    run.count_unseen().await;
    // It looks at no attachment any more; whoever hands out a newer one can tell.
    run.job.links = watch::channel(Presence::Unplugged).1;
    match run.emit(EventKind::JobEnded(verdict.clone())).await {
        Ok(()) => verdict,
        Err(_) => journal_failed("its end could not be written"),
    }
}

pub(super) fn journal_failed(reason: &str) -> Verdict {
    Verdict::failed(
        Class::Configuration,
        format!("The journal could not be written: {reason}."),
        "Check the disk's space and the rights of the state folder, then start again; the device will be looked at first.",
    )
}

impl Run {
    async fn until_over(&mut self) -> Result<Verdict, String> {
        loop {
            self.committed().await.map_err(journal_reason)?;
            let link = match self.attached_link().await? {
                Ok(link) => link,
                Err(verdict) => return Ok(verdict),
            };
            let mut links = self.job.links.clone();
            let broken = tokio::select! {
                biased;
                () = gone(&mut links, &link) => continue,
                flow = steps::attempt(self, &link) => match flow {
                    Ok(Flow::End(verdict)) => return Ok(verdict),
                    Ok(Flow::Again) => continue,
                    Err(broken) => broken,
                },
            };
            let failure = match broken {
                Break::Failed(failure) => failure,
                Break::Journal(reason) => return Err(reason),
            };
            if let Some(verdict) = self.after(failure, &link).await? {
                return Ok(verdict);
            }
        }
    }

    /// A job that ends before its device was looked at counts for its batch all the same.
    async fn count_unseen(&mut self) {
        let unseen = self.assigned.is_none() && !self.job.memory.assigned;
        if let Some(assigner) = self.job.assigner.clone().filter(|_| unseen && !self.job.policy.dry_run)
            && let Some(assignment) = assigner.unseen().await
        {
            // If the journal has trouble, the end of the job tells.
            let _ = self.emit(assignment.event()).await;
        }
    }

    /// The present attachment; waits for a replug as long as the policy says, and then
    /// tells how the job ends without one.
    async fn attached_link(&mut self) -> Result<Result<DeviceLink, Verdict>, String> {
        if let Some(link) = self.job.links.borrow_and_update().link() {
            return Ok(Ok(link.clone()));
        }
        self.quiet = false;
        if self.job.memory.verified {
            // Handed out while its policies were followed: it is enrolled all the same.
            return Ok(Err(Outcome::Enrolled.into()));
        }
        let mut deadline = moment_after(self.job.policy.replug_within);
        let mut links = self.job.links.clone();
        let (mut detach_told, mut quarantine_told) = (false, false);
        loop {
            let presence = links.borrow_and_update().clone();
            match presence {
                Presence::Here(link) => {
                    let bay = link.bay().clone();
                    self.emit(EventKind::Reattached { bay }).await.map_err(journal_reason)?;
                    return Ok(Ok(link));
                }
                Presence::Quarantined(bay) if !quarantine_told => {
                    quarantine_told = true;
                    self.emit(EventKind::Quarantined { bay }).await.map_err(journal_reason)?;
                    deadline = deadline.max(moment_after(FLAP_PATIENCE));
                }
                Presence::Unplugged | Presence::MuxLost(_) if !detach_told => {
                    detach_told = true;
                    let until = self.after_now(self.job.policy.replug_within);
                    let left = match self.job.memory.erase {
                        Some(_) => EventKind::Waiting { state: Outcome::Erasing, until },
                        None => EventKind::Detached,
                    };
                    self.emit(left).await.map_err(journal_reason)?;
                }
                _ => {}
            }
            if !matches!(timeout_at(deadline, links.changed()).await, Ok(Ok(()))) {
                return Ok(Err(self.away()));
            }
        }
    }

    /// How a job ends whose device did not come back.
    fn away(&self) -> Verdict {
        match &*self.job.links.borrow() {
            Presence::MuxLost(reason) => Verdict::from(Outcome::DetachedMidway)
                .saying(format!("The way to the devices was lost: {reason}."))
                .then("Restart usbmuxd and run enlist again; `enlist doctor` checks it."),
            Presence::Quarantined(bay) => Verdict::quarantined(bay),
            _ if self.job.memory.erase.is_some() => erasure::away(),
            _ => Outcome::DetachedMidway.into(),
        }
    }

    /// Acts on a failure: `Some` ends the job, `None` tries again.
    async fn after(&mut self, failure: Failure, link: &DeviceLink) -> Result<Option<Verdict>, String> {
        match failure {
            Failure::Final(verdict) => Ok(Some(verdict)),
            Failure::AwaitUnlock { state } => self.await_unlock(state, link).await,
            Failure::Reconnect { reason } => {
                let Some(pause) = RECONNECT_PAUSES.get(self.reconnects).copied() else {
                    if self.climb(link).await? {
                        self.reconnects = 0;
                        return Ok(None);
                    }
                    let said = sentence(&reason);
                    let next = "Unplug the device, try another cable and another port, and plug it in again.";
                    return Ok(Some(Verdict::failed(Class::Transport, said, next)));
                };
                self.reconnects += 1;
                self.pause(pause, link).await;
                Ok(None)
            }
            Failure::RetryOnce { verdict } => {
                let second = std::mem::replace(&mut self.tried_again, true);
                self.retry(verdict, (!second).then_some(RETRY_ONCE_PAUSE), link).await
            }
            Failure::RetryLater { verdict } => {
                let used = self.job.memory.retries as usize;
                let pause = self.job.policy.retry_pauses.get(used).copied();
                self.retry(verdict, pause, link).await
            }
        }
    }

    /// Tries again after `pause`; without one the budget is used up.
    async fn retry(
        &mut self,
        verdict: Verdict,
        pause: Option<Duration>,
        link: &DeviceLink,
    ) -> Result<Option<Verdict>, String> {
        let Some(pause) = pause else { return Ok(Some(verdict)) };
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        let retry = EventKind::Retrying { reason: verdict.sentence, chain: verdict.chain, pause_ms };
        self.emit(retry).await.map_err(journal_reason)?;
        self.pause(pause, link).await;
        Ok(None)
    }

    async fn await_unlock(&mut self, state: Outcome, link: &DeviceLink) -> Result<Option<Verdict>, String> {
        if self.job.policy.dry_run {
            return Ok(Some(state.into()));
        }
        let person_within = self.job.policy.person_within;
        let deadline = match self.unlock_deadline {
            Some(deadline) => deadline,
            None => {
                let until = self.after_now(person_within);
                self.emit(EventKind::Waiting { state, until }).await.map_err(journal_reason)?;
                *self.unlock_deadline.insert(Instant::now() + person_within)
            }
        };
        if Instant::now() >= deadline {
            return Ok(Some(state.into()));
        }
        self.quiet = true;
        self.pause(UNLOCK_POLL, link).await;
        Ok(None)
    }

    /// Sleeps, but not on when the attachment is gone.
    async fn pause(&mut self, pause: Duration, link: &DeviceLink) {
        let mut links = self.job.links.clone();
        tokio::select! {
            biased;
            () = gone(&mut links, link) => {}
            () = sleep(pause) => {}
        }
    }

    /// Runs a step between its two events.
    pub(super) async fn step<T, F>(&mut self, step: StepId, work: F) -> Result<T, Break>
    where
        F: AsyncFnOnce(&mut Self) -> Result<(T, StepResult, Option<String>), Break>,
    {
        let quiet = self.quiet;
        if !quiet {
            self.emit(EventKind::StepStarted { step }).await?;
        }
        let done = work(self).await;
        if quiet && matches!(done, Err(Break::Failed(Failure::AwaitUnlock { .. }))) {
            return done.map(|(value, ..)| value);
        }
        if quiet {
            self.emit(EventKind::StepStarted { step }).await?;
        }
        match done {
            Ok((value, result, detail)) => {
                self.emit(EventKind::StepFinished { step, result, detail }).await?;
                Ok(value)
            }
            Err(broken) => {
                let detail = broken.words();
                self.emit(EventKind::StepFinished { step, result: StepResult::Failed, detail }).await?;
                Err(broken)
            }
        }
    }

    /// Goes up the recovery ladder, each rung at most once a job: true if the device went
    /// through a detach, so that another look is worth while.
    async fn climb(&mut self, link: &DeviceLink) -> Result<bool, String> {
        // It may be installing right now, and nobody looked since.
        let unknown = self.job.memory.erase.is_some() || self.job.memory.unanswered() && !self.looked;
        if unknown || self.job.policy.dry_run {
            return Ok(false);
        }
        for rung in [Rung::ResetDevice, Rung::PowerCyclePort] {
            let fresh = !self.job.memory.rungs.contains(&rung);
            if fresh && self.take_rung(rung, link).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn take_rung(&mut self, rung: Rung, link: &DeviceLink) -> Result<bool, String> {
        let mut recovery = std::pin::pin!(link.recover(rung));
        let early = timeout(RUNG_NOTICE, &mut recovery).await;
        if let Ok(Err(RungError::NotPossible(reason))) = &early {
            tracing::info!(udid = %link.udid(), ?rung, %reason, "a rung of the ladder is skipped");
            return Ok(false);
        }
        self.emit(EventKind::Recovering { rung }).await.map_err(journal_reason)?;
        let late = || RungError::Failed("it did not end in time".into());
        let done = match early {
            Ok(done) => done,
            Err(_) => timeout(RUNG_TAKES, recovery).await.unwrap_or_else(|_| Err(late())),
        };
        if let Err(error) = done {
            tracing::warn!(udid = %link.udid(), ?rung, %error, "a rung of the ladder failed");
            link.expect_detach(false);
            return Ok(false);
        }
        let mut links = self.job.links.clone();
        let proof = async {
            gone(&mut links, link).await;
            links.wait_for(|presence| presence.link().is_some()).await.ok()?.link().cloned()
        };
        if let Ok(Some(back)) = timeout(RUNG_PROOF, proof).await {
            let bay = back.bay().clone();
            self.emit(EventKind::Reattached { bay }).await.map_err(journal_reason)?;
            return Ok(true);
        }
        let stays = self.job.links.borrow().link().is_some_and(|l| l.attachment().id == link.attachment().id);
        if stays {
            tracing::warn!(udid = %link.udid(), ?rung, "the device did not notice");
            link.expect_detach(false);
        }
        // One that went and stays away is waited for as after any detach.
        Ok(!stays)
    }

    /// Begins an attempt, unless this one only polls for an unlock.
    pub(super) async fn begin_attempt(&mut self) -> Result<(), Break> {
        if self.quiet {
            return Ok(());
        }
        let number = self.job.memory.attempts + 1;
        self.emit(EventKind::AttemptStarted { number }).await
    }

    /// The device was inspected whole: it is unlocked, and the connection holds.
    pub(super) fn inspected(&mut self) {
        self.quiet = false;
        self.looked = true;
        self.reconnects = 0;
        self.unlock_deadline = None;
    }

    /// Commits an event and remembers it.
    pub(super) async fn emit(&mut self, kind: EventKind) -> Result<(), Break> {
        let at = self.now();
        self.looked &= !matches!(kind, EventKind::PushStarted { .. } | EventKind::HelperPushStarted { .. });
        let (sink, id, event) = (self.job.sink.clone(), self.job.id, kind.clone());
        let done = Box::pin(async move {
            match event {
                event if must_last(&event) => sink.emit(id, event).await,
                event => sink.post(id, event).await,
            }
        });
        self.committing = Some(Committing { at, kind, done });
        self.committed().await
    }

    /// Waits for the event that is on its way, if there is one, and remembers it.
    async fn committed(&mut self) -> Result<(), Break> {
        let Some(committing) = &mut self.committing else { return Ok(()) };
        let committed = committing.done.as_mut().await;
        if let Some(Committing { at, kind, .. }) = self.committing.take() {
            committed.map_err(Break::Journal)?;
            self.job.memory.take(at, &kind);
        }
        Ok(())
    }

    /// Now, for everything that is waited for. The wall clock may be set while a person acts.
    pub(super) fn now(&self) -> Timestamp {
        self.steady.now()
    }

    /// The moment `wait` from now.
    pub(super) fn after_now(&self, wait: Duration) -> Timestamp {
        let now = self.now();
        SignedDuration::try_from(wait).ok().and_then(|w| now.checked_add(w).ok()).unwrap_or(now)
    }
}

/// A job waits for the disk where a crash would matter: before it changes the device, and at
/// its end. The rest rides along in order, so that a slow disk does not slow every step.
fn must_last(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::PushStarted { .. }
            | EventKind::HelperPushStarted { .. }
            | EventKind::EraseStarted
            | EventKind::StepStarted { step: StepId::Configure }
            | EventKind::JobEnded(_)
    )
}

impl Break {
    fn words(&self) -> Option<String> {
        Some(match self {
            Self::Failed(
                Failure::Final(verdict) | Failure::RetryLater { verdict } | Failure::RetryOnce { verdict },
            ) => verdict.sentence.clone(),
            Self::Failed(Failure::Reconnect { reason }) | Self::Journal(reason) => reason.clone(),
            Self::Failed(Failure::AwaitUnlock { state }) => state.sentence().to_owned(),
        })
    }
}

fn journal_reason(broken: Break) -> String {
    broken.words().unwrap_or_default()
}

/// The moment `wait` from now; years away if it cannot be counted.
fn moment_after(wait: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(wait).unwrap_or(now + Duration::from_secs(30 * 365 * 86_400))
}

/// Resolves when the attachment `link` is no longer the present one.
fn gone(links: &mut watch::Receiver<Presence>, link: &DeviceLink) -> impl Future<Output = ()> + Send {
    let id = link.attachment().id;
    async move {
        let other = |presence: &Presence| presence.link().map(|l| l.attachment().id) != Some(id);
        // A closed channel means that nobody will ever tell: the station is going down.
        if links.wait_for(other).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
