//! A copy of the journal as it is at one moment, whether a station writes to it or not.

use super::check;
use super::error::JournalError;
use super::schema::{self, connect};
use rusqlite::backup::Backup;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// All pages in one step: one read of one moment, which a WAL gives without stopping the writer.
const ALL_PAGES: i32 = i32::MAX;

/// Pause before another try, where the file is locked for an instant.
const PAUSE: Duration = Duration::from_millis(50);

/// Writes a copy of the journal to a new file, for its owner alone; it needs no WAL beside it.
/// Blocks.
///
/// # Errors
/// No journal, or none that can be read; [`JournalError::Corrupt`] if it does not hold together.
pub fn snapshot(journal: &Path, copy: &Path) -> Result<(), JournalError> {
    let source = schema::open_reader(journal)?;
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(copy);
    drop(made.map_err(|error| JournalError::prepare(copy, error))?);
    let mut target = connect(copy, true)?;
    let copied = Backup::new(&source, &mut target)
        .and_then(|backup| backup.run_to_completion(ALL_PAGES, PAUSE, None))
        // What is copied says that there is a WAL.
        .and_then(|()| target.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(())));
    copied.map_err(JournalError::write)?;
    sound(check(&target), journal)
}

/// Proves that a copy is a journal that this program can go on with. Blocks.
///
/// # Errors
/// As [`snapshot`].
pub fn prove(copy: &Path) -> Result<(), JournalError> {
    sound(check(&schema::open_reader(copy)?), copy)
}

fn sound(problems: Vec<String>, path: &Path) -> Result<(), JournalError> {
    match problems.into_iter().next() {
        None => Ok(()),
        Some(detail) => Err(JournalError::Corrupt { path: path.into(), detail }),
    }
}

/// Keeps every station away from a journal that may not be there yet.
#[derive(Debug)]
pub struct Kept {
    _lock: File,
}

impl Kept {
    /// Takes the station's lock.
    ///
    /// # Errors
    /// [`JournalError::InUse`] while a station runs.
    pub fn take(journal: &Path) -> Result<Self, JournalError> {
        Ok(Self { _lock: schema::lock_station(journal)? })
    }
}
