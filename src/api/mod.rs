//! The one contract for screens: serialisable views, and the operations that give them.
//!
//! May import everything below it; only its own types cross it, so a screen never holds a
//! device. Start at [`view`], then [`Operations`]; [`live`] follows a run in progress,
//! [`client`] that of another process.

pub mod advice;
mod capture;
pub mod client;
pub mod error;
pub mod export;
pub mod feed;
pub mod live;
pub mod macs;
mod operations;
pub mod report;
pub mod rig;
mod run;
pub mod view;

pub use crate::station::age::AgeAnswers;
pub use crate::station::hooks::Hook;
pub use crate::station::{Orders, RunEnd};
pub use crate::wire::device_log::ENROLLING as LOG_PROCESSES;
pub use crate::wire::printable::{printable, sentence, system_words};
pub use crate::wire::profile::lint::{DeviceContext, Job, LintContext, OsVersion};
pub use crate::wire::profile::made::WifiNetwork;
pub use crate::wire::profile::{Profile, Purpose};
pub use crate::workflow::device_name::check as check_device_name;
pub use crate::workflow::event::StepResult;
pub use crate::workflow::methods::{Case, Method};
pub use crate::workflow::outcome::Outcome;
pub use crate::workflow::policy::{Policy, Prefer, SetupAssistant, UnknownAge};
pub use capture::{CaptureLine, CaptureSummary, SegmentView, read_capture};
pub use error::OperationError;
pub use live::{Live, Update};
pub use operations::batches::{
    EntryQuery, OpenBatch, allow_device, batch_entries, close_batch, go_on_or_open, list_batches, open_batch,
    report, resume_batch, show_batch,
};
pub use operations::recordings::{check_recording, finish_recordings};
pub use operations::report_check::verify_report;
pub use operations::{
    About, BackupView, Checks, Consent, Export, HistoryQuery, JobsQuery, LearnOptions, LearnStep, Library,
    LogLines, Operations, Parts, ReplayKit, ReplayRun, RestoreView, RunOptions, Running, Stored, Wanted,
    back_up, history, history_csv, library_in, lint_profile, lint_rules, read_recording, recordings_in,
    restore, show_helpers, show_profile,
};
