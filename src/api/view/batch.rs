//! Batches and their reports: what is expected, how far it is, what is missing.

use super::DeviceView;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BatchState {
    /// Devices of the manifest are enrolled as they come.
    Open,
    /// Open, but no new device begins: too many equal faults in a row.
    Stopped,
    /// Over; its report does not change any more.
    Closed,
}

impl BatchState {
    /// The machine name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Stopped => "stopped",
            Self::Closed => "closed",
        }
    }
}

/// What becomes of a device that the manifest does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unexpected {
    /// Its job ends at once, and nothing is pushed.
    #[default]
    Refuse,
    /// Its job waits until somebody allows it.
    Ask,
    /// It is enrolled like the others, and the report lists it.
    Allow,
}

impl Unexpected {
    /// The machine name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Ask => "ask",
            Self::Allow => "allow",
        }
    }

    /// By its machine name.
    pub fn named(text: &str) -> Option<Self> {
        [Self::Refuse, Self::Ask, Self::Allow].into_iter().find(|u| u.name() == text)
    }
}

/// A batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BatchView {
    /// Its number in the journal, from 1.
    pub id: i64,
    /// What it is called.
    pub name: String,
    /// How it stands.
    pub state: BatchState,
    /// One sentence for people: how far it is, or why it stands still.
    pub sentence: String,
    /// What to do next, if anything.
    pub next: Option<String>,
    /// When it was opened.
    #[schema(value_type = String, format = DateTime)]
    pub opened: Timestamp,
    /// When it was closed.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub closed: Option<Timestamp>,
    /// Since when it is stopped.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub stopped: Option<Timestamp>,
    /// What becomes of devices that the manifest does not name.
    pub unexpected: Unexpected,
    /// It stops after so many equal faults in a row; 0: never.
    pub stop_after: u32,
    /// How far it is.
    pub progress: BatchProgress,
    /// Devices that wait before anything is pushed to them, by serial number, else IMEI, else
    /// UDID: until somebody lets them in, or until a stopped batch goes on.
    #[serde(default)]
    pub waiting: Vec<String>,
    /// Hash of the last entry of its report; only of a closed batch.
    pub seal: Option<String>,
}

/// How far a batch is. `done`, `failed`, `running` and `missing` add up to `expected`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BatchProgress {
    /// Devices of the manifest.
    pub expected: u32,
    /// Of these: enrolled, read back from the device.
    pub done: u32,
    /// Of these: the newest job ended otherwise.
    pub failed: u32,
    /// Of these: a job is open.
    pub running: u32,
    /// Of these: never seen.
    pub missing: u32,
    /// Devices that came and are not in the manifest.
    pub unexpected: u32,
    /// Devices that came and told neither serial number nor IMEI: nobody knows yet which line
    /// they are, so those of the manifest are among the missing.
    #[serde(default)]
    pub unidentified: u32,
    /// Whole percent of `expected` that is done or failed.
    pub percent: u8,
    /// Devices an hour, measured while work went on; none until a few came to an end, or where
    /// all ended in one burst.
    pub per_hour: Option<f64>,
    /// When the rest will be through at this rate; none without a rate, once nothing is left,
    /// when that moment has passed, or while the batch is stopped.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub eta: Option<Timestamp>,
    /// The same in seconds from now.
    pub eta_s: Option<u64>,
}

/// How a device of a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EntryState {
    /// Never seen.
    Missing,
    /// Its job is open.
    Running,
    /// Enrolled.
    Done,
    /// Its newest job ended otherwise.
    Failed,
}

impl EntryState {
    /// The machine name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// A line of the manifest, or a device that none names, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchEntryView {
    /// Line of the manifest; `None` for a device that it does not name.
    pub line: Option<u32>,
    /// It told neither serial number nor IMEI: nobody knows yet which line it is.
    #[serde(default)]
    pub unidentified: bool,
    /// Nothing is pushed to it until its owner acts.
    #[serde(default)]
    pub waiting: bool,
    /// Serial number: the manifest's, else the device's.
    pub serial: Option<String>,
    /// IMEI: the manifest's, else the device's.
    pub imei: Option<String>,
    /// Name that the device is to get.
    pub name: Option<String>,
    /// Tag.
    pub tag: Option<String>,
    /// Blueprint: the manifest's, else the one that the job used.
    pub blueprint: Option<String>,
    /// How it stands.
    pub state: EntryState,
    /// Jobs so far.
    pub jobs: u32,
    /// The device in its newest job; `None` while it is missing.
    pub device: Option<DeviceView>,
    /// When the newest job began.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended: Option<Timestamp>,
}

/// Form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReportFormat {
    /// A table for spreadsheets.
    Csv,
    /// For programs.
    Json,
    /// One page that needs nothing else.
    Html,
}

impl ReportFormat {
    /// The machine name, which is the ending of a file too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Html => "html",
        }
    }

    /// By its machine name.
    pub fn named(text: &str) -> Option<Self> {
        [Self::Csv, Self::Json, Self::Html].into_iter().find(|format| format.name() == text)
    }

    /// For an HTTP answer.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Json => "application/json",
            Self::Html => "text/html; charset=utf-8",
        }
    }
}

/// A report, ready to be written to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportView {
    /// Its form.
    pub format: ReportFormat,
    /// A good name for the file, such as `batch-3.html`.
    pub file_name: String,
    /// Its contents.
    pub text: String,
    /// Hash of its last entry.
    pub head: String,
}

/// What `enlist report --verify` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReportCheckView {
    /// The file.
    pub file: String,
    /// Its form.
    pub format: ReportFormat,
    /// Its entries fit together, and the journal here, if there is one, says the same: it is the
    /// report that was sealed, or the batch is open and stands so now. Without a journal nothing
    /// is said of whether the entries are the station's own.
    pub valid: bool,
    /// Entries it has, the first about the batch included.
    pub entries: usize,
    /// Hash of its last entry.
    pub head: String,
    /// Whether it is the report that this station's journal sealed when the batch was closed;
    /// false also if the journal has no such batch. `None` if there is nothing to compare with:
    /// no journal here, or the batch is open.
    pub sealed: Option<bool>,
    /// One sentence.
    pub sentence: String,
    /// What is wrong, each with the place.
    pub findings: Vec<ReportFinding>,
}

/// Something wrong with a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReportFinding {
    /// The entry's number, where it is about one.
    pub entry: Option<u64>,
    /// `changed`, `missing`, `reordered`, `cut`, `added` or `derived`; of entries that fit
    /// together, `unproven` or `foreign`: no report of this station.
    pub what: &'static str,
    /// One sentence.
    pub message: String,
}
