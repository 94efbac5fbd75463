//! The book of batches: which devices are expected, and which of them had their job.
//!
//! Anybody may write here, beside a running station or without one: SQLite keeps writers
//! apart, and each change is one transaction. Events stay the station's alone.

use super::error::JournalError;
use super::project::text_of;
use super::query::{job_row, parsed, time};
use super::{JobRow, schema};
use crate::ids::{BatchId, JobId, Udid};
use crate::workflow::outcome::Outcome;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use std::path::Path;

/// A device that a batch expects.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expected {
    /// Line of the manifest.
    pub line: u32,
    /// Serial number.
    pub serial: Option<String>,
    /// IMEI.
    pub imei: Option<String>,
    /// What it is to be called.
    pub name: Option<String>,
    /// Tag.
    pub tag: Option<String>,
    /// Blueprint.
    pub blueprint: Option<String>,
}

/// A batch to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBatch {
    /// What it is called.
    pub name: String,
    /// SHA-256 of the manifest, hex.
    pub manifest: String,
    /// `refuse`, `ask` or `allow`.
    pub unexpected: &'static str,
    /// Equal faults in a row that stop it; 0: never.
    pub stop_after: u32,
    /// The devices.
    pub expected: Vec<Expected>,
}

/// Why a batch stands still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// Since when.
    pub at: Timestamp,
    /// Why, in one sentence.
    pub reason: String,
    /// What to do.
    pub next: String,
}

/// A batch as the journal knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchRow {
    /// Its number.
    pub id: BatchId,
    /// What it is called.
    pub name: String,
    /// SHA-256 of the manifest, hex.
    pub manifest: String,
    /// `refuse`, `ask` or `allow`.
    pub unexpected: String,
    /// Equal faults in a row that stop it; 0: never.
    pub stop_after: u32,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// Hash of the last entry of its report.
    pub seal: Option<String>,
    /// Why it stands still, if so.
    pub stop: Option<Stop>,
}

/// A line of the manifest, or a device that it does not name, with the job that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryRow {
    /// What the manifest says; nothing for a device that it does not name.
    pub expected: Option<Expected>,
    /// How many jobs it had in this batch.
    pub jobs: u32,
    /// The newest that succeeded, else the newest.
    pub job: Option<JobRow>,
    /// That job had ended when the batch was closed.
    pub ended: bool,
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
}

/// A command that was run after a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookRun {
    /// After which.
    pub job: JobId,
    /// When it began.
    pub at: Timestamp,
    /// The command, as configured.
    pub hook: String,
    /// `done`, `failed`, `too-late` or `not-started`.
    pub result: &'static str,
    /// Its exit code, if it had one.
    pub code: Option<i32>,
    /// How long it took.
    pub ms: u64,
    /// The end of what it printed.
    pub output: String,
}

/// The book. Made per use: it holds a connection, and its calls block.
#[derive(Debug)]
pub struct Book {
    conn: Connection,
}

impl Book {
    /// Opens it for writing. Creates or migrates the journal first, where no station runs.
    ///
    /// # Errors
    /// The journal cannot be opened, or is of an older version and a station uses it.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        if let Some(conn) = schema::open_beside(path)? {
            return Ok(Self { conn });
        }
        drop(schema::open_store(path, schema::MIGRATIONS)?);
        let gone = || JournalError::Missing { path: path.into() };
        Ok(Self { conn: schema::open_beside(path)?.ok_or_else(gone)? })
    }

    /// Opens it for reading; `None` where there is no journal, or one that never had a batch.
    ///
    /// # Errors
    /// The journal cannot be opened.
    pub fn read(path: &Path) -> Result<Option<Self>, JournalError> {
        if !path.exists() {
            return Ok(None);
        }
        let conn = schema::open_reader(path)?;
        let known = conn.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'batches'");
        let known = known.and_then(|mut statement| statement.exists([])).map_err(JournalError::read)?;
        Ok(known.then_some(Self { conn }))
    }

    /// Opens a batch; `None` if one is open.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub fn begin(&mut self, new: &NewBatch, now: Timestamp) -> Result<Option<BatchId>, JournalError> {
        self.change(|tx| {
            if tx.prepare("SELECT 1 FROM batches WHERE closed_at IS NULL")?.exists([])? {
                return Ok(None);
            }
            tx.execute(
                "INSERT INTO batches (name, manifest, unexpected, stop_after, opened_at)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![new.name, new.manifest, new.unexpected, new.stop_after, text_of(now)],
            )?;
            let id = tx.last_insert_rowid();
            let mut insert = tx.prepare(
                "INSERT INTO batch_entries (batch, line, serial, imei, name, tag, blueprint)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            for e in &new.expected {
                insert.execute(params![id, e.line, e.serial, e.imei, e.name, e.tag, e.blueprint])?;
            }
            Ok(Some(BatchId(id)))
        })
    }

    /// Stops an open batch, unless it is stopped already.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub fn stop(&mut self, batch: BatchId, stop: &Stop) -> Result<(), JournalError> {
        self.change(|tx| {
            tx.execute(
                "UPDATE batches SET stopped_at = ?2, stop_reason = ?3, stop_next = ?4
                 WHERE id = ?1 AND closed_at IS NULL AND stopped_at IS NULL",
                params![batch.0, text_of(stop.at), stop.reason, stop.next],
            )
            .map(drop)
        })
    }

    /// Lets a batch go on; false if it was not stopped.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub fn resume(&mut self, batch: BatchId) -> Result<bool, JournalError> {
        self.change(|tx| {
            let changed = tx.execute(
                "UPDATE batches SET stopped_at = NULL, stop_reason = NULL, stop_next = NULL,
                     forgiven_seq = (SELECT coalesce(max(seq), 0) FROM events)
                 WHERE id = ?1 AND closed_at IS NULL AND stopped_at IS NOT NULL",
                [batch.0],
            )?;
            Ok(changed > 0)
        })
    }

    /// Lets a device into an open batch.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub fn allow(&mut self, batch: BatchId, device: &str, now: Timestamp) -> Result<(), JournalError> {
        self.change(|tx| {
            let sql = "INSERT OR IGNORE INTO batch_allowed (batch, device, at) VALUES (?1, ?2, ?3)";
            tx.execute(sql, params![batch.0, device, text_of(now)]).map(drop)
        })
    }

    /// Closes a batch; false if it is closed already. `seal` makes the hash that seals its
    /// report from the closed batch and its entries.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub fn close(
        &mut self,
        batch: BatchId,
        now: Timestamp,
        seal: impl FnOnce(&BatchRow, &[EntryRow]) -> String,
    ) -> Result<bool, JournalError> {
        self.change(|tx| {
            let changed = tx.execute(
                "UPDATE batches SET closed_at = ?2, closed_seq = (SELECT coalesce(max(seq), 0) FROM events)
                 WHERE id = ?1 AND closed_at IS NULL",
                params![batch.0, text_of(now)],
            )?;
            if changed == 0 {
                return Ok(false);
            }
            let closed = tx.query_row("SELECT * FROM batches WHERE id = ?1", [batch.0], batch_row)?;
            let seal = seal(&closed, &entries(tx, batch)?);
            tx.execute("UPDATE batches SET seal = ?2 WHERE id = ?1", params![batch.0, seal])?;
            Ok(true)
        })
    }

    /// Writes down that a command was run.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub fn note_hook(&mut self, run: &HookRun) -> Result<(), JournalError> {
        self.change(|tx| {
            let ms = i64::try_from(run.ms).unwrap_or(i64::MAX);
            tx.execute(
                "INSERT INTO hook_runs (job, at, hook, result, code, ms, output)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![run.job.0, text_of(run.at), run.hook, run.result, run.code, ms, run.output],
            )
            .map(drop)
        })
    }

    /// All batches, newest first.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn batches(&self) -> Result<Vec<BatchRow>, JournalError> {
        let run = || {
            let mut statement = self.conn.prepare("SELECT * FROM batches ORDER BY id DESC")?;
            statement.query_map([], batch_row)?.collect::<Result<_, _>>()
        };
        run().map_err(JournalError::read)
    }

    /// The open batch.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn open_batch(&self) -> Result<Option<BatchRow>, JournalError> {
        let sql = "SELECT * FROM batches WHERE closed_at IS NULL";
        self.conn.query_row(sql, [], batch_row).optional().map_err(JournalError::read)
    }

    /// What the manifest says of a device with this serial number or one of these IMEIs.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn expected(
        &self,
        batch: BatchId,
        serial: Option<&str>,
        imeis: &[&str],
    ) -> Result<Option<Expected>, JournalError> {
        let run = || {
            let by_serial = "SELECT * FROM batch_entries WHERE batch = ?1 AND serial = ?2";
            if let Some(serial) = serial {
                let row =
                    self.conn.query_row(by_serial, params![batch.0, serial], expected_row).optional()?;
                if row.is_some() {
                    return Ok(row);
                }
            }
            let by_imei = "SELECT * FROM batch_entries WHERE batch = ?1 AND substr(imei, 1, 14) = ?2";
            for imei in imeis.iter().filter_map(|imei| imei.get(..14)) {
                let row = self.conn.query_row(by_imei, params![batch.0, imei], expected_row).optional()?;
                if row.is_some() {
                    return Ok(row);
                }
            }
            Ok(None)
        };
        run().map_err(JournalError::read)
    }

    /// Serial number and IMEI that a device told in an earlier job.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn known(&self, udid: &Udid) -> Result<(Option<String>, Option<String>), JournalError> {
        let sql = "SELECT upper(serial), imei FROM jobs
                   WHERE udid = ?1 AND (serial IS NOT NULL OR imei IS NOT NULL) ORDER BY id DESC LIMIT 1";
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let known = self.conn.query_row(sql, [udid.as_str()], read).optional();
        Ok(known.map_err(JournalError::read)?.unwrap_or_default())
    }

    /// True if somebody let one of these names into the batch.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn is_allowed(&self, batch: BatchId, names: &[&str]) -> Result<bool, JournalError> {
        let run = || {
            let mut statement =
                self.conn.prepare("SELECT 1 FROM batch_allowed WHERE batch = ?1 AND device = ?2")?;
            for name in names {
                if statement.exists(params![batch.0, name])? {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        run().map_err(JournalError::read)
    }

    /// The manifest's lines in their order, then devices that it does not name.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn entries(&self, batch: BatchId) -> Result<Vec<EntryRow>, JournalError> {
        entries(&self.conn, batch).map_err(JournalError::read)
    }

    /// How many entries stand how.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn counts(&self, batch: BatchId) -> Result<Counts, JournalError> {
        let sql = format!(
            "WITH {COUNTED} SELECT
                 (SELECT count(*) FROM batch_entries WHERE batch = ?1),
                 count(*) FILTER (WHERE line IS NOT NULL AND good > 0),
                 count(*) FILTER (WHERE line IS NOT NULL AND good = 0 AND ended > 0),
                 count(*) FILTER (WHERE line IS NOT NULL AND good = 0 AND ended = 0),
                 count(*) FILTER (WHERE line IS NULL)
             FROM (SELECT line, max(is_good) AS good, max(job * (is_ended = 1)) = max(job) AS ended
                   FROM counted GROUP BY line, CASE WHEN line IS NULL THEN udid END)",
        );
        let sql = sql.replace("{SUCCESS}", &success());
        let read = |row: &Row<'_>| {
            Ok(Counts {
                expected: row.get(0)?,
                done: row.get(1)?,
                failed: row.get(2)?,
                running: row.get(3)?,
                unexpected: row.get(4)?,
            })
        };
        self.conn.query_row(&sql, [batch.0], read).map_err(JournalError::read)
    }

    /// The newest jobs of a batch that came to an end, newest first, by the order of the
    /// journal and not of any clock; those that were forgiven are left out.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn last_ended(&self, batch: BatchId, most: u32) -> Result<Vec<JobRow>, JournalError> {
        let sql = format!(
            "{JOBS} JOIN batch_jobs b ON b.job = j.id
             JOIN events e ON e.job = j.id AND e.kind = 'job-ended'
             WHERE b.batch = ?1 AND e.seq > (SELECT forgiven_seq FROM batches WHERE id = ?1)
             ORDER BY e.seq DESC LIMIT ?2"
        );
        let run =
            || self.conn.prepare(&sql)?.query_map(params![batch.0, most], job_row)?.collect::<Result<_, _>>();
        run().map_err(JournalError::read)
    }

    /// When the newest jobs of a batch ended, newest first by the order of the journal.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn last_ends(&self, batch: BatchId, most: u32) -> Result<Vec<Timestamp>, JournalError> {
        let sql = "SELECT e.at FROM batch_jobs b JOIN events e ON e.job = b.job AND e.kind = 'job-ended'
                   WHERE b.batch = ?1 ORDER BY e.seq DESC LIMIT ?2";
        let run = || {
            let mut statement = self.conn.prepare(sql)?;
            statement.query_map(params![batch.0, most], |row| parsed(row, 0, time))?.collect::<Result<_, _>>()
        };
        run().map_err(JournalError::read)
    }

    /// Commands that were run after a job, oldest first: command, result, output.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn hooks(&self, job: JobId) -> Result<Vec<(String, String, String)>, JournalError> {
        let run = || {
            let sql = "SELECT hook, result, output FROM hook_runs WHERE job = ?1 ORDER BY id";
            let mut statement = self.conn.prepare(sql)?;
            statement.query_map([job.0], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?.collect::<Result<_, _>>()
        };
        run().map_err(JournalError::read)
    }

    fn change<T>(
        &mut self,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, JournalError> {
        let run = || {
            let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = change(&tx)?;
            tx.commit()?;
            Ok(done)
        };
        run().map_err(JournalError::write)
    }
}

/// A job with what `job_row` wants of its profile.
const JOBS: &str = "SELECT j.*, p.identifier AS profile_identifier, p.uuid AS profile_uuid,
    p.name AS profile_name, NULL AS profile_file, NULL AS stale_allowed FROM jobs j JOIN profiles p ON p.sha256 = j.profile_sha256";

/// A batch's jobs, and what of them counts: an end after the batch was closed does not.
const COUNTED: &str = "counted AS MATERIALIZED (
    SELECT b.line, b.job, b.blueprint, j.udid,
        (e.seq IS NOT NULL AND e.seq <= coalesce(a.closed_seq, e.seq)) AS is_ended,
        (e.seq IS NOT NULL AND e.seq <= coalesce(a.closed_seq, e.seq) AND j.outcome IN {SUCCESS}) AS is_good
    FROM batch_jobs b JOIN batches a ON a.id = b.batch JOIN jobs j ON j.id = b.job
    LEFT JOIN events e ON e.job = b.job AND e.kind = 'job-ended' WHERE b.batch = ?1)";

fn success() -> String {
    let names: Vec<_> =
        Outcome::ALL.iter().filter(|o| o.is_success()).map(|o| format!("'{}'", o.name())).collect();
    format!("({})", names.join(", "))
}

fn entries(conn: &Connection, batch: BatchId) -> rusqlite::Result<Vec<EntryRow>> {
    // Of several jobs the newest good one counts, else the newest.
    let sql = format!(
        "WITH {COUNTED}, best AS MATERIALIZED (
             SELECT line, count(*) AS jobs, coalesce(max(CASE WHEN is_good THEN job END), max(job)) AS best
             FROM counted GROUP BY line, CASE WHEN line IS NULL THEN udid END)
         SELECT every.*, c.is_ended AS is_ended, c.blueprint AS used_blueprint, j.*,
             p.identifier AS profile_identifier, p.uuid AS profile_uuid, p.name AS profile_name,
             NULL AS profile_file,
             NULL AS stale_allowed
         FROM (SELECT e.line AS entry_line, e.serial AS entry_serial, e.imei AS entry_imei,
                   e.name AS entry_name, e.tag AS entry_tag, e.blueprint AS entry_blueprint,
                   b.jobs AS jobs_so_far, b.best AS best
               FROM batch_entries e LEFT JOIN best b ON b.line = e.line WHERE e.batch = ?1
               UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, jobs, best FROM best WHERE line IS NULL) every
         LEFT JOIN counted c ON c.job = every.best
         LEFT JOIN jobs j ON j.id = every.best
         LEFT JOIN profiles p ON p.sha256 = j.profile_sha256
         ORDER BY every.entry_line IS NULL, every.entry_line, every.best"
    );
    let sql = sql.replace("{SUCCESS}", &success());
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
    Ok(EntryRow {
        expected,
        jobs: row.get::<_, Option<u32>>("jobs_so_far")?.unwrap_or(0),
        job: job.is_some().then(|| job_row(row)).transpose()?,
        ended: row.get::<_, Option<bool>>("is_ended")?.unwrap_or(false),
        blueprint: row.get("used_blueprint")?,
    })
}

fn expected_row(row: &Row<'_>) -> rusqlite::Result<Expected> {
    Ok(Expected {
        line: row.get("line")?,
        serial: row.get("serial")?,
        imei: row.get("imei")?,
        name: row.get("name")?,
        tag: row.get("tag")?,
        blueprint: row.get("blueprint")?,
    })
}

fn batch_row(row: &Row<'_>) -> rusqlite::Result<BatchRow> {
    let at = |name: &str| row.as_ref().column_index(name);
    let moment = |name: &str| -> rusqlite::Result<Option<Timestamp>> {
        let text: Option<String> = row.get(name)?;
        text.map(|_| parsed(row, at(name)?, time)).transpose()
    };
    let stop = match moment("stopped_at")? {
        Some(at) => Some(Stop {
            at,
            reason: row.get::<_, Option<String>>("stop_reason")?.unwrap_or_default(),
            next: row.get::<_, Option<String>>("stop_next")?.unwrap_or_default(),
        }),
        None => None,
    };
    Ok(BatchRow {
        id: BatchId(row.get("id")?),
        name: row.get("name")?,
        manifest: row.get("manifest")?,
        unexpected: row.get("unexpected")?,
        stop_after: row.get("stop_after")?,
        opened_at: parsed(row, at("opened_at")?, time)?,
        closed_at: moment("closed_at")?,
        seal: row.get("seal")?,
        stop,
    })
}
