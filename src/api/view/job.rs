//! A job with everything that happened to it.

use super::{JobView, LinkView, links};
use crate::ids::Bay;
use crate::wire::mcinstall_error::ErrorChain;
use crate::wire::printable::printable;
use crate::workflow::event::{Event, EventKind, PushAnswer, StepId, StepResult};
use crate::workflow::outcome::Outcome;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use utoipa::ToSchema;

/// A job and its events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobDetail {
    /// The job.
    #[serde(flatten)]
    pub job: JobView,
    /// What happened, in order.
    pub timeline: Vec<MomentView>,
    /// The last error chain that the device sent, as it sent it; outermost first.
    pub raw_chain: Vec<RawLinkView>,
    /// What the owner's hooks did after it, in the order they ran.
    #[serde(default)]
    pub hooks: Vec<HookView>,
}

/// A command of the owner that ran after a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HookView {
    /// The command, as configured.
    pub command: String,
    /// `done`, `failed`, `too-late` or `not-started`.
    pub result: String,
    /// The end of what it printed.
    pub output: String,
}

/// Something that happened to a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MomentView {
    /// Its number in the journal; grows.
    pub seq: i64,
    /// When it was written down.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Machine name of the event, such as `push-started`.
    pub event: Cow<'static, str>,
    /// In words.
    pub sentence: String,
    /// What the bay shows from then on, if that changed.
    pub outcome: Option<Outcome>,
    /// The step it is about.
    pub step: Option<StepId>,
    /// How the step ended.
    pub result: Option<StepResult>,
    /// Deadline of what is waited for.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// The device's error chain, outermost first.
    pub chain: Vec<LinkView>,
}

/// An error as the device sent it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RawLinkView {
    /// ErrorDomain.
    pub domain: String,
    /// ErrorCode.
    pub code: i64,
    /// LocalizedDescription.
    pub localized: Option<String>,
    /// USEnglishDescription.
    pub english: Option<String>,
    /// Our words for it.
    pub meaning: Option<Cow<'static, str>>,
}

impl JobDetail {
    /// From the journal.
    pub fn new(job: JobView, events: &[Event], hooks: Vec<HookView>) -> Self {
        let chain = events.iter().rev().filter_map(chain_of).find(|chain| !chain.is_empty());
        let raw_chain = chain.map(|chain| chain.links().iter().map(RawLinkView::new).collect());
        Self {
            job,
            timeline: events.iter().map(MomentView::new).collect(),
            raw_chain: raw_chain.unwrap_or_default(),
            hooks,
        }
    }
}

impl RawLinkView {
    fn new(link: &crate::wire::mcinstall_error::ChainLink) -> Self {
        Self {
            domain: printable(&link.domain),
            code: link.code,
            localized: link.localized.as_deref().map(printable),
            english: link.english.as_deref().map(printable),
            meaning: link.meaning().map(Cow::Borrowed),
        }
    }
}

impl MomentView {
    fn new(event: &Event) -> Self {
        let (step, result) = match &event.kind {
            EventKind::StepStarted { step } => (Some(*step), None),
            EventKind::StepFinished { step, result, .. } => (Some(*step), Some(*result)),
            _ => (None, None),
        };
        let until = match &event.kind {
            EventKind::Waiting { until, .. }
            | EventKind::WaitingForHelper { until, .. }
            | EventKind::Held { until, .. } => Some(*until),
            _ => None,
        };
        Self {
            seq: event.seq,
            at: event.at,
            event: event.kind.name().into(),
            sentence: sentence(&event.kind),
            outcome: event.kind.state(),
            step,
            result,
            until,
            chain: chain_of(event).map(links).unwrap_or_default(),
        }
    }
}

fn chain_of(event: &Event) -> Option<&ErrorChain> {
    match &event.kind {
        EventKind::ProfileChosen { chain, .. } | EventKind::Retrying { chain, .. } => Some(chain),
        EventKind::JobEnded(verdict) => Some(&verdict.chain),
        _ => None,
    }
}

fn sentence(kind: &EventKind) -> String {
    let on = |bay: &Bay, what: &str| format!("{what} {}.", printable(&bay.0));
    match kind {
        EventKind::JobStarted(new) => on(&new.bay, "The job began in"),
        EventKind::AttemptStarted { number } => format!("Attempt {number} begins."),
        EventKind::StepStarted { step } => format!("Step {} begins.", step.name()),
        EventKind::Identified(label) => {
            let known = [&label.name, &label.product_type, &label.os_version, &label.serial];
            let known: Vec<_> = known.into_iter().flatten().map(|text| printable(text)).collect();
            format!("The device told who it is: {}.", known.join(", "))
        }
        EventKind::Planned { steps, reason } => {
            let steps: Vec<_> = steps.iter().map(|step| step.name()).collect();
            format!("Plan: {}. {}.", steps.join(", "), printable(reason).trim_end_matches('.'))
        }
        EventKind::ProfileChosen { identifier, reason, .. } => {
            format!("The profile {} is used from here on: {}", printable(identifier), printable(reason))
        }
        EventKind::Waiting { state, .. } => format!("Waiting. {}", state.sentence()),
        EventKind::WaitingForHelper { helper, .. } => {
            format!("Waiting for a person to install {}.", printable(&helper.words()))
        }
        EventKind::PushStarted { number } => format!("Push {number} begins."),
        EventKind::PushAnswered { number, answer } => format!("Push {number} {}.", answered(*answer)),
        EventKind::HelperPushStarted { helper } => {
            format!("Push of {} begins.", printable(&helper.words()))
        }
        EventKind::HelperPushAnswered { helper, answer } => {
            format!("Push of {} {}.", printable(&helper.words()), answered(*answer))
        }
        EventKind::EraseStarted => "The device is told to erase itself.".to_owned(),
        EventKind::EraseAnswered { accepted: true } => "The device erases itself.".to_owned(),
        EventKind::EraseAnswered { accepted: false } => "The device refused to erase itself.".to_owned(),
        EventKind::Retrying { reason, pause_ms, .. } => {
            format!("{} Trying again in {} s.", printable(reason), pause_ms.div_ceil(1000))
        }
        EventKind::Detached => "The device was unplugged.".to_owned(),
        EventKind::Reattached { bay } => on(bay, "The device is back in"),
        EventKind::Quarantined { bay } => on(bay, "The device keeps disappearing from"),
        EventKind::Recovering { .. } => "The station tries to bring the device back.".to_owned(),
        EventKind::StepFinished { step, result, detail } => {
            let detail = detail.as_deref().map(|d| format!(" {}", printable(d))).unwrap_or_default();
            format!("Step {}: {}.{detail}", step.name(), result.name())
        }
        EventKind::Assigned { reason, .. } => printable(reason),
        EventKind::Held { sentence, next, .. } => format!("{} {}", printable(sentence), printable(next)),
        EventKind::JobEnded(verdict) => printable(&verdict.sentence),
    }
}

fn answered(answer: PushAnswer) -> &'static str {
    match answer {
        PushAnswer::Acknowledged => "was acknowledged",
        PushAnswer::QueuedError => "waits on the device, by its error 4036/1013",
        PushAnswer::Refused => "was refused",
    }
}
