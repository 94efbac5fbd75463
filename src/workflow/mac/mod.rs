//! One Mac through one profile: look, plan, copy and open, wait for its administrator, read back.
//!
//! The same vocabulary as an iPhone's job: events are the only output, the Mac's word outranks
//! the job's memory, and a resumed job is just the next attempt. What differs is in
//! protocols.md 7.2: nothing can be pushed, so "push" is a copy that is opened on the Mac.
//! Start at [`run`], then [`plan`].

pub mod failure;
pub mod plan;
pub mod words;

use super::engine::{EventSink, journal_failed};
use super::event::{DeviceLabel, EventKind, PushAnswer, StepId, StepResult};
use super::memory::Memory;
use super::outcome::{Outcome, Verdict};
use crate::clock::Clock;
use crate::device::mac::{Enrollment, Mac, MacError, MacFacts, Managed};
use crate::ids::JobId;
use crate::limits::RECONNECT_PAUSES;
use crate::wire::printable::sentence;
use crate::wire::profile::Profile;
use jiff::{SignedDuration, Timestamp};
use plan::{Plan, Situation};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Pause between looks while a person acts. Each is an ssh connection of its own.
const POLL: Duration = Duration::from_secs(3);

/// Looks at the profile list after the enrollment was seen: the list may follow a moment later.
const LIST_LOOKS: usize = 4;

/// Decisions that hold for the job of a Mac.
#[derive(Debug, Clone)]
pub struct MacPolicy {
    /// How long an administrator may take. A Mac may drop an unopened profile after eight
    /// minutes (7.2, unconfirmed).
    pub accept_within: Duration,
    /// How long a Mac that stopped answering is waited for.
    pub unreachable_within: Duration,
    /// Stop after planning; change nothing.
    pub dry_run: bool,
}

/// One Mac through one profile.
pub struct MacJob {
    /// Its number in the journal.
    pub id: JobId,
    /// The Mac.
    pub mac: Mac,
    /// Who it said it is.
    pub facts: MacFacts,
    /// The profile wanted.
    pub profile: Arc<Profile>,
    /// The owner's decisions.
    pub policy: MacPolicy,
    /// Wall time.
    pub clock: Clock,
    /// Where events go.
    pub sink: Arc<dyn EventSink>,
    /// What an earlier run of this job did.
    pub memory: Memory,
}

/// What names a Mac to a person.
pub fn label(facts: &MacFacts) -> DeviceLabel {
    DeviceLabel {
        serial: facts.serial.clone(),
        name: facts.name.clone(),
        product_type: facts.model.clone(),
        os_version: Some(facts.os.to_string()),
        ..DeviceLabel::default()
    }
}

/// Why an attempt broke off.
enum Break {
    Mac(MacError),
    Journal(String),
}

impl From<MacError> for Break {
    fn from(error: MacError) -> Self {
        Self::Mac(error)
    }
}

struct Run {
    job: MacJob,
    /// Names the copies of this profile on a Mac.
    tag: String,
    /// A copy may lie on the Mac.
    copied: bool,
    reconnects: usize,
}

/// Runs a job to its end, or until `cancelled`: then the copy is removed and the job stays open,
/// to be resumed by a later run (`None`).
pub async fn run(mut job: MacJob, cancelled: impl Future<Output = ()> + Send) -> Option<Verdict> {
    job.clock = job.clock.steady();
    let tag = job.profile.file_sha256()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let copied = !job.memory.pushes.is_empty();
    let mut run = Run { job, tag, copied, reconnects: 0 };
    let ended = tokio::select! {
        biased;
        () = cancelled => None,
        ended = run.until_over() => Some(ended),
    };
    let swept = run.sweep().await;
    let verdict = match (ended?, swept) {
        (Err(reason), _) => return Some(journal_failed(&reason)),
        (Ok(verdict), None) => verdict,
        (Ok(verdict), Some(trouble)) => {
            let left = format!(
                "A copy of the profile, which is secret, may be left on the Mac ({trouble}): remove the folder enlist-{}.* from its temporary folder.",
                run.tag
            );
            let next = verdict.next.iter().cloned().chain([left]).collect::<Vec<_>>().join(" ");
            verdict.then(next)
        }
    };
    match run.emit(EventKind::JobEnded(verdict.clone())).await {
        Ok(()) => Some(verdict),
        Err(_) => Some(journal_failed("its end could not be written")),
    }
}

impl Run {
    async fn until_over(&mut self) -> Result<Verdict, String> {
        loop {
            let error = match self.attempt().await {
                Ok(verdict) => return Ok(verdict),
                Err(Break::Journal(reason)) => return Err(reason),
                Err(Break::Mac(error)) => error,
            };
            tracing::debug!(%error, "attempt broke off");
            let verdict = failure::verdict(&error);
            let pause = RECONNECT_PAUSES.get(self.reconnects).filter(|_| failure::may_pass(&error));
            let Some(pause) = pause else { return Ok(verdict) };
            self.reconnects += 1;
            self.told(self.retrying(verdict.sentence, *pause)).await?;
            sleep(*pause).await;
        }
    }

    /// Removes what was copied; says why it could not.
    async fn sweep(&mut self) -> Option<String> {
        if !self.copied {
            return None;
        }
        match self.job.mac.sweep(&self.tag).await {
            Ok(()) => None,
            Err(error) => {
                tracing::warn!(%error, place = self.job.mac.place(), "a copy of the profile is left");
                Some(error.to_string())
            }
        }
    }

    async fn attempt(&mut self) -> Result<Verdict, Break> {
        let number = self.job.memory.attempts + 1;
        self.emit(EventKind::AttemptStarted { number }).await?;
        let plan = self.inspect_and_plan().await?;
        match plan {
            Plan::End(verdict) => Ok(*verdict),
            plan if self.job.policy.dry_run => Ok(dry(&plan)),
            Plan::Verify(seen) => self.verify(&seen).await,
            Plan::Wait { .. } => self.wait().await,
            Plan::Push { .. } => {
                self.push().await?;
                self.wait().await
            }
        }
    }

    async fn inspect_and_plan(&mut self) -> Result<Plan, Break> {
        self.emit(EventKind::StepStarted { step: StepId::Inspect }).await?;
        let looked = async {
            let seen = self.job.mac.enrollment().await?;
            let unnamed = seen.managed != Managed::No && seen.server.is_none();
            let listed = if unnamed { Some(self.job.mac.listed().await?) } else { None };
            Ok::<_, MacError>((seen, listed))
        };
        let (seen, listed) = match looked.await {
            Ok(looked) => looked,
            Err(error) => return self.step_failed(StepId::Inspect, error).await,
        };
        self.finished(StepId::Inspect, StepResult::Done, Some(words::seen(&seen))).await?;
        self.emit(EventKind::Identified(label(&self.job.facts))).await?;
        let plan = plan::plan(&Situation {
            os: self.job.facts.os,
            seen: &seen,
            listed: listed.as_ref(),
            profile: &self.job.profile,
            memory: &self.job.memory,
        });
        self.emit(EventKind::Planned { steps: plan.steps(), reason: plan.reason().to_owned() }).await?;
        Ok(plan)
    }

    /// Copies the profile and opens it.
    async fn push(&mut self) -> Result<(), Break> {
        self.emit(EventKind::StepStarted { step: StepId::Install }).await?;
        let number = u32::try_from(self.job.memory.pushes.len()).unwrap_or(u32::MAX).saturating_add(1);
        self.emit(EventKind::PushStarted { number }).await?;
        // Said before: whatever interrupts this, the copy is looked for.
        self.copied = true;
        let (mac, profile) = (&self.job.mac, &self.job.profile);
        let pushed = async {
            let folder = mac.deliver(&self.tag, profile.bytes()).await?;
            mac.open(&folder).await
        };
        match pushed.await {
            Ok(()) => {
                self.emit(EventKind::PushAnswered { number, answer: PushAnswer::Acknowledged }).await?;
                self.finished(StepId::Install, StepResult::Done, None).await
            }
            Err(error) => {
                if matches!(error, MacError::Failed { .. }) {
                    self.emit(EventKind::PushAnswered { number, answer: PushAnswer::Refused }).await?;
                }
                self.step_failed(StepId::Install, error).await
            }
        }
    }

    /// Waits for the administrator.
    async fn wait(&mut self) -> Result<Verdict, Break> {
        self.emit(EventKind::StepStarted { step: StepId::WaitForPerson }).await?;
        let until = self.after_now(self.job.policy.accept_within);
        self.waiting(until).await?;
        let mut silent: Option<(Instant, MacError)> = None;
        let mut unapproved = false;
        loop {
            match self.job.mac.enrollment().await {
                Ok(seen) => {
                    if silent.take().is_some() {
                        self.waiting(until).await?;
                    }
                    unapproved = seen.managed == Managed::Unapproved;
                    match plan::arrived(&seen, &self.job.profile) {
                        Some(Ok(())) => {
                            self.finished(StepId::WaitForPerson, StepResult::Done, None).await?;
                            return self.verify(&seen).await;
                        }
                        Some(Err(verdict)) => return self.gave_up(*verdict).await,
                        None => {}
                    }
                }
                Err(error) if failure::may_pass(&error) => match &silent {
                    None => {
                        let reason = failure::verdict(&error).sentence;
                        self.emit(self.retrying(reason, POLL)).await?;
                        silent = Some((Instant::now(), error));
                    }
                    Some((since, error)) if since.elapsed() >= self.job.policy.unreachable_within => {
                        return self.gave_up(words::away(error)).await;
                    }
                    Some(_) => {}
                },
                Err(error) => return self.step_failed(StepId::WaitForPerson, error).await,
            }
            if self.job.clock.now() >= until {
                let verdict = match &silent {
                    Some((_, error)) => words::away(error),
                    None => words::nobody(unapproved, self.job.facts.os),
                };
                return self.gave_up(verdict).await;
            }
            sleep(POLL).await;
        }
    }

    /// Reads back what can be read.
    async fn verify(&mut self, seen: &Enrollment) -> Result<Verdict, Break> {
        self.emit(EventKind::StepStarted { step: StepId::Verify }).await?;
        let identifier = self.job.profile.identifier().to_owned();
        for look in 1..=LIST_LOOKS {
            let listed = match self.job.mac.listed().await {
                Ok(listed) => listed,
                Err(error) => return self.step_failed(StepId::Verify, error).await,
            };
            if listed.identifiers.contains(&identifier) {
                let detail = format!("{}; {identifier} is listed", words::seen(seen));
                self.finished(StepId::Verify, StepResult::Done, Some(detail)).await?;
                return Ok(words::enrolled(seen, Some(&identifier)));
            }
            if !listed.computer {
                let detail = format!(
                    "{}; the list of profiles shows itself to administrators only",
                    words::seen(seen)
                );
                self.finished(StepId::Verify, StepResult::Warning, Some(detail)).await?;
                return Ok(words::enrolled(seen, None));
            }
            if look < LIST_LOOKS {
                sleep(POLL).await;
            }
        }
        let detail = format!("{identifier} is not listed");
        self.finished(StepId::Verify, StepResult::Failed, Some(detail)).await?;
        Ok(words::not_listed(&identifier))
    }

    async fn gave_up(&mut self, verdict: Verdict) -> Result<Verdict, Break> {
        let detail = Some(verdict.sentence.clone());
        self.finished(StepId::WaitForPerson, StepResult::Warning, detail).await?;
        Ok(verdict)
    }

    async fn waiting(&mut self, until: Timestamp) -> Result<(), Break> {
        self.emit(EventKind::Waiting { state: Outcome::WaitingForPerson, until }).await
    }

    fn retrying(&self, reason: String, pause: Duration) -> EventKind {
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        EventKind::Retrying { reason, chain: Default::default(), pause_ms }
    }

    async fn finished(
        &mut self,
        step: StepId,
        result: StepResult,
        detail: Option<String>,
    ) -> Result<(), Break> {
        self.emit(EventKind::StepFinished { step, result, detail }).await
    }

    async fn step_failed<T>(&mut self, step: StepId, error: MacError) -> Result<T, Break> {
        self.finished(step, StepResult::Failed, Some(sentence(&error))).await?;
        Err(error.into())
    }

    async fn told(&mut self, kind: EventKind) -> Result<(), String> {
        self.emit(kind).await.map_err(|broken| match broken {
            Break::Journal(reason) => reason,
            Break::Mac(error) => error.to_string(),
        })
    }

    /// Commits an event and remembers it. A push and the end wait for the disk, as in
    /// [`super::engine`].
    async fn emit(&mut self, kind: EventKind) -> Result<(), Break> {
        let at = self.job.clock.now();
        let (sink, id) = (&self.job.sink, self.job.id);
        match &kind {
            EventKind::PushStarted { .. } | EventKind::JobEnded(_) => sink.emit(id, kind.clone()).await,
            _ => sink.post(id, kind.clone()).await,
        }
        .map_err(Break::Journal)?;
        self.job.memory.take(at, &kind);
        Ok(())
    }

    fn after_now(&self, wait: Duration) -> Timestamp {
        let now = self.job.clock.now();
        SignedDuration::try_from(wait).ok().and_then(|w| now.checked_add(w).ok()).unwrap_or(now)
    }
}

fn dry(plan: &Plan) -> Verdict {
    let steps: Vec<_> = plan.steps().iter().map(|s| s.name()).collect();
    let sentence = format!("Would do: {} ({}).", steps.join(", "), plan.reason());
    Verdict::from(Outcome::Planned).saying(sentence)
}
