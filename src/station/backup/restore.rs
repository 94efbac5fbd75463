//! Putting a backup in the place of what a state folder holds: all of it or nothing, whenever the
//! power goes.

use super::archive::{self, Contents};
use super::{BESIDE_JOURNAL, BackupError, IDENTITY, JOURNAL, KEPT, give};
use crate::clock::Clock;
use crate::device::trust::StationIdentity;
use crate::journal::{self, Kept};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// While it is unpacked and looked at: nothing was changed yet.
const UNPACKING: &str = "restore-unpacking";

/// It is whole; what was there is on its way out.
const LEAVING: &str = "restore-leaving";

/// What was there is out; the restored files are on their way in.
const ENTERING: &str = "restore-entering";

/// In each of the three: the restored files, and those that were there.
const NEW: &str = "new";
const BEFORE: &str = "before";

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What the backup says of itself.
    pub contents: Contents,
    /// Where that is which was there before, if anything was.
    pub before: Option<PathBuf>,
}

/// Restores a backup. What the state folder holds stays, unless `replace`; then it is put aside.
/// Blocks.
///
/// # Errors
/// [`BackupError`]. Before everything was read and proved, nothing is changed.
pub fn restore(state_dir: &Path, file: &Path, replace: bool, clock: &Clock) -> Result<Restored, BackupError> {
    private_folder(state_dir).map_err(BackupError::file("make", state_dir))?;
    let _kept = keep_stations_away(state_dir)?;
    go_on(state_dir)?;
    let found: Vec<_> = KEPT.iter().map(|(top, _)| *top).filter(|top| state_dir.join(top).exists()).collect();
    if !found.is_empty() && !replace {
        return Err(BackupError::Occupied { path: state_dir.into(), found });
    }
    let unpacking = state_dir.join(UNPACKING);
    remove(&unpacking)?;
    let unpacked = unpack(state_dir, file, &unpacking.join(NEW), clock);
    let contents = unpacked.inspect_err(|_| drop(fs::remove_dir_all(&unpacking)))?;
    rename(&unpacking, &state_dir.join(LEAVING))?;
    let before = go_on(state_dir)?;
    Ok(Restored { contents, before })
}

/// Unpacks, proves, and gives the files to their owner.
fn unpack(state_dir: &Path, file: &Path, new: &Path, clock: &Clock) -> Result<Contents, BackupError> {
    private_folder(new).map_err(BackupError::file("make", new))?;
    let contents = archive::unpack(file, new)?;
    let journal = new.join(JOURNAL);
    if journal.exists() {
        journal::prove(&journal)?;
    }
    let identity = new.join(IDENTITY);
    if identity.exists() {
        let read = StationIdentity::load_or_create(&identity, clock);
        read.map_err(|error| BackupError::Unfit { path: file.into(), reason: error.to_string() })?;
    }
    let owner = fs::metadata(state_dir).map_err(BackupError::file("read", state_dir))?;
    let Some(unpacking) = new.parent() else { return Ok(contents) };
    for_all(unpacking, &mut |path| give(path, &owner)).map_err(BackupError::file("give away", unpacking))?;
    Ok(contents)
}

/// Finishes a restore that was cut short, if there is one: for whoever is about to use the folder.
/// Blocks.
///
/// # Errors
/// [`BackupError`]; another process that restores at the same time is one.
pub fn finish(state_dir: &Path) -> Result<(), BackupError> {
    if [LEAVING, ENTERING].iter().any(|stage| state_dir.join(stage).exists()) {
        let _kept = keep_stations_away(state_dir)?;
        go_on(state_dir)?;
        tracing::warn!("a restore that was cut short was finished");
    }
    Ok(())
}

/// The lock is made here if there was never a journal; it has to be its station's.
fn keep_stations_away(state_dir: &Path) -> Result<Kept, BackupError> {
    let journal = state_dir.join(JOURNAL);
    let kept = Kept::take(&journal)?;
    let lock = state_dir.join(format!("{JOURNAL}.lock"));
    let given = fs::metadata(state_dir).and_then(|owner| give(&lock, &owner));
    given.map_err(BackupError::file("give away", &lock))?;
    Ok(kept)
}

/// Each step may be done twice, and the folder's name says which come next.
fn go_on(state_dir: &Path) -> Result<Option<PathBuf>, BackupError> {
    let [leaving, entering] = [LEAVING, ENTERING].map(|stage| state_dir.join(stage));
    let tops = || KEPT.iter().map(|(top, _)| *top);
    if leaving.exists() {
        let before = leaving.join(BEFORE);
        private_folder(&before).map_err(BackupError::file("make", &before))?;
        for name in tops().chain(BESIDE_JOURNAL) {
            move_if_there(&state_dir.join(name), &before.join(name))?;
        }
        rename(&leaving, &entering)?;
    }
    if !entering.exists() {
        return Ok(None);
    }
    for name in tops() {
        move_if_there(&entering.join(NEW).join(name), &state_dir.join(name))?;
    }
    let aside = put_aside(state_dir, &entering.join(BEFORE))?;
    remove(&entering)?;
    Ok(aside)
}

/// Nothing that was there is deleted: it may be the only proof of what was done.
fn put_aside(state_dir: &Path, before: &Path) -> Result<Option<PathBuf>, BackupError> {
    let is_empty = fs::read_dir(before).map_or(true, |mut entries| entries.next().is_none());
    if is_empty {
        return Ok(None);
    }
    let mut number = 1;
    let aside = loop {
        let aside = state_dir.join(format!("before-restore-{number}"));
        if !aside.exists() {
            break aside;
        }
        number += 1;
    };
    if let Ok(owner) = fs::metadata(state_dir) {
        give(before, &owner).map_err(BackupError::file("give away", before))?;
    }
    rename(before, &aside)?;
    Ok(Some(aside))
}

fn move_if_there(from: &Path, to: &Path) -> Result<(), BackupError> {
    match fs::symlink_metadata(from) {
        Ok(_) => rename(from, to),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(BackupError::File { action: "read", path: from.into(), source }),
    }
}

/// Renames, and is on disk when this returns.
fn rename(from: &Path, to: &Path) -> Result<(), BackupError> {
    let sync = |path: &Path| path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all());
    let done = fs::rename(from, to).and_then(|()| sync(to)).and_then(|()| sync(from));
    done.map_err(BackupError::file("rename", from))
}

fn remove(folder: &Path) -> Result<(), BackupError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(BackupError::File { action: "remove", path: folder.into(), source: error })
        }
        _ => Ok(()),
    }
}

/// Makes a folder, and those above it, that only its owner can enter.
pub(super) fn private_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Does something with a folder and everything in it; what is in folders is on disk afterwards.
fn for_all(path: &Path, act: &mut impl FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    act(path)?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            for_all(&entry?.path(), act)?;
        }
        File::open(path)?.sync_all()?;
    }
    Ok(())
}
