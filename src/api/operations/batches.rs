//! Batches: open, follow, close, report.
//!
//! These need the journal's file and nothing else, whether a station runs or not: a running
//! one reads the same tables before each job.

use crate::api::OperationError;
use crate::api::view::{
    BatchEntryView, BatchView, EntryState, Exit, ReportCheckView, ReportFormat, ReportView, Unexpected,
};
use crate::clock::Clock;
use jiff::Timestamp;
use std::path::Path;

/// Which batch to open.
#[derive(Debug, Clone, Default)]
pub struct OpenBatch {
    /// What it is called; the manifest's file name if not given.
    pub name: Option<String>,
    /// Name of the manifest, for messages.
    pub file: String,
    /// The manifest: CSV with serial number or IMEI, and name, tag, blueprint.
    pub manifest: Vec<u8>,
    /// What becomes of devices that it does not name.
    pub unexpected: Unexpected,
    /// Stop after so many equal faults in a row; 0: never.
    pub stop_after: u32,
    /// When the export that is pushed ends; a batch that would outlive it is refused.
    pub export_ends: Option<Timestamp>,
    /// Why an export that is too old may be used all the same.
    pub stale_allowed: Option<String>,
}

/// Which entries to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EntryQuery {
    /// Only those that stand so.
    pub state: Option<EntryState>,
    /// Leave out so many.
    pub offset: u32,
    /// At most so many; `None`: all.
    pub limit: Option<u32>,
}

/// Opens a batch. The station has one open batch at a time.
///
/// # Errors
/// The manifest cannot be used; another batch is open; it would outlive its export; the
/// journal cannot be written.
pub fn open_batch(journal: &Path, request: &OpenBatch, clock: &Clock) -> Result<BatchView, OperationError> {
    let _ = (journal, request, clock);
    Err(none())
}

/// All batches, newest first.
///
/// # Errors
/// The journal cannot be read.
pub fn list_batches(journal: &Path, clock: &Clock) -> Result<Vec<BatchView>, OperationError> {
    let _ = (journal, clock);
    Ok(Vec::new())
}

/// One batch; without a number the open one, else the newest.
///
/// # Errors
/// There is none; the journal cannot be read.
pub fn show_batch(journal: &Path, id: Option<i64>, clock: &Clock) -> Result<BatchView, OperationError> {
    let _ = (journal, id, clock);
    Err(none())
}

/// Its entries: the manifest's lines in their order, then devices that it does not name.
///
/// # Errors
/// As [`show_batch`].
pub fn batch_entries(
    journal: &Path,
    id: Option<i64>,
    query: EntryQuery,
    clock: &Clock,
) -> Result<Vec<BatchEntryView>, OperationError> {
    let _ = (journal, id, query, clock);
    Err(none())
}

/// Closes a batch and seals its report. Jobs that are open go on, outside of it.
///
/// # Errors
/// As [`show_batch`]; it is closed already; the journal cannot be written.
pub fn close_batch(journal: &Path, id: Option<i64>, clock: &Clock) -> Result<BatchView, OperationError> {
    let _ = (journal, id, clock);
    Err(none())
}

/// Lets a batch go on that was stopped.
///
/// # Errors
/// As [`close_batch`]; it was not stopped.
pub fn resume_batch(journal: &Path, id: Option<i64>, clock: &Clock) -> Result<BatchView, OperationError> {
    let _ = (journal, id, clock);
    Err(none())
}

/// Lets a device into the open batch that its manifest does not name: by serial number, IMEI
/// or UDID.
///
/// # Errors
/// As [`close_batch`]; the text cannot name a device.
pub fn allow_device(
    journal: &Path,
    id: Option<i64>,
    device: &str,
    clock: &Clock,
) -> Result<BatchView, OperationError> {
    let _ = (journal, id, device, clock);
    Err(none())
}

/// The report of a batch, hash-chained; provisional while it is open.
///
/// # Errors
/// As [`show_batch`].
pub fn report(
    journal: &Path,
    id: Option<i64>,
    format: ReportFormat,
    clock: &Clock,
) -> Result<ReportView, OperationError> {
    let _ = (journal, id, format, clock);
    Err(none())
}

/// Looks whether a report is as it was written; with a journal, whether it is the one that
/// was sealed.
///
/// # Errors
/// It cannot be read as a report at all.
pub fn verify_report(
    file: &str,
    bytes: &[u8],
    journal: Option<&Path>,
) -> Result<ReportCheckView, OperationError> {
    let _ = (file, bytes, journal);
    Err(none())
}

fn none() -> OperationError {
    OperationError::new(Exit::Usage, "There is no batch.", "Open one: `enlist batch open MANIFEST`.")
}
