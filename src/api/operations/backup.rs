//! Backup and restore of a state folder.

use crate::api::OperationError;
use crate::api::view::Exit;
use crate::clock::Clock;
use crate::station::backup::{self, BackupError, Contents};
use crate::wire::printable::sentence;
use jiff::Timestamp;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackupView {
    /// Where it is.
    pub file: PathBuf,
    /// When it was made.
    pub made: Timestamp,
    /// The journal is in it.
    pub journal: bool,
    /// The identity is in it.
    pub identity: bool,
    /// Versions of pair records.
    pub pair_records: usize,
    /// Exports of the library.
    pub profiles: usize,
}

/// A backup that was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RestoreView {
    /// What was in it.
    #[serde(flatten)]
    pub backup: BackupView,
    /// Where that is which was in the state folder before.
    pub before: Option<PathBuf>,
}

impl BackupView {
    fn new(file: &Path, contents: &Contents) -> Self {
        let below = |folder: &str| contents.files.keys().filter(|name| name.starts_with(folder)).count();
        Self {
            file: file.into(),
            made: contents.made,
            journal: contents.files.contains_key("journal.sqlite3"),
            identity: contents.files.contains_key("identity.plist"),
            pair_records: below("pair-records/"),
            profiles: below("profiles/"),
        }
    }
}

/// Backs a state folder up; a station may run. Blocks.
///
/// # Errors
/// The folder has nothing, or cannot be read; the file is there, and not to be replaced.
pub fn back_up(
    state_dir: &Path,
    file: &Path,
    replace: bool,
    clock: &Clock,
) -> Result<BackupView, OperationError> {
    backup::finish(state_dir)?;
    Ok(BackupView::new(file, &backup::write(state_dir, file, replace, clock.now())?))
}

/// Restores a backup; no station may run. Blocks.
///
/// # Errors
/// The backup is not whole; the folder holds something, and it is not to be replaced.
pub fn restore(
    state_dir: &Path,
    file: &Path,
    replace: bool,
    clock: &Clock,
) -> Result<RestoreView, OperationError> {
    let restored = backup::restore(state_dir, file, replace, clock)?;
    Ok(RestoreView { backup: BackupView::new(file, &restored.contents), before: restored.before })
}

impl From<BackupError> for OperationError {
    fn from(error: BackupError) -> Self {
        let (exit, next) = match &error {
            BackupError::File { .. } => {
                (Exit::Failed, "Check the path, its owner and rights, and the space on its disk.")
            }
            BackupError::Empty { .. } => (
                Exit::Failed,
                "Name the station's state folder with --state-dir, and its user may be needed.",
            ),
            BackupError::Exists { .. } => (Exit::Refused, "Give another name, or --force to replace it."),
            BackupError::NoFile { .. } => {
                (Exit::Usage, "Give the name of a file: a backup is written beside it and then renamed.")
            }
            BackupError::Unfit { .. } => (Exit::Usage, "Give a file that `enlist backup` wrote, unchanged."),
            BackupError::Occupied { .. } => {
                (Exit::Refused, "Give --force: what is there is then put aside, beside the restored files.")
            }
            BackupError::Journal(inner) => return inner.clone().into(),
        };
        Self::new(exit, sentence(&error), next)
    }
}
