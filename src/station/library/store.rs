//! The state folder's own library of exports: `profiles/`, named by what is in them. They
//! hold challenges, so only their owner reads them (0600 in 0700).
//!
//! The date of a stored file is the day of its export, which has to be known when it is added:
//! so the operator's word on a file is kept even while a running station holds the journal.
//!
//! May import: as [`super::folder`].

use super::hex;
use crate::whole_file;
use crate::wire::printable::system_words;
use jiff::Timestamp;
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The library cannot be changed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {}", path.display(), system_words(.source))]
pub struct StoreError {
    /// `write` or `remove`.
    pub action: &'static str,
    /// Which file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// The library's folder in a state folder.
pub fn folder_in(state_dir: &Path) -> PathBuf {
    state_dir.join("profiles")
}

/// Adds a file; `dated` is its day of export. False if it is there already.
///
/// # Errors
/// [`StoreError`].
pub fn add(folder: &Path, file: &[u8], dated: Option<Timestamp>) -> Result<(PathBuf, bool), StoreError> {
    let path = path_of(folder, &hex(&openssl::sha::sha256(file)));
    let is_new = !path.exists();
    let write = || -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        whole_file::replace(&path, 0o600, |out| {
            out.write_all(file)?;
            dated.map_or(Ok(()), |date| out.set_modified(SystemTime::from(date)))
        })
    };
    match write() {
        Ok(()) => Ok((path, is_new)),
        Err(source) => Err(StoreError { action: "write", path, source }),
    }
}

/// The day of export of a stored file, as it was known when it was added.
pub fn stated(folder: &Path, sha256: &str) -> Option<Timestamp> {
    let date = fs::metadata(path_of(folder, sha256)).ok()?.modified().ok()?;
    Timestamp::try_from(date).ok()
}

fn path_of(folder: &Path, sha256: &str) -> PathBuf {
    folder.join(format!("{sha256}.mobileconfig"))
}

/// Removes a file of the library.
///
/// # Errors
/// [`StoreError`].
pub fn remove(path: &Path) -> Result<(), StoreError> {
    fs::remove_file(path).map_err(|source| StoreError { action: "remove", path: path.into(), source })
}
