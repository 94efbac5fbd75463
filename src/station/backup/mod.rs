//! Backup and restore of what a station cannot make anew: journal, identity, pair records,
//! library, learned bays. All in one tar file.
//!
//! May import: `journal`, `device::trust`, base.

mod archive;
mod restore;

pub use archive::{Contents, write};
pub use restore::{Restored, finish, restore};

use crate::journal::JournalError;
use crate::wire::printable::system_words;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::chown;
use std::path::{Component, Path, PathBuf};

/// The journal's name in a state folder and in a backup.
const JOURNAL: &str = "journal.sqlite3";

/// The identity's.
const IDENTITY: &str = "identity.plist";

/// What lies at the top of a state folder and is kept, with the number of folders in which its
/// files lie.
const KEPT: [(&str, usize); 5] =
    [(JOURNAL, 0), (IDENTITY, 0), ("bays.toml", 0), ("pair-records", 2), ("profiles", 1)];

/// What SQLite keeps beside a journal: worth nothing to another one.
const BESIDE_JOURNAL: [&str; 2] = ["journal.sqlite3-wal", "journal.sqlite3-shm"];

/// Most files in a backup: twenty records of each of 10,000 devices.
const FILES: usize = 200_000;

/// Largest file but the journal, in bytes: the largest profile that is looked at.
const FILE_BYTES: u64 = crate::limits::PROFILE_REFUSE_BYTES as u64 + 1;

/// Why a backup cannot be made or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file or folder cannot be read or written.
    #[error("cannot {action} {}: {}", path.display(), system_words(.source))]
    File {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is nothing to keep.
    #[error("there is nothing to back up in {}", path.display())]
    Empty {
        /// The state folder.
        path: PathBuf,
    },
    /// The backup's file is there already.
    #[error("{} exists already", path.display())]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// The backup's place is no file's.
    #[error("{} is no file", path.display())]
    NoFile {
        /// The place.
        path: PathBuf,
    },
    /// The file is no backup, or is not whole.
    #[error("{} is no whole backup: {reason}; nothing was restored", path.display())]
    Unfit {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The state folder has something of its own.
    #[error("{} holds {} already; nothing was restored", path.display(), found.join(", "))]
    Occupied {
        /// The state folder.
        path: PathBuf,
        /// What is there.
        found: Vec<&'static str>,
    },
    /// The journal cannot be copied, is no journal, or a station uses it.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl BackupError {
    fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { action, path: path.into(), source }
    }
}

/// Where a file of a backup lies below a state folder; none for a name that no backup has.
fn place(name: &str) -> Option<PathBuf> {
    let path = Path::new(name);
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    let mut parts = path.components();
    if name.chars().any(|c| !c.is_ascii_graphic()) || !path.components().all(plain) {
        return None;
    }
    let top = parts.next()?.as_os_str().to_str()?;
    let (_, depth) = KEPT.iter().find(|(kept, _)| *kept == top)?;
    // Said once only: no `a//b` beside `a/b`.
    (parts.count() == *depth && path.as_os_str().len() == name.len() && !name.contains("//"))
        .then(|| path.to_owned())
}

/// Gives a file to the owner of its state folder: whoever restores for a service is root.
fn give(path: &Path, to: &fs::Metadata) -> io::Result<()> {
    let is = fs::metadata(path)?;
    match (is.uid(), is.gid()) == (to.uid(), to.gid()) {
        true => Ok(()),
        false => chown(path, Some(to.uid()), Some(to.gid())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_backup_holds_has_a_place() {
        for good in ["journal.sqlite3", "identity.plist", "bays.toml", "pair-records/U/1.plist", "profiles/a"]
        {
            assert_eq!(place(good), Some(good.into()), "{good}");
        }
        for bad in [
            "",
            "x",
            "/identity.plist",
            "../identity.plist",
            "profiles/../identity.plist",
            "profiles",
            "profiles/",
            "profiles/a/b",
            "profiles//a",
            "./identity.plist",
            "journal.sqlite3-wal",
            "journal.sqlite3/x",
            "pair-records/U",
            "profiles/a b",
            "profiles/a\0b",
        ] {
            assert_eq!(place(bad), None, "{bad:?}");
        }
    }
}
