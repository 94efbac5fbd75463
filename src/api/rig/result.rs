//! What a rig found: one result a check, and the whole.

use crate::api::OperationError;
use crate::api::view::{DeviceView, Exit};
use jiff::Timestamp;
use serde::Serialize;
use std::time::Duration;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// As it has to be.
    Passed,
    /// Not as it has to be.
    Failed,
    /// A person was asked and did not do their part in time.
    NeedsPerson,
    /// It was not tried, and the sentence says why.
    Skipped,
}

impl Status {
    /// The machine name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NeedsPerson => "needs-person",
            Self::Skipped => "skipped",
        }
    }
}

/// A check of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckView {
    /// The device as the rig file calls it.
    pub device: String,
    /// Its machine name, such as `install`.
    pub check: &'static str,
    /// The scenario that was played, with the device of it that was.
    pub scenario: Option<String>,
    /// How it ended.
    pub status: Status,
    /// The device and how it stands; the sentence is the check's.
    #[serde(flatten)]
    pub view: DeviceView,
    /// Exit code that it stands for by itself.
    #[serde(skip)]
    pub exit: Exit,
}

impl CheckView {
    /// What it is called: the check, or the scenario it played.
    pub fn title(&self) -> String {
        match &self.scenario {
            Some(scenario) => format!("{} {scenario}", self.check),
            None => self.check.to_owned(),
        }
    }
}

/// A run as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RigReport {
    /// When it began.
    pub begun: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// The way to the devices.
    pub way: String,
    /// Every check, device by device.
    pub checks: Vec<CheckView>,
    /// It was ended before it was done.
    pub interrupted: bool,
}

/// Its numbers; the last line of `--json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RigSummary {
    /// Checks that passed.
    pub passed: usize,
    /// Checks that failed.
    pub failed: usize,
    /// Checks for which a person was missing.
    pub needs_person: usize,
    /// Checks that were not tried.
    pub skipped: usize,
    /// It was ended before it was done.
    pub interrupted: bool,
}

impl RigReport {
    /// Its numbers.
    pub fn summary(&self) -> RigSummary {
        let count = |status: Status| self.checks.iter().filter(|c| c.status == status).count();
        RigSummary {
            passed: count(Status::Passed),
            failed: count(Status::Failed),
            needs_person: count(Status::NeedsPerson),
            skipped: count(Status::Skipped),
            interrupted: self.interrupted,
        }
    }

    /// The exit code of the run: of several checks the worst counts.
    pub fn exit(&self) -> Exit {
        let cut_short = if self.interrupted { Exit::Failed } else { Exit::Done };
        self.checks.iter().fold(cut_short, |worst, check| worst.worst(check.exit))
    }

    /// The checks of each device, in order.
    pub(super) fn by_device(&self) -> impl Iterator<Item = &[CheckView]> {
        self.checks.chunk_by(|a, b| a.view.udid == b.view.udid)
    }
}

/// What a check found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) status: Status,
    pub(super) sentence: String,
    pub(super) next: Option<String>,
    /// How the device stands, where the check looked.
    pub(super) device: Option<Box<DeviceView>>,
    exit: Option<Exit>,
}

impl Found {
    fn new(status: Status, sentence: impl Into<String>) -> Self {
        Self { status, sentence: sentence.into(), next: None, device: None, exit: None }
    }

    pub(super) fn passed(sentence: impl Into<String>) -> Self {
        Self::new(Status::Passed, sentence)
    }

    pub(super) fn skipped(sentence: impl Into<String>) -> Self {
        Self::new(Status::Skipped, sentence)
    }

    pub(super) fn failed(sentence: impl Into<String>, next: &str) -> Self {
        Self { next: Some(next.into()), ..Self::new(Status::Failed, sentence) }
    }

    pub(super) fn needs_person(sentence: impl Into<String>, next: &str) -> Self {
        Self { next: Some(next.into()), ..Self::new(Status::NeedsPerson, sentence) }
    }

    /// A device that is not as it has to be, in its own words.
    pub(super) fn of_device(device: DeviceView) -> Self {
        let status = match device.exit() {
            Exit::NeedsPerson => Status::NeedsPerson,
            _ => Status::Failed,
        };
        let next = device.next.clone();
        Self { next, ..Self::new(status, device.sentence.clone()) }.with(device)
    }

    /// What could not even begin.
    pub(super) fn of_error(error: OperationError) -> Self {
        let status = if error.exit == Exit::NeedsPerson { Status::NeedsPerson } else { Status::Failed };
        Self { next: error.next, exit: Some(error.exit), ..Self::new(status, error.sentence) }
    }

    /// Another exit code than its status has.
    pub(super) fn exiting(self, exit: Exit) -> Self {
        Self { exit: Some(exit), ..self }
    }

    pub(super) fn with(self, device: DeviceView) -> Self {
        Self { device: Some(Box::new(device)), ..self }
    }

    /// With nobody there, what needs a person is not tried.
    pub(super) fn unattended(self) -> Self {
        match self.status {
            Status::NeedsPerson => Self {
                status: Status::Skipped,
                sentence: format!("Nobody is there. {}", self.sentence),
                ..self
            },
            _ => self,
        }
    }

    pub(super) fn exit(&self) -> Exit {
        match self.status {
            Status::Passed | Status::Skipped => Exit::Done,
            Status::Failed => self.exit.filter(|exit| *exit != Exit::Done).unwrap_or(Exit::Failed),
            Status::NeedsPerson => Exit::NeedsPerson,
        }
    }
}
