//! What was done: jobs of the journal.

use crate::api::OperationError;
use crate::api::view::JobView;
use crate::clock::Clock;
use crate::journal::{HistoryFilter, JournalReader};
use crate::workflow::outcome::Outcome;
use std::path::Path;

/// Which jobs to show.
#[derive(Debug, Clone)]
pub struct HistoryQuery {
    /// Only of this device, as typed.
    pub udid: Option<String>,
    /// Only ended so.
    pub outcome: Option<Outcome>,
    /// Only open ones.
    pub open_only: bool,
    /// At most so many, newest first.
    pub limit: u32,
    /// Simulated ones too.
    pub include_simulated: bool,
}

/// Reads the journal; no device and no station needed. A station that never ran has no
/// history, which is no error.
///
/// # Errors
/// The journal cannot be read.
pub fn history(journal: &Path, query: &HistoryQuery, clock: &Clock) -> Result<Vec<JobView>, OperationError> {
    if !journal.exists() {
        return Ok(Vec::new());
    }
    let filter = HistoryFilter {
        outcome: query.outcome,
        open_only: query.open_only,
        limit: if query.udid.is_some() { u32::MAX } else { query.limit },
        include_simulated: query.include_simulated,
        ..HistoryFilter::default()
    };
    let rows = JournalReader::open(journal)?.history(&filter)?;
    let meant = |udid: &crate::ids::Udid| query.udid.as_deref().is_none_or(|text| udid.is_meant_by(text));
    let now = clock.now();
    let chosen = rows.iter().filter(|row| meant(&row.udid)).take(query.limit as usize);
    Ok(chosen.map(|row| JobView::new(row, now)).collect())
}

/// Jobs as a table for spreadsheets.
pub fn history_csv(jobs: &[JobView]) -> String {
    let heading = [
        "job",
        "udid",
        "serial",
        "imei",
        "name",
        "product_type",
        "os_version",
        "bay",
        "outcome",
        "class",
        "sentence",
        "next",
        "attempts",
        "pushes",
        "started",
        "ended",
        "ms",
        "profile_identifier",
        "profile_uuid",
        "profile_sha256",
        "simulated",
    ];
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let row = |job: &JobView| {
        let device = &job.device;
        let row = [
            device.job.map(|job| job.to_string()).unwrap_or_default(),
            device.udid.as_ref().map(ToString::to_string).unwrap_or_default(),
            text(&device.serial),
            text(&device.imei),
            text(&device.name),
            text(&device.product_type),
            text(&device.os_version),
            device.bay.to_string(),
            device.outcome.name().to_owned(),
            device.class.name().to_owned(),
            device.sentence.clone(),
            text(&device.next),
            device.attempts.to_string(),
            device.pushes.to_string(),
            job.started.to_string(),
            job.ended.map(|at| at.to_string()).unwrap_or_default(),
            device.ms.to_string(),
            job.profile_identifier.clone(),
            job.profile_uuid.clone(),
            job.profile_sha256.clone(),
            (if device.simulated { "yes" } else { "no" }).to_owned(),
        ];
        row.map(crate::api::report::tame)
    };
    let heading = heading.map(str::to_owned);
    crate::api::report::table(std::iter::once(heading).chain(jobs.iter().map(row)))
}
