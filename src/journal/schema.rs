//! The file: who may open it, which version it has, how it becomes the present one.
//!
//! Nothing here deletes or recreates a file. What cannot be used is refused and left alone:
//! the journal is the only proof of what was done.

use super::error::JournalError;
use crate::limits::JOURNAL_BUSY;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// "Enls", as `file` and the SQLite tools show it.
pub(super) const APPLICATION_ID: i64 = 0x456e_6c73;

/// Scripts in order; the n-th (from 1) leads to version n. Append, never change. A kind of
/// event that older programs do not know is a version too, though its script is empty.
pub(super) const MIGRATIONS: &[&str] =
    &[include_str!("v1.sql"), include_str!("v2.sql"), include_str!("v3.sql")];

/// The first version whose tables are those of today: readers need no migration from there on.
const SAME_TABLES: i64 = 1;

/// The open database of a station, with the lock that makes it the only writer.
pub(super) struct Store {
    /// Declared first, so that it is closed before the lock is given up.
    pub(super) conn: Connection,
    _lock: File,
}

/// Opens for writing; creates what is missing, migrates what is old.
pub(super) fn open_store(path: &Path, migrations: &[&str]) -> Result<Store, JournalError> {
    let folder = folder_of(path);
    // Only a folder made here is closed to others: the path may lie in one that is shared.
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|e| JournalError::prepare(folder, e))?;
    let lock = lock_station(path)?;
    if is_new(path)? {
        create(path, migrations)?;
    }
    // First with a connection that cannot write, so that a refused file stays as it is.
    let looking = connect(path, false)?;
    let version = identify(&looking, path, migrations.len())?;
    prove_sound(&looking, path)?;
    drop(looking);
    let private = fs::set_permissions(path, Permissions::from_mode(0o600));
    private.map_err(|e| JournalError::prepare(path, e))?;
    let mut conn = connect(path, true)?;
    migrate(&mut conn, path, version, migrations)?;
    configure(&conn, path)?;
    Ok(Store { conn, _lock: lock })
}

/// True if there is no file, or one without a byte in it. Without its file, a WAL is what
/// is left of a journal somebody moved: SQLite would mix it into the new one.
fn is_new(path: &Path) -> Result<bool, JournalError> {
    let length = |path: &Path| match fs::metadata(path) {
        Ok(found) => Ok(found.len()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(e) => Err(JournalError::prepare(path, e)),
    };
    if length(path)? > 0 {
        return Ok(false);
    }
    let wal = beside(path, "-wal");
    match length(&wal)? {
        0 => Ok(true),
        _ => {
            let detail = format!("{} is there without it", wal.display());
            Err(JournalError::Corrupt { path: path.into(), detail })
        }
    }
}

/// Builds the file under another name: whatever interrupts it, there is a whole journal
/// or none.
fn create(path: &Path, migrations: &[&str]) -> Result<(), JournalError> {
    let draft = beside(path, ".new");
    let failed = |e| JournalError::prepare(&draft, e);
    for leftover in
        [draft.clone(), beside(&draft, "-journal"), beside(&draft, "-wal"), beside(&draft, "-shm")]
    {
        match fs::remove_file(leftover) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
    }
    // SQLite would create it readable for all; its WAL inherits the mode.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(failed)?;
    let mut conn = connect(&draft, true)?;
    migrate(&mut conn, path, 0, migrations)?;
    configure(&conn, path)?;
    conn.close().map_err(|(_, e)| JournalError::open(path, e))?;
    fs::rename(&draft, path).map_err(failed)?;
    File::open(folder_of(path)).and_then(|folder| folder.sync_all()).map_err(failed)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Where the lock of a journal lies.
pub(super) fn lock_path(path: &Path) -> PathBuf {
    beside(path, ".lock")
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Opens for reading, beside a running station or without one.
pub(super) fn open_reader(path: &Path) -> Result<Connection, JournalError> {
    if is_new(path)? {
        return Err(JournalError::Missing { path: path.into() });
    }
    let conn = connect(path, false)?;
    let found = identify(&conn, path, MIGRATIONS.len())?;
    let known = as_version(MIGRATIONS.len());
    if found < SAME_TABLES {
        return Err(JournalError::Older { path: path.into(), found, known });
    }
    Ok(conn)
}

/// Opens for writing beside the station, tables of the present version only; `None` if there
/// is no journal, or an older one.
pub(super) fn open_beside(path: &Path) -> Result<Option<Connection>, JournalError> {
    if is_new(path)? {
        return Ok(None);
    }
    let conn = connect(path, true)?;
    if identify(&conn, path, MIGRATIONS.len())? < as_version(MIGRATIONS.len()) {
        return Ok(None);
    }
    let set = || {
        conn.pragma_update(None, "foreign_keys", true)?;
        conn.pragma_update(None, "synchronous", "FULL")
    };
    set().map_err(|e| JournalError::open(path, e))?;
    Ok(Some(conn))
}

/// The lock file stays when the station goes: deleting it would race with the next one.
pub(super) fn lock_station(path: &Path) -> Result<File, JournalError> {
    let lock_path = lock_path(path);
    let failed = |e| JournalError::prepare(&lock_path, e);
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(&lock_path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(JournalError::InUse { pid: read_pid(&mut file), path: path.into() });
        }
        Err(TryLockError::Error(e)) => return Err(failed(e)),
    }
    // The number is for people; the lock holds without it, as on a full disk.
    let noted = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    if let Err(error) = noted {
        tracing::warn!(%error, "cannot note the process number in the journal's lock file");
    }
    Ok(file)
}

/// True if a station works with the journal at `path` now.
pub fn is_in_use(path: &Path) -> bool {
    let file = File::open(lock_path(path));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(20).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Opens without the checkpoint at closing, which would change a file that is refused.
/// Never opens the file by other means than SQLite's: closing a second descriptor would
/// drop the locks of every connection of this process.
pub(super) fn connect(path: &Path, writing: bool) -> Result<Connection, JournalError> {
    let failed = |e| JournalError::open(path, e);
    let mode = if writing { OpenFlags::SQLITE_OPEN_READ_WRITE } else { OpenFlags::SQLITE_OPEN_READ_ONLY };
    let conn = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(failed)?;
    conn.busy_timeout(JOURNAL_BUSY).map_err(failed)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(failed)?;
    conn.pragma_update(None, "trusted_schema", false).map_err(failed)?;
    Ok(conn)
}

/// The file's version, from 1.
fn identify(conn: &Connection, path: &Path, known: usize) -> Result<i64, JournalError> {
    let number = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0));
    let failed = |e| JournalError::open(path, e);
    let application = number("PRAGMA application_id").map_err(failed)?;
    let found = number("PRAGMA user_version").map_err(failed)?;
    let known = as_version(known);
    match (application, found) {
        (APPLICATION_ID, 1..) if found > known => {
            Err(JournalError::Newer { path: path.into(), found, known })
        }
        (APPLICATION_ID, 1..) => Ok(found),
        _ => Err(JournalError::NotAJournal { path: path.into() }),
    }
}

fn as_version(scripts: usize) -> i64 {
    i64::try_from(scripts).unwrap_or(i64::MAX)
}

/// Structure only; `check` looks at the contents.
fn prove_sound(conn: &Connection, path: &Path) -> Result<(), JournalError> {
    let found = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match found.map_err(|e| JournalError::open(path, e))? {
        ok if ok == "ok" => Ok(()),
        found => {
            // The first line only names the database.
            let detail = found.lines().last().unwrap_or_default().to_owned();
            Err(JournalError::Corrupt { path: path.into(), detail })
        }
    }
}

/// Runs what is missing, all of it or nothing: the file is either of the version it was
/// found with or of the present one.
fn migrate(conn: &mut Connection, path: &Path, from: i64, scripts: &[&str]) -> Result<(), JournalError> {
    let pending = scripts.iter().zip(1_i64..).filter(|(_, to)| *to > from);
    let mut to = as_version(scripts.len());
    let run = || -> rusqlite::Result<()> {
        // A script may rebuild a table; its references are checked at the end.
        conn.pragma_update(None, "foreign_keys", false)?;
        conn.pragma_update(None, "synchronous", "FULL")?;
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (script, version) in pending {
            to = version;
            tx.execute_batch(script)?;
            tx.pragma_update(None, "user_version", version)?;
        }
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        if tx.prepare("PRAGMA foreign_key_check")?.exists([])? {
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY),
                Some("a row refers to one that is not there".into()),
            ));
        }
        tx.commit()
    };
    if from == as_version(scripts.len()) {
        return Ok(());
    }
    run().map_err(|source| JournalError::Migration { path: path.into(), from, to, source: source.into() })
}

fn configure(conn: &Connection, path: &Path) -> Result<(), JournalError> {
    let set = || -> rusqlite::Result<String> {
        conn.pragma_update(None, "foreign_keys", true)?;
        // Every commit reaches the disk: power may go at any time. The last two are for
        // macOS, where a plain fsync stops at the drive's cache.
        conn.pragma_update(None, "synchronous", "FULL")?;
        conn.pragma_update(None, "fullfsync", true)?;
        conn.pragma_update(None, "checkpoint_fullfsync", true)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
    };
    match set().map_err(|e| JournalError::open(path, e))?.as_str() {
        "wal" => Ok(()),
        _ => Err(JournalError::NoWriteAhead { path: path.into() }),
    }
}
