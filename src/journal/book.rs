//! The book of batches: which devices are expected, and which of them had their job.
//!
//! Anybody may write here, beside a running station or without one: SQLite keeps writers
//! apart, and each change is one transaction. Events stay the station's alone.

mod entries;

pub use entries::{Counts, EntryRow};

use super::error::JournalError;
use super::project::text_of;
use super::query::{HELD_OF_JOB, job_row, parsed, time};
use super::{JobRow, schema};
use crate::ids::{BatchId, JobId, Udid};
use entries::{Join, entries};
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

/// What became of the wish to close a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closing {
    /// It is closed.
    Closed,
    /// It was closed before.
    WasClosed,
    /// It stays open: these jobs have not ended.
    Running(Vec<JobRow>),
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

    /// Closes a batch. One with open jobs stays open, unless `anyway`. `seal` makes the hash
    /// that seals its report from the closed batch and its entries.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub fn close(
        &mut self,
        batch: BatchId,
        now: Timestamp,
        anyway: bool,
        seal: impl FnOnce(&BatchRow, &[EntryRow]) -> String,
    ) -> Result<Closing, JournalError> {
        self.change(|tx| {
            let open = "SELECT 1 FROM batches WHERE id = ?1 AND closed_at IS NULL";
            if !tx.prepare(open)?.exists([batch.0])? {
                return Ok(Closing::WasClosed);
            }
            let running = if anyway { Vec::new() } else { running(entries(tx, batch, Join::ByDevice)?) };
            if !running.is_empty() {
                return Ok(Closing::Running(running));
            }
            tx.execute(
                "UPDATE batches SET closed_at = ?2, closed_seq = (SELECT coalesce(max(seq), 0) FROM events)
                 WHERE id = ?1",
                params![batch.0, text_of(now)],
            )?;
            let closed = tx.query_row("SELECT * FROM batches WHERE id = ?1", [batch.0], batch_row)?;
            let seal = seal(&closed, &entries(tx, batch, Join::ByDevice)?);
            tx.execute("UPDATE batches SET seal = ?2 WHERE id = ?1", params![batch.0, seal])?;
            Ok(Closing::Closed)
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

    /// The newest jobs of a batch that came to an end, newest first, by the order of the
    /// journal and not of any clock; those that were forgiven are left out.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn last_ended(&self, batch: BatchId, most: u32) -> Result<Vec<JobRow>, JournalError> {
        let sql = format!(
            "{} JOIN batch_jobs b ON b.job = j.id
             JOIN events e ON e.job = j.id AND e.kind = 'job-ended'
             WHERE b.batch = ?1 AND e.seq > (SELECT forgiven_seq FROM batches WHERE id = ?1)
             ORDER BY e.seq DESC LIMIT ?2",
            jobs()
        );
        let run =
            || self.conn.prepare(&sql)?.query_map(params![batch.0, most], job_row)?.collect::<Result<_, _>>();
        run().map_err(JournalError::read)
    }

    /// Jobs that were not let in yet and wait for the owner, oldest first.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn held(&self) -> Result<Vec<JobRow>, JournalError> {
        let sql = format!(
            "SELECT * FROM ({} WHERE j.ended_at IS NULL AND j.id NOT IN (SELECT job FROM batch_jobs))
             WHERE held IS NOT NULL ORDER BY id",
            jobs()
        );
        let run = || self.conn.prepare(&sql)?.query_map([], job_row)?.collect::<Result<_, _>>();
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

/// Jobs `j` with what `job_row` wants beside them.
fn jobs() -> String {
    format!(
        "SELECT j.*, {HELD_OF_JOB} AS held, p.identifier AS profile_identifier, p.uuid AS profile_uuid,
             p.name AS profile_name, NULL AS profile_file, NULL AS stale_allowed
         FROM jobs j JOIN profiles p ON p.sha256 = j.profile_sha256"
    )
}

/// The open jobs of these entries.
fn running(rows: Vec<EntryRow>) -> Vec<JobRow> {
    rows.into_iter().filter(|row| row.state() == "running").filter_map(|row| row.job).collect()
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
