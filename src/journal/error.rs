//! What can go wrong with the journal. What was tried is the variant, its cause the source;
//! advice belongs to the screens, which choose it by [`JournalError::kind`].

use crate::ids::{JobId, Udid};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A journal error. Cheap to clone: one failed commit answers many callers.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// Another station holds the lock.
    #[error(
        "another station{} uses the journal {}",
        process(.pid), .path.display()
    )]
    InUse {
        /// Its process, if it had written its number down already.
        pid: Option<u32>,
        /// The journal.
        path: PathBuf,
    },
    /// A reader found nothing.
    #[error("there is no journal at {} yet", .path.display())]
    Missing {
        /// Where it looked.
        path: PathBuf,
    },
    /// The folder, the file or the lock file cannot be made or protected.
    #[error("cannot prepare {} for the journal: {}", .path.display(), source.kind())]
    Prepare {
        /// Folder or file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// SQLite cannot open the file.
    #[error("cannot open the journal {}: {source}", .path.display())]
    Open {
        /// The journal.
        path: PathBuf,
        /// What SQLite said.
        source: Arc<rusqlite::Error>,
    },
    /// No database, or some other program's.
    #[error("{} is not an Enlist journal; it was left as it is", .path.display())]
    NotAJournal {
        /// The file.
        path: PathBuf,
    },
    /// A database that does not hold together.
    #[error("the journal {} is damaged ({detail}); it was left as it is", .path.display())]
    Corrupt {
        /// The journal.
        path: PathBuf,
        /// The first thing found.
        detail: String,
    },
    /// Written by a newer program.
    #[error(
        "the journal {} is of version {found}, this program knows versions up to {known}; it was left as it is",
        .path.display()
    )]
    Newer {
        /// The journal.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// A reader found a version that only a station may migrate.
    #[error(
        "the journal {} is still of version {found}, not {known}; starting a station once brings it up to date",
        .path.display()
    )]
    Older {
        /// The journal.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// A migration failed.
    #[error(
        "cannot bring the journal {} from version {from} to version {to}; it was left as it is",
        .path.display()
    )]
    Migration {
        /// The journal.
        path: PathBuf,
        /// Version found.
        from: i64,
        /// Version at which it failed.
        to: i64,
        /// What SQLite said.
        source: Arc<rusqlite::Error>,
    },
    /// The file system cannot share memory between processes, as network drives cannot.
    #[error("the drive of {} cannot hold a journal; it must be a local drive", .path.display())]
    NoWriteAhead {
        /// The journal.
        path: PathBuf,
    },
    /// Opened where no task can be started.
    #[error("the journal was opened outside of a tokio runtime")]
    NoRuntime,
    /// Its one terminal event was written before.
    #[error("job {job} has ended; '{kind}' was not written")]
    Ended {
        /// The job.
        job: JobId,
        /// What was to be appended.
        kind: &'static str,
    },
    /// No such job.
    #[error("there is no job {job} in the journal")]
    NoSuchJob {
        /// The number asked for.
        job: JobId,
    },
    /// One open job per device and profile.
    #[error("{udid} is already in job {job} for this profile")]
    AlreadyOpen {
        /// The device.
        udid: Udid,
        /// The open job.
        job: JobId,
    },
    /// Attempts and pushes count by one; a job starts once.
    #[error("job {job}: '{kind}' {number} was not written, {expected} was expected")]
    OutOfOrder {
        /// The job.
        job: JobId,
        /// What was to be appended.
        kind: &'static str,
        /// Its number.
        number: u32,
        /// The number the journal expects.
        expected: u32,
    },
    /// Longer than [`crate::limits::JOURNAL_EVENT_BYTES`].
    #[error("'{kind}' was not written: {bytes} bytes are more than the journal takes")]
    TooLarge {
        /// What was to be appended.
        kind: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// The event cannot be written as JSON, or breaks a rule of the database.
    #[error("'{kind}' was not written: the journal's rules forbid it")]
    Forbidden {
        /// What was to be appended.
        kind: &'static str,
        /// Which rule.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// A batch was not committed: nothing of it was written or published.
    #[error("the journal could not be written")]
    Write {
        /// What SQLite said.
        source: Arc<rusqlite::Error>,
    },
    /// A query failed, or a row is not what this program writes.
    #[error("the journal could not be read")]
    Read {
        /// What SQLite said.
        source: Arc<rusqlite::Error>,
    },
    /// Closed, or its runtime is gone.
    #[error("the journal is closed")]
    Closed,
}

/// What a journal error means for whoever must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalErrorKind {
    /// Another station has it.
    InUse,
    /// Not there yet.
    Missing,
    /// The file is none this program wrote, or is damaged.
    Foreign,
    /// The file is of a version this program does not use.
    OtherVersion,
    /// Disk full, no permission, wrong kind of drive, an error of the drive.
    Storage,
    /// The entry was refused; the journal is fine and the caller is wrong.
    Refused,
    /// Closed.
    Closed,
}

impl JournalError {
    /// What it means for whoever must act.
    pub fn kind(&self) -> JournalErrorKind {
        use JournalErrorKind as Kind;
        match self {
            Self::InUse { .. } => Kind::InUse,
            Self::Missing { .. } => Kind::Missing,
            Self::NotAJournal { .. } | Self::Corrupt { .. } => Kind::Foreign,
            Self::Newer { .. } | Self::Older { .. } | Self::Migration { .. } => Kind::OtherVersion,
            Self::Prepare { .. }
            | Self::Open { .. }
            | Self::NoWriteAhead { .. }
            | Self::Write { .. }
            | Self::Read { .. } => Kind::Storage,
            Self::Ended { .. }
            | Self::NoSuchJob { .. }
            | Self::AlreadyOpen { .. }
            | Self::OutOfOrder { .. }
            | Self::TooLarge { .. }
            | Self::Forbidden { .. } => Kind::Refused,
            Self::Closed | Self::NoRuntime => Kind::Closed,
        }
    }

    pub(super) fn prepare(path: &Path, source: io::Error) -> Self {
        Self::Prepare { path: path.into(), source: source.into() }
    }

    /// Sorts an error of a file that is being opened.
    pub(super) fn open(path: &Path, source: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        let path = path.into();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotAJournal { path },
            Some(ErrorCode::DatabaseCorrupt) => Self::Corrupt { path, detail: source.to_string() },
            _ => Self::Open { path, source: source.into() },
        }
    }

    pub(super) fn write(source: rusqlite::Error) -> Self {
        Self::Write { source: source.into() }
    }

    pub(super) fn read(source: rusqlite::Error) -> Self {
        Self::Read { source: source.into() }
    }
}

fn process(pid: &Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}
