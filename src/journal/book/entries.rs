//! How the devices of a batch stand: the manifest's lines, and the jobs of their devices.
//!
//! A device tells its serial number to those it trusts, so a job that ended before that has no
//! line. Another job of the same UDID may know it: then all of them are of that line.

use super::super::JobRow;
use super::super::error::JournalError;
use super::super::query::{HELD_OF_JOB, job_row};
use super::{BatchRow, Book, Expected};
use crate::ids::BatchId;
use crate::workflow::outcome::Outcome;
use rusqlite::{Connection, Row};

/// A line of the manifest, or a device that has none, with the job that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryRow {
    /// What the manifest says; nothing for a device that has no line.
    pub expected: Option<Expected>,
    /// It told neither serial number nor IMEI, so nobody knows which line it is, or whether any.
    pub unidentified: bool,
    /// How many jobs it had in this batch.
    pub jobs: u32,
    /// The newest that succeeded, else the newest.
    pub job: Option<JobRow>,
    /// That job had ended when the batch was closed.
    pub ended: bool,
    /// That job waits for the owner before anything is pushed.
    pub waiting: bool,
    /// The blueprint that it used.
    pub blueprint: Option<String>,
}

impl EntryRow {
    /// How it stands: `missing`, `running`, `done` or `failed`.
    pub fn state(&self) -> &'static str {
        match &self.job {
            None => "missing",
            Some(_) if !self.ended => "running",
            Some(job) if job.outcome.is_some_and(Outcome::is_success) => "done",
            Some(_) => "failed",
        }
    }
}

/// How many entries stand how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Lines of the manifest.
    pub expected: u32,
    /// Of these: enrolled.
    pub done: u32,
    /// Of these: ended otherwise.
    pub failed: u32,
    /// Of these: a job is open.
    pub running: u32,
    /// Devices that the manifest does not name.
    pub unexpected: u32,
    /// Devices that told neither serial number nor IMEI.
    pub unidentified: u32,
}

impl Book {
    /// The manifest's lines in their order, then devices that have none.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn entries(&self, batch: BatchId) -> Result<Vec<EntryRow>, JournalError> {
        entries(&self.conn, batch, Join::ByDevice).map_err(JournalError::read)
    }

    /// The entries of a report. A batch that an earlier program closed was sealed with jobs as
    /// they noted their lines; its report stays the one that `seal` proves.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn reported(
        &self,
        batch: &BatchRow,
        seal: impl Fn(&BatchRow, &[EntryRow]) -> String,
    ) -> Result<Vec<EntryRow>, JournalError> {
        let rows = self.entries(batch.id)?;
        let Some(sealed) = batch.seal.as_ref().filter(|sealed| **sealed != seal(batch, &rows)) else {
            return Ok(rows);
        };
        let noted = entries(&self.conn, batch.id, Join::AsNoted).map_err(JournalError::read)?;
        Ok(if *sealed == seal(batch, &noted) { noted } else { rows })
    }

    /// How many entries stand how.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn counts(&self, batch: BatchId) -> Result<Counts, JournalError> {
        let counted = counted(Join::ByDevice);
        let sql = format!(
            "WITH {counted} SELECT
                 (SELECT count(*) FROM batch_entries WHERE batch = ?1),
                 count(*) FILTER (WHERE line IS NOT NULL AND good > 0),
                 count(*) FILTER (WHERE line IS NOT NULL AND good = 0 AND ended > 0),
                 count(*) FILTER (WHERE line IS NOT NULL AND good = 0 AND ended = 0),
                 count(*) FILTER (WHERE line IS NULL AND unknown = 0),
                 count(*) FILTER (WHERE line IS NULL AND unknown > 0)
             FROM (SELECT line, max(is_good) AS good, max(job * (is_ended = 1)) = max(job) AS ended,
                       max(is_unknown) AS unknown
                   FROM counted GROUP BY line, CASE WHEN line IS NULL THEN udid END)",
        );
        let read = |row: &Row<'_>| {
            Ok(Counts {
                expected: row.get(0)?,
                done: row.get(1)?,
                failed: row.get(2)?,
                running: row.get(3)?,
                unexpected: row.get(4)?,
                unidentified: row.get(5)?,
            })
        };
        self.conn.query_row(&sql, [batch.0], read).map_err(JournalError::read)
    }
}

/// Which jobs a line of the manifest has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Join {
    /// All of its device.
    ByDevice,
    /// Those that noted the line themselves.
    AsNoted,
}

/// A batch's jobs: an end after the batch was closed does not count. Those that wait before
/// they are let in belong to the open batch.
const RAW: &str = "raw AS MATERIALIZED (
    SELECT b.line, b.job, b.blueprint, j.udid, a.closed_seq, 0 AS is_held,
        (e.seq IS NOT NULL AND e.seq <= coalesce(a.closed_seq, e.seq)) AS is_ended,
        (e.seq IS NOT NULL AND e.seq <= coalesce(a.closed_seq, e.seq) AND j.outcome IN {SUCCESS}) AS is_good
    FROM batch_jobs b JOIN batches a ON a.id = b.batch JOIN jobs j ON j.id = b.job
    LEFT JOIN events e ON e.job = b.job AND e.kind = 'job-ended' WHERE b.batch = ?1
    UNION ALL
    SELECT NULL, j.id, NULL, j.udid, NULL, 1, 0, 0
    FROM batches a JOIN jobs j ON j.ended_at IS NULL
    WHERE a.id = ?1 AND a.closed_at IS NULL AND {HELD} IS NOT NULL
        AND j.id NOT IN (SELECT job FROM batch_jobs))";

/// What the devices without a line told in any job, and the lines that follow from it. What
/// was told after the batch was closed changes nothing.
const BY_DEVICE: &str = "told AS MATERIALIZED (
    SELECT DISTINCT r.udid, upper(json_extract(e.data, '$.serial')) AS serial,
        substr(json_extract(e.data, '$.imei'), 1, 14) AS imei
    FROM (SELECT DISTINCT udid, closed_seq FROM raw WHERE line IS NULL) r
    JOIN jobs j ON j.udid = r.udid
    JOIN events e ON e.job = j.id AND e.kind = 'identified' AND e.seq <= coalesce(r.closed_seq, e.seq)),
lines AS MATERIALIZED (
    SELECT udid, min(line) AS line FROM (
        SELECT udid, line FROM raw WHERE line IS NOT NULL
        UNION ALL SELECT t.udid, e.line FROM told t
            JOIN batch_entries e ON e.batch = ?1 AND e.serial = t.serial
        UNION ALL SELECT t.udid, e.line FROM told t
            JOIN batch_entries e ON e.batch = ?1 AND substr(e.imei, 1, 14) = t.imei)
    GROUP BY udid),
counted AS MATERIALIZED (
    SELECT coalesce(r.line, l.line) AS line, r.job, r.blueprint, r.udid, r.is_held, r.is_ended, r.is_good,
        (r.line IS NULL AND l.line IS NULL AND NOT EXISTS (
            SELECT 1 FROM told t WHERE t.udid = r.udid AND coalesce(t.serial, t.imei) IS NOT NULL)) AS is_unknown
    FROM raw r LEFT JOIN lines l ON l.udid = r.udid)";

const AS_NOTED: &str = "counted AS MATERIALIZED (SELECT *, 0 AS is_unknown FROM raw)";

fn counted(join: Join) -> String {
    let names: Vec<_> =
        Outcome::ALL.iter().filter(|o| o.is_success()).map(|o| format!("'{}'", o.name())).collect();
    let raw = RAW.replace("{SUCCESS}", &format!("({})", names.join(", "))).replace("{HELD}", HELD_OF_JOB);
    let counted = if join == Join::ByDevice { BY_DEVICE } else { AS_NOTED };
    format!("{raw},\n{counted}")
}

pub(super) fn entries(conn: &Connection, batch: BatchId, join: Join) -> rusqlite::Result<Vec<EntryRow>> {
    let counted = counted(join);
    // Of several jobs the newest good one counts, else the newest.
    let sql = format!(
        "WITH {counted}, best AS MATERIALIZED (
             SELECT line, count(*) AS jobs, coalesce(max(CASE WHEN is_good THEN job END), max(job)) AS best,
                 max(is_unknown) AS unknown
             FROM counted GROUP BY line, CASE WHEN line IS NULL THEN udid END)
         SELECT every.*, c.is_ended AS is_ended, c.is_held AS is_held, c.blueprint AS used_blueprint, j.*,
             {HELD_OF_JOB} AS held,
             p.identifier AS profile_identifier, p.uuid AS profile_uuid, p.name AS profile_name,
             NULL AS profile_file,
             NULL AS stale_allowed
         FROM (SELECT e.line AS entry_line, e.serial AS entry_serial, e.imei AS entry_imei,
                   e.name AS entry_name, e.tag AS entry_tag, e.blueprint AS entry_blueprint,
                   b.jobs AS jobs_so_far, b.best AS best, 0 AS unknown
               FROM batch_entries e LEFT JOIN best b ON b.line = e.line WHERE e.batch = ?1
               UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, jobs, best, unknown
               FROM best WHERE line IS NULL) every
         LEFT JOIN counted c ON c.job = every.best
         LEFT JOIN jobs j ON j.id = every.best
         LEFT JOIN profiles p ON p.sha256 = j.profile_sha256
         ORDER BY every.entry_line IS NULL, every.entry_line, every.best"
    );
    let mut statement = conn.prepare(&sql)?;
    statement.query_map([batch.0], entry_row)?.collect()
}

fn entry_row(row: &Row<'_>) -> rusqlite::Result<EntryRow> {
    let line: Option<u32> = row.get("entry_line")?;
    let expected = match line {
        Some(line) => Some(Expected {
            line,
            serial: row.get("entry_serial")?,
            imei: row.get("entry_imei")?,
            name: row.get("entry_name")?,
            tag: row.get("entry_tag")?,
            blueprint: row.get("entry_blueprint")?,
        }),
        None => None,
    };
    let job: Option<i64> = row.get("id")?;
    let flag = |name: &str| row.get::<_, Option<bool>>(name).map(|flag| flag.unwrap_or(false));
    Ok(EntryRow {
        expected,
        unidentified: flag("unknown")?,
        jobs: row.get::<_, Option<u32>>("jobs_so_far")?.unwrap_or(0),
        job: job.is_some().then(|| job_row(row)).transpose()?,
        ended: flag("is_ended")?,
        waiting: flag("is_held")?,
        blueprint: row.get("used_blueprint")?,
    })
}
