//! Reading: open jobs for the station, history for people and reports.

use super::error::JournalError;
use super::project::text_of;
use super::writer::Which;
use super::{OpenJob, check, library, schema};
use crate::ids::{Bay, JobId, Udid};
use crate::limits::HISTORY_ROWS;
use crate::wire::mcinstall_error::ErrorChain;
use crate::workflow::event::{Event, EventKind};
use crate::workflow::outcome::{Class, Outcome};
use jiff::Timestamp;
use rusqlite::types::{Type, Value};
use rusqlite::{Connection, Row, params, params_from_iter};
use serde::de::DeserializeOwned;
use std::path::Path;

/// The file of the profile that a job `j` used last: it may have gone over to a sibling.
const FILE_OF_JOB: &str = "(SELECT f.folder || '/' || f.name FROM library_files f
     WHERE f.sha256 = coalesce(
         (SELECT json_extract(e.data, '$.sha256') FROM events e
          WHERE e.job = j.id AND e.kind = 'profile-chosen' ORDER BY e.seq DESC LIMIT 1),
         j.profile_sha256)
     ORDER BY f.last_seen DESC, f.folder, f.name LIMIT 1)";

/// The event that holds a job `j` back, if it is the newest of an open job.
pub(super) const HELD_OF_JOB: &str = "(CASE WHEN j.ended_at IS NULL THEN
     (SELECT h.data FROM events h WHERE h.seq = (SELECT max(seq) FROM events WHERE job = j.id)
          AND h.kind = 'held') END)";

/// Reads a journal, whether a station writes to it or not. Made per use: it holds a
/// connection, and its calls block.
#[derive(Debug)]
pub struct JournalReader {
    pub(super) conn: Connection,
}

/// Which jobs to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryFilter {
    /// Only of this device.
    pub udid: Option<Udid>,
    /// Only ended like this.
    pub outcome: Option<Outcome>,
    /// Only with this version of a profile.
    pub profile_sha256: Option<String>,
    /// Only created then or later.
    pub since: Option<Timestamp>,
    /// At most so many, newest first. Does not limit a summary.
    pub limit: u32,
    /// Simulated and replayed ones too.
    pub include_simulated: bool,
    /// Only those that have not ended.
    pub open_only: bool,
    /// Only this one.
    pub job: Option<JobId>,
    /// Only those with a smaller number: the next page.
    pub before: Option<JobId>,
    /// Only those with this text in what names the device, the bay or the profile.
    pub text: Option<String>,
}

/// Everything a person may remember of a job; `instr` would mind upper and lower case.
const NAMES_CONTAIN: &str = "j.udid || ' ' || ifnull(j.serial, '') || ' ' || ifnull(j.name, '') || ' ' \
     || ifnull(j.imei, '') || ' ' || ifnull(j.product_type, '') || ' ' || j.bay || ' ' || j.profile_sha256 \
     LIKE ? ESCAPE '!'";

/// A pattern that matches `text` anywhere, whatever characters it has.
fn like(text: &str) -> String {
    let mut pattern = String::from("%");
    for char in text.chars() {
        if matches!(char, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(char);
    }
    pattern + "%"
}

impl Default for HistoryFilter {
    /// The newest [`HISTORY_ROWS`] of all jobs.
    fn default() -> Self {
        Self {
            udid: None,
            outcome: None,
            profile_sha256: None,
            since: None,
            limit: HISTORY_ROWS,
            include_simulated: true,
            open_only: false,
            job: None,
            before: None,
            text: None,
        }
    }
}

/// A job as the journal knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    /// Its number.
    pub id: JobId,
    /// The device.
    pub udid: Udid,
    /// ECID, once known.
    pub ecid: Option<u64>,
    /// Serial number, once known.
    pub serial: Option<String>,
    /// Device name, once known.
    pub name: Option<String>,
    /// Product type, once known.
    pub product_type: Option<String>,
    /// System version, once known.
    pub os_version: Option<String>,
    /// IMEI, if it has one.
    pub imei: Option<String>,
    /// Where it hangs, or hung last.
    pub bay: Bay,
    /// Simulated or replayed.
    pub simulated: bool,
    /// SHA-256 of the profile file.
    pub profile_sha256: String,
    /// PayloadIdentifier of the profile.
    pub profile_identifier: String,
    /// PayloadUUID of the profile.
    pub profile_uuid: String,
    /// Display name of the profile.
    pub profile_name: String,
    /// The file that held the profile the job used last, where that is known.
    pub profile_file: Option<String>,
    /// Why an export that was too old could be pushed; `None` if it was not too old.
    pub stale_allowed: Option<String>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// From begin to end, in milliseconds; 0 if the wall clock went back.
    pub duration_ms: Option<u64>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Who must act; of an open job only where it is held until its owner does.
    pub class: Option<Class>,
    /// The verdict in one sentence; of a job that is held, what for.
    pub sentence: Option<String>,
    /// What to do next.
    pub next: Option<String>,
    /// The device's error chain.
    pub chain: ErrorChain,
    /// Attempts begun.
    pub attempts: u32,
    /// Pushes begun.
    pub pushes: u32,
    /// What the bay shows, or showed last.
    pub state: Outcome,
}

/// How many jobs stand how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Not ended.
    pub open: u32,
    /// Ended, by outcome, in the order of [`Outcome::ALL`]; none with 0.
    pub ended: Vec<(Outcome, u32)>,
}

impl JournalReader {
    /// Opens the journal at `path`.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        Ok(Self { conn: schema::open_reader(path)? })
    }

    /// Jobs, newest first.
    pub fn history(&self, filter: &HistoryFilter) -> Result<Vec<JobRow>, JournalError> {
        let (clause, mut values) = filter.clause();
        values.push(Value::from(filter.limit));
        let file = match library::is_in(&self.conn).map_err(JournalError::read)? {
            true => FILE_OF_JOB,
            false => "NULL",
        };
        let sql = format!(
            "SELECT j.*, {HELD_OF_JOB} AS held, {file} AS profile_file, p.identifier AS profile_identifier, p.uuid AS profile_uuid, p.name AS profile_name,
                 (SELECT json_extract(e.data, '$.stale_allowed') FROM events e
                  WHERE e.job = j.id AND e.kind = 'job-started') AS stale_allowed
             FROM jobs j JOIN profiles p ON p.sha256 = j.profile_sha256 {clause} ORDER BY j.id DESC LIMIT ?"
        );
        let run = || -> rusqlite::Result<Vec<JobRow>> {
            let mut statement = self.conn.prepare(&sql)?;
            statement.query_map(params_from_iter(values), job_row)?.collect()
        };
        run().map_err(JournalError::read)
    }

    /// All events of a job, in order; empty if there is no such job.
    pub fn job_events(&self, job: JobId) -> Result<Vec<Event>, JournalError> {
        events(&self.conn, job).map_err(JournalError::read)
    }

    /// Counts of the jobs that `filter` selects.
    pub fn summary(&self, filter: &HistoryFilter) -> Result<Summary, JournalError> {
        let (clause, values) = filter.clause();
        let sql = format!("SELECT j.outcome, count(*) FROM jobs j {clause} GROUP BY j.outcome");
        let run = || -> rusqlite::Result<Summary> {
            let mut statement = self.conn.prepare(&sql)?;
            let mut summary = Summary::default();
            let mut rows = statement.query(params_from_iter(values))?;
            while let Some(row) = rows.next()? {
                match optional_named(row, 0)? {
                    Some(outcome) => summary.ended.push((outcome, row.get(1)?)),
                    None => summary.open = row.get(1)?,
                }
            }
            summary.ended.sort_by_key(|(outcome, _)| Outcome::ALL.iter().position(|o| o == outcome));
            Ok(summary)
        };
        run().map_err(JournalError::read)
    }

    /// Everything that is inconsistent, in words; empty if all is well.
    pub fn check(&self) -> Vec<String> {
        check(&self.conn)
    }
}

impl HistoryFilter {
    fn clause(&self) -> (String, Vec<Value>) {
        let conditions = [
            self.udid.as_ref().map(|u| ("j.udid = ?", Value::from(u.as_str().to_owned()))),
            self.outcome.map(|o| ("j.outcome = ?", Value::from(o.name().to_owned()))),
            self.profile_sha256.clone().map(|sha| ("j.profile_sha256 = ?", Value::from(sha))),
            self.since.map(|at| ("j.created_at >= ?", Value::from(text_of(at)))),
            (!self.include_simulated).then_some(("j.simulated = ?", Value::from(false))),
            self.open_only.then_some(("(j.ended_at IS NULL) = ?", Value::from(true))),
            self.job.map(|job| ("j.id = ?", Value::from(job.0))),
            self.before.map(|job| ("j.id < ?", Value::from(job.0))),
            self.text.as_deref().map(|text| (NAMES_CONTAIN, Value::from(like(text)))),
        ];
        let (texts, values): (Vec<_>, _) = conditions.into_iter().flatten().unzip();
        let clause = if texts.is_empty() { String::new() } else { format!("WHERE {}", texts.join(" AND ")) };
        (clause, values)
    }
}

/// Open jobs with their events, oldest first: of one device and profile, or all.
pub(super) fn jobs(conn: &Connection, which: Which) -> Result<Vec<OpenJob>, JournalError> {
    let run = || -> rusqlite::Result<Vec<OpenJob>> {
        let (sql, of) = match which {
            Which::Open(of) => (
                "SELECT id FROM jobs WHERE ended_at IS NULL
                 AND (?1 IS NULL OR (udid = ?1 AND profile_sha256 = ?2)) ORDER BY id",
                of,
            ),
            Which::LastThatPushed(udid, sha) => (
                "SELECT id FROM jobs WHERE ended_at IS NOT NULL AND pushes > 0
                 AND udid = ?1 AND profile_sha256 = ?2 ORDER BY id DESC LIMIT 1",
                Some((udid, sha)),
            ),
        };
        let (udid, sha) = of.unzip();
        let mut statement = conn.prepare(sql)?;
        let values = params![udid.as_ref().map(Udid::as_str), sha];
        let ids: Vec<i64> = statement.query_map(values, |row| row.get(0))?.collect::<Result<_, _>>()?;
        let with_events = |id| Ok(OpenJob { id: JobId(id), events: events(conn, JobId(id))? });
        ids.into_iter().map(with_events).collect()
    };
    run().map_err(JournalError::read)
}

fn events(conn: &Connection, job: JobId) -> rusqlite::Result<Vec<Event>> {
    let mut statement = conn.prepare("SELECT seq, at, data FROM events WHERE job = ?1 ORDER BY seq")?;
    let read = |row: &Row<'_>| {
        let kind: EventKind =
            parsed(row, 2, |text| serde_json::from_str(text).map_err(|error| error.to_string()))?;
        Ok(Event { seq: row.get(0)?, job, at: parsed(row, 1, time)?, kind })
    };
    statement.query_map([job.0], read)?.collect()
}

pub(super) fn job_row(row: &Row<'_>) -> rusqlite::Result<JobRow> {
    let at = |name: &str| row.as_ref().column_index(name);
    let created_at = parsed(row, at("created_at")?, time)?;
    let ended_at = optional(row, at("ended_at")?, time)?;
    let held: Option<EventKind> =
        optional(row, at("held")?, |text| serde_json::from_str(text).map_err(|e| e.to_string()))?;
    // Its owner has to act, and is told what for as if it were the job's verdict.
    let (held, what_for, what_next) = match held {
        Some(EventKind::Held { sentence, next, .. }) => (Some(Class::Operator), Some(sentence), Some(next)),
        _ => (None, None, None),
    };
    let lasted = |end: Timestamp| (end.as_millisecond() - created_at.as_millisecond()).max(0).unsigned_abs();
    Ok(JobRow {
        id: JobId(row.get("id")?),
        udid: parsed(row, at("udid")?, |text| text.parse().map_err(|e: crate::ids::BadUdid| e.to_string()))?,
        ecid: optional(row, at("ecid")?, |t| t.parse().map_err(|_| format!("'{t}' is not an ECID")))?,
        serial: row.get("serial")?,
        name: row.get("name")?,
        product_type: row.get("product_type")?,
        os_version: row.get("os_version")?,
        imei: row.get("imei")?,
        bay: Bay(row.get("bay")?),
        simulated: row.get("simulated")?,
        profile_sha256: row.get("profile_sha256")?,
        profile_identifier: row.get("profile_identifier")?,
        profile_uuid: row.get("profile_uuid")?,
        profile_name: row.get("profile_name")?,
        profile_file: row.get("profile_file")?,
        stale_allowed: row.get("stale_allowed")?,
        created_at,
        ended_at,
        duration_ms: ended_at.map(lasted),
        outcome: optional_named(row, at("outcome")?)?,
        class: optional_named(row, at("class")?)?.or(held),
        sentence: row.get::<_, Option<String>>("sentence")?.or(what_for),
        next: row.get::<_, Option<String>>("next")?.or(what_next),
        chain: parsed(row, at("chain")?, |t| serde_json::from_str(t).map_err(|e| e.to_string()))?,
        attempts: row.get("attempts")?,
        pushes: row.get("pushes")?,
        state: parsed(row, at("state")?, named)?,
    })
}

pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|error: jiff::Error| error.to_string())
}

/// A machine name as its type.
fn named<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

fn optional_named<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    optional(row, column, named)
}

pub(super) fn parsed<T>(
    row: &Row<'_>,
    column: usize,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    parse(&text).map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into()))
}

pub(super) fn optional<T>(
    row: &Row<'_>,
    column: usize,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> rusqlite::Result<Option<T>> {
    match row.get_ref(column)?.data_type() {
        Type::Null => Ok(None),
        _ => parsed(row, column, parse).map(Some),
    }
}
