//! Leases: two runs never work with the same device at a time, in whatever folder each keeps
//! its state. A lease is a lock of the system on a file, so it ends with its process.

use crate::ids::Udid;
use crate::wire::printable::system_words;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Digits of a process number that are read, and more.
const PID_BYTES: u64 = 20;

/// Why there is no lease.
#[derive(Debug, thiserror::Error)]
pub(super) enum LeaseError {
    /// Another run has it.
    #[error("another run works with the device{}", pid.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    Taken {
        /// Its process number, if it could be read.
        pid: Option<u32>,
    },
    /// The lock file.
    #[error("the lock file {} cannot be used: {}", path.display(), system_words(.source))]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A device that no other run works with while this is held.
#[derive(Debug)]
pub(super) struct Lease {
    _file: File,
}

impl Lease {
    /// Takes the device, or says who has it; never waits.
    ///
    /// # Errors
    /// [`LeaseError`].
    pub(super) fn take(folder: &Path, udid: &Udid) -> Result<Self, LeaseError> {
        // However it was typed.
        let name = udid.as_str().replace('-', "").to_ascii_lowercase();
        let path = folder.join(format!("{name}.lock"));
        let failed = |source| LeaseError::File { path: path.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let mut file = open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LeaseError::Taken { pid: read_pid(&mut file) }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // The number is for people; the lock holds without it. The file stays: deleting it
        // would race with the next run.
        let noted = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        if let Err(error) = noted {
            tracing::debug!(%error, "cannot note the process number in a lease");
        }
        Ok(Self { _file: file })
    }
}

/// A file of another user is locked as well as an own one, without writing into it.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false).mode(0o644);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => File::open(path),
        opened => opened,
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(PID_BYTES).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_leased_once_and_is_free_again_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let leases = folder.path().join("deep/leases");
        let take = |udid: &str| Lease::take(&leases, &udid.parse().unwrap());
        let first = take("00008140-001B59F64B2E760E").unwrap();
        let error = take("00008140001b59f64b2e760e").unwrap_err().to_string();
        assert_eq!(error, format!("another run works with the device (process {})", std::process::id()));
        assert!(take("00008140-001B59F64B2E760F").is_ok(), "another device is free");
        drop(first);
        assert!(take("00008140-001B59F64B2E760E").is_ok());
    }

    #[test]
    fn a_lease_of_another_user_counts() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (udid, path) = ("a-b".parse().unwrap(), folder.path().join("ab.lock"));
        let first = Lease::take(folder.path(), &udid).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o444)).unwrap();
        assert!(matches!(Lease::take(folder.path(), &udid), Err(LeaseError::Taken { pid: Some(_) })));
        drop(first);
        assert!(Lease::take(folder.path(), &udid).is_ok());
    }

    #[test]
    fn a_folder_that_cannot_be_used_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Lease::take(file.path(), &"a".parse().unwrap()).unwrap_err().to_string();
        assert!(error.starts_with("the lock file ") && !error.contains("os error"), "{error}");
    }
}
