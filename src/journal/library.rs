//! The library: which profiles the station met in files, under which names, and since when.
//! By content, so that a job's SHA-256 leads to the file it used.

use super::JournalReader;
use super::error::JournalError;
use super::project::text_of;
use super::query::{optional, parsed, time};
use crate::ids::{BadUdid, JobId, Udid};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use std::collections::BTreeSet;

/// The first version with these tables; a reader of an older journal finds them empty.
const SINCE_VERSION: i64 = 3;

/// Most profiles a query gives: a folder at its bound.
const MOST_ROWS: u32 = 4096;

/// Most devices that are compared with what an export names.
const MOST_NAMES: usize = 16;

/// A profile as a file holds it. No secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LibraryProfile {
    /// SHA-256 of the file, hex: what jobs call it.
    pub sha256: String,
    /// SHA-256 of the property list without wrappers and signature, hex.
    pub content_sha256: String,
    /// Length of the file.
    pub bytes: u64,
    /// `scep`, `acme`, `pkcs12`, or `none` for what has no MDM identity.
    pub kind: String,
    /// PayloadIdentifier.
    pub identifier: String,
    /// PayloadUUID.
    pub uuid: String,
    /// Display name.
    pub name: Option<String>,
    /// Host of the MDM server.
    pub server: Option<String>,
    /// Common name of the signer.
    pub signer: Option<String>,
    /// Exported at, by the best sign there is (profiles-and-enrollment.md 3.4).
    pub exported_at: Option<Timestamp>,
    /// What told it, in words.
    pub told_by: Option<String>,
    /// Good until.
    pub ends: Option<Timestamp>,
    /// The operator's word on the day of export. Once known it is kept.
    pub stated: Option<Timestamp>,
    /// Why it cannot be pushed, whatever its age.
    pub problem: Option<String>,
}

/// A file that holds a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LibraryFile {
    /// Its name in its folder.
    pub name: String,
    /// What is in it.
    pub profile: LibraryProfile,
}

/// A look at a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Which folder.
    pub folder: String,
    /// True if these are all of its files: what is not among them is gone.
    pub whole: bool,
    /// The files seen.
    pub files: Vec<LibraryFile>,
}

/// A file name a profile has, or had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LibraryPlace {
    /// Folder.
    pub folder: String,
    /// Name in it.
    pub name: String,
    /// First seen there.
    pub first_seen: Timestamp,
    /// Last seen there.
    pub last_seen: Timestamp,
    /// Missed there since; `None` while it is there.
    pub gone: Option<Timestamp>,
}

/// A profile with all the journal knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LibraryRow {
    /// The profile.
    pub profile: LibraryProfile,
    /// First seen by this station.
    pub first_seen: Timestamp,
    /// Last seen.
    pub last_seen: Timestamp,
    /// Where, newest first.
    pub places: Vec<LibraryPlace>,
    /// Jobs that began with it.
    pub jobs: u32,
}

impl LibraryRow {
    /// Since when no file holds it any more; `None` while one does.
    pub fn gone(&self) -> Option<Timestamp> {
        let gone: Option<Vec<_>> = self.places.iter().map(|place| place.gone).collect();
        gone?.into_iter().max()
    }
}

/// What is remembered of an export's age beside the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Remembered {
    /// The operator's word.
    pub stated: Option<Timestamp>,
    /// First seen or first used here: it is at least that old.
    pub first_seen: Option<Timestamp>,
}

/// Writes a look, all of it or nothing.
pub(super) fn write(conn: &mut Connection, now: Timestamp, sighting: &Sighting) -> Result<(), JournalError> {
    let at = text_of(now);
    let mut run = || -> rusqlite::Result<()> {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for file in &sighting.files {
            profile_seen(&tx, &at, &file.profile)?;
            file_seen(&tx, &at, &sighting.folder, file)?;
        }
        if sighting.whole {
            missed(&tx, &at, sighting)?;
        }
        tx.commit()
    };
    run().map_err(JournalError::write)
}

fn profile_seen(conn: &Connection, at: &str, profile: &LibraryProfile) -> rusqlite::Result<()> {
    // A clock that was set back must not make the last look earlier than the first.
    let mut statement = conn.prepare(
        "INSERT INTO library (sha256, content_sha256, bytes, kind, identifier, uuid, name, server, signer,
             exported_at, told_by, ends, stated, problem, first_seen, last_seen)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?15)
         ON CONFLICT (sha256) DO UPDATE SET exported_at = excluded.exported_at, told_by = excluded.told_by,
             ends = excluded.ends, stated = coalesce(excluded.stated, stated), problem = excluded.problem,
             last_seen = max(first_seen, excluded.last_seen)",
    )?;
    statement.execute(params![
        profile.sha256,
        profile.content_sha256,
        i64::try_from(profile.bytes).unwrap_or(i64::MAX),
        profile.kind,
        profile.identifier,
        profile.uuid,
        profile.name,
        profile.server,
        profile.signer,
        profile.exported_at.map(text_of),
        profile.told_by,
        profile.ends.map(text_of),
        profile.stated.map(text_of),
        profile.problem,
        at,
    ])?;
    Ok(())
}

fn file_seen(conn: &Connection, at: &str, folder: &str, file: &LibraryFile) -> rusqlite::Result<()> {
    let replaced = "UPDATE library_files SET gone = ?4
         WHERE folder = ?1 AND name = ?2 AND sha256 <> ?3 AND gone IS NULL";
    conn.prepare(replaced)?.execute(params![folder, file.name, file.profile.sha256, at])?;
    let seen = "INSERT INTO library_files (folder, name, sha256, first_seen, last_seen)
         VALUES (?1, ?2, ?3, ?4, ?4)
         ON CONFLICT (folder, name, sha256) DO UPDATE SET last_seen = excluded.last_seen, gone = NULL";
    conn.prepare(seen)?.execute(params![folder, file.name, file.profile.sha256, at])?;
    Ok(())
}

fn missed(conn: &Connection, at: &str, sighting: &Sighting) -> rusqlite::Result<()> {
    let there: BTreeSet<&str> = sighting.files.iter().map(|file| file.name.as_str()).collect();
    let mut statement = conn.prepare("SELECT name FROM library_files WHERE folder = ?1 AND gone IS NULL")?;
    let known: Vec<String> =
        statement.query_map([&sighting.folder], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let gone = "UPDATE library_files SET gone = ?3 WHERE folder = ?1 AND name = ?2 AND gone IS NULL";
    let mut gone = conn.prepare(gone)?;
    for name in known.iter().filter(|name| !there.contains(name.as_str())) {
        gone.execute(params![sighting.folder, name, at])?;
    }
    Ok(())
}

/// True if the journal has these tables: an older one may be read, and has none.
pub(super) fn is_in(conn: &Connection) -> rusqlite::Result<bool> {
    let version: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    Ok(version >= SINCE_VERSION)
}

impl JournalReader {
    /// Every profile that was met in a file, the one seen last first. With `gone` also those
    /// that no file holds any more.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn library(&self, gone: bool) -> Result<Vec<LibraryRow>, JournalError> {
        let sql = "SELECT l.*, (SELECT count(*) FROM jobs j WHERE j.profile_sha256 = l.sha256) AS jobs
             FROM library l WHERE ?1 OR EXISTS
                 (SELECT 1 FROM library_files f WHERE f.sha256 = l.sha256 AND f.gone IS NULL)
             ORDER BY l.last_seen DESC, l.sha256 LIMIT ?2";
        let run = || -> rusqlite::Result<Vec<LibraryRow>> {
            if !is_in(&self.conn)? {
                return Ok(Vec::new());
            }
            let mut statement = self.conn.prepare(sql)?;
            statement.query_map(params![gone, MOST_ROWS], |row| self.library_row(row))?.collect()
        };
        run().map_err(JournalError::read)
    }

    fn library_row(&self, row: &Row<'_>) -> rusqlite::Result<LibraryRow> {
        let at = |name: &str| row.as_ref().column_index(name);
        let profile = LibraryProfile {
            sha256: row.get("sha256")?,
            content_sha256: row.get("content_sha256")?,
            bytes: row.get::<_, i64>("bytes")?.unsigned_abs(),
            kind: row.get("kind")?,
            identifier: row.get("identifier")?,
            uuid: row.get("uuid")?,
            name: row.get("name")?,
            server: row.get("server")?,
            signer: row.get("signer")?,
            exported_at: optional(row, at("exported_at")?, time)?,
            told_by: row.get("told_by")?,
            ends: optional(row, at("ends")?, time)?,
            stated: optional(row, at("stated")?, time)?,
            problem: row.get("problem")?,
        };
        let places = "SELECT folder, name, first_seen, last_seen, gone FROM library_files
             WHERE sha256 = ?1 ORDER BY last_seen DESC, folder, name";
        let mut places = self.conn.prepare(places)?;
        let place = |row: &Row<'_>| {
            Ok(LibraryPlace {
                folder: row.get(0)?,
                name: row.get(1)?,
                first_seen: parsed(row, 2, time)?,
                last_seen: parsed(row, 3, time)?,
                gone: optional(row, 4, time)?,
            })
        };
        let places = places.query_map([&profile.sha256], place)?.collect::<Result<_, _>>()?;
        Ok(LibraryRow {
            profile,
            first_seen: parsed(row, at("first_seen")?, time)?,
            last_seen: parsed(row, at("last_seen")?, time)?,
            places,
            jobs: row.get("jobs")?,
        })
    }

    /// What is remembered of an export, by its file and by its content.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn remembered(&self, sha256: &str, content_sha256: &str) -> Result<Remembered, JournalError> {
        let run = || -> rusqlite::Result<Remembered> {
            let used = "SELECT first_used FROM profiles WHERE sha256 = ?1";
            let used = self.conn.query_row(used, [sha256], |row| parsed(row, 0, time)).optional()?;
            if !is_in(&self.conn)? {
                return Ok(Remembered { stated: None, first_seen: used });
            }
            let seen = "SELECT max(stated), min(first_seen) FROM library WHERE content_sha256 = ?1";
            let (stated, seen) = self.conn.query_row(seen, [content_sha256], |row| {
                Ok((optional(row, 0, time)?, optional(row, 1, time)?))
            })?;
            Ok(Remembered { stated, first_seen: used.into_iter().chain(seen).min() })
        };
        run().map_err(JournalError::read)
    }

    /// The device that one of `names` means, be it a UDID, a serial number, an IMEI or an
    /// ECID, of those that ever had a job.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn device_called(&self, names: &[String]) -> Result<Option<Udid>, JournalError> {
        let sql = "SELECT udid FROM jobs WHERE udid = ?1 OR replace(udid, '-', '') = ?1 COLLATE NOCASE
             OR serial = ?1 COLLATE NOCASE OR imei = ?1 OR ecid = ?1 ORDER BY id DESC LIMIT 1";
        let run = || -> rusqlite::Result<_> {
            let mut statement = self.conn.prepare(sql)?;
            for name in names.iter().take(MOST_NAMES) {
                if let Some(found) = statement.query_row([name], udid).optional()? {
                    return Ok(Some(found));
                }
            }
            Ok(None)
        };
        run().map_err(JournalError::read)
    }

    /// The device of the first job that enrolled with this file, or is at it, up to `job`.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn first_user(&self, sha256: &str, job: JobId) -> Result<Option<Udid>, JournalError> {
        let sql = "SELECT j.udid FROM jobs j
             WHERE j.id <= ?2 AND (j.outcome IN ('enrolled', 'policies-seen') OR j.ended_at IS NULL)
                 AND coalesce((SELECT json_extract(e.data, '$.sha256') FROM events e
                     WHERE e.job = j.id AND e.kind = 'profile-chosen' ORDER BY e.seq DESC LIMIT 1),
                     j.profile_sha256) = ?1
             ORDER BY j.ended_at IS NULL, j.id LIMIT 1";
        let found = self.conn.query_row(sql, params![sha256, job.0], udid).optional();
        found.map_err(JournalError::read)
    }
}

fn udid(row: &Row<'_>) -> rusqlite::Result<Udid> {
    parsed(row, 0, |text| text.parse().map_err(|error: BadUdid| error.to_string()))
}
