//! One entry becomes one event and its projections: what `jobs`, `attempts` and `steps` say
//! about it. `fold.rs` derives the same from the events alone, on purpose by other code.

use super::error::JournalError;
use crate::ids::JobId;
use crate::limits::JOURNAL_EVENT_BYTES;
use crate::workflow::event::{Event, EventKind, NewJob};
use crate::workflow::outcome::Verdict;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

/// What a caller wants written.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    /// A new job with its first event.
    Start(NewJob),
    /// An event of an open job.
    Append(JobId, EventKind),
}

impl Entry {
    fn kind(&self) -> &'static str {
        match self {
            Self::Start(_) => "job-started",
            Self::Append(_, kind) => kind.name(),
        }
    }
}

/// A time as the journal writes it.
pub(super) fn text_of(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// Writes `entry` in the surrounding savepoint. An error of kind `Refused` is the entry's
/// own fault; any other one is the database's.
pub(super) fn write(conn: &Connection, at: Timestamp, entry: Entry) -> Result<Event, JournalError> {
    let name = entry.kind();
    let written = match entry {
        Entry::Start(new) => start(conn, at, new),
        Entry::Append(job, kind) => append(conn, at, job, kind),
    };
    written.map_err(|error| match error {
        JournalError::Write { source } if is_constraint(&source) => {
            JournalError::Forbidden { kind: name, source }
        }
        other => other,
    })
}

fn is_constraint(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation)
}

fn start(conn: &Connection, at: Timestamp, new: NewJob) -> Result<Event, JournalError> {
    let open = "SELECT id FROM jobs WHERE udid = ?1 AND profile_sha256 = ?2 AND ended_at IS NULL";
    let open = conn.query_row(open, params![new.udid.as_str(), new.profile_sha256], |row| row.get(0));
    if let Some(job) = open.optional().map_err(JournalError::write)? {
        return Err(JournalError::AlreadyOpen { udid: new.udid, job: JobId(job) });
    }
    let job = insert_job(conn, at, &new).map_err(JournalError::write)?;
    record(conn, at, job, EventKind::JobStarted(new))
}

fn insert_job(conn: &Connection, at: Timestamp, new: &NewJob) -> rusqlite::Result<JobId> {
    conn.execute(
        "INSERT OR IGNORE INTO profiles (sha256, identifier, uuid, name, first_used)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![new.profile_sha256, new.profile_identifier, new.profile_uuid, new.profile_name, text_of(at)],
    )?;
    conn.execute(
        "INSERT INTO jobs (udid, bay, simulated, profile_sha256, created_at, state)
         VALUES (?1, ?2, ?3, ?4, ?5, 'attached')",
        params![new.udid.as_str(), new.bay.0, new.simulated, new.profile_sha256, text_of(at)],
    )?;
    Ok(JobId(conn.last_insert_rowid()))
}

/// What an append needs to know about its job.
struct Standing {
    ended: bool,
    attempts: u32,
    pushes: u32,
}

fn append(conn: &Connection, at: Timestamp, job: JobId, kind: EventKind) -> Result<Event, JournalError> {
    let sql = "SELECT ended_at IS NOT NULL, attempts, pushes FROM jobs WHERE id = ?1";
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Standing { ended: row.get(0)?, attempts: row.get(1)?, pushes: row.get(2)? })
    };
    let standing = conn.query_row(sql, [job.0], read).optional().map_err(JournalError::write)?;
    let standing = standing.ok_or(JournalError::NoSuchJob { job })?;
    admit(job, &kind, &standing)?;
    let event = record(conn, at, job, kind)?;
    project(conn, &event, &standing).map_err(JournalError::write)?;
    Ok(event)
}

/// Refuses what could not follow from the events so far: it would hide a push or an end.
fn admit(job: JobId, kind: &EventKind, standing: &Standing) -> Result<(), JournalError> {
    let name = kind.name();
    if standing.ended {
        return Err(JournalError::Ended { job, kind: name });
    }
    let (number, expected) = match kind {
        EventKind::JobStarted(_) => (2, 1),
        EventKind::AttemptStarted { number } => (*number, standing.attempts + 1),
        EventKind::PushStarted { number } => (*number, standing.pushes + 1),
        EventKind::PushAnswered { number, .. } => (*number, standing.pushes),
        _ => return Ok(()),
    };
    match number == expected {
        true => Ok(()),
        false => Err(JournalError::OutOfOrder { job, kind: name, number, expected }),
    }
}

fn record(conn: &Connection, at: Timestamp, job: JobId, kind: EventKind) -> Result<Event, JournalError> {
    let name = kind.name();
    let data = serde_json::to_string(&kind)
        .map_err(|e| JournalError::Forbidden { kind: name, source: std::sync::Arc::new(e) })?;
    if data.len() > JOURNAL_EVENT_BYTES {
        return Err(JournalError::TooLarge { kind: name, bytes: data.len() });
    }
    conn.execute(
        "INSERT INTO events (job, at, kind, data) VALUES (?1, ?2, ?3, ?4)",
        params![job.0, text_of(at), name, data],
    )
    .map_err(JournalError::write)?;
    Ok(Event { seq: conn.last_insert_rowid(), job, at, kind })
}

fn project(conn: &Connection, event: &Event, standing: &Standing) -> rusqlite::Result<()> {
    let (job, at) = (event.job.0, text_of(event.at));
    if let Some(state) = event.kind.state() {
        conn.execute("UPDATE jobs SET state = ?2 WHERE id = ?1", params![job, state.name()])?;
    }
    match &event.kind {
        EventKind::AttemptStarted { number } => start_attempt(conn, job, *number, &at),
        EventKind::StepStarted { step } => {
            let sql = "INSERT INTO steps (job, attempt, seq, step, started_at) VALUES (?1, ?2, ?3, ?4, ?5)";
            conn.execute(sql, params![job, standing.attempts, event.seq, step.name(), at]).map(drop)
        }
        EventKind::StepFinished { .. } => finish_step(conn, event, standing.attempts, &at),
        // A later, shorter answer of the device does not erase what it told before.
        EventKind::Identified(label) => conn
            .execute(
                "UPDATE jobs SET serial = coalesce(?2, serial), name = coalesce(?3, name),
                 product_type = coalesce(?4, product_type), os_version = coalesce(?5, os_version),
                 ecid = coalesce(?6, ecid), imei = coalesce(?7, imei) WHERE id = ?1",
                params![
                    job,
                    label.serial,
                    label.name,
                    label.product_type,
                    label.os_version,
                    label.ecid.map(|e| e.to_string()),
                    label.imei
                ],
            )
            .map(drop),
        EventKind::PushStarted { number } => {
            conn.execute("UPDATE jobs SET pushes = ?2 WHERE id = ?1", params![job, number]).map(drop)
        }
        EventKind::Detached | EventKind::Quarantined { .. } => end_attempts(conn, job, &at),
        EventKind::Reattached { bay } => {
            conn.execute("UPDATE jobs SET bay = ?2 WHERE id = ?1", params![job, bay.0]).map(drop)
        }
        EventKind::JobEnded(verdict) => {
            end_attempts(conn, job, &at)?;
            end_job(conn, job, verdict, &at)
        }
        EventKind::Assigned { batch: Some(batch), line, blueprint, .. } => conn
            .execute(
                "INSERT INTO batch_jobs (job, batch, line, blueprint) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (job) DO UPDATE SET batch = ?2, line = ?3, blueprint = ?4",
                params![job, batch.0, line, blueprint],
            )
            .map(drop),
        EventKind::JobStarted(_)
        | EventKind::Assigned { .. }
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
        | EventKind::Retrying { .. } => Ok(()),
    }
}

fn start_attempt(conn: &Connection, job: i64, number: u32, at: &str) -> rusqlite::Result<()> {
    // The station may have died in the last one.
    end_attempts(conn, job, at)?;
    conn.execute("UPDATE jobs SET attempts = ?2 WHERE id = ?1", params![job, number])?;
    let sql = "INSERT INTO attempts (job, number, started_at) VALUES (?1, ?2, ?3)";
    conn.execute(sql, params![job, number, at]).map(drop)
}

fn end_attempts(conn: &Connection, job: i64, at: &str) -> rusqlite::Result<()> {
    let sql = "UPDATE attempts SET ended_at = ?2 WHERE job = ?1 AND ended_at IS NULL";
    conn.execute(sql, params![job, at]).map(drop)
}

/// Ends the latest open step of that name in this attempt; a step skipped without a start
/// gets a row that starts and ends now.
fn finish_step(conn: &Connection, event: &Event, attempt: u32, at: &str) -> rusqlite::Result<()> {
    let EventKind::StepFinished { step, result, detail } = &event.kind else { return Ok(()) };
    let (job, step, result) = (event.job.0, step.name(), result.name());
    let ended = conn.execute(
        "UPDATE steps SET ended_at = ?4, result = ?5, detail = ?6
         WHERE job = ?1 AND attempt = ?2 AND seq = (SELECT max(seq) FROM steps
             WHERE job = ?1 AND attempt = ?2 AND step = ?3 AND ended_at IS NULL)",
        params![job, attempt, step, at, result, detail],
    )?;
    if ended == 0 {
        conn.execute(
            "INSERT INTO steps (job, attempt, seq, step, started_at, ended_at, result, detail)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7)",
            params![job, attempt, event.seq, step, at, result, detail],
        )?;
    }
    Ok(())
}

fn end_job(conn: &Connection, job: i64, verdict: &Verdict, at: &str) -> rusqlite::Result<()> {
    let chain = serde_json::to_string(&verdict.chain)
        .map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
    conn.execute(
        "UPDATE jobs SET ended_at = ?2, outcome = ?3, class = ?4, sentence = ?5, next = ?6, chain = ?7
         WHERE id = ?1",
        params![job, at, verdict.outcome.name(), verdict.class.name(), verdict.sentence, verdict.next, chain],
    )
    .map(drop)
}
