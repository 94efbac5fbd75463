//! What the other tables must say about a job, derived from its events alone. Kept apart
//! from `project.rs` on purpose: the two prove each other.

use crate::workflow::event::{DeviceLabel, EventKind, NewJob, StepResult};
use std::collections::BTreeMap;

/// A row as text, column by column; `None` is NULL.
pub(super) type Cells = Vec<Option<String>>;

/// Columns of `jobs` that follow from events, in the order of [`Fold::job`].
pub(super) const JOB_COLUMNS: &[&str] = &[
    "udid",
    "ecid",
    "serial",
    "name",
    "product_type",
    "os_version",
    "imei",
    "bay",
    "simulated",
    "profile_sha256",
    "created_at",
    "ended_at",
    "outcome",
    "class",
    "sentence",
    "next",
    "chain",
    "attempts",
    "pushes",
    "state",
];

/// A job's events so far, folded.
#[derive(Default)]
pub(super) struct Fold {
    job: BTreeMap<&'static str, String>,
    attempts: Vec<Cells>,
    steps: Vec<Cells>,
    batch: Vec<Cells>,
    number: u32,
    pushes: u32,
    events: u32,
    ended: bool,
    /// What cannot be true, in words.
    pub(super) problems: Vec<String>,
}

impl Fold {
    /// Takes the next event.
    pub(super) fn take(&mut self, seq: i64, at: &str, kind: &EventKind) {
        self.events += 1;
        let first = self.events == 1;
        if self.ended {
            self.problem(format!("event {seq} ({}) comes after the end", kind.name()));
        }
        if first != matches!(kind, EventKind::JobStarted(_)) {
            self.problem(format!("event {seq} ({}) is number {} of the job", kind.name(), self.events));
        }
        if let Some(state) = kind.state() {
            self.set("state", state.name());
        }
        match kind {
            EventKind::JobStarted(new) => self.start(at, new),
            EventKind::AttemptStarted { number } => self.attempt(*number, at),
            EventKind::StepStarted { step } => self.step(seq, step.name(), at),
            EventKind::StepFinished { step, result, detail } => {
                self.step_ended(seq, step.name(), *result, detail.as_deref(), at);
            }
            EventKind::Identified(label) => self.identify(label),
            EventKind::PushStarted { number } => self.push(*number),
            EventKind::PushAnswered { number, .. } if *number != self.pushes || *number == 0 => {
                self.problem(format!("push {number} was answered, push {} was the last", self.pushes));
            }
            EventKind::Detached | EventKind::Quarantined { .. } => self.attempt_ended(at),
            EventKind::Reattached { bay } => self.set("bay", &bay.0),
            EventKind::JobEnded(verdict) => {
                self.ended = true;
                self.attempt_ended(at);
                self.set("ended_at", at);
                self.set("outcome", verdict.outcome.name());
                self.set("class", verdict.class.name());
                self.set("sentence", &verdict.sentence);
                self.set_known("next", verdict.next.as_deref());
                self.set("chain", &serde_json::to_string(&verdict.chain).unwrap_or_default());
            }
            EventKind::Assigned { batch: Some(batch), line, blueprint, .. } => {
                let line = line.map(|line| line.to_string());
                self.batch = vec![vec![Some(batch.0.to_string()), line, blueprint.clone()]];
            }
            EventKind::Assigned { .. }
            | EventKind::Held { .. }
            | EventKind::Planned { .. }
            | EventKind::ProfileChosen { .. }
            | EventKind::Waiting { .. }
            | EventKind::PushAnswered { .. }
            | EventKind::HelperPushStarted { .. }
            | EventKind::HelperPushAnswered { .. }
            | EventKind::WaitingForHelper { .. }
            | EventKind::EraseStarted
            | EventKind::EraseAnswered { .. }
            | EventKind::Recovering { .. }
            | EventKind::Retrying { .. } => {}
        }
    }

    /// The row of `jobs`, in the order of [`JOB_COLUMNS`].
    pub(super) fn job(&self) -> Cells {
        JOB_COLUMNS.iter().map(|column| self.job.get(column).cloned()).collect()
    }

    /// The rows of `attempts`: number, started_at, ended_at.
    pub(super) fn attempts(&self) -> &[Cells] {
        &self.attempts
    }

    /// The rows of `steps`: attempt, seq, step, started_at, ended_at, result, detail.
    pub(super) fn steps(&self) -> &[Cells] {
        &self.steps
    }

    /// The row of `batch_jobs`, if the job belongs to a batch: batch, line, blueprint.
    pub(super) fn batch(&self) -> &[Cells] {
        &self.batch
    }

    fn problem(&mut self, words: String) {
        self.problems.push(words);
    }

    fn set(&mut self, column: &'static str, value: &str) {
        self.job.insert(column, value.to_owned());
    }

    fn set_known(&mut self, column: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.set(column, value);
        }
    }

    fn start(&mut self, at: &str, new: &NewJob) {
        self.set("udid", new.udid.as_str());
        self.set("bay", &new.bay.0);
        self.set("simulated", if new.simulated { "1" } else { "0" });
        self.set("profile_sha256", &new.profile_sha256);
        self.set("created_at", at);
        self.set("chain", "[]");
        self.set("attempts", "0");
        self.set("pushes", "0");
    }

    fn identify(&mut self, label: &DeviceLabel) {
        self.set_known("serial", label.serial.as_deref());
        self.set_known("name", label.name.as_deref());
        self.set_known("product_type", label.product_type.as_deref());
        self.set_known("os_version", label.os_version.as_deref());
        self.set_known("ecid", label.ecid.map(|e| e.to_string()).as_deref());
        self.set_known("imei", label.imei.as_deref());
    }

    fn push(&mut self, number: u32) {
        if number != self.pushes.saturating_add(1) {
            self.problem(format!("push {number} follows push {}", self.pushes));
        }
        self.pushes = number;
        self.set("pushes", &number.to_string());
    }

    fn attempt(&mut self, number: u32, at: &str) {
        if number != self.number.saturating_add(1) {
            self.problem(format!("attempt {number} follows attempt {}", self.number));
        }
        self.attempt_ended(at);
        self.number = number;
        self.set("attempts", &number.to_string());
        self.attempts.push(vec![Some(number.to_string()), Some(at.into()), None]);
    }

    fn attempt_ended(&mut self, at: &str) {
        if let Some([_, _, ended]) = self.attempts.last_mut().map(Vec::as_mut_slice) {
            ended.get_or_insert_with(|| at.into());
        }
    }

    fn step(&mut self, seq: i64, step: &str, at: &str) {
        let attempt = self.number.to_string();
        let known = [attempt, seq.to_string(), step.into(), at.into()].map(Some);
        self.steps.push(known.into_iter().chain([None, None, None]).collect());
    }

    fn step_ended(&mut self, seq: i64, step: &str, result: StepResult, detail: Option<&str>, at: &str) {
        let attempt = self.number.to_string();
        let is_it = |row: &&mut Cells| {
            row[0].as_deref() == Some(&attempt) && row[2].as_deref() == Some(step) && row[4].is_none()
        };
        if self.steps.iter_mut().rev().find(is_it).is_none() {
            self.step(seq, step, at);
        }
        if let Some(row) = self.steps.iter_mut().rev().find(is_it) {
            row.truncate(4);
            row.extend([Some(at.into()), Some(result.name().into()), detail.map(Into::into)]);
        }
    }
}
