//! Batches: open, follow, close, report.
//!
//! These need the journal's file and nothing else, whether a station runs or not: a running
//! one reads the same tables before each job.

use crate::api::OperationError;
use crate::api::report as reports;
use crate::api::view::{BatchEntryView, BatchView, EntryState, Exit, ReportFormat, ReportView, Unexpected};
use crate::api::view::{BatchProgress, BatchState, DeviceView, JobView};
use crate::clock::Clock;
use crate::ids::{BatchId, Udid};
use crate::journal::{BatchRow, Book, Closing, EntryRow, Expected, JobRow, NewBatch};
use crate::station::age::Age;
use crate::station::library::hex;
use crate::station::{age, pace};
use crate::wire::manifest;
use crate::wire::printable::printable;
use jiff::{SignedDuration, Timestamp};
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
    /// Names of the station's blueprints, which the manifest may name; `None`: not known here.
    pub blueprints: Option<Vec<String>>,
}

/// Most devices that a sentence names.
const MOST_NAMED: usize = 8;

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
    let file = printable(&request.file);
    let rows = manifest::read(&request.manifest).map_err(|error| {
        let said =
            format!("The manifest {file} cannot be used: {}.", error.to_string().trim_end_matches('.'));
        OperationError::new(
            Exit::Usage,
            said,
            "Correct the file and open the batch again; nothing of it was taken.",
        )
    })?;
    refuse_unknown_blueprints(&file, request, &rows)?;
    let now = clock.now();
    let mut book = Book::open(journal)?;
    refuse_to_outlive(&book, request, rows.len(), now)?;
    let new = NewBatch {
        name: request.name.clone().unwrap_or_else(|| file.trim_end_matches(".csv").to_owned()),
        manifest: hex(&openssl::sha::sha256(&request.manifest)),
        unexpected: request.unexpected.name(),
        stop_after: request.stop_after,
        expected: rows.into_iter().map(expected).collect(),
    };
    match book.begin(&new, now)? {
        Some(id) => show_batch(journal, Some(id.0), clock),
        None => {
            let open =
                book.open_batch()?.map(|batch| format!(" {} \"{}\"", batch.id, printable(&batch.name)));
            let said = format!("Batch{} is still open.", open.unwrap_or_default());
            Err(OperationError::new(Exit::Usage, said, "Close it first: enlist batch close."))
        }
    }
}

/// As [`open_batch`], but if the open batch has this very manifest it goes on: what a station
/// that is started again wants.
///
/// # Errors
/// As [`open_batch`].
pub fn go_on_or_open(
    journal: &Path,
    request: &OpenBatch,
    clock: &Clock,
) -> Result<BatchView, OperationError> {
    let manifest = hex(&openssl::sha::sha256(&request.manifest));
    let open = match Book::read(journal)? {
        Some(book) => book.open_batch()?.filter(|batch| batch.manifest == manifest),
        None => None,
    };
    match open {
        Some(batch) => show_batch(journal, Some(batch.id.0), clock),
        None => open_batch(journal, request, clock),
    }
}

/// A line whose blueprint is not there would fail when its device comes.
fn refuse_unknown_blueprints(
    file: &str,
    request: &OpenBatch,
    rows: &[manifest::ManifestRow],
) -> Result<(), OperationError> {
    let Some(known) = &request.blueprints else { return Ok(()) };
    let wrong = |row: &&manifest::ManifestRow| row.blueprint.as_ref().is_some_and(|b| !known.contains(b));
    let faults: Vec<_> = rows.iter().filter(wrong).collect();
    if faults.is_empty() {
        return Ok(());
    }
    let told = |row: &&manifest::ManifestRow| {
        let name = printable(row.blueprint.as_deref().unwrap_or_default());
        format!("line {}: there is no blueprint '{name}'", row.line)
    };
    let shown = faults.iter().take(MOST_NAMED).map(told).collect::<Vec<_>>().join("; ");
    let more = match faults.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!("; and {more} more lines are wrong"),
    };
    let said = format!("The manifest {file} cannot be used: {shown}{more}.");
    let next = format!("Correct the file, or add the blueprint. There are: {}.", listed(known));
    Err(OperationError::new(Exit::Usage, said, next))
}

/// A batch is refused whose export would end before the last device (3.4, L46).
fn refuse_to_outlive(
    book: &Book,
    request: &OpenBatch,
    devices: usize,
    now: Timestamp,
) -> Result<(), OperationError> {
    let (Some(ends), None) = (request.export_ends, &request.stale_allowed) else { return Ok(()) };
    // The newest batch tells how fast this bench is.
    let newest =
        book.batches()?.first().map(|batch| book.last_ends(batch.id, pace::LOOKED_AT)).transpose()?;
    let each = newest.and_then(|ends| pace::per_device(&ends)).unwrap_or(pace::ASSUMED);
    let lasting = pace::lasting(u32::try_from(devices).unwrap_or(u32::MAX), each);
    let age = Age { exported: None, ends, told_by: "end of the export".into(), sure: true };
    match age.refusal(lasting, now) {
        Some(reason) => {
            let said = format!("A batch of {devices} devices cannot begin: {reason}");
            Err(OperationError::new(Exit::Refused, said, age::next_action()))
        }
        None => Ok(()),
    }
}

fn expected(row: manifest::ManifestRow) -> Expected {
    let manifest::ManifestRow { line, serial, imei, name, tag, blueprint } = row;
    Expected { line, serial, imei, name, tag, blueprint }
}

/// All batches, newest first.
///
/// # Errors
/// The journal cannot be read.
pub fn list_batches(journal: &Path, clock: &Clock) -> Result<Vec<BatchView>, OperationError> {
    let Some(book) = Book::read(journal)? else { return Ok(Vec::new()) };
    book.batches()?.into_iter().map(|batch| view(&book, batch, clock.now())).collect()
}

/// One batch; without a number the open one, else the newest.
///
/// # Errors
/// There is none; the journal cannot be read.
pub fn show_batch(journal: &Path, id: Option<i64>, clock: &Clock) -> Result<BatchView, OperationError> {
    let (book, batch) = picked(journal, id)?;
    view(&book, batch, clock.now())
}

/// Its entries: the manifest's lines in their order, then devices that have none.
///
/// # Errors
/// As [`show_batch`].
pub fn batch_entries(
    journal: &Path,
    id: Option<i64>,
    query: EntryQuery,
    clock: &Clock,
) -> Result<Vec<BatchEntryView>, OperationError> {
    let (book, batch) = picked(journal, id)?;
    let now = clock.now();
    let views = book.entries(batch.id)?.into_iter().map(|row| entry_view(row, now));
    let chosen = views.filter(|entry| query.state.is_none_or(|state| entry.state == state));
    let most = query.limit.map_or(usize::MAX, |limit| limit as usize);
    Ok(chosen.skip(query.offset as usize).take(most).collect())
}

/// Closes a batch and seals its report. One with open jobs is closed only with `force`; they
/// go on, outside of it.
///
/// # Errors
/// As [`show_batch`]; it is closed already; devices are at work; the journal cannot be written.
pub fn close_batch(
    journal: &Path,
    id: Option<i64>,
    force: bool,
    clock: &Clock,
) -> Result<BatchView, OperationError> {
    let batch = picked(journal, id)?.1;
    match Book::open(journal)?.close(batch.id, clock.now(), force, reports::seal)? {
        Closing::Closed => show_batch(journal, Some(batch.id.0), clock),
        Closing::WasClosed => Err(is_closed(&batch)),
        Closing::Running(jobs) => Err(still_runs(&batch, &jobs)),
    }
}

fn still_runs(batch: &BatchRow, jobs: &[JobRow]) -> OperationError {
    let names: Vec<_> = jobs.iter().map(known_as).collect();
    let many = match names.len() {
        1 => "1 device is".to_owned(),
        n => format!("{n} devices are"),
    };
    let said = format!("Batch {} is not closed: {many} still in work: {}.", batch.id, listed(&names));
    let next = "Wait until they are done. To close it all the same, with them as running in its \
                report: enlist batch close --force";
    OperationError::new(Exit::Refused, said, next)
}

/// Serial number, else IMEI, else UDID.
fn known_as(job: &JobRow) -> String {
    printable(job.serial.as_deref().or(job.imei.as_deref()).unwrap_or(job.udid.as_str()))
}

fn listed(names: &[String]) -> String {
    let shown = names.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MOST_NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Lets a batch go on that was stopped.
///
/// # Errors
/// As [`close_batch`]; it was not stopped.
pub fn resume_batch(journal: &Path, id: Option<i64>, clock: &Clock) -> Result<BatchView, OperationError> {
    let batch = opened(journal, id)?;
    match Book::open(journal)?.resume(batch.id)? {
        true => show_batch(journal, Some(batch.id.0), clock),
        false => {
            let said = format!("Batch {} was not stopped.", batch.id);
            Err(OperationError::new(Exit::Usage, said, "Nothing needs to be done: it goes on."))
        }
    }
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
    let batch = opened(journal, id)?;
    // Serial numbers and IMEIs are made of the same characters.
    let name =
        device.trim().parse::<Udid>().ok().filter(|name| name.as_str().len() >= 8).ok_or_else(|| {
            let said = format!("'{}' names no device.", printable(device));
            OperationError::new(
                Exit::Usage,
                said,
                "Give its serial number, IMEI or UDID, as `enlist devices` shows it.",
            )
        })?;
    Book::open(journal)?.allow(batch.id, name.as_str(), clock.now())?;
    show_batch(journal, Some(batch.id.0), clock)
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
    let (book, batch) = picked(journal, id)?;
    let entries = reports::entries(&batch, &book.reported(&batch, reports::seal)?, clock.now());
    Ok(ReportView {
        format,
        file_name: format!("batch-{}.{}", batch.id, format.name()),
        text: reports::render(&entries, format),
        head: entries.last().map(|entry| entry.hash().to_owned()).unwrap_or_default(),
    })
}

fn picked(journal: &Path, id: Option<i64>) -> Result<(Book, BatchRow), OperationError> {
    let book = Book::read(journal)?.ok_or_else(none)?;
    let batches = book.batches()?;
    let batch = match id {
        Some(id) => batches.into_iter().find(|batch| batch.id == BatchId(id)).ok_or_else(|| {
            OperationError::new(Exit::Usage, format!("There is no batch {id}."), "See `enlist batch list`.")
        })?,
        // An open one is always the newest.
        None => batches.into_iter().next().ok_or_else(none)?,
    };
    Ok((book, batch))
}

fn opened(journal: &Path, id: Option<i64>) -> Result<BatchRow, OperationError> {
    let batch = picked(journal, id)?.1;
    if batch.closed_at.is_some() { Err(is_closed(&batch)) } else { Ok(batch) }
}

fn is_closed(batch: &BatchRow) -> OperationError {
    let said = format!("Batch {} is closed.", batch.id);
    OperationError::new(
        Exit::Usage,
        said,
        "See `enlist batch list`; open another with `enlist batch open MANIFEST`.",
    )
}

fn none() -> OperationError {
    OperationError::new(Exit::Usage, "There is no batch.", "Open one: `enlist batch open MANIFEST`.")
}

fn view(book: &Book, batch: BatchRow, now: Timestamp) -> Result<BatchView, OperationError> {
    let progress = progress(book, &batch, now)?;
    let state = match (&batch.closed_at, &batch.stop) {
        (Some(_), _) => BatchState::Closed,
        (None, Some(_)) => BatchState::Stopped,
        (None, None) => BatchState::Open,
    };
    let waiting = waiting(book, &batch)?;
    let (sentence, next) = match &batch.stop {
        Some(stop) if state == BatchState::Stopped => {
            (stopped(&stop.reason, &waiting), Some(stop.next.clone()))
        }
        _ => told(&progress, state, &waiting),
    };
    Ok(BatchView {
        id: batch.id.0,
        name: printable(&batch.name),
        state,
        sentence,
        next,
        opened: batch.opened_at,
        closed: batch.closed_at,
        stopped: batch.stop.filter(|_| state == BatchState::Stopped).map(|stop| stop.at),
        unexpected: Unexpected::named(&batch.unexpected).unwrap_or_default(),
        stop_after: batch.stop_after,
        progress,
        waiting,
        seal: batch.seal,
    })
}

/// Who waits before anything is pushed: all, while the batch is stopped; else those that the
/// owner is asked about.
fn waiting(book: &Book, batch: &BatchRow) -> Result<Vec<String>, OperationError> {
    let asks = batch.unexpected == Unexpected::Ask.name();
    if batch.closed_at.is_some() || batch.stop.is_none() && !asks {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for job in book.held()? {
        if batch.stop.is_some() || is_asked_about(book, batch, &job)? {
            names.push(known_as(&job));
        }
    }
    Ok(names)
}

/// Not once it was answered: the job may not have noticed yet.
fn is_asked_about(book: &Book, batch: &BatchRow, job: &JobRow) -> Result<bool, OperationError> {
    let serial = job.serial.as_deref().map(str::to_ascii_uppercase);
    if book.expected(batch.id, serial.as_deref(), job.imei.as_deref().as_slice())?.is_some() {
        return Ok(false);
    }
    let names: Vec<&str> =
        serial.as_deref().into_iter().chain(job.imei.as_deref()).chain([job.udid.as_str()]).collect();
    Ok(!book.is_allowed(batch.id, &names)?)
}

fn stopped(reason: &str, waiting: &[String]) -> String {
    match waiting {
        [] => reason.to_owned(),
        [one] => format!("{reason} {one} waits until it goes on."),
        several => format!("{reason} {} wait until it goes on: {}.", several.len(), listed(several)),
    }
}

/// What to do about those that the owner is asked about.
fn answer(waiting: &[String]) -> Option<String> {
    let first = waiting.first()?;
    let wait = if waiting.len() == 1 { "1 waits".to_owned() } else { format!("{} wait", waiting.len()) };
    let names = listed(waiting);
    Some(format!("{wait} for your answer: {names}. Put it aside, or let it in: enlist batch allow {first}"))
}

fn told(progress: &BatchProgress, state: BatchState, waiting: &[String]) -> (String, Option<String>) {
    let BatchProgress { expected, done, failed, running, missing, .. } = progress;
    let sentence =
        format!("{done} of {expected} enrolled, {failed} failed, {running} running, {missing} missing.");
    let over = *running == 0 && *missing == 0;
    let next = match state {
        BatchState::Closed => None,
        _ if !waiting.is_empty() => answer(waiting),
        _ if over && *failed == 0 => Some("Close it: enlist batch close".to_owned()),
        _ if over => Some("Plug the failed ones in again, or close it: enlist batch close".to_owned()),
        _ => None,
    };
    (sentence, next)
}

fn progress(book: &Book, batch: &BatchRow, now: Timestamp) -> Result<BatchProgress, OperationError> {
    let counts = book.counts(batch.id)?;
    let through = counts.done + counts.failed;
    let ends = book.last_ends(batch.id, pace::LOOKED_AT)?;
    let each = pace::per_device(&ends);
    let left = counts.expected.saturating_sub(through);
    let is_going_on = batch.closed_at.is_none() && batch.stop.is_none() && left > 0;
    let wait = pace::remaining(&ends, left, now).filter(|_| is_going_on);
    let eta = wait.and_then(|wait| now.checked_add(SignedDuration::try_from(wait).ok()?).ok());
    let percent = (u64::from(through) * 100).checked_div(counts.expected.into()).unwrap_or(0);
    Ok(BatchProgress {
        expected: counts.expected,
        done: counts.done,
        failed: counts.failed,
        running: counts.running,
        missing: left.saturating_sub(counts.running),
        unexpected: counts.unexpected,
        unidentified: counts.unidentified,
        percent: u8::try_from(percent).unwrap_or(100),
        per_hour: each.map(|each| 3600.0 / each.max(pace::FASTEST).as_secs_f64()),
        eta,
        eta_s: eta.and(wait).map(|wait| wait.as_secs()),
    })
}

fn entry_view(row: EntryRow, now: Timestamp) -> BatchEntryView {
    let state = match row.state() {
        "missing" => EntryState::Missing,
        "running" => EntryState::Running,
        "done" => EntryState::Done,
        _ => EntryState::Failed,
    };
    let job = row.job.as_ref().map(|job| JobView::new(job, now));
    let device = job.as_ref().map(|job| job.device.clone());
    let of_device = |read: fn(&DeviceView) -> &Option<String>| device.as_ref().and_then(|d| read(d).clone());
    let expected = row.expected.unwrap_or_default();
    let shown = |text: Option<String>| text.as_deref().map(printable);
    BatchEntryView {
        line: (expected.line > 0).then_some(expected.line),
        unidentified: row.unidentified,
        waiting: row.waiting,
        serial: expected.serial.or_else(|| of_device(|d| &d.serial)),
        imei: expected.imei.or_else(|| of_device(|d| &d.imei)),
        name: shown(expected.name),
        tag: shown(expected.tag),
        blueprint: shown(row.blueprint.or(expected.blueprint)),
        state,
        jobs: row.jobs,
        started: job.as_ref().map(|job| job.started),
        ended: job.as_ref().and_then(|job| job.ended),
        device,
    }
}
